"""How the learning rate goes with the batch size: a place to begin, and a small grid around it."""

from __future__ import annotations

import math
from typing import Final

from ...errors import UsageError

LINEAR, ROOT = "linear", "square root"
_LINEAR: Final = ("SGD", "ASGD")
_GRID: Final = (1 / 3, 1.0, 3.0)


def rule_for(optimizer: str) -> str:
    """`linear` for SGD (Goyal et al. 2017), `square root` for Adam and its like (Malladi et al. 2022).

    Args:
        optimizer: the name of its class.
    """
    return LINEAR if optimizer in _LINEAR else ROOT


def scaled_lr(lr: float, *, batch: int, to: int, optimizer: str) -> float:
    """The learning rate to begin with at batch size `to`, where `lr` is right at `batch`.

    Raises:
        UsageError: a number is not positive.
    """
    for name, value in (("lr", lr), ("batch", batch), ("to", to)):
        if not 0 < value < math.inf:
            raise UsageError(f"{name} is {value!r:.60}", do="give a number above 0")
    ratio = to / batch
    return lr * (ratio if rule_for(optimizer) == LINEAR else math.sqrt(ratio))


def lr_grid(lr: float, *, batch: int, to: int, optimizer: str) -> tuple[float, float, float]:
    """A third of it, itself, three times it: to be tried, for the rule is a rule of thumb. Raises as `scaled_lr`."""
    start = scaled_lr(lr, batch=batch, to=to, optimizer=optimizer)
    return (start * _GRID[0], start * _GRID[1], start * _GRID[2])
