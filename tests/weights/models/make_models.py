"""Writes small whole models in Keras' file formats, and what they predict (expected.h5).

    python make_models.py        # writes beside itself
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import h5py
import keras
import numpy as np

FOLDER = os.path.dirname(os.path.abspath(__file__))
L = keras.layers


def all_layers():
    """Every layer type that built-in networks have, in one Functional model."""
    image = keras.Input((13, 12, 3), name="image")
    x = L.Normalization(mean=[0.1, 0.2, 0.3], variance=[0.9, 1.1, 1.3])(L.Rescaling(0.5, offset=0.1)(image))
    x = L.Normalization(name="measured")(x)
    x = L.ZeroPadding2D(((0, 1), (1, 2)))(x)
    x = L.Conv2D(6, (3, 5), strides=2, activation="silu")(x)
    a = L.BatchNormalization(scale=False)(L.SeparableConv2D(6, 3, padding="same", activation="relu")(x))
    b = L.BatchNormalization(epsilon=1e-5)(L.DepthwiseConv2D(3, padding="same", use_bias=False)(x))
    b = L.ReLU(max_value=6.0)(b)
    x = L.Concatenate()([L.Add()([a, b]), L.Activation("tanh")(x)])
    s = L.Reshape((1, 1, 12))(L.GlobalAveragePooling2D()(x))
    s = L.Conv2D(12, 1, activation="sigmoid")(s)
    x = L.Multiply()([x, s])
    x = L.MaxPooling2D(2, padding="same")(L.AveragePooling2D(3, strides=1, padding="same")(x))
    x = L.Dropout(0.3, noise_shape=(None, 1, 1, 1))(x)
    flat = L.Flatten()(x)
    top = L.Concatenate()([flat, L.GlobalMaxPooling2D()(x), L.Flatten()(L.GlobalMaxPooling2D(keepdims=True)(x))])
    top = L.Dense(5, activation="relu", kernel_regularizer=keras.regularizers.L2(1e-3))(L.Dropout(0.2)(top))
    return keras.Model(image, L.Softmax()(L.Dense(4)(top)), name="all_layers")


def more_layers():
    """Layer types that only models of others have, with names of Keras' choice."""
    image = keras.Input((12, 10, 3), name="image")
    x = L.RandomFlip("horizontal")(L.Cropping2D(((0, 1), (1, 1)))(image))
    x = L.PReLU(shared_axes=[1, 2])(L.Conv2D(8, 3, padding="same")(x))
    a = L.LeakyReLU(negative_slope=0.1)(L.GroupNormalization(groups=4)(L.Conv2D(8, 3, padding="same")(x)))
    b = L.Activation("gelu")(L.LayerNormalization(epsilon=1e-6)(L.DepthwiseConv2D(3, padding="same")(x)))
    x = L.Add()([L.ELU(alpha=0.5)(L.Conv2D(8, 1)(a)), L.Conv2D(8, 1, activation="hard_silu")(b)])
    x = L.LayerNormalization(center=False)(x)
    y = L.UpSampling2D(2, interpolation="bilinear")(L.MaxPooling2D(2, padding="same")(x))
    x = L.Concatenate()([L.ZeroPadding2D(((0, 1), (0, 0)))(x), L.Cropping2D(((0, 0), (0, 0)))(y)])
    x = L.GroupNormalization(groups=-1, scale=False)(L.Permute((2, 1, 3))(x))
    x = L.Conv2D(6, 3, activation="selu")(L.SpatialDropout2D(0.2)(x))
    x = L.GlobalAveragePooling2D()(L.UpSampling2D((1, 2))(x))
    x = L.LayerNormalization()(L.Dense(7, activation="leaky_relu")(x))
    return keras.Model(image, L.Dense(4, activation="hard_sigmoid")(L.GaussianNoise(0.1)(x)), name="more_layers")


def shared():
    """Layers without weights that are called again and again, as people write them."""
    image = keras.Input((16, 14, 3), name="image")
    relu, pool, add = L.ReLU(name="relu"), L.MaxPooling2D(2, name="pool"), L.Add(name="add")
    x = pool(relu(L.Conv2D(4, 3, padding="same", name="first")(image)))
    y = relu(L.Conv2D(4, 3, padding="same", name="second")(x))
    x = add([x, y])
    x = pool(relu(L.Conv2D(4, 1, name="third")(x)))
    x = add([x, relu(x), pool(y)])
    return keras.Model(image, L.Dense(3, name="top")(L.Flatten(name="flat")(pool(x))), name="shared")


def shared_weights():
    image, convolution = keras.Input((8, 8, 3)), L.Conv2D(3, 3, padding="same", name="twice")
    return keras.Model(image, convolution(convolution(image)))


def nested():
    """A Sequential model with a Functional one inside, some of it frozen, as in transfer learning."""
    image = keras.Input((12, 12, 3))
    x = L.Conv2D(5, 3, padding="same", activation="relu", name="stem")(image)
    x = L.BatchNormalization(name="norm")(x)
    base = keras.Model(image, L.MaxPooling2D(name="half")(L.Conv2D(5, 3, name="deep")(x)), name="base")
    base.get_layer("stem").trainable = False
    return keras.Sequential([keras.Input((12, 12, 3)), L.Rescaling(1 / 3.0), base, L.GlobalAveragePooling2D(),
                             L.Dense(3, activation="softmax")], name="nested")


def randomize(model, rng):
    for variable in model.variables:
        if variable.dtype != "float32":
            continue
        value = rng.normal(size=variable.shape) * 0.4
        if "variance" in variable.path or "gamma" in variable.path:
            value = np.abs(value) + 0.5
        variable.assign(value.astype(np.float32))
    for layer in model.layers:
        if layer.name == "measured":
            layer.finalize_state()


rng = np.random.Generator(np.random.PCG64(31))
with h5py.File(os.path.join(FOLDER, "expected.h5"), "w", libver=("earliest", "v108")) as expected:
    for make in (all_layers, nested, more_layers, shared):
        keras.backend.clear_session()
        model = make()
        randomize(model, rng)
        x = rng.normal(size=(3, *model.input_shape[1:])).astype(np.float32)
        group = expected.create_group(model.name)
        group.create_dataset("x", data=x)
        group.create_dataset("y", data=model.predict(x, verbose=0))
        model.save(os.path.join(FOLDER, f"{model.name}.h5"))
        model.save(os.path.join(FOLDER, f"{model.name}.keras"))
keras.backend.clear_session()
keras.Sequential([keras.Input((8, 8, 3)), L.Conv2D(2, 3), L.Conv2DTranspose(2, 3, name="grow")]).save(
    os.path.join(FOLDER, "unsupported.h5"))
keras.backend.clear_session()
shared_weights().save(os.path.join(FOLDER, "shared_weights.keras"))
