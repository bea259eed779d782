"""Losses and gradients of style transfer by Keras on the real VGG16: writes style.h5 beside itself.

    python make_golden.py vgg16_notop.h5            # with the versions named in tests/golden/PROVENANCE.md

The pictures are formulas (test_style.c makes the same ones); of the gradient every 97th value is kept.
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
H, W = 96, 128
STYLE = ["block1_conv1", "block2_conv1", "block3_conv1", "block4_conv1", "block5_conv1"]
CONTENT = "block4_conv2"
MEAN = np.array([103.939, 116.779, 123.68])


def picture(h, w, a, b, c):
    y, x, k = np.meshgrid(np.arange(h), np.arange(w), np.arange(3), indexing="ij")
    return (a * y * y + b * x * (k + 1) + c * x * y) % 256


def encode(rgb):
    return (rgb[..., ::-1] - MEAN)[None].astype(np.float32)


def gram(f):
    f = tf.reshape(f, (-1, f.shape[-1]))
    return tf.matmul(f, f, transpose_a=True) / tf.cast(tf.size(f), tf.float32)


model = keras.applications.VGG16(include_top=False, weights=None, input_shape=(None, None, 3))
model.load_weights(sys.argv[1])
probe = keras.Model(model.input, [model.get_layer(name).output for name in STYLE + [CONTENT]])
content, style = encode(picture(H, W, 3, 5, 1)), encode(picture(80, 112, 1, 7, 2))
x = tf.Variable(encode(picture(H, W, 2, 3, 1)) * 0.5)
target = probe(content)[-1]
wanted = [gram(f) for f in probe(style)[:-1]]
with tf.GradientTape() as tape:
    f = probe(x)
    content_loss = 5 * tf.reduce_mean((f[-1] - target) ** 2)
    style_loss = 100 * sum(tf.reduce_mean((gram(a) - b) ** 2) for a, b in zip(f[:-1], wanted))
    variation = 0.0005 * (
        tf.reduce_sum((x[:, 1:] - x[:, :-1]) ** 2) + tf.reduce_sum((x[:, :, 1:] - x[:, :, :-1]) ** 2)
    )
    loss = content_loss + style_loss + variation
gradient = tape.gradient(loss, x).numpy().ravel()
with h5py.File(os.path.join(FOLDER, "style.h5"), "w", libver=("earliest", "v108")) as file:
    golden.put(file, "losses", [float(content_loss), float(style_loss), float(variation)])
    golden.put(file, "gradient", gradient[::97])
    golden.put(file, "gradient_norm", [np.linalg.norm(gradient.astype(np.float64))])
    print(file["losses"][:], file["gradient_norm"][:], file["gradient"].shape)
