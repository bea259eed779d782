#!/usr/bin/env bash
# stage.sh THAW SOURCE: data.stage copies shards to a disk of each node once, proves the copies, uses them again, and says what is wrong.
set -u
thaw=$1 source=$2 here=$(dirname "$(readlink -f "$0")")
. "$here/common.sh"
"$make_data" train 203 5 32 4 1 && "$make_data" validation 61 5 32 2 2 || exit 1
write_job job 2
sed -i 's/cache: .*/cache: {enabled: false}/' job.yaml
timeout 120 "$mpirun" 2 "$thaw" train job.yaml -o reference >reference.log 2>&1 || { cat reference.log; exit 1; }
expected=$(digest reference.log)
# shellcheck disable=SC2016
sed 's|^data:|data:\n  stage: $SCRATCH/of-${USER_NAME}|' job.yaml >staged.yaml
sed 's|^data:|data:\n  stage_keep: false|' staged.yaml >passing.yaml
export SCRATCH=$folder/disk USER_NAME=me
copies=disk/of-me/thaw-stage-$(id -u)

# run WHAT LINE: the staged job on 3 ranks says LINE and gives the expected result
run() {
  rm -rf run
  timeout 120 "$mpirun" 3 "$thaw" train "${3:-staged.yaml}" -o run >run.log 2>&1
  [ "$(digest run.log)" = "$expected" ] && grep -q "staged in $folder/$copies on 1 node: $2" run.log && return
  fail "$1: $(grep -E '^(staged|error|parameters)' run.log)"
}
# refused WHAT CODE PATTERN: fault.log tells it in one message, and no half copy is left
refused() {
  local code=$4
  [ "$code" = "$2" ] && [ "$(grep -c '^error: ' fault.log)" = 1 ] && grep -qE "^error: .*($3)" fault.log ||
    fail "$1: exit code $code, $(grep -h error: fault.log)"
  ls $copies/*.tmp-* >/dev/null 2>&1 && fail "$1: a half copy is left: $(ls $copies)"
}

run "first" "[0-9] files copied"
run "again" "0 files copied (0 B), 6 already there"
whole=$(ls $copies/*-part-00003.h5)
printf '\x55' | dd of="$whole" bs=1 seek=70000 conv=notrunc status=none
run "a damaged copy" "[0-9] files copied"
truncate -s 1000 "$whole"
run "a copy cut short" "[0-9] files copied"
touch train/part-00001.h5
run "a source with another time" "[0-9] files copied"

# The copies alone are read: the sources become rubbish of the same size and time, which only a copy can hide.
cp -a train original
for file in train/part-*.h5; do
  head -c "$(stat -c %s "$file")" /dev/urandom >rubbish
  touch -r "$file" rubbish && cp -a rubbish "$file"
done
run "copies only" "0 files copied"
rm -rf train && cp -a original train

# Who is last removes the copies.
exec 5>>"$copies/lock" && flock -s 5
run "another job at work" "0 files copied" passing.yaml
[ -e "$whole" ] || fail "copies in use are removed"
exec 5>&-
run "stage_keep: false" "0 files copied" passing.yaml
[ -z "$(find disk -name '*.h5*')" ] || fail "stage_keep: false leaves $(find disk -name '*.h5*')"

# Files of others, with labels in a file of their own, are copied too and stay the same data set.
cat >train/foreign.yaml <<YAML
format: thaw-catalog
image: {height: 32, width: 32, channels: 3, bits: 8, value_max: 255}
classes: 5
shards:
  - {file: part-00003.h5, images: /images, labels_file: part-00003-labels.h5, labels: /labels}
  - {file: part-00001.h5, images: /images, labels: /labels}
YAML
cp train/part-00003.h5 train/part-00003-labels.h5
sed 's/^  validation:.*//; s|train/catalog|train/foreign|' staged.yaml >foreign.yaml
sed '/^  stage:/d' foreign.yaml >in-place.yaml
"$mpirun" 2 "$thaw" train in-place.yaml -o run --overwrite >fault.log 2>&1
"$mpirun" 2 "$thaw" train foreign.yaml -o run2 --overwrite >run.log 2>&1
[ -n "$(digest run.log)" ] && [ "$(digest run.log)" = "$(digest fault.log)" ] && grep -q "[0-9] files copied" run.log ||
  fail "foreign files: $(grep -hE '^(staged|error)' run.log fault.log)"
cmp -s <(grep train_sha256 run/environment.json) <(grep train_sha256 run2/environment.json) || fail "foreign files: another data set"

fault "0 read train/part- 1 flip" 2 train staged.yaml -o run --overwrite
refused "a bit flipped on the way" 3 'train/part-0000[0-9].h5: ' $?
fault "0 write thaw-stage 2 enospc" 2 train staged.yaml -o run --overwrite
refused "disk full while copying" 1 'thaw-stage.*write failed: No space left' $?
fault "0 fsync part-00002 1 eio" 2 train staged.yaml -o run --overwrite
refused "fsync fails" 1 'fsync failed: Input/output error' $?
fault "0 read train/part-00002 1 eio" 2 train staged.yaml -o run --overwrite
refused "source cannot be read" 3 'train/part-00002.h5: cannot be read: Input/output error' $?

# SIGKILL leaves a half copy, which the next run removes.
rm -rf disk
fault "0 fsync part-00003 1 kill" 2 train staged.yaml -o run --overwrite && fail "rank 0 was not killed"
ls $copies/*.tmp-* >/dev/null 2>&1 || fail "no half copy after SIGKILL"
run "after SIGKILL" "[1-6] files copied"
ls $copies/*.tmp-* >/dev/null 2>&1 && fail "half copies stay: $(ls $copies)"

# A signal ends the copying.
rm -rf disk run
LD_PRELOAD=$(dirname "$make_data")/../cluster/libfault.so THAW_FAULT="all read train/part- 1 1000000" "$mpirun" 2 \
  "$thaw" train staged.yaml -o run >fault.log 2>&1 &
launcher=$!
wait_for 30 ls $copies/lock && kill -USR1 $launcher
wait $launcher
code=$?
[ $code = 75 ] && grep -q "stopped while shards were copied" fault.log || fail "USR1 while copying: $code $(tail -3 fault.log)"
run "after USR1" "[0-9] files copied"

# What cannot work is said before anything is copied.
env -u SCRATCH "$mpirun" 2 "$thaw" train staged.yaml -o run --overwrite >fault.log 2>&1
refused "no such variable" 2 'staged.yaml: data.stage: the environment variable SCRATCH is not set' $?
sed 's|  stage: .*|  stage: scratch|' staged.yaml >relative.yaml
"$mpirun" 2 "$thaw" train relative.yaml -o run --overwrite >fault.log 2>&1
refused "a relative folder" 2 "data.stage: 'scratch' is not an absolute path" $?
rm -rf disk && mkdir -p disk/of-me && touch "$copies"
"$mpirun" 2 "$thaw" train staged.yaml -o run --overwrite >fault.log 2>&1
refused "a file in the way" 1 'thaw-stage-.*: is no folder' $?
rm -rf disk && mkdir disk
if mount -t tmpfs -o size=17m tmpfs disk 2>/dev/null; then
  cleanup+=("umount $folder/disk 2>/dev/null")
  "$mpirun" 2 "$thaw" train staged.yaml -o run --overwrite >fault.log 2>&1
  refused "too small a disk" 1 'has 17.8 MB free, staging needs 1.1 MB more \(the data is 1.1 MB in all\)' $?
  umount disk
else
  echo "skipped: no right to mount a small file system"
fi

# Several hosts, each with a disk of its own: every one gets its copies once.
net=tst$$x
if [ "$(id -u)" = 0 ] && command -v ip >/dev/null && "$here/net-up.sh" 3 $net 2>/dev/null; then
  cleanup+=("$here/net-down.sh $net")
  printf '#!/bin/sh\nSCRATCH=%s/disk-$(hostname) USER_NAME=me exec %s "$@"\n' "$folder" "$thaw" >host-thaw
  chmod +x host-thaw
  on_hosts() { # RANKS HOSTS
    THAW_NET=$net timeout 120 "$here/net-shell.sh" node0 "cd $folder && exec env OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 \
      mpirun --host $2 -np $1 --mca plm_rsh_agent $here/net-shell.sh --mca btl_tcp_if_include eth0 --mca oob_tcp_if_include eth0 \
      --mca mpi_yield_when_idle 1 --bind-to none --oversubscribe -x OPENBLAS_NUM_THREADS=1 \
      ./host-thaw train staged.yaml -o run --overwrite" >fault.log 2>&1
  }
  on_hosts 5 node0:2,node1:2,node2:1
  [ "$(digest fault.log)" = "$expected" ] && grep -q "on 3 nodes: 18 files copied" fault.log || fail "3 hosts: $(grep -E '^(staged|error)' fault.log)"
  for host in node0 node1 node2; do
    [ "$(find disk-$host -name '*.h5' | wc -l)" = 6 ] || fail "$host has $(find disk-$host -name '*.h5')"
  done
  rm -rf disk-node1 && mkdir disk-node1 && mount -t tmpfs -o size=17m tmpfs disk-node1
  cleanup+=("umount $folder/disk-node1")
  on_hosts 3 node0,node1,node2
  refused "too small a disk on node1" 1 'rank 1 \(node1\): .*disk-node1/.* free, staging needs' $?
  row "a disk too small on 1 of 3 hosts" "staging" "exit 1, rank, host and sizes named"
else
  echo "skipped: no right to make network namespaces"
fi

row "damaged or old copies" "staging" "copied anew: same bits"
row "bit flip, EIO, ENOSPC, kill -9" "staging" "named or repaired; no half copy is used"
[ $failures -eq 0 ] && echo "shards are staged"
exit $((failures > 0))
