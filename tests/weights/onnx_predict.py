"""An exported run in onnxruntime gives thaw's own predictions for its data, from the stored images on.

    python onnx_predict.py MODEL.onnx PREDICTIONS.h5 SHARD.h5 [SHARD.h5 ...]
"""

import json
import sys

import h5py
import numpy as np
import onnxruntime

LIMIT = 1e-5  # largest difference of a probability


def main(model_path, predictions_path, *shards):
    session = onnxruntime.InferenceSession(model_path)
    facts = session.get_modelmeta().custom_metadata_map
    with h5py.File(predictions_path) as file:
        expected, classes = file["predictions"][...], [c.decode() if isinstance(c, bytes) else c for c in file.attrs["classes"]]
    images = np.concatenate([h5py.File(shard)["images"][...] for shard in sorted(shards)]).astype(np.float32)
    if facts["preprocessing"] == "caffe":  # keras.applications.imagenet_utils
        images = images[..., ::-1] - np.float32([103.939, 116.779, 123.68])
    found = session.run(None, {session.get_inputs()[0].name: np.ascontiguousarray(images)})[0]
    worst = float(np.abs(found - expected).max())
    print(f"{model_path}: {len(images)} images, {facts['preprocessing']} preprocessing, largest difference {worst:.2e}")
    good = worst <= LIMIT and json.loads(facts["class_names"]) == classes and expected.std(axis=0).max() > 1e-3
    print("1 passed, 0 failed" if good else "0 passed, 1 failed")
    return not good


sys.exit(main(*sys.argv[1:]))
