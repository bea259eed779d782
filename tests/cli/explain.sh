#!/usr/bin/env bash
# thaw explain: the same table on any number of ranks, pictures, largest losses, neighbours; clear words about what cannot be.
. "$(dirname "$0")/support.sh"
cd "$work"
"$make_data" train 60 3 32 2 1
"$make_data" test 20 3 32 1 2
cat >job.yaml <<YAML
name: job
output: run
backbone: {architecture: vgg16, input: [32, 32, 3], cut: block3_pool}
head:
  - {layer: global_average_pooling}
  - {layer: dense, units: 3, activation: softmax}
data: {train: train/catalog.yaml, validation: test/catalog.yaml}
training:
  loss: categorical_crossentropy
  optimizer: {name: adam, learning_rate: 0.01}
  epochs: 3
YAML
run 1 train job.yaml -q
[ "$code" = 0 ] || complain "train: $(cat err)"

for ranks in 1 3; do
  rm -rf out$ranks
  run $ranks explain run test/catalog.yaml --top-losses --neighbours 2 -n 5 -o out$ranks -q
  [ "$code" = 0 ] || complain "explain on $ranks ranks: exit code $code: $(cat err)"
  [ "$(ls out$ranks | tr '\n' ' ')" = "0001.png 0002.png 0003.png 0004.png 0005.png explain.csv sheet.png " ] ||
    complain "explain on $ranks ranks wrote $(ls out$ranks)"
done
cmp out1/explain.csv out3/explain.csv || complain "another table on three ranks"
cmp out1/sheet.png out3/sheet.png || complain "another sheet on three ranks"
# Losses fall; a neighbour has three columns; the explained class is the predicted one.
awk -F, 'NR == 1 { n = NF; next } NF != n || n != 14 || $4 != $6 || (NR > 2 && $8 > last) { bad = 1 } { last = $8 }
  END { exit bad || NR != 6 }' out1/explain.csv || complain "the table: $(cat out1/explain.csv)"

# A training image is its own nearest neighbour.
run 1 explain run train/catalog.yaml --neighbours 1 -n 6 --layer block2_conv2 --class 1 -o self
[ "$code" = 0 ] || complain "neighbours: $(cat err)"
awk -F, 'NR > 1 && ($2 != $9 || $11 < 0.999999 || $6 !~ /1$/) { exit 1 }' self/explain.csv || complain "not its own neighbour: $(cat self/explain.csv)"
grep -q 'wrote self/sheet.png (6 samples)' out || complain "says $(cat out)"

# Image files; the page shows the sheet.
mkdir pictures
cp out1/0001.png out1/0002.png pictures
run 1 explain run pictures -q
[ "$code" = 0 ] && [ -s run/explain/sheet.png ] || complain "explain of pictures: $(cat err)"
run 1 report run -q
grep -q 'Where the network looks' run/report.html || complain "the page does not show the sheet"

# One output for two classes: its name is that of the second; "label" and either class are explained by it.
"$make_data" two 24 2 32 1 5
sed 's/name: job/name: two/; s/output: run/output: two-run/; s/units: 3, activation: softmax/units: 1, activation: sigmoid/
  s/categorical_crossentropy/binary_crossentropy/; s|train: train/catalog.yaml, validation: test/catalog.yaml|train: two|' job.yaml >two.yaml
must_run 1 train two.yaml -q
for class in predicted label 0 class-1; do
  must_run 1 explain two-run two --class $class -n 6 -o two-$class -q
  awk -F, 'NR > 1 && ($6 != "class-1" || $5 != $7 || $4 != ($5 > 0.5 ? "class-1" : "class-0")) { exit 1 }' two-$class/explain.csv ||
    complain "one output, --class $class: $(cat two-$class/explain.csv)"
done

refuses() { # CODE MESSAGE ARG ...: as fails, after the warning that the network starts from random numbers
  local expected=$1 message=$2 ranks
  shift 2
  for ranks in 1 3; do
    run $ranks explain -q "$@" -o bad
    [ "$code" = "$expected" ] || complain "explain $* on $ranks ranks: exit code $code, expected $expected"
    [ "$(grep -c '^error: ' err)" = 1 ] && grep -qF -- "$message" err || complain "explain $* on $ranks ranks: $(cat err)"
  done
}
refuses 2 "no such class" run test/catalog.yaml --class elephant
refuses 2 "did you mean 'block3_conv3'" run test/catalog.yaml --layer block3_conv33
refuses 2 "a map of it shows nothing" run test/catalog.yaml --layer global_average_pooling2d
refuses 2 "has no class labels" run pictures --class label
refuses 2 "needs a catalogue with labels" run pictures --top-losses
refuses 3 "no such file or folder" run nowhere
[ ! -e bad ] || complain "left $(find bad)"
finish
