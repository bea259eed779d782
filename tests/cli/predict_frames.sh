#!/usr/bin/env bash
# predict_frames.sh THAW SOURCE: prediction straight from DICOM, NIfTI and image files is prediction from the shards that an import
# makes of them, to the last digit: the run remembers window, frames, axis, fit and size.
# shellcheck source=support.sh
. "$(dirname "$0")/support.sh"
here=$(cd "$(dirname "$0")" && pwd)
golden=$source_folder/tests/nifti/golden pictures=$source_folder/tests/image/golden
cd "$work"
must_run() {
  run "$@"
  [ "$code" = 0 ] || { complain "thaw ${*:2} on $1 ranks: exit code $code: $(cat err)"; finish; }
}
train() { # NAME CHANNELS
  cat >$1.yaml <<END
name: $1
backbone: {architecture: vgg16, cut: block1_pool, preprocessing: tf, input: [32, 32, $2]}
head: [{layer: flatten}, {layer: dense, units: 2, activation: softmax}]
data: {train: shards-$1/catalog.yaml}
training: {loss: categorical_crossentropy, batch_size: 4, phases: [{epochs: 1, optimizer: {name: adam, learning_rate: 1.0e-6}}]}
END
  must_run 1 train $1.yaml -q
  cmp shards-$1/import.yaml runs/$1/import.yaml || complain "$1: the run does not remember the import"
}
# same NAME SOURCE CHANNELS IMPORT-OPTION ...: import SOURCE, train, predict from both; the rows differ in their ids only.
same() {
  local name=$1 source=$2 channels=$3
  must_run 1 import $source -o shards-$name --keep-ids -q "${@:4}"
  train $name $channels
  must_run 1 predict runs/$name shards-$name -o shards.csv -q
  for ranks in 1 3; do
    must_run $ranks predict runs/$name $source -o files.csv -q
    # The import takes class folders in order, so do the files; ids of the shards lack the folder.
    diff <(sed "1s/.*/id/; 2,\$s|^|$source/|" shards.csv | sed '1d') <(sed 1d files.csv) >difference ||
      complain "$name on $ranks ranks: $(head -4 difference)"
  done
  [ "$(wc -l <files.csv)" -gt 2 ] && [ "$(cut -d, -f3 files.csv | sed 1d | sort -u | wc -l)" -gt 1 ] || complain "$name: $(cat files.csv)"
}
mkdir -p nii/a nii/b
cp $golden/{int16,scaled.nii.gz,series.nii.gz}* nii/a 2>/dev/null
cp $golden/{turned1.nii.gz,big_endian.nii} nii/b
same coronal nii 1 --axis coronal --window volume --size 20x30 --fit pad
same stack nii 3 --frames stack --size 32x32
same middle nii 1 --frames middle --window 0/4000 --size 32x32 --fit crop
mkdir -p img/a img/b && cp $pictures/{rgb444.jpg,exif6.jpg} img/a && cp $pictures/{grey16.png,rgb8.png} img/b
same pictures img 3 --size 24x40 --fit crop --channels 3
same bytes img 1 --size 48x24 --channels 1 --bits 8

# A broken file is a row with its reason; a picture for each slice that is explained.
head -c 380 $golden/int16.nii >nii/a/broken.nii
must_run 2 predict runs/middle nii -o files.csv -q
grep -q 'broken.nii,.*the header tells 240 bytes' files.csv || complain "a broken file: $(cat files.csv)"
rm nii/a/broken.nii
must_run 1 explain runs/coronal nii/b --count 3 -o maps
[ "$(find maps -name '*.png' | wc -l)" -ge 4 ] || complain "explain: $(ls maps)"
grep -q 'big_endian.nii#' maps/explain.csv || complain "explain names no slices: $(cat maps/explain.csv)"

if /usr/bin/python3 -c 'import pydicom' 2>/dev/null; then
  /usr/bin/python3 "$here/make_clinic.py" dicom
  mkdir -p two/a two/b && cp dicom/series/* two/a && cp dicom/numbers/Quuxley-3.dcm dicom/mono/* two/b
  run 1 import two -o probe --size 8x8 -q
  if [ "$code" = 0 ]; then
    same dicom two 1 --size 32x32 --window 300/500
    same series two 3 --size 16x16 --frames stack
    same windows two 3 --size 16x16 --window lung,300/500,bone
  fi
fi
rm runs/bytes/import.yaml shards-bytes/import.yaml
must_run 1 predict runs/bytes img -o files.csv -q # as older runs: images as they are
echo 'format: thaw-import' >runs/bytes/import.yaml
run 3 predict runs/bytes img -o files.csv -q
[ "$code" = 3 ] && grep -q "runs/bytes/import.yaml: 'window' is missing" err || complain "a broken recipe: $code $(cat err)"
finish
