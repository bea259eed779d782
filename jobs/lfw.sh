#!/usr/bin/env bash
# jobs/lfw.sh --lfw FOLDER [options]: Labeled Faces in the Wild, in its public layout: FOLDER holds lfw/Name_Surname/Name_Surname_0001.jpg,
# pairs.txt, pairsDevTrain.txt and pairsDevTest.txt (https://vis-www.cs.umass.edu/lfw/; lfw/ may be the funneled or deep-funneled images).
#
#   --train FOLDER   class folders of other persons to train on (outside data): then the ten folds of pairs.txt (view 2) are reported.
#                    Default: the persons of pairsDevTrain.txt, and only view 1 is reported, on the persons of pairsDevTest.txt; for
#                    the persons of view 1 are also those of pairs.txt, whose accuracy would be that of faces trained on
#   --weights FILE   VGG16's weights without top, of ImageNet or of faces, in Keras' layout (default: fetched by
#                    datasets/fetch-vgg16.sh); none: random ones, to try the script
#   --size N         height and width of the network's input (default 224)
#   --epochs N       with a new head, then a quarter as many with block5 thawed (default 20)
#   --ranks N        MPI ranks (default 2)
#   --output FOLDER  where everything goes (default: lfw, in this project)
#
# THAW names another build's command. Results: view-1/ or view-2/ (match.json, roc.png, cmc.png), embedding.keras.
set -euo pipefail
# shellcheck source=common.sh
. "$(dirname "$(readlink -f "$0")")/common.sh"
lfw='' others='' weights='' size=224 epochs=20 ranks=2 folder=$root/lfw
while [ $# -gt 0 ]; do
  case $1 in
  --lfw) [ -d "${2:-}" ] && lfw=$(readlink -f "$2") || fail "--lfw: no folder '${2:-}'"; shift ;;
  --train) [ -d "${2:-}" ] && others=$(readlink -f "$2") || fail "--train: no folder '${2:-}'"; shift ;;
  --weights) [ "${2:-}" = none ] && weights=none || { [ -f "${2:-}" ] && weights=$(readlink -f "$2") || fail "--weights: no file '${2:-}'"; }; shift ;;
  --size) number "$@" && size=$2 && shift ;;
  --epochs) number "$@" && epochs=$2 && shift ;;
  --ranks) number "$@" && ranks=$2 && shift ;;
  --output) folder=${2:?--output needs a folder} && shift ;;
  -h | --help) sed -n '2,/^set /s/^# \{0,1\}//p' "$0" && exit 0 ;;
  *) fail "unknown option $1 (see --help)" ;;
  esac
  shift
done
[ -n "$lfw" ] || fail "--lfw is needed (see --help)"
for part in lfw pairsDevTrain.txt pairsDevTest.txt ${others:+pairs.txt}; do
  [ -e "$lfw/$part" ] || fail "$lfw: lacks $part"
done

find_thaw
find_weights vgg16
mkdir -p "$folder" && cd "$folder"

# The persons of a list of pairs: the first word of lines of three, the first and third of lines of four.
persons() { awk 'NF == 3 {print $1} NF == 4 {print $1; print $3}' "$1" | sort -u; }

say "training images"
common=(--size "${size}x$size" --channels 3 --split 0.9,0.1,0 --output train --overwrite)
if [ -n "$others" ]; then
  run import "$others" "${common[@]}"
else
  persons "$lfw/pairsDevTrain.txt" >persons-train.txt
  persons "$lfw/pairsDevTest.txt" >persons-test.txt
  both=$(comm -12 persons-train.txt persons-test.txt | head -3 | paste -sd' ')
  [ -z "$both" ] || fail "pairsDevTrain.txt and pairsDevTest.txt both name $both: these lists are not LFW's view 1"
  single=0
  echo path,label >train.csv
  while read -r name; do
    images=("$lfw/lfw/$name"/*.jpg)
    if [ ! -e "${images[0]}" ]; then fail "$lfw/lfw/$name: no images of a person of pairsDevTrain.txt"; fi
    if [ ${#images[@]} -eq 1 ]; then single=$((single + 1)); else printf "%s,$name\n" "${images[@]}" >>train.csv; fi
  done <persons-train.txt
  echo "$(wc -l <persons-train.txt) persons, of whom $single have one image and are left out"
  run import train.csv "${common[@]}"
fi
classes=$(sed -n '/^classes:/,/^[a-z]/p' train/train/catalog.yaml | grep -c '^ *- ')
[ "$classes" -ge 2 ] || fail "train/train/catalog.yaml: $classes classes"

say "training: ArcFace, $classes persons"
thawed=$(((epochs + 3) / 4)) line=''
[ "$weights" = none ] || line=", weights: $weights"
cat >lfw.yaml <<YAML
name: lfw
seed: 1
output: run
backbone: {architecture: vgg16, input: [$size, $size, 3]$line}
head:
  - {layer: global_average_pooling}
  - {layer: dropout, rate: 0.3}
  - {layer: dense, units: 256}
  - {layer: unit_normalization, name: embedding}
  - {layer: cosine_dense, units: $classes}
data:
  train: train/train/catalog.yaml
  validation: train/validation/catalog.yaml
  augment: {horizontal_flip: true, views: 2}
training:
  loss: {name: arcface, scale: 32, margin: 0.3}
  batch_size: 64
  early_stopping: {patience: 5, restore_best_weights: true}
  phases:
    - {epochs: $epochs, optimizer: {name: adam, learning_rate: 1.0e-3}}
    - {epochs: $thawed, unfreeze: block5, optimizer: {name: adam, learning_rate: 5.0e-5}}
YAML
run train lfw.yaml --overwrite

say "embeddings"
run embed run "$lfw/lfw" --output lfw.h5
run export run --output embedding.keras --overwrite

if [ -n "$others" ]; then
  say "view 2: pairs.txt, the threshold of each fold from the others"
  "$thaw" match lfw.h5 --pairs "$lfw/pairs.txt" --output view-2
else
  say "view 1: pairsDevTest.txt, the threshold from pairsDevTrain.txt"
  "$thaw" match lfw.h5 --pairs "$lfw/pairsDevTest.txt" --threshold-pairs "$lfw/pairsDevTrain.txt" --output view-1
fi
