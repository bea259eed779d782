#!/usr/bin/env python3
"""make_hashes.py: golden/hashes.txt, per image of golden/ the pHash by NumPy, SciPy and Pillow and the one of the package imagehash,
which resizes by another filter and rounds to 8 bits. Needs numpy, scipy, pillow, ImageHash."""
import pathlib

import imagehash
import numpy as np
from PIL import Image
from scipy.fft import dct

golden = pathlib.Path(__file__).parent / "golden"
names = ["grey8.png", "rgb8.png", "grey.jpg", "rgb420.jpg", "progressive.jpg", "grey16.png", "rgb444.jpg"]


def phash(image):
    values = np.asarray(image, np.float64)
    if values.ndim == 3:
        values = values @ [0.299, 0.587, 0.114]
    small = np.asarray(Image.fromarray(values.astype(np.float32)).resize((32, 32), Image.BILINEAR), np.float64)
    low = dct(dct(small, axis=0), axis=1)[:8, :8]
    bits = (low > np.median(low)).ravel()
    return "".join(f"{int(''.join('01'[int(b)] for b in bits[i:i + 4]), 2):x}" for i in range(0, 64, 4))


with open(golden / "hashes.txt", "w") as out:
    for name in names:
        image = Image.open(golden / name)
        theirs = image if image.mode in ("L", "RGB") else Image.fromarray((np.asarray(image) / 257).astype(np.uint8))
        print(name, phash(image), imagehash.phash(theirs), file=out)
