"""PaDiM, PatchCore and the metrics of their maps with numpy, scipy, scikit-learn and torch, on features of Keras: writes anomaly.h5 beside
itself. The network is that of tests/explain/model.h5.

    python make_golden.py            # with the versions named in tests/golden/PROVENANCE.md
"""

import os
import sys

FOLDER = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(FOLDER, "..", "golden"))
import golden
import h5py
import keras
import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import gaussian_filter, label
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors

NORMAL, TEST, H, W = 20, 3, 12, 10
rng = golden.random(11)
model = keras.models.load_model(os.path.join(FOLDER, "..", "explain", "model.h5"), compile=False)
probe = keras.Model(model.input, [model.get_layer("first").output, model.get_layer("last").output])


def pictures(count):
    y, x = np.mgrid[0:H, 0:W]
    base = 100 + 50 * np.sin(x[..., None] / 2 + np.arange(3)) + 30 * np.cos(y[..., None] / 3)
    return np.clip(base + rng.normal(0, 12, (count, H, W, 3)), 0, 255).round().astype(np.uint8)


def features(images):
    return [f.numpy().astype(np.float64) for f in probe(images.astype(np.float32), training=False)]


def nearest(maps):
    return np.asarray(F.interpolate(torch.tensor(maps).permute(0, 3, 1, 2), size=(H, W), mode="nearest").permute(0, 2, 3, 1))


def bilinear(maps):
    scaled = F.interpolate(torch.tensor(maps).permute(0, 3, 1, 2), size=(H, W), mode="bilinear", align_corners=False)
    return np.asarray(scaled.permute(0, 2, 3, 1))


def padim(normal, test, shrinkage):
    x = np.concatenate([normal[0], nearest(normal[1])], -1)
    t = np.concatenate([test[0], nearest(test[1])], -1)
    maps = np.zeros((TEST, H, W))
    for i in range(H):
        for j in range(W):
            mean = x[:, i, j].mean(0)
            inverse = np.linalg.inv(np.cov(x[:, i, j], rowvar=False) + shrinkage * np.eye(x.shape[-1]))
            d = t[:, i, j] - mean
            maps[:, i, j] = np.sqrt(np.einsum("ni,ij,nj->n", d, inverse, d))
    smooth = np.stack([gaussian_filter(m, sigma=2, truncate=4, mode="reflect") for m in maps])
    return maps, smooth, smooth.reshape(TEST, -1).max(1)


def coarse_padim(normal, test, shrinkage):
    """One layer of 6 x 5 positions, whose map is enlarged."""
    maps = np.zeros((TEST, 6, 5))
    for i in range(6):
        for j in range(5):
            inverse = np.linalg.inv(np.cov(normal[1][:, i, j], rowvar=False) + shrinkage * np.eye(normal[1].shape[-1]))
            d = test[1][:, i, j] - normal[1][:, i, j].mean(0)
            maps[:, i, j] = np.sqrt(np.einsum("ni,ij,nj->n", d, inverse, d))
    return bilinear(maps[..., None])[..., 0]


def patches(f):
    pool = lambda m: np.asarray(F.avg_pool2d(torch.tensor(m).permute(0, 3, 1, 2), 3, 1, 1, count_include_pad=False).permute(0, 2, 3, 1))
    return np.concatenate([pool(f[0]), bilinear(pool(f[1]))], -1)


def patchcore(normal, test, neighbours):
    bank = patches(normal).reshape(-1, 16)
    index = NearestNeighbors(algorithm="brute").fit(bank)
    maps, scores = [], []
    for t in patches(test):
        distance, nearest_row = (a[:, 0] for a in index.kneighbors(t.reshape(-1, 16), 1))
        worst = distance.argmax()
        around = index.kneighbors(bank[nearest_row[worst]][None], neighbours, return_distance=False)[0]
        d = np.linalg.norm(t.reshape(-1, 16)[worst] - bank[around], axis=1)
        e = np.exp(d - distance[worst])
        maps.append(distance.reshape(H, W))
        scores.append((1 - 1 / e.sum()) * distance[worst])
    return np.stack(maps), np.array(scores)


def aupro(maps, masks, limit):
    """As mvtec_ad_evaluation's pro_curve_util.py and generic_util.py compute it."""
    false = (masks == 0).astype(np.float64)
    pro = np.zeros(masks.shape)
    regions = 0
    for k, mask in enumerate(masks):
        labels, count = label(mask, structure=np.ones((3, 3)))
        regions += count
        for r in range(1, count + 1):
            pro[k][labels == r] = 1 / (labels == r).sum()
    order = np.argsort(maps.ravel(), kind="stable")[::-1]
    score, fpr, overlap = maps.ravel()[order], np.cumsum(false.ravel()[order]) / false.sum(), np.cumsum(pro.ravel()[order]) / regions
    keep = np.append(np.diff(score) != 0, True)
    x, y = np.concatenate([[0], fpr[keep]]), np.concatenate([[0], overlap[keep]])
    inside = x <= limit
    x, y = np.append(x[inside], limit), np.append(y[inside], np.interp(limit, x, y))
    return np.trapezoid(y, x) / limit


normal_images, test_images = pictures(NORMAL), pictures(TEST)
test_images[1, 3:6, 2:7] = 255
test_images[2, 8:10, 1:3] = [255, 0, 0]
normal, test = features(normal_images), features(test_images)
with h5py.File(os.path.join(FOLDER, "anomaly.h5"), "w", libver=("earliest", "v108")) as file:
    golden.put(file, "normal", normal_images)
    golden.put(file, "test", test_images)
    for name, value in zip(("padim_map", "padim_smooth", "padim_score"), padim(normal, test, 0.01)):
        golden.put(file, name, value)
    golden.put(file, "coarse_map", coarse_padim(normal, test, 0.5))
    for name, value in zip(("patchcore_map", "patchcore_score"), patchcore(normal, test, 5)):
        golden.put(file, name, value)
    maps = np.round(rng.gamma(2, 1, (4, 24, 30)) * 8) / 8  # many equal scores
    masks = np.zeros((4, 24, 30), np.uint8)
    masks[0, 2:5, 3:9] = masks[0, 5, 9] = masks[0, 15:20, 20:22] = masks[2, 0, :] = masks[2, 10, 10] = 1
    maps += masks * np.round(rng.gamma(2, 1, maps.shape) * 4) / 4
    golden.put(file, "maps", maps)
    golden.put(file, "masks", masks)
    golden.put(file, "auroc", np.array([roc_auc_score(masks.ravel(), maps.ravel())]))
    golden.put(file, "aupro", np.array([aupro(maps, masks, 0.3), aupro(maps, masks, 1.0)]))
    for name in file:
        print(name, file[name].shape, np.asarray(file[name], np.float64).ravel()[:3])
