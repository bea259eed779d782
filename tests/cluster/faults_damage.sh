#!/usr/bin/env bash
# faults_damage.sh THAW SOURCE [TIMES [SEED]]: flips TIMES (200) random bits, one at a time, in shards, weights, cache and checkpoint, and cuts
# each short ten times: every change is found, with a message that names the file, or harmless to the bit. damage.c does it in one
# process; some more changes each are made as a user would meet them, by the command with its exit code.
set -u
thaw=$1 source=$2 times=${3:-200} seed=${4:-1}
RANDOM=$seed
[ -w /dev/shm ] && base=/dev/shm # the files are written thousands of times
. "$(dirname "$0")/common.sh"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OPENBLAS_NUM_THREADS=1
damage=$(dirname "$make_data")/../cluster/damage
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

# flip FILE: one random bit
flip() {
  local size offset byte
  size=$(stat -c %s "$1")
  offset=$(((RANDOM * 32768 + RANDOM) % size))
  byte=$(od -An -tu1 -j "$offset" -N 1 "$1")
  # shellcheck disable=SC2059
  printf "\\x$(printf %02x $((byte ^ (1 << RANDOM % 8))))" | dd of="$1" bs=1 seek="$offset" conv=notrunc status=none
}
# by_command WHAT FILE NAMED JOB STARTED: six flips and a cut, each met by the command
by_command() {
  local i options code found
  cp "$2" whole.h5
  for ((i = 0; i < 7; i++)); do
    if [ $i -lt 6 ]; then flip "$2"; else truncate -s $(($(stat -c %s "$2") / 2)) "$2"; fi
    rm -rf run
    options=()
    [ "$5" = - ] || { cp -r "$5" run && options=(--resume); }
    found=$(train "$4" run "${options[@]}")
    code=$?
    if [ $code = 0 ] && [ "$found" = "$expected" ]; then :; elif [ $code = 3 ] && grep -q "^error: .*$3" err.txt; then :; else
      fail "$1, by the command: code $code, '$found' instead of $expected: $(cat err.txt)"
    fi
    cp whole.h5 "$2"
  done
}
# damaged WHAT FILE NAMED JOB STARTED
damaged() {
  local outcome
  rm -rf run
  timeout 600 "$damage" "$times" 10 "$seed" "$4.yaml" run "$5" "$2" "$3" "$expected" >damage.log || { fail "$1: code $?"; cat damage.log; }
  outcome=$(tail -1 damage.log)
  row "$times bits flipped, 10 cuts" "$1" "$outcome"
  case $outcome in *" 0 wrong") ;; *) fail "$1: $outcome" ;; esac
  case $outcome in "0 detected, 0 repaired"*) fail "$1: no change was noticed" ;; esac
  by_command "$@"
}

damaged "shard" train/part-00001.h5 part-00001.h5 plain -
cached=$(find cache -name 'block-000001.h5' -printf '%s %p\n' | sort -rn | head -1 | cut -d' ' -f2) # of the training data
damaged "feature cache" "$cached" "${cached##*/}" cached -
rm -rf started && cp -r reference started
rm -f started/step-000000012.h5 # of a run whose last epoch is missing
newest=$(ls started/step-*.h5 | tail -1)
damaged "newest checkpoint" "$newest" "${newest##*/}" plain started
damaged "weights, on --resume" weights.h5 weights plain started
exit $((failures > 0))
