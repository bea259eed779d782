#!/usr/bin/env bash
# nifti.sh THAW SOURCE: NIfTI volumes to shards: slices, axes, windows, patients, hashed ids, quarantine.
# shellcheck source=support.sh
. "$(dirname "$0")/support.sh"
golden=$source_folder/tests/nifti/golden
cd "$work"
must_run() {
  run "$@"
  [ "$code" = 0 ] || { complain "thaw ${*:2} on $1 ranks: exit code $code: $(cat err)"; finish; }
}
# BIDS names, a folder per patient, a file per patient; two broken ones.
mkdir -p vol/glioma/sub-07/anat vol/glioma/Smith vol/none
cp "$golden"/int16.nii vol/glioma/sub-07/anat/sub-07_T1w.nii
cp "$golden"/turned1.nii.gz vol/glioma/sub-07/anat/sub-07_T2w.nii.gz
cp "$golden"/turned2.nii.gz vol/glioma/Smith/t1.nii.gz
cp "$golden"/scaled.nii.gz vol/glioma/Smith/t2.NII.GZ
cp "$golden"/uint16.nii vol/none/Miller.nii
cp "$golden"/second.nii.gz vol/none/Jones.nii.gz
head -c 300 "$golden"/turned4.nii.gz >vol/none/cut.nii.gz
head -c 400 "$golden"/int16.nii >vol/none/short.nii
for ranks in 1 3; do
  must_run $ranks import vol -o shards$ranks --size 16x16 --split 0.5,0.25,0.25 --id-key key --id-list list$ranks --shard-samples 5
done
diff -r shards1 shards3 >difference || complain "one and three ranks import differently: $(head -3 difference)"
grep -q '16 bits, 2 classes' out || complain "not of 16 bits: $(cat out)"
[ "$(grep -c . shards1/quarantine.csv)" = 3 ] || complain "quarantine: $(cat shards1/quarantine.csv)"
grep -q 'gzip file ends too early\|end early' shards1/quarantine.csv || complain "no reason: $(cat shards1/quarantine.csv)"
grep -q 'the header tells 240 bytes of voxels' shards1/quarantine.csv || complain "no reason: $(cat shards1/quarantine.csv)"
for name in Smith Miller Jones sub-07 T1w vol; do
  ! grep -rqa "$name" shards1 || complain "the shards name '$name'"
done
grep -q 'glioma/Smith/t1.nii.gz' list1 || complain "the list of ids names no files: $(head -3 list1)"
# The slices of a patient, whatever the file, are one group; the groups: sub-07, Smith, Miller, Jones.
must_run 1 import vol -o plain --size 16x16 --keep-ids -q
h5dump -d /groups plain/*.h5 | sed -n '/DATA {/,/}/p' | grep -oE '"[a-zA-Z][^"\\]+' | sort | uniq -c >groups
[ "$(tr -d '\n" ' <groups)" = 8glioma/Smith6none/Jones4none/Miller9sub-07 ] || complain "groups: $(cat groups)"
must_run 1 import vol -o folder --size 16x16 --keep-ids --group-folder 1 -q
h5dump -d /groups folder/*.h5 | grep -q '"glioma' || complain "--group-folder: $(h5dump -d /groups folder/*.h5 | head -20)"

# --- axes, frames, windows
mkdir one && cp "$golden"/int16.nii one/scan.nii
count() { sed -n 's/^count: //p' "$1/catalog.yaml"; }
image() { sed -n 's/^image: //p' "$1/catalog.yaml"; }
for row in axial:4:5x6 coronal:5:4x6 sagittal:6:4x5; do
  IFS=: read -r axis slices size <<<"$row"
  must_run 1 import one -o $axis --axis $axis -q
  [ "$(count $axis)" = "$slices" ] && image $axis | grep -q "height: ${size%x*}, width: ${size#*x}, channels: 1, bits: 16" ||
    complain "$axis: $(count $axis) slices, $(image $axis)"
done
must_run 1 import one -o middle --frames middle -q
[ "$(count middle)" = 1 ] || complain "the middle slice: $(count middle)"
must_run 1 import one -o stack --frames stack -q
image stack | grep -q 'channels: 3, bits: 16' || complain "a stack: $(image stack)"
must_run 1 import one -o windows --window lung,brain,bone -q
image windows | grep -q 'channels: 3, bits: 16' || complain "windows: $(image windows)"
must_run 1 import one -o volume --window volume -q
mkdir byte && cp "$golden"/uint8.nii byte
must_run 1 import byte -o bytes -q
image bytes | grep -q 'bits: 8' || complain "uint8: $(image bytes)"
echo 'path,label,group
vol/none/Miller.nii,a,p1
one/scan.nii,b,p2' >list.csv
must_run 1 import list.csv -o listed --size 8x8 --keep-ids -q
h5dump -d /groups listed/*.h5 | grep -q '"p1' || complain "groups of a list: $(h5dump -d /groups listed/*.h5)"
finish
