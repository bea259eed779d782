#!/usr/bin/env bash
# layouts.sh THAW SOURCE: the jobs of public data sets on small copies of their layout: PatchCamelyon, CheXpert, the brain MRI of Kaggle.
# shellcheck source=support.sh
. "$(dirname "$0")/support.sh"
golden=$source_folder/tests/image/golden
command -v h5import >/dev/null || { echo "skipped: no h5import (hdf5-tools)"; exit 77; }
cd "$work"
export THAW=$thaw
job() { # NAME ARG ...: a script of jobs/
  code=0
  timeout 120 "$source_folder/jobs/$1" "${@:2}" >out 2>err || code=$?
}

# --- PatchCamelyon: x [n][96][96][3] and y [n][1][1][1], uint8, in files of their own; dark patches and bright ones
h5file() { # NAME DATASET DIMENSIONS: from raw bytes on stdin
  cat >raw
  printf 'PATH %s\nINPUT-CLASS UIN\nINPUT-SIZE 8\nRANK %d\nDIMENSION-SIZES %s\nOUTPUT-CLASS UIN\nOUTPUT-SIZE 8\n' \
    "$2" "$(wc -w <<<"$3")" "$3" >config
  h5import raw -c config -o "$1" >/dev/null
}
mkdir pcam
for row in train:24 valid:8 test:8; do
  split=${row%:*} n=${row#*:}
  for ((i = 0; i < n; i++)); do # text makes detail, tr makes it dark or bright
    seq $((i * 977 + ${#split})) 99999 | head -c 27648 | tr '0-9\n' "$([ $((i % 2)) = 0 ] && echo '\0-\11\20' || echo '\250-\261\240')" || true
  done | h5file "pcam/camelyonpatch_level_2_split_${split}_x.h5" x "$n 96 96 3"
  for ((i = 0; i < n; i++)); do printf "\\$((i % 2))"; done | h5file "pcam/camelyonpatch_level_2_split_${split}_y.h5" y "$n 1 1 1"
done
gzip pcam/camelyonpatch_level_2_split_test_y.h5
before=$(find pcam -name '*.h5*' -size +100k -exec stat -c '%n %i %Y' {} + | sort)
job patch-camelyon.sh pcam --architecture mobilenetv2_0.35 --weights none --epochs 8 --output pcam-out
[ "$code" = 0 ] || complain "patch-camelyon.sh: exit code $code: $(cat err)"
grep -q 'samples  24 in 1 shard' out || complain "PatchCamelyon's layout: $(head -20 out)"
grep -q 'normal' out && grep -q 'tumour' out || complain "PatchCamelyon's classes: $(tail -20 out)"
[ "$before" = "$(find pcam -name '*.h5*' -size +100k -exec stat -c '%n %i %Y' {} + | sort)" ] || complain "the data was touched"
[ "$(du -sk --apparent-size pcam-out | cut -f1)" -lt 20000 ] && ! find pcam-out -name '*x.h5' | grep -q . || complain "the data was copied"
[ -s pcam-out/runs/patch-camelyon/report.html ] || complain "no report"
rm pcam/camelyonpatch_level_2_split_valid_y.h5
job patch-camelyon.sh pcam --architecture mobilenetv2_0.35 --weights none --output pcam-out
[ "$code" = 2 ] && grep -q 'split_valid_y.h5: no such file' err || complain "a missing file: $code $(cat err)"

# --- CheXpert: lists with 1.0, 0.0, -1.0 and blanks, patients as folders
cx=chex/CheXpert-v1.0-small
head='Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Enlarged Cardiomediastinum,Cardiomegaly,Lung Opacity,Lung Lesion,Edema,Consolidation,Pneumonia,Atelectasis,Pneumothorax,Pleural Effusion,Pleural Other,Fracture,Support Devices'
pictures=(grey.jpg rgb444.jpg exif1.jpg exif6.jpg)
mkdir -p $cx
declare -A first=([train]=0 [valid]=64540)
for list in train valid; do
  echo "$head" >$cx/$list.csv
  for ((p = 1; p <= 20; p++)); do
    for view in 1 2; do
      path=CheXpert-v1.0-small/$list/patient$(printf %05d $((p + ${first[$list]})))/study1/view${view}_frontal.jpg
      mkdir -p "chex/$(dirname $path)" && cp "$golden/${pictures[$(((p + view) % 4))]}" chex/$path
      answers=(1.0 0.0 -1.0 "" 1.0 0.0)
      a=() && for k in 0 1 2 3 4; do a+=("${answers[$(((p + k) % 6))]}"); done
      echo "$path,$([ $((p % 2)) = 0 ] && echo Male || echo Female),$((20 + 3 * p)),$([ $view = 1 ] && echo Frontal,AP || echo Lateral,),,,${a[0]},,,${a[1]},${a[2]},,${a[3]},,${a[4]},,," >>$cx/$list.csv
    done
  done
done
job chexpert.sh $cx --architecture mobilenetv2_0.35 --weights none --epochs 2 --size 64 --output chex-out
[ "$code" = 0 ] || complain "chexpert.sh: exit code $code: $(cat err)"
grep -q 'any of 5\|Cardiomegaly' out || complain "CheXpert's findings: $(tail -30 out)"
for group in 'Sex=Male\|Sex.*Male' '60 to 79' 'Lateral'; do grep -q "$group" out || complain "no subgroup $group: $(tail -40 out)"; done
grep -qa 'patient00007' chex-out/shards/*/*.h5 || complain "patients are not the groups"
run 1 inspect --leaks chex-out/shards/train chex-out/shards/validation --distance 0 -q
! grep -q '[0-9] group' out || complain "a patient in two parts: $(cat out)"

# --- the brain MRI of Kaggle: Training and Testing with class folders, trained by jobs/brain-mri.yaml as it is
for part in Training:6 Testing:3; do
  for class in glioma meningioma notumor pituitary; do
    mkdir -p kaggle/${part%:*}/$class
    for ((i = 0; i < ${part#*:}; i++)); do cp "$golden/${pictures[$((i % 4))]}" "kaggle/${part%:*}/$class/${part:0:2}-${class:0:2}_$(printf %04d $i).jpg"; done
  done
done
mkdir jobs
run 2 import kaggle/Training --size 224x224 --channels 3 --split 0.85,0.15,0 --output shards/brain
run 2 import kaggle/Testing --size 224x224 --channels 3 --output shards/brain-test
sed 's/architecture: vgg16/architecture: mobilenetv2_0.35/; /weights:/d; s/epochs: 30/epochs: 2/' "$source_folder/jobs/brain-mri.yaml" >jobs/brain-mri.yaml
run 2 train jobs/brain-mri.yaml
[ "$code" = 0 ] || complain "brain-mri.yaml: exit code $code: $(cat err)"
grep -q 'looks like\|look like' err || complain "the same pictures in two parts are not told: $(cat err)"
run 1 evaluate runs/brain-mri
[ "$code" = 0 ] || complain "brain-mri evaluation: exit code $code: $(cat err)"
for class in glioma meningioma notumor pituitary; do grep -q $class out || complain "no class $class: $(cat out)"; done
finish
