#!/usr/bin/env bash
# clinic.sh THAW SOURCE: DICOM as archives have it: inverted kinds, stacks over frames and over the files of a series, missing tags,
# kinds without a codec, cut files; and no name of a person in anything that is written or printed.
# shellcheck source=support.sh
. "$(dirname "$0")/support.sh"
here=$(cd "$(dirname "$0")" && pwd)
/usr/bin/python3 -c 'import pydicom' 2>/dev/null || { echo "skipped: python3-pydicom is not installed"; exit 77; }
files=/usr/lib/python3/dist-packages/pydicom/data/test_files
cd "$work"
/usr/bin/python3 "$here/make_clinic.py" dicom
must_run() {
  run "$@"
  [ "$code" = 0 ] || { complain "thaw ${*:2} on $1 ranks: exit code $code: $(cat err)"; finish; }
  cat out err >>printed
}
run 1 import dicom/mono -o probe -q
if [ "$code" = 2 ] && grep -q 'without DCMTK' err; then echo "skipped: built without DCMTK" && exit 77; fi

# --- MONOCHROME1: the smallest value is white
must_run 1 import dicom/mono -o mono --keep-ids -q
h5dump -y -w 0 -d /images mono/data-00000.h5 | sed -n '/DATA {/,/}/p' | grep -oE '[0-9]+' >numbers.txt
[ "$(wc -l <numbers.txt)" = 32 ] || complain "mono: $(cat numbers.txt)"
paste <(head -16 numbers.txt) <(tail -16 numbers.txt) | awk '$1 + $2 != 65535 || $1 != 1000 * (NR - 1) { bad = 1 } END { exit bad }' ||
  complain "MONOCHROME1 is not the inverse of MONOCHROME2: $(tr '\n' ' ' <numbers.txt)"

# --- stacks: order by position, by number, by name; ends repeat themselves
stack() { # FOLDER EXPECTED: before self after of every file in the order of names
  must_run 2 import "dicom/$1" -o "stack-$1" --frames stack --keep-ids -q
  h5dump -y -w 0 -d /images -s 0,0,0,0 -c "$(grep -c . <<<"$2"),1,1,3" "stack-$1/data-00000.h5" |
    sed -n '/DATA {/,/}/p' | grep -oE '[0-9]+' | paste -d ' ' - - - >got
  diff <(echo "$2") got >difference || complain "stack of $1: $(cat difference)"
}
stack series $'300 400 500\n100 100 200\n400 500 500\n100 200 300\n200 300 400'
stack numbers $'300 400 500\n100 100 200\n400 500 500\n100 200 300\n200 300 400'
stack names $'100 100 200\n100 200 300\n200 300 300'
grep -q '1 series have neither ImagePositionPatient nor InstanceNumber' err || complain "no order is not told: $(cat err)"
stack single '700 700 700'
fails 2 'three windows and neighbouring' import dicom/series -o bad --frames stack --window lung,brain,bone --strict -q
mkdir multi && cp $files/SC_rgb_rle_2frame.dcm multi
must_run 1 import multi -o frames --frames stack -q
grep -q 'count: 2' frames/catalog.yaml || complain "frames: $(cat frames/catalog.yaml)"

# --- a broken neighbour breaks the stack, and is named by its id
for ranks in 1 3; do must_run $ranks import dicom/torn -o torn$ranks --frames stack --id-key key; done
[ "$(grep -c 'its neighbour [0-9a-f]* in the series' torn1/quarantine.csv)" = 2 ] || complain "torn: $(cat torn1/quarantine.csv)"
diff -r torn1 torn3 >/dev/null || complain "three ranks tear differently"

# --- broken files: every one in quarantine with its own reason, counted, in a class of two patients
must_run 2 import dicom/broken -o broken --size 8x8 --id-key key
grep -q '12 of 14 images are broken and left out' err || complain "not counted: $(cat err)"
for reason in 'has no Rows' 'has no Columns' 'has no BitsAllocated' 'has no PhotometricInterpretation' 'has no PixelData' \
  "'PALETTE COLOR' cannot be imported" 'RescaleSlope is 0' '1.2.840.10008.1.2.4.100 ' '1.2.840.10008.1.2.4.92 ' '1.2.840.10008.1.2.4.102'; do
  [ "$(grep -c -- "$reason" broken/quarantine.csv)" = 1 ] || complain "no reason '$reason': $(cat broken/quarantine.csv)"
done
fails 3 '12 of 14 images are broken; the first: ' import dicom/broken -o bad --size 8x8 --strict -q
cat err >>printed
must_run 1 import dicom/orphan -o orphan -v
grep -q 'neither PatientID nor StudyInstanceUID: each is a group of its own' err || complain "orphan: $(cat err)"

# --- no name of a person anywhere: shards, catalogues, lists, messages, a trained run and its report
must_run 1 import dicom/series -o shards --size 32x32 --id-key key --subgroups PatientSex,Modality -v
cat >job.yaml <<END
name: phi
backbone: {architecture: mobilenetv2_0.35, input: [32, 32, 1]}
head: [{layer: global_average_pooling}, {layer: dense, units: 2, activation: softmax}]
data: {train: broken2/train/catalog.yaml, validation: broken2/validation/catalog.yaml}
training: {loss: categorical_crossentropy, batch_size: 2, phases: [{epochs: 1, optimizer: {name: adam}}]}
END
must_run 1 import dicom/broken -o broken2 --size 32x32 --split 1,1,0 --id-key key --subgroups PatientSex -v
must_run 2 train job.yaml -v
must_run 1 evaluate runs/phi --operating-point 0.5 -v
must_run 1 predict runs/phi broken2/train -v
must_run 1 report runs/phi -v
must_run 1 inspect broken2/train --sheet sheet.png
rm -rf dicom frames multi mono stack-* # what was asked to keep ids, and the source
grep -qa . printed || complain "nothing was printed"
for name in Quuxley Zebediah PHI- 4711; do
  found=$(grep -rla -- "$name" . || true)
  [ -z "$found" ] || complain "'$name' is in $found"
done
finish
