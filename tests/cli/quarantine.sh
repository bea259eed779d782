#!/usr/bin/env bash
# quarantine.sh THAW SOURCE: a file on which HDF5 1.10 crashes, or takes all memory, is one error line, wherever it is named.
# shellcheck source=support.sh
. "$(dirname "$0")/support.sh" "$1" "$2"
cd "$work"
gunzip -c "$source_folder/tests/h5/crashes_hdf5_1.10.h5.gz" >bad.h5
run 1 inspect bad.h5
if grep -q 'libra\|crashes' err; then message='the HDF5 library crashes on this file'; else message=bad.h5; fi # a later library may know better
fails 3 "$message" inspect bad.h5
cat >job.yaml <<'YAML'
name: bad
backbone: {architecture: vgg16, weights: bad.h5}
head: [{layer: flatten}, {layer: dense, units: 2, activation: softmax}]
data: {train: nowhere}
training: {loss: categorical_crossentropy, batch_size: 8, phases: [{epochs: 1, optimizer: {name: sgd}}]}
YAML
fails 3 "$message" train job.yaml
[ ! -e runs ] || complain "a run folder was made"

# 25 KB with a string that is said to be of 17 GB: HDF5 1.10 would take them all, and then find that there is no such string.
gunzip -c "$source_folder/tests/h5/starves_hdf5_1.10.h5.gz" >bad.h5
run 1 inspect bad.h5
if [ "$code" != 0 ]; then # a later library may know better
  fails 3 'asks for far more memory than the file is long' inspect bad.h5
  fails 3 'asks for far more memory than the file is long' train job.yaml
fi

# A group that holds itself; a whole file is left as it is.
if python3 -c 'import h5py' 2>/dev/null; then
  python3 -c 'import h5py; f = h5py.File("loop.h5", "w"); g = f.create_group("layers"); g["again"] = g'
  run 1 inspect loop.h5
  [ "$code" = 3 ] || complain "inspect loop.h5: exit code $code"
fi
run 1 inspect "$source_folder/tests/weights/keras3_flat.h5"
[ "$code" = 0 ] || complain "inspect keras3_flat.h5: exit code $code"
finish
