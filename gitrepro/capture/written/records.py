"""Metrics as JSON: an object a line, a list of objects, or Hugging Face's `trainer_state.json`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, final

from .points import Number, Point, Rejected, number_of, step_name, take_step

_DEPTH_AT_MOST: Final = 32
_HISTORY: Final = "log_history"


@final
class Objects:
    """The points of a sequence of JSON objects. Nested names are joined by `/`.

    The step is `step`, `global_step`, `iteration` or `epoch`, the first of these that an object has; without a whole
    number there, it is one more than that of the object before.

    Attributes:
        rejected: values that are no numbers, by name.
        unreadable: lines or items that are no JSON object.
    """

    def __init__(self) -> None:
        self.rejected = Rejected()
        self.unreadable = 0
        self._step = -1

    def take(self, lines: list[str]) -> list[Point]:
        """The points of these lines, an object each."""
        return self.points([self._parsed(line) for line in lines if line.strip()])

    def points(self, objects: list[Any]) -> list[Point]:
        """The points of these objects."""
        points = (self._point(item) for item in objects)
        return [point for point in points if point is not None]

    def _parsed(self, line: str) -> Any:
        try:
            return json.loads(line)
        except (ValueError, RecursionError):
            return None

    def _point(self, item: Any) -> Point | None:
        if not isinstance(item, dict):
            self.unreadable += 1
            return None
        values: dict[str, Number] = {}
        for name, value in _leaves(item, "", 0):
            number = number_of(value)
            if number is not None:
                values[name] = number
            elif value is not None:
                self.rejected.add(name)
        self._step = take_step(values, step_name(values), after=self._step)
        return Point(step=self._step, values=values) if values else None


def document(data: bytes) -> list[Any]:
    """The objects of a whole JSON document: its list, its `log_history`, or the one object that it is.

    Raises:
        ValueError: it is no JSON, or not yet.
    """
    try:
        found = json.loads(data.removeprefix(b"\xef\xbb\xbf"))
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error
    if isinstance(found, dict) and isinstance(found.get(_HISTORY), list):
        found = found[_HISTORY]
    return found if isinstance(found, list) else [found]


def _leaves(values: Mapping[str, Any], under: str, depth: int) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict) and depth < _DEPTH_AT_MOST:
            yield from _leaves(value, f"{under}{name}/", depth + 1)
        else:
            yield f"{under}{name}", value
