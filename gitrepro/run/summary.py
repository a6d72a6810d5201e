"""`run.summary`: numbers and words that stand for a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any, final

from ..capture import config as configs
from ..errors import UsageError
from .names import check_name


@final
class Summary(MutableMapping[str, Any]):
    """What you set stands over what gitrepro computes at the end.

    Args:
        on_change: is given each change, as plain values by name.
    """

    def __init__(self, *, on_change: Callable[[Mapping[str, Any]], None]) -> None:
        self._on_change = on_change
        self._values: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __setitem__(self, name: str, value: Any) -> None:
        clean = configs.from_object({check_name(name, what="summary name"): value})
        self._values.update(clean)
        self._on_change(clean)

    def __delitem__(self, name: str) -> None:
        raise UsageError(f"summary {name!r} stays on record", do="set it to another value")

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Summary({self._values!r})"
