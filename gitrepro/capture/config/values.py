"""Whatever people configure with, as nested plain values."""

from __future__ import annotations

import dataclasses
import datetime
import functools
import math
import re
import types
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from enum import Enum
from pathlib import PurePath
from typing import Any, TypeAlias, TypeGuard, final

from gitrepro.errors import UsageError

Value: TypeAlias = "bool | int | float | str | list[Value] | dict[str, Value] | None"

MAX_DEPTH = 24
MAX_VALUES = 100_000
MAX_TEXT_CHARACTERS = 1 << 20
MAX_KEY_CHARACTERS = 256
MAX_DIGITS = 4300
MAX_REPR_CHARACTERS = 200


def from_object(obj: object) -> dict[str, Value]:
    """The plain values of a configuration object.

    Args:
        obj: a mapping, dataclass, namespace, pydantic or attrs object, named tuple, or None for an empty configuration.

    Raises:
        UsageError: it is none of these, contains itself, or holds what a record cannot keep.
    """
    if obj is None:
        return {}
    return Plain().document(obj)


@final
class Plain:
    """One conversion: it counts what it has taken in and knows what it is inside of.

    Args:
        opaque: the text of an object that has no plain value; by default how it prints.
    """

    __slots__ = ("characters", "inside", "opaque", "values")

    def __init__(self, *, opaque: Callable[[object], str] | None = None) -> None:
        self.opaque = opaque or _short_repr
        self.inside: list[int] = []
        self.values = 0
        self.characters = 0

    def document(self, obj: object) -> dict[str, Value]:
        items = None if isinstance(obj, type) else _items(obj)
        if items is None:
            raise UsageError(
                f"a configuration cannot be a {_type_name(obj)}",
                why="it has no named values",
                do="pass a dict, a dataclass or a namespace",
            )
        return self._mapping(obj, items, ())

    def value(self, obj: object, path: tuple[str, ...]) -> Value:
        self._count(path)
        if obj is None or isinstance(obj, bool):
            return obj
        if isinstance(obj, Enum):
            # The name alone would not tell two enums apart; a text value is what people wrote.
            return self._text(obj.value if isinstance(obj.value, str) else f"{type(obj).__name__}.{obj.name}", path)
        if isinstance(obj, int):
            return _number(int(obj), path)
        if isinstance(obj, float):
            return float(obj)
        if isinstance(obj, str):
            return self._text(str(obj), path)
        return self._compound(obj, path)

    def _compound(self, obj: object, path: tuple[str, ...]) -> Value:
        if _is_scalar_array(obj):
            return self.value(_unboxed(obj), path)
        if (text := _as_text(obj)) is not None:
            return self._text(text, path)
        if isinstance(obj, AbstractSet):
            return sorted(self._sequence(obj, obj, path), key=_order)
        if _is_sequence(obj):
            return self._sequence(obj, obj, path)
        items = _items(obj)
        if items is not None:
            return self._mapping(obj, items, path)
        return self._text(self.opaque(obj), path)

    def _mapping(self, obj: object, items: Iterable[tuple[object, object]], path: tuple[str, ...]) -> dict[str, Value]:
        self._enter(obj, path)
        plain: dict[str, Value] = {}
        written: dict[str, object] = {}
        for key, item in items:
            name = key_text(key, path)
            if name in plain:
                raise UsageError(
                    f"two configuration keys are both written {dotted((*path, name))!r}",
                    why=f"{written[name]!r} and {key!r} give the same text",
                    do="rename one of them",
                )
            written[name] = key
            self.characters += len(name)
            plain[name] = self.value(item, (*path, name))
        self.inside.pop()
        return plain

    def _sequence(self, obj: object, items: Iterable[object], path: tuple[str, ...]) -> list[Value]:
        self._enter(obj, path)
        plain = [self.value(item, (*path, str(index))) for index, item in enumerate(items)]
        self.inside.pop()
        return plain

    def _enter(self, obj: object, path: tuple[str, ...]) -> None:
        if id(obj) in self.inside:
            raise UsageError(f"configuration key {_place(path)} contains itself", do="pass plain values")
        if len(self.inside) >= MAX_DEPTH:
            raise UsageError(
                f"configuration key {_place(path[:4])} is nested deeper than {MAX_DEPTH} levels", do="flatten it"
            )
        self.inside.append(id(obj))

    def _count(self, path: tuple[str, ...]) -> None:
        self.values += 1
        if self.values > MAX_VALUES or self.characters > MAX_TEXT_CHARACTERS:
            raise UsageError(
                f"the configuration is too large at {_place(path)}",
                why=f"it holds more than {MAX_VALUES} values or {MAX_TEXT_CHARACTERS} characters",
                do="keep data out of the configuration and record it as an artifact",
            )

    def _text(self, text: str, path: tuple[str, ...]) -> str:
        self.characters += len(text)
        self._count(path)
        if text.isascii():
            return text
        # A lone surrogate (an argument that was not UTF-8) has no bytes; its escape has.
        return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _items(obj: object) -> Iterable[tuple[object, object]] | None:
    """The named values of an object, or None when it has none."""
    if isinstance(obj, Mapping):
        return ((key, _item(obj, key)) for key in list(obj))
    if dataclasses.is_dataclass(obj) and not isinstance(obj, type):
        return [(each.name, getattr(obj, each.name, None)) for each in dataclasses.fields(obj)]
    if isinstance(obj, types.SimpleNamespace) or type(obj).__name__ == "Namespace":
        return list(vars(obj).items())
    for method in ("model_dump", "_asdict"):
        dump = getattr(obj, method, None)
        if callable(dump) and isinstance(dumped := dump(), Mapping):
            return list(dumped.items())
    fields = getattr(type(obj), "__attrs_attrs__", None)
    return None if fields is None else [(each.name, getattr(obj, each.name, None)) for each in fields]


def _item(mapping: Mapping[Any, object], key: object) -> object:
    try:
        return mapping[key]
    except Exception as error:
        if type(error).__name__ == "MissingMandatoryValue":
            return "???"
        raise UsageError(f"configuration key {key!r} has no value", why=str(error), do="give it one") from error


def _is_sequence(obj: object) -> TypeGuard[Iterable[object]]:
    if isinstance(obj, Sequence | deque):
        return not isinstance(obj, str | bytes | bytearray | memoryview)
    return isinstance(obj, type({}.keys()) | type({}.values()))


def _is_scalar_array(obj: object) -> bool:
    """A NumPy scalar, or an array or tensor without dimensions."""
    return hasattr(obj, "dtype") and hasattr(obj, "item") and getattr(obj, "shape", None) == ()


def _unboxed(obj: Any) -> object:
    inner: object = obj.item()
    return repr(inner) if _is_scalar_array(inner) or isinstance(inner, complex) else inner


def _as_text(obj: object) -> str | None:
    """The text of things that name something: paths, dates, types, devices."""
    if isinstance(obj, PurePath | datetime.date | datetime.time | datetime.timedelta):
        return str(obj)
    if isinstance(obj, functools.partial):
        return _short_repr(obj)
    if isinstance(obj, type | types.FunctionType | types.BuiltinFunctionType | types.MethodType):
        return f"{obj.__module__}.{obj.__qualname__}"
    name = type(obj).__name__
    return str(obj) if name in ("dtype", "device") or name.endswith("DType") else None


def _short_repr(obj: object) -> str:
    try:
        text = repr(obj)
    except Exception as error:  # noqa: BLE001 - the repr of a stranger's object may raise anything
        text = f"<{_type_name(obj)} without a repr: {type(error).__name__}>"
    # Addresses differ from run to run, and equal configurations must have equal records.
    text = re.sub(r" at 0x[0-9a-fA-F]+", "", text)
    return text if len(text) <= MAX_REPR_CHARACTERS else text[: MAX_REPR_CHARACTERS - 1] + "…"


def _type_name(obj: object) -> str:
    kind = type(obj)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _number(value: int, path: tuple[str, ...]) -> int:
    # Decimal digits are at least 0.301 per bit; the exact count would itself be refused by Python.
    if value.bit_length() * 0.30103 > MAX_DIGITS:
        raise UsageError(
            f"configuration key {_place(path)} is a number of more than {MAX_DIGITS} digits", do="pass it as text"
        )
    return value


def key_text(key: object, path: tuple[str, ...]) -> str:
    if isinstance(key, Enum):
        key = key.value if isinstance(key.value, str) else key.name
    text = str(key) if isinstance(key, str) else _short_repr(key)
    fault = ""
    if len(text) > MAX_KEY_CHARACTERS:
        fault = f"is longer than {MAX_KEY_CHARACTERS} characters"
    elif any(ord(char) < 32 or 127 <= ord(char) < 160 for char in text):
        fault = "holds control characters"
    elif any(0xD800 <= ord(char) < 0xE000 for char in text):
        fault = "is not valid Unicode"
    if fault:
        raise UsageError(f"a configuration key in {_place(path)} {fault}: {text[:40]!r}", do="rename it")
    return text


def _order(value: Value) -> tuple[str, float, str]:
    """A total order over mixed values, for sets: numbers by size, all else by text."""
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return ("number", float(value) if abs(value) < 2**1000 else math.inf, repr(value))
    return (type(value).__name__, 0.0, repr(value))


def _place(path: tuple[str, ...]) -> str:
    return repr(dotted(path)) if path else "at the top"


def dotted(path: Sequence[str]) -> str:
    """The dotted key of a path; `split_key` reads it back."""
    return ".".join(part.replace("\\", "\\\\").replace(".", "\\.") for part in path)


def split_key(key: str) -> tuple[str, ...]:
    """The path that a dotted key names."""
    if "\\" not in key:
        return tuple(key.split("."))
    parts = re.findall(r"(?:^|\.)((?:[^.\\]|\\.|\\$)*)", key)
    return tuple(re.sub(r"\\(.)", r"\1", part) for part in parts)


def flatten(values: Mapping[str, Value]) -> dict[str, Value]:
    """Every leaf under its dotted key. A list is a leaf, and so is an empty mapping."""
    return {dotted(path): leaf for path, leaf in leaves(values)}


def leaves(values: Mapping[str, Value], *, under: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Value]]:
    """Every leaf with its path, which is prefixed by `under`."""
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, under=(*under, key))
        else:
            yield (*under, key), value
