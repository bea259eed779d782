"""Writes models/*.onnx, small models of PyTorch's and our own making, and what onnxruntime computes with them (*.txt).

    python make_onnx.py        needs torch, onnx, onnxscript, onnxruntime

The image of height h and width w is x[i] = sin(i) in the order height, width, channel. Each .txt begins with h, w.
"""

import os

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "models")


class Mixed(nn.Module):
    """Every operator that torch's exporter makes of usual layers."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.depthwise = nn.Conv2d(8, 8, 5, padding=2, groups=8, bias=False)
        self.grouped = nn.Conv2d(8, 12, 3, padding=1, groups=4)
        self.squeeze = nn.Conv2d(12, 4, 1)
        self.excite = nn.Conv2d(4, 12, 1)
        self.norm2 = nn.BatchNorm2d(20)
        self.dense = nn.Linear(20 * 4 * 3, 10)
        self.last = nn.Linear(10, 3)

    def forward(self, x):
        x = nn.functional.relu6(self.norm(self.stem(x)))
        y = nn.functional.silu(self.depthwise(x)) + x
        y = self.grouped(y)
        y = y * torch.sigmoid(self.excite(torch.relu(self.squeeze(nn.functional.adaptive_avg_pool2d(y, 1)))))
        x = torch.relu(self.norm2(torch.cat([y, x], 1)))
        x = nn.functional.max_pool2d(x, 3, 2, 1)
        x = nn.functional.avg_pool2d(x, 3, 1, 1)
        x = torch.tanh(self.dense(torch.flatten(x, 1)))
        return torch.softmax(self.last(nn.functional.dropout(x, training=self.training)), 1)


class More(nn.Module):
    """Operators that fewer models have."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, padding=1)
        self.second = nn.Conv2d(6, 6, 3)
        self.third = nn.Conv2d(6, 6, 1)
        self.slopes = nn.PReLU(6)
        self.slope = nn.PReLU()
        self.norm = nn.LayerNorm(6, eps=1e-6)
        self.last = nn.Linear(12, 4)
        self.top = nn.LayerNorm(4)

    def forward(self, x):
        x = self.slopes(self.first(x))
        x = self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        y = nn.functional.elu(self.second(nn.functional.leaky_relu(x, 0.2)), 0.7)
        y = nn.functional.hardswish(self.third(y[:, :, 1:-1, 2:]))
        y = nn.functional.interpolate(y, scale_factor=2, mode="nearest")
        x = nn.functional.interpolate(nn.functional.max_pool2d(x, 2), scale_factor=(2, 3), mode="bilinear")
        x = nn.functional.selu(self.slope(x.permute(0, 1, 3, 2)))
        x = torch.cat([x.mean((2, 3)), nn.functional.hardsigmoid(y).mean((2, 3))], 1)
        return self.top(self.last(x))


def randomize(model):
    torch.manual_seed(5)
    for module in model.modules():
        if isinstance(module, nn.LayerNorm):
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.uniform_(-0.5, 0.5)
        if isinstance(module, nn.PReLU):
            module.weight.data.uniform_(0.1, 0.5)
        if isinstance(module, nn.BatchNorm2d):
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.uniform_(-0.5, 0.5)
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.5, 1.5)
    return model.eval()


def image(h, w):
    return np.sin(np.arange(h * w * 3)).reshape(1, h, w, 3).astype(np.float32)


def record(name, h, w, channels_last):
    path = os.path.join(FOLDER, name)
    session = onnxruntime.InferenceSession(path + ".onnx")
    x = image(h, w)
    y = session.run(None, {session.get_inputs()[0].name: x if channels_last else x.transpose(0, 3, 1, 2).copy()})[0]
    np.savetxt(path + ".txt", y.reshape(-1), fmt="%.9g", header=f"{h} {w}", comments="")


def torch_models():
    model, x = randomize(Mixed()), torch.from_numpy(image(14, 10).transpose(0, 3, 1, 2).copy())
    path = os.path.join(FOLDER, "torch_mixed.onnx")
    torch.onnx.export(model, (x,), path, dynamo=False, do_constant_folding=False, input_names=["image"],
                      training=torch.onnx.TrainingMode.PRESERVE)  # fmt: skip
    record("torch_mixed", 14, 10, False)
    torch.onnx.export(model, (x,), os.path.join(FOLDER, "torch_program.onnx"), dynamo=True, external_data=False)
    record("torch_program", 14, 10, False)
    torch.onnx.export(randomize(More()), (x,), os.path.join(FOLDER, "torch_more.onnx"), dynamo=False, opset_version=17,
                      input_names=["image"])  # fmt: skip
    record("torch_more", 14, 10, False)


def hand_made():
    """Channels last with transposes, as tf2onnx writes it; halves, typed data and data in a file beside the model."""
    rng = np.random.default_rng(9)

    def tensor(name, *shape, dtype=np.float32):
        return numpy_helper.from_array(rng.standard_normal(shape).astype(dtype) * 0.3, name)

    node = helper.make_node
    half = tensor("half", 6, dtype=np.float16)
    typed = helper.make_tensor("typed", TensorProto.FLOAT, [6], rng.standard_normal(6).tolist())
    typed_half = helper.make_tensor("typed_half", TensorProto.FLOAT16, [4], rng.standard_normal(4).astype(np.float16))
    beside = tensor("beside", 54, 4)
    tensors = [
        tensor("kernel", 6, 3, 3, 3), typed, half, beside, typed_half,
        numpy_helper.from_array(np.float32([2, 3, 4]), "deviation"),
        numpy_helper.from_array(np.float32([0.1, 0.2, 0.3]).reshape(1, 1, 3), "mean"),
        numpy_helper.from_array(np.int64([-1, 54]), "row"),
    ]  # fmt: skip
    nodes = [
        node("Sub", ["image", "mean"], ["centred"], "model/preprocess/sub"),
        node("Div", ["centred", "deviation"], ["scaled"], "model/preprocess/div"),
        node("Transpose", ["scaled"], ["first"], perm=[0, 3, 1, 2]),
        node("Conv", ["first", "kernel", "typed"], ["conv"], "model/conv1/Conv2D", auto_pad="SAME_UPPER", strides=[2, 2]),
        node("Clip", ["conv"], ["clipped"], "model/relu6/Relu6", min=0.0, max=6.0),
        node("Transpose", ["clipped"], ["last"], perm=[0, 2, 3, 1]),
        node("Cast", ["half"], ["factor"], to=TensorProto.FLOAT),
        node("Mul", ["last", "factor"], ["product"], "model/product"),
        node("Reshape", ["product", "row"], ["flat"]),
        node("MatMul", ["flat", "beside"], ["matmul"], "model/dense/MatMul"),
        node("Cast", ["typed_half"], ["bias"], to=TensorProto.FLOAT),
        node("Add", ["matmul", "bias"], ["sum"], "model/dense/BiasAdd"),
        node("Identity", ["sum"], ["output"]),
    ]
    shape = [None, 6, 6, 3]
    graph = helper.make_graph(
        nodes, "hand_made", [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [None, 4])], tensors,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 10)], ir_version=5)
    path = os.path.join(FOLDER, "hand_made.onnx")
    onnx.external_data_helper.set_external_data(beside, "hand_made.bin")
    for one in model.graph.initializer:
        if one.name == "beside":
            one.CopyFrom(beside)
    if os.path.exists(os.path.join(FOLDER, "hand_made.bin")):
        os.remove(os.path.join(FOLDER, "hand_made.bin"))
    onnx.save(model, path)
    record("hand_made", 6, 6, True)


def bad(name, nodes, tensors, inputs=1, image=(1, 3, 4, 4), output="output"):
    value = helper.make_tensor_value_info
    images = [value(f"image{i or ''}", TensorProto.FLOAT, image) for i in range(inputs)]
    graph = helper.make_graph(nodes, name, images, [value(output, TensorProto.FLOAT, None)], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)
    with open(os.path.join(FOLDER, f"bad_{name}.onnx"), "wb") as file:
        file.write(model.SerializeToString())


def bad_models():
    node, kernel = helper.make_node, numpy_helper.from_array(np.ones((2, 3, 1, 1), np.float32), "kernel")
    conv = node("Conv", ["image", "kernel"], ["conv"], "conv")
    bad("operator", [conv, node("Celu", ["conv"], ["output"], "celu")], [kernel])
    bad("cycle", [node("Add", ["b", "image"], ["output"], "a"), node("Relu", ["output"], ["b"], "b")], [])
    bad("inputs", [conv, node("Add", ["conv", "image1"], ["output"])], [kernel], inputs=2)
    bad("dilation", [node("Conv", ["image", "kernel"], ["output"], "conv", dilations=[2, 2])], [kernel])
    bad("rank", [node("Relu", ["image"], ["output"])], [], image=(1, 3))
    bad("channels", [node("Conv", ["image", "kernel"], ["output"], "conv")], [kernel], image=(1, 4, 4, 4))
    broken = numpy_helper.from_array(np.float32([1, np.nan, 1, 1, 1, 1]).reshape(2, 3, 1, 1), "kernel")
    bad("nan", [node("Conv", ["image", "kernel"], ["output"], "conv")], [broken])
    for name, dims in (("size", [2, 3, 1, 2]), ("absurd", [2**40, 2**40, 1, 1]), ("negative", [-2, -3, 1, 1])):
        changed = onnx.TensorProto()
        changed.CopyFrom(kernel)
        changed.ClearField("dims")
        changed.dims.extend(dims)
        bad(name, [node("Conv", ["image", "kernel"], ["output"], "conv")], [changed])
    for name, location in (("outside", "../make_onnx.py"), ("path", "/etc/hostname"), ("missing", "missing.bin"),
                           ("short", "hand_made.bin")):  # fmt: skip
        beside = onnx.TensorProto()
        beside.CopyFrom(kernel)
        onnx.external_data_helper.set_external_data(beside, location, offset=848)
        beside.ClearField("raw_data")
        bad(name, [node("Conv", ["image", "kernel"], ["output"], "conv")], [beside])


if __name__ == "__main__":
    torch_models()
    hand_made()
    bad_models()
