"""Going on with an earlier run: which one it was, and at what step. The attempt is a run of its own that names it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ..capture import config as configs
from ..errors import GitreproError, NotFound, UsageError
from ..records import yaml
from ..records.run import RunRecord, Status
from ..store import launches
from ..store.fold import Identity
from ..store.index import Index
from ..store.lease import Life
from ..store.live import LiveRun, live_runs
from ..store.repository import Repository
from ..store.resolve import resolve
from ..store.runs import RunTree
from . import commit
from .place import Place
from .resumed import AUTO, Asked, Resumed

_LOOKED_AT: Final = 200


def earlier(asked: Asked, where: Place, *, identity: Identity) -> Resumed | None:
    """The run that this one goes on with; None when there is none and none was named.

    `auto` means the newest run with the same command in the same folder, if it did not finish, and if it was given
    the same values of the config. A launcher that starts its processes again, and a SLURM job that was requeued,
    go on with what they had begun without being asked.

    Raises:
        NotFound, Ambiguous: the run that was named is not on record here.
        UsageError: it still runs.
        GitreproError: the records cannot be read.
    """
    repository = where.repository
    if asked.run is not None and asked.run != AUTO:
        if repository is None:
            raise NotFound(f"there is no run {asked.run!r:.80}", why="there is no repository here")
        return _named(repository, asked.run, identity=identity)
    restarted = _restarted(asked, where)
    if restarted or repository is None or not (asked.run or asked.requeued_job):
        return restarted
    return _newest(repository, asked, job="" if asked.run == AUTO else asked.requeued_job, identity=identity)


def _named(repository: Repository, text: str, *, identity: Identity) -> Resumed:
    run_id = resolve(repository, text)
    for run in live_runs(repository.home):
        if run.id == run_id and run.life is Life.ALIVE:
            raise UsageError(f"run {run_id[-8:]} still runs", do="wait for its end, or stop it")
    commit.recover(repository, identity=identity, only=lambda run: run.id == run_id)
    with RunTree(repository) as tree:
        return _of(tree.run(run_id))


def _of(record: RunRecord) -> Resumed:
    steps = [int(facts["last_step"]) for facts in record.metrics.values() if facts.get("last_step") is not None]
    return Resumed(id=record.id, lineage=record.lineage or record.id, last_step=max(steps, default=-1))


def _restarted(asked: Asked, where: Place) -> Resumed | None:
    """What the launcher had begun before it started its processes again."""
    launch = asked.launch
    for restart in range(launch.restart - 1, -1, -1) if launch else ():
        assert launch is not None
        known = launches.known(where.home, launch.key_of(restart))
        if found := Resumed.of({**known, "last_step": -1}):
            return found
    return None


def _newest(repository: Repository, asked: Asked, *, job: str, identity: Identity) -> Resumed | None:
    here = str(Path.cwd())
    commit.recover(repository, identity=identity, only=lambda run: _is_same_dead(run, asked.argv, here))
    with Index(repository) as index:
        ids = index.ids(where="removed = 0", limit=_LOOKED_AT)
    with RunTree(repository) as tree:
        for run_id in ids:
            record = tree.run(run_id)
            if _same(record, asked.argv, here) and (not job or _job(record) == job):
                fits = record.status != Status.FINISHED and (job or _fits(tree, record, asked.config))
                return _of(record) if fits else None
    return None


def _is_same_dead(run: LiveRun, argv: Sequence[str], here: str) -> bool:
    record = run.start.get("record")
    if run.life is not Life.DEAD or not isinstance(record, dict):
        return False
    return list(record.get("argv", ())) == list(argv) and (record.get("host") or {}).get("cwd") == here


def _same(record: RunRecord, argv: Sequence[str], here: str) -> bool:
    return list(record.argv) == list(argv) and record.host.get("cwd") == here


def _job(record: RunRecord) -> str:
    launch = record.host.get("launch")
    return str(launch.get("SLURM_JOB_ID", "")) if isinstance(launch, dict) else ""


def _fits(tree: RunTree, record: RunRecord, config: Mapping[str, Any]) -> bool:
    """Whether the earlier run was given these values too: another learning rate is another experiment."""
    try:
        data = tree.objects.read(tree.run_files(record.id)["config.yaml"].oid, "blob")
        values = configs.flatten(yaml.load(data, source=f"config.yaml of {record.id}")["values"])
    except (GitreproError, LookupError):
        return False
    return all(key in values and values[key] == value for key, value in configs.flatten(dict(config)).items())
