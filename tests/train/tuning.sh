#!/usr/bin/env bash
# tuning.sh THAW SOURCE: schedules, clipping, accumulation, class weights, mixup, averages and layer-wise rates keep the promise of the
# same bits on any number of ranks, with the cache on and off, and across stops; and each of them changes the result.
. "$2/tests/train/support.sh"

"$make_data" train 103 5 32 3 1 && "$make_data" validation 31 5 32 2 2 || exit 1

cat > job.yaml <<YAML
name: job
seed: 7
backbone: {architecture: vgg16, input: [32, 32, 3], cut: block2_pool}
head:
  - {layer: global_average_pooling}
  - {layer: dense, units: 16, activation: relu, kernel_l2: 0.001}
  - {layer: dropout, rate: 0.25}
  - {layer: dense, units: 5, activation: softmax}
data: {train: train/catalog.yaml, validation: validation/catalog.yaml}
training:
  loss: {name: categorical_crossentropy, label_smoothing: 0.1}
  batch_size: 12
  accumulate: 2
  slice: 4
  class_weights: balanced
  mixup: 0.4
  ema_momentum: 0.9
  early_stopping: {patience: 50, restore_best_weights: true}
  checkpoint: {every_epochs: 2}
  phases:
    - {epochs: 6, schedule: {name: cosine_decay, warmup_epochs: 1}, optimizer: {name: adam, learning_rate: 1.0e-3, clipnorm: 0.5}}
    - {epochs: 2, unfreeze: block2, layer_decay: 0.5, schedule: one_cycle, optimizer: {name: adam, learning_rate: 1.0e-4, global_clipnorm: 0.1}}
YAML

# run RANKS JOB OUTPUT [OPTION ...]
run() {
  local ranks=$1 job=$2 output=$3
  shift 3
  timeout 200 "$mpirun" "$ranks" "$thaw" train "$job" -o "$output" "$@" > "$output.log" 2>&1
}
differs_from() { # REFERENCE NAME
  [ -n "$(digest "$2")" ] || { fail "$2 gave no digest: $(grep error: "$2.log")"; return; }
  [ "$(digest "$2")" != "$(digest "$1")" ] || fail "$2: the same parameters as $1"
}

run 1 job.yaml reference || { cat reference.log; exit 1; }
run 2 job.yaml ranks2 && same_as reference ranks2
run 5 job.yaml ranks5 && same_as reference ranks5
sed 's/^data:/cache: {enabled: false}\ndata:/' job.yaml > uncached.yaml
run 3 uncached.yaml uncached && same_as reference uncached

# Stopped after so many minutes, again and again, each time on another number of ranks; sooner where the machine is fast.
counts=(2 1 3 5)
for minutes in 0.004 0.002 0.001 0.0005 0.00025 0.0001; do
  rm -rf stopped
  for attempt in $(seq 0 60); do
    run "${counts[$((attempt % 4))]}" job.yaml stopped --resume --max-time $minutes
    code=$?
    [ $code = 75 ] || break
  done
  [ "$attempt" -gt 1 ] && break
done
[ $code = 0 ] || fail "stopped: exit code $code: $(grep error: stopped.log)"
echo "$attempt stops"
[ "$attempt" -gt 1 ] || fail "stopped: finished after $attempt stops"
same_as reference stopped

# Two batches of 12 are one of 24.
sed '/accumulate/d; s/batch_size: 12/batch_size: 24/' job.yaml > whole.yaml
run 2 whole.yaml whole && same_as reference whole

# Each option does something.
without() { # NAME SED-EXPRESSION
  sed "$2" job.yaml > "$1.yaml"
  run 2 "$1.yaml" "$1"
  differs_from reference "$1"
}
without no_smoothing 's/, label_smoothing: 0.1//'
without no_weights '/class_weights/d'
without no_mixup '/mixup/d'
without no_average '/ema_momentum/d'
without no_schedule 's/schedule: one_cycle, //'
without no_clipping 's/, global_clipnorm: 0.1//'
without no_decay 's/layer_decay: 0.5, //'
sed 's/class_weights: balanced/class_weights: {class-0: 2, class-3: 0.5}/' job.yaml > named.yaml
run 1 named.yaml named
differs_from reference named
[ "$(sed -n 's/^ *class_weights: //p' named/job.yaml)" = '{class-0: 2, class-3: 0.5}' ] || fail "named/job.yaml: $(grep class_weights named/job.yaml)"

# The effective job reads back; evaluation sees the averages that the last row of the table was computed with.
"$thaw" evaluate reference -q > evaluation.txt 2>&1 || fail "evaluate: $(cat evaluation.txt)"

# What does not fit together.
refused() { # PATTERN SED-EXPRESSION
  sed "$2" job.yaml > bad.yaml
  run 2 bad.yaml bad && fail "trained with $2"
  grep -q "^error: .*$1" bad.log || fail "$2: $(grep error bad.log), expected $1"
}
refused "did you mean" 's/class_weights: balanced/class_weights: {class0: 2}/'
refused "only\|more than one" 's/clipnorm: 0.5/clipnorm: 0.5, clipvalue: 1/'
refused "needs slices" 's/slice: 4/slice: 1/'
refused "cannot be mixed" 's/categorical_crossentropy, label_smoothing: 0.1/sparse_categorical_crossentropy/'
refused "job\|bad.yaml:[0-9]*: training.phases\[0\].schedule" 's/warmup_epochs: 1/warmup_epochs: 6/'

[ $failures -eq 0 ] && echo "same bits everywhere: $(digest reference)"
exit $((failures > 0))
