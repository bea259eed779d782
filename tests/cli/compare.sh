#!/usr/bin/env bash
# compare.sh THAW SOURCE: two runs of a regression and of several labels: figures against counts in Python, the page in Chromium,
# clear words about runs that cannot be compared. (Classes: scores.sh.)
# shellcheck source=support.sh
. "$(dirname "$0")/support.sh"
cd "$work"

python3 - <<'PY'
import os, random, struct, zlib
random.seed(7)
def png(path, rows):
    raw = b"".join(b"\0" + bytes(row) for row in rows)
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    open(path, "wb").write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 32, 32, 8, 0, 0, 0, 0)) +
                           chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b""))
os.mkdir("images")
numbers, labels = ["path,<b>age,dose,group"], ["path,Edema,Fracture,group"]
for i in range(90):
    age, dose = random.uniform(20, 90), random.random()
    png(f"images/{i}.png", [[min(255, int(random.randrange(40) + 2 * age * (x > 10) + 60 * dose * (y > 16))) for x in range(32)] for y in range(32)])
    numbers.append(f"images/{i}.png,{age:.3f},{dose:.3f},p{i // 2}")
    labels.append(f"images/{i}.png,{int(age > 55)},{random.choice([0, 1, -1])},p{i // 2}")
open("numbers.csv", "w").write("\n".join(numbers) + "\n")
open("labels.csv", "w").write("\n".join(labels) + "\n")
PY
must_run 1 import numbers.csv --regression --label-columns '<b>age,dose' --channels 1 --split 0.5,0.2,0.3 -o numbers -q
must_run 1 import labels.csv --label-columns Edema,Fracture --channels 1 --split 0.5,0.2,0.3 -o labels -q
job() { # NAME DATA OUTPUTS ACTIVATION LOSS RATE
  cat >"$1.yaml" <<YAML
name: $1
backbone: {architecture: vgg16, input: [32, 32, 1], cut: block1_pool}
head: [{layer: global_average_pooling}, {layer: dense, units: $3, activation: $4}]
data: {train: $2/train, validation: $2/validation, test: $2/test}
training: {loss: $5, batch_size: 16, epochs: 3, optimizer: {name: adam, learning_rate: $6}}
YAML
  must_run 1 train "$1.yaml" -q
  must_run 1 evaluate "runs/$1" -q
}
job ages numbers 2 linear mean_squared_error 0.01
job slow numbers 2 linear mean_squared_error 0.001
job chest labels 2 sigmoid binary_crossentropy 0.01
job chest2 labels 2 sigmoid binary_crossentropy 0.001

must_run 1 compare runs/ages runs/slow -o regression.json --page regression.html
grep -q '^mae <b>age .* p .*(Wilcoxon)' out || complain "no test of absolute errors: $(cat out)"
must_run 3 compare runs/ages runs/slow -o again.json --page again.html
same regression.json again.json
same regression.html again.html
for run in ages slow; do must_run 1 predict runs/$run numbers/test -o $run.csv -q; done
python3 - <<'PY' || complain "regression.json is not what counting says"
import csv, json, math
c = json.load(open("regression.json"))
truth = {r["path"]: r for r in csv.DictReader(open("numbers.csv"))}
figure = {(r["name"], r["figure"]): r for r in c["regression"]}
assert len(figure) == 9 and c["samples"] > 20 and c["groups"] < c["samples"]
for side, run in (("a", "ages"), ("b", "slow")):
    rows = list(csv.reader(open(run + ".csv")))
    names = rows[0]
    for k, target in enumerate(("<b>age", "dose")):
        column = names.index(target) if target in names else len(names) - 2 + k
        pairs = [(float(r[column]), float(truth[r[0]][target])) for r in rows[1:]]
        assert len(pairs) == c["samples"]
        mae = sum(abs(y - t) for y, t in pairs) / len(pairs)
        mse = sum((y - t) ** 2 for y, t in pairs) / len(pairs)
        mean = sum(t for _, t in pairs) / len(pairs)
        r2 = 1 - mse * len(pairs) / sum((t - mean) ** 2 for _, t in pairs)
        for name, value in (("mae", mae), ("rmse", math.sqrt(mse)), ("r2", r2)):
            assert abs(figure[target, name][side] - value) < 1e-4 * max(1, abs(value)), (target, name, side, figure[target, name], value)
for r in c["regression"]:
    assert r["difference_low"] <= r["a"] - r["b"] <= r["difference_high"], r
assert 0 <= figure["dose", "mae"]["wilcoxon_p"] <= 1 and figure["dose", "mae"]["pairs"] <= c["samples"]
PY
# What thaw explain says of numbers: outputs and labels as in the lists, the target that is named.
must_run 2 explain runs/ages numbers/test --class dose -n 5 --neighbours 1 -q
python3 - <<'PY' || complain "explain of a regression: $(cat runs/ages/explain/explain.csv)"
import csv
truth = {r["path"]: r for r in csv.DictReader(open("numbers.csv"))}
rows = list(csv.DictReader(open("runs/ages/explain/explain.csv")))
assert len(rows) == 5
for r in rows:
    for name, label in ((r["id"], r["label"]), (r["neighbour_1"], r["neighbour_1_label"])):
        assert all(abs(float(a) - float(truth[name][b])) < 0.01 for a, b in zip(label.split("|"), ("<b>age", "dose"))), r
    assert r["explained"] == "dose" and r["explained_output"] == r["output"].split("|")[1]
PY
# And of several labels: the one that is most wrong.
must_run 2 explain runs/chest labels/test --top-losses -n 5 -q
python3 - <<'PY' || complain "explain of several labels: $(cat runs/chest/explain/explain.csv)"
import csv
truth = {r["path"]: r for r in csv.DictReader(open("labels.csv"))}
for r in csv.DictReader(open("runs/chest/explain/explain.csv")):
    t, y = truth[r["id"]], dict(zip(("Edema", "Fracture"), map(float, r["output"].split("|"))))
    assert r["label"] == "|".join(k for k in y if t[k] == "1") and r["predicted"] == "|".join(k for k in y if y[k] > 0.5)
    known = {k: abs(y[k] - float(t[k])) for k in y if t[k] != "-1"}
    assert r["explained"] == max(known, key=known.get), r
PY
must_run 1 compare runs/chest runs/chest2 --page labels.html
grep -q 'AUROC Edema' out || complain "no AUROC of a label: $(cat out)"
for part in '&lt;b&gt;age' 'p (Wilcoxon' 'training.phases.1.optimizer.learning_rate' 'data:image/png'; do
  grep -qF "$part" regression.html || complain "regression.html lacks '$part'"
done
grep -q 'p (McNemar' labels.html || complain "labels.html lacks McNemar's test"
# Files alone do, too.
cp runs/ages/predictions.h5 a.h5
must_run 1 compare a.h5 runs/slow --page file.html -o file.json
same <(tail -n +3 file.json) <(tail -n +3 regression.json)

fails 3 "of another kind or number" compare runs/ages runs/chest
code=0
for page in regression labels file; do
  timeout 120 python3 "$source_folder/tests/report/browser.py" $page.html || code=$?
  [ "$code" = 0 ] || [ "$code" = 77 ] || complain "$page.html in Chromium: exit code $code"
done
finish
