#!/usr/bin/env bash
# jobs/mvtec.sh [options] FOLDER [CATEGORY ...]: MVTec AD, or data in its layout, category by category (default: all of FOLDER)
#
#   --method NAME    padim or patchcore (default padim)
#   --weights FILE   of the pre-trained network (default: VGG16's, fetched by datasets/fetch-vgg16.sh)
#   --ranks N        MPI ranks (default 2)
#   --output FOLDER  where everything goes (default: mvtec, in this project)
#   --supervised     also trains a classifier, good or defect, by jobs/mvtec.yaml: balanced sampling, costs
#   --fit "..."      further options of thaw anomaly fit, as "--size 256x256" or "--tile 512 --merge max"
#
# The layout, as MVTec publishes it (mvtec.com, research, CC BY-NC-SA 4.0; the archive is not fetched here):
#   FOLDER/bottle/train/good/000.png ...
#   FOLDER/bottle/test/good/000.png ..., FOLDER/bottle/test/broken_large/000.png ...
#   FOLDER/bottle/ground_truth/broken_large/000_mask.png ...
# THAW names another build's command. results.csv has a row per category: AUROC of images and pixels, AUPRO.
set -euo pipefail
# shellcheck source=common.sh
. "$(dirname "$(readlink -f "$0")")/common.sh"
method=padim weights='' ranks=2 output=$root/mvtec supervised=no fit=()
while [ $# -gt 0 ]; do
  case $1 in
  --method) method=${2:?--method needs a name} && shift ;;
  --weights) weights=$(readlink -f "${2:-}") && [ -f "$weights" ] || fail "--weights: no file '${2:-}'"; shift ;;
  --ranks) [[ ${2:-} =~ ^[1-9][0-9]*$ ]] || fail "--ranks needs a number, found '${2:-}'"; ranks=$2 && shift ;;
  --output) output=${2:?--output needs a folder} && shift ;;
  --supervised) supervised=yes ;;
  --fit) read -ra fit <<<"${2:-}" && shift ;;
  -h | --help) sed -n '2,17s/^# \{0,1\}//p' "$0" && exit 0 ;;
  -*) fail "unknown option $1 (see --help)" ;;
  *) break ;;
  esac
  shift
done
[ $# -ge 1 ] || fail "which FOLDER? (see --help)"
[ -d "$1" ] || fail "$1: no such folder"
data=$(readlink -f "$1") && shift
categories=("$@")
[ $# -gt 0 ] || for folder in "$data"/*/train/good; do [ -d "$folder" ] && categories+=("$(basename "${folder%/train/good}")"); done
[ ${#categories[@]} -gt 0 ] || fail "$data: no CATEGORY/train/good in it"
for category in "${categories[@]}"; do
  for part in train/good test/good ground_truth; do
    [ -d "$data/$category/$part" ] || fail "$data/$category: no folder $part"
  done
done

find_thaw
find_weights vgg16
mkdir -p "$output" && cd "$output"

# figure FILE KEY: the number of that name in a metrics.json.
figure() { sed -n "s/^  \"$2\": \([0-9.e-]*\|null\),*$/\1/p" "$1"; }

# One classifier per category: good or defect, of all its images.
supervise() {
  local category=$1 folder=supervised/$1
  mkdir -p "$folder"
  {
    echo path,label
    for kind in "$data/$category/train/good" "$data/$category/test"/*; do
      label=defect && [ "$(basename "$kind")" = good ] && label=good
      for image in "$kind"/*; do printf '"%s",%s\n' "$image" "$label"; done
    done
  } >"$folder/list.csv"
  printf 'true,defect,good\ndefect,0,20\ngood,1,0\n' >"$folder/costs.csv"
  run import "$folder/list.csv" --classes good,defect --size 224x224 --channels 3 --split 0.6,0.2,0.2 --overwrite -o "$folder/shards"
  sed "s|^  weights: .*|  weights: $weights|; s|shards/|$output/$folder/shards/|" "$here/mvtec.yaml" >"$folder/job.yaml"
  run train "$folder/job.yaml" --overwrite -o "$folder/run"
  run evaluate "$folder/run" --costs "$folder/costs.csv"
  "$thaw" report "$folder/run"
}

echo category,image_auroc,pixel_auroc,aupro_30 >results.csv
for category in "${categories[@]}"; do
  printf '\n== %s\n' "$category"
  run anomaly fit "$data/$category/train/good" --method "$method" --weights "$weights" "${fit[@]}" -o "$category.h5"
  run anomaly score "$category.h5" "$data/$category/test" --masks "$data/$category/ground_truth" -o "$category"
  metrics=$category/metrics.json
  echo "$category,$(figure "$metrics" image_auroc),$(figure "$metrics" pixel_auroc),$(figure "$metrics" pixel_aupro_30)" >>results.csv
  [ $supervised = no ] || supervise "$category"
done
printf '\n== %s\n' "$method"
awk -F, 'NR == 1 { printf "%-16s %12s %12s %12s\n", $1, $2, $3, $4; next }
  { printf "%-16s %12.4f %12.4f %12.4f\n", $1, $2, $3, $4; for (i = 2; i <= 4; i++) sum[i] += $i }
  END { printf "%-16s %12.4f %12.4f %12.4f\n", "mean", sum[2] / (NR - 1), sum[3] / (NR - 1), sum[4] / (NR - 1) }' results.csv
echo "heat maps: $output/CATEGORY/sheet.png"
