#!/usr/bin/env bash
# phases.sh THAW SOURCE: layers are thawed by name, count, share and by themselves, and frozen again; the same bits on any number of
# ranks and across stops in every phase; words that change nothing are told.
. "$2/tests/train/support.sh"

"$make_data" train 83 5 32 3 1 && "$make_data" validation 31 5 32 2 2 || exit 1

# job NAME PHASES [TRAINING KEYS]
job() {
  cat > "$1.yaml" <<YAML
name: $1
seed: 3
backbone: {architecture: vgg16, input: [32, 32, 3], cut: block3_pool}
head:
  - {layer: global_average_pooling}
  - {layer: dense, units: 5, activation: softmax}
data: {train: train/catalog.yaml, validation: validation/catalog.yaml}
training:
  loss: categorical_crossentropy
  batch_size: 24
  optimizer: {name: adam, learning_rate: 1.0e-3}
  ${3:-}
  phases:
$(printf '    - %s\n' "$2" | sed 's/; /\n    - /g')
YAML
}
run() { # RANKS JOB OUTPUT [OPTION ...]
  local ranks=$1 job=$2 output=$3
  shift 3
  timeout 200 "$mpirun" "$ranks" "$thaw" train "$job.yaml" -o "$output" "$@" > "$output.log" 2>&1
}
stopped() { # NAME OF JOB AND REFERENCE
  local counts=(2 1 3) attempt code
  for attempt in $(seq 0 90); do
    run "${counts[$((attempt % 3))]}" "$1" "$1-stopped" --resume --max-time 0.015
    code=$?
    [ $code = 75 ] || break
  done
  [ $code = 0 ] || fail "$1-stopped: exit code $code: $(grep error: "$1-stopped.log")"
  echo "$1: $attempt stops"
  same_as "$1" "$1-stopped"
}

# Names, then a count, then back again, then a share.
job words '{epochs: 1}; {epochs: 1, unfreeze: block3_conv3}; {epochs: 1, unfreeze: 3}; {epochs: 1, refreeze: [block3_conv1, block3_conv2]}; {epochs: 1, unfreeze: 0.5}'
run 1 words words || { cat words.log; exit 1; }
run 3 words words3
same_as words words3
stopped words
grep -q . words/summary-phase-5.txt || fail "no summary of phase 5"

# Block by block: a fine patience, and one that never thaws.
job auto '{epochs: 2}; {epochs: 9, unfreeze: auto, optimizer: {name: adam, learning_rate: 1.0e-4}}; {epochs: 1, optimizer: {name: adam, learning_rate: 1.0e-5}}' \
  'auto_unfreeze: {patience: 1, min_delta: 0.1, max_blocks: 2}'
run 1 auto auto || { cat auto.log; exit 1; }
grep -q "thawing block3" auto.log || fail "auto did not thaw block3: $(grep -i thaw auto.log)"
run 3 auto auto3
same_as auto auto3
stopped auto
# Every automatic thaw begins a warm-up anew: the rate rises again over its two epochs, on any number of ranks and across stops.
job warm '{epochs: 2}; {epochs: 9, unfreeze: auto, optimizer: {name: adam, learning_rate: 1.0e-4}, schedule: {name: constant, warmup_epochs: 2}}' \
  'auto_unfreeze: {patience: 3, min_delta: 9}'
run 1 warm warm || { cat warm.log; exit 1; }
run 3 warm warm3
same_as warm warm3
stopped warm
rates=$(awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "learning_rate") c = i; next } $1 == 2 { printf "%.3g ", $c * 1e4 }' warm/metrics.csv)
[ "$rates" = "0.375 0.875 1 0.375 0.875 1 " ] || fail "learning rates in units of 1e-4 after a thaw: $rates"

# Never worse than before: the table's last row of phase 1 and the one of phase 3, whose rate is small.
awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "val_loss") c = i; next }
  { last[$1] = $c; if ($1 == 2 && (best == "" || $c < best)) best = $c }
  END { low = best < last[1] ? best : last[1]; exit !(last[3] < low + 0.05) }' auto/metrics.csv || fail "auto left worse parameters: $(cat auto/metrics.csv)"
"$thaw" evaluate auto -q > evaluation.txt 2>&1 || fail "evaluate: $(cat evaluation.txt)"

# A thaw that ruins everything is taken back, to the very bits.
job ruin '{epochs: 2}; {epochs: 9, unfreeze: auto, optimizer: {name: sgd, learning_rate: 0}}' 'auto_unfreeze: {patience: 1}'
job head '{epochs: 2}'
run 2 ruin ruin || cat ruin.log
run 2 head head
[ "$(digest ruin)" = "$(digest head)" ] || fail "ruin: $(digest ruin) instead of $(digest head)"
grep -q "back to the best epoch" ruin.log || fail "ruin did not go back"

refused() { # PATTERN PHASES [TRAINING KEYS]
  job bad "$2" "${3:-}"
  run 2 bad bad && fail "trained with $2"
  grep -q "^error: .*$1" bad.log || fail "$2: $(grep error bad.log), expected $1"
}
refused 'phases\[1\].*unfreeze .block3_conv3. changes nothing' '{epochs: 1, unfreeze: all}; {epochs: 1, unfreeze: block3_conv3}'
refused 'phases\[1\].*refreeze .block2. changes nothing' '{epochs: 1, unfreeze: block3}; {epochs: 1, refreeze: block2}'
refused 'phases\[1\].*changes nothing.*refreeze freezes again' '{epochs: 1, unfreeze: block3}; {epochs: 1, unfreeze: none}'
refused 'phases\[0\]: unfreeze: .*did you mean .block3' '{epochs: 1, unfreeze: blok3_conv1}'
refused 'the backbone has 1 .. 7' '{epochs: 1, unfreeze: 8}'
refused 'above 0 to 1' '{epochs: 1, unfreeze: 1.5}'
refused 'one phase only' '{epochs: 1, unfreeze: auto}; {epochs: 1}; {epochs: 1, unfreeze: auto}'
refused 'no other word' '{epochs: 1, unfreeze: [auto, block3]}'
refused 'changes nothing' '{epochs: 1, unfreeze: all}; {epochs: 1, unfreeze: auto}'
refused 'val_mae' '{epochs: 1, unfreeze: auto}' 'auto_unfreeze: {monitor: val_mae}'

[ $failures -eq 0 ] && echo "same bits in every phase: $(digest words) $(digest auto)"
exit $((failures > 0))
