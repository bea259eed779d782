#!/usr/bin/env bash
# onnx_compare.sh FEATURES SOURCE: ONNX models that thaw reads and writes, in onnxruntime. Needs the interpreter THAW_TORCH_PYTHON with
# torchvision, onnxscript, onnxruntime and safetensors (and, for models of Keras, keras and tf2onnx); without one the test is
# skipped (77).
set -euo pipefail
features=$1 source=$2 python=${THAW_TORCH_PYTHON:-python3}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
unset OPENBLAS_CORETYPE OPENBLAS_L2_SIZE
"$python" -c 'import torchvision, onnxscript, onnxruntime, safetensors' 2>/dev/null ||
  { echo "$python has no torchvision, onnxscript, onnxruntime and safetensors (set THAW_TORCH_PYTHON), skipped"; exit 77; }
if "$features" - "$source/tests/weights/models/bad_rank.onnx" x y 8 8 2>&1 | grep -q 'without ONNX'; then
  echo "thaw was built without ONNX, skipped"
  exit 77
fi
"$python" "$source/tests/weights/onnx_compare.py" "$features" "$source/tests/weights/models" "$folder"
