#!/usr/bin/env bash
# torch_compare.sh FEATURES SOURCE: torchvision's networks as safetensors in thaw. Needs the interpreter THAW_TORCH_PYTHON with
# torchvision and safetensors; without one the test is skipped (77).
set -euo pipefail
features=$1 source=$2 python=${THAW_TORCH_PYTHON:-python3}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
unset OPENBLAS_CORETYPE OPENBLAS_L2_SIZE
"$python" -c 'import torchvision, safetensors' 2>/dev/null ||
  { echo "$python has no torchvision and safetensors (set THAW_TORCH_PYTHON), skipped"; exit 77; }
"$python" "$source/tests/weights/torch_compare.py" "$features" "$folder"
