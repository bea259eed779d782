"""Writes weight_files.txt: what Keras computes with weights that do not fit the network as they are.

    python make_weight_files.py

`old`: ResNet50 as Keras 1 and 2 up to 2.2.4 built it (keras-applications 1.0.6, resnet50.py), whose weight files have
other names, another order of layers and batch-norm epsilon 1e-3. `channels N`: networks for images of N channels whose
first kernel comes from one of 3 channels as timm makes it (timm/models/_manipulate.py, adapt_input_conv), and whose
measured mean and variance, where there is a Normalization layer, are the means of the three channels'.
formula.py says what the numbers are and how the lines are made.
"""

import os
from unittest import mock

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras
import make_architectures as architectures
import numpy as np
from formula import image, layer_line, sample
from keras import applications as zoo
from keras import layers as L
from keras.src.applications import efficientnet

CASES = [  # thaw's name, constructor, arguments, height, width, numbers of channels
    ("resnet50", zoo.ResNet50, {}, 64, 80, (1, 5)),
    ("mobilenetv2", zoo.MobileNetV2, {}, 65, 70, (1, 2)),
    ("efficientnetb0", zoo.EfficientNetB0, {}, 65, 70, (1, 4)),
    ("xception", zoo.Xception, {}, 71, 80, (1, 6)),
]


def identity_block(x, filters, stage, block, strides=None):
    """conv_block of the old source when `strides` is given."""
    conv, norm = f"res{stage}{block}_branch", f"bn{stage}{block}_branch"
    first, second, third = filters
    y = L.Conv2D(first, 1, strides=strides or 1, name=conv + "2a")(x)
    y = L.Activation("relu")(L.BatchNormalization(name=norm + "2a")(y))
    y = L.Conv2D(second, 3, padding="same", name=conv + "2b")(y)
    y = L.Activation("relu")(L.BatchNormalization(name=norm + "2b")(y))
    y = L.BatchNormalization(name=norm + "2c")(L.Conv2D(third, 1, name=conv + "2c")(y))
    if strides:
        x = L.Conv2D(third, 1, strides=strides, name=conv + "1")(x)
        x = L.BatchNormalization(name=norm + "1")(x)
    return L.Activation("relu", name=f"out{stage}{block}")(L.Add()([y, x]))


def old_resnet50(height, width):
    image = keras.Input((height, width, 3))
    x = L.ZeroPadding2D(3, name="conv1_pad")(image)
    x = L.Conv2D(64, 7, strides=2, name="conv1")(x)
    x = L.Activation("relu")(L.BatchNormalization(name="bn_conv1")(x))
    x = L.MaxPooling2D(3, strides=2)(L.ZeroPadding2D(1, name="pool1_pad")(x))
    for stage, blocks, filters in ((2, "abc", 64), (3, "abcd", 128), (4, "abcdef", 256), (5, "abc", 512)):
        for block in blocks:
            strides = (1 if stage == 2 else 2) if block == "a" else None
            x = identity_block(x, (filters, filters, 4 * filters), stage, block, strides)
    return keras.Model(image, x)


def adapt(kernel, channels):
    """adapt_input_conv, for Keras' order of dimensions."""
    if channels == 1:
        return kernel.sum(axis=2, keepdims=True)
    repeat = -(-channels // 3)
    return np.tile(kernel, (1, 1, repeat, 1))[:, :, :channels] * (3 / channels)


def transfer(colour, other, channels):
    """The weights of the network for three channels into that for `channels`."""
    for a, b in zip(colour.layers, other.layers):
        for source, target in zip(a.variables, b.variables):
            value = source.numpy()
            if source.shape != target.shape:
                value = adapt(value, channels) if len(source.shape) == 4 else np.full(target.shape, value.mean())
            target.assign(value)
        if isinstance(b, keras.layers.Normalization):
            b.finalize_state()


def build(case, channels):
    """EfficientNet has three factors, of which other numbers of channels get the mean."""
    factor = np.mean([deviation**-0.5 for deviation in efficientnet.IMAGENET_STDDEV_RGB])
    if channels == 3:
        return architectures.build(*case)
    with (
        mock.patch.object(efficientnet, "IMAGENET_STDDEV_RGB", [factor**-2]),
        mock.patch.object(efficientnet.imagenet_utils, "obtain_input_shape", return_value=(*case[2:], channels)),
    ):
        return architectures.build(*case, channels)


def describe(what, name, model, x, out):
    layers = [layer for layer in model.layers if layer.variables or layer.name.startswith("out")]
    chosen = sample(len(layers))
    results = keras.Model(model.inputs, [layers[i].output for i in chosen])(x, training=False)
    out.write(f"network {name} {x.shape[1]} {x.shape[2]} {what} {model.count_params()} 0\n")
    for i, y in zip(chosen, results):
        out.write(layer_line(layers[i].name, y))
    out.flush()


def channels(name, *case, count, out):
    colour = build(case, 3)
    architectures.fill(colour)
    other = build(case, count)
    transfer(colour, other, count)
    describe(count, name, other, image(*case[2:], count, name.startswith("efficientnet")), out)


def main():
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "weight_files.txt"), "w") as file:
        old = old_resnet50(64, 80)
        architectures.fill(old)
        describe(3, "resnet50", old, image(64, 80, 3, False), file)
        for *case, counts in CASES:
            for count in counts:
                channels(*case, count=count, out=file)


if __name__ == "__main__":
    main()
