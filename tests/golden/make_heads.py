"""heads.h5: three heads on one shared layer, with loss weights, 20 steps of Keras' train_on_batch in a fixed order.

Reads training.h5 (make_training.py) for the data. `missing`: a sample weight of 0 where a head has no label.
"""

import os

import h5py
import numpy as np

from golden import FOLDER, Golden, keras, put, random

SAMPLES, BATCH, STEPS = 40, 12, 20
WEIGHT = {"diagnosis": 1.0, "age": 0.1, "findings": 0.5}
COLUMNS = ["loss", "diagnosis_loss", "age_loss", "findings_loss", "diagnosis_accuracy", "age_mae"]
L = keras.layers


def network(features, rng):
    x = keras.Input((features,))
    shared = L.Dense(8, activation="relu", name="hidden")(x)
    own = L.Dense(4, activation="tanh", name="age_hidden")(shared)
    outputs = [L.Dense(4, activation="softmax", name="diagnosis")(shared), L.Dense(1, name="age")(own),
               L.Dense(3, activation="sigmoid", name="findings")(shared)]
    model = keras.Model(x, outputs)
    for variable in model.weights:
        limit = np.sqrt(6 / sum(variable.shape))
        variable.assign(rng.uniform(-limit, limit, variable.shape).astype(np.float32))
    model.compile(keras.optimizers.Adam(0.01),
                  loss={"diagnosis": "categorical_crossentropy", "age": "mean_squared_error",
                        "findings": "binary_crossentropy"},
                  loss_weights=WEIGHT, weighted_metrics={"diagnosis": ["accuracy"], "age": ["mae"], "findings": []})
    return model


def save(group, model):
    for layer in model.layers:
        for variable in layer.weights:
            put(group.require_group(layer.name), variable.name, variable.numpy())


def main():
    source = h5py.File(os.path.join(FOLDER, "training.h5"))
    x, index, one_hot = source["data/x"][...], source["data/index"][...], source["data/one_hot"][...]
    multi, age = source["data/multi"][...], source["data/target"][..., :1]
    golden = Golden("heads.h5")
    for name in ("all", "missing"):
        rng = random(43)
        known = np.ones((SAMPLES, 2), np.float32) if name == "all" else (rng.random((SAMPLES, 2)) < 0.7).astype(np.float32)
        labels = np.concatenate([np.reshape(index, (-1, 1)), multi, age], axis=1).astype(np.float32)
        labels[:, 0][known[:, 0] == 0] = np.nan
        labels[:, 4][known[:, 1] == 0] = np.nan
        model, group, rows = network(x.shape[1], rng), golden.case(name), []
        put(group, "labels", labels)  # class index, three of 0 or 1, number
        save(group.require_group("start"), model)
        for step in range(STEPS):
            first = step % -(-SAMPLES // BATCH) * BATCH
            at = slice(first, min(first + BATCH, SAMPLES))
            model.reset_metrics()
            found = model.train_on_batch(
                x[at], [one_hot[at], age[at], multi[at]],
                sample_weight=[known[at, 0], known[at, 1], np.ones(len(x[at]), np.float32)], return_dict=True)
            rows.append([found[c] for c in COLUMNS])
        put(group, "numbers", np.array(rows))  # COLUMNS
        save(group.require_group("end"), model)
        put(group, "output", np.concatenate(model.predict(x, verbose=0), axis=1))
    golden.close()


main()
