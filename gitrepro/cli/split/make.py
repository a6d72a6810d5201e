"""`gitrepro split make` and `gitrepro split import`: put a split on record."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...errors import UsageError
from ...run import place
from ...run.compose import stamp
from ...store import worktree
from ...store.repository import Repository
from .. import here
from ..present import emit, note
from ..progress import cleared
from .parts import SCHEMA, USUAL_PARTS, as_json_option, document, group_option, opened, table_of_parts

if TYPE_CHECKING:
    from ...data.splits import Made

_NOTE = click.option("--note", "-m", "words", help="A few words on this split.")
_EPILOG = """\b
  gitrepro split make digits@v1
  gitrepro split make digits default --train 0.7 --test 0.3 --stratify
  gitrepro split make scans default --group 'patient-(\\d+)'
  gitrepro split make prices by-time --time date --cuts 2026-01-01,2026-03-01
  gitrepro split make wine folds --folds 5 --test 0.2 --seed 1
"""


@click.command(epilog=_EPILOG)
@click.argument("dataset")
@click.argument("name", default="default")
@click.option("--train", type=float, help="Fraction of the items, as 0.8.")
@click.option("--val", type=float, help="Fraction of the items.")
@click.option("--test", type=float, help="Fraction of the items.")
@click.option("--part", "others", multiple=True, metavar="NAME=FRACTION", help="Another part; with --cuts its name.")
@click.option("--by", type=click.Choice(["hash", "kfold", "column", "time"]), help="How; else what the options say.")
@group_option
@click.option("--stratify", is_flag=False, flag_value="", metavar="[COLUMN]", help="Share out each class, or label.")
@click.option("--exact", is_flag=True, help="Sizes to within one item; not stable when data are added.")
@click.option("--column", help="The column that names the part of each item.")
@click.option("--map", "mapped", multiple=True, metavar="VALUE=PART", help="Which part a value means; VALUE= for none.")
@click.option("--time", "moment", metavar="COLUMN", help="The column of times: earlier parts hold earlier items.")
@click.option("--cuts", metavar="A,B", help="Where later parts begin; without it the fractions say.")
@click.option("--folds", type=int, help="Make folds fold-0, fold-1, ...; --test may stand beside them.")
@click.option("--seed", type=int, help="Another seed gives other parts.")
@_NOTE
@as_json_option
def make(
    dataset: str,
    name: str,
    train: float | None,
    val: float | None,
    test: float | None,
    others: tuple[str, ...],
    by: str | None,
    group: str | None,
    stratify: str | None,
    exact: bool,
    column: str | None,
    mapped: tuple[str, ...],
    moment: str | None,
    cuts: str | None,
    folds: int | None,
    seed: int | None,
    words: str | None,
    as_json: bool,
) -> None:
    """Split DATASET[@VERSION] by a rule, as NAME (`default` when not given).

    By default 80 % train, 10 % val and 10 % test by a hash of each id: no item moves when data are added later.
    """
    from ...data.splits import Wish, make_split

    usual = [(part, value) for part, value in zip(USUAL_PARTS, (train, val, test), strict=True) if value is not None]
    wish = Wish(
        by=by,
        fractions=_unique([*usual, *_fractions(others, named_only=cuts is not None)]),
        folds=folds,
        group=group,
        stratify=True if stratify == "" else stratify,
        exact=exact,
        column=column,
        parts_of=_unique([_pair(each, "VALUE=PART") for each in mapped]) or None,
        time=moment,
        cuts=[each.strip() for each in cuts.split(",")] if cuts is not None else None,
        seed=seed,
    )
    found = here.repository()
    _show_made(make_split(found, opened(found, dataset), name, wish, **_signed(found), note=words), as_json=as_json)


@click.command("import")
@click.argument("dataset")
@click.argument("name", default="default")
@click.option("--part", "files", multiple=True, metavar="NAME=FILE", help="A part and the file with its ids.")
@click.option("--column", help="The column of CSV files that holds the ids.")
@group_option
@_NOTE
@as_json_option
def import_(
    dataset: str,
    name: str,
    files: tuple[str, ...],
    column: str | None,
    group: str | None,
    words: str | None,
    as_json: bool,
) -> None:
    """Take a split of DATASET[@VERSION] over from files of ids: one a line, a column of a CSV file, or a JSON list.

    Of a folder the ids are paths within it; of a table they are row numbers from 0, or the values of its id column.
    """
    from ...data.splits import import_split

    paths = {part: Path(path) for part, path in _unique([_pair(each, "NAME=FILE") for each in files]).items()}
    found = here.repository()
    data = opened(found, dataset)
    made = import_split(found, data, name, paths, column=column, group=group, **_signed(found), note=words)
    _show_made(made, as_json=as_json)


def _fractions(others: Sequence[str], *, named_only: bool) -> list[tuple[str, float]]:
    if named_only and not any("=" in each for each in others):
        return [(each, 0.0) for each in others]
    return [(part, _float(value)) for part, value in (_pair(each, "NAME=FRACTION") for each in others)]


def _pair(text: str, form: str) -> tuple[str, str]:
    left, equals, right = text.partition("=")
    if not equals or not left:
        raise UsageError(f"{text!r:.80} is not of the form {form}")
    return left, right


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"{text!r:.40} is no fraction", why="write it as 0.1") from None


def _unique(rows: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for part, value in rows:
        if part in found:
            raise UsageError(f"{part!r:.80} is given twice")
        found[part] = value
    return found


def _show_made(made: Made, *, as_json: bool) -> None:
    record = made.record
    cleared()
    if as_json:
        emit({"schema": SCHEMA, "new": made.new, "left_out": made.left_out, "split": document(record)})
    else:
        table_of_parts(record)
    _say_what_became(made)


def _say_what_became(made: Made) -> None:
    record, of = made.record, f"{made.record.dataset['name']}@{made.record.dataset['version']}"
    if not made.new:
        note(f"these parts are on record already: {record.name}@{record.version} of {of}")
    elif made.earlier:
        note(f"the parts are not those of {made.earlier[-1]}: this is {record.name}@{record.version} of {of}")
    else:
        note(f"{record.name}@{record.version} of {of}, {record.digest[:15]}")
    if made.left_out:
        note(f"{made.left_out:,} items are in no part")
    if not record.stable:
        note("when data are added, items may change their part: make a new version then")
    if record.deviation is not None:
        what = "a class" if record.rule.get("stratify") else "all items"
        note(f"no part is further than {100 * record.deviation:.2f} % of {what} from the share that was asked")


def _signed(found: Repository) -> dict[str, Any]:
    return {"identity": worktree.identity(found, fallback=place.nobody()), "at": stamp(time.time())}
