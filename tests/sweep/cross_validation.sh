#!/usr/bin/env bash
# cross_validation.sh THAW SOURCE: folds keep patients together and use every sample once; their runs have the bits of `thaw train`;
# all of it is the same on any number of ranks, and after a kill; the pooled figures are the sum of the folds'; bad input.
# shellcheck source=../cli/support.sh
. "$(dirname "$0")/../cli/support.sh"
cd "$work"

must_run() {
  run "$@"
  [ "$code" = 0 ] || { complain "thaw ${*:2} on $1 ranks: exit code $code: $(cat err)"; finish; }
}
table() { sed 's/,[^,]*$//' "$1/sweep.csv"; }

# --- 84 images of 21 patients, two classes
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
with open("list.csv", "w", newline="") as f:
    w = csv.writer(f)
    w.writerow(["path", "label", "group"])
    for i in range(84):
        patient = i * 8 % 21
        ill = patient % 3 == 0
        png(f"images/{i}.png", [[(random.randrange(60, 200 if ill else 140), random.randrange(90), 40) for _ in range(32)]
                                for _ in range(32)])
        w.writerow([f"images/{i}.png", "ill" if ill else "well", f"p{patient:02d}"])
PY
must_run 1 import list.csv -o data --size 32x32 --shard-samples 50 -q
cat > job.yaml <<'YAML'
name: cv
backbone: {architecture: vgg16, cut: block1_pool, input: [32, 32, 3]}
head:
  - {layer: global_average_pooling}
  - {layer: batch_normalization}
  - {layer: dense, units: 2, activation: softmax}
data: {train: data}
training: {loss: categorical_crossentropy, batch_size: 16, epochs: 3, optimizer: {name: adam, learning_rate: 0.01}}
YAML
{ cat job.yaml; printf 'sweep:\n  folds: 3\n  learning_rate: [0.02, 0.001]\n'; } > sweep.yaml

# --- one cache entry for all folds; the runs' bits; ranks
must_run 1 sweep sweep.yaml
cp out one.txt
[ "$(ls cache | wc -l)" = 1 ] || complain "$(ls cache | wc -l) cache entries, not 1"
must_run 3 sweep sweep.yaml -o three
diff <(table runs/cv) <(table three) >diff.txt || complain "sweep.csv differs on 3 ranks: $(cat diff.txt)"
cmp -s runs/cv/cross_validation/predictions.h5 three/cross_validation/predictions.h5 || complain "predictions.h5 differs on 3 ranks"
must_run 2 train runs/cv/002/fold-3/job.yaml -o alone -q
grep -q "^.*,2,3,0.001,.*,ok,$(sed -n 's/^parameters sha256 //p' out)," runs/cv/sweep.csv ||
  complain "fold 3 of candidate 2 has other bits than its job alone"

# --- every sample once, means and pooled figures
for fold in 1 2 3; do must_run 1 evaluate runs/cv/best/fold-$fold -o eval/$fold -q; done
python3 - <<'PY' || complain "the folds' figures do not add up"
import csv, json, statistics
rows = [r for r in csv.DictReader(open("runs/cv/sweep.csv")) if r["rank"] == "1"]
assert [r["fold"] for r in rows] == ["1", "2", "3"]
assert abs(statistics.mean(float(r["val_loss"]) for r in rows) - float(rows[0]["score"])) < 1e-9
pooled = json.load(open("runs/cv/cross_validation/evaluation.json"))
folds = [json.load(open(f"eval/{k}/evaluation.json")) for k in (1, 2, 3)]
assert pooled["count"] == 84 == sum(f["count"] for f in folds)
for a in range(2):
    for b in range(2):
        assert pooled["confusion"][a][b] == sum(f["confusion"][a][b] for f in folds)
assert [sum(pooled["confusion"][0]), sum(pooled["confusion"][1])] == [28, 56]
for f in folds:  # stratified: every fold has patients of both kinds in the proportion of the whole
    assert 0.25 < sum(f["confusion"][0]) / f["count"] < 0.46
assert abs(pooled["loss"] - sum(f["loss"] * f["count"] for f in folds) / 84) < 1e-9
assert pooled["bootstrap"]["unit"] == "group" and pooled["bootstrap"]["units"] == 21
assert 0 <= pooled["overall"]["macro_auroc"][1] <= pooled["overall"]["macro_auroc"][0] <= 1
PY
grep -q '+-' one.txt || complain "the table has no deviations: $(cat one.txt)"
grep -q 'out-of-fold predictions' one.txt || complain "no out-of-fold figures: $(cat one.txt)"

# --- killed and resumed; a job without a section `sweep`
"$thaw" sweep sweep.yaml -o killed >killed.log 2>&1 &
victim=$!
for _ in $(seq 400); do
  [ -e killed/001/fold-2/job.key ] && break
  sleep 0.05
done
kill -9 $victim
wait $victim 2>/dev/null || true
must_run 2 sweep sweep.yaml -o killed --resume
diff <(table runs/cv) <(table killed) >diff.txt || complain "sweep.csv differs after a kill: $(cat diff.txt)"
must_run 2 sweep job.yaml --folds 2 -o plain -q
[ "$(wc -l < plain/sweep.csv)" = 3 ] || complain "not two runs: $(cat plain/sweep.csv)"

# --- refused in one line (beside the warning that this backbone has no weights)
refused() { # CODE MESSAGE ARG ...
  for ranks in 1 3; do
    run $ranks "${@:3}"
    [ "$code" = "$1" ] || complain "thaw ${*:3} on $ranks ranks: exit code $code, expected $1"
    [ "$(grep -c '^error: ' err)" = 1 ] && grep '^error: ' err | grep -qF -- "$2" || complain "thaw ${*:3}: '$(cat err)' lacks '$2'"
  done
}
refused 3 "has 21 groups (patients), too few for 22 folds" sweep job.yaml --folds 22 -o many
sed 's/{train: data}/{train: data, validation: data}/' job.yaml > both.yaml
fails 2 "data.folds: goes without data.validation" sweep both.yaml --folds 3 -o both
sed 's/{train: data}/{train: data, folds: 3, fold: 4}/' job.yaml > fourth.yaml
fails 2 "data.fold: 4 of 3 folds" train fourth.yaml -o fourth
fails 2 "folds" sweep job.yaml --folds 1 -o one-fold
finish
