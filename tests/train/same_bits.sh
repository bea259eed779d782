#!/usr/bin/env bash
# same_bits.sh THAW SOURCE: the same job gives the same parameters and the same table of losses on 1, 2, 3 and 5 ranks, with the
# cache on and off, with AVX2 and AVX-512, with one and two threads, and when it is stopped by a signal or killed at any moment and goes on on another number of ranks.
. "$2/tests/train/support.sh"

"$make_data" train 203 5 32 4 1 && "$make_data" validation 61 5 32 2 2 || exit 1

# write_job NAME EPOCHS CACHE: batch-norm and dropout in the head, regularisation, short last batches and slices, then two thawed phases
write_job() {
  cat > "$1.yaml" <<YAML
name: $1
seed: 7
output: $1
backbone: {architecture: vgg16, input: [32, 32, 3], cut: block3_pool}
head:
  - {layer: global_average_pooling}
  - {layer: batch_normalization}
  - {layer: dense, units: 24, activation: relu, kernel_l2: 0.001, bias_l1: 0.001}
  - {layer: dropout, rate: 0.25}
  - {layer: dense, units: 5, activation: softmax}
data:
  train: train/catalog.yaml
  validation: validation/catalog.yaml
cache: {enabled: $3}
training:
  loss: categorical_crossentropy
  batch_size: 26
  slice: 4
  metrics: [accuracy, top_2_accuracy]
  early_stopping: {monitor: val_loss, patience: 50, restore_best_weights: true}
  reduce_lr: {monitor: val_loss, patience: 1, factor: 0.7}
  checkpoint: {every_minutes: 0.001, every_epochs: 3}
  phases:
    - {epochs: $2, optimizer: {name: adam, learning_rate: 1.0e-3}}
    - {epochs: 2, unfreeze: block3_conv3, optimizer: {name: adam, learning_rate: 1.0e-4}}
    - {epochs: 1, unfreeze: block3_conv2, optimizer: {name: sgd, learning_rate: 1.0e-4, momentum: 0.9}}
YAML
}

# run RANKS OUTPUT [OPTION ...]: prints the digest
run() {
  local ranks=$1 output=$2
  shift 2
  timeout 400 "$mpirun" "$ranks" "$thaw" train job.yaml -o "$output" "$@" > "$output.log" 2>&1
}

write_job job 40 true
run 1 reference || { cat reference.log; exit 1; }
for ranks in 2 3 5; do
  run $ranks ranks$ranks
  same_as reference ranks$ranks
done
sed 's/enabled: true/enabled: false/' job.yaml > uncached.yaml
timeout 400 "$mpirun" 2 "$thaw" train uncached.yaml -o uncached > uncached.log 2>&1
same_as reference uncached

# The kernels of either instruction set, where this CPU has both, and threads inside a rank.
if run 2 avx2 --isa avx2; then same_as reference avx2; else fail "avx2: $(grep error: avx2.log)"; fi
sed 's/batch_size: 26/&\n  threads: 2/' job.yaml > threads.yaml
timeout 400 "$mpirun" 1 "$thaw" train threads.yaml -o threads > threads.log 2>&1
same_as reference threads
sed 's/enabled: true/enabled: false/' threads.yaml > threads-uncached.yaml
timeout 400 "$mpirun" 3 "$thaw" train threads-uncached.yaml -o threads-uncached > threads-uncached.log 2>&1
same_as reference threads-uncached

# Stopped or killed again and again, each time on another number of ranks.
counts=(2 5 1 3)
interrupt() { # NAME SIGNAL: SIGNAL goes to mpirun (which forwards USR1) or, for KILL, to one rank
  local name=$1 signal=$2 attempt=0 code=1 stops=0
  while [ $code -ne 0 ] && [ $attempt -lt 25 ]; do
    local ranks=${counts[$((attempt % 4))]}
    timeout 400 "$mpirun" "$ranks" "$thaw" train job.yaml -o "$name" --resume > "$name.log" 2>&1 &
    local launcher=$!
    sleep "1.$((RANDOM % 10))"
    if [ $attempt -lt 6 ]; then
      # shellcheck disable=SC2009
      local parent
      parent=$(pgrep -P $launcher -x mpirun || echo $launcher)
      if [ "$signal" = KILL ]; then
        kill -KILL "$(pgrep -P "$parent" | shuf -n 1)" 2>/dev/null
      else
        kill -"$signal" "$parent" 2>/dev/null
      fi
    fi
    wait $launcher
    code=$?
    [ $code -ne 0 ] && stops=$((stops + 1))
    if [ "$signal" = USR1 ] && [ $code -ne 0 ] && [ $code -ne 75 ]; then
      fail "$name: exit code $code after $signal: $(grep error: "$name.log")"
    fi
    attempt=$((attempt + 1))
  done
  echo "$name: $stops interruptions"
  [ $code -eq 0 ] || fail "$name never finished"
  same_as reference "$name"
}
interrupt signalled USR1

# A signal that comes before the training has begun, while rank 0 reads the job file.
fault=$(dirname "$make_data")/../cluster/libfault.so
code=0
timeout 400 "$mpirun" 2 env LD_PRELOAD="$fault" THAW_FAULT="0 read job.yaml 1 usr1" "$thaw" train job.yaml -o early > early.log 2>&1 || code=$?
[ $code -eq 75 ] || fail "a signal before the training: exit code $code: $(grep error: early.log)"
run 3 early --resume || fail "resumed after a signal before the training: $(grep error: early.log)"
same_as reference early
interrupt killed KILL

[ $failures -eq 0 ] && echo "same bits everywhere: $(digest reference)"
exit $((failures > 0))
