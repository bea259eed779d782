"""make_clinic.py FOLDER: DICOM files with every trouble a clinic's archive has, made with Debian's python3-pydicom from its own test
files. Every file names the person Zebediah^Quuxley, PatientID PHI-<n>-4711."""
import copy
import os
import sys
import warnings

import pydicom
from pydicom.encaps import encapsulate
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

warnings.simplefilter("ignore")
source = os.path.join(os.path.dirname(pydicom.__file__), "data", "test_files")
base = pydicom.dcmread(os.path.join(source, "CT_small.dcm"))
top = sys.argv[1]


def make(path, patient, values, rows=4, columns=4, photometric="MONOCHROME2", **tags):
    ds = copy.deepcopy(base)
    ds.PatientName, ds.PatientID = "Zebediah^Quuxley", f"PHI-{patient}-4711"
    ds.OtherPatientIDs = "PHI-other-4711"
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[path])
    ds.Rows, ds.Columns, ds.PixelRepresentation, ds.PhotometricInterpretation = rows, columns, 0, photometric
    ds.BitsAllocated = ds.BitsStored = 16
    ds.HighBit, ds.RescaleSlope, ds.RescaleIntercept = 15, 1, 0
    ds.PixelData = b"".join(v.to_bytes(2, "little") for v in values)
    if "DataSetTrailingPadding" in ds:
        del ds.DataSetTrailingPadding
    for tag, value in tags.items():
        if value is None:
            delattr(ds, tag)
        else:
            setattr(ds, tag, value)
    path = os.path.join(top, path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    return ds, path


def save(path, *args, **tags):
    ds, path = make(path, *args, **tags)
    ds.save_as(path, write_like_original=False)


ramp = [1000 * i for i in range(16)]
save("mono/Quuxley-1.dcm", 1, ramp)
save("mono/Quuxley-2.dcm", 1, ramp, photometric="MONOCHROME1")

# One series of five slices; file names, InstanceNumber and position have three different orders; position decides.
order = [3, 0, 4, 1, 2]
for name, at in enumerate(order):
    save(f"series/Quuxley-{name}.dcm", 2, [(at + 1) * 100] * 16, SeriesInstanceUID="1.2.3.4", InstanceNumber=name * 7 % 5,
         ImageOrientationPatient=[1, 0, 0, 0, 0, -1], ImagePositionPatient=[5, at * 2.5, 9])
# Without positions the number decides; a third series has neither; a single slice is its own neighbour.
for name, at in enumerate(order):
    save(f"numbers/Quuxley-{name}.dcm", 2, [(at + 1) * 100] * 16, SeriesInstanceUID="1.2.3.5", InstanceNumber=at,
         ImagePositionPatient=None)
for name in range(3):
    save(f"names/Quuxley-{name}.dcm", 2, [(name + 1) * 100] * 16, SeriesInstanceUID="1.2.3.6", InstanceNumber=None,
         ImagePositionPatient=None)
save("single/Quuxley.dcm", 3, [700] * 16, SeriesInstanceUID="1.2.3.7")
# A neighbour that is broken, and one of another size.
for name in range(4):
    save(f"torn/Quuxley-{name}.dcm", 4, [100] * 16 if name != 1 else [100] * 3, SeriesInstanceUID="1.2.3.8",
         ImageOrientationPatient=[1, 0, 0, 0, 1, 0], ImagePositionPatient=[0, 0, name])

# Broken files: each has one reason.
save("broken/a/ok-1.dcm", 5, ramp)
save("broken/b/ok-2.dcm", 6, ramp[::-1])
for tag in ["Rows", "Columns", "BitsAllocated", "PhotometricInterpretation", "PixelData"]:
    save(f"broken/a/Quuxley-no-{tag}.dcm", 7, ramp, **{tag: None})
save("broken/a/Quuxley-palette.dcm", 7, ramp, photometric="PALETTE COLOR")
save("broken/a/Quuxley-slope.dcm", 7, ramp, RescaleSlope=0)
for uid in ["1.2.840.10008.1.2.4.100", "1.2.840.10008.1.2.4.92", "1.2.840.10008.1.2.4.102"]:
    ds, path = make(f"broken/b/Quuxley-{uid}.dcm", 8, ramp)
    ds.PixelData = encapsulate([b"\x00\x01\x02\x03" * 4])
    ds["PixelData"].is_undefined_length = True
    ds.file_meta.TransferSyntaxUID = UID(uid)
    ds.save_as(path, write_like_original=False)
ds, path = make("broken/b/Quuxley-cut.dcm", 8, ramp)
ds.save_as(path, write_like_original=False)
with open(path, "r+b") as out:
    out.truncate(os.path.getsize(path) - 9)
with open(os.path.join(top, "broken/b/Quuxley-junk.dcm"), "wb") as out:
    out.write(b"\0" * 128 + b"DICM" + b"Zebediah^Quuxley" * 9)
ds, path = make("orphan/Quuxley.dcm", 9, ramp)
del ds.PatientID, ds.StudyInstanceUID
ds.save_as(path, write_like_original=False)
