"""keras3_*.h5, bfloat16*.h5: weight files written by the real Keras 3, one small network in four layouts and in half precision. Run: python make_fixtures.py

Element i (row-major) of weight w (Keras' order) of layer l is (i % 23) / 8 + l + w / 4, exact in half precision.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

L = keras.layers
FOLDER = os.path.dirname(os.path.abspath(__file__))


def fill(layers):
    for l, layer in enumerate(layers):
        for w, variable in enumerate(layer.weights):
            index = np.arange(np.prod(variable.shape))
            variable.assign(((index % 23) / 8 + l + w / 4).reshape(variable.shape).astype(np.float32))


def backbone():
    return [L.Conv2D(4, 3, name="first"), L.BatchNormalization(name="norm"), L.DepthwiseConv2D(3, name="spread")]


def save(model, name):
    model.save(os.path.join(FOLDER, name + ".h5"))
    model.save_weights(os.path.join(FOLDER, name + ".weights.h5"))


layers = backbone()
flat = keras.Sequential([keras.Input((8, 8, 3)), *layers, L.Flatten(), L.Dense(2, name="top")])
fill(layers)
save(flat, "keras3_flat")
layers = backbone()
inner = keras.Sequential([keras.Input((8, 8, 3)), *layers], name="inner")
nested = keras.Sequential([keras.Input((8, 8, 3)), inner, L.Flatten(), L.Dense(2, name="top")])
fill(layers)
layers[0].trainable = False  # the old layouts write trainable weights first
save(nested, "keras3_nested")

keras.backend.clear_session()
layers = [L.Conv2D(4, 3, name="first", dtype="bfloat16"), L.BatchNormalization(name="norm"),
          L.DepthwiseConv2D(3, name="spread", dtype="bfloat16")]
half = keras.Sequential([keras.Input((8, 8, 3)), *layers, L.Flatten(), L.Dense(2, name="top", dtype="float16")])
fill(layers)
save(half, "bfloat16")
