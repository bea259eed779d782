#!/usr/bin/env bash
# bad_input.sh THAW SOURCE: weight and model files of every format that are only partly downloaded; weights for another network.
# shellcheck source=../cli/support.sh
. "$(dirname "$0")/../cli/support.sh" "$1" "$2"
cd "$work"
here=$source_folder/tests/weights

# part FILE PERCENT MESSAGE: the file's first part gives one line that doubts whether it is whole.
part() {
  local name=part.${1##*/}
  head -c $(($(stat -c %s "$here/$1") * $2 / 100)) "$here/$1" >"$name"
  fails 3 "$3" inspect "$name"
}

for percent in 5 70; do
  part models/all_layers.keras $percent 'is the download complete?'
  part models/all_layers.h5 $percent 'is it complete?'
  part keras3_flat.weights.h5 $percent 'is it complete?'
  part torch_small.safetensors $percent 'is the download complete?'
  run 1 inspect "$here/models/torch_mixed.onnx"
  [ "$code" != 0 ] || part models/torch_mixed.onnx $percent 'only partly downloaded'
done

must_run 1 inspect "$here/keras3_flat.h5"
printf 'name: wrong\nbackbone: {architecture: vgg16, input: [32, 32, 3], weights: %s}\nhead: [{layer: flatten}, {layer: dense, units: 2, activation: softmax}]\n%s\n' \
  "$here/keras3_flat.h5" 'data: {train: train}
training: {loss: categorical_crossentropy, batch_size: 8, phases: [{epochs: 1, optimizer: {name: adam, learning_rate: 0.001}}]}' >job.yaml
"$make_data" train 16 2 32 1 3
fails 3 'an unknown architecture, first layer '"'first'" train job.yaml
finish
