"""`gitrepro holdout select`: say on record which runs were chosen, before their test set is opened."""

from __future__ import annotations

import click

from ...audit import gate
from ...errors import UsageError
from ...store.catalog import Catalog
from ...store.repository import Repository
from ...store.runs import RunTree
from .. import here
from ..present import clean, counted, emit, line, note
from .keyring import SCHEMA, as_json_option, part_option, signed


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN|GROUP...")
@click.option("--split", "ref", required=True, metavar="DATA/SPLIT", help="Of which split the test set is.")
@part_option
@click.option("--reason", "-m", default="", help="Why these.")
@as_json_option
def select(runs: tuple[str, ...], ref: str, part: str, reason: str, as_json: bool) -> None:
    """Put on record that RUNs are chosen: the first choice that names all runs of a result ends its selection.

    What was opened before that may have had a part in the choice, and the audit says so. A GROUP stands for its
    finished runs.
    """
    from ...data.holdouts import append, before_selection, known_log, selected_at

    found = here.repository()
    ids = gate.select(found, runs)
    if not ids:
        raise UsageError(f"{' '.join(runs)!r:.80} means no finished runs", do="`gitrepro ls` lists the runs")
    data, _, name = ref.partition("/")
    with Catalog(found) as catalog:
        split = catalog.split(catalog.dataset(data), name or "default")
    earlier = selected_at(known_log(found, split.digest), ids)
    entry = append(found, op="select", split=split, part=part, runs=ids, reason=reason, **signed(found))
    seen = [each for each in before_selection(known_log(found, split.digest), ids) if each.part == part]
    if as_json:
        emit({"schema": SCHEMA, "entry": entry.document(), "openings_before": [each.id for each in seen]})
    else:
        line(entry.id)
    about = f"{clean(part)} of {split.dataset['name']}/{split.name}@{split.version}"
    if seen:
        note(f"{about} was opened {counted(len(seen), 'time')} before this choice: the audit will say so")
    else:
        note(f"{counted(len(ids), 'run')} chosen before {about} is opened")
    if earlier:
        note(f"they were chosen already, in entry {earlier.id[-8:]}: that one counts")
    for run_id in _strangers(found, ids, split.digest):
        note(f"run {run_id[-8:]} has not opened that split, as far as its record says")


def _strangers(found: Repository, ids: list[str], split: str) -> list[str]:
    with RunTree(found) as tree:
        records = [tree.run(run_id) for run_id in ids]
    return [
        record.id
        for record in records
        if split not in [str(each.get("digest")) for data in record.data for each in data.get("splits") or ()]
    ]
