"""The program's own configuration object, looked at again at the end."""

from __future__ import annotations

import sys
from typing import Any, final

from gitrepro.errors import UsageError

from .values import Plain, Value, flatten


@final
class Given:
    """An object that was given as the configuration, and what it held then.

    What has no plain value is compared by its type alone: a model or a generator in a configuration prints otherwise
    after each step, and is no setting that was changed.

    Args:
        obj: what `from_object` takes; None holds nothing.
    """

    def __init__(self, obj: object) -> None:
        self._obj = obj
        self._before = _read(obj)

    def changes(self) -> dict[str, Value]:
        """Dotted key → value of what is new or other than before. What was deleted is no change: it was in force."""
        if self._before is None or (now := _read(self._obj)) is None:
            return {}
        before = self._before
        return {
            key: value
            for key, value in now.items()
            if not (key in before and repr(before[key]) == repr(value)) and not _is_opaque(value)
        }


def _read(obj: object) -> dict[str, Value] | None:
    """The leaves of a configuration object; None where it cannot be read."""
    if obj is None:
        return None
    try:
        return flatten(Plain(opaque=_type_of).document(_raw(obj)))
    except UsageError:
        return None
    except Exception:  # noqa: BLE001 - a stranger's object; at the end of a training nothing of it may matter
        return None


def _raw(obj: Any) -> object:
    """An OmegaConf object as written: to resolve it again may draw another random number, or read another clock."""
    omegaconf = sys.modules.get("omegaconf")
    if omegaconf is None or not omegaconf.OmegaConf.is_config(obj):
        return obj
    raw: object = omegaconf.OmegaConf.to_container(obj, resolve=False)
    return raw


def _type_of(obj: object) -> str:
    return f"<{type(obj).__module__}.{type(obj).__qualname__}>"


def _is_opaque(value: Value) -> bool:
    if isinstance(value, list):
        return any(map(_is_opaque, value))
    return isinstance(value, str) and value.startswith("<") and value.endswith(">")
