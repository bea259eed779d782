"""losses.h5: per-sample values and gradients of Keras' losses, on random and on extreme inputs."""

import numpy as np

from golden import Golden, keras, put, random, tf

ROWS, OUTPUTS = 24, 5


def evaluate(golden, case, loss, label, prediction, **attributes):
    """prediction is what the loss reads: probabilities, values, or logits when from_logits."""
    y = tf.constant(prediction.astype(np.float32))
    with tf.GradientTape() as tape:
        tape.watch(y)
        value = loss(tf.constant(label), y)
        total = tf.reduce_sum(value)
    group = golden.case(case, **attributes)
    put(group, "label", label)
    put(group, "logits" if attributes.get("from_logits") else "prediction", y.numpy())
    put(group, "value", value.numpy())
    put(group, "gradient", tape.gradient(total, y).numpy())  # d(sum of the values)/d(prediction or logits)


def softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def classes(golden, rng):
    logits = (rng.normal(size=(ROWS, OUTPUTS)) * 3).astype(np.float32)
    logits[0] = [100, -100, 0, 0, 0]
    logits[1] = [-100, 100, 0, 0, 0]
    logits[2] = 0
    logits[3] = [1e4, 1e4, -1e4, 0, 0]
    logits[4] = [30, 0, 0, 0, 0]
    index = rng.integers(0, OUTPUTS, ROWS).astype(np.int32)
    index[:5] = [0, 0, 3, 2, 0]
    one_hot = np.eye(OUTPUTS, dtype=np.float32)[index]
    soft = softmax(rng.normal(size=(ROWS, OUTPUTS))).astype(np.float32)
    probability = softmax(logits.astype(np.float64)).astype(np.float32)
    probability[5] = [0, 0, 1, 0, 0]
    probability[6] = [0.2, 0.3, 0.1, 0.1, 0.1]  # does not sum to one: Keras divides by the sum
    for smoothing in (0.0, 0.1):
        suffix = "_smoothing" if smoothing else ""
        for from_logits in (False, True):
            loss = keras.losses.CategoricalCrossentropy(from_logits, smoothing, reduction=None)
            name = f"categorical_crossentropy{'_logits' if from_logits else ''}{suffix}"
            data = logits if from_logits else probability
            evaluate(golden, name, loss, one_hot, data, from_logits=from_logits, label_smoothing=smoothing)
            evaluate(golden, name + "_soft_labels", loss, soft, data, from_logits=from_logits,
                     label_smoothing=smoothing)
    for from_logits in (False, True):
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits, reduction=None)
        name = f"sparse_categorical_crossentropy{'_logits' if from_logits else ''}"
        evaluate(golden, name, loss, index, logits if from_logits else probability, from_logits=from_logits)


def binary(golden, rng):
    for outputs in (1, OUTPUTS):
        logits = (rng.normal(size=(ROWS, outputs)) * 3).astype(np.float32)
        logits[:6, 0] = [100, -100, 100, -100, 0, 20]
        label = rng.integers(0, 2, (ROWS, outputs)).astype(np.float32)
        label[:4, 0] = [1, 1, 0, 0]
        probability = (1 / (1 + np.exp(-logits.astype(np.float64)))).astype(np.float32)
        probability[6:8, 0] = [0, 1]
        for smoothing in (0.0, 0.1):
            for from_logits in (False, True):
                loss = keras.losses.BinaryCrossentropy(from_logits, smoothing, reduction=None)
                name = (f"binary_crossentropy_{outputs}{'_logits' if from_logits else ''}"
                        f"{'_smoothing' if smoothing else ''}")
                evaluate(golden, name, loss, label, logits if from_logits else probability,
                         from_logits=from_logits, label_smoothing=smoothing)


def regression(golden, rng):
    label = (rng.normal(size=(ROWS, OUTPUTS)) * 2).astype(np.float32)
    prediction = (label + rng.normal(size=label.shape) * 2).astype(np.float32)
    prediction[0] = label[0]  # exact: the absolute error's gradient is zero there
    prediction[1] = label[1] + np.float32(1)  # near huber's corner
    prediction[2] = [1e6, -1e6, 1e-6, 0, 1e3]
    evaluate(golden, "mean_squared_error", keras.losses.MeanSquaredError(reduction=None), label, prediction)
    evaluate(golden, "mean_absolute_error", keras.losses.MeanAbsoluteError(reduction=None), label, prediction)
    for delta in (1.0, 0.5):
        name = "huber" if delta == 1.0 else "huber_half"
        evaluate(golden, name, keras.losses.Huber(delta, reduction=None), label, prediction, delta=delta)


def focal(golden, rng):
    """Written last, so that the cases before keep their numbers. Logits are moderate: Keras clips what thaw keeps."""
    for outputs in (1, OUTPUTS):
        logits = (rng.normal(size=(ROWS, outputs)) * 3).astype(np.float32)
        label = rng.integers(0, 2, (ROWS, outputs)).astype(np.float32)
        probability = (1 / (1 + np.exp(-logits.astype(np.float64)))).astype(np.float32)
        probability[6:8, 0], label[6:8, 0] = [0, 1], [1, 0]
        for balancing, alpha, gamma, smoothing in ((False, 0.25, 2.0, 0.0), (True, 0.3, 1.5, 0.1), (True, 0.25, 1.0, 0.0)):
            for from_logits in (False, True):
                loss = keras.losses.BinaryFocalCrossentropy(balancing, alpha, gamma, from_logits, smoothing, reduction=None)
                name = f"binary_focal_crossentropy_{outputs}_{gamma}{'_logits' if from_logits else ''}"
                evaluate(golden, name, loss, label, logits if from_logits else probability, from_logits=from_logits,
                         label_smoothing=smoothing, alpha=alpha, gamma=gamma, apply_class_balancing=balancing)
    logits = (rng.normal(size=(ROWS, OUTPUTS)) * 1.5).astype(np.float32)
    one_hot = np.eye(OUTPUTS, dtype=np.float32)[rng.integers(0, OUTPUTS, ROWS)]
    probability = softmax(logits.astype(np.float64)).astype(np.float32)
    probability[5] = [0, 0, 1, 0, 0]
    probability[6] = [0.2, 0.3, 0.1, 0.1, 0.1]
    for alpha, gamma, smoothing in ((0.25, 2.0, 0.0), (0.4, 1.5, 0.1)):
        for from_logits in (False, True):
            loss = keras.losses.CategoricalFocalCrossentropy(alpha, gamma, from_logits, smoothing, reduction=None)
            name = f"categorical_focal_crossentropy_{gamma}{'_logits' if from_logits else ''}"
            evaluate(golden, name, loss, one_hot, logits if from_logits else probability, from_logits=from_logits,
                     label_smoothing=smoothing, alpha=alpha, gamma=gamma)


golden = Golden("losses.h5")
rng = random(11)
classes(golden, rng)
binary(golden, rng)
regression(golden, rng)
focal(golden, rng)
golden.close()
