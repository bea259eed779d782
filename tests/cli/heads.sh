#!/usr/bin/env bash
# heads.sh THAW SOURCE: a job with three heads (classes, a number, two yes or no) from a list in which labels are missing: the same
# bits on any number of ranks, without the cache, and after a kill; evaluate and predict head by head against plain formulas; exported
# outputs; what does not go with heads is refused. With THAW_KERAS_PYTHON the exported model's predictions and optimiser state are
# compared, too (THAW_HEADS_EXPORT_ONLY: and nothing after that).
# shellcheck source=support.sh
. "$(dirname "$0")/support.sh"
cd "$work"
digest() { sed -n 's/^parameters sha256 //p' out; }
table() { sed 's/,[^,]*$//' "$1/metrics.csv" | md5sum; }

python3 - <<'PY'
import csv, os, random, struct, zlib

def png(path, rows):
    raw = b"".join(b"\0" + bytes(v for pixel in row for v in pixel) for row in rows)
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    head = struct.pack(">IIBBBBB", len(rows[0]), len(rows), 8, 2, 0, 0, 0)
    open(path, "wb").write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b""))

random.seed(11)
os.mkdir("images")
rows = []
for i in range(110):
    c, age, edema, mass = random.randrange(3), random.random(), random.randrange(2), random.randrange(2)
    def pixel(y, x):
        p = [random.randrange(60) for _ in range(3)]
        p[c] += 40 + int(120 * age)
        if edema and y < 16: p[(c + 1) % 3] += 60
        if mass and x < 16: p[(c + 2) % 3] += 60
        return [min(v, 255) for v in p]
    png(f"images/{i:03d}.png", [[pixel(y, x) for x in range(32)] for y in range(32)])
    rows.append([f"images/{i:03d}.png", "" if i % 9 == 4 else ["mild", "normal", "severe"][c],
                 "" if i % 7 == 3 else round(20 + 60 * age, 3), -1 if i % 8 == 2 else edema, mass, f"p{i // 2}"])
for name, part in (("train", rows[:70]), ("validation", rows[70:90]), ("test", rows[90:])):
    with open(f"{name}.csv", "w", newline="") as f:
        w = csv.writer(f)
        w.writerow(["path", "diagnosis", "age", "edema", "mass", "group"])
        w.writerows(part)
PY
columns=(--class-columns diagnosis --label-columns edema,mass --target-columns age)
for list in train validation test; do must_run 1 import $list.csv -o data/$list "${columns[@]}" -q; done
must_run 3 import train.csv -o again "${columns[@]}" -q
same data/train/catalog.yaml again/catalog.yaml
must_run 1 inspect data/train
grep -Eq 'diagnosis +62 known +one of 3 classes: mild, normal, severe' out || complain "inspect: $(cat out)"
grep -Eq 'age +60 known +a number' out || complain "inspect: $(cat out)"

cat > job.yaml <<'YAML'
name: three
backbone: {architecture: vgg16, cut: block1_pool, input: [32, 32, 3]}
head: [{layer: global_average_pooling}, {layer: dense, units: 16, activation: relu}]
heads:
  - name: diagnosis
    layers: [{layer: dropout, rate: 0.2}, {layer: dense, units: 3, activation: softmax}]
    loss: categorical_crossentropy
  - name: age
    layers: [{layer: batch_normalization}, {layer: dense, units: 8, activation: tanh}, {layer: dense, units: 1}]
    loss: mse
    target_scaling: standardize
    weight: 0.3
  - name: findings
    labels: [edema, mass]
    layers: [{layer: dense, units: 2, activation: sigmoid}]
    loss: binary_crossentropy
    weight: 0.5
data: {train: data/train, validation: data/validation, test: data/test}
training:
  batch_size: 16
  checkpoint: {monitor: val_age_mae}
  phases:
    - {epochs: 12, optimizer: {name: adam, learning_rate: 0.01}}
    - {epochs: 3, unfreeze: block1_conv2, optimizer: {name: adam, learning_rate: 0.0005}}
YAML

# --- the same bits
must_run 1 train job.yaml
reference=$(digest) wanted=$(table runs/three)
[ -n "$reference" ] || complain "no digest: $(cat out)"
for ranks in 2 3 5; do
  must_run $ranks train job.yaml --overwrite
  [ "$(digest)" = "$reference" ] || complain "on $ranks ranks: $(digest) instead of $reference"
  [ "$(table runs/three)" = "$wanted" ] || complain "on $ranks ranks metrics.csv differs"
done
{ sed 's/name: three/name: uncached/' job.yaml; echo 'cache: false'; } > uncached.yaml
must_run 2 train uncached.yaml
[ "$(digest)" = "$reference" ] || complain "without the cache: $(digest) instead of $reference"
"$thaw" train job.yaml -o killed >killed.log 2>&1 &
pid=$!
for ((i = 0; i < 2000; i++)); do
  compgen -G 'killed/step-*.h5' >/dev/null && break
  sleep 0.005
done
kill -KILL $pid 2>/dev/null || true
wait $pid 2>/dev/null || true
must_run 3 train job.yaml -o killed --resume
[ "$(table killed)" = "$wanted" ] || complain "after a kill metrics.csv differs"
grep -q "\"parameters_sha256\": \"$reference\"" killed/log.jsonl || complain "after a kill the parameters differ"
python3 - <<'PY' || complain "the loss is not the weighted sum"
import csv, math
rows = list(csv.DictReader(open("runs/three/metrics.csv")))
assert list(rows[0])[4:11] == ["loss", "diagnosis_loss", "age_loss", "findings_loss", "diagnosis_accuracy", "age_mae", "findings_accuracy"]
for r in rows:
    for v in ("", "val_"):
        parts = [float(r[v + h + "_loss"]) for h in ("diagnosis", "age", "findings")]
        assert math.isclose(float(r[v + "loss"]), parts[0] + 0.3 * parts[1] + 0.5 * parts[2], rel_tol=1e-9), r
assert float(rows[-1]["diagnosis_accuracy"]) > 0.9 and float(rows[-1]["age_mae"]) < 0.8 * float(rows[0]["age_mae"]), rows[-1]
PY

# --- evaluate and predict
must_run 1 evaluate runs/three -o one
must_run 3 evaluate runs/three -o three
for h in diagnosis age findings; do
  sed '/"checkpoint"/d' one/heads/$h/evaluation.json > one.json
  sed '/"checkpoint"/d' three/heads/$h/evaluation.json > three.json
  same one.json three.json
  same one/heads/$h/predictions.h5 three/heads/$h/predictions.h5
done
same <(sed '/"checkpoint"/d' one/evaluation.json) <(sed '/"checkpoint"/d' three/evaluation.json)
must_run 2 predict runs/three data/test -o predictions.csv -q
must_run 1 predict runs/three data/test -o predictions.h5 -q
must_run 1 predict runs/three images/090.png -o image.csv -q
same <(sed -n 2p image.csv | cut -d, -f2-) <(sed -n 2p predictions.csv | cut -d, -f2-)
python3 - <<'PY' || complain "figures are not what the predictions say"
import csv, json, math
truth = list(csv.DictReader(open("test.csv")))
found = {r["id"]: r for r in csv.DictReader(open("predictions.csv"))}
assert list(found["images/090.png"]) == ["id", "diagnosis", "diagnosis:mild", "diagnosis:normal", "diagnosis:severe", "age",
                                         "findings:edema", "findings:mass"]
whole = json.load(open("one/evaluation.json"))
own = {h: json.load(open(f"one/heads/{h}/evaluation.json")) for h in ("diagnosis", "age", "findings")}
close = lambda a, b: math.isclose(a, b, rel_tol=1e-5)
known = [r for r in truth if r["diagnosis"]]
hits = sum(found[r["path"]]["diagnosis"] == r["diagnosis"] for r in known)
loss = math.fsum(-math.log(float(found[r["path"]]["diagnosis:" + r["diagnosis"]])) for r in known)
assert own["diagnosis"]["count"] == len(known) < len(truth) and close(own["diagnosis"]["loss"], loss / len(known))
assert close(whole["metrics"]["diagnosis_accuracy"], hits / len(known)) and own["diagnosis"]["metrics"]["accuracy"] == hits / len(known)
assert close(whole["metrics"]["diagnosis_loss"], loss / len(truth))
assert sum(map(sum, own["diagnosis"]["confusion"])) == len(known)
known = [r for r in truth if r["age"]]
mae = math.fsum(abs(float(found[r["path"]]["age"]) - float(r["age"])) for r in known) / len(known)
assert close(whole["metrics"]["age_mae"], mae) and close(own["age"]["regression"]["targets"][0]["mae"][0], mae)
rows = [(float(found[r["path"]]["findings:" + n]), int(r[n])) for r in truth for n in ("edema", "mass")]
loss = math.fsum(-math.log(p if y else 1 - p) for p, y in rows if y >= 0)
assert close(whole["metrics"]["findings_loss"], loss / len(rows))
assert close(whole["loss"], whole["metrics"]["diagnosis_loss"] + 0.3 * whole["metrics"]["age_loss"] + 0.5 * whole["metrics"]["findings_loss"])
assert [h["folder"] for h in whole["heads"]] == ["heads/diagnosis", "heads/age", "heads/findings"]
PY

must_run 1 evaluate runs/three -q
must_run 1 report runs/three -q
for what in '<h2>Head diagnosis' '<h2>Head age' '<h2>Head findings' 'predicted and true values' 'ROC curves' 'diagnosis: normal' \
  '<h3>Targets'; do
  grep -q "$what" runs/three/report.html || complain "the report lacks $what"
done
must_run 1 compare one/heads/diagnosis three/heads/diagnosis
grep -q '^accuracy' out || complain "no comparison of heads: $(cat out)"

# --- exported models have three outputs
for file in model.keras model.h5 model.onnx; do must_run 1 export runs/three -o $file -q; done
python3 - <<'PY' || complain "the exported model has other outputs"
import json, zipfile
config = json.loads(zipfile.ZipFile("model.keras").read("config.json"))
assert [o[0] for o in config["config"]["output_layers"]] == ["diagnosis", "age", "findings"]
assert not any(l["class_name"] == "Concatenate" for l in config["config"]["layers"])
assert config["compile_config"]["loss_weights"] == {"diagnosis": 1, "age": 0.3, "findings": 0.5}
assert set(config["compile_config"]["loss"]) == set(config["compile_config"]["metrics"]) == {"diagnosis", "age", "findings"}
PY
if [ -n "${THAW_KERAS_PYTHON:-}" ]; then
  "$THAW_KERAS_PYTHON" "$source_folder/tests/weights/keras_heads.py" model predictions.h5 runs/three/best.h5 data/test/*.h5 ||
    complain "Keras differs"
  [ -z "${THAW_HEADS_EXPORT_ONLY:-}" ] || { finish; exit 0; }
fi

# --- a sweep over the weight of a head
{ cat job.yaml; printf 'sweep: {search: grid, "heads[1].weight": [0.1, 0.3]}\n'; } > sweep.yaml
must_run 1 sweep sweep.yaml -o swept -q
grep -q 'val_age_mae' swept/sweep.csv || complain "sweep.csv lacks the heads' metrics"

# --- refused in one line
refused() { # CODE MESSAGE ARG ...
  for ranks in 1 3; do
    run $ranks "${@:3}"
    [ "$code" = "$1" ] || complain "thaw ${*:3} on $ranks ranks: exit code $code, expected $1"
    [ "$(grep -c '^error: ' err)" = 1 ] && grep '^error: ' err | grep -qF -- "$2" || complain "thaw ${*:3}: '$(cat err)' lacks '$2'"
  done
}
refused 2 "has 3 heads: thaw explain is for runs with a single one" explain runs/three images
refused 2 "has 3 heads: thaw embed is for runs with a single one" embed runs/three images
refused 2 "has 3 heads: thaw predict --tile is for runs with a single one" predict runs/three images --tile 16
printf 'true,a\n' > costs.csv
refused 2 "--costs goes with a single head" evaluate runs/three --costs costs.csv
changed() { # CODE MESSAGE SED
  sed "$3" job.yaml > changed.yaml
  refused "$1" "$2" train changed.yaml -o changed
}
changed 2 "training: 'mixup' does not go with heads" 's/batch_size: 16/batch_size: 16\n  mixup: 0.2/'
changed 2 "data: 'sampling' does not go with heads" 's/^data: {/data: {sampling: balanced, /'
changed 2 "data: 'folds' does not go with heads" 's/^data: {.*/data: {train: data\/train, folds: 3}/'
changed 2 "training: 'loss' belongs into each of the heads" 's/batch_size: 16/loss: mse/'
changed 2 "training: 'class_weights' does not go with heads" 's/batch_size: 16/class_weights: balanced/'
changed 2 "'age' already names heads[1]" 's/name: findings/name: age/'
changed 2 "heads[0].loss: arcface trains embeddings" 's/loss: categorical_crossentropy/loss: arcface/'
changed 2 "heads[0].layers: the last layer of a head is called as the head" 's/units: 3, activation/units: 3, name: other, activation/'
changed 2 "training.checkpoint.monitor: unknown value 'val_mae'" 's/val_age_mae/val_mae/'
changed 3 "head 'diagnosis': the labels have no column 'diagnoses', but diagnosis, edema, mass, age" 's/name: diagnosis/&\n    labels: diagnoses/'
changed 3 "columns 'edema' and 'age' are of different kinds" 's/\[edema, mass\]/[edema, age]/'
changed 3 "head 'age': its labels are numbers, which binary_crossentropy does not take" 's/loss: mse/loss: binary_crossentropy\n    metrics: [mae]/'
changed 3 "head 'findings': its labels are 0, 1 or unknown" 's/loss: binary_crossentropy/loss: mse/'
changed 3 "head 'diagnosis': " 's/units: 3, activation: softmax/units: 2, activation: softmax/'
sed '/^heads:/,/^data:/{/^data:/!d}; s/units: 16, activation: relu/units: 4/; s/batch_size/loss: mse, batch_size/; s/checkpoint.*/metrics: [mae]/; s/loss: mse, batch_size: 16/loss: mse/' job.yaml > single.yaml
refused 3 "its labels are columns of different kinds: each needs a head" train single.yaml -o single
refused 2 "one has several heads: compare one/heads/NAME" compare one three
broken() { # MESSAGE SED
  rm -rf broken && cp -r data/test broken && sed -i "$2" broken/catalog.yaml
  refused 3 "$1" inspect broken
}
broken "the columns speak of 2 classes, 3 are named" 's/class:3 diagnosis/class:2 diagnosis/'
broken "column 'number age' is none of 'class:N NAME', 'label NAME' and 'target NAME'" 's/target age/number age/'
broken "3 columns are described, the labels have 4" '/target age/d'
broken "'columns' is a list that goes with the label kind mixed" 's/kind: mixed/kind: target/'
broken "is no value of column 'age'" 's/class:3 diagnosis/target diagnosis/; s/target age/class:3 age/'
fails 2 "--class-columns: goes without --regression" import train.csv -o x --class-columns diagnosis --regression
fails 2 "column 'mass' is given twice" import train.csv -o x --class-columns mass --label-columns mass
sed '3s/,p0/,p0/; 3s/^\([^,]*,[^,]*\),[^,]*,/\1,old,/' train.csv > old.csv
fails 3 "old.csv:3: age 'old' is no finite number" import old.csv -o x "${columns[@]}"
finish
