#!/usr/bin/env bash
# watch.sh THAW SOURCE: thaw watch on a run that has not begun, runs, is killed, is resumed, stops, fails, and is done.
# shellcheck source=support.sh
. "$(dirname "$0")/support.sh"
cd "$work"
"$make_data" train 64 3 32 1 1
"$make_data" many 2000 3 32 1 1
job() { # NAME EPOCHS RATE DATA [LAYERS]: without the cache, so that an epoch takes a while
  cat >"$1.yaml" <<YAML
name: $1
backbone: {architecture: vgg16, input: [32, 32, 3], cut: block3_pool}
head: [{layer: global_average_pooling}, ${5:-}{layer: dense, units: 3, activation: softmax}]
data: {train: $4}
cache: {enabled: false}
training:
  loss: categorical_crossentropy
  batch_size: 8
  phases: [{epochs: $2, optimizer: {name: sgd, learning_rate: $3}}]
YAML
}
watch() { run 1 watch "$@" --once --ascii; }
state() { # CODE STATE RUN
  watch "runs/$3"
  [ "$code" = "$1" ] || complain "watch of a $2 run: exit code $code, expected $1: $(cat out err)"
  head -1 out | grep -q ": $2" || complain "watch says '$(head -1 out)', expected: $2"
}
# until WHAT TEST...: for at most a minute.
until_true() {
  local i
  for i in $(seq 300); do "$@" && return 0; sleep 0.2; done
  complain "never came: $*"
}

state 0 'not started' long
job long 2000 0.01 many
"$thaw" train long.yaml -q >long.out 2>&1 &
pid=$!
until_true grep -q '"event": "epoch"' runs/long/log.jsonl 2>/dev/null
until_true grep -qs '"title": "epoch' runs/long/progress.json
state 0 running long
grep -q '^epoch .*/2000 *\[' out || complain "no line of the epoch under way: $(cat out)"
grep -q '^all epochs .* at most .* left$' out || complain "no time left: $(cat out)"
grep -q '^loss  *[0-9.]* [_.:=+*#-]' out || complain "no curve: $(cat out)"
kill -9 $pid
wait $pid 2>/dev/null || true
# Its host knows that it is gone once it has been silent for ten seconds.
killed() { watch runs/long; [ "$code" = 1 ]; }
until_true killed
state 1 killed long
grep -q -- '--resume' out || complain "nothing is said of --resume: $(cat out)"

"$thaw" train long.yaml --resume -q >long.out 2>&1 &
pid=$!
resumed() { grep -q '"event": "resume"' runs/long/log.jsonl && [ -e runs/long/progress.json ]; }
until_true resumed
state 0 running long
grep -q 'resumed 1 time' out || complain "not said to be resumed: $(cat out)"
kill -TERM $pid
wait $pid 2>/dev/null || true
state 75 stopped long
[ ! -e runs/long/progress.json ] || complain "a stopped run leaves its progress"

job short 2 0.01 train
must_run 3 train short.yaml -q
state 0 finished short
grep -q '^waiting .* ranks 0 to 2 waited .*%.*slowest: [0-2] ' out || complain "nothing of waiting ranks: $(cat out)"
grep -q '^checkpoint  *step-000000016.h5, step 16' out || complain "no checkpoint: $(cat out)"
run 1 watch runs/short
[ "$code" = 0 ] || complain "watch of a finished run does not end by itself: $code"

job wild 5 1000 train "{layer: dense, units: 64}, {layer: dense, units: 64}, "
run 2 train wild.yaml -q
[ "$code" = 1 ] || complain "a diverging run: exit code $code"
state 1 failed wild
grep -q '^error: .*diverged' out || complain "the failure is not told: $(cat out)"

run 3 watch runs/short --once
[ "$code" = 2 ] && grep -q 'without mpirun' err || complain "watch on three ranks: exit code $code: $(cat err)"
finish
