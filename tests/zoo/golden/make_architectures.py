"""Writes architectures.txt: what Keras computes with each architecture, weights and input from a formula.

    python make_architectures.py [name ...]    # all, or only some (printed, not written)

formula.py says what the numbers are and how the lines are made.
"""

import os
import sys
from unittest import mock

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras
import numpy as np
from formula import fnv, image, layer_line, sample, uniform
from keras import applications as zoo
from keras.src.applications import efficientnet

CASES = [  # thaw's name, constructor, arguments, height, width
    ("vgg16", zoo.VGG16, {}, 64, 80),
    ("vgg19", zoo.VGG19, {}, 32, 48),
    ("resnet50", zoo.ResNet50, {}, 64, 80),
    ("resnet101", zoo.ResNet101, {}, 64, 64),
    ("resnet152", zoo.ResNet152, {}, 64, 64),
    ("resnet50v2", zoo.ResNet50V2, {}, 64, 80),
    ("resnet101v2", zoo.ResNet101V2, {}, 64, 64),
    ("resnet152v2", zoo.ResNet152V2, {}, 64, 64),
    ("densenet121", zoo.DenseNet121, {}, 64, 80),
    ("densenet169", zoo.DenseNet169, {}, 64, 64),
    ("densenet201", zoo.DenseNet201, {}, 64, 64),
    ("inceptionv3", zoo.InceptionV3, {}, 75, 96),
    ("xception", zoo.Xception, {}, 71, 80),
    ("mobilenet", zoo.MobileNet, {}, 65, 70),
    ("mobilenet_0.75", zoo.MobileNet, {"alpha": 0.75}, 64, 64),
    ("mobilenet_0.5", zoo.MobileNet, {"alpha": 0.5}, 64, 64),
    ("mobilenet_0.25", zoo.MobileNet, {"alpha": 0.25}, 64, 64),
    ("mobilenetv2", zoo.MobileNetV2, {}, 65, 70),
    ("mobilenetv2_0.35", zoo.MobileNetV2, {"alpha": 0.35}, 64, 64),
    ("mobilenetv2_0.5", zoo.MobileNetV2, {"alpha": 0.5}, 64, 64),
    ("mobilenetv2_0.75", zoo.MobileNetV2, {"alpha": 0.75}, 64, 64),
    ("mobilenetv2_1.3", zoo.MobileNetV2, {"alpha": 1.3}, 64, 64),
    ("mobilenetv2_1.4", zoo.MobileNetV2, {"alpha": 1.4}, 64, 64),
    ("efficientnetb0", zoo.EfficientNetB0, {}, 65, 70),
    ("efficientnetb1", zoo.EfficientNetB1, {}, 64, 64),
    ("efficientnetb2", zoo.EfficientNetB2, {}, 64, 64),
    ("efficientnetb3", zoo.EfficientNetB3, {}, 65, 70),
]


def values(layer, index, variable):
    name, shape = variable.path.split("/")[-1], variable.shape
    u = uniform(f"{layer}/{index}", int(np.prod(shape)))
    if "kernel" in name:  # He's uniform limit; depthwise kernels have kh * kw inputs
        depthwise = "depthwise" in variable.path.lower() and "pointwise" not in name or shape[-1] == 1
        fan_in = shape[0] * shape[1] * (1 if depthwise else shape[2])
        value = u * np.sqrt(6.0 / fan_in)
    elif name == "gamma":
        value = 0.6 + 0.2 * u
    elif "variance" in name:
        value = 1 + 0.3 * u
    elif name == "count":
        value = np.zeros_like(u)
    else:
        value = 0.1 * u
    return value.reshape(shape).astype(np.float32)


def fill(model):
    for layer in model.layers:
        weights = layer.trainable_variables + layer.non_trainable_variables
        weights = [w for w in weights if "seed" not in w.path]
        for index, variable in enumerate(weights):
            variable.assign(values(layer.name, index, variable))
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()


def build(constructor, arguments, height, width, channels=3):
    keras.backend.clear_session()
    arguments = dict(arguments, include_top=False, input_shape=(height, width, channels))
    if constructor.__module__ != efficientnet.__name__:
        return constructor(weights=None, **arguments)
    # The graph that weights="imagenet" gives has one layer more; its file is not needed.
    with (
        mock.patch.object(efficientnet.file_utils, "get_file", return_value=""),
        mock.patch.object(efficientnet.Functional, "load_weights"),
    ):
        return constructor(weights="imagenet", **arguments)


def describe(name, constructor, arguments, height, width, out):
    model = build(constructor, arguments, height, width)
    fill(model)
    raw = name.startswith("efficientnet")
    x = image(height, width, 3, raw)
    layers = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
    order = fnv("\n".join(layer.name for layer in layers))
    chosen = sample(len(layers))
    results = keras.Model(model.inputs, [layers[i].output for i in chosen])(x, training=False)
    out.write(f"network {name} {height} {width} {len(model.layers)} {model.count_params()} {order:08x}\n")
    for i, y in zip(chosen, results):
        out.write(layer_line(layers[i].name, y))
    out.flush()


def main(names):
    folder = os.path.dirname(os.path.abspath(__file__))
    with open(os.devnull if names else os.path.join(folder, "architectures.txt"), "w") as file:
        for case in CASES:
            if not names or case[0] in names:
                describe(*case, sys.stdout if names else file)


if __name__ == "__main__":
    main(sys.argv[1:])
