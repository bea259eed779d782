#!/usr/bin/env bash
# jobs/metric-learning.sh [--seeds N] [--ranks N] [--weights FILE] [--output FOLDER]: embeddings of Fashion-MNIST (Debian's
# dataset-fashion-mnist) with its classes as identities. Seven classes are trained on (ArcFace, CosFace, triplets, and softmax for
# comparison), three others, never seen, are verified; then the seven are the gallery and the three the strangers. Prints a table and
# writes table.md. THAW names another build's command.
set -euo pipefail
# shellcheck source=common.sh
. "$(dirname "$(readlink -f "$0")")/common.sh"
seeds=3 ranks=2 weights='' folder=$root/metric-learning
while [ $# -gt 0 ]; do
  case $1 in
  --seeds) seeds=${2:?--seeds needs a number} && shift ;;
  --ranks) ranks=${2:?--ranks needs a number} && shift ;;
  --weights) weights=$(readlink -f "${2:?--weights needs a file}") && shift ;;
  --output) folder=${2:?--output needs a folder} && shift ;;
  -h | --help) sed -n '2,5s/^# //p' "$0" && exit 0 ;;
  *) fail "unknown option $1 (see --help)" ;;
  esac
  shift
done
find_thaw data
find_weights vgg16
mkdir -p "$folder" && cd "$folder"

# pick PART NAME EACH CLASS,...: some classes of the IDX files, renumbered, at most EACH images of each
source=${THAW_FASHION_MNIST:-/usr/share/datasets/fashion-mnist}
[ -f "$source/train-images-idx3-ubyte.gz" ] || fail "$source: no Fashion-MNIST there (Debian: dataset-fashion-mnist)"
pick() {
  python3 - "$source/$1" "$2" "$3" "$4" <<'PYTHON'
import gzip, struct, sys
prefix, name, each, classes = sys.argv[1], sys.argv[2], int(sys.argv[3]), [int(c) for c in sys.argv[4].split(",")]
images = gzip.open(prefix + "-images-idx3-ubyte.gz").read()
taken, rows, labels = dict.fromkeys(classes, 0), [], []
for i, label in enumerate(gzip.open(prefix + "-labels-idx1-ubyte.gz").read()[8:]):
    if taken.get(label, each) < each:
        taken[label] += 1
        rows.append(images[16 + i * 784:800 + i * 784])
        labels.append(classes.index(label))
open(name + "-images", "wb").write(struct.pack(">IIII", 2051, len(rows), 28, 28) + b"".join(rows))
open(name + "-labels", "wb").write(struct.pack(">II", 2049, len(labels)) + bytes(labels))
PYTHON
}
seen=T-shirt,Trouser,Pullover,Sandal,Shirt,Bag,Boot unseen=Dress,Coat,Sneaker
import() { # NAME CLASSES [OPTION ...]
  local name=$1 classes=$2
  shift 2
  run import "$name-images" --labels "$name-labels" --size 64x64 --channels 3 --classes "$classes" -o "$name" --overwrite -q "$@"
}
pick train train 700 0,1,2,5,6,8,9 && import train "$seen" --split 0.9,0.1,0
pick t10k unseen 300 3,4,7 && import unseen "$unseen"
pick t10k probes 100 0,1,2,5,6,8,9,3,4,7 && import probes "$seen,$unseen"

# write_job NAME SEED LAST LOSS [DATA_LINE [PHASE_LINE]]
write_job() {
  cat >"$1.yaml" <<YAML
name: $1
seed: $2
output: $1
backbone: {architecture: vgg16, input: [64, 64, 3], weights: $weights}
head:
  - {layer: global_average_pooling}
  - {layer: dropout, rate: 0.2}
  - {layer: dense, units: 128, name: dense}
$3
data:
  train: train/train/catalog.yaml
  validation: train/validation/catalog.yaml
  ${5:-}
training:
  loss: $4
  batch_size: 112
  phases:
    - {epochs: 15, optimizer: {name: adam, learning_rate: 1.0e-3}}
${6:-}
YAML
}
unit='  - {layer: unit_normalization, name: embedding}'
centres="$unit"$'\n''  - {layer: cosine_dense, units: 7}'
block5='    - {epochs: 4, unfreeze: block5, optimizer: {name: adam, learning_rate: 5.0e-5}}'

# judge RUN FILE [OPTION ...]: verification of the unseen classes; the seen classes' validation images as gallery, all ten as probes
judge() {
  local name=$1 out=$2
  shift 2
  run embed "$name" unseen -o "$out.h5" -q "$@" && run embed "$name" probes -o "$out-probes.h5" -q "$@"
  run embed "$name" train/validation -o "$out-gallery.h5" -q "$@"
  "$thaw" match "$out.h5" -o "$out-unseen" -q >/dev/null
  "$thaw" match "$out-probes.h5" --gallery "$out-gallery.h5" -o "$out-known" -q >/dev/null
}
for seed in $(seq "$seeds"); do
  for job in softmax arcface cosface triplet; do
    for phase in '' "$block5"; do
      [ -z "$phase" ] || [ "$seed" = 1 ] || continue # thawing takes longer
      name=$job${phase:+-block5}-$seed
      [ ! -s "$name-known/match.json" ] || continue # done before
      case $job in
      softmax) write_job "$name" "$seed" '  - {layer: dense, units: 7, activation: softmax}' categorical_crossentropy '' "$phase" ;;
      arcface) write_job "$name" "$seed" "$centres" '{name: arcface, scale: 16, margin: 0.2}' '' "$phase" ;;
      cosface) write_job "$name" "$seed" "$centres" '{name: cosface, scale: 16, margin: 0.2}' '' "$phase" ;;
      triplet) write_job "$name" "$seed" "$unit" '{name: triplet, margin: 0.2}' 'samples_per_class: 16' "$phase" ;;
      esac
      run train "$name.yaml" --overwrite -q >/dev/null
      judge "$name" "$name" $([ $job != softmax ] || echo --layer dense)
    done
  done
done
judge softmax-1 imagenet-1 --layer global_average_pooling2d

python3 - <<'PYTHON' | tee table.md
import glob, json, statistics, re
def text(values, digits=3):
    values = [v for v in values if v is not None]
    if not values: return "-"
    spread = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.{digits}f}{spread}"
print("| embedding | AUC | EER | TAR at FAR 1e-1 | 1e-2 | 1e-3 | rank-1 of 7 | DIR at FPIR 1e-1 | 1e-2 |")
print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
titles = {"imagenet": "VGG16's features, untrained for this", "softmax": "layer under a softmax head", "arcface": "ArcFace (s 16, m 0.2)",
          "cosface": "CosFace (s 16, m 0.2)", "triplet": "triplets (semi-hard, 7 x 16 per batch)"}
for job in titles:
    for suffix in ("", "-block5"):
        runs = [f for f in sorted(glob.glob(f"{job}{suffix}-*-unseen/match.json")) if re.match(rf"{job}{suffix}-\d+-unseen", f)]
        if not runs: continue
        v = [json.load(open(f))["verification"] for f in runs]
        d = [json.load(open(f.replace("-unseen/", "-known/")))["identification"] for f in runs]
        row = [titles[job] + (", block5 thawed" if suffix else ""), text([x["auc"] for x in v]), text([x["eer"] for x in v])]
        row += [text([x["tar"][i] for x in v]) for i in range(3)] + [text([x["cmc"][0] for x in d])]
        row += [text([x["dir"][i] for x in d]) for i in range(2)]
        print("| " + " | ".join(row) + " |")
PYTHON
