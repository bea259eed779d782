#!/usr/bin/env bash
# dicom_example.sh THAW SOURCE: jobs/dicom-example.sh with a small untrained network: every file is counted, and nobody is named.
# shellcheck source=support.sh
. "$(dirname "$0")/support.sh"
files=/usr/lib/python3/dist-packages/pydicom/data/test_files
/usr/bin/python3 -c 'import pydicom' 2>/dev/null && [ -f $files/CT_small.dcm ] || { echo "skipped: python3-pydicom is not installed"; exit 77; }
cd "$work"
mkdir one && cp $files/CT_small.dcm one
run 1 import one -o probe -q
if [ "$code" = 2 ] && grep -q 'without DCMTK' err; then echo "skipped: built without DCMTK" && exit 77; fi
export THAW=$thaw
job() {
  code=0
  timeout 120 "$source_folder/jobs/dicom-example.sh" "$@" >out 2>err || code=$?
}
job --architecture mobilenetv2_0.35 --weights none --size 32 --epochs 2 --output ex
[ "$code" = 0 ] || { complain "exit code $code: $(tail -20 out) $(cat err)"; finish; }

# Every link is an image or in quarantine, and the reasons add up.
links=$(find ex/scans -type l | wc -l) broken=$(tail -n +2 ex/shards/quarantine.csv | wc -l)
stored=$(sed -n 's/^count: //p' ex/shards/{train,test}/catalog.yaml | awk '{ n += $1 } END { print n }')
[ "$links" = 90 ] && [ "$broken" = 51 ] && [ "$stored" = 39 ] || complain "$links links, $stored images, $broken broken"
grep -q "$broken of $links images are broken and left out" err || complain "not counted: $(cat err)"
sed -n '/^broken, by reason/,/^$/p' out | awk '/ID: / { n += $1 } END { exit n != '"$broken"' }' || complain "reasons: $(cat out)"
# Copies of one SOPInstanceUID are told apart.
grep -q '7 images have the id' err || complain "copies are not told: $(cat err)"
[ -z "$(cat ex/shards/*/subgroups.csv | cut -d, -f1 | grep -v '^id$' | sort | uniq -d)" ] || complain "an id stands for two images"
grep -q 'Manufacturer=GE MEDICAL SYSTEMS' out && grep -q 'PatientSex=F .* 1 ' out || complain "subgroups: $(cat out)"
grep -q 'in common' out && ! grep -q 'group.* in shards/train and shards/test' out || complain "a patient in two parts: $(cat out)"
[ "$(grep -c '_small.*dcm,\(CT\|MR\),' out)" = 2 ] || complain "no predictions of DICOM files: $(cat out)"
grep -q 'Grad-CAM' ex/runs/ct-or-mr/report.html || complain "no Grad-CAM in the report"
for name in CompressedSamples Doe Citizen CQ500 98890234; do
  found=$(grep -rlaw -- "$name" ex --exclude-dir=scans || true)
  [ -z "$found" ] || complain "'$name' is in $found"
done
job --architecture resnet50
[ "$code" = 2 ] && grep -q -- '--weights FILE: the weights of resnet50, or none' err || complain "no weights: $code $(cat err)"
THAW_DICOM=$work job --weights none
[ "$code" = 2 ] && grep -q 'no DICOM files there' err || complain "no files: $code $(cat err)"
finish
