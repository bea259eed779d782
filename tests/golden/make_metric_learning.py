"""metric_layers.h5 and metric_losses.h5: embeddings and their losses. UnitNormalization is Keras' layer; cosines and
margins are PyTorch's, written as the authors of ArcFace write them (an angle by arccos, plus m, and its cosine; past
pi - m, cos - m sin m); the semi-hard triplet loss is TensorFlow Addons' tfa.losses.TripletSemiHardLoss, step by step
(tensorflow_addons/losses/triplet.py and metric_learning.py, version 0.23), in TensorFlow; batch-hard is PyTorch's."""

import math

import numpy as np
import torch
import torch.nn.functional as F

from golden import Golden, keras, put, random, tf
from make_layers import record

# ---------------------------------------------------------------------------- layers


def cosine_dense(golden, case, n, width, classes, rng):
    x = torch.tensor(rng.normal(size=(n, width)), dtype=torch.float32)
    kernel = torch.tensor(rng.normal(size=(width, classes)) * 0.3, dtype=torch.float32)
    dy = torch.tensor(rng.normal(size=(n, classes)), dtype=torch.float32)
    x64, kernel64 = x.double().requires_grad_(), kernel.double().requires_grad_()
    y = F.linear(F.normalize(x64), F.normalize(kernel64.T))
    (y * dy.double()).sum().backward()
    group = golden.case(case, **{"class": "CosineDense", "training": False})
    for name, value in (("x", x), ("kernel", kernel), ("dy", dy), ("y", y), ("dx", x64.grad), ("d_kernel", kernel64.grad)):
        put(group, name, value.detach().numpy())


def layers():
    golden, rng = Golden("metric_layers.h5"), random(71)
    record(golden, "unit_normalization", keras.layers.UnitNormalization(), rng.normal(size=(8, 6)) * 2, rng)
    record(golden, "unit_normalization_image", keras.layers.UnitNormalization(), rng.normal(size=(2, 3, 4, 5)), rng)
    record(golden, "unit_normalization_small", keras.layers.UnitNormalization(), rng.normal(size=(4, 33)) * 1e-3, rng)
    cosine_dense(golden, "cosine_dense", 8, 16, 5, rng)
    cosine_dense(golden, "cosine_dense_wide", 7, 37, 101, rng)
    golden.close()


# ---------------------------------------------------------------------------- margins


def with_margin(cosine, label, kind, scale, margin):
    rows = torch.arange(len(label))
    own = cosine[rows, label]
    if kind == "arcface":
        theta = torch.acos(own)
        own = torch.where(theta + margin < math.pi, torch.cos(theta + margin), own - margin * math.sin(margin))
    else:
        own = own - margin
    return scale * cosine.index_put((rows, label), own)


def margins(golden, rng):
    rows, classes = 24, 7
    cosine = rng.uniform(-0.95, 0.95, size=(rows, classes)).astype(np.float32)
    label = rng.integers(0, classes, rows).astype(np.int32)
    cosine[0, label[0]], cosine[1, label[1]], cosine[2, label[2]] = -0.99, 0.995, 0.9999  # past pi - m; near theta = 0
    for kind, scale, margin in (("arcface", 64, 0.5), ("arcface", 30, 0.3), ("arcface", 16, 0), ("cosface", 64, 0.35),
                                ("cosface", 10, 0.1)):
        y = torch.tensor(cosine, dtype=torch.float64).requires_grad_()
        value = F.cross_entropy(with_margin(y, torch.tensor(label).long(), kind, scale, margin),
                                torch.tensor(label).long(), reduction="none")
        value.sum().backward()
        group = golden.case(f"{kind}_{scale}_{margin}", scale=float(scale), margin=float(margin))
        put(group, "label", label)
        put(group, "y", cosine)
        put(group, "value", value.detach().numpy())
        put(group, "gradient", y.grad.numpy())


# ---------------------------------------------------------------------------- triplets


def pairwise(feature, squared):  # tensorflow_addons.losses.metric_learning.pairwise_distance
    square = tf.reduce_sum(tf.square(feature), axis=1, keepdims=True)
    squares = tf.maximum(square + tf.transpose(square) - 2.0 * tf.matmul(feature, tf.transpose(feature)), 0.0)
    zeros = tf.less_equal(squares, 0.0)
    distances = squares if squared else tf.sqrt(squares + tf.cast(zeros, feature.dtype) * 1e-16)
    distances = tf.multiply(distances, tf.cast(tf.logical_not(zeros), feature.dtype))
    off = tf.ones_like(distances) - tf.linalg.diag(tf.ones([tf.shape(feature)[0]], feature.dtype))
    return tf.multiply(distances, off)


def masked_extreme(data, mask, largest):  # _masked_maximum and _masked_minimum
    low = tf.reduce_min(data, 1, keepdims=True)
    high = tf.reduce_max(data, 1, keepdims=True)
    if largest:
        return tf.reduce_max((data - low) * mask, 1, keepdims=True) + low
    return tf.reduce_min((data - high) * mask, 1, keepdims=True) + high


def semi_hard(y, label, margin, squared):  # triplet_semihard_loss
    label = tf.reshape(label, [-1, 1])
    distance = pairwise(y, squared)
    adjacent = tf.equal(label, tf.transpose(label))
    apart = tf.logical_not(adjacent)
    batch = tf.size(label)
    tiled = tf.tile(distance, [batch, 1])
    mask = tf.logical_and(tf.tile(apart, [batch, 1]),
                          tf.greater(tiled, tf.reshape(tf.transpose(distance), [-1, 1])))
    some = tf.greater(tf.reduce_sum(tf.cast(mask, y.dtype), 1, keepdims=True), 0.0)
    some = tf.transpose(tf.reshape(some, [batch, batch]))
    outside = tf.transpose(tf.reshape(masked_extreme(tiled, tf.cast(mask, y.dtype), False), [batch, batch]))
    inside = tf.tile(masked_extreme(distance, tf.cast(apart, y.dtype), True), [1, batch])
    loss = margin + distance - tf.where(some, outside, inside)
    positives = tf.cast(adjacent, y.dtype) - tf.linalg.diag(tf.ones([batch], y.dtype))
    return tf.reduce_sum(tf.maximum(loss * positives, 0.0)) / tf.reduce_sum(positives)


def batch_hard(y, label, margin, squared):
    distance = ((y[:, None] - y[None]) ** 2).sum(-1)
    if not squared:
        distance = torch.where(distance > 0, distance.clamp_min(1e-300).sqrt(), distance)
    same = label[:, None] == label[None]
    same.fill_diagonal_(False)
    other = label[:, None] != label[None]
    positive = torch.where(same, distance, -torch.inf).max(1).values
    negative = torch.where(other, distance, torch.inf).min(1).values
    valid = same.any(1) & other.any(1)
    return torch.relu(margin + positive - negative)[valid].mean()


def triplets(golden, rng):
    label = np.repeat(np.arange(6), 4).astype(np.int32)
    single = np.concatenate([label[:21], [7, 8, 9]]).astype(np.int32)  # classes of one sample have no pair
    for name, labels, width in (("4_each", rng.permutation(label), 5), ("singles", single, 16)):
        y = rng.normal(size=(len(labels), width)) + np.asarray(labels)[:, None] * 0.1
        y = (y / np.linalg.norm(y, axis=1, keepdims=True)).astype(np.float32)
        for mining, margin, squared in (("semi_hard", 0.2, True), ("semi_hard", 1.0, False), ("hard", 0.2, True),
                                        ("hard", 0.5, False)):
            if mining == "semi_hard":
                x = tf.constant(y, tf.float64)
                with tf.GradientTape() as tape:
                    tape.watch(x)
                    value = semi_hard(x, tf.constant(labels), tf.constant(margin, tf.float64), squared)
                value, gradient = float(value), tape.gradient(value, x).numpy()
            else:
                x = torch.tensor(y, dtype=torch.float64).requires_grad_()
                value = batch_hard(x, torch.tensor(labels), margin, squared)
                value.backward()
                value, gradient = float(value.detach()), x.grad.numpy()
            group = golden.case(f"triplet_{mining}_{name}_{margin}", margin=margin, hard=mining == "hard",
                                euclidean=not squared, loss=value)
            put(group, "label", labels)
            put(group, "y", y)
            put(group, "gradient", gradient)


if __name__ == "__main__":
    layers()
    losses, generator = Golden("metric_losses.h5"), random(72)
    margins(losses, generator)
    triplets(losses, generator)
    losses.close()
