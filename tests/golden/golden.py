"""What the make_*.py scripts share: one process-wide set-up of Keras and a small HDF5 writer.

Run a script with the interpreter of an environment that holds the versions named in PROVENANCE.md:

    python make_optimizers.py        # writes optimizers.h5 beside itself
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # plain Eigen kernels: the same bits on every x86-64
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import h5py
import keras
import numpy as np
import tensorflow as tf

FOLDER = os.path.dirname(os.path.abspath(__file__))


class Golden:
    """A golden file: groups of float32 (or int32) datasets with plain attributes."""

    def __init__(self, name):
        self.file = h5py.File(os.path.join(FOLDER, name), "w", libver=("earliest", "v108"))
        self.file.attrs["keras"] = keras.__version__
        self.file.attrs["tensorflow"] = tf.__version__
        self.file.attrs["numpy"] = np.__version__

    def case(self, path, **attributes):
        group = self.file.require_group(path)
        for key, value in attributes.items():
            group.attrs[key] = int(value) if isinstance(value, bool) else value
        return group

    def close(self):
        path = self.file.filename
        self.file.close()
        print(f"{path}: {os.path.getsize(path):,} bytes")


def put(group, name, value):
    value = np.asarray(value)
    if value.dtype.kind == "f":
        value = value.astype(np.float32)
    elif value.dtype.kind in "iu":
        value = value.astype(np.int32)
    group.create_dataset(name, data=value)


def random(seed):
    return np.random.Generator(np.random.PCG64(seed))
