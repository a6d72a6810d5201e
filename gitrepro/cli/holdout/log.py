"""`gitrepro holdout log`: every use of a test set, and how much too good its best score is to be expected."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from ...analysis.optimism import RELATED, UNRELATED, expected_optimism, in_words
from ...errors import Damaged
from ...store.catalog import Catalog
from ...store.repository import Repository
from ...store.runs import RunTree
from .. import here
from ..present import clean, counted, emit, note, table
from .keyring import SCHEMA, as_json_option

if TYPE_CHECKING:
    from ...data.holdouts import Log
    from ...records.holdout import Entry
    from ...records.run import RunRecord

_SHOWN_AT_MOST: Final = 10


@click.command()
@click.argument("ref", metavar="[DATA[@VERSION]/SPLIT[@VERSION]]", required=False)
@as_json_option
def log(ref: str | None, as_json: bool) -> int:
    """Show who opened, chose by, sealed or scored the parts of a split; of all splits when none is named.

    Below stands how much too good the best of so many scores is to be expected, by luck alone. Exits 4 when entries
    were removed or changed: those after them, and the runs that have seen them, say so.
    """
    from ...data.holdouts import anchored_runs, log_of, splits_with_log

    found = here.repository()
    wanted = None if ref is None else digest_of(found, ref)
    with RunTree(found) as tree:
        records = anchored_runs(tree)
        seen = [str(each.get("split")) for record in records for each in record.holdouts]
        splits = [wanted] if wanted else sorted({*splits_with_log(tree), *seen})
        logs = [log_of(tree, split) for split in splits]
    if as_json:
        emit({"schema": SCHEMA, "logs": [_document(each, records) for each in logs]})
    else:
        for each in logs:
            _show(each, records)
        if not any(each.held for each in logs):
            note(f"no part of {clean(ref) if ref else 'any split'} has been opened, as far as is on record here")
    return Damaged.exit_code if any(_troubles(each, records) for each in logs) else 0


def digest_of(found: Repository, ref: str) -> str:
    """The digest of the split that `digits/default` means. Raises NotFound, Ambiguous, UsageError, Damaged."""
    data, _, name = ref.partition("/")
    with Catalog(found) as catalog:
        return catalog.split(catalog.dataset(data), name or "default").digest


def _troubles(log: Log, records: Sequence[RunRecord]) -> tuple[str, ...]:
    from ...data.holdouts import broken_anchors

    return (*log.troubles, *broken_anchors(log, records))


def _parts(log: Log) -> list[str]:
    return sorted({each.part for each in log.entries})


def _show(log: Log, records: Sequence[RunRecord]) -> None:
    concurrent = {each.id for each in log.concurrent}
    rows = [_row(each, concurrent) for each in log.entries]
    if rows:
        header = ["no", "at", "split", "part", "what", "by", "run", "entry", "why"]
        table(rows, header, right=[0], spare=[7, 2, 5], elastic=8)
    for part in _parts(log):
        about = log.entries[-1]
        note(f"{clean(part)} of {about.dataset}/{about.name}@{about.version}: {in_words(len(log.openings_of(part)))}")
    if concurrent:
        note(f"{counted(len(concurrent), 'entry').replace('entrys', 'entries')} marked * were written apart: all count")
    troubles = _troubles(log, records)
    for trouble in troubles[:_SHOWN_AT_MOST]:
        note(f"damaged: {clean(trouble)}")
    if len(troubles) > _SHOWN_AT_MOST:
        note(f"damaged: {len(troubles) - _SHOWN_AT_MOST} more")


def _row(entry: Entry, concurrent: set[str]) -> list[object]:
    what = f"{entry.op} ({entry.purpose})" if entry.purpose else entry.op
    run = entry.run[-8:] if entry.run else ", ".join(each[-8:] for each in entry.runs[:3])
    return [
        f"{entry.number}{'*' if entry.id in concurrent else ''}",
        entry.at[:16],
        f"{entry.dataset}/{entry.name}@{entry.version}",
        entry.part,
        what,
        str(entry.actor.get("name", "")),
        run + (f" and {len(entry.runs) - 3} more" if len(entry.runs) > 3 else ""),
        entry.id[-8:],
        entry.reason,
    ]


def _document(log: Log, records: Sequence[RunRecord]) -> dict[str, Any]:
    concurrent = {each.id for each in log.concurrent}
    held = [
        {**each.entry.document(), "digest": each.digest, "concurrent": each.entry.id in concurrent} for each in log.held
    ]
    return {
        "split": log.split,
        "heads": list(log.heads),
        "entries": held,
        "parts": {part: _counts(len(log.openings_of(part))) for part in _parts(log)},
        "troubles": list(_troubles(log, records)),
    }


def _counts(openings: int) -> dict[str, Any]:
    told = {"related": expected_optimism(openings, RELATED), "unrelated": expected_optimism(openings, UNRELATED)}
    return {"openings": openings, "optimism_standard_errors": told}
