"""A training's state at one moment: taken apart, copied, and from then on independent of the training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ..errors import UsageError
from . import rng
from .arrays import Copies
from .skeleton import encode

PARTS: Final[tuple[str, ...]] = ("model", "optimizer", "scheduler", "scaler", "loader", "rng", "extra")
"""What a checkpoint may hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Captured:
    """A state in pieces: `skeleton` refers to `arrays` by name. `plain`: all of them have a place in a tensor file."""

    skeleton: Mapping[str, Any]
    arrays: Mapping[str, Any]
    plain: bool

    @property
    def holds(self) -> list[str]:
        return [part for part in PARTS if part in self.skeleton]


def capture(
    *, model: Any = None, optimizer: Any = None, scheduler: Any = None, scaler: Any = None, loader: Any = None,
    rng_states: bool = True, extra: Mapping[str, Any] | None = None,
) -> Captured:  # fmt: skip
    """Copy a state to the CPU; what is trained may go on once this returns.

    Args:
        model, optimizer, scheduler, scaler, loader: what has a `state_dict`, its state, or lists and maps of such.
        rng_states: whether the random generators of the process belong to it.
        extra: whatever else: numbers, text, arrays, generators, things with a `state_dict`.

    Raises:
        UsageError: there is nothing to save, or something that cannot be kept; the message names it.
    """
    given: dict[str, Any] = {
        "model": model,
        "optimizer": optimizer,
        "scheduler": scheduler,
        "scaler": scaler,
        "loader": loader,
        "extra": extra,
    }
    state = {part: value for part, value in given.items() if value is not None}
    if not state:
        raise UsageError("a checkpoint of nothing", do="give a model: run.checkpoint(model=model)")
    if extra is not None and not isinstance(extra, Mapping):
        raise UsageError(f"extra is a {type(extra).__name__}", do='give a map of names: extra={"epoch": epoch}')
    if rng_states:
        state["rng"] = rng.capture()
    copies = Copies()
    try:
        skeleton: dict[str, Any] = {
            part: encode(state[part], path=part, take=copies.take) for part in PARTS if part in state
        }
    finally:
        copies.finish()
    return Captured(skeleton=skeleton, arrays=copies.arrays, plain=copies.plain)
