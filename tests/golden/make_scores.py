"""scores.h5: what scikit-learn and SciPy say about predictions with ties, missing classes, unknown labels and weights.

No Keras is needed: python make_scores.py
"""

import os

import h5py
import numpy as np
import scipy
import sklearn
from scipy import stats
from sklearn import calibration, metrics

rng = np.random.default_rng(20261)
path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "scores.h5")
file = h5py.File(path, "w", track_order=False)
file.attrs["scikit_learn"], file.attrs["scipy"], file.attrs["numpy"] = sklearn.__version__, scipy.__version__, np.__version__


def group(name, **arrays):
    g = file.create_group(name)
    for key, value in arrays.items():
        g.create_dataset(key, data=value)
    return g


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return (e / e.sum(axis=1, keepdims=True)).astype(np.float32)


def tied(y, steps):  # many equal scores
    return (np.round(y * steps) / steps).astype(np.float32)


# --- one question, many ties, whole-number weights as a bootstrap replicate has them
n = 300
truth = (rng.random(n) < 0.3).astype(np.uint8)
score = tied(1 / (1 + np.exp(-(rng.normal(size=n) + 1.2 * truth - 0.5))), 20)
weight = rng.poisson(1, n).astype(np.float64)
fpr, tpr, threshold = metrics.roc_curve(truth, score, drop_intermediate=False)
precision, recall, pr_threshold = metrics.precision_recall_curve(truth, score)
best = int(np.argmax(tpr - fpr))
g = group("binary", score=score, truth=truth, weight=weight, fpr=fpr, tpr=tpr, threshold=threshold[1:],
          precision=precision[:-1][::-1], recall=recall[:-1][::-1])
g.attrs["auroc"] = metrics.roc_auc_score(truth, score)
g.attrs["auprc"] = metrics.average_precision_score(truth, score)
g.attrs["auroc_weighted"] = metrics.roc_auc_score(truth, score, sample_weight=weight)
g.attrs["auprc_weighted"] = metrics.average_precision_score(truth, score, sample_weight=weight)
g.attrs["youden_threshold"] = threshold[best]
f1 = 2 * precision[:-1] * recall[:-1] / np.maximum(precision[:-1] + recall[:-1], 1e-300)
g.attrs["f1_threshold"] = pr_threshold[len(f1) - 1 - int(np.argmax(f1[::-1]))]
g.attrs["sensitivity_90_threshold"] = threshold[int(np.argmax(tpr >= 0.9))]
g.attrs["specificity_80_threshold"] = threshold[len(fpr) - 1 - int(np.argmax((1 - fpr[::-1]) >= 0.8))]
called = score >= threshold[best]
g.attrs["sensitivity"] = metrics.recall_score(truth, called)
g.attrs["specificity"] = metrics.recall_score(truth, called, pos_label=0)
g.attrs["ppv"] = metrics.precision_score(truth, called)
g.attrs["f1"] = metrics.f1_score(truth, called)

# --- several classes
n, k = 400, 5
label = rng.choice(k, n, p=[0.4, 0.25, 0.2, 0.1, 0.05])
logits = rng.normal(size=(n, k)) * 1.5
logits[np.arange(n), label] += 1.5
logits[:, 0] += 0.3 * (label == 1)
y = softmax(2.0 * logits)  # too sure: a temperature above 1 helps
patients = np.sort(rng.integers(0, 120, n)).astype(np.int32)
_, patients = np.unique(patients, return_inverse=True)
weight = rng.poisson(1, n).astype(np.float64)
predicted = y.argmax(axis=1)
one_hot = np.eye(k)[label]
g = group("classes", y=y, label=label.astype(np.float32), group=patients.astype(np.int32), weight=weight,
          auroc=[metrics.roc_auc_score(one_hot[:, c], y[:, c]) for c in range(k)],
          auprc=[metrics.average_precision_score(one_hot[:, c], y[:, c]) for c in range(k)])
normal = y.astype(np.float64) / y.astype(np.float64).sum(axis=1, keepdims=True)
for name, w in (("", None), ("_weighted", weight)):
    a = g.attrs
    a["macro_auroc" + name] = np.mean([metrics.roc_auc_score(one_hot[:, c], y[:, c], sample_weight=w) for c in range(k)])
    a["macro_auprc" + name] = np.mean([metrics.average_precision_score(one_hot[:, c], y[:, c], sample_weight=w) for c in range(k)])
    repeated = None if w is None else np.repeat(w, k)
    a["micro_auroc" + name] = metrics.roc_auc_score(one_hot.ravel(), y.ravel(), sample_weight=repeated)
    a["micro_auprc" + name] = metrics.average_precision_score(one_hot.ravel(), y.ravel(), sample_weight=repeated)
    a["accuracy" + name] = metrics.accuracy_score(label, predicted, sample_weight=w)
    a["balanced_accuracy" + name] = metrics.balanced_accuracy_score(label, predicted, sample_weight=w)
    a["macro_f1" + name] = metrics.f1_score(label, predicted, average="macro", sample_weight=w)
    a["kappa" + name] = metrics.cohen_kappa_score(label, predicted, sample_weight=w)
    a["quadratic_kappa" + name] = metrics.cohen_kappa_score(label, predicted, weights="quadratic", sample_weight=w)
    a["mcc" + name] = metrics.matthews_corrcoef(label, predicted, sample_weight=w)
g.attrs["log_loss"] = metrics.log_loss(label, normal)
g.attrs["brier"] = metrics.brier_score_loss(one_hot, normal, scale_by_half=False)


def ece(confidence, right, bins=15):
    edges = np.linspace(0, 1, bins + 1)
    index = np.clip(np.digitize(confidence, edges, right=True) - 1, 0, bins - 1)
    gap = 0
    for b in range(bins):
        inside = index == b
        if inside.any():
            gap += inside.mean() * abs(confidence[inside].mean() - right[inside].mean())
    return gap


g.attrs["ece"] = ece(y.max(axis=1).astype(np.float64), (predicted == label).astype(float))
scaling = calibration._TemperatureScaling().fit(np.log(np.maximum(y.astype(np.float64), 1e-15)), label)
temperature = 1 / scaling.beta_
g.attrs["temperature"] = temperature
scaled = np.exp(np.log(np.maximum(y.astype(np.float64), 1e-15)) / temperature)
scaled /= scaled.sum(axis=1, keepdims=True)
g.attrs["log_loss_scaled"] = metrics.log_loss(label, scaled)
g.attrs["ece_scaled"] = ece(scaled.max(axis=1), (scaled.argmax(axis=1) == label).astype(float))
# Intervals by patient, from many replicates.
members = [np.flatnonzero(patients == p) for p in range(patients.max() + 1)]
replicates = []
while len(replicates) < 4000:
    rows = np.concatenate([members[p] for p in rng.integers(0, len(members), len(members))])
    if len(np.unique(label[rows])) == k:
        replicates.append([metrics.roc_auc_score(one_hot[rows, 4], y[rows, 4]), metrics.accuracy_score(label[rows], predicted[rows]),
                           metrics.cohen_kappa_score(label[rows], predicted[rows], weights="quadratic")])
g.create_dataset("intervals", data=np.percentile(replicates, [2.5, 97.5], axis=0).T)

# --- several labels, some unknown, one without a positive
n, k = 250, 4
y = tied(1 / (1 + np.exp(-2 * rng.normal(size=(n, k)))), 50)
label = (rng.random((n, k)) < y * 0.7 + 0.1).astype(np.float32)
label[:, 2] = 0
label[rng.random((n, k)) < 0.2] = 255
known = label != 255
g = group("labels", y=y, label=label, unknown=(~known).sum(axis=0).astype(np.int64),
          auroc=[metrics.roc_auc_score(label[known[:, c], c], y[known[:, c], c]) if c != 2 else np.nan for c in range(k)],
          auprc=[metrics.average_precision_score(label[known[:, c], c], y[known[:, c], c]) if c != 2 else np.nan for c in range(k)])
g.attrs["macro_auroc"] = np.nanmean(g["auroc"][()])
g.attrs["macro_auprc"] = np.nanmean(g["auprc"][()])
g.attrs["micro_auroc"] = metrics.roc_auc_score(label[known], y[known])
g.attrs["micro_auprc"] = metrics.average_precision_score(label[known], y[known])
g.attrs["brier"] = metrics.brier_score_loss(label[known], y[known])
g.attrs["log_loss"] = metrics.log_loss(label[known], np.clip(y[known].astype(np.float64), 1e-15, 1 - 1e-15))
g.attrs["ece"] = ece(y[known].astype(np.float64), label[known].astype(float))

# --- two models: DeLong by its definition (all pairs), McNemar by SciPy's exact binomial test
n = 180
truth = (rng.random(n) < 0.4).astype(np.uint8)
a = tied(1 / (1 + np.exp(-(rng.normal(size=n) + 1.5 * truth))), 25)
b = (0.6 * a + 0.4 * rng.random(n)).astype(np.float32)


def structural(score):
    pos, neg = score[truth == 1].astype(np.float64), score[truth == 0].astype(np.float64)
    psi = (pos[:, None] > neg[None, :]) + 0.5 * (pos[:, None] == neg[None, :])
    return psi.mean(), psi.mean(axis=1), psi.mean(axis=0)


(auc_a, v10a, v01a), (auc_b, v10b, v01b) = structural(a), structural(b)
s10, s01 = np.cov(np.stack([v10a, v10b])), np.cov(np.stack([v01a, v01b]))
s = s10 / truth.sum() + s01 / (n - truth.sum())
z = (auc_a - auc_b) / np.sqrt(s[0, 0] + s[1, 1] - 2 * s[0, 1])
right_a, right_b = ((a >= 0.6) == truth).astype(np.uint8), ((b >= 0.6) == truth).astype(np.uint8)
only_a, only_b = int(((right_a == 1) & (right_b == 0)).sum()), int(((right_a == 0) & (right_b == 1)).sum())
g = group("compare", truth=truth, a=a, b=b, right_a=right_a, right_b=right_b)
g.attrs["auroc_a"], g.attrs["auroc_b"], g.attrs["z"], g.attrs["p"] = auc_a, auc_b, z, 2 * stats.norm.sf(abs(z))
g.attrs["variance_a"], g.attrs["covariance"] = s[0, 0], s[0, 1]
g.attrs["only_a"], g.attrs["only_b"] = only_a, only_b
g.attrs["mcnemar_p"] = stats.binomtest(min(only_a, only_b), only_a + only_b, 0.5).pvalue
g.attrs["binomial_3_17"] = stats.binomtest(3, 20, 0.5).pvalue

values = rng.normal(size=37)
g = group("quantile", values=values)
g.attrs["q025"], g.attrs["q500"], g.attrs["q975"] = np.percentile(values, [2.5, 50, 97.5])
file.close()
