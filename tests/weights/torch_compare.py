"""torch_compare.py FEATURES FOLDER: torchvision's networks with random weights, written as safetensors, against thaw."""

import os
import subprocess
import sys

import numpy as np
import torch
import torchvision
from safetensors.torch import save_file

CASES = [  # thaw's name, torchvision's, the module whose output is compared, height, width, type
    ("resnet18", "resnet18", "layer4", 64, 80, torch.float32),
    ("resnet34", "resnet34", "layer4", 65, 70, torch.float64),
    ("resnet50v1.5", "resnet50", "layer4", 64, 80, torch.float32),
    ("vgg16", "vgg16", "features", 64, 48, torch.float16),
    ("vgg19", "vgg19", "features", 32, 32, torch.bfloat16),
    ("densenet121", "densenet121", "features", 64, 80, torch.float32),
]


def randomize(model):
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.weight.data.uniform_(0.5, 1.0)
            module.bias.data.uniform_(-0.1, 0.1)
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.7, 1.3)
        if isinstance(module, torch.nn.ReLU):
            module.inplace = False


def compare(features, folder, name, constructor, module, height, width, dtype):
    torch.manual_seed(7)
    model = getattr(torchvision.models, constructor)(weights=None).eval()
    randomize(model)
    model = model.to(dtype).to(torch.float32)
    weights = os.path.join(folder, f"{name}.safetensors")
    save_file({k: v.to(dtype) if v.is_floating_point() else v for k, v in model.state_dict().items()}, weights)
    x = torch.randn(1, 3, height, width)
    x.numpy().transpose(0, 2, 3, 1).tofile(os.path.join(folder, "x.raw"))
    seen = []
    getattr(model, module).register_forward_hook(lambda _, __, y: seen.append(y))
    with torch.no_grad():
        model(x)
    y = seen[0]
    if name.startswith("densenet"):
        y = torch.relu(y)  # in torchvision a function after the module
    command = [features, name, weights, "x.raw", "y.raw", str(height), str(width)]
    subprocess.run(command, check=True, cwd=folder)
    found = np.fromfile(os.path.join(folder, "y.raw"), np.float32)
    expected = y.numpy().transpose(0, 2, 3, 1).reshape(-1)
    error = np.linalg.norm(found - expected) / np.linalg.norm(expected)
    os.remove(weights)
    print(f"{name} ({dtype}): relative difference {error:.2e}")
    return error <= 1e-5


if __name__ == "__main__":
    torch.set_num_threads(1)
    good = [compare(os.path.abspath(sys.argv[1]), sys.argv[2], *case) for case in CASES]
    sys.exit(0 if all(good) else 1)
