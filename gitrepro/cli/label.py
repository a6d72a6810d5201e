"""`gitrepro label`: put labels on a run, or take them off."""

from __future__ import annotations

import time

import click

from ..errors import UsageError
from ..records.event import fold_events
from ..run import place
from ..run.compose import stamp
from ..run.names import check_name
from ..store import worktree
from ..store.annotate import annotate
from ..store.repository import Repository
from ..store.resolve import resolve
from ..store.runs import RunTree
from . import here
from .present import emit, line


@click.command()
@click.argument("run")
@click.argument("words", nargs=-1, required=True, metavar="WORD...")
@click.option("--remove", "-r", is_flag=True, help="Take the labels off.")
@click.option("--json", "as_json", is_flag=True, help="Print the run's labels as JSON.")
def label(run: str, words: tuple[str, ...], remove: bool, as_json: bool) -> None:
    """Put labels on RUN, or take them off."""
    found = here.repository()
    run_id = resolve(found, run)
    identity = worktree.identity(found, fallback=place.nobody())
    # All are looked at before one is written: a misspelt word leaves everything as it was.
    seen = {check_name(word, what="label"): _sources(found, run_id, word) for word in words}
    for word in words if remove else ():
        if not seen[word]:
            raise UsageError(f"run {run_id[-8:]} has no label {word!r}", do=f"`gitrepro show {run_id[-8:]}` shows them")
    for word in dict.fromkeys(words):
        annotate(
            found,
            run_id,
            "unlabel" if remove else "label",
            word,
            identity=identity,
            at=stamp(time.time()),
            observed=seen[word] if remove else (),
        )
    labels = _labels(found, run_id)
    if as_json:
        emit({"id": run_id, "labels": labels})
    else:
        line(f"{run_id[-8:]}\t{' '.join(labels)}")


def _sources(found: Repository, run_id: str, word: str) -> tuple[str, ...]:
    """The events that put the label on; the record itself counts as one."""
    with RunTree(found) as tree:
        events, _ = tree.events(run_id)
        recorded = tree.run(run_id).labels if tree.run_tree(run_id) else ()
    gone = {name for event in events if event.op == "unlabel" for name in event.observed}
    sources = [event.id for event in events if event.op == "label" and event.value == word]
    sources += [f"recorded:{word}"] if word in recorded else []
    return tuple(source for source in sources if source not in gone)


def _labels(found: Repository, run_id: str) -> list[str]:
    with RunTree(found) as tree:
        events, _ = tree.events(run_id)
        recorded = tree.run(run_id).labels if tree.run_tree(run_id) else ()
    return list(fold_events(events, labels=recorded).labels)
