"""A run with several heads, exported, in the real Keras: thaw's own predictions, output by output, and Keras goes on training it.

    python keras_heads.py MODEL PREDICTIONS.h5 SHARD.h5 [SHARD.h5 ...]      (MODEL.h5 and MODEL.keras)
"""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import h5py
import keras
import numpy as np

LIMIT = 1e-5  # largest difference, of a probability or relative


def main(path, predictions, *shards):
    with h5py.File(predictions) as file:
        expected, names = file["predictions"][...], [n.decode() if isinstance(n, bytes) else n for n in file.attrs["classes"]]
    images = np.concatenate([h5py.File(shard)["images"][...] for shard in sorted(shards)]).astype(np.float32)
    images = keras.applications.imagenet_utils.preprocess_input(images, mode="caffe")
    worst = 0
    for file in (f"{path}.h5", f"{path}.keras"):
        model = keras.models.load_model(file)
        outputs = model.predict(images, verbose=0)
        assert list(dict.fromkeys(n.split(":")[0] for n in names)) == list(model.output_names)
        found = np.concatenate(outputs, axis=1)
        worst = max(worst, float((np.abs(found - expected) / np.maximum(1, np.abs(expected))).max()))
        history = model.fit(images, outputs, batch_size=8, epochs=1, verbose=0).history
        assert {"loss", "diagnosis_loss", "age_loss", "findings_loss"} <= set(history), history
    print(f"{len(images)} images, {len(outputs)} outputs, largest difference {worst:.2e}")
    assert worst <= LIMIT and expected.std(axis=0).max() > 1e-3


main(*sys.argv[1:])
