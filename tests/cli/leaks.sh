#!/usr/bin/env bash
# leaks.sh THAW SOURCE: patients, ids and look-alike images in two data sets: at import, by inspect --leaks, before training and
# evaluation; the same on any number of ranks.
# shellcheck source=support.sh
. "$(dirname "$0")/support.sh"
golden=$source_folder/tests/image/golden
cd "$work"
must_run() {
  run "$@"
  [ "$code" = 0 ] || { complain "thaw ${*:2} on $1 ranks: exit code $code: $(cat err)"; finish; }
}
# rgb444, rgb420 and progressive.jpg are one picture, compressed three ways.
mkdir -p img && cp "$golden"/{rgb8.png,rgb444.jpg,rgb420.jpg,progressive.jpg,grey8.png,grey.jpg,exif1.jpg,exif6.jpg,rgb16.png,grey16.png} img
list() { echo path,label,group; for line in "$@"; do echo "img/$line"; done; }
list rgb8.png,a,p1 rgb444.jpg,b,p2 grey8.png,a,p3 exif1.jpg,b,p4 grey16.png,a, >train.csv
list rgb420.jpg,b,p5 rgb16.png,a,p3 grey.jpg,b,p3 >other.csv
list exif6.jpg,b,p6 progressive.jpg,a,p2 grey8.png,a, >third.csv
for set in train other third; do
  must_run 1 import $set.csv -o $set --size 32x32 --channels 3 --bits 8 -q
  [ "$(wc -l <$set/hashes.txt)" = "$(wc -l <$set.csv)" ] || complain "hashes of $set: $(cat $set/hashes.txt)"
done
must_run 3 import train.csv -o again --size 32x32 --channels 3 --bits 8 --shard-samples 2 -q
cmp <(tail -n +2 train/hashes.txt) <(tail -n +2 again/hashes.txt) || complain "three ranks hash differently"

# --- inspect --leaks: named, counted, exit code 3; computed hashes are the stored ones
mkdir bare && for set in train other third; do mkdir bare/$set && cp $set/catalog.yaml $set/*.h5 bare/$set; done
for ranks in 1 3; do
  for where in . bare; do
    run $ranks inspect --leaks $where/train $where/other $where/third --list list.csv -q
    [ "$code" = 3 ] || complain "leaks on $ranks ranks: exit code $code: $(cat out err)"
    grep -q '2 groups, 1 id and .* images in more than one data set' err || complain "the error: $(cat err)"
    grep -q '1 group in .*train and .*other, 2 images of the latter' out || complain "groups: $(cat out)"
    grep -q '^    p3 (2 images)' out || complain "no name of the group: $(cat out)"
    grep -q '1 id in .*train and .*third' out || complain "ids: $(cat out)"
    grep -q 'img/rgb420.jpg looks like img/rgb444.jpg (0 of 64 bits differ)' out || complain "images: $(cat out)"
    grep -q '^image,.*third,img/progressive.jpg,1,0$' list.csv || complain "the list: $(cat list.csv)"
    sed "s|,$where/|,|g" list.csv >list.$ranks.$(basename $where)
  done
done
for other in list.1.bare list.3.. list.3.bare; do cmp list.1.. $other || complain "$other differs: $(diff list.1.. $other)"; done
run 1 inspect --leaks other third --distance 0 -q
grep -q 'group' out && complain "other and third have no group in common: $(cat out)"
run 1 inspect --leaks train again -q
grep -q '4 groups, 5 ids and 5 images' err || complain "a copy: $(cat err)"
list exif6.jpg,a, >lone.csv && must_run 1 import lone.csv -o lone --size 32x32 --channels 3 --bits 8 -q
list grey8.png,a, >alone.csv && must_run 1 import alone.csv -o alone --size 32x32 --channels 3 --bits 8 -q
must_run 1 inspect --leaks lone alone
grep -q 'nothing in common' out || complain "nothing in common: $(cat out)"
fails 2 '--leaks compares two data sets or more' inspect --leaks train -q
fails 3 'no-such' inspect --leaks train no-such -q
fails 2 'distance' inspect --leaks train other --distance 17 -q

# --- the same name is not the same image
mkdir -p x/c y/c && cp img/grey8.png x/c/1.png && cp img/rgb8.png y/c/1.png
for set in x y; do must_run 1 import $set -o in-$set --size 32x32 --channels 3 -q; done
must_run 1 inspect --leaks in-x in-y -q

# --- an import that divides pictures says so
mkdir -p two/a && for i in 1 2 3 4 5 6; do cp img/rgb444.jpg two/a/$i.jpg; cp img/rgb420.jpg two/a/b$i.jpg; done
must_run 2 import two -o parts --size 32x32 --split 6,3,3
grep -q '[0-9]* images have the same pixels' err || complain "same pixels: $(cat err)"
grep -q '[0-9]* images look like one in another part' err || complain "$(cat err)"

# --- before a training: refused, warned, ignored; before an evaluation: warned
job() {
  cat >job.yaml <<END
name: leak
backbone: {architecture: mobilenetv2_0.35, input: [32, 32, 3]}
head:
  - {layer: global_average_pooling}
  - {layer: dense, units: 2, activation: softmax}
data: {train: train/catalog.yaml, validation: $1/catalog.yaml$2}
training: {loss: categorical_crossentropy, batch_size: 4, phases: [{epochs: 1, optimizer: {name: adam}}]}
END
}
job other ""
# One error, after the warning that this backbone has no weights.
for ranks in 1 5; do
  run $ranks train job.yaml -q
  [ "$code" = 3 ] && [ "$(grep -vc '^warning: backbone.weights is not given' "$work/err")" = 1 ] &&
    grep -q '^error: job.yaml: 1 group (patient, lot, person) in more than one of train, validation and test' "$work/err" ||
    complain "a patient in two sets on $ranks ranks: exit code $code: $(cat "$work/err")"
done
grep -q '"leaks\|^  leaks' job.yaml && complain "the job names leaks"
job other ", leaks: warn"
must_run 2 train job.yaml -q
grep -q 'warning: leak: 1 group in train and validation, 2 images of the latter' err || complain "no warning: $(cat err)"
grep -q 'warning: leak: .* of validation .* like one of train' err || complain "no warning of images: $(cat err)"
run 1 inspect --leaks job.yaml -q
[ "$code" = 3 ] && grep -q '1 group in train and validation' out || complain "a job's leaks: $(cat out err)"
must_run 1 evaluate runs/leak --data third/catalog.yaml --operating-point 0.5 -q
grep -q 'leak: 1 group in train and the evaluated data' err || complain "evaluation: $(cat err)"
job other ", leaks: ignore"
must_run 1 train job.yaml --overwrite -q
! grep -q leak: err || complain "ignored leaks are told: $(cat err)"
job train ""
must_run 1 train job.yaml --overwrite -q
grep -q 'the data sets train and validation are the same' err || complain "the same data: $(cat err)"
finish
