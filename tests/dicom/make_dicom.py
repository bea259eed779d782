"""pydicom.txt: what pydicom and NumPy read from the test files that Debian's python3-pydicom ships.

    /usr/bin/python3 make_dicom.py     (python3-pydicom, python3-numpy, python3-pil)

One line per file: name, frames, height, width, channels, stored bits, signed, MONOCHROME1, slope, intercept, SHA-256 over
the stored values as little-endian int32 ("-" where the compression loses and decoders differ), mean of the values. Then
lines "window NAME CENTRE WIDTH INDEX VALUE": apply_windowing on the modality's values, as a share of its range.
"""

import glob
import hashlib
import os
import warnings

import numpy as np
import pydicom
from pydicom.pixel_data_handlers import util

warnings.simplefilter("ignore")
folder = os.path.join(os.path.dirname(pydicom.__file__), "data", "test_files")
lossy = ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.91")
out = [f"# pydicom {pydicom.__version__}, NumPy {np.__version__}"]
same = {"MR_small_jpeg_ls_lossless.dcm": "MR_small.dcm"}  # lossless, and no decoder for it here
skip = {"SC_rgb_jpeg.dcm"}  # ends without the delimiter of its sequence: DCMTK, and so thaw, refuses it
for path in sorted(glob.glob(os.path.join(folder, "*.dcm"))):
    name = os.path.basename(path)
    if name in skip:
        continue
    try:
        ds = pydicom.dcmread(path)
        if "PixelData" not in ds or ds.BitsAllocated not in (8, 16) or not hasattr(ds.file_meta, "TransferSyntaxUID"):
            continue
        source = pydicom.dcmread(os.path.join(folder, same[name])) if name in same else ds
        values = source.pixel_array
        if ds.PhotometricInterpretation.startswith("YBR") and ds.file_meta.TransferSyntaxUID not in lossy:
            values = util.convert_color_space(values, source.PhotometricInterpretation, "RGB")
    except Exception:
        continue
    values = values.astype("<i4")
    frames = int(getattr(ds, "NumberOfFrames", 1))
    colour = ds.SamplesPerPixel == 3
    exact = ds.file_meta.TransferSyntaxUID not in lossy and not ds.PhotometricInterpretation.startswith("YBR")
    digest = hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest() if exact else "-"
    out.append(f"{name} {frames} {ds.Rows} {ds.Columns} {3 if colour else 1} {ds.BitsStored} {ds.PixelRepresentation} "
               f"{int(ds.PhotometricInterpretation == 'MONOCHROME1')} {float(getattr(ds, 'RescaleSlope', 1)):.9g} "
               f"{float(getattr(ds, 'RescaleIntercept', 0)):.9g} {digest} {values.mean():.9g}")
ct = pydicom.dcmread(os.path.join(folder, "CT_small.dcm"))
units = util.apply_modality_lut(ct.pixel_array, ct)
for centre, width in ((40, 400), (-600, 1500), (32, 8), (100, 1)):
    ct.WindowCenter, ct.WindowWidth = centre, width
    shown = util.apply_windowing(units, ct).ravel()
    low = -(1 << (ct.BitsStored - 1)) * float(ct.RescaleSlope) + float(ct.RescaleIntercept)
    span = ((1 << ct.BitsStored) - 1) * float(ct.RescaleSlope)
    for index in range(0, shown.size, 997):
        out.append(f"window CT_small.dcm {centre} {width} {index} {(shown[index] - low) / span:.9g}")
open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "pydicom.txt"), "w").write("\n".join(out) + "\n")
