"""folds.h5: the folds of scikit-learn's StratifiedGroupKFold (without shuffling) for groups of very different sizes.

No Keras is needed: python make_folds.py
"""

import os
import warnings

import h5py
import numpy as np
import sklearn
from sklearn.model_selection import StratifiedGroupKFold

warnings.simplefilter("ignore")
rng = np.random.default_rng(20263)
path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "folds.h5")
file = h5py.File(path, "w", track_order=False)
file.attrs["scikit_learn"], file.attrs["numpy"] = sklearn.__version__, np.__version__
for name, samples, groups, classes, share in (("even", 240, 40, 2, None), ("rare", 300, 60, 4, [0.8, 0.15, 0.04, 0.01]),
                                              ("big", 200, 12, 3, None)):
    weight = rng.exponential(size=groups) + (10 * (np.arange(groups) == 0) if name == "big" else 0)
    group = rng.choice(groups, size=samples, p=weight / weight.sum())
    lean = rng.integers(0, classes, size=groups)
    label = np.where(rng.random(samples) < 0.6, lean[group], rng.choice(classes, size=samples, p=share)).astype(np.int32)
    label[:classes] = np.arange(classes)
    g = file.create_group(name)
    g.create_dataset("label", data=label)
    g.create_dataset("group", data=group.astype(np.int32))
    for folds in (2, 3, 5):
        fold = np.zeros(samples, np.int32)
        for i, (_, test) in enumerate(StratifiedGroupKFold(folds).split(np.zeros(samples), label,
                                                                        [f"p{x:03d}" for x in group])):
            fold[test] = i
        g.create_dataset(f"fold_{folds}", data=fold)
file.close()
