"""`gitrepro holdout predict`: commit to predictions of a sealed test set, before they are scored."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...errors import NotFound
from ...store.repository import Repository
from .. import here
from ..present import emit, line, note
from .keyring import SCHEMA, as_json_option, part_option, signed

if TYPE_CHECKING:
    from ...data.sealing.contents import Holdout
    from ...records.predictions import Predicted

_EPILOG = """\b
  gitrepro holdout predict @last
  gitrepro holdout predict predictions.csv --run 8FQK3V --split digits/default
"""


@click.command(epilog=_EPILOG)
@click.argument("what", metavar="RUN|FILE")
@click.option("--split", "holdout", metavar="DATA/SPLIT", help="Of which split; the only sealed one by default.")
@part_option
@click.option("--run", help="The run that made the predictions in FILE.")
@click.option("--column", help="The column of FILE with the predictions.")
@click.option("--reason", "-m", default="", help="What they are for.")
@as_json_option
def predict(
    what: str, holdout: str | None, part: str, run: str | None, column: str | None, reason: str, as_json: bool
) -> None:
    """Put predictions of a sealed part on record: those of RUN (`run.evaluate`), or a file of ids and predictions.

    FILE is CSV, TSV, JSONL or Parquet: a column `id`, and `prediction`, or a column `score/CLASS` for each class.
    """
    from ...data.sealing.finding import the_sealed
    from ...data.sealing.predicting import commit

    found = here.repository()
    about = the_sealed(found, holdout, part)
    predicted, run_id = _predicted(found, about, what, run, column)
    done = commit(found, about, predicted, source=what, run=run_id, reason=reason, **signed(found))
    if as_json:
        emit({"schema": SCHEMA, "new": done.new, "entry": done.entry.document()})
    else:
        line(done.entry.id)
    if done.new:
        note(f"{len(predicted):,} predictions of {about} are committed; `gitrepro holdout score` scores them")
    else:
        note(f"these predictions of {about} wait for their score already")


def _predicted(
    found: Repository, holdout: Holdout, what: str, run: str | None, column: str | None
) -> tuple[Predicted, str | None]:
    """The predictions, and the run that made them."""
    from ...data.sealing.reading import read_predictions
    from ...store.resolve import resolve

    if Path(what).is_file():
        return read_predictions(Path(what), column=column), None if run is None else resolve(found, run)
    try:
        run_id = resolve(found, what)
    except NotFound as error:
        near = error.why
        raise NotFound(f"{what!r:.120} is no file, and no run", why=near, do="give one of the two") from error
    return _of_run(found, holdout, run_id), run_id


def _of_run(found: Repository, holdout: Holdout, run_id: str) -> Predicted:
    from ...data.sealing.predicting import of_run
    from ...store.runs import RunTree

    with RunTree(found) as tree:
        record = tree.run(run_id)
    return of_run(found, record, holdout)
