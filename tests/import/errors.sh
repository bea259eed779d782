#!/usr/bin/env bash
# Every failure of thaw import: one line, the right exit code, the same on 1 and 5 ranks, nothing left behind.
source "$(dirname "$0")/cli_support.sh"
make_folder
make_idx 30
mkdir empty flat
cp "$images"/grey8.png "$images"/rgb444.jpg flat
echo junk >flat/junk.png
printf 'file,label\na.png,x\n' >columns.csv
printf 'path,label\nno-such.png,x\n' >gone.csv
head -c 1000 x.idx >cut.idx
echo "no zip" >bad.npz

# expect CODE TEXT ARG...: on 1 and on 5 ranks.
expect() {
  local code=$1 text=$2 ranks found
  shift 2
  for ranks in 1 5; do
    found=0
    run $ranks import "$@" >out.$ranks 2>err.$ranks || found=$?
    [ $found = "$code" ] || fail "'$*' on $ranks ranks: exit code $found, expected $code: $(cat err.$ranks)"
    [ "$(grep -c '^error: ' err.$ranks)" = 1 ] || fail "'$*' on $ranks ranks: $(cat err.$ranks)"
    grep -F -q -- "$text" err.$ranks || fail "'$*' on $ranks ranks says: $(cat err.$ranks)"
    [ ! -e new ] || fail "'$*' on $ranks ranks left $(find new)"
  done
  diff <(grep '^error: ' err.1) <(grep '^error: ' err.5 | sed -E 's/rank [0-9]+ \([^)]*\): //') || fail "'$*': other words on 5 ranks"
}

expect 2 'needs SOURCE' --output new
expect 2 'needs --output' photos
expect 2 "did you mean '--overwrite'" photos --output new --overwrit
expect 2 "'7y7' is no size" photos --output new --size 7y7
expect 2 "'a,b' is no split" photos --output new --split a,b
expect 2 'split 0.5,0.1,0: give fractions' photos --output new --size 8 --split 0.5,0.1
expect 2 'asks for 100 samples, there are 17' photos --output new --size 8 --split 50,50
expect 2 "photos: class 'cow' is not among the 2 of --classes" photos --output new --size 8 --classes cat,dog
expect 2 "x.idx: class '2' is not among the 2 of --classes" x.idx --labels y.idx.gz --output new --classes a,b
expect 2 '--first 99 leaves none' x.idx --output new --first 99
expect 3 'nowhere: no such file or folder' nowhere --output new
expect 3 'empty: no images' empty --output new
expect 3 'images of different sizes need --size' photos --output new
expect 3 '2 of 19 images are broken; the first: photos/cow/cut.jpg: broken JPEG' photos --output new --size 8 --strict
expect 3 "columns.csv:1: no column 'path'" columns.csv --output new
expect 3 'no image can be read; the first: ' gone.csv --output new
expect 3 'cut.idx: holds 984 bytes' cut.idx --output new
expect 3 'bad.npz: ' bad.npz --output new
expect 1 '/proc/new: ' flat --output /proc/new --size 8

# --- an existing data set is neither overwritten nor touched
run 1 import x.idx --labels y.idx.gz --output old -q
digests old >before
for ranks in 1 5; do
  code=0
  run $ranks import x.idx --labels y.idx.gz --output old --split 20,10 2>err.$ranks >/dev/null || code=$?
  [ $code = 2 ] || fail "an existing data set: exit code $code: $(cat err.$ranks)"
  grep -q 'old/catalog.yaml: exists already' err.$ranks || fail "$(cat err.$ranks)"
  digests old >after
  cmp before after || fail "the existing data set was changed"
done
run 1 import x.idx --labels y.idx.gz --output old --split 20,10 --overwrite -q
[ ! -e old/catalog.yaml ] || fail "the replaced catalogue is still there"
[ ! -e old/data-00000.h5 ] || fail "the replaced shard is still there"
[ -e old/train/catalog.yaml ] || fail "no new catalogue"
echo "import errors: all as expected"
