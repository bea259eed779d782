#!/usr/bin/env bash
# gaps.sh THAW SOURCE: what data can lack: a class in one of the parts, positives or negatives of a label, every label of a sample,
# all but one sample of a subgroup or patient, a class in a fold. Named and counted, undefined figures are null, and a mean says of how
# many classes it is; names of classes decide, not their numbers.
# shellcheck source=support.sh
. "$(dirname "$0")/support.sh"
cd "$work"

python3 - <<'PY'
import csv, os, random, struct, zlib
random.seed(5)
os.makedirs("img")
def png(path, high):
    rows = b"".join(b"\0" + bytes(min(255, random.randrange(90) + high * (y > 10)) for x in range(32)) for y in range(32))
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    open(path, "wb").write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 32, 32, 8, 0, 0, 0, 0)) +
                           chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
def classes(name, labels, patients, site=lambda i: "AB"[i % 2]):
    with open(f"{name}.csv", "w") as out:
        print("path,label,group,site", file=out)
        for i, label in enumerate(labels):
            png(f"img/{name}{i}.png", {"a": 0, "b": 80, "c": 150}[label])
            print(f"img/{name}{i}.png,{label},{name}{i % patients},{site(i)}", file=out)
def labels(name, count, answer):
    with open(f"{name}.csv", "w") as out:
        print("path,group,X,Y,Z", file=out)
        for i in range(count):
            x, y = random.randrange(2), random.randrange(2)
            png(f"img/{name}{i}.png", 80 * x + 60 * y)
            print(f"img/{name}{i}.png,{name}{i % (count // 3)},{','.join(str(v) for v in answer(i, x, y))}", file=out)
classes("whole", "abc" * 20, 20)
classes("without", "ab" * 15, 10)
classes("few", "ab" * 20 + "cc", 21)
classes("patient", "abc" * 5, 1)
classes("site", "abc" * 10, 10, lambda i: "lone" if i == 7 else "onlya" if i % 3 == 0 and i < 15 else "rest")
labels("known", 60, lambda i, x, y: (x, y, random.randrange(2)))
labels("nopositive", 60, lambda i, x, y: (x, y, 0))
labels("nonegative", 30, lambda i, x, y: (x, y, 1))
labels("partly", 30, lambda i, x, y: (-1, -1, -1) if i % 3 == 0 else (x, y, -1))
labels("nothing", 30, lambda i, x, y: (-1, -1, -1))
PY
for set in whole without few patient site; do
  must_run 1 import $set.csv -o $set --size 32x32 --channels 1 --classes a,b,c --subgroups site -q
done
must_run 1 import without.csv -o renamed --size 32x32 --channels 1 --classes b,a -q
for set in known nopositive nonegative partly nothing; do
  must_run 1 import $set.csv -o $set --size 32x32 --channels 1 --label-columns X,Y,Z -q
done
refuses() { # CODE MESSAGE ARG ...: as `fails`, with warnings before the error
  local expected=$1 message=$2 ranks
  shift 2
  for ranks in 1 5; do
    run "$ranks" "$@"
    [ "$code" = "$expected" ] && grep '^error: ' err | grep -qF -- "$message" || complain "thaw $* on $ranks ranks: $code, $(cat err)"
  done
}
told() { grep -qF -- "$1" err || complain "not told: '$1', but $(cat err)"; }
job() { # NAME ACTIVATION LOSS TRAIN [VALIDATION [TEST]]
  cat >$1.yaml <<END
name: $1
backbone: {architecture: vgg16, input: [32, 32, 1], cut: block1_pool}
head: [{layer: flatten}, {layer: dense, units: 3, activation: $2}]
data: {train: $4${5:+, validation: $5}${6:+, test: $6}}
training: {loss: $3, batch_size: 16, metrics: [accuracy], phases: [{epochs: 1, optimizer: {name: adam, learning_rate: 0.001}}]}
END
}
# values FILE EXPRESSION: a condition on evaluation.json, which must be JSON.
values() {
  python3 -c 'import json, sys
def fail(x): raise ValueError(x)
e = json.load(open(sys.argv[1]), parse_constant=fail)
assert eval(sys.argv[2]), e["overall"]' "$1" "$2" 2>trace || complain "not so: $2: $(tail -1 trace)"
}

# --- a class that a part lacks
must_run 2 import few.csv -o split --size 32x32 --channels 1 --subgroups site --split 0.4,0.3,0.3
grep -q '/catalog.yaml: no image of 1 of 3 classes: .c.$' err || complain "import: $(cat err)"
job notrain softmax categorical_crossentropy without whole
must_run 2 train notrain.yaml -q
told "the training data has no sample of 1 of 3 classes: 'c'"
job gap softmax categorical_crossentropy whole without without
sed -i 's/without}/site}/' gap.yaml
must_run 1 train gap.yaml -q
told "the validation data has no sample of 1 of 3 classes: 'c'"
must_run 1 evaluate runs/gap -o subgroups --bootstrap 100 -q
grep -q "class 'c' has no positive in the validation data: its threshold is 0.5" out || complain "threshold: $(cat out)"
grep -q 'subgroup site=lone: one group only, so no interval' out && grep -q "subgroup site=onlya: class 'b' has no positive" out ||
  complain "subgroups: $(cat out)"
values subgroups/evaluation.json 'next(g for g in e["subgroups"] if g["value"] == "lone")["macro_auroc"] == [None, None, None, 0]'
values subgroups/evaluation.json 'next(g for g in e["subgroups"] if g["value"] == "onlya")["macro_auprc_classes"] == 1'
must_run 1 evaluate runs/gap --data without --operating-point 0.5 --bootstrap 100 -o lacking -q
grep -q '^c  *-  *-  *-  *0$' out && grep -q 'macro average (2 of 3)' out && grep -q 'macro_auroc .* of 2 of 3 classes' out || complain "table: $(cat out)"
values lacking/evaluation.json 'e["overall"]["macro_auroc_classes"] == e["overall"]["balanced_accuracy_classes"] == 2'
values lacking/evaluation.json 'e["questions"][2]["auroc"][0] is None'
must_run 1 evaluate runs/gap --data patient --operating-point 0.5 -o one -q
grep -q 'note: all 15 samples are of one group (patient): no intervals' out || complain "one patient: $(cat out)"
values one/evaluation.json 'e["overall"]["accuracy"][1] is None'
sed 's/, validation: without//' gap.yaml >folds.yaml
sed -i 's/train: whole/train: few/; s/name: gap/name: folds/; s/, test: site//' folds.yaml
must_run 1 sweep folds.yaml --folds 4
[ "$(grep -c "the validation data of fold [1-4] has no sample of 1 of 3 classes: 'c'" err)" -ge 2 ] || complain "folds: $(cat err)"
grep -q '^c .* 2$' out || complain "folds: $(cat out)"

# --- the names of the classes count, not their numbers
refuses 3 "class 0 is 'a' in runs/gap/" evaluate runs/gap --data renamed --operating-point 0.5 -q
must_run 1 predict runs/gap renamed -o rows.csv -q
[ "$(head -1 rows.csv)" = id,class,a,b,c ] || complain "predict names the wrong classes: $(head -2 rows.csv)"

# --- labels
job labels sigmoid binary_crossentropy nopositive partly nonegative
must_run 2 train labels.yaml -q
told "the training data has no positive of 1 of 3 labels: 'Z'"
told "the validation data has no negative of 1 of 3 labels: 'Z'"
told '10 of 30 samples of the validation data have no known label: they count as without error in the loss'
must_run 1 evaluate runs/labels --bootstrap 100 -q
grep -q "class 'Z' has no negative among 30 known answers" out || complain "no negative: $(cat out)"
values runs/labels/evaluation.json 'e["overall"]["macro_auroc_classes"] == 2 and e["overall"]["macro_auprc_classes"] == 3'
must_run 1 report runs/labels -q
refuses 3 'nothing/catalog.yaml: none of its 30 samples has a known label' evaluate runs/labels --data nothing -q
job blind sigmoid binary_crossentropy known nothing
refuses 3 'nothing/catalog.yaml: none of its 30 samples has a known label' train blind.yaml -q
job blind sigmoid binary_crossentropy nothing
refuses 3 'nothing/catalog.yaml: none of its 30 samples has a known label' train blind.yaml -q
sed -i 's/metrics:/unknown_labels: zeros, metrics:/' blind.yaml
refuses 3 'nothing/catalog.yaml: none of its 30 samples has a known label' train blind.yaml -q
sed -i 's/train: nothing/train: partly/' blind.yaml
must_run 1 train blind.yaml -q
told "the training data has no positive of 1 of 3 labels: 'Z'"
! grep -q 'no known label' err || complain "unknown labels that are zeros are called unknown: $(cat err)"

# --- a run without a checkpoint is one line, not a crash
rm runs/gap/*.h5
fails 3 'runs/gap: holds no checkpoint' evaluate runs/gap -q
finish
