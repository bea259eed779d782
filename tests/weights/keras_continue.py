"""Keras goes on where thaw's optimiser stopped: its next step is thaw's next step.

    python keras_continue.py BEFORE.keras AFTER.keras SHARD.h5 [SHARD.h5 ...]
    python keras_continue.py --anew MODEL.h5 SHARD.h5 [SHARD.h5 ...]

AFTER is BEFORE trained for one step more, on all images of the shards at once, without randomness. A .h5 file holds no
optimiser's state: Keras begins a new one, and must be able to.
"""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import h5py
import keras
import numpy as np

LIMIT = 2e-3  # of the step's length


def read_batch(model, shards):
    files = [h5py.File(shard) for shard in sorted(shards)]
    images, labels = (np.concatenate([file[name][...] for file in files]) for name in ("images", "labels"))
    x = keras.applications.imagenet_utils.preprocess_input(images.astype(np.float32), mode="caffe")
    return x, np.eye(model.output_shape[-1], dtype=np.float32)[labels]


def begin_anew(path, *shards):
    model = keras.models.load_model(path)
    x, y = read_batch(model, shards)
    first = model.train_on_batch(x, y, return_dict=True)["loss"]
    for _ in range(5):
        last = model.train_on_batch(x, y, return_dict=True)["loss"]
    print(f"{path}: loss {first:.4f}, five steps later {last:.4f}")
    return not (int(model.optimizer.iterations) == 6 and np.isfinite(last) and last < first)


def main(before_path, after_path, *shards):
    if before_path == "--anew":
        return begin_anew(after_path, *shards)
    model, after = keras.models.load_model(before_path), keras.models.load_model(after_path)
    x, y = read_batch(model, shards)
    iterations = int(model.optimizer.iterations)
    start = [v.numpy().copy() for v in model.trainable_variables]
    model.train_on_batch(x, y)
    worst = 0
    for s, found, expected in zip(start, model.trainable_variables, after.trainable_variables):
        step = np.linalg.norm(expected.numpy() - s)
        worst = max(worst, float(np.linalg.norm(found.numpy() - expected.numpy()) / step)) if step else 1
    good = worst <= LIMIT and iterations > 0 and len(start) > 1
    slots = zip(model.optimizer.variables[2:], after.optimizer.variables[2:])
    drift = max(float(np.abs(a.numpy() - b.numpy()).max() / np.abs(b.numpy()).max()) for a, b in slots)
    print(f"{type(model.optimizer).__name__}: step {iterations + 1} of {len(start)} variables, differs by {worst:.1e} of its "
          f"length, slots by {drift:.1e}")
    return not (good and drift <= LIMIT)


sys.exit(main(*sys.argv[1:]))
