#!/usr/bin/env bash
# jobs/quickstart.sh [options]: from a fresh clone to a trained, evaluated and exported classifier, in minutes.
#
#   --weights FILE   VGG16's Keras weights without top (default: fetched by datasets/fetch-vgg16.sh)
#   --images N       training images; a sixth as many validate, a third as many test (default 6000)
#   --ranks N        MPI ranks (default 2)
#   --output FOLDER  where everything goes (default: quickstart, in this project)
#   --no-baseline    leave out the comparison with an untrained backbone
#
# Real images (Debian's dataset-fashion-mnist), real ImageNet weights, a frozen VGG16 and a new head, 30 epochs.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
root=$(dirname "$here")

fail() { echo "quickstart.sh: $*" >&2 && exit 2; }
number() { [[ ${2:-} =~ ^[1-9][0-9]*$ ]] || fail "$1 needs a number, found '${2:-}'"; }
weights='' images=6000 ranks=2 folder=$root/quickstart baseline=yes
while [ $# -gt 0 ]; do
  case $1 in
  --weights) weights=${2:-} && [ -f "$weights" ] || fail "--weights: no file '${2:-}'"
    weights=$(readlink -f "$weights") && shift ;;
  --images) number "$@" && images=$2 && shift ;;
  --ranks) number "$@" && ranks=$2 && shift ;;
  --output) folder=${2:?--output needs a folder} && shift ;;
  --no-baseline) baseline=no ;;
  -h | --help) sed -n '2,11s/^# \{0,1\}//p' "$0" && exit 0 ;;
  *) fail "unknown option $1 (see --help)" ;;
  esac
  shift
done
[ "$images" -ge 60 ] && [ "$images" -le 50000 ] || fail "--images: 60 to 50000"

say() { printf '\n== %s\n' "$*"; }

say "build"
"$here/install-packages.sh" build data
log=$(mktemp)
trap 'rm -f "$log"' EXIT
{ cmake -S "$root" -B "$root/build-release" -G Ninja -DTHAW_TESTS=OFF && ninja -C "$root/build-release"; } >"$log" 2>&1 ||
  { tail -40 "$log" && fail "the build failed"; }
thaw=$root/build-release/src/cli/thaw
run() { "$here/mpirun.sh" "$ranks" "$thaw" "$@"; }

mkdir -p "$folder"
folder=$(readlink -f "$folder")
cd "$folder"

say "weights"
if [ -z "$weights" ]; then
  weights=$root/weights/vgg16_imagenet_notop.h5
  "$root/datasets/fetch-vgg16.sh" "$weights"
fi
ln -sfn "$weights" weights.h5

say "images: $images for training, $((images / 6)) for validation, $((images / 3)) for the test"
source=${THAW_FASHION_MNIST:-/usr/share/datasets/fashion-mnist}
[ -f "$source/train-images-idx3-ubyte.gz" ] || fail "$source: no Fashion-MNIST there (Debian: dataset-fashion-mnist)"
names=T-shirt,Trouser,Pullover,Dress,Coat,Sandal,Shirt,Sneaker,Bag,Boot
common=(--size 64x64 --channels 3 --classes "$names" --overwrite)
run import "$source/train-images-idx3-ubyte.gz" --labels "$source/train-labels-idx1-ubyte.gz" \
  --limit $((images + images / 6)) --split "$images,$((images / 6)),0" "${common[@]}" -o data
run import "$source/t10k-images-idx3-ubyte.gz" --labels "$source/t10k-labels-idx1-ubyte.gz" \
  --limit $((images / 3)) "${common[@]}" -o test

# train_and_evaluate NAME JOB: a run in runs/NAME, its accuracy on the test images in runs/NAME/evaluation.json.
train_and_evaluate() {
  run train "$2" --overwrite -o "runs/$1"
  run evaluate "runs/$1" --data test/catalog.yaml
  "$thaw" report "runs/$1"
}

say "train the head on the pre-trained backbone, $ranks ranks"
cp "$here/quickstart.yaml" job.yaml
"$thaw" inspect job.yaml
train_and_evaluate pretrained job.yaml
"$thaw" export runs/pretrained -o model.h5

if [ $baseline = yes ]; then
  say "the same head on an untrained backbone, for comparison"
  sed '/^  weights:/d' job.yaml >untrained.yaml
  train_and_evaluate untrained untrained.yaml
fi

# accuracy NAME: "82.3 % (95 % interval 80.6 to 83.9)" out of the run's evaluation.json.
accuracy() {
  sed -n 's/^  "accuracy": \([0-9.e-]*\),.*/\1/p; s/^  "accuracy_interval_95": \[\([0-9.e-]*\), \([0-9.e-]*\)\].*/\1 \2/p' \
    "runs/$1/evaluation.json" | tr '\n' ' ' | awk '{ printf "%.1f %% (95 %% interval %.1f to %.1f)", 100 * $1, 100 * $2, 100 * $3 }'
}

say "result on $((images / 3)) test images"
echo "pre-trained VGG16  $(accuracy pretrained)"
[ $baseline = no ] || echo "untrained VGG16    $(accuracy untrained)"
echo
echo "report          $folder/runs/pretrained/report.html"
echo "learning curve  $folder/runs/pretrained/learning_curve.png"
echo "confusion       $folder/runs/pretrained/confusion.png"
echo "model, opens in Keras  $folder/model.h5"
