#!/usr/bin/env bash
# faults_view.sh THAW SOURCE: ranks that see files of others late, as hosts under NFS do, and ranks whose clocks are wrong (otherhost.c).
set -u
thaw=$1 source=$2
. "$(dirname "$0")/common.sh"
"$make_data" train 203 5 32 4 1 && "$make_data" validation 61 5 32 2 2 || exit 1
write_job job 8
sed 's/cache: .*/cache: {folder: elsewhere}/' job.yaml >fill.yaml
timeout 120 "$mpirun" 2 "$thaw" train job.yaml -o reference >reference.log 2>&1 || { cat reference.log; exit 1; }
expected=$(digest reference.log)
other=$(dirname "$make_data")/../cluster/libotherhost.so

# as "VARIABLE=VALUE" RANKS ARGUMENT...: output in fault.log
as() {
  local what=$1 ranks=$2
  shift 2
  timeout 120 "$mpirun" "$ranks" env LD_PRELOAD="$other" "$what" "$thaw" "$@" >fault.log 2>&1
}
# same FAULT STAGE NOTE: the run of fault.log was as good as undisturbed
same() {
  local code=$?
  if [ $code = 0 ] && [ "$(digest fault.log)" = "$expected" ]; then row "$1" "$2" "$3"; else
    row "$1" "$2" FAILED
    fail "$1, $2: code $code, $(digest fault.log) $(grep -h '^error' fault.log)"
  fi
}

# The library does hide what is new, and shows what is old.
date >fresh && touch -d '1 hour ago' fresh
LD_PRELOAD=$other THAW_LATE="all fresh 60" cat fresh >/dev/null 2>&1 && fail "a new file is not hidden"
LD_PRELOAD=$other THAW_LATE="all fresh 0" cat fresh >/dev/null 2>&1 || fail "an old file is hidden"
[ "$(LD_PRELOAD=$other THAW_CLOCK="all 86400" date +%F)" = "$(date -d '+1 day' +%F)" ] || fail "the clock is right"

late="new files are seen 30 s late"
rm -rf run elsewhere
as "THAW_LATE=others elsewhere 30" 3 train fill.yaml -o run
same "$late" "cache fill" "others' blocks are computed again: same bits"
grep -q "^warning: .*cache" fault.log && fail "late blocks: $(grep warning: fault.log)"
rm -rf run
as "THAW_LATE=others /run/ 0" 3 train job.yaml -o run --max-time 0.005
[ $? = 75 ] || fail "no stop: $(tail -3 fault.log)"
as "THAW_LATE=others run/ 30" 3 train job.yaml -o run --resume
same "$late" "--resume" "rank 0 reads the checkpoint for all: same bits"
grep -q "resuming from" fault.log || fail "late --resume began anew"
sed -i 's/cache: .*/cache: {enabled: false}/' reference/job.yaml
touch reference/* # new again
for command in evaluate predict; do
  arguments=()
  [ $command = evaluate ] || arguments=(validation/catalog.yaml)
  "$mpirun" 1 "$thaw" $command reference "${arguments[@]}" -o whole >whole.log 2>&1 || fail "$command: $(cat whole.log)"
  as "THAW_LATE=others reference 30" 3 $command reference "${arguments[@]}" -o late
  if [ $? = 0 ] && diff -r whole late >/dev/null; then row "$late" "$command" "same files"; else
    row "$late" "$command" FAILED
    fail "late $command: $(cat fault.log) $(diff -rq whole late)"
  fi
  rm -rf whole late
done

for skew in 7200 -7200; do
  for ranks in 0 others; do
    rm -rf run elsewhere
    as "THAW_CLOCK=$ranks $skew" 3 train fill.yaml -o run
    same "clock of rank(s) $ranks off by $skew s" "cache fill, train" "same bits"
  done
done
rm -rf run
export SLURM_JOB_END_TIME=$(($(date +%s) + 600))
as "THAW_CLOCK=others 7200" 3 train job.yaml -o run
same "clocks ahead of the job's end" "train, SLURM_JOB_END_TIME" "rank 0's clock counts: same bits"
rm -rf run
as "THAW_CLOCK=0 7200" 3 train job.yaml -o run
[ $? = 75 ] || fail "rank 0 does not heed the end of the job: $(tail -3 fault.log)"
unset SLURM_JOB_END_TIME
if unshare -T --monotonic 100000000 true 2>/dev/null; then
  rm -rf run
  timeout 120 "$mpirun" 1 "$thaw" train job.yaml -o run : -np 2 unshare -T --monotonic 100000000 "$thaw" train job.yaml -o run >fault.log 2>&1
  same "uptime of ranks 1, 2 + 3 years" "train, watchdog" "same bits"
fi
exit $((failures > 0))
