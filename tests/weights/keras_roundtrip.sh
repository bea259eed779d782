#!/usr/bin/env bash
# keras_roundtrip.sh EXPORT_MODELS SOURCE THAW [ARCHITECTURE ...]: exported models in the real Keras and back; a run and its export.
# Uses the interpreter THAW_KERAS_PYTHON when set, else installs Keras into a throw-away environment; where that is
# impossible the test is skipped (77).
set -euo pipefail
program=$1 source=$2 thaw=$3
shift 3
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
unset OPENBLAS_CORETYPE OPENBLAS_L2_SIZE

python=${THAW_KERAS_PYTHON:-}
if [ -z "$python" ]; then
  python=$folder/venv/bin/python
  if ! { python3 -m venv "$folder/venv" && timeout 400 "$python" -m pip install -q tensorflow-cpu h5py; } >"$folder/pip.log" 2>&1; then
    echo "Keras cannot be installed here, skipped:"
    tail -n 2 "$folder/pip.log"
    exit 77
  fi
fi
"$python" -c 'import keras, h5py' 2>/dev/null || { echo "$python has no keras and h5py, skipped"; exit 77; }

names=$("$program" "$folder" "$source/../shared/weights" "$@")
# shellcheck disable=SC2086
"$python" "$source/tests/weights/keras_roundtrip.py" "$program" "$folder" $names
THAW_KERAS_PYTHON=$python bash "$source/tests/weights/export.sh" "$thaw" "$source"
THAW_KERAS_PYTHON=$python THAW_HEADS_EXPORT_ONLY=1 bash "$source/tests/cli/heads.sh" "$thaw" "$source"
