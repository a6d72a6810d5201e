"""The record of a split: whose items, by which rule, how many in each part. FORMAT.md shows the bytes.

The ids themselves stand in a blob of the store, see `partition`; its digest is the identity of the split.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from . import fields, yaml

FORMAT: Final = 1
_WHAT: Final = "the record of a split"


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
    return fields.check_name(name, what)


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
    fields.check_format(values.pop("format", None), newest=FORMAT, source=source, what=_WHAT)
    taken = {name: fields.take(values, name, fits, source=source, what=_WHAT) for name, fits in _FIELDS.items()}
    return SplitRecord(**taken, unknown=values)


def _is_dataset(value: object) -> bool:
    if not isinstance(value, dict):
        return False
    names = (value.get("name"), value.get("version"))
    return all(map(fields.is_name, names)) and fields.is_digest(value.get("digest"))


def _are_classes(value: object) -> bool:
    return isinstance(value, dict) and all(map(fields.are_counts, value.values()))


_FIELDS: Final[dict[str, fields.Fits]] = {
    "actor": fields.is_map,
    "classes": fields.or_none(_are_classes),
    "created_at": fields.is_text,
    "dataset": _is_dataset,
    "deviation": fields.or_none(lambda value: isinstance(value, float)),
    "digest": fields.is_digest,
    "group": fields.or_none(fields.is_text),
    "name": fields.is_name,
    "note": fields.or_none(fields.is_text),
    "parts": lambda value: fields.are_counts(value) and all(map(fields.is_name, value)),
    "rule": fields.is_map,
    "seed": fields.or_none(fields.is_whole),
    "stable": fields.is_flag,
    "version": fields.is_name,
}
