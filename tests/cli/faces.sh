#!/usr/bin/env bash
# faces.sh THAW SOURCE: jobs/lfw.sh on a small copy of LFW's layout with made-up faces; thaw embed on files and thaw match on any number of
# ranks; images that are missing, broken or ambiguous. Needs python3 for the pictures.
. "$2/tests/cli/support.sh"
command -v python3 >/dev/null || { echo "no python3 here: skipped" && exit 77; }
cd "$work"

# Forty persons: a pattern each, with noise; two of three have several images. Bytes of PNG under the names of LFW.
python3 - <<'PYTHON'
import os, random, struct, zlib
random.seed(5)
SIDE = 40
def png(rows):
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    raw = b"".join(b"\0" + bytes(row) for row in rows)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")
count = {}
for root, people in (("LFW/lfw", 40), ("others", 12)):
    for person in range(people):
        name = f"{'First' if root == 'LFW/lfw' else 'Other'}_Last{person:02d}"
        cells = [[[random.randrange(256) for _ in range(3)] for _ in range(4)] for _ in range(4)]
        images = 1 if root == "LFW/lfw" and person % 3 == 2 else 3 + person % 3
        if root == "LFW/lfw": count[name] = images
        os.makedirs(f"{root}/{name}")
        for k in range(images):
            rows = [[min(255, max(0, cells[y // 10][x // 10][c] + random.randrange(-25, 26))) for x in range(SIDE) for c in range(3)] for y in range(SIDE)]
            open(f"{root}/{name}/{name}_{k + 1:04d}.jpg", "wb").write(png(rows))
def pairs(path, people, folds, each):
    several = [n for n in people if count[n] > 1]
    with open(path, "w") as out:
        out.write(f"{folds}\t{each}\n" if folds > 1 else f"{each}\n")
        for _ in range(folds):
            for _ in range(each):
                n = random.choice(several)
                out.write("%s\t%d\t%d\n" % ((n,) + tuple(random.sample(range(1, count[n] + 1), 2))))
            for _ in range(each):
                n, m = random.sample(people, 2)
                out.write(f"{n}\t{random.randint(1, count[n])}\t{m}\t{random.randint(1, count[m])}\n")
names = sorted(count)
pairs("LFW/pairs.txt", names, 10, 8)
pairs("LFW/pairsDevTrain.txt", names[:24], 1, 40)
pairs("LFW/pairsDevTest.txt", names[24:], 1, 20)
PYTHON

lfw() { # OUTPUT [OPTION ...]
  THAW=$thaw timeout 200 bash "$source_folder/jobs/lfw.sh" --lfw LFW --weights none --size 32 --epochs 8 --output "$@" >lfw.log 2>&1
}
value() { python3 -c 'import json, sys; d = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$1" "$2"; }

lfw one || { complain "lfw.sh: $(tail -3 lfw.log)"; finish; }
[ "$(value one/view-1/match.json 'd["verification"]["same"] == 20 and d["verification"]["folds"] == 1')" = True ] || complain "view 1: $(cat one/view-1/match.json)"
[ "$(value one/view-1/match.json 'd["verification"]["auc"] > 0.9')" = True ] || complain "patterns that differ so much are not told apart"
grep -q 'have one image and are left out' lfw.log || complain "persons with one image are not counted"
[ -s one/embedding.keras ] && [ -s one/view-1/roc.png ] && [ -s one/view-1/cmc.png ] || complain "files are missing: $(ls one one/view-1)"
lfw two --train others --ranks 1 || complain "lfw.sh --train: $(tail -3 lfw.log)"
[ "$(value two/view-2/match.json 'len(d["verification"]["fold_accuracy"]) == 10 and d["verification"]["accuracy"] > 0.8')" = True ] || complain "view 2: $(cat two/view-2/match.json)"
grep -q '(mean and standard error of 10 folds)' lfw.log || complain "view 2: $(tail -20 lfw.log)"
[ "$(wc -l <two/view-2/pairs.csv)" = 161 ] || complain "pairs.csv has $(wc -l <two/view-2/pairs.csv) lines"
sed 's/First_Last30/First_Last03/g' LFW/pairsDevTest.txt >mixed && mkdir mixed-lfw && cp LFW/pairs*.txt mixed-lfw && ln -s "$work/LFW/lfw" mixed-lfw/lfw && cp mixed mixed-lfw/pairsDevTest.txt
THAW=$thaw bash "$source_folder/jobs/lfw.sh" --lfw mixed-lfw --weights none --output mixed-run >lfw.log 2>&1 && complain "persons in both lists of view 1"
grep -q 'both name First_Last03' lfw.log || complain "persons in both lists: $(cat lfw.log)"

# A folder of files: the same bytes on any number of ranks, persons from the folders.
for ranks in 1 3; do
  run $ranks embed one/run LFW/lfw -o files-$ranks.csv
  [ $code = 0 ] || complain "embed on $ranks ranks: $(cat err)"
done
cmp files-1.csv files-3.csv || complain "embeddings differ with the ranks"
grep -q '^LFW/lfw/First_Last04/First_Last04_0002.jpg,First_Last04,' files-1.csv || complain "ids and persons: $(head -2 files-1.csv | cut -c1-80)"
run 1 match files-1.csv --pairs LFW/pairs.txt -o match-1
run 3 match files-3.csv --pairs LFW/pairs.txt -o match-3
cmp match-1/pairs.csv match-3/pairs.csv && cmp match-1/roc.csv match-3/roc.csv || complain "match differs with the ranks"
grep -q '13 persons with one image' "$work/out" || complain "single images: $(cat "$work/out")"

# Broken images are named and have no embedding; pairs that need them are refused, or left out and counted.
cp -r LFW/lfw broken
first=$(sed -n 2p LFW/pairs.txt | awk '{printf "%s_%04d", $1, $2}')
printf 'no picture' >"broken/${first%_*}/$first.jpg"
run 3 embed one/run broken -o broken.h5
[ $code = 0 ] && grep -q "$first.jpg" "$work/err" && grep -q '1 images could not be read' "$work/err" || complain "broken image: $(cat "$work/err")"
run 3 embed one/run broken -o strict.h5 --strict
[ $code = 3 ] && grep -q '^error: 1 of 107 images could not be read' "$work/err" && [ ! -e strict.h5 ] || complain "strict: $(cat "$work/err")"
fails 3 "name an image without an embedding (line 2: $first)" match broken.h5 --pairs LFW/pairs.txt
run 1 match broken.h5 --pairs LFW/pairs.txt --allow-missing -o broken-match
[ $code = 0 ] && grep -q 'pairs left out, for an image has no embedding: line 2' "$work/out" || complain "pairs left out: $(cat "$work/out" "$work/err")"
fails 3 "no such file" match nothing.h5
fails 2 "goes with --pairs" match files-1.csv --threshold-pairs LFW/pairs.txt
sed 1d LFW/pairs.txt >headless.txt
fails 3 "first line" match files-1.csv --pairs headless.txt

# A gallery of some, probes of all: the others are strangers.
head -40 files-1.csv >gallery.csv
run 1 match files-1.csv --gallery gallery.csv -o known
[ $code = 0 ] && [ "$(value known/match.json 'd["identification"]["cmc"][0] > 0.9 and d["identification"]["strangers"] > 30 and d["identification"]["dir"][0] is not None')" = True ] ||
  complain "gallery: $(cat known/match.json "$work/err")"
finish
