#!/usr/bin/env bash
# scores.sh THAW SOURCE: intervals, operating points, subgroups and comparisons on any number of ranks, checked against
# counts over all pairs in Python; what is not defined is named.
# shellcheck source=support.sh
. "$(dirname "$0")/support.sh"
cd "$work"

"$make_data" train 60 3 32 2 1
"$make_data" validation 50 3 32 2 2
"$make_data" test 53 3 32 3 3
# refuses CODE MESSAGE ARG ...: on 1 and on 5 ranks; beside the error there is the warning of an untrained backbone.
refuses() {
  local expected=$1 message=$2 ranks
  shift 2
  for ranks in 1 5; do
    run "$ranks" "$@"
    [ "$code" = "$expected" ] || complain "thaw $* on $ranks ranks: exit code $code, expected $expected"
    [ "$(grep -c '^error: ' err)" = 1 ] || complain "thaw $* on $ranks ranks: not one error: $(cat err)"
    grep '^error: ' err | grep -qF -- "$message" || complain "thaw $* on $ranks ranks: '$(cat err)' lacks '$message'"
  done
}
job() {
  cat > "$1.yaml" <<YAML
name: $1
seed: $2
backbone: {architecture: vgg16, input: [32, 32, 3], cut: block2_pool}
head:
  - {layer: global_average_pooling}
  - {layer: dense, units: 3, activation: softmax}
data: {train: train, validation: validation, test: test}
training:
  loss: sparse_categorical_crossentropy
  batch_size: 16
  phases: [{epochs: 2, optimizer: {name: adam, learning_rate: 0.0003}}]
YAML
  must_run 2 train "$1.yaml" -q
}
job one 1
job two 2

must_run 1 predict runs/one test -o one.csv -q
{
  echo 'id,sex,site,age'
  tail -n +2 one.csv | cut -d, -f1 | awk '{print $1 "," (NR % 2 ? "F" : "M") "," (NR == 1 ? "\"a,<b>\"" : "north") "," NR}'
} > subgroups.csv

for ranks in 1 2 5; do
  must_run $ranks evaluate runs/one -o "e$ranks" --subgroups subgroups.csv -q
  mv out "table$ranks"
done
for ranks in 2 5; do
  same table1 table$ranks
  for file in evaluation.json predictions.h5 roc.png precision_recall.png calibration.png; do same e1/$file e$ranks/$file; done
done
python3 - <<'PY' || complain "evaluation.json is not what counting says"
import csv, json
e = json.load(open("e1/evaluation.json"))
rows = list(csv.DictReader(open("one.csv")))
index = [int(r["id"].rsplit("-", 1)[1]) for r in rows]
truth = [(i * 7 + i // 11) % 3 for i in index]
assert e["operating_point_chosen_on"] == "validation" and e["bootstrap"]["replicates"] == 1000
def auroc(score, yes):
    pairs = [(a > b) + (a == b) / 2 for a, p in zip(score, yes) if p for b, q in zip(score, yes) if not q]
    return sum(pairs) / len(pairs)
areas = []
for c, q in enumerate(e["questions"]):
    score, yes = [float(r[f"class-{c}"]) for r in rows], [t == c for t in truth]
    areas.append(auroc(score, yes))
    assert q["name"] == f"class-{c}" and q["positives"] == sum(yes) and q["unknown"] == 0
    assert abs(q["auroc"][0] - areas[-1]) < 1e-9 and q["auroc"][1] <= q["auroc"][0] <= q["auroc"][2]
    sensitivity = sum(s >= q["threshold"] for s, y in zip(score, yes) if y) / sum(yes)
    assert abs(q["sensitivity"][0] - sensitivity) < 1e-9
assert abs(e["overall"]["macro_auroc"][0] - sum(areas) / 3) < 1e-9
groups = {(g["column"], g["value"]): g for g in e["subgroups"]}
assert set(groups) == {("sex", "F"), ("sex", "M"), ("site", "a,<b>"), ("site", "north")}
women = [i for i in range(53) if i % 2 == 0]
g = groups["sex", "F"]
assert g["samples"] == len(women)
assert abs(g["questions"][1]["auroc"][0] - auroc([float(rows[i]["class-1"]) for i in women], [truth[i] == 1 for i in women])) < 1e-9
assert groups["site", "a,<b>"]["samples"] == 1 and groups["site", "a,<b>"]["accuracy"][1] is None
notes = "\n".join(e["notes"])
for part in ("subgroup site=a,<b>: one sample only", "column 'age' of subgroups.csv has more than 20 values", "no two samples share"):
    assert part in notes, part
bins = e["calibration"]["plain"]["bins"]
assert sum(b[0] for b in bins) == 53 and e["calibration"]["temperature"] > 0
PY
must_run 1 evaluate runs/one -q --subgroups subgroups.csv
must_run 1 report runs/one -q
for part in 'Each class against the others' 'Subgroups' 'a,&lt;b&gt;' 'ROC curves' 'reliability diagram'; do
  grep -qF "$part" runs/one/report.html || complain "report.html lacks '$part'"
done

# --- a threshold needs no validation data; a rule does
must_run 1 evaluate runs/one --data test --operating-point 0.25 --bootstrap 0 -o plain -q
grep -q '"operating_point": "fixed=0.25"' plain/evaluation.json || complain "the threshold was not taken"
refuses 2 'needs validation data other than what is evaluated' evaluate runs/one --data validation --operating-point f1 -q
fails 2 'expected youden, f1' evaluate runs/one --operating-point best -q

# --- a class without a positive is named
"$make_data" two-classes 30 2 32 1 4
must_run 1 evaluate runs/one --data two-classes -o gap -q
grep -q "class 'class-2' has no positive" out || complain "the class without a positive is not named: $(cat out)"

# --- bad subgroup files
printf 'name,sex\nx,F\n' > bad.csv
refuses 3 "bad.csv:1: no column 'id'" evaluate runs/one --subgroups bad.csv -q
printf 'id,sex\nimage-000001,F\nimage-000001,M\n' > bad.csv
refuses 3 "bad.csv:3: id 'image-000001' is listed twice" evaluate runs/one --subgroups bad.csv -q
refuses 3 'nothing.csv' evaluate runs/one --subgroups nothing.csv -q

# --- two runs
must_run 1 evaluate runs/two -q
must_run 1 compare runs/one runs/two -o compare.json
grep -q 'McNemar, exact' out || complain "compare says nothing of McNemar: $(cat out)"
python3 - <<'PY' || complain "compare.json is not what it should be"
import json
c, e = json.load(open("compare.json")), json.load(open("runs/one/evaluation.json"))
assert c["samples"] == 53 and sum(c["mcnemar"][k] for k in ("both", "only_a", "only_b", "neither")) == 53
assert c["mcnemar"]["both"] + c["mcnemar"]["only_a"] == round(e["accuracy"] * 53)
for a, q in zip(c["auroc"], e["questions"]):
    assert abs(a["a"] - q["auroc"][0]) < 1e-12 and 0 <= a["delong_p"] <= 1
    assert a["difference_low"] <= a["a"] - a["b"] <= a["difference_high"]
PY
cp compare.json first.json
must_run 3 compare runs/one runs/two -o compare.json
same first.json compare.json
fails 3 'gap/predictions.h5 has 30: evaluate both on the same data' compare runs/one gap -q
fails 3 'run `thaw evaluate` first' compare runs/one validation -q
finish
