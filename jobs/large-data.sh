#!/usr/bin/env bash
# large-data.sh THAW [SAMPLES ...]: what a data set of many samples costs (default: 100,000 and 10 million): two ranks get ready
# for a training, and train some seconds. Needs a build with tests (THAW_TESTS) around THAW, 4 GB of disk in TMPDIR, GNU time. Markdown to standard output.
case "${1:-}" in --help | -h | "") sed -n "2,/^[^#]/s/^# \{0,1\}//p" "$0"; exit 0 ;; esac
set -euo pipefail
thaw=$(realpath "$1")
shift
tool=$(dirname "$thaw")/../../tests/cluster/large_data
export OPENBLAS_NUM_THREADS=1 OMPI_MCA_mpi_yield_when_idle=1
[ "$(id -u)" != 0 ] || export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

# data SAMPLES PER_GROUP HASHES: train and validation, a hundredth of it
data() {
  rm -rf train validation
  "$tool" make train "$1" 100 8 "$2" "$3" 1
  "$tool" make validation $(($1 / 100)) 10 8 "$2" "$3" 2
}
# job SHUFFLE LEAKS
job() {
  cat <<YAML
name: large
seed: 1
backbone: {architecture: vgg16, input: [32, 32, 1], cut: block1_conv1}
head:
  - {layer: global_average_pooling}
  - {layer: dense, units: 2, activation: softmax}
data: {train: train/catalog.yaml, validation: validation/catalog.yaml, shuffle: $1, leaks: $2}
cache: {enabled: false}
training:
  loss: categorical_crossentropy
  batch_size: 256
  phases:
    - {epochs: 1, optimizer: {name: adam, learning_rate: 1.0e-3}}
YAML
}
# ready: seconds from start to end without a step, the larger processor time and the memory of two ranks
ready() {
  local start end
  rm -rf runs rank.*
  start=$(date +%s.%N)
  # A rank that ends with 75 would have mpirun kill the other's clock.
  mpirun -np 2 bash -c '/usr/bin/time -f "%U %S %M" -o "rank.$OMPI_COMM_WORLD_RANK" "$@" || [ $? = 75 ]' rank \
    "$thaw" train job.yaml --max-time 0.0001 >train.log 2>&1 || { cat train.log >&2; return 1; }
  end=$(date +%s.%N)
  cat rank.0 rank.1 | awk -v t="$start" -v e="$end" '$1 ~ /^[0-9.]+$/ { c = $1 + $2; if (c > most) most = c; m[n++] = $3 / 1024 }
    END { printf "| %.1f | %.1f | %.0f | %.0f ", e - t, most, m[0], m[1] }'
}
# steps: some seconds of training, stopped by a signal
steps() {
  local launcher code=0
  rm -rf runs
  mpirun -np 2 "$thaw" train job.yaml >train.log 2>&1 &
  launcher=$!
  until grep -q '"start"' runs/large/log.jsonl 2>/dev/null; do
    kill -0 $launcher || { cat train.log >&2; return 1; }
    sleep 0.1
  done
  sleep "${SECONDS_OF_STEPS:-6}"
  kill -USR1 $launcher || true
  wait $launcher || code=$?
  [ $code = 75 ] || [ $code = 0 ] || { cat train.log >&2; return 1; }
  tr '\r' '\n' <train.log | sed -n 's/^.*epoch 1\/1: \(.*\) samples in .* s (\(.*\)\/s), waited \(.*\) for images.*/| \1 | \2 | \3 |/p' | head -n 1 | grep . || echo '| | | |'
}
# row SAMPLES SHUFFLE LEAKS TITLE
row() {
  job "$2" "$3" >job.yaml
  printf '| %s | %s %s' "$1" "$4" "$(ready)"
  steps
}

[ $# -gt 0 ] || set -- 100000 10000000
echo '| training samples | | ready after, s | processor time, s | rank 0, MiB | rank 1, MiB | trained in some seconds | samples/s | waited for images |'
echo '| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |'
for samples; do
  data "$samples" 0 0
  row "$samples" full ignore 'leaks: ignore'
  row "$samples" full refuse 'ids compared'
  row "$samples" chunked refuse 'ids compared, chunked'
  data "$samples" 10 1
  row "$samples" full refuse 'ids, groups and hashes of looks compared'
done
echo
echo '| samples | shuffle | order of an epoch, rank 0 of 2, s | ns per sample | memory, MiB |'
echo '| ---: | --- | ---: | ---: | ---: |'
for samples; do
  for shuffle in full:0:0 chunked:256:8; do
    IFS=: read -r name chunk window <<<"$shuffle"
    "$tool" order "$samples" 256 1 "$chunk" "$window" >/dev/null
    "$tool" order "$samples" 256 2 "$chunk" "$window" | awk -v n="$samples" -v s="$name" '{ printf "| %d | %s | %.2f | %.0f | %.1f |\n", n, s, $1, $1 / n * 2e9, $2 }'
  done
done
