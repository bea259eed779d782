#!/usr/bin/env bash
# watchdog.sh THAW SOURCE: a stopped rank is named and the job ends with code 1 and one message; what was saved goes on with the
# same result. A job that was stopped as a whole for longer than the limit goes on.
set -u
thaw=$1 source=$2
. "$(dirname "$0")/common.sh"
"$make_data" train 203 5 32 4 1 && "$make_data" validation 61 5 32 2 2 || exit 1
write_job job 60
timeout 120 "$mpirun" 2 "$thaw" train job.yaml -o reference >reference.log 2>&1 || { cat reference.log; exit 1; }

# start: three ranks in the background, at work
start() {
  rm -rf run run.log
  THAW_WATCHDOG_SECONDS=$limit "$mpirun" 3 "$thaw" train job.yaml -o run --resume >run.log 2>&1 &
  launcher=$!
  wait_for 60 grep -q "epoch [0-9]" run.log || fail "the run does not start: $(cat run.log)"
}

limit=2
for rank in 2 0; do
  start
  stopped=$(rank_pid $launcher $rank)
  kill -STOP "$stopped"
  wait_for 60 eval "! alive $launcher" || { fail "rank $rank: the job hangs"; kill -KILL "$stopped" $launcher; }
  wait $launcher
  code=$?
  [ $code = 1 ] || fail "rank $rank: exit code $code"
  [ "$(grep -c "^error: " run.log)" = 1 ] || fail "rank $rank: not one message: $(grep error run.log)"
  grep -q "^error: rank $rank ($(hostname)): no sign of life" run.log || fail "rank $rank is not named: $(grep error run.log)"
  wait_for 10 eval "! alive $stopped" || fail "rank $rank still lives"
  timeout 120 "$mpirun" 2 "$thaw" train job.yaml -o run --resume >again.log 2>&1
  [ "$(digest again.log)" = "$(digest reference.log)" ] || fail "rank $rank: another result: $(cat again.log)"
done

# All ranks stop for longer than the limit, as under a scheduler that suspends jobs.
limit=3
start
all=$(ranks_of $launcher)
kill -STOP $all
sleep 5
kill -CONT $all
wait_for 100 eval "! alive $launcher" || { fail "suspended: the job hangs"; kill -KILL $all $launcher; }
wait $launcher || fail "suspended: $(cat run.log)"
[ "$(digest run.log)" = "$(digest reference.log)" ] || fail "suspended: another result: $(cat run.log)"

THAW_WATCHDOG_SECONDS=soon "$mpirun" 2 "$thaw" --version >bad.log 2>&1
grep -q "^error: THAW_WATCHDOG_SECONDS is 'soon'" bad.log || fail "soon: $(cat bad.log)"

[ $failures -eq 0 ] && echo "stopped ranks are named"
exit $((failures > 0))
