"""What a run can be found by: plain values under plain names, the same for a run on record and one under way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .event import Standing
from .run import RunRecord
from .seeds import the_seed
from .seedset import seed_set_key
from .term import Scalar, Term, flat, scalar, text
from .used import DATA, SPLIT, Used, shown, used
from .words import vocabulary


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
    used: tuple[Used, ...] = ()

    def values(self, term: Term) -> tuple[Scalar, ...]:
        """The values of a term: one or none; of labels, data and splits any number."""
        if term.kind == "label":
            return self.labels
        if term.kind in (DATA, SPLIT):
            return tuple(value for each in self.used if each.kind == term.kind for value in each.values(term.key))
        held = {"field": self.fields, "metric": self.metrics, "config": self.config}[term.kind]
        return (held[term.key],) if term.key in held else ()


def facts(record: RunRecord, standing: Standing, config: Mapping[str, Any]) -> Facts:
    """The facts of a run. `config` is its effective config, nested."""
    leaves = {text(key): found for key, value in flat(config) if (found := scalar(value)) is not None}
    fields = _fields(record, standing)
    fields["set_key"] = seed_set_key(record, config)
    held = used(record.data)
    fields.update({kind: found for kind in (DATA, SPLIT) if (found := shown(held, kind))})
    labels = tuple(dict.fromkeys(map(text, standing.labels)))
    return Facts(
        fields=fields,
        metrics={text(name): found for name, value in record.summary.items() if (found := scalar(value)) is not None},
        config=leaves,
        labels=labels,
        words=vocabulary(_texts(fields, labels, leaves)),
        used=held,
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
