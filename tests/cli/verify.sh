#!/usr/bin/env bash
# verify.sh THAW SOURCE: inspect --verify: known weights give Keras' features, other weights finite ones, bad ones an error.
# shellcheck source=support.sh
. "$(dirname "$0")/support.sh" "$1" "$2"
cd "$work"
shared=$source_folder/../shared/weights
run 1 inspect --verify "$source_folder/tests/weights/models/nested.keras"
[ "$code" = 0 ] && grep -q 'unknown weights; .* features finite, mean ' out || complain "a model: $(cat out err)"
fails 3 'no such file' inspect --verify nothing.h5
fails 3 'holds weights, but no model' inspect --verify "$source_folder/tests/weights/keras3_flat.weights.h5"
if [ -d "$shared" ]; then
  for name in vgg16_imagenet_notop mobilenet_v2_nsfwjs_1.0_224_notop_gz mobilenet_v2_imagenet_1.0_224_to_block10; do
    run 1 inspect --verify "$shared/$name.h5"
    [ "$code" = 0 ] && grep -q '^known weights: .*; features as Keras computes them, to [0-9.]*e-0[6-9]$' out || complain "$name: $(cat out err)"
  done
else
  echo "$shared is missing: known weights are not tried"
fi
finish
