"""`wandb.config` and `wandb.summary` as scripts use them: items, attributes and `update`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any, final

from ...run.handle import Run
from ..target import take_config
from .settings import plain_config


class _Attributes(MutableMapping[str, Any]):
    """A mapping whose items are attributes as well."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in self:
            raise AttributeError(f"{type(self).__name__.lower()} has no {name!r}")
        return self[name]

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_"):
            object.__setattr__(self, name, value)
        else:
            self[name] = value

    def __delitem__(self, name: str) -> None:
        del self._inner[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._inner)

    def __len__(self) -> int:
        return len(self._inner)

    def __contains__(self, name: object) -> bool:
        return name in self._inner

    def __repr__(self) -> str:
        return f"{type(self).__name__}({dict(self)!r})"

    def get(self, key: str, *default: Any) -> Any:
        """The value of a key, or the default."""
        return self[key] if key in self else (default[0] if default else None)


@final
class Config(_Attributes):
    """The config of a run. A value may be set again: what it was stays on record."""

    def __init__(self, run: Run) -> None:
        self._inner, self._run = run.config, run

    def __getitem__(self, name: str) -> Any:
        value = self._inner[name]
        return value.as_dict() if hasattr(value, "as_dict") else value

    def __setitem__(self, name: str, value: Any) -> None:
        take_config(self._run, {name: value})

    def update(self, values: Any = None, allow_val_change: bool | None = None, **more: Any) -> None:  # type: ignore[override]  # noqa: ARG002
        """Take in a mapping, a namespace or a dataclass."""
        take_config(self._run, {**plain_config(values), **more})

    def setdefaults(self, values: Any) -> None:
        """Take in those that are not there yet."""
        take_config(self._run, {key: value for key, value in plain_config(values).items() if key not in self})

    def as_dict(self) -> dict[str, Any]:
        """A plain deep copy."""
        return self._inner.as_dict()


@final
class Summary(_Attributes):
    """The last value of everything that was logged, and what the script sets; only that is kept as a summary."""

    def __init__(self, run: Run) -> None:
        self._inner: dict[str, Any] = {}
        self._run = run

    def __getitem__(self, name: str) -> Any:
        return self._inner[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self._inner[name] = value
        self._run.summary[name] = value

    def update(self, values: Any = None, **more: Any) -> None:  # type: ignore[override]
        """Set several."""
        for name, value in {**plain_config(values), **more}.items():
            self[name] = value

    def saw(self, values: Mapping[str, Any]) -> None:
        """Remember what was logged; the record makes a summary of it by itself."""
        self._inner.update(values)
