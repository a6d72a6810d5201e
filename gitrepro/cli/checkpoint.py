"""`gitrepro checkpoint`: the checkpoints of runs, listed, fetched, and let go of."""

from __future__ import annotations

import datetime
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import click

from ..checkpoints import fetching, getting, places, pruning
from ..checkpoints.keep import BEST, KEPT, LAST
from ..errors import GitreproError, NotFound, UsageError
from ..query import parse
from ..run import place
from ..run.compose import stamp
from ..store import pruned, worktree
from ..store.index import Index
from ..store.live import live_runs
from ..store.objects import BlobStore
from ..store.place import store_of
from ..store.repository import Repository
from ..store.resolve import resolve
from ..store.runs import RunTree
from ..store.statcache import StatCache
from ..sync.get import Brought
from . import here
from .present import clean, emit, line, note, number, size, table
from .progress import cleared, following, progress
from .traffic import say_answers

SCHEMA: Final = 1
_LIMIT: Final = 50
_RUNS: Final = 1000
_HEADER: Final = ("run", "checkpoint", "step", "roles", "metric", "value", "size", "is", "blob")
_EPILOG = """\b
  gitrepro checkpoint ls @last
  gitrepro checkpoint get @last:best                 into ./RUN-step-N.safetensors
  gitrepro checkpoint get brisk-otter:step-400 model.safetensors
  gitrepro checkpoint prune "group == 'sweep'" --keep best --dry-run
\b
A checkpoint is RUN (its best, else its last), RUN:best, RUN:last, RUN:step-N,
RUN:NAME, or b3: and 64 digits.
"""


@click.group(epilog=_EPILOG)
def checkpoint() -> None:
    """List checkpoints, write one to a file, let go of those no longer wanted."""


@checkpoint.command("ls")
@click.argument("run", required=False)
@click.option("--limit", type=click.IntRange(1), default=_LIMIT, show_default=True, help="At most so many rows.")
@click.option("--all", "everything", is_flag=True, help="All of them.")
@click.option("--json", "as_json", is_flag=True, help="Print them as JSON.")
def ls(run: str | None, limit: int, everything: bool, as_json: bool) -> None:
    """List the checkpoints of RUN, with those of the attempts it goes on from; of the newest runs when left out."""
    found = here.repository()
    store = store_of(found)
    shown: list[dict[str, Any]] = []
    more = False
    for each in _listed(found, run, everything=everything):
        if not everything and len(shown) >= limit:
            more = True
            break
        shown.append(_document(store, each))
    if as_json:
        emit(shown)
    else:
        table([_row(each) for each in shown], _HEADER, right=(2, 5, 6), spare=(8, 4, 5, 6), elastic=1)
    if more:
        note(f"the newest {len(shown)}; `--all` lists all")
    if not shown:
        note("no checkpoints; `run.checkpoint(model=model)` in the program saves them")


def _listed(found: Repository, run: str | None, *, everything: bool) -> Iterator[places.Found]:
    """Newest first; without `everything` only of the newest 1,000 runs."""
    if run is not None:
        runs: Iterable[str] = places.attempts_of(found, resolve(found, run))
    else:
        live = [each.id for each in live_runs(found.home) if not each.error]
        with Index(found) as index:
            runs = dict.fromkeys(
                [*reversed(live), *index.ids(where="removed = 0", limit=None if everything else _RUNS)]
            )
    with RunTree(found) as tree:
        for run_id in runs:
            yield from _of_run(found, run_id, tree)


def _of_run(found: Repository, run_id: str, tree: RunTree) -> Iterator[places.Found]:
    try:
        entries = places.entries_of(found, run_id, tree=tree)
    except GitreproError as error:
        note(f"damaged: {run_id[-8:]}: {clean(error)}")
        return
    for entry in reversed(entries):
        yield places.Found(entry=entry, run=run_id)


def _document(store: BlobStore, found: places.Found) -> dict[str, Any]:
    entry = found.entry
    told = pruned.told(store, found.digest)
    return {
        "schema": SCHEMA,
        "run": found.run,
        **{name: entry.get(name) for name in ("blob", "name", "step", "size_bytes", "format", "created_at", "metric")},
        **{name: entry[name] for name in ("path", "files", "rank", "weights") if entry.get(name) is not None},
        "roles": list(entry["roles"]),
        "holds": list(entry.get("holds") or ()),
        "state": places.state_of(store, entry, pruned=told is not None),
    }


def _row(shown: dict[str, Any]) -> tuple[object, ...]:
    metric = shown["metric"] or {}
    rank = f"@{shown['rank']}" if shown.get("rank") else ""
    return (
        shown["run"][-8:],
        f"{shown['name']}{rank}",
        shown["step"],
        ",".join(shown["roles"]),
        metric.get("name"),
        number(metric["value"]) if metric.get("value") is not None else None,
        size(shown["size_bytes"]),
        shown["state"],
        shown["blob"][:15],
    )


@checkpoint.command("get")
@click.argument("ref")
@click.argument("dest", required=False)
@click.option("--force", is_flag=True, help="Overwrite another file that lies there.")
@click.option("--rank", type=click.IntRange(0), default=0, help="Of which process, where each saved its own.")
@click.option("--json", "as_json", is_flag=True, help="Print what was written as JSON.")
def get(ref: str, dest: str | None, force: bool, rank: int, as_json: bool) -> None:
    """Write the checkpoint REF to the file DEST, verified on the way; `b3sum DEST` gives its name on record.

    Without DEST the file gets the name of the run and of the checkpoint, in the current folder. What is not here comes
    from a store remote.
    """
    found = here.repository()
    store = store_of(found)
    chosen, brought = _brought(found, store, ref, rank=rank)
    say_answers(brought.answers)
    target = _target(chosen, dest)
    written = getting.get(store, StatCache.of(found), chosen, target, force=force)
    if as_json:
        facts = {name: chosen.entry.get(name) for name in ("name", "step", "size_bytes", "format")}
        emit(
            {
                "schema": SCHEMA,
                "run": chosen.run,
                "blob": chosen.digest,
                **facts,
                "path": str(target),
                "written": written,
            }
        )
        return
    line(clean(target))
    done = "written" if written else "was there already"
    note(f"{chosen.digest[:15]} {done}, {size(chosen.entry['size_bytes'])}")


def _brought(found: Repository, store: BlobStore, ref: str, *, rank: int) -> tuple[places.Found, Brought]:
    """The checkpoint, with its bytes here, and from where they came if they were not."""
    tell = following(f"fetching {ref}", "blobs", rate=True)
    try:
        if places.is_blob(ref):
            brought = fetching.fetch(found, store, ref, progress=tell)
            return _of_blob(store, ref), brought
        chosen = places.find(found, ref, rank=rank)
        return fetching.fetch_found(found, store, chosen, named=ref, progress=tell)
    finally:
        cleared()


def _of_blob(store: BlobStore, digest: str) -> places.Found:
    return places.Found(
        entry={"blob": digest, "name": digest[3:15], "format": "", "size_bytes": store.size(digest)}, run=""
    )


def _target(chosen: places.Found, dest: str | None) -> Path:
    default = getting.default_name(chosen, chosen.run[-8:] or "checkpoint")
    if dest is None:
        return Path.cwd() / default
    target = Path(dest).absolute()
    inside = dest.endswith("/") or (target.is_dir() and not chosen.entry.get("files"))
    return target / default if inside else target


@checkpoint.command("prune")
@click.argument("query", nargs=-1, metavar="[RUN|QUERY]")
@click.option("--keep", default=f"{BEST},{LAST}", show_default=True, help="Roles that stay: best, last, kept; or none.")
@click.option("--dry-run", is_flag=True, help="Only show what would go.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print what went as JSON.")
def prune(query: tuple[str, ...], keep: str, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Let go of the bytes of checkpoints that are not wanted any more. Their records stay, and say what they were.

    RUN is one run; QUERY says which, as `gitrepro ls` takes it; without either, all runs on record. Runs under way and
    files that lie where a framework wrote them are left alone.
    """
    found = here.repository()
    store = store_of(found)
    chosen = pruning.prunable(store, _prunable(found, " ".join(query)), keep=_roles(keep))
    went: list[pruning.Prunable] = []
    if chosen and not dry_run:
        _confirm(chosen, yes=yes)
        identity = worktree.identity(found, fallback=place.nobody())
        actor = {"email": identity.email, "name": identity.name}
        tell = progress("pruning")
        for done, each in enumerate(chosen, 1):
            if pruning.prune(found, store, each, at=stamp(time.time()), actor=actor):
                went.append(each)
            tell(done, len(chosen))
    _say_pruned(chosen, went, dry_run=dry_run, as_json=as_json)


def _say_pruned(chosen: list[pruning.Prunable], went: list[pruning.Prunable], *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        entries = [
            {"run": each.found.run, "blob": each.found.digest, "name": each.found.entry.get("name"),
             "size_bytes": each.size_bytes, "pruned": each in went}
            for each in chosen
        ]  # fmt: skip
        emit({"schema": SCHEMA, "dry_run": dry_run, "checkpoints": entries})
        return
    for each in chosen if dry_run else went:
        line(f"{each.found.run[-8:]}\t{clean(each.found.entry.get('name'))}\t{each.found.digest[:15]}")
    if not chosen:
        note("nothing to prune")
    else:
        note(f"{'would prune' if dry_run else 'pruned'} {_counted(chosen if dry_run else went)}; their records stay")
        note("`gitrepro gc` then frees the space of pieces that nothing else is made of")
    if left := [] if dry_run else [each for each in chosen if each not in went]:
        note(f"{_counted(left)} stay: another run names the same bytes, or somebody wanted them just now")


def _prunable(found: Repository, query: str) -> Iterator[places.Found]:
    live = {each.id for each in live_runs(found.home)}
    with RunTree(found) as tree:
        for run_id in _chosen_runs(found, query):
            if run_id in live:
                note(f"{run_id[-8:]} is under way: its checkpoints are left alone")
            else:
                yield from _of_run(found, run_id, tree)


def _chosen_runs(found: Repository, query: str) -> list[str]:
    if query:
        try:
            return [resolve(found, query)]
        except NotFound:
            pass  # then it is a query
    with Index(found) as index:
        wanted = parse(query, names=index, now=datetime.datetime.now(datetime.UTC))
        where, values = index.condition(wanted)
        return index.ids(where=where, values=values, limit=None)


def _roles(keep: str) -> list[str]:
    roles = [] if keep.strip() in ("", "none") else [role.strip() for role in keep.split(",")]
    if wrong := [role for role in roles if role not in (BEST, LAST, KEPT)]:
        raise UsageError(f"there is no role {wrong[0]!r:.40}", do="--keep best,last or --keep none")
    return roles


def _confirm(chosen: list[pruning.Prunable], *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(f"{_counted(chosen)} would be pruned", why="nobody is here to be asked", do="add --yes")
    click.confirm(f"Let go of {_counted(chosen)}?", abort=True, err=True)


def _counted(chosen: list[pruning.Prunable]) -> str:
    many = "1 checkpoint" if len(chosen) == 1 else f"{len(chosen)} checkpoints"
    return f"{many} of {size(sum(each.size_bytes for each in chosen))}"
