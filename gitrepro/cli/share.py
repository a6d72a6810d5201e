"""`gitrepro share`: a run in one line, to paste where people talk."""

from __future__ import annotations

from typing import Any

import click

from ..run.share import Shared
from ..run.share import share as look
from ..store.resolve import resolve
from . import here
from .present import clean, emit, line, number

SCHEMA = 1


@click.command()
@click.argument("run")
@click.option("--metric", "-m", metavar="NAME", help="Which number; without it, one with a goal, as val/accuracy.")
@click.option("--json", "as_json", is_flag=True, help="Print what the line says as JSON.")
def share(run: str, metric: str | None, as_json: bool) -> None:
    """Print one line on RUN to paste into a chat: its number, how far that moves with the seed, code, and place.

    Only a run that is pushed is shared: what nobody can look up says nothing. Refused, it exits 1. The spread counts
    runs that are pushed, and no others.
    """
    found = here.repository()
    shared = look(found, resolve(found, run), metric=metric)
    if as_json:
        emit(_document(shared))
    else:
        line(_line(shared))


def _line(shared: Shared) -> str:
    parts = [
        _number(shared),
        f"{shared.name}{f' in {shared.group}' if shared.group else ''}",
        f"run {shared.id[-8:]}{'' if shared.status == 'finished' else f', {shared.status}'}",
        _code(shared),
        f"pushed to {', '.join(shared.remotes)}",
    ]
    return " · ".join(clean(part) for part in parts)


def _number(shared: Shared) -> str:
    if shared.metric is None:
        return "no metric"
    own = f"{shared.metric} {number(shared.value)}"
    spread = shared.spread
    if spread is None or spread.std is None:
        return f"{own} (one run)"
    return f"{own} (mean {number(spread.mean)} ± {spread.std:.2g} std, n={spread.n} seeds)"


def _code(shared: Shared) -> str:
    if shared.commit is None:
        return "no commit"
    state = "not known whether clean" if shared.dirty is None else "dirty" if shared.dirty else "clean"
    since = f", committed since as {shared.promoted[:12]}" if shared.promoted else ""
    return f"commit {shared.commit[:12]} {state}{since}"


def _document(shared: Shared) -> dict[str, Any]:
    spread = shared.spread
    return {
        "schema": SCHEMA,
        "line": _line(shared),
        "id": shared.id,
        "name": shared.name,
        "status": shared.status,
        "group": shared.group,
        "metric": shared.metric,
        "goal": shared.goal,
        "value": shared.value,
        "mean": spread.mean if spread else None,
        "std": spread.std if spread else None,
        "n": spread.n if spread else None,
        "runs": [run for run, _, _ in spread.values] if spread else [],
        "commit": shared.commit,
        "dirty": shared.dirty,
        "promoted": shared.promoted,
        "remotes": list(shared.remotes),
    }
