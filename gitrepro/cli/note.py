"""`gitrepro note`: write a note on a run."""

from __future__ import annotations

import sys
import time

import click

from ..errors import UsageError
from ..run import place
from ..run.compose import stamp
from ..store import worktree
from ..store.annotate import annotate
from ..store.resolve import resolve
from . import here, present

_LONGEST_CHARACTERS = 100_000


@click.command()
@click.argument("run")
@click.argument("text")
@click.option("--json", "as_json", is_flag=True, help="Print the note as JSON.")
def note(run: str, text: str, as_json: bool) -> None:
    """Write the note TEXT on RUN; `-` reads it from standard input. Notes are kept, never overwritten."""
    if text == "-":
        text = sys.stdin.read()
    if not text.strip():
        raise UsageError("the note is empty", do='`gitrepro note RUN "what you saw"`')
    if len(text) > _LONGEST_CHARACTERS:
        raise UsageError(f"the note has {len(text)} characters", why=f"at most {_LONGEST_CHARACTERS} are kept")
    found = here.repository()
    run_id = resolve(found, run)
    identity = worktree.identity(found, fallback=place.nobody())
    event = annotate(found, run_id, "note", text, identity=identity, at=stamp(time.time()))
    if as_json:
        present.emit({"id": run_id, "note": text, "at": event.at})
    else:
        present.note(f"noted on run {run_id[-8:]}")
