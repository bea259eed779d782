"""onnx_compare.py FEATURES MODELS FOLDER: thaw and onnxruntime agree, for models of PyTorch and Keras that thaw reads, and
for models that thaw writes (MODELS is the folder models/ of this one)."""

import os
import subprocess
import sys

import numpy as np
import onnxruntime
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

LIMIT = 1e-5  # relative L2


def randomize(model):
    torch.manual_seed(7)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.data.uniform_(0.5, 1.0)
            module.bias.data.uniform_(-0.1, 0.1)
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.7, 1.3)
    return model.eval()


def vgg():
    """Its dense layers read a flattened map."""
    layers = []
    for i, o in ((3, 8), (8, 16), (16, 16)):
        layers += [nn.Conv2d(i, o, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(16 * 8 * 6, 20), nn.ReLU(), nn.Dropout(), nn.Linear(20, 5))


TORCH = [  # name, model, height, width
    ("vgg", vgg, 64, 48),
    ("resnet18", lambda: torchvision.models.resnet18(weights=None), 64, 80),
    ("mobilenetv2", lambda: torchvision.models.mobilenet_v2(weights=None, width_mult=0.35), 64, 64),
    ("efficientnet", lambda: torchvision.models.efficientnet_b0(weights=None), 64, 64),
    ("resnext", lambda: torchvision.models.resnext50_32x4d(weights=None), 64, 64),
    ("densenet", lambda: torchvision.models.densenet121(weights=None), 64, 64),
]


def keras_models(folder):
    """Exported by tf2onnx, which Keras itself uses; none without it."""
    try:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        import keras
        import tf2onnx  # noqa: F401
    except ImportError:
        print("no keras with tf2onnx: models of Keras are skipped")
        return []
    keras.utils.set_random_seed(3)
    found = []
    for name in ("MobileNetV2", "ResNet50", "DenseNet121"):
        path = os.path.join(folder, f"keras_{name}.onnx")
        arguments = {"weights": None, "input_shape": (64, 64, 3), "classifier_activation": None}
        if name == "MobileNetV2":
            arguments["alpha"] = 0.35
        model = getattr(keras.applications, name)(**arguments)
        model(np.zeros((1, 64, 64, 3), np.float32))
        model.export(path, format="onnx", verbose=False)
        found.append((path, 64, 64))
    return found


def compare(features, network, weights, model, h, w, folder):
    """What thaw makes of `network` with `weights`, and onnxruntime of `model`."""
    session = onnxruntime.InferenceSession(model)
    given = session.get_inputs()[0]
    last = isinstance(given.shape[3], int) and given.shape[3] == 3
    x = np.random.default_rng(1).standard_normal((1, h, w, 3)).astype(np.float32)
    x.tofile(os.path.join(folder, "x.raw"))
    y = session.run(None, {given.name: x if last else x.transpose(0, 3, 1, 2).copy()})[0]
    command = [features, network, weights, "x.raw", "y.raw", str(h), str(w)]
    subprocess.run(command, check=True, cwd=folder)
    found, y = np.fromfile(os.path.join(folder, "y.raw"), np.float32), y.reshape(-1)
    error = np.linalg.norm(found - y) / np.linalg.norm(y)
    print(f"{os.path.basename(model)}: {len(y)} values, relative difference {error:.2e}", flush=True)
    return error <= LIMIT


def read_by_thaw(features, folder):
    models = []
    for name, make, h, w in TORCH:
        model, x = randomize(make()), torch.randn(1, 3, h, w)
        for program in (False, True):
            path = os.path.join(folder, f"torch_{name}{'_program' if program else ''}.onnx")
            torch.onnx.export(model, (x,), path, dynamo=program, verbose=False)
            models.append((path, h, w))
    good = [compare(features, "-", path, path, h, w, folder) for path, h, w in models]
    return good + [compare(features, "-", path, path, h, w, folder) for path, h, w in keras_models(folder)]


def written_by_thaw(features, models, folder):
    good = []
    model = randomize(torchvision.models.resnet18(weights=None))
    save_file(model.state_dict(), os.path.join(folder, "resnet18.safetensors"))
    for network, weights, h, w in (
        ("resnet18", os.path.join(folder, "resnet18.safetensors"), 64, 80),
        ("-", os.path.join(models, "torch_mixed.onnx"), 14, 10),
        ("-", os.path.join(models, "torch_more.onnx"), 14, 10),
        ("-", os.path.join(models, "all_layers.keras"), 0, 0),
        ("-", os.path.join(models, "more_layers.keras"), 12, 10),
    ):
        path = os.path.join(folder, f"thaw_{os.path.basename(weights)}.onnx")
        if h == 0:
            h, w = size_of(models)
        subprocess.run([features, network, weights, "export", path, str(h), str(w)], check=True)
        good.append(compare(features, network, weights, path, h, w, folder))
    return good


def size_of(models):
    """Of the images of all_layers.keras."""
    import json
    import zipfile

    config = json.loads(zipfile.ZipFile(os.path.join(models, "all_layers.keras")).read("config.json"))
    return config["config"]["layers"][0]["config"]["batch_shape"][1:3]


if __name__ == "__main__":
    torch.set_num_threads(1)
    program, source = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
    results = written_by_thaw(program, source, sys.argv[3]) + read_by_thaw(program, sys.argv[3])
    sys.exit(0 if all(results) else 1)
