"""The configuration as the program reads it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any, TypeAlias, final

from .values import Value, dotted, from_object, leaves

OnChange: TypeAlias = Callable[[str, Value], None]


@final
class LiveConfig(MutableMapping[str, Any]):
    """The configuration as the program sees it: a mapping whose items are attributes as well.

    Nested mappings come wrapped, so `config.model.depth` works; a name that is also a method (`items`, `update`) is
    reached by its item, `config["items"]`. Assigned values are converted like all others and reported. Deleting a key
    changes this view only: the record keeps what the run was given. Reads are remembered for `unread()`.

    Args:
        values: plain nested values; they are copied.
        on_change: called with the dotted key and the converted value at each assignment.
    """

    __slots__ = ("_on_change", "_path", "_read", "_values", "_written")

    _on_change: OnChange | None
    _path: tuple[str, ...]
    _read: set[tuple[str, ...]]
    _values: dict[str, Value]
    _written: set[tuple[str, ...]]

    def __init__(self, values: Mapping[str, Value] | None = None, *, on_change: OnChange | None = None) -> None:
        self._bind(from_object(values), (), on_change, set(), set())

    def _bind(
        self,
        values: dict[str, Value],
        path: tuple[str, ...],
        on_change: OnChange | None,
        read: set[tuple[str, ...]],
        written: set[tuple[str, ...]],
    ) -> None:
        object.__setattr__(self, "_values", values)
        object.__setattr__(self, "_path", path)
        object.__setattr__(self, "_on_change", on_change)
        object.__setattr__(self, "_read", read)
        object.__setattr__(self, "_written", written)

    def __getitem__(self, key: str) -> Any:
        value = self._values[key]
        path = (*self._path, key)
        if not isinstance(value, dict):
            self._read.add(path)
            return value
        inner = LiveConfig.__new__(LiveConfig)
        inner._bind(value, path, self._on_change, self._read, self._written)
        return inner

    def __setitem__(self, key: str, value: Any) -> None:
        converted = from_object({key: value})
        self._values.update(converted)
        self._written.update(path for path, _ in leaves(converted, under=self._path))
        if self._on_change is not None:
            ((name, plain),) = converted.items()
            self._on_change(dotted((*self._path, name)), plain)

    def __delitem__(self, key: str) -> None:
        del self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._values))

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, key: object) -> bool:
        return key in self._values

    def __getattr__(self, name: str) -> Any:
        # Underscored names are looked up by pickle, copy and notebooks on objects of every kind.
        if not name.startswith("_") and name in self._values:
            return self[name]
        raise AttributeError(f"the configuration has no {dotted((*self._path, name))!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_") or hasattr(type(self), name):
            raise AttributeError(f"use config[{name!r}] = ...: {name!r} is no free attribute of a configuration")
        self[name] = value

    def __delattr__(self, name: str) -> None:
        if name not in self._values:
            raise AttributeError(f"the configuration has no {dotted((*self._path, name))!r}")
        del self[name]

    def __dir__(self) -> list[str]:
        return sorted({*object.__dir__(self), *(key for key in self._values if key.isidentifier())})

    def __repr__(self) -> str:
        return f"LiveConfig({self._values!r})"

    def __eq__(self, other: object) -> bool:
        if isinstance(other, LiveConfig):
            return self._values == other._values
        return self._values == other if isinstance(other, Mapping) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # it changes, as a dict does

    def __reduce__(self) -> tuple[type[LiveConfig], tuple[dict[str, Value]]]:
        """A copy in another process is on its own: it reports nothing, and what it reads is not seen here."""
        self._read.update(path for path, _ in leaves(self._values, under=self._path))
        return LiveConfig, (self._values,)

    def as_dict(self) -> dict[str, Any]:
        """A plain deep copy, for `json.dumps` and `**`; every value in it counts as read."""
        self._read.update(path for path, _ in leaves(self._values, under=self._path))
        return self.snapshot()

    def snapshot(self) -> dict[str, Any]:
        """A plain deep copy for the record, which reads nothing."""
        return from_object(self._values)

    def never_read(self) -> list[str]:
        """`unread()` but for keys the program set itself; nothing where the program reads its settings elsewhere."""
        written = {dotted(path) for path in self._written}
        return [key for key in self.unread() if key not in written] if self._read else []

    def unread(self) -> list[str]:
        """The dotted keys under this mapping that nobody has read: misspelt or dead settings."""
        paths = (path for path, _ in leaves(self._values, under=self._path))
        return sorted(dotted(path) for path in paths if path not in self._read)
