"""Writes torchvision.txt: what torchvision computes with each of its architectures, weights and input from a formula.

    python make_torchvision.py

formula.py says what the numbers are and how the lines are made, with the kernels in thaw's order (height, width, in, out).
The third number of a network's line is how many graph nodes torchvision names up to the last map, the input too; the
last is a hash of these names in torchvision's order.
"""

import os

import numpy as np
import torch
import torchvision
from formula import fnv, image, layer_line, sample, uniform
from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names

CASES = [  # thaw's name, torchvision's, height, width
    ("resnet18", "resnet18", 64, 80),
    ("resnet34", "resnet34", 65, 70),
    ("resnet50v1.5", "resnet50", 64, 80),
]


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
    chosen = sample(len(nodes))
    x = image(height, width, 3, False).transpose(0, 3, 1, 2)
    extractor = create_feature_extractor(model, [nodes[i] for i in chosen])
    with torch.no_grad():
        results = extractor(torch.from_numpy(x.copy()))
    order = fnv("\n".join(nodes))
    out.write(f"network {name} {height} {width} {len(nodes) + 1} {parameters} {order:08x}\n")
    for i in chosen:
        out.write(layer_line(nodes[i], results[nodes[i]].numpy().transpose(0, 2, 3, 1)))


if __name__ == "__main__":
    torch.set_num_threads(1)
    folder = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(folder, "torchvision.txt"), "w") as file:
        for case in CASES:
            describe(*case, file)
