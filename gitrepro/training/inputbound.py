"""Whether a training waits for its data, found out by experiment: the same steps with one batch that is at hand."""

from __future__ import annotations

import copy
import random
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter
from typing import Any, Final

from ..errors import UsageError
from .steps import Steps

INPUT_BOUND_SPEEDUP: Final = 1.1
"""From here on the loader is what limits the training."""
_WARM_UP: Final = 3


def input_bound(
    step: Callable[[Any], object], loader: Iterable[Any], *, steps: Steps, keep: Sequence[Any] = (), count: int = 20
) -> dict[str, Any]:
    """Run `count` steps with the loader, and `count` with one batch of it, and compare the time.

    The steps are real ones. Weights and whatever else is given in `keep` are put back afterwards, and so are the
    generators of Python, NumPy and torch. On CUDA the device is waited for at the ends of each half.

    Args:
        step: does one whole training step with a batch.
        loader: gives batches; it is started over where it is shorter.
        steps: what tells of steps; it is silent meanwhile.
        keep: things with `state_dict` and `load_state_dict`: model, optimizer, scheduler.
        count: how many steps each half has.

    Returns:
        `count`; `loader_seconds` and `cached_seconds` a step; `speedup`, how many times as fast it is without the
        loader; `input_bound`, whether that is at least 1.1.

    Raises:
        UsageError: the loader gives nothing, or `count` is less than 1.
    """
    if count < 1:
        raise UsageError(f"{count} steps tell nothing", do="take 20")
    with _undone(keep), _paused(steps):
        batches = _endless(loader)
        batch = next(batches)
        for _ in range(_WARM_UP):
            step(batch)
            batch = next(batches)
        loaded = _timed(step, (next(batches) for _ in range(count)), count)
        cached = _timed(step, (batch for _ in range(count)), count)
    speedup = loaded / cached
    return {
        "count": count,
        "loader_seconds": loaded,
        "cached_seconds": cached,
        "speedup": speedup,
        "input_bound": speedup >= INPUT_BOUND_SPEEDUP,
    }


def _timed(step: Callable[[Any], object], batches: Iterator[Any], count: int) -> float:
    _wait_for_device()
    began = perf_counter()
    for batch in batches:
        step(batch)
    _wait_for_device()
    return (perf_counter() - began) / count


def _endless(loader: Iterable[Any]) -> Iterator[Any]:
    while True:
        empty = True
        for batch in loader:
            empty = False
            yield batch
        if empty:
            raise UsageError("the loader gives no batch", do="give it data, and no `drop_last` that leaves none")


def _wait_for_device() -> None:
    cuda = getattr(sys.modules.get("torch"), "cuda", None)
    if cuda is not None and cuda.is_initialized():
        cuda.synchronize()


@contextmanager
def _paused(steps: Steps) -> Iterator[None]:
    before, steps.paused = steps.paused, True
    try:
        yield
    finally:
        steps.paused = before


@contextmanager
def _undone(keep: Sequence[Any]) -> Iterator[None]:
    states = [(each, copy.deepcopy(each.state_dict())) for each in keep]
    generators = _generators()
    try:
        yield
    finally:
        for each, state in states:
            each.load_state_dict(state)
        for put_back, known in generators:
            put_back(known)


def _generators() -> list[tuple[Callable[[Any], object], Any]]:
    found: list[tuple[Callable[[Any], object], Any]] = [(random.setstate, random.getstate())]
    numpy, torch = sys.modules.get("numpy.random"), sys.modules.get("torch")
    if numpy is not None:
        found.append((numpy.set_state, numpy.get_state()))
    if torch is not None:
        found.append((torch.set_rng_state, torch.get_rng_state()))
        if torch.cuda.is_initialized():
            found.append((torch.cuda.set_rng_state_all, torch.cuda.get_rng_state_all()))
    return found
