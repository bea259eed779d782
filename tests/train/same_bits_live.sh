#!/usr/bin/env bash
# same_bits_live.sh THAW SOURCE: thawed residual networks give the same parameters on 1, 2, 3 and 5 ranks with either instruction
# set, and with recomputed activations: pointwise, strided, depthwise and 3x3 convolutions, batch-norm over the batch, over each of
# several accumulated batches, and with constant statistics.
. "$2/tests/train/support.sh"

"$make_data" train 47 3 32 2 1 || exit 1

# write_job NAME NETWORK CUT LIVE TRAIN_BATCH_NORM
write_job() {
  cat > "$1.yaml" <<YAML
name: $1
seed: 5
output: $1
backbone: {architecture: $2, input: [32, 32, 3], cut: $3}
head:
  - {layer: global_average_pooling}
  - {layer: dense, units: 3, activation: softmax}
data: {train: train/catalog.yaml}
training:
  loss: categorical_crossentropy
  batch_size: 26
  slice: 4
  phases:
    - {epochs: 2, unfreeze: $4, train_batch_norm: $5, optimizer: {name: adam, learning_rate: 1.0e-3}}
YAML
}

# check NAME: all ranks, both instruction sets
check() {
  local reference='' job ranks option found
  sed 's/^  slice: 4/&\n  recompute: true/' "$1.yaml" > "$1-recompute.yaml"
  for run in "$1 1" "$1 2" "$1 3" "$1 5" "$1 2 --isa avx2" "$1-recompute 2"; do
    read -r job ranks option <<< "$run"
    # shellcheck disable=SC2086
    timeout 400 "$mpirun" "$ranks" "$thaw" train "$job.yaml" -o "$1-out" --overwrite $option > log 2>&1
    found=$(sed -n 's/^parameters sha256 //p' log)
    [ -n "$reference" ] || reference=$found
    if [ -z "$found" ] || [ "$found" != "$reference" ]; then
      echo "FAILED: $run: '$found' instead of '$reference' $(grep error: log)"
      failures=$((failures + 1))
    fi
  done
  echo "$1: $reference"
}

write_job bottleneck resnet50 conv3_block2_out '[conv3_block1, conv3_block2]' false
write_job bottleneck-norm resnet50 conv3_block1_out conv3_block1 true
write_job accumulated resnet50 conv3_block1_out conv3_block1 true
sed -i 's/^  batch_size: 26/  batch_size: 10\n  accumulate: 3/' accumulated.yaml
write_job inverted mobilenetv2 block_4_project_BN '[block_2, block_3, block_4]' false
check bottleneck
check bottleneck-norm
check accumulated
check inverted
exit $((failures > 0))
