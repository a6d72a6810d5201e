"""The record of a split: whose items, by which rule, how many in each part. FORMAT.md shows the bytes.

The ids themselves stand in a blob of the store, see `partition`; its digest is the identity of the split.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ..errors import Damaged, TooNew, UsageError
from . import yaml

FORMAT: Final = 1
_NAME = re.compile("[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_DIGEST = re.compile("b3:[0-9a-f]{64}")
_MISSING: Final = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitRecord:
    """`splits/<data set>/<name>/<64 hex>.yaml`, written once.

    `dataset` is `{name, version, digest}`; `parts` counts the items of each part; `classes` those of each label in each
    part, where labels are known and few. `stable` says whether an item keeps its part when items are added.
    `deviation` is the largest distance of a part's share of a class from what was asked, where classes were balanced.
    """

    name: str
    version: str
    digest: str
    dataset: Mapping[str, str]
    rule: Mapping[str, Any]
    parts: Mapping[str, int]
    classes: Mapping[str, Mapping[str, int]] | None = None
    seed: int | None = None
    group: str | None = None
    stable: bool = False
    deviation: float | None = None
    created_at: str = ""
    actor: Mapping[str, Any] = field(default_factory=dict)
    note: str | None = None
    unknown: Mapping[str, Any] = field(default_factory=dict)
    """Fields of a later format: kept, and ignored."""

    @property
    def path(self) -> str:
        """Where the record stands in the tree of the run ref."""
        return split_path(self.dataset["name"], self.name, self.digest)

    def document(self) -> dict[str, Any]:
        return {
            **self.unknown,
            "actor": dict(self.actor),
            "classes": None if self.classes is None else {part: dict(each) for part, each in self.classes.items()},
            "created_at": self.created_at,
            "dataset": dict(self.dataset),
            "deviation": self.deviation,
            "digest": self.digest,
            "format": FORMAT,
            "group": self.group,
            "name": self.name,
            "note": self.note,
            "parts": dict(self.parts),
            "rule": dict(self.rule),
            "seed": self.seed,
            "stable": self.stable,
            "version": self.version,
        }

    def dump(self) -> bytes:
        return yaml.dump(self.document())


def check_name(name: str, what: str = "a split") -> str:
    """`name`, when it can name a split or a part.

    Raises:
        UsageError: it cannot.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r:.120} cannot name {what}",
            why="a name has 1 to 100 letters, digits, dots, dashes and underscores, a letter or digit first",
        )
    return name


def split_path(dataset: str, name: str, digest: str) -> str:
    """Where the record of the split `b3:<64 hex>` stands in the tree of the run ref."""
    return f"splits/{dataset}/{name}/{digest.removeprefix('b3:')}.yaml"


def load_split(data: bytes, *, source: str) -> SplitRecord:
    """Read the record of a split.

    Raises:
        Damaged: it does not parse, or a field is missing or of another type.
        TooNew: its format is newer than this program.
    """
    values: dict[str, Any] = yaml.load(data, source=source)
    _check_format(values.pop("format", None), source)
    taken = {name: _take(values, name, fits, source) for name, fits in _FIELDS.items()}
    return SplitRecord(**taken, unknown=values)


def _check_format(found: object, source: str) -> None:
    if not _is_count(found) or found == 0:
        raise Damaged(f"{source}: format is {found!r:.60}", why="the record of a split says which format it has")
    if found != FORMAT:
        raise TooNew(
            f"{source} has format {found}", why=f"this gitrepro reads format {FORMAT}", do="upgrade gitrepro to read it"
        )


def _take(values: dict[str, Any], name: str, fits: Callable[[Any], bool], source: str) -> Any:
    value = values.pop(name, _MISSING)
    if value is _MISSING or not fits(value):
        shown = "missing" if value is _MISSING else f"{value!r:.60}"
        raise Damaged(f"{source}: {name} is {shown}", why="it is not what the record of a split holds there")
    return value


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _are_counts(value: object) -> bool:
    return isinstance(value, dict) and all(map(_is_count, value.values()))


def _is_name(value: object) -> bool:
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and _DIGEST.fullmatch(value) is not None


def _is_dataset(value: object) -> bool:
    if not isinstance(value, dict):
        return False
    return _is_name(value.get("name")) and _is_name(value.get("version")) and _is_digest(value.get("digest"))


def _is_text_or_none(value: object) -> bool:
    return value is None or isinstance(value, str)


def _is_integer_or_none(value: object) -> bool:
    return value is None or (isinstance(value, int) and not isinstance(value, bool))


_FIELDS: Final[dict[str, Callable[[Any], bool]]] = {
    "actor": lambda value: isinstance(value, dict),
    "classes": lambda value: value is None or (isinstance(value, dict) and all(map(_are_counts, value.values()))),
    "created_at": lambda value: isinstance(value, str),
    "dataset": _is_dataset,
    "deviation": lambda value: value is None or isinstance(value, float),
    "digest": _is_digest,
    "group": _is_text_or_none,
    "name": _is_name,
    "note": _is_text_or_none,
    "parts": lambda value: _are_counts(value) and all(map(_is_name, value)),
    "rule": lambda value: isinstance(value, dict),
    "seed": _is_integer_or_none,
    "stable": lambda value: isinstance(value, bool),
    "version": _is_name,
}
