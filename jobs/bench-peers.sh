#!/usr/bin/env bash
# jobs/bench-peers.sh [options]: thaw and its peers on the same core, one after the other, in one table of ratios.
#
#   --networks A,B,...  default vgg16,resnet50,mobilenetv2,densenet121; all: every network of jobs/peers/peers.py
#   --peers A,B,...     default torch,keras,onnxruntime,openvino
#   --seconds S         time per measurement (default 6)
#   --core N            the core that everything is pinned to (default 0)
#   --output FILE       default jobs/results/<date>-<cpu>.md
#   --results FILE      keep the measurements here and show all that the file holds: a table in several runs
#   --isa avx2          every program limited to AVX2 on a processor that has more, where it has a switch for that: thaw,
#                       PyTorch, oneDNN (in TensorFlow and OpenVINO too); TensorFlow's own loops are as they were
#                       compiled, and onnxruntime has no such switch: its column is with all that the processor has
#   --no-heads          networks only, no head training
#   --training          training with live layers only: VGG16 and ResNet50 with their last block live, VGG16 all live
#   --onnx FOLDER       where the networks' ONNX files are kept (default: thrown away)
#   --export-only       write the ONNX files, measure nothing
#
# The peers are installed with pip in a throw-away environment (about 3 GB, build-peers/), or taken from the environment
# that THAW_PEERS_VENV names. Measured: the frozen forward at each network's own image size, batch 16, float32, of each
# peer in its best mode; an epoch of a VGG16 head with recomputed features; head training from given features. With --training:
# steps with live layers, 224x224, batch 32, Adam, from images and (thaw) from cached features, and the most memory held.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
root=$(dirname "$here")
networks=vgg16,resnet50,mobilenetv2,densenet121 peers=torch,keras,onnxruntime,openvino seconds=6 core=0 output='' heads=1 onnx='' isa='' measure=1 training=0 results=''
while [ $# -gt 0 ]; do
  case $1 in
  --networks) networks=$2 && shift ;;
  --peers) peers=$2 && shift ;;
  --seconds) seconds=$2 && shift ;;
  --core) core=$2 && shift ;;
  --output) output=$2 && shift ;;
  --results) results=$2 && shift ;;
  --isa) isa=$2 && shift ;;
  --no-heads) heads=0 ;;
  --training) training=1 ;;
  --onnx) onnx=$2 && shift ;;
  --export-only) measure=0 ;;
  -h | --help) sed -n '2,23s/^# \{0,1\}//p' "$0" && exit 0 ;;
  *) echo "bench-peers.sh: unknown option $1 (see --help)" >&2 && exit 2 ;;
  esac
  shift
done
if [ "$networks" = all ]; then
  networks=vgg16,vgg19,resnet50,resnet101,resnet152,resnet50v2,resnet101v2,resnet152v2,densenet121,densenet169,densenet201
  networks+=,inceptionv3,xception,mobilenet,mobilenetv2,efficientnetb0,efficientnetb1,efficientnetb2,efficientnetb3,resnet18,resnet34
fi
IFS=, read -ra networks <<<"$networks"
IFS=, read -ra peers <<<"$peers"
cpu=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1)
flags=$(grep -m1 '^flags' /proc/cpuinfo)
limit=()
case $isa in
'') case $flags in *avx512f*) isa=AVX-512 ;; *avx2*) isa=AVX2 ;; *) isa="no AVX2" ;; esac ;;
avx2)
  # PyTorch's own loops; oneDNN by its name of today and by that of its older versions
  export ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 DNNL_MAX_CPU_ISA=AVX2
  isa='limited to AVX2' limit=(--isa avx2)
  ;;
*) echo "bench-peers.sh: --isa is avx2 or left out, found $isa" >&2 && exit 2 ;;
esac
output=${output:-$here/results/$(date +%F)-$(tr -cs 'A-Za-z0-9' '-' <<<"$cpu $isa" | tr 'A-Z' 'a-z' | sed 's/-*$//').md}

venv=${THAW_PEERS_VENV:-$root/build-peers/venv}
if [ ! -x "$venv/bin/python" ]; then
  echo "installing the peers into $venv"
  python3 -m venv "$venv"
  "$venv/bin/pip" --quiet --disable-pip-version-check install --only-binary=:all: numpy torch torchvision tensorflow-cpu keras \
    onnx onnxscript onnxruntime openvino
fi
"$here/install-packages.sh" build
{ cmake -S "$root" -B "$root/build-release" -G Ninja -DTHAW_TESTS=OFF && ninja -C "$root/build-release"; } >/dev/null
thaw=$root/build-release/src/cli/thaw

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
onnx=${onnx:-$folder}
mkdir -p "$onnx"
results=${results:-$folder/results.csv}
touch "$results"
export OMP_NUM_THREADS=1 CUDA_VISIBLE_DEVICES=
pinned() { taskset -c "$core" "$@"; }

# peer ARGUMENTS: one run of peers.py; a peer that fails is left out of the table, with its reason on the terminal.
peer() {
  env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE taskset -c "$core" "$venv/bin/python" "$here/peers/peers.py" "$@" \
    --seconds "$seconds" --folder "$onnx" 2>"$folder/log" | grep -E '^(forward|epoch|head|train|memory),' | tee -a "$results" ||
    { [ "$2" = export ] || echo "no result: $*: $(tail -1 "$folder/log")" >&2; }
}
has() { [[ " ${peers[*]} " == *" $1 "* ]]; }

# thaw_line TASK NETWORK [OPTION ...]: the rate that 'thaw bench' prints as "... N images/s" or "... N samples/s".
thaw_line() {
  local task=$1 network=$2
  shift 2
  pinned "$thaw" bench --seconds "$seconds" "${limit[@]}" "$@" | tee "$folder/log" |
    sed -nE "s|^total .*[^0-9.]([0-9.]+) (images\|samples)/s.*|$task,$network,thaw,$isa,\1|p" | tail -1 | tee -a "$results"
}

# thaw_training NETWORK LIVE: images/s from images and from cached features, and the memory of the whole process in MB.
thaw_training() {
  pinned "$thaw" bench --seconds "$seconds" "${limit[@]}" --network "$1" --unfreeze "$2" --batch 32 >"$folder/log"
  sed -nE -e "s|^from images: total .* ([0-9.]+) images/s|train,$1 $2,thaw,from images,\\1|p" \
    -e "s|^from cached features: total .* ([0-9.]+) images/s|train,$1 $2,thaw cached,from cached features,\\1|p" \
    -e "s|^memory: whole process at most ([0-9.]+) MB|memory,$1 $2,thaw,,\\1|p" \
    -e "s|^memory: whole process at most ([0-9.]+) GB|memory,$1 $2,thaw,,\\1e3|p" "$folder/log" | tee -a "$results"
}
# measure_training NETWORK LIVE
measure_training() {
  thaw_training "$1" "$2"
  if has torch; then for mode in nhwc nchw; do peer torch train "$1" --live "$2" --mode $mode; done; fi
  if has keras; then peer keras train "$1" --live "$2"; fi
}

export_onnx() {
  if [ ! -s "$onnx/$1.onnx" ] && { has onnxruntime || has openvino; }; then peer keras export "$1"; fi
}
if [ "$measure" = 0 ]; then
  for network in "${networks[@]}"; do export_onnx "$network"; done
  exit 0
fi

if [ "$training" = 1 ]; then
  measure_training vgg16 block5
  measure_training resnet50 conv5
  measure_training vgg16 all
  networks=() heads=0
fi
for network in "${networks[@]}"; do
  thaw_line forward "$network" --network "$network" --batch 16 --no-layers
  export_onnx "$network"
  for name in "${peers[@]}"; do peer "$name" forward "$network"; done
done
[ "$heads" = 0 ] || thaw_line head "" --head --batch 64
for name in torch keras; do
  [ "$heads" = 1 ] && has $name || continue
  peer $name head
  peer $name epoch
done

mkdir -p "$(dirname "$output")"
python3 "$here/peers/table.py" "$results" "$cpu ($isa), core $core of $(nproc --all)" "$(uname -sr), $(date +%F)" | tee "$output"
echo "saved as $output"
