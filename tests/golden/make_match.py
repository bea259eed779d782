"""match.h5 and tests/match/pairs.txt, pairs_one_fold.txt: verification and identification of random embeddings, by
scikit-learn (ROC, its area), SciPy (equal error rate) and NumPy (LFW's protocol, cumulative match, open set)."""

import os

import numpy as np
from scipy.interpolate import interp1d
from scipy.optimize import brentq
from sklearn.metrics import roc_auc_score, roc_curve

from golden import FOLDER, Golden, put, random

RATES = (1e-1, 1e-2, 1e-3, 1e-4)


def make_embeddings(rng):
    names, rows = [], []
    for person in range(60):
        centre = rng.normal(size=16)
        for image in range(1 if person >= 45 else 2 + person % 5):
            names.append((f"Person_{person:02d}", image + 1))
            rows.append(centre + rng.normal(size=16) * 0.9)
    order = rng.permutation(len(rows))
    return np.array(rows, dtype=np.float32)[order], [names[i] for i in order]


def score(e, a, b):
    x, y = e[a].astype(np.float64), e[b].astype(np.float64)
    return np.float32((x * y).sum() / np.sqrt((x * x).sum() * (y * y).sum()))


def draw_pairs(rng, images, folds, each):
    row = {name: i for i, name in enumerate(images)}
    several = sorted({n for n, k in images if k > 1})
    everybody, lines, pairs = sorted({n for n, _ in images}), [], []
    count = {n: max(k for m, k in images if m == n) for n in everybody}
    for fold in range(folds):
        for _ in range(each):
            n = several[rng.integers(len(several))]
            a, b = rng.permutation(count[n])[:2] + 1
            lines.append(f"{n}\t{a}\t{b}")
            pairs.append((row[n, a], row[n, b], fold, True))
        for _ in range(each):
            n, m = (everybody[i] for i in rng.permutation(len(everybody))[:2])
            a, b = rng.integers(count[n]) + 1, rng.integers(count[m]) + 1
            lines.append(f"{n}\t{a}\t{m}\t{b}")
            pairs.append((row[n, a], row[m, b], fold, False))
    return lines, pairs


def best_threshold(scores, same):
    candidates = np.unique(scores)[::-1].astype(np.float64)
    right = [int(((scores >= t) == same).sum()) for t in candidates]
    k = int(np.argmax(right))
    return (candidates[k] + candidates[k + 1]) / 2 if k + 1 < len(candidates) else candidates[k]


def verification(e, pairs):
    scores = np.array([score(e, a, b) for a, b, _, _ in pairs])
    same = np.array([s for _, _, _, s in pairs])
    fold = np.array([f for _, _, f, _ in pairs])
    fpr, tpr, _ = roc_curve(same, scores, drop_intermediate=False)
    negatives = int((~same).sum())
    out = {"auc": roc_auc_score(same, scores), "eer": brentq(lambda x: 1 - x - interp1d(fpr, tpr)(x), 0, 1, xtol=1e-14)}
    out["tar"] = [float(tpr[fpr <= r].max()) if negatives * r >= 1 else np.nan for r in RATES]
    accuracy, thresholds = [], []
    for f in np.unique(fold):
        others = fold != f if fold.max() else fold == f
        thresholds.append(best_threshold(scores[others], same[others]))
        accuracy.append(float(((scores[fold == f] >= thresholds[-1]) == same[fold == f]).mean()))
    out["fold_accuracy"], out["fold_threshold"] = accuracy, thresholds
    out["accuracy"] = np.mean(accuracy)
    out["accuracy_error"] = np.std(accuracy, ddof=1) / np.sqrt(len(accuracy)) if len(accuracy) > 1 else np.nan
    return out


def identification(e, images):
    persons = sorted({n for n, _ in images})
    count = {n: max(k for m, k in images if m == n) for n in persons}
    gallery = {n: i for i, (n, k) in enumerate(images) if k == 1 and count[n] > 1}
    ranks, strangers, best = [], [], []
    for i, (n, k) in enumerate(images):
        if gallery.get(n) == i:
            continue
        against = {m: score(e, g, i) for m, g in gallery.items()}
        if n in gallery:
            ranks.append(sum(s >= against[n] for m, s in against.items() if m != n))
            best.append(against[n])
        else:
            strangers.append(max(against.values()))
    ranks, best, strangers = np.array(ranks), np.array(best), np.array(strangers)
    found = []
    for rate in RATES:
        allowed = int(np.floor(len(strangers) * rate + 1e-9))
        if allowed < 1:
            found.append(np.nan)
            continue
        limit = np.sort(strangers)[::-1][allowed]  # named are those above it
        found.append(float(((ranks == 0) & (best > limit)).mean()))
    return {"cmc": [float((ranks <= r).mean()) for r in range(len(gallery))], "dir": found, "persons": len(gallery),
            "probes": len(ranks), "strangers": len(strangers)}


def main():
    golden, rng = Golden("match.h5"), random(81)
    e, images = make_embeddings(rng)
    group = golden.case("embeddings")
    put(group, "value", e)
    group.create_dataset("ids", data=[f"lfw/{n}/{n}_{k:04d}.jpg" for n, k in images])
    group.create_dataset("persons", data=[n for n, _ in images])
    for name, file, folds, each in (("ten", "pairs.txt", 10, 30), ("one", "pairs_one_fold.txt", 1, 110)):
        lines, pairs = draw_pairs(rng, images, folds, each)
        with open(os.path.join(FOLDER, "..", "match", file), "w") as out:
            out.write((f"{folds}\t{each}" if folds > 1 else f"{each}") + "\n" + "\n".join(lines) + "\n")
        group = golden.case(name)
        for key, value in verification(e, pairs).items():
            group.create_dataset(key, data=np.atleast_1d(np.asarray(value, dtype=np.float64)))
    group = golden.case("identification")
    for key, value in identification(e, images).items():
        group.create_dataset(key, data=np.atleast_1d(np.asarray(value, dtype=np.float64)))
    golden.close()


main()
