#!/usr/bin/env bash
# thaw import as a user runs it: the same bytes on any number of ranks, a quarantine list, and what a kill leaves.
source "$(dirname "$0")/cli_support.sh"

# --- arrays: the same files on 1, 2, 3 and 5 ranks
make_idx 50
for ranks in 1 2 3 5; do
  run $ranks import x.idx --labels y.idx.gz --size 20x24 --channels 3 --split 0.6,0.2,0.2 --shard-samples 7 \
    --classes zero,one,two --output idx$ranks -q
  digests idx$ranks >idx$ranks.sums
  cmp idx1.sums idx$ranks.sums || fail "other files on $ranks ranks"
done
[ "$(find idx1 -name '*.h5' | wc -l)" = 9 ] || fail "shards: $(find idx1 -name '*.h5')"
grep -q 'count: 30' idx1/train/catalog.yaml || fail "30 of 50 belong to the training part"
grep -q 'histogram: \[10, 10, 10\]' idx1/train/catalog.yaml || fail "classes are out of proportion"
[ ! -e idx1/quarantine.csv ] || fail "a quarantine list without broken images"

# --- folders with broken images: the same files, and the list of what was left out
make_folder
for ranks in 1 2 3 5; do
  run $ranks import photos --size 16x16 --split 8,4,0 --shard-samples 3 --output photos$ranks >log$ranks 2>&1
  digests photos$ranks >photos$ranks.sums
  cmp photos1.sums photos$ranks.sums || fail "other files on $ranks ranks"
done
grep -q '"cow/cut.jpg","photos/cow/cut.jpg: broken JPEG: ' photos1/quarantine.csv || fail "$(cat photos1/quarantine.csv)"
grep -q '"dog/a, ""strange"" name.png",".*neither a PNG nor a JPEG' photos1/quarantine.csv || fail "$(cat photos1/quarantine.csv)"
[ "$(wc -l <photos1/quarantine.csv)" = 3 ] || fail "$(cat photos1/quarantine.csv)"
grep -q '2 of 19 images are broken' log1 || fail "$(cat log1)"
grep -q 'dog/notes.txt' log1 || fail "files left out by their names are not told: $(cat log1)"
grep -q 'image: {height: 16, width: 16, channels: 3, bits: 16, value_max: 65535}' photos1/train/catalog.yaml || fail "$(cat photos1/train/catalog.yaml)"

# --- a list with groups gives the same classes
{ echo path,label,group; for f in photos/*/*.jpg; do echo "$f,$(basename "$(dirname "$f")"),$(basename "$f" | cut -c1-3)"; done; } | grep -v cut.jpg >list.csv
run 2 import list.csv --size 16x16 --fit crop --channels 1 --bits 8 --output listed -q
grep -q 'count: 11' listed/catalog.yaml || fail "$(cat listed/catalog.yaml)"

# --- the order of classes can be given, by name
run 1 import photos --size 16x16 --classes dog,cat,horse,cow --output ordered -q
tr '\n' ' ' <ordered/catalog.yaml | grep -q '"dog" *- "cat" *- "horse" *- "cow" *histogram: \[8, 4, 0, 5\]' || fail "$(cat ordered/catalog.yaml)"

# --- inspect agrees and draws
run 1 inspect photos1/train --sheet sheet.png >seen
grep -q 'one of 3 classes' seen || fail "$(cat seen)"
grep -q 'as its digest says' seen || fail "$(cat seen)"
[ "$(head -c 4 sheet.png | tail -c 3)" = PNG ] || fail "the contact sheet is no PNG"

# --- an interrupted import leaves no catalogue and no half shard, and can simply be run again
make_idx 600
timeout 60 "$thaw" import x.idx --labels y.idx.gz --size 200x200 --channels 3 --shard-samples 10 --deflate 9 --output killed -q &
victim=$!
for ((i = 0; i < 500; i++)); do
  [ "$(find killed -name '*.h5' 2>/dev/null | wc -l)" -ge 3 ] && break
  sleep 0.02
done
pkill -9 -P $victim || true
wait $victim && fail "the import ended before it was killed"
[ "$(find killed -name '*.h5' | wc -l)" -ge 3 ] || fail "nothing was written before the kill"
[ ! -e killed/catalog.yaml ] || fail "a catalogue after a kill"
run 1 inspect killed >/dev/null 2>&1 && fail "an interrupted import is readable as a data set"
for shard in killed/*.h5; do run 1 inspect "$shard" >/dev/null || fail "$shard is half a shard"; done
run 2 import x.idx --labels y.idx.gz --size 20x20 --shard-samples 100 --output killed -q || fail "cannot be run again"
run 1 import x.idx --labels y.idx.gz --size 20x20 --shard-samples 100 --output clean -q
digests killed >killed.sums
digests clean >clean.sums
cmp killed.sums clean.sums || fail "leftovers: $(diff killed.sums clean.sums)"
echo "import: all as expected"
