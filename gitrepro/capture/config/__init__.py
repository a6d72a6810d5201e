"""The effective configuration of a run: plain values, where each came from, and what it overrode.

Whatever people configure with (a dict, a dataclass, argparse, OmegaConf, a file, a command line) becomes nested plain
values: `None`, `bool`, `int`, `float`, `str`, lists and dicts with text keys. Layers of them are merged, later ones
winning, and each leaf remembers its layer.

A dotted key names a leaf. A dot or backslash that belongs to a key is escaped by a backslash: `{"a.b": {"c": 1}}` is
`a\\.b.c`.
"""

from __future__ import annotations

from .argv import from_argv, parse_assignment, parse_scalar
from .files import from_file
from .given import Given
from .layers import FORMAT, Config, Layer, merge
from .live import LiveConfig
from .observed import with_observed
from .values import Value, dotted, flatten, from_object, split_key

__all__ = [
    "FORMAT",
    "Config",
    "Given",
    "Layer",
    "LiveConfig",
    "Value",
    "dotted",
    "flatten",
    "from_argv",
    "from_file",
    "from_object",
    "merge",
    "parse_assignment",
    "parse_scalar",
    "split_key",
    "with_observed",
]
