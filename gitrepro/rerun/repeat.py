"""The same command with other seeds: what will run, before anything does."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from ..capture.secrets import MARK
from ..errors import NotFound, UsageError
from ..records import ids, yaml
from ..records.event import fold_events
from ..records.run import RunRecord, Status
from ..records.seeds import effective_seed, the_seed
from ..records.seedset import seed_set_key
from ..store import worktrees
from ..store.index import Index
from ..store.repository import Repository
from ..store.runs import RunTree
from . import seeding
from .checkout import Source, record_of, source_of
from .job import JobSpec

_SET_AT_MOST: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a repetition comes to.

    Attributes:
        reseeded: places of the words of the command that give the seed.
        members: the runs of the seed set that are on record, oldest first; the repeated run is one of them.
        config: the recorded config, with its sources.
    """

    record: RunRecord
    source: Source
    key: str
    reseeded: tuple[int, ...]
    members: tuple[RunRecord, ...]
    config: Mapping[str, Any]
    jobs: tuple[JobSpec, ...]


def plan(
    repository: Repository,
    run_id: str,
    *,
    seeds: Sequence[int] | None = None,
    count: int = 1,
    links: Iterable[str] = (),
    keep: bool = False,
) -> Plan:
    """Work out the jobs that repeat a run. Nothing is written and nothing runs.

    Args:
        seeds: the seeds to run; without them `count` new ones are drawn.
        links: paths of the work tree that each checkout links to, such as ignored data.
        keep: leave the checkouts in place.

    Raises:
        NotFound: there is no such run, its code is not here, or a path to link is not.
        UsageError: its command cannot be run again, or a seed was run already.
    """
    record = record_of(repository, run_id)
    source = source_of(record)
    _check_command(record)
    for commit in (source.commit, *source.overlays):
        worktrees.check_commit(repository, commit)
    config, environment = document(repository, run_id, "config.yaml"), document(repository, run_id, "env.yaml")
    key = seed_set_key(record, config.get("values") or {})
    members = seed_set(repository, key, record)
    wanted = _fresh(seeds, members) if seeds is not None else seeding.draw(count, taken=_seeds(members))
    known = seeding.seeds_of(record)
    shared: dict[str, Any] = {
        "repository": str(repository.work_tree or repository.git_dir),
        "commit": source.commit,
        "overlays": source.overlays,
        "folder": _folder(record, source),
        "kind": str(record.kind),
        "group": group_of(repository, record),
        "parent": record.id,
        "takes_in": record.recorder.get("takes_in") or {},
        "data": record.recorder.get("data") or {},
        "links": _links(repository, links),
        "env": _paths(record, environment),
        "keep": keep,
    }
    layers = list(seeding.layers(config))
    jobs = [
        JobSpec(
            id=ids.new_id(),
            seed=seed,
            argv=seeding.reseed_argv(record.argv, known, seed),
            config=tuple(
                {"source": name, "values": seeding.reseed_config(values, known, seed)} for name, values in layers
            ),
            **shared,
        )
        for seed in wanted
    ]
    reseeded = seeding.seed_words(record.argv, known)
    return Plan(
        record=record, source=source, key=key, reseeded=reseeded, members=members, config=config, jobs=tuple(jobs)
    )


def document(repository: Repository, run_id: str, name: str) -> dict[str, Any]:
    """A file of a run's record: `config.yaml` or `env.yaml`; empty where there is none."""
    with RunTree(repository) as tree:
        entry = tree.run_files(run_id).get(name)
        return yaml.load(tree.objects.read(entry.oid, "blob"), source=f"{name} of {run_id}") if entry else {}


def seed_set(repository: Repository, key: str, record: RunRecord) -> tuple[RunRecord, ...]:
    """The runs of a seed set, oldest first, with the one it was found by."""
    with Index(repository) as index:
        found = index.ids(where="removed = 0 AND set_key = ?", values=[key], limit=_SET_AT_MOST)
    with RunTree(repository) as tree:
        others = [tree.run(run_id) for run_id in found if run_id != record.id]
    return tuple(sorted([*others, record], key=lambda run: run.id))


def group_of(repository: Repository, record: RunRecord) -> str | None:
    """The group a run is in now."""
    with RunTree(repository) as tree:
        events, _ = tree.events(record.id)
    return fold_events(events).group or record.group


def _check_command(record: RunRecord) -> None:
    by_hand = f"`gitrepro checkout {record.short_id}`, then `gitrepro record` it there by hand"
    if not record.argv:
        raise UsageError(f"run {record.short_id} has no command on record", do=by_hand)
    if any(MARK in word for word in record.argv):
        raise UsageError(
            f"the command of run {record.short_id} is not whole",
            why="a secret in it was kept out of the record",
            do=by_hand,
        )
    if any(loss.get("what") == "the end of the command" for loss in record.losses):
        raise UsageError(
            f"the command of run {record.short_id} is not whole", why="it was too long for the record", do=by_hand
        )


def evidence(members: Iterable[RunRecord]) -> list[RunRecord]:
    """The runs that finished, each seed once: a second run with equal seeds says nothing new."""
    kept: dict[str, RunRecord] = {}
    for run in members:
        if run.status == Status.FINISHED:
            kept.setdefault(str(sorted(effective_seed(run.seeds).items())) or run.id, run)
    return list(kept.values())


def seed_of(run: RunRecord) -> object:
    """The seed a run is called by: the one it was asked to have, else the one in force."""
    requested = run.seeds.get("requested")
    return the_seed(run.seeds) if requested is None else requested


def _seeds(members: Iterable[RunRecord]) -> set[int]:
    return {seed for run in members for seed in seeding.seeds_of(run)}


def _fresh(seeds: Sequence[int], members: Iterable[RunRecord]) -> Sequence[int]:
    """The seeds asked for, if none of them is in the set."""
    done = {seed: run for run in evidence(members) for seed in seeding.seeds_of(run)}
    again = [seed for seed in seeds if seed in done]
    if again:
        runs = ", ".join(f"{seed} by {done[seed].short_id}" for seed in again[:5])
        raise UsageError(
            f"{len(again)} of these seeds {'was' if len(again) == 1 else 'were'} run already",
            why=f"{runs}; the same seed again is no new evidence",
            do="name other seeds, or let `-n` draw new ones",
        )
    return seeds


def _folder(record: RunRecord, source: Source) -> str:
    """Where in the work tree the run was started."""
    if source.folder is None:
        raise NotFound(
            f"run {record.short_id} does not say where in its code it was started",
            do=f"`gitrepro checkout {record.short_id}` lays out the code",
        )
    return source.folder


def _links(repository: Repository, names: Iterable[str]) -> dict[str, str]:
    top = repository.work_tree
    links = {}
    for name in names:
        full = Path(os.path.normpath(Path.cwd() / name))
        if top is None or not full.is_relative_to(top) or full == top:
            raise UsageError(f"{name!r:.200} is not in the work tree", do="link a path of this repository")
        if not full.exists():
            raise NotFound(f"{name!r:.200} is not there", do="check the path")
        links[full.relative_to(top).as_posix()] = str(full)
    return links


def _paths(record: RunRecord, environment: Mapping[str, Any]) -> dict[str, str]:
    """Where a package that is installed in place is to be found: in the checkout, not in the user's own work tree."""
    if "editable" not in (environment.get("installed_from") or {}).values():
        return {}
    roots = [f"{{tree}}/{root}".rstrip("/.") for root in _package_roots((record.code or {}).get("modules") or ())]
    inherited = os.environ.get("PYTHONPATH", "")
    return {"PYTHONPATH": os.pathsep.join(filter(None, [*roots, inherited]))} if roots else {}


def _package_roots(modules: Iterable[str]) -> list[str]:
    """The folders that packages were imported from: of `src/net/layers/conv.py` in the package `net`, `src`."""
    files = {str(module) for module in modules}
    roots = set()
    for file in files:
        folder = PurePosixPath(file).parent
        if f"{folder}/__init__.py" not in files:
            continue
        while f"{folder}/__init__.py" in files:
            folder = folder.parent
        roots.add(str(folder))
    return sorted(roots)
