#!/usr/bin/env bash
# lr_find.sh THAW SOURCE: the range test gives the same numbers on any number of ranks, ends where training diverges, draws, and leaves
# the run folder alone.
. "$2/tests/train/support.sh"

"$make_data" train 83 5 32 3 1 || exit 1
cat > job.yaml <<YAML
name: job
backbone: {architecture: vgg16, input: [32, 32, 3], cut: block2_pool}
head:
  - {layer: global_average_pooling}
  - {layer: dense, units: 5, activation: softmax}
data: {train: train/catalog.yaml}
training:
  loss: categorical_crossentropy
  batch_size: 24
  phases:
    - {epochs: 1, schedule: one_cycle, optimizer: {name: sgd, learning_rate: 1}}
    - {epochs: 1, unfreeze: block2}
YAML

timeout 100 "$thaw" lr-find job.yaml -o one.png > one.txt 2> one.err || fail "exit code $?: $(cat one.err)"
timeout 100 "$mpirun" 3 "$thaw" lr-find job.yaml -o three.png > three.txt 2> three.err || fail "exit code $?: $(cat three.err)"
cmp <(grep -v wrote one.txt) <(grep -v wrote three.txt) || fail "other numbers on three ranks"
[ "$(head -c 4 one.png | tail -c 3)" = PNG ] || fail "one.png is no picture"
grep -q '^suggestion: learning_rate: [0-9.e-]* ' one.txt || fail "no suggestion: $(cat one.txt)"
[ ! -e runs ] || fail "runs was made: $(find runs)"
timeout 100 "$mpirun" 2 "$thaw" lr-find job.yaml --steps 30 --phase 2 --high 1e6 -o two.png > two.txt 2> two.err || fail "phase 2: $(cat two.err)"
grep -q '^diverged after ' two.txt || fail "phase 2 did not diverge: $(cat two.txt)"
[ ! -e runs ] || fail "runs was made: $(find runs)"

# From a run's checkpoint, which stays as it is.
timeout 100 "$thaw" train job.yaml -q > train.txt 2>&1 || fail "train: $(cat train.txt)"
before=$(find runs -type f -exec sha256sum {} + | sort | sha256sum)
timeout 100 "$thaw" lr-find job.yaml --from runs/job/best.h5 --phase 2 --steps 20 -o four.png > four.txt 2>&1 || fail "--from: $(cat four.txt)"
[ "$before" = "$(find runs -type f -exec sha256sum {} + | sort | sha256sum)" ] || fail "the run folder was changed"

"$thaw" lr-find job.yaml --phase 3 > bad.txt 2>&1
[ $? = 2 ] && grep -q "has 2 phases, there is no phase 3" bad.txt || fail "phase 3: $(cat bad.txt)"
"$thaw" lr-find job.yaml --low 1 --high 0.1 > bad.txt 2>&1
[ $? = 2 ] && grep -q "^error: .*rise" bad.txt || fail "falling rates: $(cat bad.txt)"

[ $failures -eq 0 ] && echo "the range test behaves: $(grep suggestion one.txt)"
exit $((failures > 0))
