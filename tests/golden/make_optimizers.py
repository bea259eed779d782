"""optimizers.h5 and clipping.h5: parameters after each of 10 steps of Keras' optimisers with given gradients."""

import numpy as np

from golden import Golden, keras, put, random, tf

STEPS = 10
CASES = {
    "sgd": ("SGD", dict(learning_rate=0.01)),
    "sgd_momentum": ("SGD", dict(learning_rate=0.01, momentum=0.9)),
    "sgd_nesterov": ("SGD", dict(learning_rate=0.01, momentum=0.9, nesterov=True)),
    "sgd_decay": ("SGD", dict(learning_rate=0.01, momentum=0.9, weight_decay=0.004)),
    "adam": ("Adam", dict(learning_rate=0.001)),
    "adam_large_rate": ("Adam", dict(learning_rate=0.1)),
    "adam_betas": ("Adam", dict(learning_rate=0.01, beta_1=0.8, beta_2=0.99, epsilon=1e-5)),
    "adam_amsgrad": ("Adam", dict(learning_rate=0.01, amsgrad=True)),
    "adam_decay": ("Adam", dict(learning_rate=0.01, weight_decay=0.01)),
    "adamw": ("AdamW", dict(learning_rate=0.001, weight_decay=0.004)),
    "adamw_large_decay": ("AdamW", dict(learning_rate=0.01, weight_decay=0.1)),
    "adamw_amsgrad": ("AdamW", dict(learning_rate=0.01, weight_decay=0.004, amsgrad=True)),
    "adamw_bias_exempt": ("AdamW", dict(learning_rate=0.01, weight_decay=0.1)),
    "rmsprop": ("RMSprop", dict(learning_rate=0.001)),
    "rmsprop_rho": ("RMSprop", dict(learning_rate=0.01, rho=0.7, epsilon=1e-4)),
    "rmsprop_momentum": ("RMSprop", dict(learning_rate=0.01, momentum=0.9)),
    "rmsprop_centered": ("RMSprop", dict(learning_rate=0.01, centered=True)),
    "rmsprop_centered_momentum": ("RMSprop", dict(learning_rate=0.01, momentum=0.5, centered=True)),
    "rmsprop_decay": ("RMSprop", dict(learning_rate=0.01, weight_decay=0.01)),
}
LARGE_BATCH = {
    "lamb": ("Lamb", dict(learning_rate=0.001)),
    "lamb_betas": ("Lamb", dict(learning_rate=0.05, beta_1=0.8, beta_2=0.99, epsilon=1e-5)),
}
CLIPPING = {
    "clipnorm": ("SGD", dict(learning_rate=0.1, clipnorm=0.5)),
    "clipvalue": ("SGD", dict(learning_rate=0.1, clipvalue=0.3)),
    "global_clipnorm": ("SGD", dict(learning_rate=0.1, global_clipnorm=0.5)),
    "adam_global_clipnorm": ("Adam", dict(learning_rate=0.01, global_clipnorm=0.5)),
}


def inputs(seed):
    rng = random(seed)
    start = {"kernel": rng.normal(size=(3, 4)), "bias": rng.normal(size=4)}
    gradient = {name: rng.normal(size=(STEPS,) + value.shape) for name, value in start.items()}
    # Magnitudes from 1e-6 to 1e3, exact zeros, and an element that never gets a gradient.
    gradient["kernel"][:, 0, 0] *= 1e-6
    gradient["kernel"][:, 0, 1] *= 1e3
    gradient["kernel"][:, 1, 1] = 0.0
    gradient["kernel"][3] = 0.0
    gradient["bias"][::2, 2] = 0.0
    as_float = lambda table: {name: value.astype(np.float32) for name, value in table.items()}
    return as_float(start), as_float(gradient)


def run(golden, case, class_name, options, start, gradient):
    optimizer = getattr(keras.optimizers, class_name)(**options)
    if case == "adamw_bias_exempt":
        optimizer.exclude_from_weight_decay(var_names=["bias"])
    variables = [keras.Variable(value, name=name) for name, value in start.items()]
    optimizer.build(variables)
    trace = {name: [value] for name, value in start.items()}
    for step in range(STEPS):
        optimizer.apply([tf.constant(gradient[v.name][step]) for v in variables], variables)
        for variable in variables:
            trace[variable.name].append(variable.numpy())
    group = golden.case(case, **{"class": class_name}, **{k: float(v) for k, v in options.items()})
    for name, values in trace.items():
        put(group, name, np.stack(values))
    for variable in optimizer.variables:  # slots after the last step, in Keras' order: m, v, m, v, ...
        if variable.name not in ("iteration", "learning_rate"):
            put(group.require_group("slots"), variable.name, variable.numpy())


def make(name, cases, seed):
    start, gradient = inputs(seed)
    golden = Golden(name)
    group = golden.case("gradients")
    for key, value in gradient.items():
        put(group, key, value)
    for case, (class_name, options) in cases.items():
        run(golden, case, class_name, options, start, gradient)
    golden.close()


def lars(w, g, v, step, rate, momentum=0.9, trust_coefficient=0.001, weight_decay=0.0):
    """You, Gitman, Ginsburg 2017, in double."""
    norm, slope = np.linalg.norm(w), np.linalg.norm(g)
    below = slope + weight_decay * norm
    local = trust_coefficient * norm / below if below > 0 and norm > 0 else 1.0
    v[:] = momentum * v + rate * local * (g + weight_decay * w)
    return w - v


def lamb(w, g, slots, step, rate, weight_decay):
    """You et al. 2020, algorithm 2, in double."""
    m, v = slots
    m[:] = 0.9 * m + 0.1 * g
    v[:] = 0.999 * v + 0.001 * g * g
    u = m / (1 - 0.9**step) / (np.sqrt(v / (1 - 0.999**step)) + 1e-7) + weight_decay * w
    return w - rate * np.linalg.norm(w) / np.linalg.norm(u) * u


def by_formula(golden, case, class_name, function, slots, start, gradient, **options):
    group = golden.case(case, **{"class": class_name}, adapt_vectors=1.0, **options)
    rate = options.pop("learning_rate")
    for name, value in start.items():
        w, state = value.astype(np.float64), np.zeros((slots,) + value.shape)
        trace = [w]
        for step in range(STEPS):
            w = function(w, gradient[name][step].astype(np.float64), state if slots > 1 else state[0], step + 1, rate, **options)
            trace.append(w)
        put(group, name, np.stack(trace))


def make_large_batch():
    start, gradient = inputs(3)
    golden = Golden("large_batch.h5")
    group = golden.case("gradients")
    for key, value in gradient.items():
        put(group, key, value)
    for case, (class_name, options) in LARGE_BATCH.items():
        run(golden, case, class_name, options, start, gradient)
        golden.file[case].attrs["adapt_vectors"] = 1.0
    by_formula(golden, "lamb_decay", "Lamb", lamb, 2, start, gradient, learning_rate=0.01, weight_decay=0.1)
    by_formula(golden, "lars", "Lars", lars, 1, start, gradient, learning_rate=10.0)
    by_formula(golden, "lars_decay", "Lars", lars, 1, start, gradient, learning_rate=20.0, momentum=0.5,
               trust_coefficient=0.002, weight_decay=0.1)
    golden.close()


make_large_batch()
make("optimizers.h5", CASES, 1)
make("clipping.h5", CLIPPING, 2)
