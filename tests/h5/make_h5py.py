"""make_h5py.py FOLDER: writes h5py.h5, latest.h5 and weights.h5, which test_h5_files.c reads (made with h5py 3.14)."""

import sys

import h5py
import numpy

folder = sys.argv[1]


def fill(file):
    values = numpy.arange(-6, 6, dtype="f4").reshape(4, 3) / 4
    for kind in ("f2", "f4", "f8", ">f4", ">f8"):
        file[f"float/{kind}"] = values.astype(kind)
    for kind in ("i1", "i2", "i4", "i8", ">i2"):
        file[f"int/{kind}"] = numpy.array([-3, 0, 100], kind)
    for kind in ("u1", "u2", "u4", "u8"):
        file[f"int/{kind}"] = numpy.array([0, 100, 200], kind)
    file["int/too_large"] = numpy.array([1, 2**63], "u8")
    file["bool"] = numpy.array([True, False, True])
    file["scalar"] = numpy.float32(1.5)
    file["empty"] = numpy.zeros((0, 3), "f4")
    file["null"] = h5py.Empty("f4")
    file["complex"] = numpy.array([1 + 2j])
    file["compound"] = numpy.array([(1, 2.0)], "i4,f8")
    file["seven"] = numpy.zeros((1,) * 7, "f4")
    file["strings/variable"] = ["a", "", "\u00e9t\u00e9"]
    file["strings/bytes"] = numpy.array([b"a", b"", b"long one"])
    file["strings/ascii"] = numpy.array([b"a", b"b"], h5py.string_dtype("ascii"))
    file["strings/table"] = numpy.array([[b"a", b"b"]])
    file.create_dataset("chunked", data=values, chunks=(3, 2), compression="gzip", shuffle=True, fletcher32=True)
    file.create_dataset("huge", shape=(10**12,), dtype="f4", chunks=(1024,))
    file["link/soft"] = h5py.SoftLink("/float")
    file["link/dangling"] = h5py.SoftLink("/nothing")
    file["link/external"] = h5py.ExternalLink("h5py.h5", "/float")
    file["link/hard"] = file["float"]
    layout = h5py.VirtualLayout((4, 3), "f4")
    layout[:] = h5py.VirtualSource("h5py.h5", "float/f4", (4, 3))
    file.create_virtual_dataset("virtual", layout)
    file.create_dataset("outside", (4,), "u1", external=[("/etc/passwd", 0, 4)])
    names = [b"block1_conv1", b"dense", "dernier".encode()]
    file.attrs["layer_names"] = names
    file.attrs["variable_names"] = [n.decode() for n in names]
    file.attrs["weight_names"] = []
    file.attrs["backend"] = b"tensorflow"
    file.attrs["version"] = "3.15"
    file.attrs["fixed"] = numpy.bytes_("fixed")
    file.attrs["model_config"] = '{"a": "' + "x" * 100000 + '"}'
    file.attrs["int"], file.attrs["float"], file.attrs["bool"] = 7, 2.5, True
    file.attrs["one"] = numpy.array([9])
    file.attrs["two"] = numpy.array([9, 9])
    file.attrs["null"] = h5py.Empty("S1")
    for part in range(3):
        file.attrs[f"split{part}"] = names[part : part + 1]


with h5py.File(f"{folder}/h5py.h5", "w") as file:
    fill(file)
with h5py.File(f"{folder}/latest.h5", "w", libver=("v108", "v110")) as file:
    fill(file)
with h5py.File(f"{folder}/weights.h5", "w") as file:  # as the files of keras.applications are laid out
    layers = ["input_layer", "block1_conv1", "block1_pool", "dense"]
    file.attrs["layer_names"] = numpy.array([layer.encode() for layer in layers])
    file.attrs["backend"] = numpy.bytes_("tensorflow")
    for layer in layers:
        names = [f"{layer}/kernel:0", f"{layer}/bias:0"] if layer in ("block1_conv1", "dense") else []
        file.create_group(layer).attrs["weight_names"] = numpy.array([name.encode() for name in names])
        for name in names:
            file[f"{layer}/{name}"] = numpy.arange(32, dtype="f4")
