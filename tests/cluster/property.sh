#!/usr/bin/env bash
# property.sh THAW SOURCE [DRAWS [FIRST [RANKS]]]: random small jobs; each must give the same parameters and the same table of losses on
# every number of ranks, with the cache on and off, with several threads, and stopped again and again. Draw N depends on N alone.
set -u
thaw=$1 source=$2 draws=${3:-2} first=${4:-1} rank_counts=${5:-2 5}
. "$(dirname "$0")/common.sh"

pick() {
  shift $((RANDOM % $#))
  echo "$1"
}
between() {
  echo $(($1 + RANDOM % ($2 - $1 + 1)))
}

draw_head() {
  case $(between 1 5) in
  1) echo "  - {layer: flatten}" ;;
  2) echo "  - {layer: global_max_pooling}" ;;
  3) printf '  - {layer: conv2d, filters: %s, kernel_size: 3, padding: same, activation: relu}\n  - {layer: global_average_pooling}\n' "$(between 3 9)" ;;
  *) echo "  - {layer: global_average_pooling}" ;;
  esac
  [ "$(between 1 2)" = 1 ] && echo "  - {layer: batch_normalization, momentum: $(pick 0.9 0.99)}"
  [ "$(between 1 3)" = 1 ] || echo "  - {layer: dense, units: $(between 1 40), activation: $(pick relu tanh sigmoid swish), kernel_l2: $(pick 0 0.001), bias_l1: $(pick 0 0.01)}"
  [ "$(between 1 2)" = 1 ] && echo "  - {layer: dropout, rate: $(pick 0.1 0.5 0.9)}"
  echo "  - {layer: dense, units: $classes, activation: $activation}"
}
draw_optimizer() {
  case $(between 1 4) in
  1) echo "{name: sgd, learning_rate: 0.01, momentum: $(pick 0 0.9), nesterov: $(pick true false)}" ;;
  2) echo "{name: adam, learning_rate: 0.002, amsgrad: $(pick true false)}" ;;
  3) echo "{name: adamw, learning_rate: 0.002}" ;;
  4) echo "{name: rmsprop, learning_rate: 0.001, centered: $(pick true false), momentum: $(pick 0 0.5)}" ;;
  esac
}

# draw N: data in train, validation; jobs cached.yaml and uncached.yaml
draw() {
  RANDOM=$1
  rm -rf train validation cache
  classes=$(between 2 6)
  local samples shards loss augment="" unfreeze=""
  samples=$(pick "$(between 1 4)" "$(between 5 40)" "$(between 41 150)")
  shards=1 # make_data gives shard N of S the share (2N+1)/S^2: very different sizes
  while [ $(((shards + 1) * (shards + 1))) -le "$samples" ] && [ "$(between 1 4)" != 1 ]; do shards=$((shards + 1)); done
  "$make_data" train "$samples" "$classes" 32 "$shards" "$1" && "$make_data" validation "$(between 1 40)" "$classes" 32 1 7 || exit 1
  activation=$(pick softmax softmax sigmoid linear)
  case $activation in
  softmax) loss=$(pick categorical_crossentropy sparse_categorical_crossentropy "{name: categorical_crossentropy, label_smoothing: 0.1}") ;;
  sigmoid) loss=$(pick binary_crossentropy mean_squared_error) ;;
  linear) loss=$(pick huber mean_absolute_error) ;;
  esac
  [ "$(between 1 2)" = 1 ] && augment="  augment: {horizontal_flip: true, rotation: 20, width_shift: 0.1, brightness: 0.1, noise: 0.05, views: $(between 1 3)}"
  local cut
  cut=$(pick block1_pool block2_pool)
  [ "$(between 1 3)" = 1 ] && unfreeze="    - {epochs: 1, unfreeze: ${cut%pool}conv2, optimizer: $(draw_optimizer)}"
  cat >cached.yaml <<YAML
name: draw
seed: $(between 0 9999)
backbone: {architecture: vgg16, input: [32, 32, 3], cut: $cut}
head:
$(draw_head)
data:
  train: train/catalog.yaml
  validation: validation/catalog.yaml
$augment
cache: {folder: cache}
training:
  loss: $loss
  batch_size: $(pick "$(between 1 8)" "$(between 9 64)" 200)
  slice: $(pick 1 3 4 8 16)
  metrics: [$(pick "accuracy" "accuracy, mse" "mae")]
  checkpoint: {every_minutes: 0.001}
  phases:
    - {epochs: $(between 2 4), optimizer: $(draw_optimizer)}
$unfreeze
YAML
  { sed 's/^cache: .*/cache: {enabled: false}/' cached.yaml && echo "  threads: 2"; } >uncached.yaml
  echo "draw $1: $samples samples in $shards shards, $(sed -n 's/^  \(batch_size\|slice\|loss\): /\1 /p' cached.yaml | paste -sd,), $(grep -c 'layer:' cached.yaml) layers${augment:+, augmented}${unfreeze:+, thawed}"
}

table() {
  sed 's/,[^,]*$//' "$1/metrics.csv" | md5sum
}
# run RANKS JOB OUTPUT [OPTION ...]
run() {
  local ranks=$1 job=$2 output=$3
  shift 3
  timeout 120 "$mpirun" "$ranks" "$thaw" train "$job.yaml" -o "$output" "$@" >"$output.log" 2>&1
}
check() {
  [ -n "$(digest "$1.log")" ] && [ "$(digest "$1.log")" = "$(digest reference.log)" ] && [ "$(table "$1")" = "$(table reference)" ] && return
  fail "draw $2: $1 differs: $(digest "$1.log") instead of $(digest reference.log) $(grep -h error: "$1.log")"
  cat cached.yaml
}

for ((number = first; number < first + draws; number++)); do
  rm -rf reference ranks* other* stopped*
  draw "$number"
  run 1 cached reference || { fail "draw $number: $(grep -h error: reference.log)"; cat cached.yaml; continue; }
  for ranks in $rank_counts; do
    rm -rf "cache"
    run "$ranks" cached "ranks$ranks"
    check "ranks$ranks" "$number"
  done
  run 3 uncached other
  check other "$number"
  for attempt in 4 1 3 2 5; do # a moment is too short for anything but a step or two
    run $attempt cached stopped --resume $([ "$attempt" = 5 ] || echo --max-time 0.0001)
    case $? in 0) break ;; 75) ;; *) fail "draw $number: stopping gave $(grep -h error: stopped.log)" ;; esac
  done
  check stopped "$number"
done
[ $failures -eq 0 ] && echo "$draws random jobs: the same bits on 1 $rank_counts ranks, cached or not, stopped or not"
exit $((failures > 0))
