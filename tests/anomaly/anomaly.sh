#!/usr/bin/env bash
# thaw anomaly: the same model and scores on any number of ranks, metrics with masks, catalogues, tiles; clear words about what cannot be.
. "$(dirname "$0")/../cli/support.sh"
make_mvtec=$(dirname "$thaw")/../../tests/anomaly/make_mvtec
cd "$work"
"$make_mvtec" set 72 12 4 3
network=(--architecture vgg16 --size 64x64 --layers block1_conv2,block3_conv3 --dimensions 24)

for method in padim patchcore; do
  for ranks in 1 3; do
    run $ranks anomaly fit set/bottle/train/good --method $method "${network[@]}" -o $method$ranks.h5 -q
    [ "$code" = 0 ] || complain "fit $method on $ranks ranks: exit code $code: $(cat err)"
    run $ranks anomaly score $method$ranks.h5 set/bottle/test --masks set/bottle/ground_truth -o $method$ranks --maps 5 -q
    [ "$code" = 0 ] || complain "score $method on $ranks ranks: exit code $code: $(cat err)"
  done
  cmp ${method}1.h5 ${method}3.h5 || complain "$method: another model on three ranks"
  diff -r ${method}1 ${method}3 || complain "$method: other scores on three ranks"
  [ "$(ls ${method}1/maps | wc -l)" = 5 ] && [ -s ${method}1/sheet.png ] || complain "$method wrote $(find ${method}1)"
  [ "$(wc -l <${method}1/scores.csv)" = 14 ] || complain "$method: $(cat ${method}1/scores.csv)"
  grep -q '4 normal, 9 anomalous images' out && grep -q 'pixel AUROC 0\.[0-9]*, AUPRO 0\.[0-9]* (9 regions)' out ||
    complain "$method says $(cat out)"
  # Even random features tell a white or brown spot from a wall.
  awk -F'[:,]' '/"image_auroc"/ { bad += $2 < 0.9 } /"pixel_auroc"/ { bad += $2 < 0.8 } END { exit bad }' ${method}1/metrics.json ||
    complain "$method: $(cat ${method}1/metrics.json)"
done

# Windows: the map has the image's size; one window of the whole image is the image.
run 1 anomaly fit set/bottle/train/good "${network[@]}" --tile 48 --stride 24 --merge max -o tiles.h5 -q
[ "$code" = 0 ] && grep -q 'windows of 48 every 24 pixels' out || complain "tiles: $(cat out err)"
run 3 anomaly score tiles.h5 set/bottle/test --masks set/bottle/ground_truth -o tiles -q
[ "$code" = 0 ] && [ -s tiles/maps/0001.png ] || complain "score with tiles: $(cat err)"

# A catalogue: the class of normal samples is learnt from, the others are anomalies.
run 1 import set/bottle/test -o shards --size 64x64 -q
[ "$code" = 0 ] || complain "import: $(cat err)"
run 3 anomaly fit shards/catalog.yaml "${network[@]}" --held-out 0 -o catalog.h5 -q
[ "$code" = 0 ] && grep -q 'learnt from 4 images, 0 held out' out || complain "catalogue: $(cat out err)"
grep -q 'a model of so few is a guess' err || complain "does not warn of few images: $(cat err)"
run 1 anomaly score catalog.h5 shards/catalog.yaml -o catalog --threshold f1 --maps 0 -q
grep -q '4 normal, 9 anomalous' out && [ ! -e catalog/maps ] || complain "score of a catalogue: $(cat out err)"

# New images of which nothing is known; one of them is broken.
mkdir new && cp set/bottle/test/broken_large/000.png new/a.png && cp set/bottle/test/good/000.png new/b.png
echo broken >new/c.png
run 3 anomaly score padim1.h5 new -o today -q
[ "$code" = 0 ] && grep -q 'c.png,,,,,,new/c.png: neither a PNG nor a JPEG' today/scores.csv && grep -q 'warning: 1 of 3 images' err ||
  complain "new images: exit code $code: $(cat out err today/scores.csv)"
grep -q '^new/a.png,,,[0-9.]*,[0-9.]*,1,$' today/scores.csv || complain "does not find the defect: $(cat today/scores.csv)"

refuses() { # CODE MESSAGE ARG ...
  local expected=$1 message=$2 ranks
  shift 2
  for ranks in 1 3; do
    run $ranks anomaly "$@" -q
    [ "$code" = "$expected" ] || complain "anomaly $* on $ranks ranks: exit code $code, expected $expected"
    [ "$(grep -c '^error: ' err)" = 1 ] && grep -qF -- "$message" err || complain "anomaly $* on $ranks ranks: $(cat err)"
  done
}
refuses 3 "1 of 3 images could not be read" score padim1.h5 new -o today --strict
refuses 2 "it is 'fit' or 'score'" learn new
refuses 2 "needs --weights FILE" fit new
refuses 2 "no such layer, did you mean 'block1_conv1'" fit set/bottle/train/good --architecture vgg16 --size 64x64 --layers block1_conv -o x.h5
refuses 2 "none may be left out" fit set/bottle/train/good "${network[@]}" --tile 32 --stride 40 -o x.h5
refuses 2 "--normal god: shards/catalog.yaml has no such class, did you mean 'good'?" fit shards/catalog.yaml "${network[@]}" --normal god
refuses 2 "must end with .h5" fit set/bottle/train/good "${network[@]}" -o model
refuses 3 "--threshold f1: needs images known to be normal" score padim1.h5 new --threshold f1 -o x
refuses 3 "has no folder 'good' of normal images" score padim1.h5 new --masks set/bottle/ground_truth -o x
refuses 3 "its format is 'thaw-shard', expected 'thaw-anomaly'" score "$(ls shards/*.h5 | head -1)" set/bottle/test -o x
mkdir three && cp set/bottle/train/good/00[0-2].png three
refuses 3 "3 normal images of which 1 are held out for the threshold: at least 4" fit three "${network[@]}" -o x.h5
mv set/bottle/ground_truth/broken_small/001_mask.png .
refuses 3 "1 of 9 anomalous images have no mask, the first one would be set/bottle/ground_truth/broken_small/001.png" \
  score padim1.h5 set/bottle/test --masks set/bottle/ground_truth -o x
"$make_mvtec" other 40 1 1 3
cp other/bottle/ground_truth/broken_small/00[12]_mask.png set/bottle/ground_truth/broken_small/
refuses 3 "2 masks are of another size than their images, the first: set/bottle/ground_truth/broken_small/001_mask.png is 40 x 40" \
  score padim1.h5 set/bottle/test --masks set/bottle/ground_truth -o x
dd if=/dev/zero of=padim3.h5 bs=1 seek=100000 count=64 conv=notrunc status=none
run 1 anomaly score padim3.h5 new -o x -q
[ "$code" = 3 ] || complain "a damaged model: exit code $code: $(cat err)"
[ ! -e x.h5 ] && [ ! -e x/scores.csv ] || complain "left files of what failed"
finish
