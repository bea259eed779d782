#!/usr/bin/env bash
# checkpoint-overhead.sh THAW CATALOG [EVERY]: what checkpoints cost the training. CATALOG has images of 32 x 32 or more; the same epoch
# is trained without checkpoints and with one every EVERY minutes (default 0.1), on one processor that does the writing, too. Markdown to standard output.
case "${1:-}" in --help | -h | "") sed -n "2,/^[^#]/s/^# \{0,1\}//p" "$0"; exit 0 ;; esac
set -euo pipefail
thaw=$1 catalog=$(realpath "$2") every=${3:-0.1}
export OPENBLAS_NUM_THREADS=1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

# train NAME LIVE EPOCHS MINUTES: seconds of training and number of checkpoints in mid-epoch
train() {
  cat > "$1.yaml" <<YAML
name: $1
seed: 1
output: $1
backbone: {architecture: vgg16, input: [${SIZE:-96}, ${SIZE:-96}, 3]}
head:
  - {layer: global_average_pooling}
  - {layer: dense, units: 128, activation: relu}
  - {layer: dense, units: 3, activation: softmax}
data: {train: $catalog}
training:
  loss: categorical_crossentropy
  batch_size: 16
  checkpoint: {every_minutes: $4, every_epochs: 0}
  phases:
    - {epochs: $3, unfreeze: $2, optimizer: {name: adam, learning_rate: 1.0e-5}}
YAML
  taskset -c "${CPU:-0}" "$thaw" train "$1.yaml" > "$1.log" 2>&1 || { cat "$1.log" >&2; return 1; }
  awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "seconds") c = i } NR > 1 { s += $c } END { printf "%.3f ", s }' "$1/metrics.csv"
  grep -c '"checkpoint".*step-' "$1/log.jsonl" || true
  cp "$(find "$1" -name 'step-*.h5' | head -n 1)" last.h5
}

# row TITLE LIVE EPOCHS
row() {
  local without with
  without=$(train without "$2" "$3" 0)
  with=$(train with "$2" "$3" "$every")
  rm -rf without with
  awk -v t="$1" -v a="$without" -v b="$with" -v bytes="$(stat -c %s last.h5)" 'BEGIN {
    split(a, x, " "); split(b, y, " "); n = y[2] - x[2]; each = n ? (y[1] - x[1]) / n : 0
    printf "| %s | %.1f | %.2f | %.2f | %d | %.3f | %.2f %% |\n", t, bytes / 1e6, x[1], y[1], n, each, 100 * each / 60 }'
}

echo '| trained | file, MB | seconds without | seconds with | checkpoints | seconds each | at one a minute |'
echo '| --- | ---: | ---: | ---: | ---: | ---: | ---: |'
row 'all of VGG16' all "${EPOCHS:-1}"
row 'head, from the cache' none "${HEAD_EPOCHS:-400}"
