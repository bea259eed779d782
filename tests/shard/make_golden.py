"""Makes golden/: tiny HDF5 files laid out as PatchCamelyon ships its data (x and y in two files, y [n,1,1,1])."""
import os

import h5py
import numpy as np

here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden")
x = (np.arange(6 * 4 * 5 * 3) * 7 % 256).astype(np.uint8).reshape(6, 4, 5, 3)
y = np.array([0, 1, 1, 0, 1, 0], np.uint8).reshape(6, 1, 1, 1)
with h5py.File(os.path.join(here, "pcam_x.h5"), "w") as f:
    f.create_dataset("x", data=x, chunks=(2, 4, 5, 3), compression="gzip")
with h5py.File(os.path.join(here, "pcam_y.h5"), "w") as f:
    f.create_dataset("y", data=y)
