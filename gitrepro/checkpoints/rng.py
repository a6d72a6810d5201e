"""The state of the random generators of this process, and its exact restoration."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import UsageError


def capture() -> dict[str, Any]:
    """The states of Python's `random`, of NumPy's global generator, of torch on the CPU and on each CUDA device.

    Libraries that the program has not loaded are left alone, and CUDA is not started by this.
    """
    found: dict[str, Any] = {"python": random.getstate()}
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    if numpy is not None:
        found["numpy"] = numpy.random.get_state()
    if torch is not None:
        found["torch"] = torch.get_rng_state()
        if torch.cuda.is_available() and torch.cuda.is_initialized():
            found["cuda"] = torch.cuda.get_rng_state_all()
    return found


def restore(states: Mapping[str, Any], *, warn: Callable[[str], None]) -> None:
    """Set each generator as it was. One that does not exist here is told, and left out."""
    if "python" in states:
        random.setstate(states["python"])
    if "numpy" in states:
        import numpy

        numpy.random.set_state(states["numpy"])
    if "torch" in states:
        import torch

        torch.set_rng_state(states["torch"])
        _restore_devices(torch, states.get("cuda", ()), warn)


def _restore_devices(torch: Any, states: Any, warn: Callable[[str], None]) -> None:
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if len(states) > count:
        warn(f"the generators of {len(states)} CUDA devices were saved and there are {count} here: others start anew")
    for device, state in enumerate(states[:count]):
        torch.cuda.set_rng_state(state, device)


def state_of(value: Any) -> Any:
    """The state of an object that has one: a module, an optimizer, a loader, a generator of any library; else None."""
    if callable(getattr(value, "state_dict", None)):
        return value.state_dict()
    if callable(getattr(value, "getstate", None)):  # random.Random
        return value.getstate()
    if hasattr(value, "bit_generator"):  # numpy.random.Generator
        return value.bit_generator.state
    if callable(getattr(value, "get_state", None)):  # torch.Generator, numpy.random.RandomState
        return value.get_state()
    return None


def put_state(value: Any, state: Any, *, name: str) -> None:
    """Set the state that `state_of` took.

    Raises:
        UsageError: the object takes no state.
    """
    if callable(getattr(value, "load_state_dict", None)):
        value.load_state_dict(state)
    elif callable(getattr(value, "setstate", None)):
        value.setstate(state)
    elif hasattr(value, "bit_generator"):
        value.bit_generator.state = state
    elif callable(getattr(value, "set_state", None)):
        value.set_state(state)
    else:
        raise UsageError(f"{name} is a {type(value).__name__}, which takes no state")
