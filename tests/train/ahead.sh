#!/usr/bin/env bash
# ahead.sh THAW SOURCE: features for the cuts of later phases are made by the pass of the first one: the same bits as without, on any
# number of ranks, after kills in the middle, and where there is room for some or none of them.
. "$2/tests/train/support.sh"

"$make_data" train 90 3 32 2 1 && "$make_data" validation 20 3 32 1 2 || exit 1
three='{epochs: 2}; {epochs: 1, unfreeze: block5}; {epochs: 1, unfreeze: block4}'

# job NAME CACHE KEYS [PHASES [ARCHITECTURE]]
job() {
  cat > "$1.yaml" <<YAML
name: $1
seed: 4
backbone: {architecture: ${4:-vgg16}, input: [32, 32, 3]}
head:
  - {layer: global_average_pooling}
  - {layer: dense, units: 3, activation: softmax}
data:
  train: train/catalog.yaml
  validation: validation/catalog.yaml
  augment: {horizontal_flip: true, rotation: 15, brightness: 0.1, views: 2}
cache: {folder: $1-cache$2}
training:
  loss: categorical_crossentropy
  batch_size: 16
  optimizer: {name: adam, learning_rate: 1.0e-4}
  phases:
$(printf '    - %s\n' "${3:-$three}" | sed 's/; /\n    - /g')
YAML
}
run() { # RANKS JOB OUTPUT [OPTION ...]
  local ranks=$1 job=$2 output=$3
  shift 3
  timeout 200 "$mpirun" "$ranks" "$thaw" train "$job.yaml" -o "$output" "$@" > "$output.log" 2>&1
}
passes() { # NAME COUNT: how often the frozen network ran over some data
  local found
  found=$(grep -cE '^features( of view [0-9]+)?: ' "$1.log")
  [ "$found" = "$2" ] || fail "$1: $found passes of the frozen network instead of $2"
}
says() { grep -qE "$2" "$1.log" || fail "$1: no line with '$2'"; }
whole() { # NAME: no two passes for one image: every entry is complete
  "$thaw" inspect cache "$1-cache" > entries.txt || fail "inspect cache $1-cache"
  awk 'NR > 1 && $7 ~ "/" { split($7, b, "/"); if (b[1] != b[2]) exit 1 }' entries.txt || fail "$1: $(cat entries.txt)"
}

# Phase 1 has two views, phase 2 uses the first and phase 3 the second; validation data are passed once.
job on ''
job off ', ahead: false'
run 1 off off || { cat off.log; exit 1; }
passes off 7
for ranks in 1 3; do
  rm -rf on-cache
  run "$ranks" on "on$ranks"
  passes "on$ranks" 3
  says "on$ranks" 'kept along the way: block4_pool and block3_pool'
  same_as off "on$ranks"
  whole on
done
run 2 on warm
passes warm 0
same_as off warm
"$thaw" inspect on.yaml > inspect.txt && grep -q 'kept along for later phases .*MB' inspect.txt || fail "inspect: $(tail -3 inspect.txt)"

# The keys are those that the phases would have by themselves.
sed 's/off-cache/on-cache/' off.yaml > shared.yaml
run 3 shared shared
passes shared 0
same_as off shared

# Killed in the middle, again and again, on other numbers of ranks; nothing is lost but parts of blocks.
rm -rf on-cache
for i in 1 2 3 4 5; do
  "$thaw" train on.yaml -o killed --resume > killed.log 2>&1 &
  pid=$!
  for wait in $(seq 200); do
    [ "$(find on-cache -name '*.h5' 2> /dev/null | wc -l)" -ge $((i * 13)) ] && break
    sleep 0.01
  done
  kill -9 $pid 2> /dev/null
  wait $pid 2> /dev/null
done
run 3 on killed --resume
same_as off killed
whole on
grep -q '^Model: .*phase 2' killed.log && { sed '1,/^Model: .*phase 2/d' killed.log | grep -q '^features' && fail "phase 2 computed features after a kill"; }

# Room for one of the two, for none, for nothing at all.
job some ', limit_gb: 0.0020'
run 3 some some
says some 'kept along the way: block4_pool .*; no room for block3_pool'
same_as off some
job none ', limit_gb: 0.0012'
run 1 none none
says none 'no room to keep features for later phases along the way: they compute block4_pool'
same_as off none
job nothing ', limit_gb: 0.00001'
run 2 nothing nothing
says nothing 'warning: cache.limit_gb leaves no room'
same_as off nothing

# Half storage; networks whose layers join and are fused, with cuts in odd places; layers frozen again; the same cut twice.
pair() { # NAME KEYS PHASES ARCHITECTURE PASSES
  job "$1" "$2" "$3" "$4"
  job "$1-off" "$2, ahead: false" "$3" "$4"
  run 1 "$1-off" "$1-off" || cat "$1-off.log"
  run 3 "$1" "$1"
  passes "$1" "$5"
  same_as "$1-off" "$1"
  rm -rf "$1-cache" "$1-off-cache"
}
pair half ', storage: float16' "$three" vgg16 3
pair residual '' '{epochs: 1}; {epochs: 1, unfreeze: conv5_block3}; {epochs: 1, unfreeze: conv5_block2}' resnet50 3
pair separable '' '{epochs: 1}; {epochs: 1, unfreeze: 2}; {epochs: 1, unfreeze: 5}' mobilenet 5 # one cut lies within what is fused
pair again '' '{epochs: 1}; {epochs: 1, unfreeze: block5}; {epochs: 1, refreeze: block5}; {epochs: 1, unfreeze: block5_conv3}' vgg16 6
pair twice '' '{epochs: 1}; {epochs: 1, unfreeze: block5}; {epochs: 1, optimizer: sgd}' vgg16 3
pair alone '' '{epochs: 2}; {epochs: 2, unfreeze: auto}; {epochs: 1, unfreeze: block4}' vgg16 5

[ $failures -eq 0 ] && echo "same bits with every cut at once: $(digest off)"
exit $((failures > 0))
