"""A run with several heads, exported, in the real Keras: thaw's own predictions, output by output, the checkpoint's optimiser state in
Keras' order of variables, and Keras goes on training it.

    python keras_heads.py MODEL PREDICTIONS.h5 CHECKPOINT SHARD.h5 [SHARD.h5 ...]      (MODEL.h5 and MODEL.keras)
"""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import h5py
import keras
import numpy as np

LIMIT = 1e-5  # largest difference, of a probability or relative


def check_slots(model, checkpoint):
    with h5py.File(checkpoint) as file:
        for i, variable in enumerate(model.trainable_variables):
            layer, name = variable.path.split("/")[-2:]
            if f"optimizer/{layer}/{name}" not in file:
                continue  # thawed later than this phase, or not at all
            for s, slot in enumerate((model.optimizer._momentums[i], model.optimizer._velocities[i])):
                assert np.array_equal(slot.numpy(), file[f"optimizer/{layer}/{name}/{s}"][...]), (layer, name, s)


def main(path, predictions, checkpoint, *shards):
    with h5py.File(predictions) as file:
        expected, names = file["predictions"][...], [n.decode() if isinstance(n, bytes) else n for n in file.attrs["classes"]]
    images = np.concatenate([h5py.File(shard)["images"][...] for shard in sorted(shards)]).astype(np.float32)
    images = keras.applications.imagenet_utils.preprocess_input(images, mode="caffe")
    worst = 0
    for file in (f"{path}.h5", f"{path}.keras"):
        model = keras.models.load_model(file)
        if file.endswith(".keras"):
            check_slots(model, checkpoint)
        outputs = model.predict(images, verbose=0)
        assert list(dict.fromkeys(n.split(":")[0] for n in names)) == list(model.output_names)
        found = np.concatenate(outputs, axis=1)
        worst = max(worst, float((np.abs(found - expected) / np.maximum(1, np.abs(expected))).max()))
        history = model.fit(images, outputs, batch_size=8, epochs=1, verbose=0).history
        assert {"loss", "diagnosis_loss", "age_loss", "findings_loss"} <= set(history), history
    print(f"{len(images)} images, {len(outputs)} outputs, largest difference {worst:.2e}")
    assert worst <= LIMIT and expected.std(axis=0).max() > 1e-3


main(*sys.argv[1:])
