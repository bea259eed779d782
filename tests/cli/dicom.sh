#!/usr/bin/env bash
# dicom.sh THAW SOURCE: DICOM files of Debian's python3-pydicom to shards: frames, windows, patients, hashed ids, quarantine.
# shellcheck source=support.sh
. "$(dirname "$0")/support.sh"
files=/usr/lib/python3/dist-packages/pydicom/data/test_files
[ -f $files/CT_small.dcm ] || { echo "skipped: python3-pydicom's files are not installed"; exit 77; }
cd "$work"
mkdir -p scans/ct scans/mr
cp $files/CT_small.dcm scans/ct/Doe^Jane.dcm
cp $files/{693_J2KI,J2K_pixelrep_mismatch}.dcm scans/ct
cp $files/MR_small.dcm scans/mr/1.2.840.113619.2      # no ending that says DICOM
cp $files/{MR_small_RLE,MR_small_jp2klossless,MR_small_jpeg_ls_lossless,MR_truncated,rtplan}.dcm scans/mr
run 1 import scans -o probe --size 64x64 -q
if [ "$code" = 2 ] && grep -q 'without DCMTK' err; then echo "skipped: built without DCMTK" && exit 77; fi

for ranks in 1 3; do
  must_run $ranks import scans -o "shards$ranks" --size 64x64 --split 0.5,0.25,0.25 --id-key key --id-list "list$ranks" \
    --subgroups Modality,Manufacturer
done
diff -r shards1 shards3 >diff.txt || complain "one and three ranks import differently: $(head -3 diff.txt)"
grep -q '16 bits' out || complain "the shards are not of 16 bits: $(cat out)"
[ "$(stat -c %a key)" = 600 ] && [ "$(stat -c %a list1)" = 600 ] || complain "key or list can be read by others"
# Two cannot be images; the four MR files are one patient, in one part.
[ "$(grep -c . shards1/quarantine.csv)" = 3 ] || complain "quarantine: $(cat shards1/quarantine.csv)"
grep -q 'has no PixelData' shards1/quarantine.csv || complain "quarantine lacks a reason: $(cat shards1/quarantine.csv)"
[ "$(grep -lc ',MR,' shards1/*/subgroups.csv | wc -l)" = 1 ] || complain "the MR patient is in several parts"
for name in Doe Jane CompressedSamples 1CT1 4MR1 rtplan MR_ CT_small scans; do
  ! grep -rq "$name" shards1 || complain "the shards name '$name'"
done
grep -q 'Doe^Jane.dcm' list1 || complain "the id list does not name files: $(cat list1)"
# Another key, other ids; plain ids when asked for.
must_run 1 import scans -o other --size 64x64 -q
[ -f other.id-key ] || complain "no other.id-key"
! grep -qFf <(tail -n +2 list1 | cut -d, -f1) <(strings other/*.h5) || complain "two keys give the same ids"
# What two keys hash cannot be compared: the leak check says so, and finds the same look all the same.
run 1 inspect --leaks shards1/train other/catalog.yaml -q
[ "$code" = 3 ] && ! grep -q ' group in\| id in' out || complain "two keys: exit code $code: $(cat out err)"
grep -q 'groups and ids of shards1/train and other/catalog.yaml cannot be compared: .* one --id-key' out || complain "two keys: $(cat out)"
run 1 inspect --leaks shards1/train shards3/train -q
[ "$code" = 3 ] && grep -q ' groups\? in' out && ! grep -q 'cannot be compared' out || complain "one key: $(cat out)"
cat >keys.yaml <<END
name: keys
backbone: {architecture: vgg16, input: [64, 64, 1], cut: block1_pool}
head: [{layer: global_average_pooling}, {layer: dense, units: 2, activation: softmax}]
data: {train: shards1/train/catalog.yaml, validation: other/catalog.yaml}
training: {loss: categorical_crossentropy, batch_size: 4, phases: [{epochs: 1, optimizer: {name: adam}}]}
END
must_run 2 train keys.yaml -q
grep -q 'leak: groups and ids of train and validation cannot be compared: .* one --id-key$' err || complain "a training with two keys: $(cat err)"
must_run 1 import scans -o plain --size 64x64 --keep-ids -q
strings plain/*.h5 | grep -q 'ct/Doe^Jane.dcm' || complain "--keep-ids does not keep ids"

# --- frames and windows
mkdir multi && cp $files/SC_rgb_rle_2frame.dcm multi
must_run 1 import multi -o frames -q
grep -q 'count: 2' frames/catalog.yaml || complain "two frames are not two samples: $(cat frames/catalog.yaml)"
must_run 1 import multi -o middle --frames middle -q
grep -q 'count: 1' middle/catalog.yaml || complain "the middle frame is not one sample"
mkdir one && cp $files/CT_small.dcm one
must_run 1 import one -o windows --window lung,40/400,bone -q
h5dump -H "$(ls windows/*.h5)" | grep -q '1, 128, 128, 3' || complain "three windows are not three channels"
fails 2 "window 'lng': expected full, file" import one -o bad --window lng -q
cp $files/SC_rgb_rle.dcm one
fails 3 'are grey and 1 in colour: choose with --channels' import one -o bad --size 32x32 -q
fails 2 "'Secks' is no DICOM keyword" import one -o bad --subgroups Secks -q
finish
