#!/usr/bin/env python3
"""make_nifti.py FOLDER: NIfTI files of every kind that is read, and slices.txt beside this script: what nibabel makes of them.

Each line: file, axis (0 axial, 1 coronal, 2 sagittal), frame, height, width, row, column, value. The value is the scaled one of
nibabel's get_fdata after as_closest_canonical. Needs nibabel and numpy; the files are made again by the same seed."""
import gzip
import pathlib
import sys

import nibabel as nib
import numpy as np

folder = pathlib.Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
rng = np.random.default_rng(5)


def rotated(axes, signs, zooms=(2.0, 3.0, 1.5), tilt=0.0):
    """An affine whose voxel axis k runs along world axis axes[k]."""
    affine = np.eye(4)
    affine[:3, :3] = 0
    for k in range(3):
        affine[axes[k], k] = signs[k] * zooms[k]
    c, s = np.cos(tilt), np.sin(tilt)
    affine[:3, :3] = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ affine[:3, :3]
    affine[:3, 3] = [-10, 20, 5]
    return affine


def save(name, data, affine, kind=nib.Nifti1Image, slope=None, inter=0.0, qform=True, sform=True, order=None):
    image = kind(data, affine, dtype=data.dtype)
    if order:
        image = kind(data, affine, image.header.as_byteswapped(order))
    image.header.set_slope_inter(slope, inter if slope else None)
    image.set_qform(affine if qform else None, 1 if qform else 0)
    image.set_sform(affine if sform else None, 1 if sform else 0)
    raw = np.asarray(data)
    # The stored numbers are the data as they are; scaling is only told in the header.
    header = image.header.copy()
    header.set_data_offset(352 if kind is nib.Nifti1Image else 544)
    path = folder / name
    opener = gzip.open if name.endswith(".gz") else open
    with opener(path, "wb") as out:
        header.write_to(out)
        out.write(b"\0" * (header.get_data_offset() - out.tell()))
        out.write(raw.astype(raw.dtype.newbyteorder(header.endianness)).tobytes(order="F"))
    return path


def numbers(dtype, shape):
    if np.dtype(dtype).kind == "f":
        return (rng.normal(size=shape) * 100).astype(dtype)
    info = np.iinfo(dtype)
    return rng.integers(max(info.min, -2**40), min(info.max, 2**40), size=shape, dtype=np.int64).astype(dtype)


shape = (6, 5, 4)
names = []


def add(name, *args, **kwargs):
    names.append(save(name, *args, **kwargs))


for i, dtype in enumerate(["uint8", "int8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64"]):
    add(f"{dtype}.nii", numbers(dtype, shape), rotated((0, 1, 2), (1, 1, 1)))
for i, axes in enumerate([(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]):
    signs = [(-1 if i >> b & 1 else 1) for b in range(3)]
    add(f"turned{i}.nii.gz", numbers("int16", shape), rotated(axes, signs, tilt=0.3))
    add(f"quaternion{i}.nii", numbers("int16", shape), rotated(axes, [1, 1, -1] if i % 2 else [-1, 1, 1], tilt=0.2), sform=False)
add("grid.nii", numbers("int16", shape), rotated((0, 1, 2), (1, 1, 1)), sform=False, qform=False)
add("scaled.nii.gz", numbers("int16", shape), rotated((0, 1, 2), (-1, -1, 1)), slope=0.25, inter=-1024.0)
add("big_endian.nii", numbers("int16", shape), rotated((0, 1, 2), (-1, 1, 1)), order=">")
add("second.nii.gz", numbers("uint16", shape), rotated((2, 0, 1), (-1, 1, -1)), kind=nib.Nifti2Image, slope=2.0, inter=3.0)
add("second_big.nii", numbers("float32", shape), rotated((1, 2, 0), (1, -1, 1)), kind=nib.Nifti2Image, order=">")
add("series.nii.gz", numbers("int16", shape + (3,)), rotated((0, 1, 2), (1, -1, 1)))
add("flat.nii", numbers("uint8", (6, 5)), rotated((0, 1, 2), (1, 1, 1)))


def slice_of(d, axis, s):
    """The canonical array d [right][anterior][superior] as it is shown."""
    if axis == 0:
        return d[::-1, ::-1, s].T
    if axis == 1:
        return d[::-1, d.shape[1] - 1 - s, ::-1].T
    return d[d.shape[0] - 1 - s, ::-1, ::-1].T


with open(pathlib.Path(__file__).parent / "slices.txt", "w") as out:
    for path in names:
        canonical = nib.as_closest_canonical(nib.load(path)).get_fdata()
        if canonical.ndim == 2:
            canonical = canonical[:, :, None]
        volumes = canonical if canonical.ndim == 4 else canonical[..., None]
        for axis in range(3):
            count = volumes.shape[[2, 1, 0][axis]]
            for _ in range(6):
                v, s = rng.integers(volumes.shape[3]), rng.integers(count)
                picture = slice_of(volumes[..., v], axis, s)
                y, x = rng.integers(picture.shape[0]), rng.integers(picture.shape[1])
                print(path.name, axis, v * count + s, *picture.shape, y, x, repr(float(picture[y, x])), file=out)
