"""An exported run in the real Keras gives thaw's own predictions for its data, from the stored images on.

    python keras_predict.py MODEL.h5 PREDICTIONS.h5 SHARD.h5 [SHARD.h5 ...]

Images are preprocessed here as the model's attribute `preprocessing` says, in the words of keras.applications.
"""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import h5py
import keras
import numpy as np

LIMIT = 1e-5  # largest difference of a probability


def main(model_path, predictions_path, *shards):
    model = keras.models.load_model(model_path)
    archive = keras.models.load_model(model_path.replace(".h5", ".keras"))
    for compiled in (model, archive):  # the job's loss and the optimiser of one of its phases
        rate = float(compiled.optimizer.learning_rate)
        assert type(compiled.optimizer).__name__ == "Adam" and min(abs(rate / r - 1) for r in (1e-2, 1e-5)) < 1e-5
        assert "categorical" in str(compiled.loss).lower() or "Categorical" in type(compiled.loss).__name__
    with h5py.File(model_path) as file:
        mode = file.attrs["preprocessing"].decode()
        classes = list(file.attrs["class_names"])
    with h5py.File(predictions_path) as file:
        expected, same_classes = file["predictions"][...], list(file.attrs["classes"]) == classes
    images = np.concatenate([h5py.File(shard)["images"][...] for shard in sorted(shards)]).astype(np.float32)
    if mode != "raw":
        images = keras.applications.imagenet_utils.preprocess_input(images, mode=mode)
    found = model.predict(images, verbose=0)
    worst = max(float(np.abs(y - expected).max()) for y in (found, archive.predict(images, verbose=0)))
    print(f"{model.name}: {len(images)} images, {mode} preprocessing, largest difference {worst:.2e}, "
          f"{len(classes)} class names")
    good = worst <= LIMIT and same_classes and expected.std(axis=0).max() > 1e-3
    print("1 passed, 0 failed" if good else "0 passed, 1 failed")
    return not good


sys.exit(main(*sys.argv[1:]))
