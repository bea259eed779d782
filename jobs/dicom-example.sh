#!/usr/bin/env bash
# jobs/dicom-example.sh [options]: real DICOM files from the archive to a report: those that Debian's python3-pydicom ships.
#
# CT or MR? About fifty readable slices of seven patients, 16x16 to 512x512, and as many broken files, which are counted
# by reason. So few patients prove nothing about the model; the way is that of a large archive: headers to class
# folders, import with hashed patients, leak check, training, evaluation by patient, prediction straight from a DICOM file.
#
#   --architecture NAME  the frozen network (default vgg16)
#   --weights FILE       its weights; none: untrained (default: VGG16's, fetched by datasets/fetch-vgg16.sh)
#   --size N             height and width of the images (default 64)
#   --epochs N           of the head (default 20)
#   --ranks N            MPI ranks (default 2)
#   --output FOLDER      where shards and run go (default: dicom-example, in this project)
#
# THAW names another build's command, THAW_DICOM another folder of files.
set -euo pipefail
# shellcheck source=common.sh
. "$(dirname "$(readlink -f "$0")")/common.sh"
architecture=vgg16 weights='' size=64 epochs=20 ranks=2 folder=$root/dicom-example
while [ $# -gt 0 ]; do
  case $1 in
  --architecture) architecture=${2:?} && shift ;;
  --weights) weights=${2:?} && shift ;;
  --size) size=${2:?} && shift ;;
  --epochs) epochs=${2:?} && shift ;;
  --ranks) ranks=${2:?} && shift ;;
  --output) folder=${2:?} && shift ;;
  -h | --help) sed -n '2,16s/^# \{0,1\}//p' "$0" && exit 0 ;;
  *) fail "unknown option $1 (see --help)" ;;
  esac
  shift
done
source=${THAW_DICOM:-/usr/lib/python3/dist-packages/pydicom/data/test_files}
[ -f "$source/CT_small.dcm" ] || fail "$source: no DICOM files there (Debian: python3-pydicom)"
find_thaw
find_weights "$architecture"
mkdir -p "$folder" && cd "$folder"

say "class folders: links to every file whose header says CT or MR, readable or not"
rm -rf scans
/usr/bin/python3 - "$source" scans <<'END'
import os, sys, warnings
import pydicom
warnings.simplefilter("ignore")
source, target = sys.argv[1:]
for folder, folders, files in os.walk(source):
    folders.sort()
    for name in sorted(files):
        path = os.path.join(folder, name)
        try:
            modality = pydicom.dcmread(path, stop_before_pixels=True).get("Modality")
        except Exception:
            continue
        if modality in ("CT", "MR"):
            os.makedirs(os.path.join(target, modality), exist_ok=True)
            os.symlink(path, os.path.join(target, modality, os.path.relpath(path, source).replace("/", "-")))
END
for class in scans/*; do echo "$(find "$class" -type l | wc -l) in $class"; done

say "import: each file's own window, patients and images under keyed hashes, no patient in two parts"
run import scans --output shards --overwrite --size "${size}x$size" --channels 1 --window file --split 0.6,0,0.4 --seed 2 \
  --subgroups Manufacturer,PatientSex --id-key id-key
echo "broken, by reason:"
tail -n +2 shards/quarantine.csv | cut -d, -f2- | sed 's/[0-9a-f]\{24\}/ID/g' | sort | uniq -c

say "inspect: counts, a contact sheet, and whether the parts have a patient in common"
"$thaw" inspect shards/train --sheet train.png
"$thaw" inspect --leaks shards/train shards/test --distance 0

cat >job.yaml <<END
name: ct-or-mr
seed: 1
backbone:
  architecture: $architecture
  input: [$size, $size, 1]
$([ "$weights" = none ] || echo "  weights: \"$weights\"")
head:
  - {layer: global_average_pooling}
  - {layer: dense, units: 2, activation: softmax}
data:
  train: shards/train/catalog.yaml
  test: shards/test/catalog.yaml
training:
  loss: categorical_crossentropy
  batch_size: 16
  class_weights: balanced
  metrics: [accuracy]
  phases:
    - {epochs: $epochs, optimizer: {name: adam, learning_rate: 1.0e-3}}
END
say "train and evaluate"
run train job.yaml --overwrite
run evaluate runs/ct-or-mr

say "predict straight from DICOM files, windowed and resized as the import did"
"$thaw" predict runs/ct-or-mr "$source/CT_small.dcm" -o ct.csv
"$thaw" predict runs/ct-or-mr "$source/MR_small_RLE.dcm" -o mr.csv
cat ct.csv mr.csv

say "where it looks, and the report"
"$thaw" explain runs/ct-or-mr shards/test --count 4
"$thaw" report runs/ct-or-mr
