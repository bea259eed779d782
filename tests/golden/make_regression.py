"""regression.h5: what scikit-learn says about errors of several targets, with and without weights, one of them constant.

No Keras is needed: python make_regression.py
"""

import os

import h5py
import numpy as np
import sklearn
from sklearn import metrics

rng = np.random.default_rng(20262)
path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "regression.h5")
file = h5py.File(path, "w", track_order=False)
file.attrs["scikit_learn"], file.attrs["numpy"] = sklearn.__version__, np.__version__
n = 200
target = (rng.normal(size=(n, 4)) * [1, 1e6, 1e-4, 1] + [50, 3e7, 0, 0]).astype(np.float32)
target[:, 3] = 2.5
y = (target + rng.normal(size=(n, 4)) * [0.5, 4e5, 3e-4, 0.1]).astype(np.float32)
weight = rng.poisson(1, n).astype(np.float64)
for key, value in (("y", y), ("target", target), ("weight", weight)):
    file.create_dataset(key, data=value)
y, target = y.astype(np.float64), target.astype(np.float64)
scores = (metrics.mean_absolute_error, metrics.root_mean_squared_error, metrics.r2_score)
for key, w in (("plain", None), ("weighted", weight)):
    own = np.array([s(target, y, sample_weight=w, multioutput="raw_values") for s in scores]).T
    mean = np.array([s(target, y, sample_weight=w, multioutput="uniform_average") for s in scores])
    file.create_dataset(key, data=np.vstack([own, mean]))
file.close()
