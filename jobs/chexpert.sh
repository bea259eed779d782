#!/usr/bin/env bash
# jobs/chexpert.sh FOLDER [options]: findings on chest radiographs, CheXpert as it is published.
#
# FOLDER is CheXpert-v1.0-small (or CheXpert-v1.0) with train.csv and valid.csv: a column per finding with 1, 0, -1
# (uncertain) or nothing (not mentioned: 0), patients as folders. Training and validation data are divided by patient;
# valid.csv, read by three radiologists, is the test.
#
#   --findings A,B,...       the labels (default: the five of the competition)
#   --uncertain RULE         ignore, zeros or ones: what -1 means in training (default ignore)
#   --size N                 height and width of the images (default 320)
#   --architecture NAME      the frozen network (default densenet121)
#   --weights FILE           its weights; none: untrained (default: $CHEXPERT_WEIGHTS)
#   --epochs N, --ranks N    of the head (default 10); MPI ranks (default 2)
#   --output FOLDER          where shards and run go (default: chexpert, in this project)
#
# AUROC per finding with intervals by patient, and by subgroup: sex, age, view. THAW names another build's command.
set -euo pipefail
# shellcheck source=common.sh
. "$(dirname "$(readlink -f "$0")")/common.sh"
data='' findings='Atelectasis,Cardiomegaly,Consolidation,Edema,Pleural Effusion' uncertain=ignore size=320
architecture=densenet121 weights=${CHEXPERT_WEIGHTS:-} epochs=10 ranks=2 folder=$root/chexpert
while [ $# -gt 0 ]; do
  case $1 in
  --findings) findings=${2:?} && shift ;;
  --uncertain) uncertain=${2:?} && shift ;;
  --size) size=${2:?} && shift ;;
  --architecture) architecture=${2:?} && shift ;;
  --weights) weights=${2:?} && shift ;;
  --epochs) epochs=${2:?} && shift ;;
  --ranks) ranks=${2:?} && shift ;;
  --output) folder=${2:?} && shift ;;
  -h | --help) sed -n '2,17s/^# \{0,1\}//p' "$0" && exit 0 ;;
  -*) fail "unknown option $1 (see --help)" ;;
  *) data=$1 ;;
  esac
  shift
done
[ -f "$data/train.csv" ] && [ -f "$data/valid.csv" ] || fail "'$data': no folder with train.csv and valid.csv (see --help)"
data=$(readlink -f "$data")
find_weights "$architecture"
find_thaw
mkdir -p "$folder" && cd "$folder"

# The lists' paths begin with the data's own folder; ages become bands, or each year would be a subgroup.
name=$(sed -n '2s|/.*||p' "$data/train.csv")
ln -sfn "$data" "$name"
for list in train valid; do
  awk -F, -v OFS=, 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "Age") age = i; print $0, "Age band"; next }
    { band = $age < 40 ? "under 40" : $age < 60 ? "40 to 59" : $age < 80 ? "60 to 79" : "80 and over"; print $0, age ? band : "" }' \
    "$data/$list.csv" >$list.csv
done
common=(--path-column Path --group-folder 3 --label-columns "$findings" --subgroups "Sex,Age band,Frontal/Lateral,AP/PA"
  --size "${size}x$size" --fit pad --channels 1 --bits 8 --overwrite)
run import train.csv "${common[@]}" --split 0.95,0.05,0 --output shards
run import valid.csv "${common[@]}" --output shards-test

cat >job.yaml <<END
name: chexpert
seed: 1
backbone:
  architecture: $architecture
  input: [$size, $size, 1]
$([ "$weights" = none ] || echo "  weights: \"$weights\"")
head:
  - {layer: global_average_pooling}
  - {layer: dense, units: $(tr , '\n' <<<"$findings" | grep -c .), activation: sigmoid}
data:
  train: shards/train/catalog.yaml
  validation: shards/validation/catalog.yaml
  test: shards-test/catalog.yaml
training:
  loss: binary_crossentropy
  batch_size: 64
  unknown_labels: $uncertain
  class_weights: balanced
  phases:
    - {epochs: $epochs, optimizer: {name: adam, learning_rate: 1.0e-3}}
END
run train job.yaml --overwrite
run evaluate runs/chexpert
"$thaw" report runs/chexpert
