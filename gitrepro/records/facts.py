"""What a run can be found by: plain values under plain names, the same for a run on record and one under way."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from .event import Standing
from .run import RunRecord
from .seedset import seed_set_key, the_seed
from .words import vocabulary

Scalar: TypeAlias = "str | int | float"

_LARGEST: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Term:
    """What is looked at: a `field`, a `metric`, a leaf of the `config`, or the `label`s."""

    kind: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The values of one run that a query sees. A value that is missing, or null, is not there."""

    fields: Mapping[str, Scalar]
    metrics: Mapping[str, Scalar]
    """The summary: one value a metric."""
    config: Mapping[str, Scalar]
    """Each leaf under its dotted key."""
    labels: tuple[str, ...] = ()
    words: tuple[str, ...] = ()

    def values(self, term: Term) -> tuple[Scalar, ...]:
        """The values of a term: one or none; of labels any number."""
        if term.kind == "label":
            return self.labels
        held = {"field": self.fields, "metric": self.metrics, "config": self.config}[term.kind]
        return (held[term.key],) if term.key in held else ()


def facts(record: RunRecord, standing: Standing, config: Mapping[str, Any]) -> Facts:
    """The facts of a run. `config` is its effective config, nested."""
    leaves = {text(key): found for key, value in flat(config) if (found := scalar(value)) is not None}
    fields = _fields(record, standing)
    fields["set_key"] = seed_set_key(record, config)
    labels = tuple(dict.fromkeys(map(text, standing.labels)))
    return Facts(
        fields=fields,
        metrics={text(name): found for name, value in record.summary.items() if (found := scalar(value)) is not None},
        config=leaves,
        labels=labels,
        words=vocabulary(_texts(fields, labels, leaves)),
    )


def _fields(record: RunRecord, standing: Standing) -> dict[str, Scalar]:
    code = record.code or {}
    values = {
        "id": record.id,
        "name": standing.name or record.name,
        "kind": record.kind,
        "status": record.status,
        "started_at": record.started_at,
        "ended_at": record.ended_at,
        "email": record.actor.get("email"),
        "actor": record.actor.get("name"),
        "group": standing.group or record.group,
        "commit_id": code.get("commit"),
        "tree": code.get("tree"),
        "branch": code.get("branch"),
        "host": record.host.get("hostname"),
        "note": "\n".join(filter(None, (record.note, *standing.notes))) or None,
        "argv": " ".join(record.argv) or None,
        "lineage": record.lineage,
        "resumes": record.resumes,
    }
    found: dict[str, Scalar] = {name: text(value) for name, value in values.items() if value is not None}
    numbers = {"duration_seconds": record.duration_seconds, "seed": the_seed(record.seeds), "dirty": code.get("dirty")}
    found.update({name: value for name, each in numbers.items() if (value := scalar(each)) is not None})
    return {**found, "removed": int(standing.removed)}


def _texts(fields: Mapping[str, Scalar], labels: Sequence[str], config: Mapping[str, Scalar]) -> Iterator[str]:
    yield from (str(fields[name]) for name in ("name", "group", "note", "argv") if name in fields)
    yield from labels
    for key, value in config.items():
        yield key
        if isinstance(value, str):
            yield value


def flat(config: Mapping[str, Any], *, under: str = "") -> Iterator[tuple[str, Any]]:
    """Each leaf of a nested config with its dotted key; a dot or backslash of a key itself is escaped."""
    for key, value in config.items():
        part = str(key)
        if "." in part or "\\" in part:
            part = escaped(part)
        path = f"{under}.{part}" if under else part
        if isinstance(value, dict):
            yield from flat(value, under=path)
        else:
            yield path, value


def escaped(part: str) -> str:
    """One part of a dotted key, as it stands in the key."""
    return part.replace("\\", "\\\\").replace(".", "\\.")


def scalar(value: Any) -> Scalar | None:
    """A value as it is compared and sorted; None for what counts as missing.

    Booleans are 1 and 0. Integers beyond 64 bits are compared as the nearest float. A list is its JSON text.
    """
    if isinstance(value, str):
        return text(value)
    if value is None or isinstance(value, float):
        return value
    if isinstance(value, int):
        return int(value) if -_LARGEST <= value <= _LARGEST else _nearest(value)
    return text(json.dumps(value, ensure_ascii=False, default=str))


def _nearest(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def text(value: object) -> str:
    """Text that a database holds as it stands: without NUL and lone surrogates."""
    found = value if type(value) is str else str(value)
    if found.isascii() and "\0" not in found:
        return found
    return found.replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
