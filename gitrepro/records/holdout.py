"""One entry of a holdout log: who opened, chose by, sealed or scored a part that is to be used once, and when.

The entries of a split form a chain: each names by digest the entries that were the last ones when it was written. Two
that name the same ones were written apart, and both count. FORMAT.md shows the bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, final

from . import fields, ids, yaml

FORMAT: Final = 1
OPEN: Final = "open"
SELECT: Final = "select"
OPERATIONS: Final = (OPEN, SELECT, "seal", "predict", "score", "budget")
CONFIRM: Final = "confirm"
PURPOSES: Final = (CONFIRM, "explore", "debug")
"""Why a part is opened: to state a number, to look around, or to find a fault. All three count the same."""
FOLDER: Final = "holdout"
_WHAT: Final = "an entry of a holdout log"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """`holdout/<64 hex of the split>/<id>.yaml`, written once.

    Attributes:
        id: a lower-case ULID.
        op: one of `OPERATIONS`.
        split: `b3:...` of the split; `dataset`, `name` and `version` are how people called it.
        part: of the split.
        run: the run that opened it; None where no run did.
        runs: of a `select` the runs that were chosen.
        purpose: of an `open` one of `PURPOSES`; None of all else.
        prev: digests of the entries that were the last ones, sorted; none before the first.
        number: one more than the greatest number its writer knew of, from 1.
        at: UTC, ISO 8601, by the clock of the writer: for people; the order comes from `prev` and `number`.
        detail: what an operation says besides.
    """

    id: str
    op: str
    split: str
    dataset: str
    name: str
    version: str
    part: str
    run: str | None = None
    runs: tuple[str, ...] = ()
    purpose: str | None = None
    reason: str = ""
    prev: tuple[str, ...] = ()
    number: int = 1
    actor: Mapping[str, Any] = field(default_factory=dict)
    at: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)
    unknown: Mapping[str, Any] = field(default_factory=dict)
    """Fields of a later format: kept, and ignored."""

    @property
    def path(self) -> str:
        """Where the entry stands in the tree of the run ref."""
        return f"{folder_of(self.split)}/{self.id}.yaml"

    @property
    def digest(self) -> str:
        """By which a later entry, and the record of a run, names this one."""
        return digest_of(self.dump())

    def document(self) -> dict[str, Any]:
        return {
            **self.unknown,
            "actor": dict(self.actor),
            "at": self.at,
            "dataset": self.dataset,
            "detail": dict(self.detail),
            "format": FORMAT,
            "id": self.id,
            "name": self.name,
            "number": self.number,
            "op": self.op,
            "part": self.part,
            "prev": list(self.prev),
            "purpose": self.purpose,
            "reason": self.reason,
            "run": self.run,
            "runs": list(self.runs),
            "split": self.split,
            "version": self.version,
        }

    def dump(self) -> bytes:
        return yaml.dump(self.document())


def folder_of(split: str) -> str:
    """The folder of the log of the split `b3:<64 hex>` in the tree of the run ref."""
    return f"{FOLDER}/{split.removeprefix('b3:')}"


def digest_of(data: bytes) -> str:
    """`b3:` and the BLAKE3 of the bytes of an entry."""
    from blake3 import blake3

    return f"b3:{blake3(data).hexdigest()}"


def load_entry(data: bytes, *, source: str) -> Entry:
    """Read an entry.

    Raises:
        Damaged: it does not parse, or a field is missing or of another type.
        TooNew: its format is newer than this program.
    """
    values: dict[str, Any] = yaml.load(data, source=source)
    fields.check_format(values.pop("format", None), newest=FORMAT, source=source, what=_WHAT)
    taken = {name: fields.take(values, name, fits, source=source, what=_WHAT) for name, fits in _FIELDS.items()}
    taken |= {name: tuple(taken[name]) for name in ("prev", "runs")}
    return Entry(**taken, unknown=values)


def _is_id(value: object) -> bool:
    return isinstance(value, str) and ids.is_id(value)


def _are_digests(value: object) -> bool:
    return isinstance(value, list) and all(map(fields.is_digest, value)) and value == sorted({*value})


def _are_ids(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_id, value))


_FIELDS: Final[dict[str, fields.Fits]] = {
    "actor": fields.is_map,
    "at": fields.is_text,
    "dataset": fields.is_name,
    "detail": fields.is_map,
    "id": _is_id,
    "name": fields.is_name,
    "number": lambda value: fields.is_count(value) and value > 0,
    "op": fields.is_text,
    "part": fields.is_name,
    "prev": _are_digests,
    "purpose": fields.or_none(lambda value: value in PURPOSES),
    "reason": fields.is_text,
    "run": fields.or_none(_is_id),
    "runs": _are_ids,
    "split": fields.is_digest,
    "version": fields.is_name,
}
