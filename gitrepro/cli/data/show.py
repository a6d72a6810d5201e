"""`gitrepro data show`: all that is known of a version."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from ...data.lookup import Seen, State, look, missing_blobs
from ...data.places import places_of
from ...errors import BlobMissing, GitreproError
from ...records.dataset import DatasetRecord
from ...records.split import SplitRecord
from ...store.catalog import Catalog
from ...store.repository import Repository
from .. import here
from ..present import clean, coloured, counted, emit, line, note, pairs, size
from .numbers import print_statistics
from .parts import SCHEMA, document, short

_SPLITS_AT_MOST = 20
_PARTS_AT_MOST = 12


@click.command()
@click.argument("name", metavar="NAME[@VERSION]")
@click.option("--all", "everything", is_flag=True, help="Show every class and every feature.")
@click.option("--json", "as_json", is_flag=True, help="Print one object as JSON.")
def show(name: str, everything: bool, as_json: bool) -> None:
    """Show all that is known of a version.

    Its facts, where it lies here, its splits, its classes, and its statistics with small histograms.
    """
    found = here.repository()
    with Catalog(found) as catalog:
        record = catalog.dataset(name)
        splits = catalog.splits(record)
        statistics = _statistics(catalog, record)
    seen = [look(found, record, place, "stat") for place in places_of(found, record.digest)]
    missing = _missing(found, record)
    if as_json:
        emit(_document(record, splits, statistics, seen, missing))
        return
    for text in pairs(_facts(record, missing, seen)):
        line(text)
    _print_splits(splits)
    if statistics is not None:
        print_statistics(statistics, everything=everything)
    else:
        note(f"no statistics; `gitrepro data stats {record.ref}` computes them")


def _statistics(catalog: Catalog, record: DatasetRecord) -> Mapping[str, Any] | None:
    try:
        return catalog.statistics(record)
    except GitreproError as error:
        note(f"the statistics cannot be read: {clean(error)}")
        return None


def _missing(found: Repository, record: DatasetRecord) -> int | None:
    """How many files are not in the store; None where not even the manifest is there."""
    try:
        return missing_blobs(found, record)
    except BlobMissing:
        return None


def _facts(record: DatasetRecord, missing: int | None, seen: list[Seen]) -> list[tuple[str, str]]:
    actor = record.actor.get("name") or record.actor.get("email") or ""
    label = {None: "none", "folder": "the first folder"}.get(record.label, f"column {record.label}")
    rows = [
        ("data set", record.ref),
        ("digest", record.digest),
        ("holds", f"{counted(record.items, 'item')} in {counted(record.files, 'file')}, {size(record.size_bytes)}"),
        ("kind", record.kind + (", linked" if record.linked else "")),
        ("items", f"named by {record.id}; labelled by {label}"),
        ("added", f"{record.created_at} by {actor}" if actor else record.created_at),
        ("from", record.source),
        ("store", _kept(record, missing)),
    ]
    rows += [("here" if not at else "", _place(each)) for at, each in enumerate(seen)]
    rows += [("ignored", " ".join(record.ignore))] if record.ignore else []
    return [*rows, ("note", record.note)] if record.note else rows


def _kept(record: DatasetRecord, missing: int | None) -> str:
    if missing is None:
        return coloured("nothing of it is here", "red")
    if not missing:
        return "all of it"
    none = missing >= record.files
    return "nothing but the list of files" if none else f"all but {counted(missing, 'file')}"


def _place(seen: Seen) -> str:
    how = "linked" if seen.place.linked else "laid out" if seen.place.ours else ""
    words = ", ".join(filter(None, (how, str(seen.state))))
    why = f": {seen.why}" if seen.state in (State.CHANGED, State.UNREADABLE) else ""
    return f"{seen.place.path}  {words}{why}"


def _print_splits(splits: list[SplitRecord]) -> None:
    if not splits:
        return
    line()
    line("splits")
    rows = [(f"{each.name}@{each.version}", _split(each)) for each in splits[-_SPLITS_AT_MOST:]]
    for text in pairs(rows):
        line(text)
    if len(splits) > _SPLITS_AT_MOST:
        line(f"  and {len(splits) - _SPLITS_AT_MOST:,} older ones")


def _split(split: SplitRecord) -> str:
    parts = [f"{name} {count:,}" for name, count in split.parts.items()]
    more = f", and {len(parts) - _PARTS_AT_MOST} more" if len(parts) > _PARTS_AT_MOST else ""
    return f"{short(split.digest)}  {', '.join(parts[:_PARTS_AT_MOST])}{more}"


def _document(
    record: DatasetRecord,
    splits: list[SplitRecord],
    statistics: Mapping[str, Any] | None,
    seen: list[Seen],
    missing: int | None,
) -> dict[str, Any]:
    places = [
        {
            "path": str(each.place.path),
            "state": str(each.state),
            "linked": each.place.linked,
            "laid_out": each.place.ours,
            "why": each.why or None,
        }
        for each in seen
    ]
    return {
        "schema": SCHEMA,
        **document(record),
        "places": places,
        "files_missing_from_store": missing,
        "splits": [
            {"name": each.name, "version": each.version, "digest": each.digest, "parts": dict(each.parts)}
            for each in splits
        ],
        "statistics": None if statistics is None else {k: v for k, v in statistics.items() if k not in ("format",)},
    }
