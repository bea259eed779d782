"""Writes layers.h5: Keras models of one layer each, with outputs and gradients, for layers that only models of others have.

    python make_layers.py        # writes beside itself

A group's attribute `model` is the model's JSON; it holds x, y, dy, dx, the layer's variables and d_<variable>.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import h5py
import keras
import numpy as np
import tensorflow as tf

FOLDER = os.path.dirname(os.path.abspath(__file__))
L = keras.layers
MAP, ROW = (5, 4, 6), (7,)
CASES = {
    "leaky_re_lu": (L.LeakyReLU(negative_slope=0.15), MAP),
    "leaky_re_lu_row": (L.LeakyReLU(), ROW),
    "re_lu_with_slope": (L.ReLU(negative_slope=0.25), MAP),
    "elu": (L.ELU(alpha=0.7), MAP),
    "p_re_lu": (L.PReLU(shared_axes=[1, 2]), MAP),
    "p_re_lu_whole": (L.PReLU(), MAP),
    "p_re_lu_width": (L.PReLU(shared_axes=[2]), MAP),
    "p_re_lu_row": (L.PReLU(), ROW),
    "cropping": (L.Cropping2D(((1, 2), (0, 1))), MAP),
    "cropping_pair": (L.Cropping2D((2, 1)), MAP),
    "up_sampling": (L.UpSampling2D((2, 3)), MAP),
    "up_sampling_bilinear": (L.UpSampling2D((3, 2), interpolation="bilinear"), MAP),
    "permute": (L.Permute((3, 1, 2)), MAP),
    "permute_swap": (L.Permute((2, 1, 3)), MAP),
    "layer_normalization": (L.LayerNormalization(epsilon=1e-6), MAP),
    "layer_normalization_row": (L.LayerNormalization(scale=False), ROW),
    "layer_normalization_scale": (L.LayerNormalization(center=False), MAP),
    "group_normalization": (L.GroupNormalization(groups=3), MAP),
    "group_normalization_instance": (L.GroupNormalization(groups=-1, scale=False, epsilon=1e-5), MAP),
    "group_normalization_one": (L.GroupNormalization(groups=1, center=False), MAP),
    "noise": (L.GaussianNoise(0.3), MAP),
    "flip": (L.RandomFlip("horizontal"), MAP),
    "spatial_dropout": (L.SpatialDropout2D(0.4), MAP),
}
for name in ("elu", "selu", "gelu", "hard_sigmoid", "hard_silu", "leaky_relu"):
    CASES[f"activation_{name}"] = (L.Activation(name), MAP)
    CASES[f"dense_{name}"] = (L.Dense(5, activation=name), ROW)
CASES["conv2d_gelu"] = (L.Conv2D(3, 3, activation="gelu"), MAP)
CASES["depthwise_conv2d_hard_swish"] = (L.DepthwiseConv2D(3, padding="same", activation="hard_swish"), MAP)


def record(group, layer, shape, rng):
    model = keras.Sequential([keras.Input(shape), layer])
    for variable in layer.trainable_variables:
        variable.assign(rng.normal(size=variable.shape) * 0.6)
    x = tf.constant(rng.normal(size=(3, *shape)) * 2, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = model(x, training=False)
        dy = tf.constant(rng.normal(size=y.shape), tf.float32)
        total = tf.reduce_sum(y * dy)
    weights = layer.trainable_variables
    gradients = tape.gradient(total, [x] + [v.value for v in weights])
    group.attrs["model"] = model.to_json()
    values = {"x": x, "y": y, "dy": dy, "dx": gradients[0]}
    for variable, gradient in zip(weights, gradients[1:]):
        values[variable.name] = variable
        values["d_" + variable.name] = gradient
    for name, value in values.items():
        group.create_dataset(name, data=np.asarray(value, np.float32))


rng = np.random.Generator(np.random.PCG64(32))
with h5py.File(os.path.join(FOLDER, "layers.h5"), "w", libver=("earliest", "v108")) as file:
    for name, (layer, shape) in CASES.items():
        record(file.create_group(name), layer, shape, rng)
