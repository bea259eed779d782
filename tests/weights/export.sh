#!/usr/bin/env bash
# export.sh THAW SOURCE: a small run, exported: the same file from any number of ranks, nothing overwritten; and, where
# the interpreter THAW_KERAS_PYTHON has Keras, the predictions of `thaw evaluate` again from the images on.
# shellcheck source=../cli/support.sh
. "$2/tests/cli/support.sh" "$1" "$2"
cd "$work"
make_data=$(dirname "$thaw")/../../tests/train/make_data
"$make_data" train 60 5 32 2 1 && "$make_data" validation 20 5 32 2 2

# write_job NAME BACKBONE_OPTION
write_job() {
  cat >"$1.yaml" <<YAML
name: $1
seed: 7
output: $1
backbone: {architecture: vgg16, input: [32, 32, 3], cut: block3_pool$2}
head:
  - {layer: global_average_pooling}
  - {layer: batch_normalization}
  - {layer: dense, units: 24, activation: relu, kernel_l2: 0.001}
  - {layer: dropout, rate: 0.25}
  - {layer: dense, units: 5, activation: softmax}
data: {train: train/catalog.yaml, validation: validation/catalog.yaml, leaks: ignore}
training:
  loss: categorical_crossentropy
  batch_size: 20
  phases:
    - {epochs: 4, optimizer: {name: adam, learning_rate: 1.0e-2}}
    - {epochs: 1, unfreeze: block3, optimizer: {name: adam, learning_rate: 1.0e-5}}
YAML
}

expect_done() {
  [ "$code" = 0 ] || complain "thaw $*: exit code $code: $(cat err)"
}

# The backbone of an untrained run serves as the weight file of the next.
write_job untrained ''
run 1 train untrained.yaml
run 1 export untrained --weights-only --output weights.h5
expect_done export untrained
run 1 inspect weights.h5
grep -q 'architecture: VGG16 up to block3_conv3, 7 of 13 layers, with a top of 2 dense layers' out || complain "inspect: $(head -2 out)"

write_job run ', weights: weights.h5'
run 1 train run.yaml
expect_done train
run 1 evaluate run
expect_done evaluate
run 1 export run
expect_done export run
run 3 export run --output again.h5
cmp -s run/model.h5 again.h5 || complain "export on 3 ranks writes another file"
before=$(sha256sum <run/model.h5)
fails 2 'run/model.h5 is there already' export run
[ "$before" = "$(sha256sum <run/model.h5)" ] || complain "export has overwritten a file"
run 1 export run --output run/model.keras
expect_done export run/model.keras
run 2 export run --output again.keras
cmp -s run/model.keras again.keras || complain "export on 2 ranks writes another archive"
run 1 export run --output run/model.onnx
if ! grep -q 'built without ONNX' err; then
  expect_done export run/model.onnx
  run 2 export run --output again.onnx
  cmp -s run/model.onnx again.onnx || complain "export on 2 ranks writes another ONNX model"
  run 1 inspect run/model.onnx
  grep -q 'ONNX model by thaw.*operators of version 13' out || complain "inspect: $(head -2 out)"
  if [ -n "${THAW_TORCH_PYTHON:-}" ]; then
    (unset OPENBLAS_CORETYPE OPENBLAS_L2_SIZE &&
      "$THAW_TORCH_PYTHON" "$source_folder/tests/weights/onnx_predict.py" run/model.onnx run/predictions.h5 validation/*.h5) ||
      complain "onnxruntime predicts something else"
  fi
fi
run 1 export run --output run/run.weights.h5
expect_done export run/run.weights.h5
example=$(dirname "$thaw")/../../tests/eval/predict_example
if [ -x "$example" ]; then # the class names go with the model; the run folder will do
  "$example" run >out && [ "$(wc -l <out)" = 5 ] || complain "predict_example run: $(cat out)"
  cp out folder.out && "$example" run/model.h5 >out && cmp -s out folder.out || complain "the two formats predict differently"
fi
fails 1 'missing/model.h5' export run --output missing/model.h5
fails 3 'nothing is not a run folder' export nothing
run 1 export run --overwrite
expect_done export --overwrite

# The exported model as the backbone of another run: the whole of its network up to a cut, with its weights.
write_job from-file ''
sed -i 's/^backbone: .*/backbone: {file: run\/model.h5, cut: block3_pool}/' from-file.yaml
run 1 train from-file.yaml
expect_done train from-file.yaml
grep -q 'model file' from-file/summary.txt || complain "the summary does not say where the network is from"
sed -i 's/cut: block3_pool/cut: block9_pool/' from-file.yaml
fails 2 "has no layer 'block9_pool'" train from-file.yaml --overwrite
grep -v '^backbone' from-file.yaml >neither.yaml && echo 'backbone: {cut: block3_pool}' >>neither.yaml
fails 2 'expected either an architecture or a model file' train neither.yaml

# One step in Keras after some in thaw is the next step in thaw, whatever the optimiser remembers.
continue_in_keras() { # OPTIMIZER
  local epochs
  for epochs in 3 4; do
    cat >"step$epochs.yaml" <<YAML
name: step$epochs
seed: 7
output: step$epochs
backbone: {architecture: vgg16, input: [32, 32, 3], cut: block1_pool}
head: [{layer: global_average_pooling}, {layer: dense, units: 8, activation: relu}, {layer: dense, units: 5, activation: softmax}]
data: {train: train/catalog.yaml}
training:
  loss: categorical_crossentropy
  batch_size: 60
  phases: [{epochs: $epochs, optimizer: $1}]
YAML
    run 1 train "step$epochs.yaml" --overwrite
    expect_done train "step$epochs.yaml"
    # The newest checkpoint, which need not be the best.
    run 1 export "step$epochs" --checkpoint "$(printf '%s\n' "step$epochs"/step-*.h5 | tail -1)" --output "step$epochs.keras" --overwrite
    expect_done export "step$epochs"
  done
  "$THAW_KERAS_PYTHON" "$source_folder/tests/weights/keras_continue.py" step3.keras step4.keras train/*.h5 ||
    complain "Keras' next step is another one: $1"
}

if [ -n "${THAW_KERAS_PYTHON:-}" ]; then
  continue_in_keras '{name: adam, learning_rate: 1.0e-3}'
  continue_in_keras '{name: sgd, learning_rate: 1.0e-3, momentum: 0.9}'
  continue_in_keras '{name: rmsprop, learning_rate: 1.0e-3, momentum: 0.5}'
  run 1 export step3 --output step3.h5
  "$THAW_KERAS_PYTHON" "$source_folder/tests/weights/keras_continue.py" --anew step3.h5 train/*.h5 ||
    complain "Keras cannot train the .h5 file"
  unset OPENBLAS_CORETYPE OPENBLAS_L2_SIZE
  "$THAW_KERAS_PYTHON" "$source_folder/tests/weights/keras_predict.py" run/model.h5 run/predictions.h5 validation/*.h5 ||
    complain "Keras predicts something else"
fi
finish
