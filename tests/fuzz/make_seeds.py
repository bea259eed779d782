"""Writes seeds/: small inputs from which the fuzz targets start. Needs NumPy, Pillow and h5py; same bytes each time.

    python make_seeds.py
"""

import gzip
import io
import json
import os
import zipfile

import numpy as np
from PIL import Image

HERE = os.path.dirname(os.path.abspath(__file__))
MODELS = os.path.join(HERE, "..", "weights", "models")


def put(target, name, data):
    with open(os.path.join(HERE, "seeds", target, name), "wb") as file:
        file.write(data if isinstance(data, bytes) else data.encode())


def encoded(image, form, **options):
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def images():
    grid = np.arange(12 * 10 * 3, dtype=np.uint8).reshape(12, 10, 3)
    rgb, grey = Image.fromarray(grid), Image.fromarray(grid[..., 0])
    exif = Image.Exif()
    exif[0x0112] = 6
    put("image", "rgb.png", encoded(rgb, "PNG"))
    put("image", "grey.png", encoded(grey, "PNG"))
    put("image", "alpha.png", encoded(rgb.convert("RGBA"), "PNG"))
    put("image", "palette.png", encoded(rgb.quantize(8), "PNG"))
    put("image", "one_bit.png", encoded(grey.convert("1"), "PNG"))
    put("image", "deep.png", encoded(Image.fromarray(grid[..., 0].astype(np.uint16) * 200), "PNG"))
    put("image", "rgb.jpg", encoded(rgb, "JPEG"))
    put("image", "turned.jpg", encoded(rgb, "JPEG", exif=exif))
    put("image", "grey.jpg", encoded(grey, "JPEG"))
    put("image", "progressive.jpg", encoded(rgb, "JPEG", progressive=True))
    put("image", "cmyk.jpg", encoded(rgb.convert("CMYK"), "JPEG"))


def array(x):
    out = io.BytesIO()
    np.save(out, x)
    return out.getvalue()


def archive(method):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as file:
        file.writestr(zipfile.ZipInfo("x.npy"), array(np.arange(6, dtype=np.uint8)), method)
    return out.getvalue()


def tables():
    idx = bytes([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 2]) + bytes(range(12))
    put("table", "list.csv", 'cpath,label,group\na.png,cat,p1\n"b, c.png",dog,p2\n')
    put("table", "targets.csv", "cpath,label\na.png,1.5\nb.png,-2e3\n")
    put("table", "multi.csv", "cpath,label\na.png,cat|dog\nb.png,\n")
    put("table", "idx", b"i" + idx)
    put("table", "idx.gz", b"g" + gzip.compress(idx, mtime=0))
    put("table", "images.npy", b"n" + array(np.zeros((2, 3, 4), np.uint16)))
    put("table", "labels.npy", b"n" + array(np.arange(3.0)))
    put("table", "stored.npz", b"z" + archive(zipfile.ZIP_STORED))
    put("table", "deflated.npz", b"z" + archive(zipfile.ZIP_DEFLATED))


def short(model):
    """The config without what no reader looks at."""
    if isinstance(model, dict):
        skip = {"dtype", "module", "registered_name", "build_config", "kernel_initializer", "bias_initializer"}
        return {key: short(value) for key, value in model.items() if key not in skip and not key.endswith("constraint")}
    return [short(value) for value in model] if isinstance(model, list) else model


def models():
    for name in ("all_layers", "nested", "more_layers", "shared"):
        with zipfile.ZipFile(os.path.join(MODELS, name + ".keras")) as file:
            text = json.dumps(short(json.loads(file.read("config.json"))), separators=(",", ":"))
        put("model", name + ".json", text)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        layers = [{"class_name": "InputLayer", "config": {"batch_shape": [None, 8, 8, 3], "name": "i"}},
                  {"class_name": "Flatten", "config": {"name": "f"}}]
        config = {"class_name": "Sequential", "config": {"name": "s", "layers": layers}}
        file.writestr(zipfile.ZipInfo("config.json"), json.dumps(config))
        file.writestr(zipfile.ZipInfo("thaw.json"), '{"preprocessing": "tf", "class_names": ["a", "b"]}')
    put("model", "sequential.keras", out.getvalue())


def main():
    for target in ("image", "table", "model"):
        os.makedirs(os.path.join(HERE, "seeds", target), exist_ok=True)
    images()
    tables()
    models()


main()
