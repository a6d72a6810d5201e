"""Any configuration object as plain values, within bounds, and without calling anything of the program's own."""

from __future__ import annotations

TYPE_CHECKING = False  # as typing has it, without importing typing
if TYPE_CHECKING:
    from typing import Any

MOST_VALUES = 2000
MOST_CHARACTERS = 64 << 10
_DEPTH = 12
_LONGEST_TEXT = 4096


class TooLarge(Exception):
    """It holds more than a configuration does."""


def plain(value: Any) -> Any:
    """`value` as None, bool, int, float, str, lists and dicts; what is none of these as `<module.Type>`.

    A float that JSON has no number for is `{"$float": "nan"}`.

    Raises:
        TooLarge: more values or characters than a configuration has.
    """
    return _Plain().value(value, 0)


def is_opaque(value: Any) -> bool:
    """Whether `plain` could only say the type of it, or of something in it."""
    if isinstance(value, dict):
        return any(map(is_opaque, value.values()))
    if isinstance(value, list):
        return any(map(is_opaque, value))
    return isinstance(value, str) and value[:1] == "<" and value[-1:] == ">"


class _Plain:
    def __init__(self) -> None:
        self.values = 0
        self.characters = 0

    def value(self, value: Any, depth: int) -> Any:
        self.values += 1
        if self.values > MOST_VALUES or depth > _DEPTH:
            raise TooLarge
        if value is None or isinstance(value, bool):
            return value
        if _is_enum(value):
            value = value.value if isinstance(value.value, str) else type(value).__name__ + "." + value.name
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, int):
            return int(value) if value.bit_length() < 4096 else self.text(hex(value))
        if isinstance(value, float):
            return float(value) if value - value == 0 else {"$float": repr(float(value))}
        return self.compound(value, depth)

    def compound(self, value: Any, depth: int) -> Any:
        if isinstance(value, dict):
            return self.mapping(value, depth)
        if isinstance(value, (list, tuple)):
            return [self.value(item, depth + 1) for item in value]
        if type(value).__module__ == "numpy" and getattr(value, "shape", None) == ():
            return self.value(value.item(), depth + 1)
        if isinstance(value, (set, frozenset)):
            return sorted((self.value(item, depth + 1) for item in value), key=repr)
        names = _names(value)
        return self.text(_word(value)) if names is None else self.mapping(names, depth)

    def mapping(self, values: dict[Any, Any], depth: int) -> dict[str, Any]:
        return {self.text(_key(key)): self.value(item, depth + 1) for key, item in list(values.items())}

    def text(self, text: str) -> str:
        text = text[:_LONGEST_TEXT]
        self.characters += len(text)
        if self.characters > MOST_CHARACTERS:
            raise TooLarge
        return text


def _key(key: Any) -> str:
    return key if isinstance(key, str) else repr(key) if isinstance(key, (int, float, bool)) else _word(key)


def _is_enum(value: Any) -> bool:
    return hasattr(type(value), "__members__") and hasattr(value, "name")


def _names(value: Any) -> dict[str, Any] | None:
    """The named values of a dataclass or namespace."""
    kind = type(value)
    if hasattr(kind, "__dataclass_fields__"):
        return {name: getattr(value, name, None) for name in kind.__dataclass_fields__}
    return dict(vars(value)) if kind.__name__ in ("Namespace", "SimpleNamespace") else None


def _word(value: Any) -> str:
    """What things that name something are called; of all others the type, for to print them is code of theirs."""
    kind = type(value)
    if kind.__module__ == "pathlib" or kind.__module__.startswith("pathlib."):
        return str(value)
    if kind.__module__ == "torch" and kind.__name__ in ("dtype", "device"):
        return str(value)
    if isinstance(value, type) or kind.__name__ in ("function", "builtin_function_or_method"):
        return "{}.{}".format(value.__module__, getattr(value, "__qualname__", value.__name__))
    return f"<{kind.__module__}.{kind.__qualname__}>"
