#!/usr/bin/env bash
# sampling.sh THAW SOURCE: data.sampling: balanced gives the same bits on 1 and 3 ranks, without cache, and after kills in mid-epoch; it
# tells how often samples are used, also of a class without samples.
. "$2/tests/train/support.sh"
make_mvtec=$(dirname "$thaw")/../../tests/anomaly/make_mvtec
"$make_mvtec" set 32 1 50 5
mkdir set/bottle/test/unseen && cp set/bottle/test/good/000.png set/bottle/test/unseen
"$thaw" import set/bottle/test -o shards --size 32x32 --classes broken_large,broken_small,contamination,good,unseen,never -q ||
  fail "import"
job() { # NAME LINES
  cat >"$1.yaml" <<YAML
name: $1
backbone: {architecture: vgg16, input: [32, 32, 3], cut: block2_pool}
head: [{layer: global_average_pooling}, {layer: dropout, rate: 0.2}, {layer: dense, units: 6, activation: softmax}]
data: {train: shards$2}
training:
  loss: categorical_crossentropy
  batch_size: 8
  epochs: 12
  checkpoint: {every_minutes: 0.0005, every_epochs: 0}
  optimizer: {name: adam, learning_rate: 0.01}
YAML
}
run() { # RANKS JOB [OPTION ...]
  local ranks=$1 job=$2 code=0
  shift 2
  timeout 200 "$mpirun" "$ranks" "$thaw" train "$job.yaml" -o "$job" "$@" >"$job.log" 2>&1 || code=$?
  [ $code = 0 ] || fail "$job: exit code $code: $(cat "$job.log")"
}
for name in balanced ranks uncached killed; do job $name ', sampling: balanced'; done
echo 'cache: {enabled: false}' >>uncached.yaml
run 1 balanced
grep -q 'balanced sampling: 250 draws per epoch from 66 samples, 50 of each class' balanced.log || fail "says $(cat balanced.log)"
grep -q "warning: balanced sampling: class 'never' has no sample" balanced.log || fail "does not tell of a class without samples"
[ "$(cat balanced/sampling.csv)" = "class,samples,draws_per_epoch,least_uses,most_uses
broken_large,5,50,10,10
broken_small,5,50,10,10
contamination,5,50,10,10
good,50,50,1,1
unseen,1,50,50,50
never,0,0,0,0" ] || fail "sampling.csv: $(cat balanced/sampling.csv)"
[ "$(tail -1 balanced/metrics.csv | cut -d, -f3)" = 384 ] || fail "12 epochs of 250 draws are 384 steps of 8: $(tail -1 balanced/metrics.csv)"
run 3 ranks
same_as balanced ranks
run 2 uncached
same_as balanced uncached

# Killed in the middle of epochs, each time going on on another number of ranks.
for ranks in 1 3 2; do
  "$mpirun" $ranks "$thaw" train killed.yaml -o killed --resume -q >/dev/null 2>&1 &
  pid=$!
  newest=$(ls killed 2>/dev/null | grep '^step-' | tail -1)
  while kill -0 $pid 2>/dev/null && [ "$(ls killed 2>/dev/null | grep '^step-' | tail -1)" = "$newest" ]; do sleep 0.02; done
  kill -9 "$(pgrep -P $pid | head -1)" 2>/dev/null || kill -9 $pid 2>/dev/null
  wait $pid 2>/dev/null
done
run 3 killed --resume
grep -q 'resuming from' killed.log || fail "nothing was resumed: $(cat killed.log)"
same_as balanced killed

refuses() { # MESSAGE JOB
  local code=0
  "$thaw" train "$2.yaml" -o refused -q >"$2.log" 2>&1 || code=$?
  [ $code = 2 ] && grep -qF -- "$1" "$2.log" || fail "$2: exit code $code: $(cat "$2.log")"
}
job chunked ', sampling: balanced, shuffle: chunked'
refuses "data.sampling: balanced does not go with shuffle: chunked" chunked
job groups ', sampling: balanced, samples_per_class: 4'
refuses "data.samples_per_class: does not go with sampling: balanced" groups
job word ', sampling: balance'
refuses "did you mean 'balanced'" word
[ $failures = 0 ] && echo "all passed" || exit 1
