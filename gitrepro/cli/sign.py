"""`gitrepro sign`: say by a signature that runs and results are as they are on record."""

from __future__ import annotations

import sys
from collections.abc import Mapping

import click

from ..errors import NotFound
from ..records.run import run_path
from ..run import place
from ..store import worktree
from ..store.fold import fold
from ..store.repository import RUNS_REF, Repository
from ..store.runs import RunTree
from ..store.signing import vouching
from . import here
from .present import counted, emit, line, note
from .traffic import chosen

SCHEMA = 1


@click.command()
@click.argument("runs", nargs=-1, metavar="[RUN|QUERY]...")
@click.option("--json", "as_json", is_flag=True, help="Print what was signed as JSON.")
def sign(runs: tuple[str, ...], as_json: bool) -> None:
    """Sign RUNs that are on record, or all that this clone recorded while it could not sign.

    With `git config gitrepro.sign true` runs, results and result tags are signed as they are made, with the key that
    `git commit -S` would take. A run that ends while the key is locked is recorded all the same; this signs it later,
    and so does the next `gitrepro push`. `gitrepro verify --signed` tells who signed what.

    \b
        gitrepro sign                     # what waits
        gitrepro sign 4kx2 result/vit     # these, whoever recorded them
    """
    found = here.repository()
    identity = worktree.identity(found, fallback=place.nobody())
    fold(found, identity=identity)
    prompts = sys.stdin.isatty()
    if runs:
        what = _named(found, chosen(found, runs))
        vouching.vouch(found, what, identity=identity, prompts=prompts)
    else:
        what = vouching.vouch_waiting(found, identity=identity, prompts=prompts)
    if as_json:
        emit({"schema": SCHEMA, "signed": sorted(path.rpartition("/")[2] for path in what)})
    elif what:
        line(f"signed {_counts(what)}")
        note("next: `gitrepro push`")
    else:
        note("nothing waits for a signature")


def _named(found: Repository, run_ids: list[str]) -> dict[str, str]:
    with RunTree(found) as tree:
        what = {run_path(run_id): tree.run_tree(run_id) for run_id in run_ids}
    for path, oid in what.items():
        if oid is None:
            name = path.rpartition("/")[2]
            raise NotFound(f"run {name} is not in {RUNS_REF}", why="it goes on", do="sign it when it is over")
    return {path: oid for path, oid in what.items() if oid}


def _counts(what: Mapping[str, str]) -> str:
    runs = sum(path.startswith("runs/") for path in what)
    told = [(runs, "run"), (len(what) - runs, "result")]
    return " and ".join(counted(count, thing) for count, thing in told if count)
