"""The numbers that tests/zoo/golden_network.c computes too, and the lines that hold what a network makes of them.

Value i of parameter p of layer "name", and of the input, is u = 2 h / 2^24 - 1 with 24 bits h of a hash of the text
"name/p" and i (see `uniform`), scaled by what the parameter is. So no weights are stored.
"""

import numpy as np

SAMPLED = 12  # layers per network, the last one always


def fnv(text):
    value = 0x811C9DC5
    for byte in text.encode():
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return value


def uniform(text, count):
    z = np.arange(count, dtype=np.uint64) * np.uint64(0x9E3779B9) + np.uint64(fnv(text))
    z = z.astype(np.uint32)
    z ^= z >> np.uint32(16)
    z *= np.uint32(0x85EBCA6B)
    z ^= z >> np.uint32(13)
    z *= np.uint32(0xC2B2AE35)
    z ^= z >> np.uint32(16)
    return (z >> np.uint32(8)).astype(np.float64) / 2**23 - 1


def image(height, width, channels, raw):
    """[1][height][width][channels]; raw: from 0 to 255."""
    u = uniform("input", height * width * channels).reshape(1, height, width, channels)
    return (127.5 * (u + 1) if raw else 2 * u).astype(np.float32)


def sample(count):
    """Which of `count` layers get a line."""
    return sorted({int(i) for i in np.linspace(1, count - 1, SAMPLED)})


def layer_line(name, values):
    """Name, count, mean, mean absolute value, four values; `values` in the order height, width, channel."""
    y = np.asarray(values, np.float32).reshape(-1)
    at = [0, len(y) // 3, 2 * len(y) // 3, len(y) - 1]
    numbers = [y.astype(np.float64).mean(), np.abs(y.astype(np.float64)).mean(), *y[at]]
    return f"layer {name} {len(y)} " + " ".join(f"{v:.9g}" for v in numbers) + "\n"
