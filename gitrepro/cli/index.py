"""`gitrepro index`: the table by which runs are found."""

from __future__ import annotations

from typing import Any

import click

from ..store.index import Index
from ..store.index import rebuild as discard_index
from . import here
from .present import clean, emit, line, note, pairs, size
from .progress import progress


@click.group()
def index() -> None:
    """Show or rebuild the index. It holds nothing that is not in Git, and follows by itself."""


@index.command()
@click.option("--json", "as_json", is_flag=True, help="Print one object as JSON.")
def status(as_json: bool) -> None:
    """Say where the index lies and what it holds."""
    with Index(here.repository(), on_progress=progress("indexing runs")) as opened:
        _print(opened.facts(), opened.troubles(), as_json=as_json)


@index.command()
@click.option("--json", "as_json", is_flag=True, help="Print one object as JSON.")
def rebuild(as_json: bool) -> None:
    """Delete the index and build it from the run ref."""
    found = here.repository()
    discard_index(found)
    with Index(found, on_progress=progress("indexing runs")) as opened:
        _print(opened.facts(), opened.troubles(), as_json=as_json)


def _print(facts: dict[str, Any], troubles: dict[str, str], *, as_json: bool) -> None:
    if as_json:
        emit({**facts, "troubles": [{"path": path, "what": what} for path, what in troubles.items()]})
        return
    rows = [
        ("place", facts["path"] or "in memory: neither the repository nor the user's cache can be written"),
        ("size", size(facts["size_bytes"])),
        ("runs", str(facts["runs"])),
        ("commit", facts["commit"] or "none: nothing is on record"),
        ("keys", f"{facts['keys']} metrics and config keys, {facts['columns']} with a column of their own"),
        ("damaged", str(facts["damaged"])),
    ]
    for text in pairs(rows):
        line(text)
    for path, what in troubles.items():
        note(f"damaged: {clean(path)}: {clean(what)}")
