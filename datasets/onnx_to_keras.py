"""onnx_to_keras.py WHEEL OUTPUT.h5: VGG16's convolutions out of an ONNX file inside a wheel, in Keras' notop layout.

ONNX keeps a convolution as [out][in][height][width], Keras as [height][width][in][out]. The file format is protocol
buffers; the few fields needed are read here, so that no ONNX library is installed for them.
"""

import sys
import zipfile

import h5py
import numpy

CONVOLUTIONS = (2, 2, 3, 3, 3)  # per block
FILTERS = (64, 128, 256, 512, 512)
MODEL_GRAPH, GRAPH_INITIALIZER = 7, 5  # field numbers of onnx.proto
TENSOR_DIMS, TENSOR_TYPE, TENSOR_NAME, TENSOR_RAW = 1, 2, 8, 9
FLOAT = 1


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def fields(data):
    """Yields (field number, value) of one message; nested messages and strings as views."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = varint(data, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
            value, at = data[at : at + size], at + size
        elif kind == 2:
            size, at = varint(data, at)
            value, at = data[at : at + size], at + size
        else:
            raise SystemExit(f"unreadable ONNX file: wire type {kind}")
        yield key >> 3, value


def dimensions(values):
    """`dims` comes as one number per field, or packed."""
    for value in values:
        if isinstance(value, int):
            yield value
        else:
            at = 0
            while at < len(value):
                number, at = varint(value, at)
                yield number


def tensor(message):
    parts = {}
    for number, value in fields(message):
        parts.setdefault(number, []).append(value)
    name = bytes(parts[TENSOR_NAME][0]).decode()
    if parts.get(TENSOR_TYPE) != [FLOAT] or TENSOR_RAW not in parts:
        return name, None
    shape = tuple(dimensions(parts.get(TENSOR_DIMS, [])))
    return name, numpy.frombuffer(parts[TENSOR_RAW][0], "<f4").reshape(shape)


def read_initializers(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (member,) = [name for name in archive.namelist() if name.endswith(".onnx")]
        model = memoryview(archive.read(member))
    graphs = [value for number, value in fields(model) if number == MODEL_GRAPH]
    return dict(tensor(value) for number, value in fields(graphs[0]) if number == GRAPH_INITIALIZER)


def layers(found):
    """Yields (layer name, kernel or None, bias or None) in Keras' order; checks every shape."""
    yield "input_layer", None, None
    channels = 3
    for block, (count, filters) in enumerate(zip(CONVOLUTIONS, FILTERS), 1):
        for index in range(1, count + 1):
            name = f"block{block}_conv{index}"
            kernel = found[f"functional_1/{name}_1/convolution/ReadVariableOp:0"]
            bias = found[f"functional_1/{name}_1/Squeeze:0"]
            if kernel.shape != (filters, channels, 3, 3) or bias.shape != (filters,):
                raise SystemExit(f"{name}: found {kernel.shape} and {bias.shape}, expected VGG16's shapes")
            yield name, numpy.ascontiguousarray(kernel.transpose(2, 3, 1, 0)), bias
            channels = filters
        yield f"block{block}_pool", None, None


def write(path, table):
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [name.encode() for name, _, _ in table]
        file.attrs["backend"] = b"tensorflow"
        file.attrs["keras_version"] = b"2.9.0"
        for name, kernel, bias in table:
            group = file.create_group(name)
            names = [] if kernel is None else [f"{name}/kernel:0".encode(), f"{name}/bias:0".encode()]
            group.attrs["weight_names"] = names
            if names:
                group[f"{name}/kernel:0"] = kernel
                group[f"{name}/bias:0"] = bias


def main():
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    table = list(layers(read_initializers(sys.argv[1])))
    count = sum(kernel.size + bias.size for _, kernel, bias in table if kernel is not None)
    if count != 14714688:
        raise SystemExit(f"{count} parameters, expected 14714688")
    write(sys.argv[2], table)


main()
