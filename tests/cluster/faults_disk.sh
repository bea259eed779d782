#!/usr/bin/env bash
# faults_disk.sh THAW SOURCE: every writer meets a full disk, by a small tmpfs where the test may mount one and by failing calls
# everywhere: one message, no half file under a final name, and what was whole stays usable.
set -u
thaw=$1 source=$2
. "$(dirname "$0")/common.sh"
"$make_data" train 203 5 32 4 1 && "$make_data" validation 61 5 32 2 2 || exit 1
write_job job 8
sed 's/cache: .*/cache: {folder: elsewhere}/' job.yaml >fill.yaml
timeout 120 "$mpirun" 2 "$thaw" train job.yaml -o reference >reference.log 2>&1 || { cat reference.log; exit 1; }
expected=$(digest reference.log)

# refused FAULT STAGE CODE LOG FILE...: exit code 1, one message that says so, and none of the files
refused() {
  local what=$1 stage=$2 code=$3 log=$4 word='No space left|Input/output error|Read-only file system|failed'
  shift 4
  local file outcome="exit 1, named: $(grep -h '^error: ' "$log" | head -1 | sed "s/^error: //; s|$folder/||g" | cut -c1-70)"
  [ "$code" = 1 ] || { outcome=FAILED; fail "$what, $stage: exit code $code: $(tail -3 "$log")"; }
  [ "$(grep -c '^error: ' "$log")" = 1 ] && grep -qE "^error: .*($word)" "$log" || { outcome=FAILED; fail "$what, $stage: message: $(cat "$log")"; }
  for file in "$@"; do
    [ ! -e "$file" ] || { outcome=FAILED; fail "$what, $stage: $file is there"; }
  done
  row "$what" "$stage" "$outcome"
}

printf '\0\0\010\003\0\0\001\054\0\0\0\014\0\0\0\014' >images.idx
head -c $((300 * 144)) /dev/zero | tr '\0' 'x' >>images.idx
printf '\0\0\010\001\0\0\001\054' >labels.idx
for i in $(seq 100); do printf '\0\001\002'; done >>labels.idx

for action in enospc eio; do
  rm -rf again
  fault "1 write again/ 2 $action" 2 import images.idx --labels labels.idx -o again --shard-samples 60
  refused "$action of write, rank 1" "import: shards" $? fault.log again/catalog.yaml

  # The cache is a convenience: without it the run goes on with the same bits.
  for rank in 0 1; do
    rm -rf run elsewhere
    fault "$rank write elsewhere 4 $action" 2 train fill.yaml -o run
    if [ $? = 0 ] && [ "$(digest fault.log)" = "$expected" ] && grep -q "^warning: " fault.log; then
      row "$action of write, rank $rank" "cache fill" "warning, goes on without the cache: same bits"
    else
      row "$action of write, rank $rank" "cache fill" FAILED
      fail "$action, cache fill: $(tail -5 fault.log)"
    fi
  done

  for file in step- best.h5 metrics.csv log.jsonl; do
    rm -rf run
    fault "0 write $file 9 $action" 2 train job.yaml -o run
    refused "$action of write" "train: $file" $? fault.log
    "$mpirun" 3 "$thaw" train job.yaml -o run --resume >again.log 2>&1
    if [ "$(digest again.log)" = "$expected" ]; then
      row "  then --resume" "train: $file" "same bits"
    else
      row "  then --resume" "train: $file" FAILED
      fail "$action, $file: --resume gave $(grep -h error: again.log) $(digest again.log)"
    fi
  done
  fault "0 fsync step- 2 $action" 2 train job.yaml -o run --overwrite
  refused "$action of fsync" "train: step-" $? fault.log

  rm -f reference/model.h5 reference/predictions.* && rm -rf evaluated
  fault "0 write model.h5 2 $action" 1 export reference
  refused "$action of write" "export" $? fault.log reference/model.h5
  fault "0 write predictions.csv 1 $action" 2 predict reference validation/catalog.yaml
  refused "$action of write" "predict: csv" $? fault.log reference/predictions.csv
  fault "0 write predictions.h5 2 $action" 2 evaluate reference -o evaluated
  refused "$action of write" "evaluate: predictions.h5" $? fault.log evaluated/predictions.h5
done

# Real small disks.
mkdir small
small() { # KIB
  umount small 2>/dev/null
  mount -t tmpfs -o size="$1"k tmpfs small 2>/dev/null
}
if small 64; then
  cleanup+=("umount $folder/small")
  "$mpirun" 2 "$thaw" import images.idx --labels labels.idx -o small/again --shard-samples 60 >fault.log 2>&1
  refused "tmpfs of 64 KiB" "import" $? fault.log small/again/catalog.yaml
  small 64
  "$mpirun" 2 "$thaw" train job.yaml -o small/run >fault.log 2>&1
  refused "tmpfs of 64 KiB" "train: run folder" $? fault.log
  small 200
  sed 's|cache: .*|cache: {folder: small/cache}|' job.yaml >small.yaml
  if "$mpirun" 2 "$thaw" train small.yaml -o run --overwrite >fault.log 2>&1 && [ "$(digest fault.log)" = "$expected" ]; then
    row "tmpfs of 200 KiB" "cache" "goes on without the cache: same bits"
  else
    row "tmpfs of 200 KiB" "cache" FAILED
    fail "small cache: $(tail -5 fault.log)"
  fi
  # The disk fills up, or becomes read-only, in mid-training: a write behind the training fails. The run says so and ends with code 1; the
  # last good checkpoint stays, and with room again the run goes on from it.
  for event in "disk full" "disk read-only"; do
    small 20000
    sed 's/epochs: 8,/epochs: 4000,/' job.yaml >long.yaml
    "$mpirun" 2 "$thaw" train long.yaml -o small/run >fault.log 2>&1 &
    launcher=$!
    wait_for 60 eval 'ls small/run/step-*.h5' || fail "$event: no checkpoint: $(tail -3 fault.log)"
    if [ "$event" = "disk full" ]; then head -c 30000000 /dev/zero >small/filler 2>/dev/null; else
      wait_for 20 mount -o remount,ro "$folder/small" # busy while a file is open for writing
    fi
    wait $launcher
    refused "$event in mid-training" "train: behind the steps" $? fault.log
    rm -f small/filler 2>/dev/null
    mount -o remount,rw "$folder/small"
    good=$(ls small/run/step-*.h5 | tail -1)
    "$thaw" inspect "$good" >inspect.log 2>&1 || fail "$event: the last checkpoint is not whole: $(cat inspect.log)"
    "$mpirun" 3 "$thaw" train long.yaml -o small/run --resume --max-time 0.02 >again.log 2>&1
    if [ $? = 75 ] && grep -q "resuming from small/run/step-" again.log; then
      row "  then room again, --resume" "train: behind the steps" "goes on from the last good checkpoint"
    else
      row "  then room again, --resume" "train: behind the steps" FAILED
      fail "$event: --resume: $(grep -hE 'resuming|error' again.log)"
    fi
  done
  small 64
  "$thaw" export reference -o small/model.h5 >fault.log 2>&1
  refused "tmpfs of 64 KiB" "export" $? fault.log small/model.h5
else
  echo "skipped: no right to mount a small file system"
fi

exit $((failures > 0))
