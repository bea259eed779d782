"""tuning.h5: the head of training.h5's first cases with clipping, a schedule and averaged weights, 20 steps of Keras.

Reads training.h5 (make_training.py) for data and start values.
"""

import os

import h5py
import numpy as np

from golden import FOLDER, Golden, keras, put, tf

SAMPLES, BATCH, STEPS = 40, 12, 20
S = keras.optimizers.schedules
CASES = {
    "average": lambda: keras.optimizers.Adam(0.01, use_ema=True, ema_momentum=0.9),
    "clipnorm": lambda: keras.optimizers.SGD(0.1, momentum=0.9, clipnorm=0.05),
    "global_clipnorm": lambda: keras.optimizers.SGD(0.1, momentum=0.9, global_clipnorm=0.1),
    "everything": lambda: keras.optimizers.AdamW(
        S.CosineDecay(0.0, STEPS - 4, alpha=0.1, warmup_target=0.02, warmup_steps=4), weight_decay=0.05,
        clipvalue=0.02, use_ema=True, ema_momentum=0.8),
}


def main():
    source = h5py.File(os.path.join(FOLDER, "training.h5"))
    x, label = source["data/x"][...], source["data/one_hot"][...]
    golden = Golden("tuning.h5")
    for name, make in CASES.items():
        model = keras.Sequential([keras.Input((x.shape[1],)), keras.layers.Dense(8, activation="relu", name="hidden"),
                                  keras.layers.Dense(4, activation="softmax", name="output")])
        for layer in model.layers:
            for variable in layer.weights:
                variable.assign(source[f"adam/start/{layer.name}/{variable.name}"][...])
        optimizer, loss, losses = make(), keras.losses.CategoricalCrossentropy(), []
        optimizer.build(model.trainable_variables)
        for step in range(STEPS):
            first = step % -(-SAMPLES // BATCH) * BATCH
            rows = slice(first, min(first + BATCH, SAMPLES))
            with tf.GradientTape() as tape:
                value = loss(label[rows], model(x[rows], training=True))
            gradient = tape.gradient(value, [v.value for v in model.trainable_variables])
            optimizer.apply(gradient, model.trainable_variables)
            losses.append(float(value))
        optimizer.finalize_variable_values(model.trainable_variables)  # with use_ema: the averages
        group = golden.case(name)
        put(group, "loss", np.array(losses))
        for when in ("start", "end"):
            for layer in model.layers:
                for variable in layer.weights:
                    values = source[f"adam/start/{layer.name}/{variable.name}"][...] if when == "start" else variable.numpy()
                    put(group.require_group(f"{when}/{layer.name}"), variable.name, values)
        put(group, "output", model(x, training=False).numpy())
    golden.close()


main()
