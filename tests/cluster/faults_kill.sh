#!/usr/bin/env bash
# faults_kill.sh THAW SOURCE: SIGKILL to each rank in each stage; what comes next gives the bits of an undisturbed run.
set -u
thaw=$1 source=$2
. "$(dirname "$0")/common.sh"
"$make_data" train 203 5 32 4 1 && "$make_data" validation 61 5 32 2 2 || exit 1
write_job job 20
sed 's/cache: .*/cache: {folder: elsewhere}/' job.yaml >fill.yaml

run() {
  local ranks=$1 output=$2
  shift 2
  timeout 120 "$mpirun" "$ranks" "$thaw" train job.yaml -o "$output" "$@" >"$output.log" 2>&1
}
run 2 reference || { cat reference.log; exit 1; }
expected=$(digest reference.log)

# verdict WHAT STAGE LOG: after the resumption
verdict() {
  if [ "$(digest "$3")" = "$expected" ]; then
    row "$1" "$2" "resumed on another number of ranks: same bits"
  else
    row "$1" "$2" "FAILED"
    fail "$1, $2: '$(digest "$3")' instead of '$expected': $(grep -h error: "$3")"
  fi
}

for rank in 0 1 2; do
  rm -rf run elsewhere
  fault "$rank write elsewhere 3 kill" 3 train fill.yaml -o run && fail "fill: rank $rank was not killed"
  timeout 120 "$mpirun" 2 "$thaw" train fill.yaml -o run --resume >run.log 2>&1
  verdict "kill -9 of rank $rank" "cache fill" run.log
done

for rank in 0 1 2; do
  rm -rf run again.log
  "$mpirun" 3 "$thaw" train job.yaml -o run >again.log 2>&1 &
  launcher=$!
  wait_for 60 grep -q "epoch [2-9]/" again.log
  victim=$(rank_pid $launcher $rank)
  kill -KILL "${victim:-0}" 2>/dev/null || fail "train: rank $rank was not there"
  wait $launcher 2>/dev/null
  run 5 run --resume
  verdict "kill -9 of rank $rank" "training steps" run.log
done

for moment in "write step- 2" "fsync step- 3" "rename step- 4" "rename best 2" "write metrics 2" "write log.jsonl 6"; do
  rm -rf run
  fault "0 $moment kill" 3 train job.yaml -o run && fail "$moment: rank 0 was not killed"
  run 2 run --resume
  verdict "kill -9 of rank 0" "checkpoint: $moment" run.log
  ls run/*.tmp-* >/dev/null 2>&1 && fail "$moment: temporary files stay: $(ls run)"
done

# All ranks at once, by the launcher's own death.
rm -rf run again.log
"$mpirun" 3 "$thaw" train job.yaml -o run >again.log 2>&1 &
launcher=$!
wait_for 60 grep -q "epoch [2-9]/" again.log
all=$(ranks_of $launcher)
kill -KILL $all $launcher
wait $launcher 2>/dev/null
run 1 run --resume
verdict "kill -9 of all ranks and mpirun" "training steps" run.log

sed -i 's/cache: .*/cache: {enabled: false}/' reference/job.yaml
"$mpirun" 2 "$thaw" evaluate reference -o whole >/dev/null 2>&1 || fail "evaluate"
for rank in 0 1 2; do
  rm -rf evaluated
  fault "$rank read validation/part- 4 kill" 3 evaluate reference -o evaluated && fail "evaluate: rank $rank was not killed"
  ls evaluated/evaluation.json >/dev/null 2>&1 && fail "evaluate: a result without rank $rank"
  if "$mpirun" 2 "$thaw" evaluate reference -o evaluated >fault.log 2>&1 && cmp -s whole/evaluation.json evaluated/evaluation.json; then
    row "kill -9 of rank $rank" "evaluate" "again: same file"
  else
    row "kill -9 of rank $rank" "evaluate" "FAILED"
    fail "evaluate: $(cat fault.log)"
  fi
done

# 300 grey images as an IDX file
printf '\0\0\010\003\0\0\001\054\0\0\0\014\0\0\0\014' >images.idx
head -c $((300 * 144)) /dev/zero | tr '\0' 'x' >>images.idx
printf '\0\0\010\001\0\0\001\054' >labels.idx
for i in $(seq 100); do printf '\0\001\002'; done >>labels.idx
catalogue() {
  sort "$1"/catalog.yaml "$1"/*/catalog.yaml 2>/dev/null | md5sum
}
"$mpirun" 2 "$thaw" import images.idx --labels labels.idx -o imported --shard-samples 60 >fault.log 2>&1 || fail "import: $(cat fault.log)"
for rank in 0 1 2; do
  rm -rf again
  fault "$rank write again/ 2 kill" 3 import images.idx --labels labels.idx -o again --shard-samples 60 && fail "import: rank $rank was not killed"
  ls again/catalog.yaml >/dev/null 2>&1 && fail "import: a catalogue without rank $rank's shards"
  if "$mpirun" 2 "$thaw" import images.idx --labels labels.idx -o again --shard-samples 60 --overwrite >fault.log 2>&1 && [ "$(catalogue again)" = "$(catalogue imported)" ]; then
    row "kill -9 of rank $rank" "import" "again: same shards"
  else
    row "kill -9 of rank $rank" "import" "FAILED"
    fail "import: $(cat fault.log)"
  fi
done

exit $((failures > 0))
