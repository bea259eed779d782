"""Makes golden/: small NumPy files, so that what NumPy itself writes is read."""
import os

import numpy as np

here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden")
images = (np.arange(4 * 3 * 5 * 3) * 11 % 65536).astype(np.uint16).reshape(4, 3, 5, 3)
labels = np.array([[3], [0], [1], [3]], np.int64)
np.savez_compressed(os.path.join(here, "numpy.npz"), train_images=images, train_labels=labels)
np.save(os.path.join(here, "images.npy"), images.astype(">u2"))
with open(os.path.join(here, "version2.npy"), "wb") as f:
    np.lib.format.write_array(f, images[..., 0], version=(2, 0))
np.save(os.path.join(here, "fortran.npy"), np.asfortranarray(images))
