"""From a live folder to the run ref: commit what ended, recover what died."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ..errors import Damaged, GitreproError, NotFound, StorageError
from ..records import ids, yaml
from ..records.run import RunRecord, run_path
from ..store import bulk, fs, launches, live, rescue
from ..store.fold import Folded, Identity, Pending, enqueue, fold, queued
from ..store.gitobjects import FILE_MODE, Entry, GitObjects, encode_tree
from ..store.gitrefs import read_ref
from ..store.lease import Life
from ..store.live import LiveRun
from ..store.objects import BlobStore
from ..store.place import is_shared, store_of
from ..store.repository import RUNS_REF, Repository
from ..store.runs import RunTree
from .compose import CODE, LOST, Composed, compose
from .holdouts import carried

CODE_COMMITS: Final = ("commit", "snapshot", "exact", "ignored_files")
"""The fields of `code` that name a commit of the run's files."""
_MADE: Final = ("snapshot", "exact", "ignored_files")
"""Those of them that were made for the run alone."""
_TRIES: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """What `recover` did: runs now committed, runs left alone and why, records it could not read."""

    committed: tuple[RunRecord, ...] = ()
    left: tuple[tuple[str, str], ...] = ()
    failed: tuple[tuple[str, GitreproError], ...] = ()


def blob_store(repository: Repository) -> BlobStore:
    """Raises StorageError: the store lies in a folder that is not there."""
    return store_of(repository)


def commit_run(repository: Repository, folder: Path, *, identity: Identity) -> RunRecord:
    """Compose the run in `folder`, commit it together with all that is queued, and set its folder aside.

    May be repeated at any point: the same folder makes the same record, and a record that is there is skipped.

    Raises:
        GitreproError: it is not committed; the folder is as it was.
    """
    for _ in range(_TRIES):
        record = prepare(repository, folder)
        folded = fold(repository, identity=identity)
        finish_fold(repository, folded)
        if f"run.{record.id}.yaml" not in folded.unusable:
            return record
    raise _vanished(record.id)


def _vanished(run_id: str) -> StorageError:
    return StorageError(
        f"run {run_id} is not committed",
        why="its Git objects vanish before a ref names them, as under `git gc --prune=now`",
        do="`gitrepro recover` once that is over",
    )


def prepare(repository: Repository, folder: Path) -> RunRecord:
    """Compose the run in `folder`, write its objects and queue it. Durable once this returns."""
    with fs.explained(f"cannot compose the run in {folder}"):
        composed = compose(folder, blobs=blob_store(repository))
        if _told_lost(repository, folder, composed.record.code or {}):
            composed = compose(folder, blobs=blob_store(repository))
    if is_shared(repository):
        # Before others could see the record.
        from ..store import pins
        from ..store.roots import pin_text

        pin_text(repository, composed.files.values())
        pins.withdraw_apart(store_of(repository).root, composed.record.id)
    enqueue(repository, _pending(repository, composed))
    return composed.record


def _told_lost(repository: Repository, folder: Path, code: Mapping[str, Any]) -> bool:
    """Whether code of the run is gone that no ref kept; then that is now in its folder, for the record."""
    made = [(name, code[name]) for name in _MADE if code.get(name)]
    if not made or (folder / LOST).exists():
        return False
    with GitObjects(repository.common_dir, restore=rescue.restorer(repository)) as objects:
        gone = [(name, oid) for name, oid in made if not objects.has(oid) and not objects.restored(oid)]
    why = "its Git objects were pruned while the run went on"
    losses = [{"kind": CODE, "what": f"the code in {name} {oid[:12]}", "why": why} for name, oid in gone]
    if losses:
        fs.write_file(folder / LOST, yaml.dump({"losses": losses}))
    return bool(losses)


def finish_fold(repository: Repository, folded: Folded) -> None:
    """Set aside the folders of runs that a fold committed."""
    for pending in folded.entries:
        if pending.kind == "run":
            live.set_aside(repository.home, pending.subject)


def _pending(repository: Repository, composed: Composed) -> Pending:
    record = composed.record
    oid = _write(repository, composed)
    code = record.code or {}
    return Pending(
        kind="run",
        subject=record.id,
        line=describe(record),
        trees={run_path(record.id): oid},
        files={each.path: each.dump().decode() for each in carried(record)},
        code=[commit for commit in map(code.get, CODE_COMMITS) if commit],
        journal=str(record.journal["digest"]),
    )


def _write(repository: Repository, composed: Composed) -> str:
    """Write the Git objects of a run; return its tree. The same run gives the same objects."""
    with GitObjects(repository.common_dir) as objects:
        names = list(composed.files)
        blobs = objects.write([("blob", composed.files[name]) for name in names])
        tree = {name: Entry(FILE_MODE, oid) for name, oid in zip(names, blobs, strict=True)}
        return objects.write([("tree", encode_tree(tree))])[0]


def describe(record: RunRecord) -> str:
    """One line for people who have only Git: `run brisk-otter finished: val/accuracy 0.9722, seed 0, 1a2b3c4d`."""
    parts = [f"{name} {_short(value)}" for name, value in list(record.summary.items())[:4]]
    if record.seeds.get("requested") is not None:
        parts.append(f"seed {record.seeds['requested']}")
    code = record.code or {}
    if code.get("commit"):
        parts.append(f"{code['commit'][:8]}{' and uncommitted changes' if code.get('dirty') else ''}")
    kind = "run" if record.kind == "train" else f"{record.kind} run"
    return f"{kind} {record.name} {record.status.replace('_', ' ')}" + (f": {', '.join(parts)}" if parts else "")


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else f"{value!s:.40}"


def recover(
    repository: Repository,
    *,
    identity: Identity,
    force: bool = False,
    only: Callable[[LiveRun], bool] = lambda _: True,
) -> Recovered:
    """Commit every run whose processes are gone. Two recoveries at once, or one killed at any point, do no harm.

    Args:
        force: also take runs that were written on another host, whose life cannot be seen from here.
    """
    committed: list[RunRecord] = []
    left: list[tuple[str, str]] = []
    failed: list[tuple[str, GitreproError]] = []
    mend(repository)
    try:
        known = _committed_already(repository)
    except NotFound as error:
        raise _beyond_mending(error) from error
    for run in filter(only, live.live_runs(repository.home)):
        reason = _leave(run, force=force)
        if reason:
            left.append((run.id, reason))
        elif run.id in known:
            live.set_aside(repository.home, run.id)
        else:
            try:
                committed.append(prepare(repository, run.folder))
            except NotFound:
                continue
            except GitreproError as error:
                if run.folder.exists():
                    failed.append((run.id, error))
    folded = fold(repository, identity=identity)
    finish_fold(repository, folded)
    live.sweep(repository.home)
    launches.sweep(repository.home)
    gone = {record.id for record in committed if f"run.{record.id}.yaml" in folded.unusable}
    return Recovered(
        committed=tuple(record for record in committed if record.id not in gone),
        left=tuple(left),
        failed=(*failed, *((run_id, _vanished(run_id)) for run_id in sorted(gone))),
    )


def mend(repository: Repository) -> None:
    """Write again what a prune took of a commit that a ref names: from the copies, or else from journals set aside."""
    rescue.bring_back(repository)
    for run_id in _broken(repository):
        _compose_again(repository, run_id)


def _broken(repository: Repository) -> list[str]:
    """The runs whose journals are still here and whose files the run ref names without all of them being there."""
    runs = sorted(path.name for path in (repository.home / "done").glob("*") if ids.is_id(path.name))
    tip = read_ref(repository.common_dir, RUNS_REF)
    if tip is None or not runs:
        return []
    trees = list(bulk.folders(repository.common_dir, tip, [run_path(run_id) for run_id in runs]))
    blobs = dict.fromkeys(oid for files in trees for oid in files.values())
    gone = {
        oid
        for oid, found in zip(blobs, bulk.blobs(repository.common_dir, list(blobs)), strict=True)
        if isinstance(found, NotFound)
    }
    held = zip(runs, trees, strict=True)
    return [run_id for run_id, files in held if not files or not gone.isdisjoint(files.values())]


def _compose_again(repository: Repository, run_id: str) -> None:
    try:
        composed = compose(repository.home / "done" / run_id, blobs=blob_store(repository))
    except (GitreproError, OSError):
        return  # what is missing stays missing; whoever reads the run says so
    _write(repository, composed)


def _beyond_mending(error: NotFound) -> Damaged:
    return Damaged(
        f"{RUNS_REF} names what is gone: {error.what}",
        why="neither the copies of the last minutes nor the journals that were set aside hold it",
        do="copy `objects/` of a clone or of a backup over that of this repository, then `gitrepro recover`",
    )


def _leave(run: LiveRun, *, force: bool) -> str:
    if run.life is Life.ALIVE:
        return "it is still running"
    if run.life is Life.ELSEWHERE and not force:
        return "it was started on another host; recover it there, or use --force if that host is gone"
    return ""


def _committed_already(repository: Repository) -> set[str]:
    waiting = {name.split(".")[1] for name in queued(repository)}
    with RunTree(repository) as tree:
        return {
            run.id
            for run in live.live_runs(repository.home)
            if run.id not in waiting and tree.run_tree(run.id) is not None
        }


def adopt(repository: Repository, folder: Path, *, at: str) -> Path:
    """Copy the folder of a run that was kept outside into this repository's live folder; remove the original.

    The copy appears whole; a kill in between leaves the original.

    Args:
        at: the time, for the record: a run that was taken in says so.
    """
    target = repository.home / "live" / folder.name
    with fs.explained(f"cannot take {folder} into {repository.home}"):
        fs.make_directories(target.parent)
        if target.exists():  # a kill came before the removal, or the run began here and went on there
            _copy_longer(folder, target)
        else:
            _copy_whole(folder, target, {"at": at, "from": str(folder.parent.parent)})
        shutil.rmtree(folder)
    return target


def _copy_whole(folder: Path, target: Path, adopted: dict[str, Any]) -> None:
    making = target.parent / f".new-{folder.name}"
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir()
    _copy_longer(folder, making)
    if not (making / live.ADOPTED).exists():
        fs.write_file(making / live.ADOPTED, yaml.dump(adopted))
    making.rename(target)
    fs.sync_directory(target.parent)


def _copy_longer(folder: Path, target: Path) -> None:
    """Copy each file that `target` lacks or holds less of: what is written of a run only grows."""
    for path in sorted(folder.iterdir()):
        if not path.is_file() or path.name.startswith("lease."):
            continue
        there = target / path.name
        if not there.exists() or there.stat().st_size < path.stat().st_size:
            fs.write_file(there, path.read_bytes())
