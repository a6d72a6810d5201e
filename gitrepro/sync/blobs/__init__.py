"""Blobs to and from store remotes: places that keep bytes under keys, whatever they are.

Nothing of a remote is trusted: what comes is hashed before it gets a name here.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from .asking import missing_there
    from .driver import Driver
    from .fetching import Fetched, fetch
    from .opening import open_driver
    from .sending import Sent, send
    from .there import Wrong

__all__ = ["Driver", "Fetched", "Sent", "Wrong", "fetch", "missing_there", "open_driver", "send"]

# Who serves a store to others needs the drivers and not what sends and fetches.
_HOMES: Final = {
    "Driver": "driver",
    "Fetched": "fetching",
    "Sent": "sending",
    "Wrong": "there",
    "fetch": "fetching",
    "missing_there": "asking",
    "open_driver": "opening",
    "send": "sending",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
