#!/usr/bin/env bash
# faults_rank.sh THAW SOURCE: ranks that stop, crawl, are cut off or differ from the others.
set -u
thaw=$1 source=$2 here=$(dirname "$(readlink -f "$0")")
. "$here/common.sh"
"$make_data" train 203 5 32 4 1 && "$make_data" validation 61 5 32 2 2 || exit 1
write_job job 12
timeout 120 "$mpirun" 2 "$thaw" train job.yaml -o reference >reference.log 2>&1 || { cat reference.log; exit 1; }
expected=$(digest reference.log)
export THAW_WATCHDOG_SECONDS=4

# judge FAULT STAGE RESULT NOTE: RESULT 0 is well
judge() {
  if [ "$3" = 0 ]; then row "$1" "$2" "$4"; else row "$1" "$2" FAILED; fi
}
resumes() { # whether run/ goes on to the expected result
  timeout 120 "$mpirun" 2 "$thaw" train "${1:-job.yaml}" -o run --resume >again.log 2>&1
  [ "$(digest again.log)" = "$expected" ] || { fail "resumed: $(digest again.log) $(grep -h error: again.log)"; return 1; }
}
# named RANK CODE: the watchdog spoke once, and of this rank
named() {
  [ "$2" = 1 ] && [ "$(grep -c '^error: ' fault.log)" = 1 ] && grep -q "^error: rank $1 (.*: no sign of life" fault.log && return
  fail "rank $1 is not named, code $2: $(tail -5 fault.log)"
  return 1
}

sed 's/cache: .*/cache: {folder: elsewhere}/' job.yaml >fill.yaml
for where in "elsewhere 3:cache fill" "validation/part- 2:reading images"; do
  for rank in 1 0; do
    rm -rf run elsewhere
    call=write
    [ "${where%:*}" = "elsewhere 3" ] || call=read
    fault "$rank $call ${where%:*} stop" 3 train fill.yaml -o run
    named $rank $? && resumes fill.yaml
    judge "SIGSTOP of rank $rank" "${where#*:}" $? "named, exit 1; resumed: same bits"
  done
done
rm -rf run
fault "0 fsync step- 4 stop" 3 train job.yaml -o run
named 0 $? && resumes
judge "SIGSTOP of rank 0" "checkpoint" $? "named, exit 1; resumed: same bits"

# A call that hangs is not a stopped process: the rank sends heartbeats, but it does nothing while others wait.
rm -rf run
fault "0 fsync step- 4 60000000" 3 train job.yaml -o run
code=$?
[ $code = 1 ] && grep -q "^error: rank 0 (.*neither computing nor communicating" fault.log && resumes || { fail "hanging fsync: $code $(tail -3 fault.log)"; false; }
judge "fsync that hangs, rank 0" "checkpoint" $? "named, exit 1; resumed: same bits"

# Slow file systems and slow ranks change nothing but the time; -v tells who was waited for.
sed 's/cache: .*/cache: {enabled: false}/; s/epochs: 12/epochs: 3/' job.yaml >slow.yaml
timeout 120 "$mpirun" 2 "$thaw" train slow.yaml -o whole >whole.log 2>&1
fault "all read part- 1 2000" 3 train slow.yaml -o run --overwrite
[ $? = 0 ] && [ "$(digest fault.log)" = "$(digest whole.log)" ] || { fail "slow reads: $(tail -3 fault.log)"; false; }
judge "2 ms per read, all ranks (NFS)" "train, without cache" $? "same bits"
fault "2 read part- 1 20000" 3 train slow.yaml -o run --overwrite -v
[ $? = 0 ] && [ "$(digest fault.log)" = "$(digest whole.log)" ] && grep -q "waiting: slowest rank 2 (" fault.log || { fail "slow rank: $(tail -5 fault.log)"; false; }
judge "20 ms per read, rank 2" "train, without cache" $? "same bits; named as slowest with -v"

# One rank reads other bytes than the rest.
fault "1 read train/part- 3 flip" 3 train slow.yaml -o run --overwrite
code=$?
[ $code = 3 ] && grep -q "^error: rank 1 (.*part-0000" fault.log || { fail "flip in what one rank reads: $code $(tail -3 fault.log)"; false; }
judge "bit flip in what rank 1 reads" "shard" $? "exit 3, rank and file named"

# Ranks that are not the same.
two() { # FIRST... : SECOND...: one rank each
  local first=() second=()
  while [ "$1" != : ]; do first+=("$1") && shift; done
  shift && second=("$@")
  timeout 60 "$mpirun" 1 "${first[@]}" : -np 1 "${second[@]}" >fault.log 2>&1
}
cp "$thaw" other && printf 'x' >>other
two "$thaw" train job.yaml -o run --overwrite : ./other train job.yaml -o run --overwrite
code=$?
[ $code = 1 ] && grep -q "^error: rank 1 (.*SHA-256 is" fault.log || { fail "another binary: $code $(tail -3 fault.log)"; false; }
judge "another binary on rank 1" "start" $? "exit 1, rank named"
sed 's/seed: 11/seed: 12/' job.yaml >seed.yaml
two "$thaw" train job.yaml -o run --overwrite : "$thaw" train seed.yaml -o run --overwrite
code=$?
if [ $code = 0 ]; then [ "$(digest fault.log)" = "$expected" ]; else grep -q "^error: rank 1 (" fault.log; fi || { fail "another job file: $code $(tail -3 fault.log)"; false; }
judge "another job file on rank 1" "start" $? "$([ $code = 0 ] && echo "rank 0's file counts: same bits" || echo "exit $code, rank named")"
two "$thaw" train job.yaml -o run --overwrite --isa avx2 : "$thaw" train job.yaml -o run --overwrite
code=$?
[ $code = 0 ] && [ "$(digest fault.log)" = "$expected" ] || { fail "another instruction set: $code $(tail -3 fault.log)"; false; }
judge "AVX2 on rank 0, best on rank 1" "train" $? "same bits"
if unshare -m true 2>/dev/null; then
  "$thaw" export reference -o weights.h5 -q >/dev/null 2>&1
  "$thaw" export reference -o second.h5 --checkpoint "$(ls reference/step-*.h5 | tail -1)" -q >/dev/null 2>&1
  sed 's/cut: block2_pool/cut: block2_pool, weights: weights.h5/' job.yaml >weights.yaml
  rm -rf second && "$make_data" second 203 5 32 4 3
  two "$thaw" train job.yaml -o run --overwrite : unshare -m bash -c "mount --bind second train && exec $thaw train job.yaml -o run --overwrite"
  code=$?
  [ $code = 1 ] && grep -q "^error: rank 1 (.*training data is" fault.log || { fail "other data: $code $(tail -3 fault.log)"; false; }
  judge "other shards on rank 1" "start" $? "exit 1, rank named"
  if ! cmp -s weights.h5 second.h5; then
    two "$thaw" train weights.yaml -o run --overwrite : unshare -m bash -c "mount --bind second.h5 weights.h5 && exec $thaw train weights.yaml -o run --overwrite"
    code=$?
    [ $code = 1 ] && grep -q "^error: rank 1 (.*weights is" fault.log || { fail "other weights: $code $(tail -3 fault.log)"; false; }
    judge "other weights on rank 1" "start" $? "exit 1, rank named"
  fi
fi

# Several hosts, and a cable that is pulled. The launcher has its own keepalive, as jobs/README.md advises.
net=thw$$x
if [ "$(id -u)" = 0 ] && command -v ip >/dev/null && "$here/net-up.sh" 3 $net 2>/dev/null; then
  cleanup+=("$here/net-down.sh $net")
  on_hosts() { # RANKS HOSTS ARGUMENT ...
    local ranks=$1 hosts=$2
    shift 2
    THAW_NET=$net "$here/net-shell.sh" node0 "cd $folder && exec env OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 \
      mpirun --host $hosts -np $ranks --mca plm_rsh_agent $here/net-shell.sh --mca btl_tcp_if_include eth0 \
      --mca oob_tcp_if_include eth0 --mca oob_tcp_keepalive_time 3 --mca oob_tcp_keepalive_intvl 1 --mca oob_tcp_keepalive_probes 3 \
      --mca mpi_yield_when_idle 1 --bind-to none --oversubscribe -x OPENBLAS_NUM_THREADS=1 -x THAW_WATCHDOG_SECONDS \
      $thaw train job.yaml -o $*"
  }
  for placement in "3 node0,node1,node2" "5 node0:4,node2:1"; do
    # shellcheck disable=SC2086
    timeout 120 bash -c true && on_hosts $placement placed --overwrite >fault.log 2>&1
    [ "$(digest fault.log)" = "$expected" ] || { fail "on $placement: $(tail -3 fault.log)"; false; }
    judge "ranks and hosts: $placement" "train" $? "same bits"
  done
  rm -rf run fault.log
  # The launcher notices first, by keepalive. When the ranks end first, it sends words of that into the cut link, and TCP does not ask by
  # keepalive while words are on their way: it would wait a quarter of an hour.
  export THAW_WATCHDOG_SECONDS=20
  sed 's/epochs: 12/epochs: 400/' job.yaml >long.yaml
  cp job.yaml short.yaml && cp long.yaml job.yaml
  on_hosts 3 node0,node1,node2 run --overwrite >fault.log 2>&1 &
  launcher=$!
  wait_for 60 grep -q "epoch [3-9]/" fault.log || fail "no start on hosts: $(tail -3 fault.log)"
  ip -n ${net}hub link set v1 down
  wait_for 90 eval "! alive $launcher" || { fail "link cut: the job hangs"; kill -KILL $launcher; }
  wait $launcher
  code=$?
  outcome="exit $code, $(grep -h '^error: ' fault.log | head -1 | sed 's/^error: //' | cut -c1-40)"
  if grep -q "^error: rank 1 (node1): no sign of life" fault.log || grep -q "lost communication with a remote daemon" fault.log; then :; else
    fail "link cut: code $code: $(tail -5 fault.log)"
    false
  fi && [ "$code" != 0 ]
  judge "link of node1 cut" "train on 3 hosts" $? "$outcome"
  nobody_left() {
    ! ip netns pids ${net}1 | xargs -r -n1 sh -c 'cat /proc/$0/comm 2>/dev/null' | grep -q '^thaw$'
  }
  wait_for 40 nobody_left
  left=$(ip netns pids ${net}1 | xargs -r -n1 sh -c 'cat /proc/$0/comm 2>/dev/null' | grep -c '^thaw$')
  [ "$left" = 0 ] || fail "link cut: $left ranks live on in the node that was cut off"
  judge "  ranks on the lost node" "after the watchdog's time" "$left" "none left"
  ip -n ${net}hub link set v1 up
  cp short.yaml job.yaml
else
  echo "skipped: no right to make network namespaces"
fi

exit $((failures > 0))
