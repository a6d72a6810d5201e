"""`gitrepro split show` and `gitrepro split ls`: which splits are on record, and what they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from ...errors import UsageError
from ...records.split import SplitRecord
from ...store.catalog import Catalog
from .. import here
from ..present import clean, emit, line, note, number, pairs, table
from .parts import SCHEMA, as_json_option, document, in_usual_order, opened, table_of_parts

if TYPE_CHECKING:
    from ...data.handle import Dataset

_PARTS_SHOWN = 6


@click.command()
@click.argument("dataset")
@click.argument("name", required=False)
@click.option("--ids", "part", metavar="PART", help="Print the ids of a part, one a line.")
@as_json_option
def show(dataset: str, name: str | None, part: str | None, as_json: bool) -> None:
    """Show a split of DATASET[@VERSION], or all splits of that version."""
    found = here.repository()
    with Catalog(found) as catalog:
        about = catalog.dataset(dataset)
        records = [catalog.split(about, name)] if name else catalog.splits(about)
    if part is not None:
        _show_ids(opened(found, dataset), name, part, as_json=as_json)
    elif name is None:
        _list(records, as_json=as_json, of=about.ref)
    elif as_json:
        emit({"schema": SCHEMA, "split": document(records[0])})
    else:
        _page(records[0])


@click.command("ls")
@click.argument("dataset", required=False)
@as_json_option
def ls(dataset: str | None, as_json: bool) -> None:
    """List the splits on record, of all data sets or of DATASET[@VERSION]."""
    with Catalog(here.repository()) as catalog:
        about = catalog.dataset(dataset) if dataset else None
        whole = dataset is not None and "@" not in dataset and about is not None and dataset == about.name
        of = [about.name if whole else about] if about else catalog.names()
        records = [record for each in of for record in catalog.splits(each)]
        troubles = list(catalog.troubles)
    _list(records, as_json=as_json, of=dataset or "")
    for trouble in troubles:
        note(f"{clean(trouble.path)} cannot be read: {clean(trouble.error)}")


def _list(records: Sequence[SplitRecord], *, as_json: bool, of: str) -> None:
    if as_json:
        emit([{"schema": SCHEMA, **document(record)} for record in records])
        return
    rows = [
        (
            f"{record.dataset['name']}@{record.dataset['version']}",
            f"{record.name}@{record.version}",
            _way(record.rule),
            _sizes(record.parts),
            record.digest[:15],
            record.created_at[:10],
        )
        for record in records
    ]
    table(rows, ["dataset", "split", "by", "parts", "digest", "made"], spare=[5, 4])
    if not rows:
        target = clean(of) if of else "DATASET"
        note(f"no split{f' of {target}' if of else ''} is on record; `gitrepro split make {target}` makes one")


def _sizes(parts: Mapping[str, int]) -> str:
    shown = sorted(parts.items(), key=in_usual_order)
    text = " ".join(f"{part} {count}" for part, count in shown[:_PARTS_SHOWN])
    return f"{text} and {len(parts) - _PARTS_SHOWN} more" if len(parts) > _PARTS_SHOWN else text


def _page(record: SplitRecord) -> None:
    about = [
        ("split", f"{record.name}@{record.version}"),
        ("data set", f"{record.dataset['name']}@{record.dataset['version']}"),
        ("digest", record.digest),
        ("by", _way(record.rule)),
        ("seed", "" if record.seed is None else str(record.seed)),
        ("cuts", ", ".join(map(str, record.rule.get("cuts") or []))),
        ("stable", "yes: an item keeps its part when data are added" if record.stable else "no: items may move then"),
        ("deviation", "" if record.deviation is None else number(record.deviation)),
        ("made", f"{record.created_at} by {record.actor.get('name', '')}"),
        ("note", record.note or ""),
    ]
    for text in pairs([row for row in about if row[1]]):
        line(text)
    line()
    table_of_parts(record)


def _show_ids(dataset: Dataset, name: str | None, part: str, *, as_json: bool) -> None:
    if name is None:
        raise UsageError("which split is meant is not said", do="`gitrepro split show DATASET NAME --ids PART`")
    ids = dataset.split(name).part(part).ids
    if as_json:
        emit({"schema": SCHEMA, "part": part, "ids": list(ids)})
    else:
        for each in ids:
            line(clean(each))


def _way(rule: Mapping[str, Any]) -> str:
    by = str(rule.get("by"))
    more = {"column": rule.get("column"), "time": rule.get("time"), "kfold": rule.get("folds")}.get(by)
    words = [by if more is None else f"{by} {more}"]
    words += [f"{what} {rule[what]}" for what in ("stratify", "group") if rule.get(what)]
    return ", ".join(words)
