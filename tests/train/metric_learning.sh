#!/usr/bin/env bash
# metric_learning.sh THAW SOURCE: ArcFace, CosFace and triplets give the same parameters and losses on any number of ranks, with either
# instruction set, and after a kill; embeddings have the same bytes on any number of ranks; what does not go together is refused.
. "$2/tests/train/support.sh"

"$make_data" train 203 5 32 4 1 && "$make_data" validation 61 5 32 2 2 && "$make_data" unseen 40 3 32 1 3 || exit 1

# write_job NAME LAST LOSS [DATA_LINE]
write_job() {
  cat > "$1.yaml" <<YAML
name: $1
seed: 7
backbone: {architecture: vgg16, input: [32, 32, 3], cut: block2_pool}
head:
  - {layer: global_average_pooling}
  - {layer: dense, units: 16, name: hidden}
  - {layer: unit_normalization, name: embedding}
$2
data:
  train: train/catalog.yaml
  validation: validation/catalog.yaml
  ${4:-}
training:
  loss: $3
  batch_size: 24
  slice: 4
  checkpoint: {every_minutes: 0.001}
  phases:
    - {epochs: 4, optimizer: {name: adam, learning_rate: 3.0e-3}}
    - {epochs: 1, unfreeze: block2_conv2, optimizer: {name: adam, learning_rate: 1.0e-4}}
YAML
}
run() { # JOB RANKS OUTPUT [OPTION ...]
  local job=$1 ranks=$2 output=$3
  shift 3
  timeout 120 "$mpirun" "$ranks" "$thaw" train "$job.yaml" -o "$output" "$@" > "$output.log" 2>&1
}
refused() { # MESSAGE JOB
  if run "$2" 2 refused; then fail "$2 was not refused"; fi
  grep -qF -- "$1" refused.log || fail "$2: '$(grep error: refused.log)' lacks '$1'"
}

cosine='  - {layer: cosine_dense, units: 5}'
write_job arcface "$cosine" '{name: arcface, scale: 16, margin: 0.3}'
write_job cosface "$cosine" '{name: cosface, scale: 16, margin: 0.2}'
write_job semi_hard '' '{name: triplet, margin: 0.3}' 'samples_per_class: 4'
write_job hard '' '{name: triplet, margin: 0.3, mining: hard, distance: euclidean}'
for job in arcface cosface semi_hard hard; do
  run $job 1 $job-1 || { cat $job-1.log; exit 1; }
  for ranks in 2 5; do
    run $job $ranks $job-$ranks
    same_as $job-1 $job-$ranks
  done
done
run semi_hard 2 avx2 --isa avx2 && same_as semi_hard-1 avx2
[ "$(digest semi_hard-1)" != "$(digest hard-1)" ] || fail "two minings, one result"
falls() { awk -F, 'NR == 2 {first = $5} NR == 5 {exit !($5 < first)}' "$1/metrics.csv" || fail "$1: the loss does not fall: $(cut -d, -f5 "$1/metrics.csv" | tr '\n' ' ')"; }
falls arcface-1
falls semi_hard-1
head -1 arcface-1/metrics.csv | grep -q ',accuracy,val_loss,val_accuracy,' || fail "arcface is watched by: $(head -1 arcface-1/metrics.csv)"

# Killed at some moment, and resumed on another number of ranks.
timeout -s KILL 0.7 "$thaw" train semi_hard.yaml -o killed > /dev/null 2>&1
run semi_hard 3 killed --resume || fail "resume: $(grep error: killed.log)"
same_as semi_hard-1 killed

# Embeddings of data with other classes than the network was trained on: the same bytes from 1 and from 3 ranks, in three formats.
for ranks in 1 3; do
  timeout 60 "$mpirun" $ranks "$thaw" embed arcface-1 unseen -o unseen-$ranks.csv > embed.log 2>&1 || fail "embed: $(grep error: embed.log)"
  timeout 60 "$mpirun" $ranks "$thaw" embed arcface-1 unseen -o unseen-$ranks.npy > embed.log 2>&1 || fail "embed: $(grep error: embed.log)"
done
cmp unseen-1.csv unseen-3.csv && cmp unseen-1.npy unseen-3.npy || fail "embeddings differ"
[ "$(head -1 unseen-1.csv | tr ',' '\n' | grep -c '^e')" = 16 ] || fail "not 16 numbers: $(head -1 unseen-1.csv)"
"$thaw" embed arcface-1 unseen --layer nothing > embed.log 2>&1 && fail "a layer that is not there was taken"
grep -q "no layer 'nothing'" embed.log || fail "unknown layer: $(cat embed.log)"

# The exported network ends with the embedding.
"$thaw" export arcface-1 -o arcface.h5 > export.log 2>&1 || fail "export: $(cat export.log)"
"$thaw" inspect arcface.h5 > inspect.log 2>&1
grep -q cosine_dense inspect.log && fail "the class centres were exported"

cat > further.yaml <<YAML
name: further
backbone: {file: arcface.h5, input: [32, 32, 3], preprocessing: caffe}
head: [{layer: dense, units: 5, activation: softmax}]
data: {train: train/catalog.yaml}
training: {loss: categorical_crossentropy, batch_size: 24, epochs: 1, optimizer: adam}
YAML
run further 1 further || fail "the exported embedding is no backbone: $(cat further.log)"
if "$thaw" export arcface-1 -o arcface.onnx > export.log 2>&1; then # built with protobuf-c
  sed 's/arcface.h5/arcface.onnx/; s/name: further/name: onnx/' further.yaml > onnx.yaml
  run onnx 1 onnx || fail "the exported ONNX model is no backbone: $(cat onnx.log)"
fi

write_job no_cosines '' '{name: arcface}'
refused 'arcface needs cosines' no_cosines
write_job no_margin "$cosine" triplet
refused 'goes with arcface and cosface' no_margin
write_job indivisible '' triplet 'samples_per_class: 5'
refused '5 does not divide training.batch_size, 24' indivisible
write_job small '' triplet 'samples_per_class: 48'
sed -i 's/batch_size: 24/batch_size: 48/' small.yaml
run small 2 small
grep -q '5 of 5 classes have fewer than 48 samples, 0 of them one' small.log || fail "small classes: $(cat small.log)"
"$thaw" explain hard-1 validation > explain.log 2>&1 && fail "explain took an embedding"
"$thaw" explain arcface-1 validation --top-losses --count 3 -o explain > explain.log 2>&1 || fail "explain: $(cat explain.log)"
sed 's/slice: 4/slice: 4\n  metrics: [accuracy]/' hard.yaml > judged.yaml
refused "which 'accuracy' does not judge" judged
sed 's/slice: 4/slice: 4\n  accumulate: 2/' hard.yaml > accumulated.yaml
refused 'training.accumulate: does not go with triplet' accumulated
"$thaw" evaluate hard-1 > evaluate.log 2>&1 && fail "evaluate judged embeddings"
grep -q 'thaw match' evaluate.log || fail "evaluate: $(cat evaluate.log)"

[ "$failures" = 0 ] && echo "all passed"
exit $((failures > 0))
