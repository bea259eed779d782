"""training.h5: losses and parameters over 20 steps of small heads trained by Keras in a fixed order, no dropout.

The batches are rows 0..11, 12..23, 24..35, 36..39 (a short one), again and again: 40 samples, batch size 12.
"""

import numpy as np

from golden import Golden, keras, put, random, tf

SAMPLES, FEATURES, CLASSES, BATCH, STEPS = 40, 16, 4, 12, 20
L = keras.layers
OPTIMIZERS = {
    "sgd": lambda: keras.optimizers.SGD(0.1),
    "sgd_momentum": lambda: keras.optimizers.SGD(0.05, momentum=0.9),
    "sgd_nesterov": lambda: keras.optimizers.SGD(0.05, momentum=0.9, nesterov=True),
    "adam": lambda: keras.optimizers.Adam(0.01),
    "adamw": lambda: keras.optimizers.AdamW(0.01, weight_decay=0.05),
    "rmsprop": lambda: keras.optimizers.RMSprop(0.01),
}


def head(last, *layers):
    return keras.Sequential([keras.Input((FEATURES,)), *layers, last])


def randomize(model, rng):
    for variable in model.weights:
        if len(variable.shape) > 1:
            limit = np.sqrt(6 / sum(variable.shape))
            variable.assign(rng.uniform(-limit, limit, variable.shape).astype(np.float32))
        elif variable.name == "bias":
            variable.assign((0.1 * rng.normal(size=variable.shape)).astype(np.float32))


def save(group, model):
    for layer in model.layers:
        for variable in layer.weights:
            put(group.require_group(layer.name), variable.name, variable.numpy())


def train(golden, case, model, loss, optimizer, x, label, sample_weight=None, **attributes):
    group = golden.case(case, **attributes)
    save(group.require_group("start"), model)
    optimizer.build(model.trainable_variables)
    losses = []
    for step in range(STEPS):
        first = step % -(-SAMPLES // BATCH) * BATCH
        rows = slice(first, min(first + BATCH, SAMPLES))
        weight = None if sample_weight is None else sample_weight[rows]
        with tf.GradientTape() as tape:
            value = loss(label[rows], model(x[rows], training=True), weight)
            value += sum(model.losses)  # l1 and l2, as fit adds them
        gradient = tape.gradient(value, [v.value for v in model.trainable_variables])
        optimizer.apply(gradient, model.trainable_variables)
        losses.append(float(value))
    put(group, "loss", np.array(losses))
    save(group.require_group("end"), model)
    put(group, "output", model(x, training=False).numpy())  # all samples, after the last step


def make():
    golden = Golden("training.h5")
    rng = random(31)
    index = rng.integers(0, CLASSES, SAMPLES).astype(np.int32)
    centre = rng.normal(size=(CLASSES, FEATURES))
    x = np.maximum(centre[index] + rng.normal(size=(SAMPLES, FEATURES)), 0).astype(np.float32)
    one_hot = np.eye(CLASSES, dtype=np.float32)[index]
    target = (x @ rng.normal(size=(FEATURES, 2)) / 4).astype(np.float32)
    multi = (x @ rng.normal(size=(FEATURES, 3)) > 0).astype(np.float32)
    data = golden.case("data", batch_size=BATCH)
    for name, value in (("x", x), ("index", index), ("one_hot", one_hot), ("target", target), ("multi", multi)):
        put(data, name, value)

    softmax = lambda: L.Dense(CLASSES, activation="softmax", name="output")
    hidden = lambda **options: L.Dense(8, activation="relu", name="hidden", **options)

    def case(name, model, loss, label, optimizer, **more):
        randomize(model, random(32))
        train(golden, name, model, loss, optimizer, x, label, **more)

    categorical = keras.losses.CategoricalCrossentropy
    for name, optimizer in OPTIMIZERS.items():
        case(name, head(softmax(), hidden()), categorical(), one_hot, optimizer(), labels="one_hot")
    adam = OPTIMIZERS["adam"]
    case("sparse", head(softmax(), hidden()), keras.losses.SparseCategoricalCrossentropy(), index, adam(), labels="index")
    case("label_smoothing", head(softmax(), hidden()), categorical(label_smoothing=0.1), one_hot, adam(), labels="one_hot")
    regularized = head(softmax(), hidden(kernel_regularizer=keras.regularizers.L1L2(1e-3, 1e-2),
                                         bias_regularizer=keras.regularizers.L2(1e-2)))
    case("regularized", regularized, categorical(), one_hot, adam(), labels="one_hot")
    normalized = head(softmax(), L.BatchNormalization(name="normalization", momentum=0.9), hidden())
    case("batch_normalization", normalized, categorical(), one_hot, adam(), labels="one_hot")
    sigmoid = head(L.Dense(3, activation="sigmoid", name="output"), hidden())
    case("binary", sigmoid, keras.losses.BinaryCrossentropy(), multi, adam(), labels="multi")
    tanh = lambda: L.Dense(8, activation="tanh", name="hidden")
    linear = lambda: L.Dense(2, name="output")
    case("regression", head(linear(), tanh()), keras.losses.MeanSquaredError(), target, adam(), labels="target")
    case("regression_huber", head(linear(), tanh()), keras.losses.Huber(), target, adam(), labels="target")
    case("regression_absolute", head(linear(), tanh()), keras.losses.MeanAbsoluteError(), target, adam(), labels="target")
    weight = np.float32([0.5, 1.0, 2.0, 4.0])
    case("class_weight", head(softmax(), hidden()), categorical(), one_hot, adam(), labels="one_hot",
         sample_weight=weight[index])
    golden.close()


make()
