#!/usr/bin/env bash
# costs.sh THAW SOURCE: evaluate --costs on any number of ranks, checked by counting in Python; the page shows it; bad tables are named.
. "$(dirname "$0")/support.sh"
make_data=$(dirname "$thaw")/../../tests/train/make_data
cd "$work"
for part in train validation test; do "$make_data" $part 90 2 32 2 ${#part}; done
cat >job.yaml <<YAML
name: job
output: run
backbone: {architecture: vgg16, input: [32, 32, 3], cut: block1_pool}
head: [{layer: global_average_pooling}, {layer: dense, units: 2, activation: softmax}]
data: {train: train, validation: validation, test: test}
training: {loss: categorical_crossentropy, batch_size: 32, epochs: 4, optimizer: {name: adam, learning_rate: 0.001}}
YAML
printf 'true,class-1,class-0\nclass-0,3,0\nclass-1,-0.5,20\n' >costs.csv
run 2 train job.yaml -q
[ "$code" = 0 ] || complain "train: $(cat err)"
for ranks in 1 3; do
  run $ranks evaluate run -o e$ranks --costs costs.csv --bootstrap 200 -q
  [ "$code" = 0 ] || complain "evaluate on $ranks ranks: $(cat err)"
  mv out table$ranks
done
cmp table1 table3 && cmp e1/evaluation.json e3/evaluation.json || complain "other costs on three ranks"
grep -q '^cost per sample by costs.csv$' table1 && grep -q "of [0-9]* 'class-1' missed, [0-9]* of [0-9]* 'class-0' called so" table1 ||
  complain "the table: $(cat table1)"
run 1 predict run test -o test.csv -q
run 1 predict run validation -o validation.csv -q
python3 - <<'PY' || complain "the costs are not what counting says: $(grep -A8 '"costs"' e1/evaluation.json)"
import csv, json
e = json.load(open("e1/evaluation.json"))
cost = [[0, 3], [20, -0.5]]
def rows(name):
    for r in csv.DictReader(open(name)):
        i = int(r["id"].rsplit("-", 1)[1])
        yield (i * 7 + i // 11) % 2, float(r["class-1"])
def mean(name, decide):
    values = [cost[t][decide(y)] for t, y in rows(name)]
    return sum(values) / len(values)
candidates = sorted({y for _, y in rows("validation.csv")}, reverse=True) + [2]
least = min(mean("validation.csv", lambda y: y >= c) for c in candidates)
rules = {r["rule"]: r for r in e["costs"]["rules"]}
threshold = e["costs"]["threshold"]
near = lambda a, b: abs(a - b) < 1e-9
assert near(mean("validation.csv", lambda y: y >= threshold * (1 - 1e-7)), least), (threshold, least)
assert near(rules["threshold"]["mean_cost"][0], mean("test.csv", lambda y: y >= threshold * (1 - 1e-7)))
assert near(rules["largest_output"]["mean_cost"][0], mean("test.csv", lambda y: y > 0.5))
always = min((0, 1), key=lambda p: mean("validation.csv", lambda y: p))
assert near(rules["always"]["mean_cost"][0], mean("test.csv", lambda y: always))
t = e["calibration"]["temperature"]
odds = lambda y: (y / (1 - y)) ** (1 / t)
expected = lambda y: 3 / (1 + odds(y)) - 0.5 * odds(y) / (1 + odds(y)) < 20 * odds(y) / (1 + odds(y))
assert near(rules["least_expected_cost"]["mean_cost"][0], mean("test.csv", expected))
for r in rules.values():
    assert r["mean_cost"][1] <= r["mean_cost"][0] <= r["mean_cost"][2] and sum(sum(c) for c in r["confusion"]) == 90
PY
run 1 evaluate run --costs costs.csv -q
run 1 report run -q
grep -q 'What decisions cost' run/report.html || complain "the page does not tell costs"

refuses() { # CODE MESSAGE ARG ...
  local expected=$1 message=$2 ranks
  shift 2
  for ranks in 1 3; do
    run $ranks evaluate run "$@" -o bad -q
    [ "$code" = "$expected" ] && grep '^error: ' err | grep -qF -- "$message" || complain "evaluate $* on $ranks ranks: exit code $code: $(cat err)"
  done
}
printf 'true,class-0,clas-1\n' >bad.csv
refuses 3 "bad.csv:1: no class is called 'clas-1' (did you mean 'class-1'?)" --costs bad.csv
refuses 3 "nowhere.csv: no such file" --costs nowhere.csv
finish
