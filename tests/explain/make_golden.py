"""Grad-CAM of Keras for a small residual network: writes model.h5 and grad_cam.h5 beside itself.

    python make_golden.py            # with the versions named in tests/golden/PROVENANCE.md

The maps follow https://keras.io/examples/vision/grad_cam/ (no last softmax, mean of the gradients over positions, relu, divided by the
largest value).
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden"))
import golden
import h5py
import keras
import numpy as np
import tensorflow as tf

FOLDER = os.path.dirname(os.path.abspath(__file__))
L = keras.layers


def network():
    x = inputs = keras.Input((12, 10, 3), name="image")
    x = L.Conv2D(8, 3, padding="same", activation="relu", name="first")(x)
    shortcut = x = L.MaxPooling2D(2, name="pool")(x)
    x = L.Conv2D(8, 3, padding="same", name="inner")(x)
    x = L.BatchNormalization(name="norm")(x)
    x = L.Add(name="sum")([x, shortcut])
    x = L.Activation("relu", name="last")(x)
    x = L.GlobalAveragePooling2D(name="average")(x)
    x = L.Dense(6, activation="relu", name="hidden")(x)
    x = L.Dropout(0.5, name="dropout")(x)
    return keras.Model(inputs, L.Dense(4, activation="softmax", name="classes")(x))


def grad_cam(model, layer, x, target):
    probe = keras.Model(model.input, [model.get_layer(layer).output, model.output])
    probe.layers[-1].activation = keras.activations.linear
    with tf.GradientTape() as tape:
        maps, y = probe(x, training=False)
        score = tf.reduce_sum(tf.gather(y, target, batch_dims=1))
    weight = tf.reduce_mean(tape.gradient(score, maps), axis=(1, 2), keepdims=True)
    cam = tf.nn.relu(tf.reduce_sum(weight * maps, axis=-1)).numpy()
    probe.layers[-1].activation = keras.activations.softmax
    most = cam.max(axis=(1, 2), keepdims=True)
    return np.where(most > 0, cam / np.where(most > 0, most, 1), 0)


rng = golden.random(5)
model = network()
for weight in model.weights:
    low, high = (0.5, 1.5) if "variance" in weight.path or "gamma" in weight.path else (-0.4, 0.4)
    weight.assign(rng.uniform(low, high, weight.shape))
x = rng.uniform(-1, 1, (3, 12, 10, 3)).astype(np.float32)
y = model(x, training=False).numpy()
target = np.array([y[0].argmax(), 0, 3], np.int32)
model.save(os.path.join(FOLDER, "model.h5"), include_optimizer=False)
with h5py.File(os.path.join(FOLDER, "grad_cam.h5"), "w", libver=("earliest", "v108")) as file:
    golden.put(file, "x", x)
    golden.put(file, "y", y)
    golden.put(file, "target", target)
    for layer in ("first", "inner", "sum", "last"):
        golden.put(file, layer, grad_cam(model, layer, x, target))
        print(layer, file[layer][:].reshape(3, -1).mean(1))
