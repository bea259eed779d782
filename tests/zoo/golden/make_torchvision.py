"""Writes torchvision.txt: what torchvision computes with each of its architectures, weights and input from a formula.

    python make_torchvision.py

The formula and the lines are those of make_architectures.py, with the kernels in thaw's order (height, width, in, out).
The third number of a network's line is how many graph nodes torchvision names up to the last map, the input too; the
last is a hash of these names in torchvision's order.
"""

import os

import numpy as np
import torch
import torchvision
from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names

CASES = [  # thaw's name, torchvision's, height, width
    ("resnet18", "resnet18", 64, 80),
    ("resnet34", "resnet34", 65, 70),
    ("resnet50v1.5", "resnet50", 64, 80),
]
SAMPLED = 12  # nodes per network, the last one always


def fnv(text):
    value = 0x811C9DC5
    for byte in text.encode():
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return value


def uniform(text, count):
    z = np.arange(count, dtype=np.uint64) * np.uint64(0x9E3779B9) + np.uint64(fnv(text))
    z = z.astype(np.uint32)
    z ^= z >> np.uint32(16)
    z *= np.uint32(0x85EBCA6B)
    z ^= z >> np.uint32(13)
    z *= np.uint32(0xC2B2AE35)
    z ^= z >> np.uint32(16)
    return (z >> np.uint32(8)).astype(np.float64) / 2**23 - 1


def set_value(tensor, value):
    with torch.no_grad():
        tensor.copy_(torch.from_numpy(value.astype(np.float32).copy()))


def fill(model):
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Conv2d):
            o, i, h, w = module.weight.shape
            kernel = uniform(f"{name}/0", h * w * i * o) * np.sqrt(6.0 / (h * w * i))
            set_value(module.weight, kernel.reshape(h, w, i, o).transpose(3, 2, 0, 1))
        elif isinstance(module, torch.nn.BatchNorm2d):
            u = [uniform(f"{name}/{p}", module.num_features) for p in range(4)]
            set_value(module.weight, 0.6 + 0.2 * u[0])
            set_value(module.bias, 0.1 * u[1])
            set_value(module.running_mean, 0.1 * u[2])
            set_value(module.running_var, 1 + 0.3 * u[3])
        elif isinstance(module, torch.nn.ReLU):
            module.inplace = False  # the nodes before it keep their values


def describe(name, constructor, height, width, out):
    model = getattr(torchvision.models, constructor)(weights=None).eval()
    fill(model)
    nodes = get_graph_node_names(model)[1]
    nodes = nodes[1 : nodes.index("avgpool")]
    parameters = sum(v.numel() for k, v in model.state_dict().items() if "fc." not in k and "num_batches" not in k)
    chosen = sorted({int(i) for i in np.linspace(1, len(nodes) - 1, SAMPLED)})
    x = 2 * uniform("input", height * width * 3).reshape(1, height, width, 3).transpose(0, 3, 1, 2)
    extractor = create_feature_extractor(model, [nodes[i] for i in chosen])
    with torch.no_grad():
        results = extractor(torch.from_numpy(x.astype(np.float32).copy()))
    order = fnv("\n".join(nodes))
    out.write(f"network {name} {height} {width} {len(nodes) + 1} {parameters} {order:08x}\n")
    for i in chosen:
        y = results[nodes[i]].numpy().transpose(0, 2, 3, 1).reshape(-1)
        at = [0, len(y) // 3, 2 * len(y) // 3, len(y) - 1]
        numbers = [y.astype(np.float64).mean(), np.abs(y.astype(np.float64)).mean(), *y[at]]
        out.write(f"layer {nodes[i]} {len(y)} " + " ".join(f"{v:.9g}" for v in numbers) + "\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    folder = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(folder, "torchvision.txt"), "w") as file:
        for case in CASES:
            describe(*case, file)
