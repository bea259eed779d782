"""schedules.h5: learning rates of Keras' schedules, and of PyTorch's one-cycle, update by update.

Beside the packages of the other scripts this one needs torch.
"""

import json
import subprocess
import sys

import numpy as np

from golden import Golden, keras, put, tf

EPOCH, STEPS = 12, 96  # updates in an epoch and in the phase
S = keras.optimizers.schedules


ONE_CYCLE = """
import json, sys, torch
rate, steps, options = json.loads(sys.argv[1])
optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=rate, total_steps=steps, **options)
rates = []
for step in range(steps):
    rates.append(optimizer.param_groups[0]["lr"])
    optimizer.step()
    if step + 1 < steps:
        schedule.step()
print(json.dumps(rates))
"""


def torch_one_cycle(rate, **options):
    """In a process of its own: PyTorch and TensorFlow do not load together."""
    arguments = json.dumps([rate, STEPS, options])
    done = subprocess.run([sys.executable, "-c", ONE_CYCLE, arguments], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


CASES = {  # the job's text, the optimizer's learning rate, the same in Keras
    "exponential": ("{name: exponential_decay, decay_steps: 10, decay_rate: 0.5}", 0.1,
                    S.ExponentialDecay(0.1, 10, 0.5)),
    "step": ("{name: exponential_decay, decay_epochs: 2, decay_rate: 0.1, staircase: true}", 0.1,
             S.ExponentialDecay(0.1, 24, 0.1, staircase=True)),
    "polynomial": ("{name: polynomial_decay, decay_steps: 60, power: 2, end_learning_rate: 0.001}", 0.1,
                   S.PolynomialDecay(0.1, 60, end_learning_rate=0.001, power=2.0)),
    "linear": ("polynomial_decay", 0.1, S.PolynomialDecay(0.1, STEPS)),
    "cosine": ("cosine_decay", 0.001, S.CosineDecay(0.001, STEPS)),
    "cosine_short": ("{name: cosine_decay, decay_steps: 50, alpha: 0.1}", 0.001, S.CosineDecay(0.001, 50, alpha=0.1)),
    "cosine_warmup": ("{name: cosine_decay, warmup_epochs: 1, alpha: 0.01}", 0.01,
                      S.CosineDecay(0.0, STEPS - 12, alpha=0.01, warmup_target=0.01, warmup_steps=12)),
    "cosine_warmup_from": ("{name: cosine_decay, decay_epochs: 5, warmup_steps: 20, warmup_from: 0.25}", 0.01,
                           S.CosineDecay(0.0025, 60, warmup_target=0.01, warmup_steps=20)),
    "restarts": ("{name: cosine_decay_restarts, first_decay_epochs: 1}", 0.01, S.CosineDecayRestarts(0.01, 12)),
    "restarts_even": ("{name: cosine_decay_restarts, first_decay_steps: 7, t_mul: 1, m_mul: 0.8, alpha: 0.05}", 0.01,
                      S.CosineDecayRestarts(0.01, 7, t_mul=1.0, m_mul=0.8, alpha=0.05)),
    "restarts_longer": ("{name: cosine_decay_restarts, first_decay_steps: 10, t_mul: 3, m_mul: 0.5}", 0.01,
                        S.CosineDecayRestarts(0.01, 10, t_mul=3.0, m_mul=0.5)),
    "piecewise": ("{name: piecewise_constant_decay, boundaries: [10, 40], values: [0.1, 0.02, 0.004]}", 1.0,
                  S.PiecewiseConstantDecay([10, 40], [0.1, 0.02, 0.004])),
    "piecewise_epochs": ("{name: piecewise_constant_decay, boundary_epochs: 3, values: [0.1, 0.02]}", 1.0,
                         S.PiecewiseConstantDecay([36], [0.1, 0.02])),
    "one_cycle": ("one_cycle", 0.1, None),
    "one_cycle_options": ("{name: one_cycle, pct_start: 0.25, div_factor: 10, final_div_factor: 100}", 0.1,
                          dict(pct_start=0.25, div_factor=10.0, final_div_factor=100.0)),
}


def main():
    golden = Golden("schedules.h5")
    for name, (text, rate, schedule) in CASES.items():
        group = golden.case(name, schedule=text, rate=rate, epoch_steps=EPOCH, steps=STEPS)
        if isinstance(schedule, S.LearningRateSchedule):
            rates = [float(schedule(tf.constant(step, tf.int64))) for step in range(STEPS)]
        else:
            rates = torch_one_cycle(rate, **(schedule or {}))
        put(group, "rates", np.array(rates))
    golden.close()


if __name__ == "__main__":
    main()
