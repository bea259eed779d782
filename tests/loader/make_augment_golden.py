"""Writes augment_golden.h5: keras.ops.image.affine_transform on a small image, for test_augment.c.

/image [h][w][c]; /map [cases][6] from centred output to centred input coordinates, as thaw_augment_move takes it;
/nearest, /constant, /reflect [cases][h][w][c]; keras.layers.RandomContrast's formula: /contrast for factor 1.4.
"""
import sys

import h5py
import keras
import numpy as np

h, w, c = 9, 12, 3
rng = np.random.default_rng(3)
image = rng.integers(0, 256, (h, w, c)).astype(np.float32)
cx, cy = (w - 1) / 2, (h - 1) / 2
t = np.deg2rad(17)
maps = np.array([
    [1, 0, 0, 0, 1, 0],
    [-1, 0, 0, 0, 1, 0],
    [np.cos(t), -np.sin(t), 0.3, np.sin(t), np.cos(t), -1.7],
    [1.5, 0, 0, 0, 1.5, 0],
    [0.6, 0.2, 2.25, -0.1, 0.7, 1.5],
    [1, 0, 20.25, 0, 1, -15.5],
])
out = {}
for mode in ("nearest", "constant", "reflect"):
    rows = []
    for m in maps:
        # output (x, y) -> input (a x + b y + c, ...), moved from centred to corner coordinates
        a0, a1, a2, b0, b1, b2 = m
        vector = [a0, a1, a2 + cx - a0 * cx - a1 * cy, b0, b1, b2 + cy - b0 * cx - b1 * cy, 0, 0]
        rows.append(np.array(keras.ops.image.affine_transform(image, np.array(vector, np.float32),
                                                              interpolation="bilinear", fill_mode=mode)))
    out[mode] = np.stack(rows)
mean = image.mean(axis=(0, 1), keepdims=True)
with h5py.File(sys.argv[1], "w") as file:
    file["image"], file["map"] = image, maps
    for mode, value in out.items():
        file[mode] = value.astype(np.float32)
    file["contrast"] = np.clip((image - mean) * 1.4 + mean, 0, 255).astype(np.float32)
    file.attrs["keras"] = keras.__version__
