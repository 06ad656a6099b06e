"""How the learning rate and the kept weights move: warm-up and half a cosine; a running mean."""

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor


def cosine_rate(warmup_steps: int, steps: int, lowest: float) -> Callable[[int], float]:
    """The learning rate's factor at each step: a linear warm-up to 1, then half a cosine down to `lowest`."""

    def rate(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / warmup_steps
        done = min(1.0, (step - warmup_steps) / max(1, steps - warmup_steps))
        return lowest + (1 - lowest) * 0.5 * (1 + math.cos(math.pi * done))

    return rate


class RunningMean:
    """Exponential running mean of named tensors, which forgets its start faster at first.

    Args:
        values: the tensors to begin with; copied.
        decay: weight of the past, in [0, 1), once the run is long.
        delay: the decay at step n is at most n / (n + delay).
    """

    def __init__(self, values: Mapping[str, Tensor], decay: float, delay: int) -> None:
        self.values = {name: value.detach().clone() for name, value in values.items()}
        self.decay, self.delay = decay, delay

    @torch.no_grad()
    def update(self, values: Mapping[str, Tensor], step: int) -> None:
        """Count the tensors of step `step`, the first being 1, in."""
        decay = min(self.decay, step / (step + self.delay))
        for name, value in values.items():
            self.values[name].lerp_(value, 1 - decay)
