"""`gitrepro holdout seal`: encrypt the labels of a test set to those who may score it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...errors import UsageError
from ...store.repository import Repository
from .. import here
from ..present import clean, emit, line, note, pairs
from .keyring import SCHEMA, as_json_option, identity_option, part_option, private_keys, signed

if TYPE_CHECKING:
    from ...data.sealing.contents import Holdout
    from ...data.sealing.keys import Recipient
    from ...data.sealing.seals import Seal
    from ...records.sealed import Contents

_EPILOG = """\b
  gitrepro holdout seal digits/default --to ci.pub --to lead.pub
  gitrepro holdout seal digits/default --to age1... --labels test-labels.csv
  gitrepro holdout seal prices/by-time --to ci.pub --metric rmse --metric r2
  gitrepro holdout seal digits/default --to new.pub --identity ~/.ssh/id_ed25519
"""


@click.command(epilog=_EPILOG)
@click.argument("holdout", metavar="DATA/SPLIT")
@click.option("--to", multiple=True, metavar="KEY", help="A public key of SSH or age, or a file with some.")
@part_option
@click.option("--labels", type=click.Path(path_type=Path), metavar="FILE", help="Ids and labels; else the data set's.")
@click.option("--column", help="The column of that file with the labels.")
@click.option("--inputs", is_flag=True, help="Seal the inputs too.")
@click.option("--metric", "metrics", multiple=True, default=("accuracy",), show_default=True, help="How it is scored.")
@click.option("--feedback", default="ladder", show_default=True, help="What is told of a score: ladder, full, none.")
@click.option("--budget", type=int, default=5, show_default=True, help="Scores before a reason is wanted.")
@identity_option
@click.option("--anew", is_flag=True, help="Although it is sealed: its keys are lost. Wants --reason.")
@click.option("--reason", "-m", default="", help="Why; it stays visible for ever.")
@as_json_option
def seal(
    holdout: str,
    to: tuple[str, ...],
    part: str,
    labels: Path | None,
    column: str | None,
    inputs: bool,
    metrics: tuple[str, ...],
    feedback: str,
    budget: int,
    identities: tuple[Path, ...],
    anew: bool,
    reason: str,
    as_json: bool,
) -> None:
    """Encrypt the labels of a part of DATA[@VERSION]/SPLIT[@VERSION] to keys of SSH or age.

    Whoever holds one of the private keys, such as CI, scores predictions; everybody else is told what the feedback
    allows. With --identity, a part that is sealed already is handed on to other keys.
    """
    from ...data.sealing.book import entries
    from ...data.sealing.finding import find_holdout
    from ...data.sealing.keys import recipients
    from ...data.sealing.seals import find_seal, hand_on
    from ...data.sealing.seals import seal as seal_it
    from ...data.sealing.terms import Terms

    found = here.repository()
    about = find_holdout(found, holdout, part)
    keys = recipients(to)
    there = find_seal(entries(found, about), about)
    if identities and there is not None and not anew:
        made = hand_on(found, there, keys, private_keys(identities), **signed(found))
        _show(made, source=str(made.entry.detail.get("source")), as_json=as_json)
        note("it holds what the seal before it held; who could open that one still can")
        return
    contents, source = _contents(found, about, labels, column, inputs=inputs)
    terms = Terms(metrics=metrics, feedback=feedback, budget=budget)
    made = seal_it(found, about, contents, keys, terms, source=source, reason=reason, anew=anew, **signed(found))
    _show(made, source=source, as_json=as_json)


def _contents(
    found: Repository, holdout: Holdout, file: Path | None, column: str | None, *, inputs: bool
) -> tuple[list[Contents], str]:
    """What is to be sealed, and where the labels lie in plain text."""
    from ...data import open_dataset
    from ...data.sealing.contents import ids_of, labels_of, sealed_inputs, sealed_labels
    from ...data.sealing.reading import read_labels

    if column is not None and file is None:
        raise UsageError("--column names a column of --labels FILE, and no file is given")
    dataset = open_dataset(found, f"{holdout.split.dataset['name']}@{holdout.split.dataset['digest']}")
    ids = ids_of(found, holdout)
    source = "file" if file is not None else "linked" if dataset.record.linked else "store"
    labels = labels_of(dataset) if file is None else read_labels(file, column=column)
    contents = [sealed_labels(holdout, ids, labels, source=str(file or dataset.record.ref))]
    return [*contents, *([sealed_inputs(holdout, dataset, ids)] if inputs else [])], source


def _show(made: Seal, *, source: str, as_json: bool) -> None:
    terms, entry = made.terms, made.entry
    if as_json:
        emit({"schema": SCHEMA, "entry": entry.document()})
    else:
        rows = [
            ("sealed", f"the {' and the '.join(made.blobs)} of {made.holdout}, {made.examples:,} examples"),
            ("to", _named(made.recipients)),
            ("scored by", ", ".join(terms.metrics)),
            ("feedback", f"{terms.feedback}, {terms.budget} scores"),
            ("entry", entry.id),
        ]
        for each in pairs(rows):
            line(each)
    _say_where_plain(made, source)


def _named(keys: tuple[Recipient, ...]) -> str:
    return ", ".join(clean(each.shown) for each in keys)


def _say_where_plain(made: Seal, source: str) -> None:
    ref = f"{made.holdout.split.dataset['name']}@{made.holdout.split.dataset['version']}"
    if source == "store":
        note(f"the labels also lie in plain text in the store, as part of {ref}: who has that needs no key. To keep")
        note("them from others, add the data without them (or --link), and seal with --labels FILE")
    elif source == "linked":
        note(f"{ref} is linked: its labels stay in plain text where it lies, on this machine alone")
    else:
        note("the labels are in the file that you gave, and sealed; nowhere else in this repository")
