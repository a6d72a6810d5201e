"""The record of a version of a data set: what it is called, and the digest of its bytes. FORMAT.md shows the bytes.

The bytes themselves are named by the digest alone: that of the root of a tree manifest, see `manifest`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from . import fields, yaml

FORMAT: Final = 1
KINDS: Final = ("folder", "file", "csv", "parquet", "npz", "jsonl", "images", "text")
TABLES: Final = ("csv", "parquet", "npz", "jsonl")
"""Kinds whose items are the rows of one file; the items of the others are files."""
_DIGEST_BEGINNING = re.compile("b3:[0-9a-f]{4,64}")
_NUMBERED = re.compile("v([1-9][0-9]{0,8})")
_COLUMN: Final = "column:"
_WHAT: Final = "the record of a data set"
_AS: Final = "write NAME or NAME@VERSION, as in `digits@v1`"


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetRecord:
    """`datasets/<name>/<64 hex>.yaml`, written once.

    `items` counts examples: files of a folder, rows of a table. `id` says what names an item (`path`, `row` or
    `column:<name>`), `label` what it belongs to (a column, or `folder`). `linked` data were hashed where they lie and
    not copied; `source` is the path as it was typed.
    """

    name: str
    version: str
    digest: str
    kind: str
    items: int
    files: int
    size_bytes: int
    linked: bool
    source: str
    id: str
    label: str | None = None
    ignore: tuple[str, ...] = ()
    created_at: str = ""
    actor: Mapping[str, Any] = field(default_factory=dict)
    note: str | None = None
    unknown: Mapping[str, Any] = field(default_factory=dict)
    """Fields of a later format: kept, and ignored."""

    @property
    def path(self) -> str:
        """Where the record stands in the tree of the run ref."""
        return dataset_path(self.name, self.digest)

    @property
    def ref(self) -> str:
        """The version as people type it: `digits@v1`."""
        return f"{self.name}@{self.version}"

    @property
    def is_table(self) -> bool:
        return self.kind in TABLES

    def document(self) -> dict[str, Any]:
        return {
            **self.unknown,
            "actor": dict(self.actor),
            "created_at": self.created_at,
            "digest": self.digest,
            "files": self.files,
            "format": FORMAT,
            "id": self.id,
            "ignore": list(self.ignore),
            "items": self.items,
            "kind": self.kind,
            "label": self.label,
            "linked": self.linked,
            "name": self.name,
            "note": self.note,
            "size_bytes": self.size_bytes,
            "source": self.source,
            "version": self.version,
        }

    def dump(self) -> bytes:
        return yaml.dump(self.document())


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetRef:
    """What people type for a version, taken apart: `digits`, `digits@v1`, `digits@b3:12ab`, `b3:12ab...`."""

    name: str | None
    version: str | None = None
    digest: str | None = None
    """`b3:` and the first 4 to 64 hex digits."""


def parse_ref(text: str) -> DatasetRef:
    """Take a reference apart.

    Raises:
        UsageError: it has no form that a reference has.
    """
    name, at, version = text.partition("@")
    if _DIGEST_BEGINNING.fullmatch(text):
        return DatasetRef(name=None, digest=text)
    check_name(name)
    if not at:
        return DatasetRef(name=name)
    if _DIGEST_BEGINNING.fullmatch(version):
        return DatasetRef(name=name, digest=version)
    return DatasetRef(name=name, version=check_name(version, "a version"))


def check_name(name: str, what: str = "a data set") -> str:
    """`name`, when it can name a data set or a version.

    Raises:
        UsageError: it cannot.
    """
    return fields.check_name(name, what, do=_AS)


def next_version(versions: Sequence[str]) -> str:
    """The label of a version that was given none: one above the highest `v<n>`."""
    numbers = [int(match[1]) for version in versions if (match := _NUMBERED.fullmatch(version))]
    return f"v{max(numbers, default=0) + 1}"


def dataset_path(name: str, digest: str) -> str:
    """Where the record of the version `b3:<64 hex>` stands in the tree of the run ref."""
    return f"datasets/{name}/{digest.removeprefix('b3:')}.yaml"


def statistics_path(name: str, digest: str, algorithm: int) -> str:
    """Where the statistics of a version stand: one file for each algorithm that computed them."""
    return f"datasets/{name}/{digest.removeprefix('b3:')}.statistics-{algorithm}.yaml"


def load_dataset(data: bytes, *, source: str) -> DatasetRecord:
    """Read the record of a version.

    Raises:
        Damaged: it does not parse, or a field is missing or of another type.
        TooNew: its format is newer than this program.
    """
    values: dict[str, Any] = yaml.load(data, source=source)
    fields.check_format(values.pop("format", None), newest=FORMAT, source=source, what=_WHAT)
    taken = {name: fields.take(values, name, fits, source=source, what=_WHAT) for name, fits in _FIELDS.items()}
    return DatasetRecord(**{**taken, "ignore": tuple(taken["ignore"])}, unknown=values)


def is_id(value: object) -> bool:
    """Whether `value` says what names an item: `path`, `row` or `column:<name>`."""
    if not isinstance(value, str):
        return False
    return value in ("path", "row") or (value.startswith(_COLUMN) and value != _COLUMN)


_FIELDS: Final[dict[str, fields.Fits]] = {
    "actor": fields.is_map,
    "created_at": fields.is_text,
    "digest": fields.is_digest,
    "files": fields.is_count,
    "id": is_id,
    "ignore": fields.are_texts,
    "items": fields.is_count,
    "kind": lambda value: value in KINDS,
    "label": fields.or_none(fields.is_text),
    "linked": fields.is_flag,
    "name": fields.is_name,
    "note": fields.or_none(fields.is_text),
    "size_bytes": fields.is_count,
    "source": fields.is_text,
    "version": fields.is_name,
}
