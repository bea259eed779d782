#!/usr/bin/env bash
# jobs/patch-camelyon.sh FOLDER [options]: tumour or not in 96x96 patches of lymph nodes, PatchCamelyon as it is published.
#
# FOLDER holds camelyonpatch_level_2_split_{train,valid,test}_{x,y}.h5 (Zenodo 2546921; .h5.gz files are unpacked beside
# themselves). The HDF5 files are used in place: nothing is copied or converted, only catalogues are written.
#
#   --architecture NAME  the frozen network (default densenet121)
#   --weights FILE       its weights; none: untrained (default: $PCAM_WEIGHTS)
#   --epochs N           of the head (default 10)
#   --ranks N            MPI ranks (default 2)
#   --output FOLDER      where catalogues, the job and the run go (default: patch-camelyon, in this project)
#
# The published split is by slide, so no patient is in two parts; the files name neither slides nor patients, so
# intervals take patches as independent. THAW names another build's command.
set -euo pipefail
# shellcheck source=common.sh
. "$(dirname "$(readlink -f "$0")")/common.sh"
data='' architecture=densenet121 weights=${PCAM_WEIGHTS:-} epochs=10 ranks=2 folder=$root/patch-camelyon
while [ $# -gt 0 ]; do
  case $1 in
  --architecture) architecture=${2:?} && shift ;;
  --weights) weights=${2:?} && shift ;;
  --epochs) epochs=${2:?} && shift ;;
  --ranks) ranks=${2:?} && shift ;;
  --output) folder=${2:?} && shift ;;
  -h | --help) sed -n '2,15s/^# \{0,1\}//p' "$0" && exit 0 ;;
  -*) fail "unknown option $1 (see --help)" ;;
  *) data=$1 ;;
  esac
  shift
done
[ -d "$data" ] || fail "no folder with the data given (see --help)"
data=$(readlink -f "$data")
find_weights "$architecture"
find_thaw
mkdir -p "$folder" && cd "$folder"

for split in train valid test; do
  for part in x y; do
    file=$data/camelyonpatch_level_2_split_${split}_$part.h5
    [ -f "$file" ] || [ ! -f "$file.gz" ] || gunzip -k "$file.gz"
    [ -f "$file" ] || fail "$file: no such file"
  done
  cat >$split.yaml <<END
format: thaw-catalog
classes: [normal, tumour]
shards:
  - file: "$data/camelyonpatch_level_2_split_${split}_x.h5"
    images: /x
    labels_file: "$data/camelyonpatch_level_2_split_${split}_y.h5"
    labels: /y
END
  "$thaw" inspect $split.yaml --no-digest | head -4
done

cat >job.yaml <<END
name: patch-camelyon
seed: 1
backbone:
  architecture: $architecture
  input: [96, 96, 3]
$([ "$weights" = none ] || echo "  weights: \"$weights\"")
head:
  - {layer: global_average_pooling}
  - {layer: dense, units: 256, activation: relu}
  - {layer: dropout, rate: 0.5}
  - {layer: dense, units: 2, activation: softmax}
data:
  train: train.yaml
  validation: valid.yaml
  test: test.yaml
  shuffle: chunked
training:
  loss: categorical_crossentropy
  batch_size: 256
  metrics: [accuracy]
  phases:
    - {epochs: $epochs, optimizer: {name: adam, learning_rate: 1.0e-3}}
END
"$here/mpirun.sh" "$ranks" "$thaw" train job.yaml --overwrite
"$here/mpirun.sh" "$ranks" "$thaw" evaluate runs/patch-camelyon
"$thaw" report runs/patch-camelyon
