"""What the pages on splits have in common."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

import click

from ...records.split import SplitRecord
from ...store.repository import Repository
from ..present import table

if TYPE_CHECKING:
    from ...data.handle import Dataset
    from ...data.lookup import Tell

SCHEMA: Final = 1
USUAL_PARTS: Final = ("train", "val", "test")
_CLASSES_SHOWN: Final = 12
as_json_option: Final = click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
group_option: Final = click.option(
    "--group", metavar="COLUMN|folder|REGEX", help="What belongs together: no value of it stands in two parts."
)


def opened(found: Repository, dataset: str) -> Dataset:
    """The data set that a command is about."""
    from ...data import open_dataset

    return open_dataset(found, dataset, progress=_following(f"laying out {dataset}"))


def _following(what: str) -> Tell | None:
    if not sys.stderr.isatty():
        return None
    from ..progress import following

    return following(what)


def document(record: SplitRecord) -> dict[str, Any]:
    """A split as `--json` gives it."""
    return {name: value for name, value in record.document().items() if name != "format" and name not in record.unknown}


def table_of_parts(record: SplitRecord) -> None:
    """The parts with their sizes, and the counts of their classes where those are few."""
    total = max(sum(record.parts.values()), 1)
    labels = _labels(record)
    rows = [
        (part, count, f"{100 * count / total:.1f} %", *(_count(record, part, label) for label in labels))
        for part, count in sorted(record.parts.items(), key=in_usual_order)
    ]
    right = range(1, 3 + len(labels))
    table(rows, ["part", "items", "share", *labels], right=right, spare=range(2 + len(labels), 2, -1))


def _labels(record: SplitRecord) -> list[str]:
    labels = sorted({label for counts in (record.classes or {}).values() for label in counts})
    return labels if len(labels) <= _CLASSES_SHOWN else []


def _count(record: SplitRecord, part: str, label: str) -> int:
    return (record.classes or {}).get(part, {}).get(label, 0)


def in_usual_order(part: tuple[str, Any]) -> tuple[int, int, str]:
    """A sort key for parts and what is known of them: train, val and test, then the others."""
    name = part[0]
    at = USUAL_PARTS.index(name) if name in USUAL_PARTS else len(USUAL_PARTS)
    return at, len(name), name  # fold-2 before fold-10
