"""`gitrepro tag`: declare runs a result."""

from __future__ import annotations

import sys
import time

import click

from ..audit import gate
from ..records.result import Result
from ..run import place
from ..store import worktree
from . import here
from .present import emit, line, note

SCHEMA = 1


@click.command()
@click.argument("name")
@click.argument("runs", nargs=-1, required=True, metavar="RUN...|GROUP")
@click.option(
    "--evidence", multiple=True, metavar="RUN|GROUP", help="A check to judge by; those of the same code are found."
)
@click.option("--note", "-m", "words", help="A few words on what the result says.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def tag(name: str, runs: tuple[str, ...], evidence: tuple[str, ...], words: str | None, as_json: bool) -> None:
    """Audit runs and declare them a result: an annotated Git tag NAME at the commit they ran at.

    The name decides what is asked of them (see .gitrepro.yaml; without it, of `result/...` a registered run with
    seeds and committed code). A GROUP stands for its finished runs. Refused, it exits 1 and writes nothing. With
    `git config gitrepro.sign true` the tag is signed, with the key that `git tag -s` would take, or not made.
    """
    found = here.repository()
    identity = worktree.identity(found, fallback=place.nobody())
    result = gate.declare(
        found,
        name,
        runs,
        identity=identity,
        note=words,
        now=time.time(),
        prompts=sys.stdin.isatty(),
        evidence=evidence,
    )
    if as_json:
        emit(_document(result))
        return
    line(f"{result.tag} is result {result.id[-8:]}, level {result.level}, at {result.commit[:12]}")
    for run in result.runs:
        line(f"  run {run.id[-8:]}")
    for beside in result.evidence:
        line(f"  judged beside it: {beside.id[-8:]}")
    note(f"next: `gitrepro push`, then `git push REMOTE {result.tag}`")


def _document(result: Result) -> dict[str, object]:
    return {
        "schema": SCHEMA,
        "id": result.id,
        "tag": result.tag,
        "level": result.level,
        "commit": result.commit,
        "runs": [run.document() for run in result.runs],
        "evidence": [run.document() for run in result.evidence],
        "created_at": result.created_at,
        "actor": dict(result.actor),
        "note": result.note,
    }
