#!/usr/bin/env bash
# tiles.sh THAW SOURCE: large images from import --tile over training to predict --tile: the merged outputs are those of the imported
# windows, on any number of ranks; heat maps; clear words about what cannot be.
. "$(dirname "$0")/support.sh"
make_mvtec=$(dirname "$thaw")/../../tests/anomaly/make_mvtec
cd "$work"
"$make_mvtec" set 120 1 6 4
tiles=(--tile 48 --tile-stride 24)
run 1 import set/bottle/test "${tiles[@]}" --tile-masks set/bottle/ground_truth --split 0.6,0.4,0 -o shards -q
[ "$code" = 0 ] || complain "import: $(cat err)"
run 1 import set/bottle/test "${tiles[@]}" -o windows -q
cat >job.yaml <<YAML
name: job
output: run
backbone: {architecture: vgg16, input: [48, 48, 3], cut: block2_pool}
head: [{layer: global_average_pooling}, {layer: dense, units: 4, activation: softmax}]
data: {train: shards/train, validation: shards/validation, sampling: balanced}
training: {loss: categorical_crossentropy, batch_size: 32, epochs: 6, optimizer: {name: adam, learning_rate: 0.01}}
YAML
run 2 train job.yaml -q
[ "$code" = 0 ] || complain "train: $(cat err)"
run 1 predict run windows -o windows.csv -q
for merge in mean max; do
  for ranks in 1 3; do
    run $ranks predict run set/bottle/test "${tiles[@]}" --merge $merge --maps maps-$merge$ranks --map-class contamination -o $merge$ranks.csv -q
    [ "$code" = 0 ] || complain "predict --tile on $ranks ranks: $(cat err)"
  done
  cmp ${merge}1.csv ${merge}3.csv && diff -r maps-${merge}1 maps-${merge}3 || complain "$merge: something else on three ranks"
done
[ "$(ls maps-mean1 | wc -l)" = 18 ] || complain "maps: $(ls maps-mean1)"
python3 - <<'PY' || complain "the merged outputs are not those of the windows"
import csv
names = None
windows = {}
for row in csv.DictReader(open("windows.csv")):
    names = list(row)[2:]
    windows.setdefault(row["id"].split("#")[0], []).append([float(row[n]) for n in names])
for merge, function in (("mean", lambda v: sum(v) / len(v)), ("max", max)):
    rows = list(csv.DictReader(open(merge + "1.csv")))
    assert len(rows) == len(windows) == 18
    for row in rows:
        values = windows[row["id"].removeprefix("set/bottle/test/")]
        assert len(values) == 16, len(values)
        for k, n in enumerate(names):
            assert abs(float(row[n]) - function([v[k] for v in values])) < 2e-7, (merge, row["id"], n)
PY
mkdir new && cp set/bottle/test/good/000.png new && echo broken >new/001.png
run 3 predict run new "${tiles[@]}" -o new.csv -q
[ "$code" = 0 ] && grep -q 'new/001.png: neither a PNG nor a JPEG' new.csv && grep -q 'warning: 1 of 2 images' err || complain "a broken image: $(cat err new.csv)"
refuses() { # CODE MESSAGE ARG ...
  local expected=$1 message=$2 ranks
  shift 2
  for ranks in 1 3; do
    run $ranks "$@" -q
    [ "$code" = "$expected" ] && grep '^error: ' err | grep -qF -- "$message" || complain "$* on $ranks ranks: exit code $code: $(cat err)"
  done
}
refuses 2 "none may be left out" predict run new --tile 32 --tile-stride 33
refuses 2 "--maps and --map-class go with --tile" predict run new --maps x
refuses 2 "did you mean 'contamination'" predict run new --tile 48 --maps x --map-class contaminatio -o x.csv
refuses 2 "not with a catalogue" predict run windows --tile 48
refuses 2 "go with --tile" import set/bottle/test --tile-masks set/bottle/ground_truth -o x
refuses 2 "none may be left out" import set/bottle/test --tile 32 --tile-stride 40 -o x
refuses 3 "no class 'fine' for windows without a defect" import set/bottle/test --tile 32 --tile-masks set/bottle/ground_truth --tile-normal fine -o x
finish
