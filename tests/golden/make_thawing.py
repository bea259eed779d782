"""thawing_vgg16.h5, thawing_mobilenet_v2.h5: losses over 20 steps of Keras fine-tuning the top of a real backbone.

    python make_thawing.py vgg16_notop.h5 mobilenet_v2_notop.h5

thawing_accumulated.h5: the same with trained batch-norm, two batches per update (gradient_accumulation_steps=2).

Fixed order, no dropout, batches of 8 of 24 images again and again. The backbone's weights are not stored here: a test
reads the same file. In the live network only the named layers are trained; every other layer is frozen.
"""

import sys

import numpy as np

from golden import Golden, keras, put, random, tf

SAMPLES, CLASSES, BATCH, STEPS = 24, 4, 8, 20
DETAILED = ("sgd", "sgd_batch_norm", "adam")  # with gradients and parameters, the others with losses and outputs
L = keras.layers


def optimizers(rate):
    """`rate`: of plain SGD; the widths of the features, and so the stable rates, differ between the networks."""
    return {
        "sgd": lambda: keras.optimizers.SGD(rate),
        "sgd_momentum": lambda: keras.optimizers.SGD(rate, momentum=0.9),
        "sgd_nesterov": lambda: keras.optimizers.SGD(rate, momentum=0.9, nesterov=True),
        "adam": lambda: keras.optimizers.Adam(1e-5),
        "adamw": lambda: keras.optimizers.AdamW(1e-5, weight_decay=0.05),
        "rmsprop": lambda: keras.optimizers.RMSprop(3e-6),
    }


def images(rng, size):
    """Smooth coloured patterns, one kind for each class, uint8."""
    index = np.arange(SAMPLES) % CLASSES
    base = rng.uniform(40, 210, size=(CLASSES, 4, 4, 3))
    coarse = base[index] + rng.normal(size=(SAMPLES, 4, 4, 3)) * 30
    smooth = tf.image.resize(coarse, (size, size), "bilinear").numpy()
    return np.clip(np.rint(smooth), 0, 255).astype(np.uint8), index.astype(np.int32)


def build(backbone, weights, live, train_batch_norm):
    backbone.load_weights(weights)
    for layer in backbone.layers:
        named = any(layer.name.startswith(word) for word in live)
        layer.trainable = named and (train_batch_norm or not isinstance(layer, L.BatchNormalization))
    x = L.GlobalAveragePooling2D()(backbone.output)
    x = L.Dense(8, activation="relu", name="hidden")(x)
    return keras.Model(backbone.input, L.Dense(CLASSES, activation="softmax", name="output")(x))


def start_head(model, rng):
    for name in ("hidden", "output"):
        kernel, bias = model.get_layer(name).weights
        kernel.assign((rng.normal(size=kernel.shape) / np.sqrt(kernel.shape[0])).astype(np.float32))
        bias.assign((0.1 * rng.normal(size=bias.shape)).astype(np.float32))


def corner(value):
    """A small part of a big parameter: at most the first 8 of every dimension."""
    return value[tuple(slice(0, 8) for _ in value.shape)]


def save(group, model):
    for layer in model.layers:
        for variable in layer.weights if layer.trainable else []:
            put(group.require_group(layer.name), variable.name, corner(variable.numpy()))


def train_accumulated(golden, case, model, optimizer, x, label):
    """Keras' optimiser counts the batches; the model's moving averages follow every one of them."""
    group = golden.case(case, learning_rate=float(optimizer.learning_rate))
    loss = keras.losses.CategoricalCrossentropy()
    variables = model.trainable_variables
    optimizer.build(variables)
    losses = []
    for batch in range(2 * STEPS):
        rows = slice(batch % 3 * BATCH, batch % 3 * BATCH + BATCH)
        with tf.GradientTape() as tape:
            value = loss(label[rows], model(x[rows], training=True))
        optimizer.apply(tape.gradient(value, [v.value for v in variables]), variables)
        losses.append(float(value))
    put(group, "loss", np.array(losses).reshape(STEPS, 2).mean(axis=1))
    put(group, "output", model(x, training=False).numpy())
    print(case, losses[0], losses[-1], flush=True)


def make_accumulated(name, weights, seed):
    """Images and start of thawing_mobilenet_v2.h5."""
    golden = Golden(name)
    x, index = images(random(seed), 64)
    pixels = keras.applications.mobilenet_v2.preprocess_input(x.astype(np.float32))
    optimizers = {
        "sgd": keras.optimizers.SGD(1e-3, gradient_accumulation_steps=2),
        "adam": keras.optimizers.Adam(1e-5, gradient_accumulation_steps=2),
    }
    for case, optimizer in optimizers.items():
        keras.backend.clear_session()
        backbone = keras.applications.MobileNetV2(weights=None, include_top=False, input_shape=(64, 64, 3))
        model = build(backbone, weights, ["block_16", "Conv_1"], True)
        start_head(model, random(seed + 1))
        train_accumulated(golden, case, model, optimizer, pixels, np.eye(CLASSES, dtype=np.float32)[index])
    golden.close()


def train(golden, case, model, optimizer, x, label, **attributes):
    group = golden.case(case, learning_rate=float(optimizer.learning_rate), **attributes)
    loss = keras.losses.CategoricalCrossentropy()
    variables = model.trainable_variables
    optimizer.build(variables)
    losses = []
    for step in range(STEPS):
        rows = slice(step % 3 * BATCH, step % 3 * BATCH + BATCH)
        with tf.GradientTape() as tape:
            value = loss(label[rows], model(x[rows], training=True))
        gradient = tape.gradient(value, [v.value for v in variables])
        if step == 0 and case in DETAILED:
            for variable, g in zip(variables, gradient):
                put(group.require_group("gradient/" + variable.path.split("/")[0]), variable.name, corner(g.numpy()))
        optimizer.apply(gradient, variables)
        losses.append(float(value))
    put(group, "loss", np.array(losses))
    if case in DETAILED:
        save(group.require_group("end"), model)
    put(group, "output", model(x, training=False).numpy())
    print(case, [f"{losses[i]:.6f}" for i in (0, 1, 2, 10, 19)], flush=True)


def make(name, size, weights, make_backbone, preprocess, live, batch_norm_choices, rate, seed):
    golden = Golden(name)
    x, index = images(random(seed), size)
    data = golden.case("data", batch_size=BATCH, live=" ".join(live))
    data.create_dataset("images", data=x, compression="gzip", shuffle=True)
    one_hot = np.eye(CLASSES, dtype=np.float32)[index]
    put(data, "index", index)
    put(data, "one_hot", one_hot)
    pixels = preprocess(x.astype(np.float32))
    for train_batch_norm in batch_norm_choices:
        for case, optimizer in optimizers(rate).items():
            keras.backend.clear_session()
            model = build(make_backbone(size), weights, live, train_batch_norm)
            start_head(model, random(seed + 1))
            if "start" not in golden.file:
                for layer_name in ("hidden", "output"):
                    for variable in model.get_layer(layer_name).weights:
                        put(golden.case("start/" + layer_name), variable.name, variable.numpy())
            train(golden, case + ("_batch_norm" if train_batch_norm else ""), model, optimizer(), pixels, one_hot,
                  train_batch_norm=train_batch_norm)
    golden.close()


applications = keras.applications
make("thawing_vgg16.h5", 32, sys.argv[1],
     lambda size: applications.VGG16(weights=None, include_top=False, input_shape=(size, size, 3)),
     lambda x: applications.vgg16.preprocess_input(x.copy()), ["block5"], [False], 2e-6, 41)
make("thawing_mobilenet_v2.h5", 64, sys.argv[2],
     lambda size: applications.MobileNetV2(weights=None, include_top=False, input_shape=(size, size, 3)),
     lambda x: applications.mobilenet_v2.preprocess_input(x.copy()), ["block_16", "Conv_1"], [False, True], 1e-3, 51)
make_accumulated("thawing_accumulated.h5", sys.argv[2], 51)
