#!/usr/bin/env bash
# multi_label.sh THAW SOURCE: a list like CheXpert's, from the images to the subgroup table: a column per label, uncertain
# labels, patients that are folders; the same bits on any number of ranks.
# shellcheck source=support.sh
. "$(dirname "$0")/support.sh"
cd "$work"

python3 - <<'PY'
import os, random, struct, zlib
random.seed(5)
def png(path, rows):
    raw = b"".join(b"\0" + bytes(row) for row in rows)
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    os.makedirs(os.path.dirname(path), exist_ok=True)
    open(path, "wb").write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 32, 32, 8, 0, 0, 0, 0)) +
                           chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b""))
lines = ["Path,Sex,Age,Frontal/Lateral,Edema,Cardiomegaly,Fracture"]
for patient in range(40):
    sex = random.choice(["Male", "Female"])
    for view in range(random.randint(1, 3)):
        edema, heart = random.random() < 0.5, random.random() < 0.4
        path = f"small/train/patient{patient:05}/study1/view{view}.png"
        png(path, [[min(255, random.randrange(60) + 120 * (edema and y > 16) + 100 * (heart and 8 < x < 24)) for x in range(32)] for y in range(32)])
        cell = lambda there: "-1.0" if random.random() < 0.2 else "1.0" if there else random.choice(["0.0", ""])
        lines.append(f"{path},{sex},{patient + 20},Frontal,{cell(edema)},{cell(heart)},0.0")
open("train.csv", "w").write("\n".join(lines) + "\n")
PY
import=(import train.csv --path-column Path --group-folder 3 --subgroups Sex,Age --label-columns Edema,Cardiomegaly,Fracture
  --size 32x32 --channels 1 --split 0.5,0.25,0.25 -q)
must_run 1 "${import[@]}" -o shards
must_run 3 "${import[@]}" -o again
diff -r shards again >diff.txt || complain "one and three ranks import differently: $(head -3 diff.txt)"
[ "$(cat shards/*/subgroups.csv | grep -c patient)" = "$(tail -n +2 train.csv | wc -l)" ] || complain "subgroups.csv do not list every image"
[ "$(for s in shards/*/subgroups.csv; do grep -o 'patient[0-9]*' "$s" | sort -u; done | sort | uniq -d)" = "" ] || complain "a patient is in two splits"

job() {
  cat > "$1.yaml" <<YAML
name: $1
backbone: {architecture: vgg16, input: [32, 32, 1], cut: block1_pool}
head:
  - {layer: flatten}
  - {layer: dense, units: 3, activation: sigmoid}
data: {train: shards/train, validation: shards/validation, test: shards/test}
training:
  loss: $2
  batch_size: 16
  metrics: [binary_accuracy]
  $3
  phases: [{epochs: 4, optimizer: {name: adam, learning_rate: 0.001}}]
YAML
}
job ignore binary_crossentropy ''
job ones binary_focal_crossentropy 'unknown_labels: ones'
job weights binary_crossentropy 'class_weights: {Edema: 2, Cardiomegaly: 1.5}'
for name in ignore ones weights; do
  must_run 1 train $name.yaml -q
  grep sha256 out > first
  must_run 3 train $name.yaml --overwrite -q
  grep sha256 out > second
  cmp -s first second || complain "$name: other parameters on three ranks"
done
job balanced binary_crossentropy 'class_weights: balanced'
run 2 train balanced.yaml -q
[ "$code" = 3 ] && grep -q "label 'Fracture' has no positive in the training data" err || complain "balanced: $(cat err)"
job mean mean_squared_error 'class_weights: {Edema: 2}'
run 1 train mean.yaml -q
[ "$code" = 2 ] && grep -q 'weights of several labels go with binary_crossentropy' err || complain "mean: $(cat err)"

must_run 2 evaluate runs/ignore -q
python3 - <<'PY' || complain "the evaluation is not what the list says: $(cat out)"
import csv, json
e = json.load(open("runs/ignore/evaluation.json"))
test = {r["id"] for r in csv.DictReader(open("shards/test/subgroups.csv"))}
rows = [r for r in csv.DictReader(open("train.csv")) if r["Path"] in test]
assert len(rows) == e["count"] and e["bootstrap"]["unit"] == "group"
for q in e["questions"]:
    cells = [r[q["name"]] for r in rows]
    assert q["unknown"] == cells.count("-1.0") and q["positives"] == cells.count("1.0")
    assert q["unknown"] + q["positives"] + q["negatives"] == len(rows)
fracture = next(q for q in e["questions"] if q["name"] == "Fracture")
assert fracture["auroc"][0] is None and any("'Fracture' has no positive" in n for n in e["notes"])
edema = next(q for q in e["questions"] if q["name"] == "Edema")
assert edema["auroc"][0] > 0.8, edema["auroc"]
assert {(g["column"], g["value"]) for g in e["subgroups"]} >= {("Sex", "Male"), ("Sex", "Female")}
PY
must_run 1 predict runs/ignore shards/test -o rows.csv -q
grep -q '^id,Edema,' rows.csv || complain "several labels are no choice of one class: $(head -1 rows.csv)"
must_run 1 evaluate runs/ones -q
must_run 1 compare runs/ignore runs/ones
grep -q 'undefined: no positive' out || complain "compare does not name the label without a positive: $(cat out)"
finish
