"""Writes torch_small.safetensors, a small network of torch with every kind of tensor, and torch_small.txt, its output.

The network of test_safetensors.c: conv 3x3 (float32), batch-norm (float64), depthwise 3x3 (bfloat16), conv 1x1 with bias
(float16), of a 6x5 image x[i] = sin(i) in the order height, width, channel. python make_torch_small.py
"""

import os

import numpy as np
import torch
from safetensors.torch import save_file

torch.manual_seed(3)
net = torch.nn.Sequential()
net.add_module("conv", torch.nn.Conv2d(3, 8, 3, padding=1, bias=False))
net.add_module("norm", torch.nn.BatchNorm2d(8))
net.add_module("depthwise", torch.nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False))
net.add_module("last", torch.nn.Conv2d(8, 4, 1))
net.norm.running_mean.uniform_(-0.5, 0.5)
net.norm.running_var.uniform_(0.5, 1.5)
net.norm.weight.data.uniform_(0.5, 1.5)
net.norm.bias.data.uniform_(-0.5, 0.5)
kinds = {"conv": torch.float32, "norm": torch.float64, "depthwise": torch.bfloat16, "last": torch.float16}
state = {f"module.{k}": v.to(kinds[k.split(".")[0]]) if v.is_floating_point() else v for k, v in net.state_dict().items()}
net.load_state_dict({k.removeprefix("module."): v for k, v in state.items()})
net.double().eval()
x = np.sin(np.arange(6 * 5 * 3)).reshape(1, 6, 5, 3).transpose(0, 3, 1, 2)
y = net(torch.from_numpy(x)).detach().numpy().transpose(0, 2, 3, 1).reshape(-1)
folder = os.path.dirname(os.path.abspath(__file__))
save_file(state, os.path.join(folder, "torch_small.safetensors"))
np.savetxt(os.path.join(folder, "torch_small.txt"), y, fmt="%.9g")
