"""What makes a training random or holds its loss up, switched off."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from typing import Any, Final

import numpy as np

_RATES: Final = ("dropout", "dropout_p", "drop_prob", "drop_rate", "attn_dropout")
"""Attributes of modules that hold a probability of dropping something."""


def switch_off(model: Any, optimizer: Any) -> list[str]:
    """Set to nothing what the modules drop and the weight decay of the optimizer.

    Returns:
        What was switched off, as `dropout 0.5 of body.2` or `weight decay 0.01`.
    """
    off = []
    for name, module in model.named_modules():
        rates = (*_RATES, "p") if "drop" in type(module).__name__.lower() else _RATES
        for each in rates:
            value = getattr(module, each, None)
            if isinstance(value, float) and 0 < value <= 1:
                setattr(module, each, 0.0)
                off.append(f"dropout {value:g} of {name or type(module).__name__}")
    return off + _without_decay(optimizer)


def _without_decay(optimizer: Any) -> list[str]:
    found = set()
    for group in getattr(optimizer, "param_groups", []):
        if group.get("weight_decay"):
            found.add(f"weight decay {group['weight_decay']:g}")
            group["weight_decay"] = 0.0
    return sorted(found)


@contextlib.contextmanager
def quiet(off: set[str]) -> Iterator[None]:
    """While it lasts, functions of torch drop nothing and smooth no labels; what did is added to `off`."""
    from torch.overrides import TorchFunctionMode

    class Quiet(TorchFunctionMode):
        def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            given = dict(kwargs or {})
            name = getattr(function, "__name__", "")
            if "dropout" in name and "rnn" not in name:
                rate = given.get("p", args[1] if len(args) > 1 else 0.5)
                if rate and given.get("training", args[2] if len(args) > 2 else True):
                    off.add(f"dropout {rate:g} of {name}()")
                return given.get("input", args[0] if args else None)
            for key in ("label_smoothing", "dropout_p"):
                if isinstance(given.get(key), float) and given[key] > 0:
                    off.add(f"{key.replace('_', ' ')} {given[key]:g} of {name}()")
                    given[key] = 0.0
            return function(*args, **given)

    with Quiet():
        yield


def seeded(seed: int) -> None:
    """Set the seeds that code draws from which has no generator of its own."""
    import torch

    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


@contextlib.contextmanager
def own_randomness(seed: int) -> Iterator[None]:
    """While it lasts, random numbers are drawn from this seed; afterwards from where they were before."""
    import torch

    before = random.getstate(), np.random.get_state(), torch.random.get_rng_state()
    seeded(seed)
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
        torch.random.set_rng_state(before[2])
