#!/usr/bin/env bash
# mvtec.sh THAW SOURCE: jobs/mvtec.sh, all of it, on a small synthetic copy of MVTec AD's layout, with a small network without weights'
# file from elsewhere.
. "$(dirname "$0")/../cli/support.sh"
make_mvtec=$(dirname "$thaw")/../../tests/anomaly/make_mvtec
cd "$work"
"$make_mvtec" data 64 24 8 6
cp -r data/bottle data/carpet
cat >weights.yaml <<YAML
name: weights
output: weights
backbone: {architecture: vgg16, input: [64, 64, 3]}
head: [{layer: global_average_pooling}, {layer: dense, units: 4, activation: softmax}]
data: {train: shards}
training: {loss: categorical_crossentropy, batch_size: 32, epochs: 1, optimizer: {name: sgd, learning_rate: 0.000001}}
YAML
run 1 import data/bottle/test -o shards --size 64x64 -q
run 1 train weights.yaml -q
run 1 export weights -o weights.h5 -q
[ "$code" = 0 ] || complain "no weights: $(cat err)"
layers="--architecture vgg16 --size 64x64 --layers block1_conv2,block3_conv3 --dimensions 30"
THAW=$thaw timeout 250 "$source_folder/jobs/mvtec.sh" --weights weights.h5 --output "$work/result" --fit "$layers" --supervised data >out 2>err ||
  complain "mvtec.sh: exit code $?: $(tail -5 out err)"
[ "$(wc -l <result/results.csv)" = 3 ] && grep -q '^bottle,[01][0-9.]*,0\.[0-9]*,0\.[0-9]*$' result/results.csv || complain "results: $(cat result/results.csv)"
grep -q '^mean  *[01]\.[0-9]* ' out || complain "no table: $(tail out)"
[ -s result/bottle/sheet.png ] && [ -s result/supervised/carpet/run/report.html ] || complain "wrote $(find result -maxdepth 2)"
grep -q '^good,[0-9]*,[0-9]*,1,1$' result/supervised/bottle/run/sampling.csv || complain "no balanced sampling: $(cat result/supervised/bottle/run/sampling.csv)"
grep -q '^cost per sample by ' out || complain "no costs: $(tail -40 out)"
rm -r data/carpet/ground_truth
code=0
THAW=$thaw "$source_folder/jobs/mvtec.sh" --weights weights.h5 --output "$work/bad" data >out 2>err || code=$?
[ $code = 2 ] && grep -q 'data/carpet: no folder ground_truth' err || complain "a missing folder: exit code $code: $(cat err)"
finish
