"""layers.h5 and convolutions.h5: outputs and gradients of Keras' layers on small random inputs."""

import numpy as np

from golden import Golden, keras, put, random, tf

L = keras.layers
ACTIVATIONS = ("linear", "relu", "relu6", "sigmoid", "tanh", "softmax", "swish")


def randomize(layer, rng):
    for variable in layer.weights:
        value = rng.normal(size=variable.shape)
        if variable.name == "gamma":
            value = 1 + 0.3 * value
        if variable.name == "moving_variance":
            value = 0.5 + value**2
        elif variable.name in ("kernel", "depthwise_kernel"):
            value /= np.sqrt(np.prod(variable.shape[:-1]))
        variable.assign(value.astype(np.float32))


def record(golden, case, layer, x, rng, training=False, **attributes):
    """x: one array or a list. Writes x[_i], weights before the step, y, dy, dx[_i], d_<weight>, weights after."""
    inputs = x if isinstance(x, list) else [x]
    tensors = [tf.constant(value.astype(np.float32)) for value in inputs]
    argument = tensors if isinstance(x, list) else tensors[0]
    layer.build([tuple(t.shape) for t in tensors] if isinstance(x, list) else tuple(tensors[0].shape))
    randomize(layer, rng)
    before = {v.name: v.numpy() for v in layer.weights}
    with tf.GradientTape() as tape:
        for tensor in tensors:
            tape.watch(tensor)
        y = layer(argument, training=training)
        dy = tf.constant(rng.normal(size=y.shape).astype(np.float32))
        total = tf.reduce_sum(y * dy)
    trainable = layer.trainable_weights
    gradients = tape.gradient(total, tensors + [v.value for v in trainable])
    group = golden.case(case, **{"class": type(layer).__name__, "training": training}, **attributes)
    suffix = (lambda i: f"_{i}") if isinstance(x, list) else (lambda i: "")
    for i, tensor in enumerate(tensors):
        put(group, "x" + suffix(i), tensor.numpy())
        put(group, "dx" + suffix(i), gradients[i].numpy())
    for name, value in before.items():
        put(group, name, value)
    for variable, gradient in zip(trainable, gradients[len(tensors):]):
        put(group, "d_" + variable.name, gradient.numpy())
    put(group, "y", y.numpy())
    put(group, "dy", dy.numpy())
    if training:
        for variable in layer.non_trainable_weights:
            put(group, variable.name + "_after", variable.numpy())


def dense_and_activations(golden, rng):
    x = rng.normal(size=(8, 6)) * 2
    for activation in ACTIVATIONS:
        record(golden, f"dense_{activation}", L.Dense(5, activation=activation), x, rng, activation=activation)
        record(golden, f"activation_{activation}", L.Activation(activation), x * 3, rng, activation=activation)
    record(golden, "dense_no_bias", L.Dense(5, use_bias=False), x, rng, activation="linear")
    image = rng.normal(size=(2, 3, 4, 5)) * 4
    for activation in ("relu", "relu6", "swish", "softmax"):
        record(golden, f"activation_{activation}_image", L.Activation(activation), image, rng, activation=activation)


def batch_normalization(golden, rng):
    for shape, rank in (((16, 5), "vector"), ((3, 4, 5, 6), "image")):
        x = rng.normal(size=shape) * 3 + 1
        for training in (True, False):
            word = "training" if training else "inference"
            record(golden, f"batch_normalization_{rank}_{word}", L.BatchNormalization(), x, rng, training,
                   momentum=0.99, epsilon=1e-3)
        record(golden, f"batch_normalization_{rank}_options", L.BatchNormalization(momentum=0.9, epsilon=1.001e-5), x,
               rng, True, momentum=0.9, epsilon=1.001e-5)
        record(golden, f"batch_normalization_{rank}_no_scale", L.BatchNormalization(scale=False), x, rng, True,
               momentum=0.99, epsilon=1e-3)
        record(golden, f"batch_normalization_{rank}_no_center", L.BatchNormalization(center=False), x, rng, True,
               momentum=0.99, epsilon=1e-3)


def convolutions(golden, rng):
    cases = [  # name, h, w, c, filters, kernel, strides, padding, options
        ("3x3_same", 7, 6, 3, 5, (3, 3), (1, 1), "same", {}),
        ("3x3_valid", 7, 6, 3, 5, (3, 3), (1, 1), "valid", {}),
        ("3x3_same_stride2", 7, 6, 3, 5, (3, 3), (2, 2), "same", {}),
        ("3x3_valid_stride2", 7, 6, 3, 5, (3, 3), (2, 2), "valid", {}),
        ("3x3_same_stride2_even", 8, 8, 3, 5, (3, 3), (2, 2), "same", {}),
        ("3x3_same_relu", 7, 6, 3, 5, (3, 3), (1, 1), "same", {"activation": "relu"}),
        ("3x3_no_bias", 7, 6, 3, 5, (3, 3), (1, 1), "same", {"use_bias": False}),
        ("1x1", 5, 4, 6, 8, (1, 1), (1, 1), "same", {}),
        ("1x1_stride2", 5, 4, 6, 8, (1, 1), (2, 2), "valid", {}),
        ("5x5_same", 7, 6, 3, 4, (5, 5), (1, 1), "same", {}),
        ("7x7_valid_stride2", 13, 12, 3, 4, (7, 7), (2, 2), "valid", {}),
        ("1x7_same", 6, 9, 4, 4, (1, 7), (1, 1), "same", {}),
        ("7x1_same", 9, 6, 4, 4, (7, 1), (1, 1), "same", {}),
        ("stride_2_1", 7, 6, 3, 4, (3, 3), (2, 1), "same", {}),
        ("wide", 10, 9, 8, 12, (3, 3), (1, 1), "same", {"activation": "relu"}),
    ]
    for name, h, w, c, filters, kernel, strides, padding, options in cases:
        layer = L.Conv2D(filters, kernel, strides=strides, padding=padding, **options)
        x = rng.normal(size=(2, h, w, c))
        record(golden, f"conv2d_{name}", layer, x, rng, stride_h=strides[0], stride_w=strides[1], padding=padding,
               activation=options.get("activation", "linear"))
    for name, size, kernel, stride, padding, use_bias in (
            ("3x3_same", 7, 3, 1, "same", True), ("3x3_same_stride2", 8, 3, 2, "same", True),
            ("3x3_valid_stride2", 9, 3, 2, "valid", False), ("5x5_same", 7, 5, 1, "same", False),
            ("5x5_same_stride2", 7, 5, 2, "same", True)):
        layer = L.DepthwiseConv2D(kernel, strides=stride, padding=padding, use_bias=use_bias)
        record(golden, f"depthwise_conv2d_{name}", layer, rng.normal(size=(2, size, size - 1, 6)), rng,
               stride_h=stride, stride_w=stride, padding=padding, activation="linear")


def pooling_and_the_rest(golden, rng):
    x = rng.normal(size=(2, 7, 6, 5))
    ties = np.maximum(x, 0)  # as after ReLU: many windows have equal maxima
    for name, pool, stride, padding in (("2x2_valid", 2, 2, "valid"), ("3x3_same_stride2", 3, 2, "same"),
                                        ("3x3_valid_stride2", 3, 2, "valid"), ("3x3_same_stride1", 3, 1, "same")):
        attributes = dict(stride_h=stride, stride_w=stride, pool_h=pool, pool_w=pool, padding=padding)
        record(golden, f"max_pooling_{name}", L.MaxPooling2D(pool, stride, padding), x, rng, **attributes)
        record(golden, f"max_pooling_{name}_ties", L.MaxPooling2D(pool, stride, padding), ties, rng, **attributes)
        record(golden, f"average_pooling_{name}", L.AveragePooling2D(pool, stride, padding), x, rng, **attributes)
    record(golden, "global_average_pooling", L.GlobalAveragePooling2D(), x, rng)
    record(golden, "global_max_pooling", L.GlobalMaxPooling2D(), x, rng)
    record(golden, "flatten", L.Flatten(), x, rng)
    record(golden, "zero_padding", L.ZeroPadding2D(((0, 1), (2, 3))), x, rng, top=0, bottom=1, left=2, right=3)
    record(golden, "add", L.Add(), [x, rng.normal(size=x.shape)], rng)
    record(golden, "concatenate", L.Concatenate(), [x, rng.normal(size=(2, 7, 6, 3))], rng)


def make(name, seed, *parts):
    golden = Golden(name)
    rng = random(seed)
    for part in parts:
        part(golden, rng)
    golden.close()


def layers_of_backbones(golden, rng):
    x = rng.normal(size=(3, 5, 4, 6))
    record(golden, "multiply", L.Multiply(), [x, rng.normal(size=x.shape)], rng)
    record(golden, "multiply_by_pixel", L.Multiply(), [x, rng.normal(size=(3, 1, 1, 6))], rng)
    record(golden, "multiply_pixel_by", L.Multiply(), [rng.normal(size=(3, 1, 1, 6)), x], rng)
    record(golden, "reshape", L.Reshape((10, 2, 6)), x, rng, h=10, w=2, c=6)
    record(golden, "rescaling", L.Rescaling(1 / 127.5, -1), x * 99, rng, scale=1 / 127.5, offset=-1.0)
    record(golden, "global_average_pooling_keepdims", L.GlobalAveragePooling2D(keepdims=True), x, rng, keepdims=True)
    mean, variance = rng.normal(size=6).astype(np.float32), (rng.normal(size=6) ** 2 + 0.1).astype(np.float32)
    layer = L.Normalization(mean=mean, variance=variance)
    record(golden, "normalization", layer, x, rng)
    group = golden.file["normalization"]
    put(group, "mean", mean)
    put(group, "variance", variance)
    put(group, "count", np.float32(0))
    for name, kernel, stride, padding, options in (
            ("3x3_same", 3, 1, "same", {}), ("3x3_same_stride2", 3, 2, "same", {"use_bias": False}),
            ("5x5_valid_relu", 5, 1, "valid", {"activation": "relu"}), ("3x3_swish", 3, 1, "same", {"activation": "swish"})):
        layer = L.SeparableConv2D(7, kernel, strides=stride, padding=padding, **options)
        record(golden, f"separable_conv2d_{name}", layer, rng.normal(size=(2, 7, 6, 5)), rng, stride_h=stride,
               stride_w=stride, padding=padding, activation=options.get("activation", "linear"))


make("layers.h5", 21, dense_and_activations, batch_normalization, pooling_and_the_rest)
make("convolutions.h5", 22, convolutions)
make("backbone_layers.h5", 23, layers_of_backbones)
