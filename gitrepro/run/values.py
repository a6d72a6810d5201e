"""What `Run.log` takes: names, steps, and everything that can stand for one number."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Final, final

from ..errors import UsageError
from ..store.journal import Number

_METRIC_NAME: Final = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]{1,256}")
MAX_NAMES: Final = 10_000
_LEAST, _MOST = -(2**63), 2**63 - 1


def check_metric(name: object) -> str:
    """`name`, if a metric may be called so.

    Raises:
        UsageError: not text, empty, over 256 characters, with control characters, or beginning with `_`.
    """
    if not isinstance(name, str):
        raise UsageError(f"metric name {name!r:.60} is not text")
    if not _METRIC_NAME.fullmatch(name) or name.startswith("_"):
        raise UsageError(
            f"metric name {name!r:.80} cannot be kept",
            why="a name has 1 to 256 characters, none of them a control character, and does not begin with _",
        )
    return name


@final
class Names:
    """The metric names of one process: each is checked when it is first seen, and there is an end to them."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def check(self, name: str) -> None:
        """Raises UsageError: it cannot be kept, or is one too many."""
        if name in self._known:
            return
        check_metric(name)
        if len(self._known) >= MAX_NAMES:
            raise UsageError(f"a run has at most {MAX_NAMES} metrics", do="log one name, and tell by the step")
        self._known.add(name)


def check_step(step: object) -> int:
    """`step` as an int.

    Raises:
        UsageError: it is no integer, or beyond 64 bits.
    """
    try:
        number = int(step.__index__())  # type: ignore[attr-defined]
    except (AttributeError, TypeError, ValueError) as error:
        raise UsageError(f"step {step!r:.60} is not an integer", do="give an int, or leave it away") from error
    if not _LEAST <= number <= _MOST:
        raise UsageError(f"step {number:.6e} is beyond 64 bits", do="count steps from 0")
    return number


def check_values(values: object) -> Mapping[str, Any]:
    """`values`, if it is a mapping."""
    if not isinstance(values, Mapping):
        raise UsageError(f"log() takes a mapping of names to numbers, not {values!r:.60}", do='log({"loss": 0.5})')
    return values


def on_device(value: Any) -> bool:
    """Whether to read `value` would stop the caller until a device has caught up."""
    device = getattr(value, "device", None)
    return getattr(device, "type", "cpu") != "cpu" and hasattr(value, "detach")


def detached(value: Any) -> Any:
    """A copy of a device value that later steps cannot change; nothing is read.

    Raises:
        UsageError: it is more than one number.
    """
    _check_shape(value)
    return value.detach().clone()


def number(value: Any) -> Number:
    """`value` as an int within 64 bits or a float.

    Raises:
        UsageError: it stands for no single number; whatever a stranger's `__float__` raises comes through too.
    """
    if isinstance(value, (str, bytes, bytearray, complex)) or value is None:
        raise UsageError(f"{type(value).__name__} is not a number")
    if not isinstance(value, (int, float)):
        value = _scalar(value)
    if isinstance(value, float):
        return float(value)
    whole = int(value)
    if not _LEAST <= whole <= _MOST:
        raise UsageError("the integer is beyond 64 bits; log it as a float")
    return whole


def _scalar(value: Any) -> int | float:
    item = getattr(value, "item", None)
    if item is not None:
        _check_shape(value)
        value = item()
    elif hasattr(value, "__float__"):
        value = float(value)
    if not isinstance(value, (int, float)):
        raise UsageError(f"{type(value).__name__} is not a number")
    return value


def _check_shape(value: Any) -> None:
    shape = tuple(getattr(value, "shape", ()))
    if math.prod(shape) != 1:
        raise UsageError(f"shape {shape} is not one number; log its mean, or one name for each")
