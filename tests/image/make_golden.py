"""Makes golden/: small PNG and JPEG files, and golden.h5 with what PIL and TensorFlow make of them.

Needs numpy, h5py, Pillow, tensorflow, keras 3. Versions used are in golden.h5's attributes.
"""
import io
import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["KERAS_BACKEND"] = "tensorflow"
import h5py
import keras
import numpy as np
import PIL
import tensorflow as tf
from PIL import Image, ImageOps

here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden")
random = np.random.RandomState(7)
out = h5py.File(os.path.join(here, "golden.h5"), "w")
out.attrs["made_by"] = f"Pillow {PIL.__version__}, tensorflow {tf.__version__}, keras {keras.__version__}"


def picture(h, w, c):
    """A smooth picture with some noise, so that JPEG and resampling have something to do."""
    y, x = np.mgrid[0:h, 0:w]
    planes = [127 + 90 * np.sin(x / (3.0 + k) + k) * np.cos(y / (4.0 - k)) + random.randint(-20, 21, (h, w)) for k in range(c)]
    return np.clip(np.stack(planes, -1), 0, 255).astype(np.uint8)


def put(name, array):
    array = np.asarray(array)
    out["decoded/" + name] = array if array.ndim == 3 else array[:, :, None]


def save(name, image, **options):
    image.save(os.path.join(here, name), **options)


def over_black(array):
    top = np.iinfo(array.dtype).max
    alpha = array[..., -1:].astype(np.int64)
    return ((array[..., :-1].astype(np.int64) * alpha + top // 2) // top).astype(array.dtype)


rgb, grey = picture(17, 13, 3), picture(17, 13, 1)[..., 0]
save("grey8.png", Image.fromarray(grey)); put("grey8.png", grey)
save("rgb8.png", Image.fromarray(rgb)); put("rgb8.png", rgb)
rgba = np.concatenate([rgb, picture(17, 13, 1)], -1)
save("rgba8.png", Image.fromarray(rgba)); put("rgba8.png", over_black(rgba))
la = np.stack([grey, grey[::-1]], -1)
save("la8.png", Image.fromarray(la, "LA")); put("la8.png", over_black(la))
for bits, colours in ((8, 200), (4, 16), (2, 4), (1, 2)):
    palette = Image.fromarray(rgb).quantize(colours)
    name = f"palette{bits}.png"
    save(name, palette, bits=bits); put(name, np.asarray(palette.convert("RGB")))
transparent = Image.fromarray(rgb).quantize(16)
save("palette_transparent.png", transparent, transparency=bytes(range(0, 256, 16)))
put("palette_transparent.png", over_black(np.asarray(Image.open(os.path.join(here, "palette_transparent.png")).convert("RGBA"))))
save("grey1.png", Image.fromarray(grey).convert("1")); put("grey1.png", np.asarray(Image.fromarray(grey).convert("1")).astype(np.uint8) * 255)
for c, name in ((1, "grey16"), (2, "la16"), (3, "rgb16"), (4, "rgba16")):
    deep = random.randint(0, 65536, (9, 11, c)).astype(np.uint16)
    data = tf.io.encode_png(deep).numpy()
    open(os.path.join(here, name + ".png"), "wb").write(data)
    assert (tf.io.decode_png(data, dtype=tf.uint16).numpy() == deep).all()
    put(name + ".png", over_black(deep) if c in (2, 4) else deep)

big = picture(45, 37, 3)
for name, image, options in (
    ("grey.jpg", Image.fromarray(big[..., 0]), {}),
    ("rgb444.jpg", Image.fromarray(big), {"subsampling": 0}),
    ("rgb422.jpg", Image.fromarray(big), {"subsampling": 1}),
    ("rgb420.jpg", Image.fromarray(big), {"subsampling": 2}),
    ("progressive.jpg", Image.fromarray(big), {"progressive": True}),
    ("cmyk.jpg", Image.fromarray(big).convert("CMYK"), {}),
):
    save(name, image, quality=85, **options)
    again = Image.open(os.path.join(here, name))
    put(name, np.asarray(again if again.mode == "L" else again.convert("RGB")))
for orientation in range(1, 9):
    exif = Image.Exif(); exif[274] = orientation
    name = f"exif{orientation}.jpg"
    save(name, Image.fromarray(rgb), quality=90, exif=exif.tobytes())
    put(name, np.asarray(ImageOps.exif_transpose(Image.open(os.path.join(here, name)))))
save("truncated_source.jpg", Image.fromarray(picture(64, 64, 3)), quality=90)

out["channels/rgb"] = rgb
out["channels/luma"] = np.asarray(Image.fromarray(rgb).convert("L"))[:, :, None]

source = picture(37, 53, 3)
out["resize/source"] = source
for h, w in ((20, 31), (64, 64), (5, 7), (1, 1), (100, 20), (37, 20)):
    out[f"resize/tf_{h}x{w}"] = tf.image.resize(source, (h, w), antialias=True).numpy()
    out[f"resize/pil_{h}x{w}"] = np.asarray(Image.fromarray(source).resize((w, h), Image.BILINEAR))
deep = random.randint(0, 65536, (23, 19, 1)).astype(np.uint16)
out["resize/deep"] = deep
out["resize/deep_11x40"] = tf.image.resize(deep.astype(np.float32), (11, 40), antialias=True).numpy()
for h, w in ((24, 24), (16, 40), (40, 16), (50, 60)):
    data = source.astype(np.float32)
    options = {"interpolation": "bilinear", "antialias": True, "data_format": "channels_last"}
    out[f"fit/crop_{h}x{w}"] = np.asarray(keras.ops.image.resize(data, (h, w), crop_to_aspect_ratio=True, **options))
    out[f"fit/pad_{h}x{w}"] = np.asarray(keras.ops.image.resize(data, (h, w), pad_to_aspect_ratio=True, **options))
out.close()
