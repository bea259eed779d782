"""Opens models that thaw exported with the real Keras: same predictions, and the file that Keras writes loads in thaw.

    python keras_roundtrip.py EXPORT_MODELS FOLDER NAME [NAME ...]

EXPORT_MODELS is the test program, FOLDER the folder into which it has just exported its models.
"""

import os
import subprocess
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import h5py
import keras
import numpy as np

LIMIT = 1e-5  # largest difference of a probability


def other_formats(path, model, x, expected):
    """The same network as a .keras archive and as Keras 3 weights; both whole-model files come compiled."""
    archive = keras.models.load_model(path + ".keras")
    for compiled in (archive, keras.models.load_model(path + ".h5")):
        assert type(compiled.optimizer).__name__ == "Adam" and abs(float(compiled.optimizer.beta_1) - 0.8) < 1e-6
        assert abs(float(compiled.optimizer.learning_rate) - 0.002) < 1e-6 and compiled.loss is not None
    history = archive.fit(x, np.eye(expected.shape[1])[: len(x)], epochs=1, verbose=0)
    assert np.isfinite(history.history["loss"][0])
    archive = keras.models.load_model(path + ".keras")
    emptied = keras.models.clone_model(model)
    emptied.load_weights(path + ".weights.h5")
    return max(float(np.abs(m.predict(x, verbose=0) - expected).max()) for m in (archive, emptied))


def compare(folder, name):
    path = os.path.join(folder, name)
    model = keras.models.load_model(path + ".h5", compile=False)
    with h5py.File(path + "_io.h5") as file:
        x, expected, digest = file["x"][...], file["y"][...], file.attrs["digest"].decode()
    found = model.predict(x, verbose=0)
    worst = max(float(np.abs(found - expected).max()), other_formats(path, model, x, expected))
    spread = float(expected.std(axis=0).max())
    print(f"{name}: {len(model.layers)} layers, {model.count_params():,} parameters, largest difference {worst:.2e} "
          f"(outputs differ by {spread:.2e} between images)", flush=True)
    return model, worst <= LIMIT and spread > 0, digest


def strip_names(path):
    """As early Keras 3 wrote it: no attribute tells a layer's name."""
    with h5py.File(path, "a") as file:
        file.visititems(lambda _, item: item.attrs.pop("name", None))


def back(program, folder, name, model, suffix, digest, bare=False):
    """Keras writes the model in a layout of its own; thaw must find the same backbone in it."""
    path = os.path.join(folder, name + "_again" + suffix)
    if suffix == ".weights.h5":
        model.save_weights(path)
    else:
        model.save(path)
        if bare:
            strip_names(path)
    result = subprocess.run([program, "--check", path, name], capture_output=True, text=True)
    same = result.returncode == 0 and result.stdout.strip() == digest
    suffix += " without names" if bare else ""
    print(f"{name}{suffix} written by Keras {keras.__version__}: {'same digest' if same else 'DIFFERS'} {result.stderr}",
          flush=True)
    return same


def main(program, folder, *names):
    failed = 0
    for name in names:
        model, good, digest = compare(folder, name)
        good = back(program, folder, name, model, ".h5", digest) and good
        good = back(program, folder, name, model, ".weights.h5", digest) and good
        good = back(program, folder, name, model, ".weights.h5", digest, bare=True) and good
        with h5py.File(os.path.join(folder, name + ".h5")) as file:
            classes = [c.decode() for c in file.attrs["class_names"]]
        failed += not (good and classes == ["a", "b", "c", "d", "e"])
    print(f"{len(names) - failed} passed, {failed} failed")
    return failed != 0


sys.exit(main(*sys.argv[1:]))
