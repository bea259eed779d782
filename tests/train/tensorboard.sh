#!/usr/bin/env bash
# tensorboard.sh THAW SOURCE: event files hold each epoch once, also after kill -9 and resume, after damage, and when they are
# asked for later; they change no result. With THAW_TENSORBOARD_PYTHON, or a python3 that has tensorboard, its loaders read them.
. "$2/tests/train/support.sh"
"$make_data" train 40 3 32 1 1
"$make_data" validation 16 3 32 1 2
job() { # NAME TENSORBOARD
  cat >"$1.yaml" <<YAML
name: $1
backbone: {architecture: vgg16, input: [32, 32, 3], cut: block2_pool}
head: [{layer: global_average_pooling}, {layer: dense, units: 3, activation: softmax}]
data: {train: train, validation: validation}
training:
  loss: categorical_crossentropy
  batch_size: 16
  tensorboard: $2
  phases: [{epochs: 4, optimizer: {name: adam, learning_rate: 0.001}}, {epochs: 3, unfreeze: block2_conv2}]
YAML
}
run() { # RANKS JOB [OPTION ...]
  local ranks=$1 job=$2 code=0
  shift 2
  timeout 200 "$mpirun" "$ranks" "$thaw" train "$job.yaml" -o "$job" "$@" >"$job.log" 2>&1 || code=$?
  [ $code = 0 ] || fail "$job: exit code $code: $(cat "$job.log")"
}
python=${THAW_TENSORBOARD_PYTHON:-python3}
events() { python3 "$source/tests/train/events.py" "$1" || fail "$2"; } # RUN WHAT

job plain false
job logged true
run 1 plain
run 2 logged
same_as plain logged
[ ! -e plain/tensorboard ] || fail "event files that nobody asked for"
events logged "a straight run"
real=0
"$python" "$source/tests/train/events.py" logged --tensorboard || real=$?
[ "$real" = 0 ] || [ "$real" = 77 ] || fail "TensorBoard reads something else: exit code $real"

# Killed in the middle: epochs after the checkpoint are told once. Checkpoints of every third epoch leave some to repeat.
file=logged/tensorboard/train/events.out.tfevents.thaw
sed 's/^  tensorboard: true/  tensorboard: true\n  checkpoint: {every_epochs: 3}/; s/^name: .*/name: killed/' logged.yaml >killed.yaml
epochs_of() { sed -n 's/.*"event": "\(epoch\)".*/\1/p' "$1/log.jsonl" 2>/dev/null | wc -l; }
kill_when() { # EPOCHS
  "$thaw" train killed.yaml -o killed --resume -q >/dev/null 2>&1 &
  local pid=$!
  while kill -0 $pid 2>/dev/null && [ "$(epochs_of killed)" -lt "$1" ]; do sleep 0.01; done
  kill -9 $pid 2>/dev/null || true
  wait $pid 2>/dev/null || true
}
kill_when 2
kill_when 5
printf 'torn' >>killed/tensorboard/validation/events.out.tfevents.thaw
run 1 killed --resume
same_as plain killed
events killed "after kills"

# Damage in the middle: what is behind it is written again. Nothing is left to do, and yet the files become whole.
cp -r logged damaged
sed 's/^name: .*/name: damaged/' logged.yaml >damaged.yaml
printf 'X' | dd of=damaged/tensorboard/train/events.out.tfevents.thaw bs=1 seek=200 conv=notrunc 2>/dev/null
rm -r damaged/tensorboard/validation
run 1 damaged --resume
events damaged "after damage"
cmp -s <(head -c 150 damaged/tensorboard/train/events.out.tfevents.thaw) <(head -c 150 $file) || fail "whole epochs were written again"

# Asked for later, and no more: of another run nothing stays.
cp -r plain later
sed 's/^name: .*/name: later/' logged.yaml >later.yaml
run 1 later --resume
events later "asked for later"
sed 's/^name: .*/name: later/; s/0.001/0.002/' plain.yaml >later.yaml
run 1 later --overwrite
[ ! -e later/tensorboard/train/events.out.tfevents.thaw ] || fail "the events of an earlier run stay"
[ "$real" = 0 ] || echo "TensorBoard's own loaders were not tried: no tensorboard (THAW_TENSORBOARD_PYTHON)"
[ $failures = 0 ] && echo "all passed"
exit $((failures > 0))
