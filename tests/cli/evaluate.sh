#!/usr/bin/env bash
# evaluate.sh THAW SOURCE: evaluate and predict give the same numbers on any number of ranks, each sample once, and
# predictions straight from image files are those of the shards made of them.
# shellcheck source=support.sh
. "$(dirname "$0")/support.sh"
cd "$work"

"$make_data" train 90 3 32 2 1
"$make_data" test 53 3 32 3 2
cat > job.yaml <<'YAML'
name: small
backbone: {architecture: mobilenetv2, input: [32, 32, 3]}
head:
  - {layer: global_average_pooling}
  - {layer: dense, units: 3, activation: softmax}
data: {train: train, test: test}
training:
  loss: sparse_categorical_crossentropy
  batch_size: 32
  metrics: [accuracy, top_2_accuracy]
  phases: [{epochs: 3, optimizer: {name: adam, learning_rate: 0.01}}]
YAML
must_run 2 train job.yaml -q

# --- any number of ranks, also more than there are slices
for ranks in 1 2 5 8; do
  must_run $ranks evaluate runs/small -o "e$ranks" -q
  grep -E '^(samples|loss|accuracy|top_2)|average' out > "table$ranks"
  sed '/"checkpoint"/d' "e$ranks/evaluation.json" > "json$ranks"
done
for ranks in 2 5 8; do
  same table1 table$ranks
  same json1 json$ranks
  same e1/predictions.h5 e$ranks/predictions.h5
done
grep -q '^samples 53$' table1 || complain "not 53 samples: $(cat table1)"
[ "$(grep -o '"count": 53' json1)" ] || complain "evaluation.json does not count 53"
file e1/confusion.png 2>/dev/null | grep -q 'PNG image' || [ "$(head -c 4 e1/confusion.png | tail -c 3)" = PNG ] || complain "no confusion.png"
# The confusion's entries add up to the samples, its diagonal to the accuracy.
python3 - <<'PY' || complain "evaluation.json disagrees with itself"
import json
e = json.load(open("e1/evaluation.json"))
c = e["confusion"]
hits = sum(c[i][i] for i in range(3))
assert sum(map(sum, c)) == 53 and abs(hits / 53 - e["accuracy"]) < 1e-12 and abs(e["metrics"]["accuracy"] - hits / 53) < 1e-12
assert e["accuracy_interval_95"][0] < e["accuracy"] < e["accuracy_interval_95"][1] or hits in (0, 53)
PY

# --- predict: CSV of the shards, the same on any number of ranks
must_run 1 predict runs/small test -o one.csv -q
must_run 3 predict runs/small test -o three.csv -q
same one.csv three.csv
[ "$(wc -l < one.csv)" = 54 ] || complain "one.csv has $(wc -l < one.csv) lines, not 54"
[ "$(tail -n +2 one.csv | cut -d, -f1 | sort -u | wc -l)" = 53 ] || complain "an id appears twice in one.csv"
must_run 1 predict runs/small test -o one.h5 -q
h5dump -n one.h5 | grep -q /predictions || complain "one.h5 has no /predictions"

# --- images from a folder, one of them broken
mkdir images
python3 - <<'PY'
import struct, zlib
def png(path, shade):
    rows = b"".join(b"\0" + bytes((shade, y * 7 % 256, 40)) * 40 for y in range(24))
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    open(path, "wb").write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 40, 24, 8, 2, 0, 0, 0)) +
                           chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
for i in range(7):
    png(f"images/{i}.png", i * 30)
open("images/broken,name.png", "wb").write(open("images/3.png", "rb").read()[:60])
PY
must_run 1 predict runs/small images -o images1.csv -q
must_run 3 predict runs/small images -o images3.csv -q
same images1.csv images3.csv
[ "$(wc -l < images1.csv)" = 9 ] || complain "images1.csv has $(wc -l < images1.csv) lines, not 9"
grep -q '^"images/broken,name.png",,,,,' images1.csv || complain "the broken image has no error row: $(grep broken images1.csv)"
run 1 predict runs/small images -o strict.csv --strict -q
[ "$code" = 3 ] || complain "--strict: exit code $code, expected 3"
rm "images/broken,name.png"
must_run 1 import images -o shards --size 32x32 --no-stratify -q
must_run 1 predict runs/small shards -o shards.csv -q
[ "$(grep -v ^id shards.csv | cut -d, -f2 | tr '\n' ' ')" = "$(grep png images1.csv | grep -v broken | cut -d, -f2 | tr '\n' ' ')" ] ||
  complain "classes from shards and from images differ"

# --- what cannot be evaluated or predicted
fails 3 'no-such.h5: no such checkpoint' evaluate runs/small --checkpoint no-such.h5 -q
fails 3 'no such file' predict runs/small nothing -q
fails 3 'is not a run folder' evaluate images -q
"$make_data" five 20 5 32 1 3
fails 3 'classes' evaluate runs/small --data five -q
finish
