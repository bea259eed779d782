#!/usr/bin/env bash
# regression.sh THAW SOURCE: several targets from a list's columns; scaled targets against targets that were scaled before with
# Python's exact statistics; figures of `evaluate` against plain formulas; what cannot be learnt is refused.
# shellcheck source=support.sh
. "$(dirname "$0")/support.sh"
cd "$work"

must_run() {
  run "$@"
  [ "$code" = 0 ] || { complain "thaw ${*:2} on $1 ranks: exit code $code: $(cat err)"; finish; }
}
digest() { sed -n 's/^parameters sha256 //p' out; }

# --- images whose two edges are the targets, of very different sizes; the same list with standardised targets
python3 - <<'PY'
import csv, os, random, statistics, struct, zlib

def single(x):
    return struct.unpack("f", struct.pack("f", x))[0]

def png(path, rows):
    raw = b"".join(b"\0" + bytes(v for pixel in row for v in pixel) for row in rows)
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    head = struct.pack(">IIBBBBB", len(rows[0]), len(rows), 8, 2, 0, 0, 0)
    open(path, "wb").write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b""))

random.seed(7)
os.mkdir("images")
rows = []
for i in range(90):
    a, b = random.random(), random.random()
    png(f"images/{i}.png", [[(200 if y < 32 * a else 20, 200 if x < 32 * b else 20, random.randrange(60)) for x in range(32)]
                            for y in range(32)])
    rows.append([f"images/{i}.png", single(20 + 60 * a), single(3e7 + 1e6 * (a + b)), single(1e-3 * b), f"p{i // 3}",
                 "north" if i % 2 else "south"])
train = rows[:60]
mean = [statistics.mean(r[k] for r in train) for k in (1, 2, 3)]
deviation = [statistics.pstdev(r[k] for r in train) for k in (1, 2, 3)]
for name, part in (("train", train), ("test", rows[60:])):
    for prefix in ("", "scaled_"):
        with open(f"{prefix}{name}.csv", "w", newline="") as f:
            w = csv.writer(f)
            w.writerow(["path", "age", "dose", "bone", "group", "site", "same"])
            for r in part:
                values = r[1:4] if not prefix else [single((r[k + 1] - mean[k]) / deviation[k]) for k in range(3)]
                w.writerow([r[0]] + [repr(v) for v in values] + r[4:] + [4.5])
PY
for list in train test scaled_train scaled_test; do
  must_run 1 import $list.csv -o data/$list --regression --label-columns age,dose,bone --subgroups site --size 32x32 -q
done
must_run 1 inspect data/train
grep -q 'target 1 dose  3' out || complain "inspect does not name the targets: $(cat out)"

job() { # NAME DATA MORE
  cat > "$1.yaml" <<YAML
name: $1
backbone: {architecture: vgg16, cut: block1_pool, input: [32, 32, 3]}
head:
  - {layer: global_average_pooling}
  - {layer: dense, units: 16, activation: relu}
  - {layer: dense, units: ${4:-3}}
data: {train: data/$2, test: data/${2%train}test}
training: {loss: ${5:-mse}, batch_size: 16, epochs: 12, $3 optimizer: {name: adam, learning_rate: 0.01}}
YAML
}
# --- the same bits as with targets scaled before, on any number of ranks, and after a stop
job plain scaled_train ""
job scaled train "target_scaling: standardize,"
must_run 1 train plain.yaml
reference=$(digest)
[ -n "$reference" ] || complain "no digest: $(cat out)"
for ranks in 1 3; do
  must_run $ranks train scaled.yaml --overwrite
  [ "$(digest)" = "$reference" ] || complain "on $ranks ranks: $(digest) instead of $reference"
done
grep -q target_rescaling runs/scaled/summary.txt || complain "the summary lacks the rescaling"
grep -q 'target_scaling: standardize' runs/scaled/job.yaml || complain "job.yaml lacks target_scaling"

# --- evaluate: the targets' own units, the same on any number of ranks
must_run 1 evaluate runs/scaled -o one
must_run 3 evaluate runs/scaled -o three
sed '/"checkpoint"/d' one/evaluation.json > one.json
sed '/"checkpoint"/d' three/evaluation.json > three.json
cmp -s one.json three.json || complain "evaluation.json differs on 3 ranks"
cmp -s one/predictions.h5 three/predictions.h5 || complain "predictions.h5 differs on 3 ranks"
[ "$(head -c 4 one/residuals.png | tail -c 3)" = PNG ] || complain "no residuals.png"
grep -q '^dose  *[0-9]' out || complain "the table lacks dose: $(cat out)"
grep -q '^site=north' out || complain "the table lacks the subgroup: $(cat out)"
must_run 1 predict runs/scaled data/test -o predictions.csv -q
must_run 1 evaluate runs/scaled -q
must_run 1 report runs/scaled -q
grep -q 'predicted and true values' runs/scaled/report.html || complain "the report lacks the residual plot"
grep -q '<th>dose</th>' runs/scaled/report.html || complain "the report lacks the table of errors"
python3 - <<'PY' || complain "evaluation.json is not what the predictions say"
import csv, json, math
truth = list(csv.DictReader(open("test.csv")))
found = {r["id"]: r for r in csv.DictReader(open("predictions.csv"))}
targets = json.load(open("one/evaluation.json"))["regression"]["targets"]
total = [0, 0, 0]
for k, name in enumerate(("age", "dose", "bone")):
    t = [float(r[name]) for r in truth]
    e = [float(found[r["path"]][name]) - float(r[name]) for r in truth]
    m = math.fsum(t) / len(t)
    square = math.fsum(x * x for x in e)
    want = [math.fsum(map(abs, e)) / len(e), math.sqrt(square / len(e)), 1 - square / math.fsum((x - m) ** 2 for x in t)]
    for i, stat in enumerate(("mae", "rmse", "r2")):
        value, low, high, undefined = targets[k][stat]
        assert targets[k]["name"] == name and math.isclose(value, want[i], rel_tol=1e-5), (name, stat, value, want[i])
        assert low <= value <= high and undefined == 0, (name, stat, targets[k])
        total[i] += value / 3
for i, stat in enumerate(("mae", "rmse", "r2")):
    assert targets[3]["name"] == "mean" and math.isclose(targets[3][stat][0], total[i], rel_tol=1e-12)
PY

# --- an exported model has the same last layer
must_run 1 export runs/scaled -o model.keras -q
python3 - <<'PY' || complain "the exported model lacks the rescaling"
import json, zipfile
layer = json.loads(zipfile.ZipFile("model.keras").read("config.json"))["config"]["layers"][-1]
assert layer["class_name"] == "Rescaling" and len(layer["config"]["scale"]) == 3 and layer["config"]["offset"][1] > 3e7
PY

# --- refused in one line (beside the warning that this backbone has no weights)
refused() { # CODE MESSAGE ARG ...
  for ranks in 1 3; do
    run $ranks "${@:3}"
    [ "$code" = "$1" ] || complain "thaw ${*:3} on $ranks ranks: exit code $code, expected $1"
    [ "$(grep -c '^error: ' err)" = 1 ] && grep '^error: ' err | grep -qF -- "$2" || complain "thaw ${*:3}: '$(cat err)' lacks '$2'"
  done
}
run 1 import train.csv -o data/same --regression --label-columns age,same --size 32x32 -q
job constant same "target_scaling: standardize," 2
sed -i 's/, test: data.*}/}/' constant.yaml
refused 3 "target 2 (same) is 4.5 in all 60 samples: a constant cannot be standardised" train constant.yaml
job classes train "target_scaling: standardize," 3 binary_crossentropy
refused 2 "target_scaling: goes with regression losses, not with binary_crossentropy" train classes.yaml -q
sed '5s/,[^,]*,p/,,p/' train.csv > empty.csv
fails 3 "empty.csv:5: bone is empty" import empty.csv -o data/empty --regression --label-columns age,dose,bone
sed '6s/,[^,]*,p/,nan,p/' train.csv > nan.csv
fails 3 "nan.csv:6: bone 'nan' is no finite number" import nan.csv -o data/nan --regression --label-columns age,dose,bone
sed -i 's/standardize/standardise/' scaled.yaml
fails 2 "standardize" train scaled.yaml -o runs/other
finish
