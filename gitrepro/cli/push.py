"""`gitrepro push`: runs to a Git remote, and the blobs that they need to store remotes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final

import click

from ..errors import GitreproError, RemoteError, UsageError
from ..run.compose import stamp
from ..store import git
from ..store.repository import Repository
from ..store.runs import RunTree
from ..sync import runs as git_side
from ..sync.holdouts import holdout_loads
from ..sync.later import in_turn
from ..sync.needs import BEST, CHECKPOINTS
from ..sync.offline import check_on, switched_off
from ..sync.remotes import StoreRemote, find, remotes
from ..sync.sets import data_load, data_needs
from ..sync.travel import deliver, due, forget_if_empty, gathered, loads, remember_came
from . import here
from .present import note
from .progress import cleared, following, progress
from .sent import Said
from .traffic import chosen, commit_dead_runs, shown

_EPILOG: Final = """\b
  gitrepro push                          all that the team has not
  gitrepro push --dry-run                only say what would go
  gitrepro push --runs @last --checkpoints all
  gitrepro push --runs "group == 'wd-study' and val/accuracy > 0.9" --to cloud
  gitrepro push --data digits@v2         also a data set that no run names yet
  gitrepro push --bundle runs.bundle     into a file, to be carried by hand
  gitrepro push origin --bundle new.bundle    only what origin has not
"""


@click.command(epilog=_EPILOG)
@click.argument("remote", required=False)
@click.option("--to", multiple=True, metavar="NAME", help="Blobs to this store remote only. Repeatable.")
@click.option("--runs", multiple=True, metavar="RUN|QUERY", help="Only these runs. Repeatable.")
@click.option(
    "--checkpoints",
    type=click.Choice(CHECKPOINTS),
    default=BEST,
    show_default=True,
    help="Of each run the best checkpoint (else the last), all, or none.",
)
@click.option(
    "--data", multiple=True, metavar="NAME[@V]", help="Also this data set, which no run may name yet. Repeatable."
)
@click.option("--no-blobs", is_flag=True, help="Only the runs.")
@click.option("--code/--no-code", default=None, help="Also the commits that runs ran at; else as the policy says.")
@click.option("--bundle", metavar="FILE", help="Write the runs into a file, for `gitrepro pull FILE` elsewhere.")
@click.option("--dry-run", is_flag=True, help="Only show what would go.")
@click.option("--quiet", "-q", is_flag=True, help="Say nothing but errors.")
@click.option("--by-itself", is_flag=True, hidden=True)
@click.option("--json", "as_json", is_flag=True, help="Print what went as JSON.")
def push(
    remote: str | None,
    to: tuple[str, ...],
    runs: tuple[str, ...],
    checkpoints: str,
    data: tuple[str, ...],
    no_blobs: bool,
    code: bool | None,
    bundle: str | None,
    dry_run: bool,
    quiet: bool,
    by_itself: bool,
    as_json: bool,
) -> int:
    """Send what is on record here to the Git remote REMOTE, and what runs need to the store remotes.

    Runs, events and results go to REMOTE, by default the one of the current branch, or `origin`. Data, checkpoints and
    outputs go to each place of `gitrepro remote ls`; what is there already is not sent again. Nothing of your branches
    is touched. Cut at any point, it is run again and goes on.
    """
    if by_itself:
        return _by_itself(here.repository())
    if no_blobs and to:
        raise UsageError("--to names where blobs go, and --no-blobs leaves them here", do="leave one of them out")
    if no_blobs and data:
        raise UsageError("--data names blobs that go, and --no-blobs leaves them here", do="leave one of them out")
    found = here.repository()
    said = Said(quiet=quiet, as_json=as_json)
    if bundle is not None:
        return _to_file(found, bundle, said, since=remote, code=code, others=bool(to or runs or data or dry_run))
    check_on(found)
    ids = chosen(found, runs) if runs else None
    data_needs(found, data)  # a name that is none stops it before anything goes
    places = [] if no_blobs else _places(found, to)
    asked = _Asked(ids=ids, data=data, checkpoints=checkpoints, code=code, dry_run=dry_run, with_blobs=not no_blobs)
    return _push(found, remote, places, asked, said)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What is to go: these runs or all, data sets by name, and what of it."""

    ids: Sequence[str] | None = None
    data: Sequence[str] = ()
    checkpoints: str = BEST
    code: bool | None = None
    dry_run: bool = False
    with_blobs: bool = True


def _by_itself(found: Repository) -> int:
    """As a run that is over wishes for it; what is said goes to a log."""

    def push_all() -> int:
        note(stamp(time.time()))
        if why := switched_off(found):
            note(f"nothing was sent: the network is switched off ({why})")
            return 0
        said = Said(quiet=False, as_json=False)
        return _push(found, None, remotes(found), _Asked(), said)

    return in_turn(found, push_all)


def _push(found: Repository, remote: str | None, places: Sequence[StoreRemote], asked: _Asked, said: Said) -> int:
    ids, dry_run = asked.ids, asked.dry_run
    if not dry_run:
        commit_dead_runs(found)
    telling = progress("sending runs: objects")
    pushed = git_side.push(found, remote, runs=ids, dry_run=dry_run, code=asked.code, progress=telling)
    said.pushed(pushed, dry_run=dry_run, held=_held(found, pushed.runs) if pushed.code_held else 0)
    if pushed.pulled:
        remember_came(found, pushed.pulled.runs)
    for place in places:
        try:
            _send(found, place, asked, said, own=pushed.runs)
        except RemoteError as error:
            said.failed(place, error)
    if not places and asked.with_blobs:
        _say_staying(found, pushed.runs if ids is None else ids, asked.checkpoints, said)
    return said.end(dry_run=dry_run)


def _places(found: Repository, names: Sequence[str]) -> list[StoreRemote]:
    return [find(found, name) for name in dict.fromkeys(names)] if names else remotes(found)


def _send(found: Repository, place: StoreRemote, asked: _Asked, said: Said, *, own: Sequence[str]) -> None:
    """Blobs of these runs to one store remote; by default of all that are not known to have been there."""
    ids, checkpoints, dry_run = asked.ids, asked.checkpoints, asked.dry_run
    said.store(place)
    if ids is None and forget_if_empty(found, place):
        said.note(f"{shown(place)} has nothing any more; all that is here goes there again")
    wanted = due(found, place, checkpoints=checkpoints) if ids is None else ids
    reading = progress("reading what runs need: runs")
    runs = loads(found, place, wanted, checkpoints=checkpoints, take=not dry_run, progress=reading)
    data = (data_load(found, place, asked.data) for _ in asked.data[:1])
    sealed = holdout_loads(found, place) if ids is None else ()
    for load in chain(runs, data, sealed):
        said.load(load, dry_run=dry_run, own=own if load.run_ids else [""])
        if dry_run:
            continue
        try:
            said.sent(load, deliver(found, load, progress=following(f"sending to {place.name}", "blobs", rate=True)))
        finally:
            cleared()


def _held(found: Repository, run_ids: Sequence[str]) -> int:
    """How many of these runs ran code that no branch of a remote was seen with."""
    ran = {run_id: _commits(found, run_id) for run_id in run_ids}
    known = sorted({commit for commits in ran.values() for commit in commits})
    if not known:
        return 0
    asked = "".join(f"{commit}\n" for commit in known)
    told = git.attempt(
        ["--git-dir=.", "rev-list", "--ignore-missing", "--stdin", "--not", "--remotes"],
        cwd=found.common_dir,
        input=asked.encode(),
    )
    away = set(told.stdout.decode().split())
    return sum(not away.isdisjoint(commits) for commits in ran.values())


def _commits(found: Repository, run_id: str) -> set[str]:
    with RunTree(found) as tree:
        try:
            code = tree.run(run_id).code or {}
        except GitreproError:
            return set()
    return {str(code[name]) for name in ("commit", "snapshot") if code.get(name)}


def _say_staying(found: Repository, ids: Sequence[str], checkpoints: str, said: Said) -> None:
    needs = gathered(found, list(ids), checkpoints=checkpoints, take=False)
    if needs.sizes:
        said.staying(len(needs.sizes), needs.size_bytes)


def _to_file(found: Repository, path: str, said: Said, *, since: str | None, code: bool | None, others: bool) -> int:
    from ..sync.bundles import write_bundle

    if others:
        raise UsageError("--bundle takes no choice of runs", do="`gitrepro push [REMOTE] --bundle FILE`")
    commit_dead_runs(found)
    said.bundled(write_bundle(found, Path(path), since=since, code=code))
    return 0
