#!/usr/bin/env bash
# faults_damage.sh THAW SOURCE [TIMES [SEED]]: flips TIMES random bits, one at a time, in shards, weights, cache and checkpoint, and cuts each
# short ten times: every change is detected, with a message that names the file, or harmless to the bit.
set -u
thaw=$1 source=$2 times=${3:-200}
RANDOM=${4:-1}
. "$(dirname "$0")/common.sh"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OPENBLAS_NUM_THREADS=1
"$make_data" train 40 3 32 2 1 && "$make_data" validation 9 3 32 1 2 || exit 1

# job NAME WEIGHTS CACHE
job() {
  cat >"$1.yaml" <<YAML
name: damage
seed: 5
backbone: {architecture: vgg16, input: [32, 32, 3], cut: block1_pool$2}
head:
  - {layer: global_average_pooling}
  - {layer: dense, units: 3, activation: softmax}
data: {train: train/catalog.yaml, validation: validation/catalog.yaml}
cache: {$3}
training: {loss: categorical_crossentropy, batch_size: 16, optimizer: adam, epochs: 4, checkpoint: {keep_last: 3}}
YAML
}
job base "" "enabled: false"
"$thaw" train base.yaml -o base -q >/dev/null 2>&1 && "$thaw" export base -o weights.h5 -q >/dev/null 2>&1 || { echo "no weights"; exit 1; }
job plain ", weights: weights.h5" "enabled: false"
job cached ", weights: weights.h5" "folder: cache"
train() { # JOB OUTPUT [OPTION ...]: the digest, and the messages in err.txt
  local name=$1 output=$2
  shift 2
  timeout 60 "$thaw" train "$name.yaml" -o "$output" -q "$@" 2>err.txt | sed -n 's/^parameters sha256 //p'
  return "${PIPESTATUS[0]}"
}
expected=$(train plain reference) && [ -n "$expected" ] || { cat err.txt; exit 1; }
[ "$(train cached reference2)" = "$expected" ] || { echo "cached: $(cat err.txt)"; exit 1; }

# flip FILE: one random bit; cut FILE: a random length
flip() {
  local size offset byte
  size=$(stat -c %s "$1")
  offset=$(((RANDOM * 32768 + RANDOM) % size))
  byte=$(od -An -tu1 -j "$offset" -N 1 "$1")
  # shellcheck disable=SC2059
  printf "\\x$(printf %02x $((byte ^ (1 << RANDOM % 8))))" | dd of="$1" bs=1 seek="$offset" conv=notrunc status=none
}
cut_short() {
  truncate -s $(((RANDOM * 32768 + RANDOM) % $(stat -c %s "$1"))) "$1"
}

# judge WHAT FILE: counts after a run whose digest is $found and code $code
detected=0 harmless=0 repaired=0 wrong=0
judge() {
  if [ "$code" = 0 ] && [ "$found" = "$expected" ]; then
    if grep -q "^warning: .*$2" err.txt; then repaired=$((repaired + 1)); else harmless=$((harmless + 1)); fi
  elif [ "$code" = 3 ] && grep -q "^error: .*$2" err.txt; then
    detected=$((detected + 1))
  else
    wrong=$((wrong + 1))
    fail "$1: code $code, $found instead of $expected: $(cat err.txt)"
    cp "$file" "/tmp/thaw-damaged-$wrong.h5"
  fi
}
# damage WHAT FILE NAMED COMMAND...: changes FILE again and again and runs COMMAND
damage() {
  local what=$1 named=$3 i change
  file=$2
  shift 3
  detected=0 harmless=0 repaired=0 wrong=0
  cp "$file" whole.h5
  for ((i = 0; i < times + 10; i++)); do
    change=flip
    [ $i -lt "$times" ] || change=cut_short
    "$change" "$file"
    found=$("$@")
    code=$?
    judge "$what" "$named"
    cp whole.h5 "$file"
  done
  row "$times bits flipped, 10 cuts" "$what" "$detected detected, $repaired repaired, $harmless harmless, $wrong wrong"
}

fresh() {
  rm -rf run
  train "$1" run
}
damage "shard" train/part-00001.h5 "part-00001.h5" fresh plain
cached=$(find cache -name '*.h5' -size +1k | head -1)
damage "feature cache" "$cached" "${cached##*/}" fresh cached
rm -rf started && cp -r reference started
rm -f started/step-000000012.h5 started/step-000000009.h5.keep
newest=$(ls started/step-*.h5 | tail -1)
resume() { # of a run whose last epoch is missing
  rm -rf run && cp -r started run
  train "${1:-plain}" run --resume
}
damage "newest checkpoint" "$newest" "${newest##*/}" resume
damage "weights, on --resume" weights.h5 "weights" resume
exit $((failures > 0))
