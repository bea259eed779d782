"""peers.py PEER TASK [NETWORK] [--seconds S] [--folder F]: one measurement of one peer on one core.

PEER: torch, keras, onnxruntime, openvino.  TASK:
  forward NETWORK   the frozen network at its own image size, batch 16, float32: images/s of the best call
  epoch             one epoch of a dense head on a frozen VGG16 that recomputes its features: images/s
  head              the same head from given features, 60,000 x 512, batch 64: samples/s of the best epoch
  train NETWORK     steps of the network with --live layers and a dense head, 224x224, batch 32, Adam: images/s of the
                    best step, and the most memory that the process held ("memory" lines, MB)
  export NETWORK    keras only: writes NETWORK.onnx into the folder, for onnxruntime and openvino

Each result is one line: task,network,peer version,mode,value
"""

import argparse
import os
import resource
import time

BATCH = 16
# Names in keras.applications and torchvision.models (None: not there), height and width of the images.
NETWORKS = {
    "vgg16": ("VGG16", "vgg16", 224),
    "vgg19": ("VGG19", "vgg19", 224),
    "resnet50": ("ResNet50", "resnet50", 224),
    "resnet101": ("ResNet101", "resnet101", 224),
    "resnet152": ("ResNet152", "resnet152", 224),
    "resnet50v2": ("ResNet50V2", None, 224),
    "resnet101v2": ("ResNet101V2", None, 224),
    "resnet152v2": ("ResNet152V2", None, 224),
    "densenet121": ("DenseNet121", "densenet121", 224),
    "densenet169": ("DenseNet169", "densenet169", 224),
    "densenet201": ("DenseNet201", "densenet201", 224),
    "inceptionv3": ("InceptionV3", "inception_v3", 299),
    "xception": ("Xception", None, 299),
    "mobilenet": ("MobileNet", None, 224),
    "mobilenetv2": ("MobileNetV2", "mobilenet_v2", 224),
    "efficientnetb0": ("EfficientNetB0", "efficientnet_b0", 224),
    "efficientnetb1": ("EfficientNetB1", "efficientnet_b1", 240),
    "efficientnetb2": ("EfficientNetB2", "efficientnet_b2", 260),
    "efficientnetb3": ("EfficientNetB3", "efficientnet_b3", 300),
    "resnet18": (None, "resnet18", 224),
    "resnet34": (None, "resnet34", 224),
}
FEATURES, SAMPLES, HEAD_BATCH, CLASSES = 512, 60000, 64, 10
EPOCH_IMAGES, EPOCH_BATCH = 96, 32
TRAIN_BATCH, SIZE = 32, 224


def best_rate(call, amount, seconds, least=3):
    """Amount per second of the fastest of as many calls as fit, at least `least`, after a first one."""
    call()
    best, start, count = float("inf"), time.perf_counter(), 0
    while count < least or time.perf_counter() - start < seconds:
        begin = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - begin)
        count += 1
    return amount / best


def show_memory(network, peer, mode):
    """The most memory of this process so far, in MB."""
    print(f"memory,{network},{peer},{mode},{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f}", flush=True)


def show(task, network, peer, mode, value):
    print(f"{task},{network},{peer},{mode},{value:.2f}", flush=True)


# ---------------------------------------------------------------- PyTorch


def torch_network(network):
    import torch
    import torchvision

    name = NETWORKS[network][1]
    if name is None:
        raise SystemExit(f"torchvision has no {network}")
    model = getattr(torchvision.models, name)(weights=None, **({"init_weights": False} if "incep" in name else {}))
    if "vgg" in name:
        return torch.nn.Sequential(model.features, torch.nn.AdaptiveAvgPool2d(1))
    setattr(model, "fc" if hasattr(model, "fc") else "classifier", torch.nn.Identity())
    return model


def torch_forward(network, options):
    import torch

    torch.set_num_threads(1)
    model, size = torch_network(network).eval(), NETWORKS[network][2]
    for mode in ("nchw", "nhwc", "traced nchw", "traced nhwc"):
        layout = torch.channels_last if "nhwc" in mode else torch.contiguous_format
        x = torch.rand(BATCH, 3, size, size).to(memory_format=layout)
        call = model.to(memory_format=layout)
        with torch.no_grad():
            if "traced" in mode:
                call = torch.jit.optimize_for_inference(torch.jit.trace(call, x))
            rate = best_rate(lambda: call(x), BATCH, options.seconds)
        show("forward", network, f"PyTorch {torch.__version__}", mode, rate)


def torch_head(torch):
    return torch.nn.Sequential(
        torch.nn.Linear(FEATURES, 128), torch.nn.ReLU(), torch.nn.Dropout(0.5), torch.nn.Linear(128, CLASSES)
    )


def torch_epoch(_, options):
    import torch

    torch.set_num_threads(1)
    backbone = torch_network("vgg16").eval().to(memory_format=torch.channels_last)
    for parameter in backbone.parameters():
        parameter.requires_grad = False
    head = torch_head(torch)
    optimizer = torch.optim.Adam(head.parameters(), 1e-4)
    x = torch.rand(EPOCH_IMAGES, 3, 224, 224).to(memory_format=torch.channels_last)
    y = torch.randint(0, CLASSES, (EPOCH_IMAGES,))

    def epoch():
        for i in range(0, EPOCH_IMAGES, EPOCH_BATCH):
            optimizer.zero_grad()
            with torch.no_grad():
                feature = torch.flatten(backbone(x[i : i + EPOCH_BATCH]), 1)
            torch.nn.functional.cross_entropy(head(feature), y[i : i + EPOCH_BATCH]).backward()
            optimizer.step()

    rate = best_rate(epoch, EPOCH_IMAGES, options.seconds)
    show("epoch", "vgg16", f"PyTorch {torch.__version__}", "nhwc", rate)


def torch_from_features(_, options):
    import torch

    torch.set_num_threads(1)
    head = torch_head(torch)
    optimizer = torch.optim.Adam(head.parameters(), 1e-4)
    x, y = torch.rand(SAMPLES, FEATURES), torch.randint(0, CLASSES, (SAMPLES,))

    def epoch():
        order = torch.randperm(SAMPLES)
        for i in range(0, SAMPLES, HEAD_BATCH):
            rows = order[i : i + HEAD_BATCH]
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(head(x[rows]), y[rows]).backward()
            optimizer.step()

    rate = best_rate(epoch, SAMPLES, options.seconds)
    show("head", "", f"PyTorch {torch.__version__}", "eager", rate)


def write_onnx(model, network, options):
    import torch

    path, size = os.path.join(options.folder, f"{network}.onnx"), NETWORKS[network][2]
    if not os.path.exists(path):
        torch.onnx.export(model().eval(), (torch.rand(BATCH, 3, size, size),), path, dynamo=True)


def torch_live(name, network, live):
    """Whether a parameter belongs to the live layers: block5 of VGG16 is features[24..28], conv5 of ResNet is layer4."""
    if live == "all":
        return True
    if network == "vgg16":
        return int(name.split(".")[1]) >= 24
    return name.startswith("layer4")


def torch_train(network, options):
    """Batch-norm stays in inference mode, as in thaw and Keras; frozen layers record no gradients."""
    import torch

    torch.set_num_threads(1)
    width = {"vgg16": 512, "resnet50": 2048}[network]
    layout = torch.channels_last if options.mode == "nhwc" else torch.contiguous_format
    backbone = torch_network(network).eval().to(memory_format=layout)
    for name, parameter in backbone.named_parameters():
        parameter.requires_grad = torch_live(name, network, options.live)
    head = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(width, 128), *list(torch_head(torch))[1:])
    live = [p for p in [*backbone.parameters(), *head.parameters()] if p.requires_grad]
    optimizer = torch.optim.Adam(live, 1e-5)
    x = torch.rand(TRAIN_BATCH, 3, SIZE, SIZE).to(memory_format=layout)
    y = torch.randint(0, CLASSES, (TRAIN_BATCH,))

    def step():
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(head(backbone(x)), y).backward()
        optimizer.step()

    rate = best_rate(step, TRAIN_BATCH, options.seconds, 2)
    peer = f"PyTorch {torch.__version__}"
    show("train", f"{network} {options.live}", peer, options.mode, rate)
    show_memory(f"{network} {options.live}", peer, options.mode)


def torch_export(network, options):
    write_onnx(lambda: torch_network(network), network, options)


# ---------------------------------------------------------------- Keras


def keras_setup():
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import keras
    import tensorflow

    tensorflow.config.threading.set_intra_op_parallelism_threads(1)
    tensorflow.config.threading.set_inter_op_parallelism_threads(1)
    return keras, tensorflow


def keras_network(keras, network, channels_last=True):
    name, _, size = NETWORKS[network]
    if name is None:
        raise SystemExit(f"Keras has no {network}")
    shape = (size, size, 3) if channels_last else (3, size, size)
    return getattr(keras.applications, name)(weights=None, include_top=False, input_shape=shape, pooling="avg")


def keras_whole_batch_norm():
    """Keras writes batch-norm as a subtraction, a product and a sum, which onnxruntime does not fold; as one operation it
    does."""
    import keras
    import torch

    def whole(x, mean, variance, axis, offset=None, scale=None, epsilon=1e-3):
        values = [None if v is None else keras.ops.convert_to_tensor(v) for v in (mean, variance, scale, offset)]
        return torch.nn.functional.batch_norm(x, *values, training=False, eps=epsilon)

    keras.src.backend.nn.batch_normalization = whole


def keras_export(network, options):
    """The very network of the other rows, in the layout that ONNX knows. Keras has no DenseNet in that layout."""
    if "densenet" in network or NETWORKS[network][0] is None:
        torch_export(network, options)
        return
    os.environ["KERAS_BACKEND"] = "torch"
    import keras

    keras.config.set_image_data_format("channels_first")
    keras_whole_batch_norm()
    write_onnx(lambda: keras_network(keras, network, channels_last=False), network, options)


def keras_forward(network, options):
    keras, tensorflow = keras_setup()
    model, size = keras_network(keras, network), NETWORKS[network][2]
    x = tensorflow.random.uniform((BATCH, size, size, 3))
    for mode in ("graph", "xla"):
        call = tensorflow.function(lambda value: model(value, training=False), jit_compile=mode == "xla")
        rate = best_rate(lambda: call(x).numpy(), BATCH, options.seconds)
        show("forward", network, f"Keras {keras.__version__}", mode, rate)


def keras_head(keras, x):
    x = keras.layers.Dense(128, activation="relu")(x)
    return keras.layers.Dense(CLASSES, activation="softmax")(keras.layers.Dropout(0.5)(x))


def keras_compile(keras, model):
    model.compile(keras.optimizers.Adam(1e-4), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def keras_epoch(_, options):
    import numpy

    keras, _ = keras_setup()
    backbone = keras_network(keras, "vgg16")
    backbone.trainable = False
    model = keras_compile(keras, keras.Model(backbone.input, keras_head(keras, backbone.output)))
    x = numpy.random.rand(EPOCH_IMAGES, 224, 224, 3).astype("f4")
    y = numpy.random.randint(0, CLASSES, EPOCH_IMAGES)
    rate = best_rate(lambda: model.fit(x, y, batch_size=EPOCH_BATCH, verbose=0), EPOCH_IMAGES, options.seconds)
    show("epoch", "vgg16", f"Keras {keras.__version__}", "fit", rate)


def keras_from_features(_, options):
    import numpy

    keras, _ = keras_setup()
    given = keras.Input((FEATURES,))
    model = keras_compile(keras, keras.Model(given, keras_head(keras, given)))
    x, y = numpy.random.rand(SAMPLES, FEATURES).astype("f4"), numpy.random.randint(0, CLASSES, SAMPLES)
    rate = best_rate(lambda: model.fit(x, y, batch_size=HEAD_BATCH, verbose=0), SAMPLES, options.seconds)
    show("head", "", f"Keras {keras.__version__}", "fit", rate)


def keras_train(network, options):
    import numpy

    keras, _ = keras_setup()
    backbone = keras_network(keras, network)
    for layer in backbone.layers:
        layer.trainable = options.live == "all" or layer.name.startswith(options.live)
    x = backbone.output
    model = keras.Model(backbone.input, keras_head(keras, x))
    if network != "vgg16":  # layers of batch normalisation stay in inference mode
        inner = backbone(backbone.input, training=False)
        model = keras.Model(backbone.input, keras_head(keras, inner))
    keras_compile(keras, model)
    x = numpy.random.rand(TRAIN_BATCH, SIZE, SIZE, 3).astype("f4")
    y = numpy.random.randint(0, CLASSES, TRAIN_BATCH)
    rate = best_rate(lambda: model.train_on_batch(x, y), TRAIN_BATCH, options.seconds, 2)
    show("train", f"{network} {options.live}", f"Keras {keras.__version__}", "train_on_batch", rate)
    show_memory(f"{network} {options.live}", f"Keras {keras.__version__}", "train_on_batch")


# ---------------------------------------------------------------- inference engines


def onnxruntime_forward(network, options):
    import numpy
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = settings.inter_op_num_threads = 1
    path = os.path.join(options.folder, f"{network}.onnx")
    session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
    given = session.get_inputs()[0]
    feed = {given.name: numpy.random.rand(*given.shape).astype("f4")}
    rate = best_rate(lambda: session.run(None, feed), BATCH, options.seconds)
    show("forward", network, f"onnxruntime {onnxruntime.__version__}", "cpu", rate)


def openvino_forward(network, options):
    import numpy
    import openvino

    core = openvino.Core()
    settings = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    model = core.compile_model(core.read_model(os.path.join(options.folder, f"{network}.onnx")), "CPU", settings)
    x = numpy.random.rand(*model.input(0).shape).astype("f4")
    rate = best_rate(lambda: model({0: x}), BATCH, options.seconds)
    show("forward", network, f"OpenVINO {openvino.__version__.split('-')[0]}", "f32", rate)


TASKS = {
    ("torch", "forward"): torch_forward,
    ("torch", "epoch"): torch_epoch,
    ("torch", "head"): torch_from_features,
    ("torch", "train"): torch_train,
    ("keras", "train"): keras_train,
    ("keras", "forward"): keras_forward,
    ("keras", "epoch"): keras_epoch,
    ("keras", "head"): keras_from_features,
    ("keras", "export"): keras_export,
    ("onnxruntime", "forward"): onnxruntime_forward,
    ("openvino", "forward"): openvino_forward,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peer")
    parser.add_argument("task")
    parser.add_argument("network", nargs="?", default="vgg16", choices=NETWORKS)
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--folder", default=".")
    parser.add_argument("--live", default="all", help="train: layers whose names begin with this, or all")
    parser.add_argument("--mode", default="nhwc", choices=("nhwc", "nchw"), help="train: PyTorch's memory format")
    options = parser.parse_args()
    if (options.peer, options.task) not in TASKS:
        parser.error(f"{options.peer} has no task {options.task}")
    TASKS[options.peer, options.task](options.network, options)


main()
