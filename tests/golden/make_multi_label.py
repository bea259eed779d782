"""multi_label.h5: several labels per sample, a quarter of them unknown (255), and the focal losses, 20 steps each.

Reads training.h5 (make_training.py) for data and start values. The masked and weighted losses are TensorFlow's
weighted_cross_entropy_with_logits, times a mask, mean over all outputs.
"""

import os

import h5py
import numpy as np

from golden import FOLDER, Golden, keras, put, random, tf

SAMPLES, BATCH, STEPS = 40, 12, 20


def masked(positive_weight):
    def loss(label, logits):
        known = tf.cast(label != 255, tf.float32)
        term = tf.nn.weighted_cross_entropy_with_logits(label * known, logits, positive_weight)
        return tf.reduce_mean(term * known)
    return loss


def main():
    source = h5py.File(os.path.join(FOLDER, "training.h5"))
    x, multi, one_hot = source["data/x"][...], source["data/multi"][...], source["data/one_hot"][...]
    unknown = multi.copy()
    unknown[random(41).random(multi.shape) < 0.25] = 255
    unknown[7] = 255  # a sample of which nothing is known
    zeros, ones = np.where(unknown == 255, 0, unknown), np.where(unknown == 255, 1, unknown)
    balance = ((unknown == 0).sum(axis=0) / (unknown == 1).sum(axis=0)).astype(np.float32)
    weights = np.float32([3, 0.5, 1])
    focal = keras.losses.BinaryFocalCrossentropy(True, 0.3, 1.5)
    categorical = keras.losses.CategoricalFocalCrossentropy(0.25, 2.0)
    sigmoid, softmax = tf.sigmoid, tf.nn.softmax
    cases = {
        "unknown_ignored": (masked(1.0), unknown, sigmoid),
        "unknown_zeros": (masked(1.0), zeros, sigmoid),
        "unknown_ones": (masked(1.0), ones, sigmoid),
        "label_weights": (masked(weights), unknown, sigmoid),
        "label_weights_balanced": (masked(balance), unknown, sigmoid),
        "focal_binary": (lambda t, z: focal(t, sigmoid(z)), multi, sigmoid),
        "focal_categorical": (lambda t, z: categorical(t, softmax(z)), one_hot, softmax),
    }
    golden = Golden("multi_label.h5")
    put(golden.case("data"), "multi_unknown", unknown)
    for name, (loss, label, activation) in cases.items():
        outputs, start = label.shape[1], "binary" if label.shape[1] == 3 else "adam"
        model = keras.Sequential([keras.Input((x.shape[1],)), keras.layers.Dense(8, activation="relu", name="hidden"),
                                  keras.layers.Dense(outputs, name="output")])
        for layer in model.layers:
            for variable in layer.weights:
                variable.assign(source[f"{start}/start/{layer.name}/{variable.name}"][...])
        optimizer, losses = keras.optimizers.Adam(0.01), []
        optimizer.build(model.trainable_variables)
        for step in range(STEPS):
            first = step % -(-SAMPLES // BATCH) * BATCH
            rows = slice(first, min(first + BATCH, SAMPLES))
            with tf.GradientTape() as tape:
                value = loss(tf.constant(label[rows], tf.float32), model(x[rows], training=True))
            optimizer.apply(tape.gradient(value, [v.value for v in model.trainable_variables]), model.trainable_variables)
            losses.append(float(value))
        group = golden.case(name)
        put(group, "loss", np.array(losses))
        for when in ("start", "end"):
            for layer in model.layers:
                for variable in layer.weights:
                    values = source[f"{start}/start/{layer.name}/{variable.name}"][...] if when == "start" else variable.numpy()
                    put(group.require_group(f"{when}/{layer.name}"), variable.name, values)
        put(group, "output", activation(model(x, training=False)).numpy())
    golden.close()


main()
