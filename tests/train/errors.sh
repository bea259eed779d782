#!/usr/bin/env bash
# errors.sh THAW SOURCE: what goes wrong in training is told in one line, with the right exit code, the same on 1 and 5 ranks, in
# limited time, and leaves nothing overwritten.
. "$2/tests/train/support.sh"
small=
trap '[ -n "$small" ] && umount "$small" 2>/dev/null; rm -rf "$folder"' EXIT
"$make_data" train 60 3 32 2 1 && "$make_data" validation 20 3 32 1 2 && "$make_data" more 60 7 32 2 1 || exit 1

job() { # job NAME [SED EXPRESSION ...]: a job that would train, edited
  local name=$1
  shift
  cat > "$name.yaml" <<YAML
name: $name
output: $name
backbone: {architecture: vgg16, input: [32, 32, 3], cut: block2_pool}
head:
  - {layer: global_average_pooling}
  - {layer: dense, units: 3, activation: softmax}
data:
  train: train/catalog.yaml
  validation: validation/catalog.yaml
training:
  loss: categorical_crossentropy
  batch_size: 16
  phases:
    - {epochs: 2, optimizer: {name: adam, learning_rate: 0.001}}
YAML
  for expression in "$@"; do sed -i "$expression" "$name.yaml"; done
}

# expect CODE PATTERN NAME [OPTION ...]: on 1 and 5 ranks
expect() {
  local code=$1 pattern=$2 name=$3
  shift 3
  for ranks in 1 5; do
    timeout 60 "$mpirun" $ranks "$thaw" train "$name.yaml" "$@" > out.txt 2> err.txt
    local found=$?
    local lines
    lines=$(grep -c '^error: ' err.txt)
    if [ $found -ne "$code" ] || [ "$lines" -ne 1 ] || ! grep -q "^error: .*$pattern" err.txt; then
      echo "FAILED: $name on $ranks ranks: exit code $found (expected $code), $lines error lines: $(grep '^error' err.txt)"
      failures=$((failures + 1))
    fi
  done
}

job key 's/learning_rate/learning_rte/'
expect 2 "key.yaml:14: .*did you mean 'learning_rate'" key
job architecture 's/vgg16/vgg61/'
expect 2 "vgg61.*vgg16" architecture
job missing 's/train: train/train: nowhere/'
expect 3 "nowhere/catalog.yaml" missing
job weights 's/cut: block2_pool/cut: block2_pool, weights: none.h5/'
expect 3 "none.h5" weights
job classes 's/train: train/train: more/; s/validation: validation/validation: more/'
expect 3 "more/catalog.yaml: has 7 classes, the network has 3 outputs" classes
job differ 's/units: 3/units: 7/; s/validation: validation/validation: more/'
expect 3 "3 classes.*7" differ
job shape 's/\[32, 32, 3\]/[48, 48, 3]/' 's/^data:/data:\n  resize: error/'
expect 3 "32.*48" shape
job monitor 's/^training:/training:\n  early_stopping: {monitor: val_mae}/'
expect 2 "val_mae" monitor
job frozen '/layer: dense/d'
expect 2 "nothing to train" frozen
job block 's/epochs: 2/epochs: 2, unfreeze: blok2/'
expect 2 "blok2.*block2" block
job diverge 's/learning_rate: 0.001/learning_rate: 1.0e+3/; s/name: adam/name: sgd/; s/epochs: 2/epochs: 50/; s/activation: softmax/activation: linear/; s/categorical_crossentropy/mean_squared_error/'
expect 1 "diverged.*lower the learning rate" diverge --overwrite
[ -e diverge/job.yaml ] || fail "diverge: no run folder"

cp -r train cut
truncate -s 20000 cut/part-00001.h5
job truncated 's/train: train/train: cut/'
expect 3 "cut/part-00001.h5" truncated
"$make_data" damaged 60 3 32 2 5 # its own content, so that no cache of features hides the damage
printf '\377\377\377\377' | dd of=damaged/part-00001.h5 bs=1 seek=60000 conv=notrunc 2>/dev/null
job flipped 's/train: train/train: damaged/'
expect 3 "damaged/part-00001.h5" flipped

# A run folder that holds another job, the same job, or a file by that name.
job held
timeout 60 "$thaw" train held.yaml -q > /dev/null 2>&1 || fail "held does not train"
before=$(cat held/* | sha256sum)
expect 2 "holds an earlier run of this job.*--resume" held
job other 's/output: other/output: held/; s/batch_size: 16/batch_size: 8/'
expect 2 "holds the run of another job ('batch_size: 16' there, 'batch_size: 8' here)" other
expect 2 "another job" other --resume
[ "$before" = "$(cat held/* | sha256sum)" ] || fail "held was changed"
echo text > file
job file
expect 2 "file: is a file" file

# Damaged checkpoints: the newest is passed over with a warning; when none is whole, an error.
rm -rf kept && cp -r held kept
newest=$(ls kept/step-*.h5 | tail -1)
truncate -s 3000 "$newest"
job kept 's/name: kept/name: held/'
expected=$(timeout 60 "$thaw" train held.yaml --resume -q | sed -n 's/^parameters sha256 //p')
found=$(timeout 60 "$thaw" train kept.yaml --resume -q 2> err.txt | sed -n 's/^parameters sha256 //p')
grep -q "warning: .*$newest.*falling back" err.txt || fail "no word of the damaged checkpoint: $(cat err.txt)"
[ -n "$expected" ] && [ "$expected" = "$found" ] || fail "'$found' after the fall-back, expected '$expected'"
for checkpoint in kept/step-*.h5; do truncate -s 3000 "$checkpoint"; done
expect 3 "none of its 2 checkpoints is whole" kept --resume

# Other data or weights than the run was started with.
rm -rf changed && cp -r held changed
job changed 's/name: changed/name: held/'
mv train train.away && "$make_data" train 60 3 32 2 99
expect 3 "started with training data" changed --resume
rm -rf train && mv train.away train

# A full disk.
small=$folder/small
mkdir "$small"
if mount -t tmpfs -o size=48k tmpfs "$small" 2>/dev/null; then
  job full 's/output: full/output: small\/run/' 's/units: 3, activation: softmax/units: 3000, activation: relu}\n  - {layer: dense, units: 3, activation: softmax/'
  expect 1 "No space left on device\|failed" full --overwrite
else
  echo "skipped: no right to mount a small file system"
  small=
fi

[ $failures -eq 0 ] && echo "all errors as they should be"
exit $((failures > 0))
