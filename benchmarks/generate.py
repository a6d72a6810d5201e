"""Repositories of many runs, made in bulk: the records are gitrepro's own, the history is written by `git fast-import`.

The same count and seed give the same commits. What is made is kept in `BENCH_CACHE` (a folder under the system's
temporary one by default); a benchmark works on a copy that shares the packs.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from benchmarks.repositories import IDENTITY, repository
from gitrepro.records import yaml
from gitrepro.records.event import Event
from gitrepro.records.metrics import TableBuilder
from gitrepro.records.run import RunRecord, run_path
from gitrepro.store import repository as repositories
from gitrepro.store.fold import Pending, enqueue, fold
from gitrepro.store.gitobjects import FILE_MODE, Entry, GitObjects, encode_tree
from gitrepro.store.index import Index, index_path
from gitrepro.store.repository import RUNS_REF

VERSION: Final = 2
"""Part of the cache's name: one more when the same count and seed give other bytes."""
SEED: Final = 20260102
RUNS_A_COMMIT: Final = 20
RUNS_AN_ENVIRONMENT: Final = 400
TABLES: Final = 5_000
"""Distinct metric tables: a table costs a millisecond, so in a large repository several runs share one."""
_ROOM_BYTES: Final = 4 << 30
_START_MS: Final = 1_767_225_600_000
_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_PEOPLE: Final = ("Ada Lovelace", "Grace Hopper", "Alan Turing", "Emmy Noether", "Sofya Kovalevskaya")
_MODELS: Final = ("resnet18", "vit-small", "mlp", "unet", "conformer")
_GROUPS: Final = ("wd-study", "lr-sweep", "augment", "scaling", "ablation")
_NOTES: Final = ("cosine schedule with warm-up", "the loss spikes after the restart", "baseline for the paper")
_OTTERS: Final = ("brisk", "calm", "keen", "quiet", "bold", "amber")
_STATUSES: Final = ("finished",) * 17 + ("failed", "crashed", "preempted")


def cache_folder() -> Path:
    return Path(os.environ.get("BENCH_CACHE") or Path(tempfile.gettempdir()) / "gitrepro-bench")


def cached(count: int, *, seed: int = SEED) -> Path:
    """The repository of `count` runs; made once, never to be written to."""
    path = cache_folder() / f"runs-{count}-{seed}-{VERSION}"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        making = Path(tempfile.mkdtemp(dir=path.parent, prefix=".making-"))
        make(making / "repo", count, seed=seed)
        try:
            (making / "repo").rename(path)
        except OSError:  # another one was quicker
            if not path.exists():
                raise
        shutil.rmtree(making, ignore_errors=True)
    return path


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder to measure in: in memory where there is room, for a disk that is synced measures itself."""
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > _ROOM_BYTES
    folder = Path(tempfile.mkdtemp(dir=memory if roomy else None, prefix="gitrepro-bench-"))
    try:
        yield folder
    finally:
        remove(folder)


def remove(folder: Path) -> None:
    """Remove a folder in which a packing may still be at work in the background."""
    for _ in range(100):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.1)


def copy(count: int, target: Path, *, seed: int = SEED) -> Path:
    """A repository of `count` runs to work in: its packs are links to those of the cached one."""
    shutil.copytree(cached(count, seed=seed), target, copy_function=_link)
    return target


def indexed(count: int, target: Path, *, seed: int = SEED) -> Path:
    """The same with an index that is up to date. One is kept beside the repository, and built when it does not fit."""
    repo = copy(count, target, seed=seed)
    found = repositories.find(repo, {})
    kept = cached(count, seed=seed).with_suffix(".sqlite")
    found.home.mkdir(exist_ok=True)
    if kept.exists():
        shutil.copy2(kept, index_path(found))
    Index(found).close()
    making = kept.with_suffix(f".{os.getpid()}")
    shutil.copy2(index_path(found), making)  # whole: the last one to close a database takes its log in
    making.replace(kept)
    return repo


def _link(source: str, target: str) -> None:
    if "/objects/pack/" in source:  # written once, never changed
        try:
            os.link(source, target)
            return
        except OSError:  # another file system
            pass
    shutil.copy2(source, target)


def make(path: Path, count: int, *, seed: int = SEED, batch: int = RUNS_A_COMMIT) -> Path:
    """A repository with three files of code and `count` runs on the run ref, `batch` of them a commit."""
    repo = repository(path)
    # A line about each object's delta helps nobody here; the pack is what `git gc` would leave after many folds.
    argv = ["git", "fast-import", "--quiet", "--force", "--max-pack-size=2g", "--depth=20"]
    with subprocess.Popen(argv, cwd=repo, stdin=subprocess.PIPE) as importer:
        assert importer.stdin
        for number, changes in enumerate(_batches(count, seed, batch, _head(repo))):
            _put_commit(importer.stdin, number, changes)
    if importer.returncode:
        raise RuntimeError(f"git fast-import ended with {importer.returncode}")
    return repo


def _head(repo: Path) -> str:
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=repo, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _batches(count: int, seed: int, batch: int, commit: str) -> Iterator[dict[str, bytes]]:
    chance = random.Random(seed)
    tables = [_table(chance) for _ in range(min(count, TABLES))]
    for start in range(0, count, batch):
        changes: dict[str, bytes] = {} if start else {"format.yaml": yaml.dump({"epoch": 1, "format": 1})}
        for number in range(start, min(count, start + batch)):
            changes.update(run_files(number, chance, commit, tables[number % len(tables)]))
        yield changes


def _put_commit(into: IO[bytes], number: int, changes: dict[str, bytes]) -> None:
    who = f"{IDENTITY.name} <{IDENTITY.email}> {_START_MS // 1000 + number * 1200} +0000"
    into.write(f"commit {RUNS_REF}\ncommitter {who}\n".encode())
    _put_data(into, f"gitrepro: fold {number}\n\nGitrepro-Format: 1\n".encode())
    for path, data in changes.items():
        into.write(f"M 100644 inline {path}\n".encode())
        _put_data(into, data)


def _put_data(into: IO[bytes], data: bytes) -> None:
    into.write(b"data %d\n%s\n" % (len(data), data))


# -- more runs, as a recorder puts them on the ref


class Source:
    """Runs to commit, other than those that are there: `queue` writes the objects of one and queues it."""

    def __init__(self, repo: Path, *, seed: int) -> None:
        self.repository = repositories.find(repo, {})
        self._commit = _head(repo)
        self._chance = random.Random(seed)
        self._table = _table(self._chance)
        self._number = 50_000_000 + seed * 1_000

    def queue(self) -> str:
        self._number += 1
        changes = run_files(self._number, self._chance, self._commit, self._table)
        files = {Path(path).name: data for path, data in changes.items() if path.startswith("runs/")}
        name = next(path.split("/")[4] for path in changes if path.startswith("runs/"))
        with GitObjects(self.repository.common_dir) as objects:
            blobs = objects.write([("blob", data) for data in files.values()])
            entries = {file: Entry(FILE_MODE, oid) for file, oid in zip(files, blobs, strict=True)}
            [tree] = objects.write([("tree", encode_tree(entries))])
        line = f"run {name[-8:]} finished"
        enqueue(
            self.repository,
            Pending(
                kind="run", subject=name, line=line, trees={run_path(name): tree}, code=[self._commit], journal=name
            ),
        )
        return name

    def commit(self) -> str | None:
        """Fold what is queued; return the commit."""
        return fold(self.repository, identity=IDENTITY).commit


# -- one run


@dataclass(frozen=True, slots=True)
class _Trained:
    """What a run logged: the file, and the last and best of it."""

    file: bytes
    accuracy: float
    loss: float


def _table(chance: random.Random) -> _Trained:
    builder, loss, accuracy = TableBuilder(), 2.0 + chance.random(), 0.1
    for step in range(60):
        loss *= 0.95 + chance.random() * 0.04
        accuracy += (0.99 - accuracy) * chance.random() * 0.08
        values = {"train/loss": loss, "val/loss": loss * 1.1, "val/accuracy": accuracy, "lr": 0.1 / (1 + step)}
        builder.add(seq=step, step=step, time_seconds=step + chance.random(), values=values)
    return _Trained(builder.files()["metrics.parquet"], accuracy, loss)


def run_id(number: int, chance: random.Random) -> str:
    """An id as `ids.new_id` makes them, from a seeded source."""
    value = _START_MS + number * 60_000 << 80 | chance.getrandbits(80)
    return "".join(_ALPHABET[value >> shift & 31] for shift in range(125, -1, -5))


def run_files(number: int, chance: random.Random, commit: str, trained: _Trained) -> dict[str, bytes]:
    """The files of one run, and its events, by their paths in the tree."""
    config = _config(number)
    record = _record(number, chance, commit, trained, config["values"])
    files = {
        "run.yaml": record.dump(),
        "config.yaml": yaml.dump(config),
        "env.yaml": _environment(number // RUNS_AN_ENVIRONMENT),
        "metrics.parquet": trained.file,
    }
    changes = {f"{record.path}/{name}": data for name, data in files.items()}
    if number % 10 == 0:
        event = _event(number, chance, record)
        changes[event.path] = event.dump()
    return changes


def _record(number: int, chance: random.Random, commit: str, trained: _Trained, config: dict[str, Any]) -> RunRecord:
    name = run_id(number, chance)
    person = _PEOPLE[number // 7 % len(_PEOPLE)]
    seed = number % 5
    curves = {
        "train/loss": (trained.loss, 3.0, "min"),
        "val/loss": (trained.loss * 1.1, 3.3, "min"),
        "val/accuracy": (trained.accuracy, 0.1, "max"),
        "lr": (0.1 / 60, 0.1, None),
    }
    return RunRecord(
        id=name,
        name=f"{_OTTERS[number % len(_OTTERS)]}-otter-{name[-4:]}",
        kind="train" if number % 20 else "baseline",
        status=_STATUSES[chance.randrange(len(_STATUSES))],
        started_at=_moment(number * 60),
        ended_at=_moment(number * 60 + 50),
        duration_seconds=50.0 + chance.random(),
        actor={"name": person, "email": f"{person.split()[0].lower()}@example.org"},
        host={
            "boot_id": f"{number // 1000:032x}",
            "cwd": "/home/ada/project",
            "executable": "/home/ada/project/.venv/bin/python",
            "hostname": f"node{number % 16}",
            "launch": {},
            "pid": 1000 + number % 30_000,
            "user": "ada",
        },
        argv=("python", "train.py", "--lr", str(config["lr"]), "--seed", str(seed)),
        code=_code(commit),
        seeds=_seeds(seed),
        metrics={key: _facts(*value) for key, value in curves.items()},
        summary={"val/accuracy": trained.accuracy, "val/loss": trained.loss * 1.1, "train/loss": trained.loss},
        cost={"cpu_system_seconds": 0.5, "cpu_user_seconds": 48.0 + chance.random(), "peak_memory_bytes": 1 << 30},
        group=_GROUPS[number // 50 % len(_GROUPS)] if number % 3 else None,
        labels=("keep",) if number % 25 == 0 else (),
        note=_NOTES[number % len(_NOTES)] if number % 40 == 0 else None,
        journal={
            "damaged_bytes": 0,
            "digest": f"b3:{chance.getrandbits(256):064x}",
            "missing_frames": 0,
            "rows": 60,
            "torn_bytes": 0,
        },
        recorder={"hidden": [], "version": "0.1.0"},
    )


def _moment(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime(_START_MS // 1000 + seconds))


def _code(commit: str) -> dict[str, Any]:
    return {
        "branch": "main",
        "changes": [],
        "changes_count": 0,
        "commit": commit,
        "dirty": False,
        "edited": [],
        "left_out": [],
        "left_out_count": 0,
        "modules": ["train.py", "model.py", "data.py"],
        "snapshot": None,
        "tree": commit,
        "untracked": [],
        "untracked_count": 0,
    }


def _seeds(seed: int) -> dict[str, Any]:
    generator = {
        "calls": 1,
        "drawn_unseeded": False,
        "effective": seed,
        "requested": seed,
        "seeded_by": "gitrepro",
        "used": True,
    }
    return {
        "requested": seed,
        "source": "command line",
        "effective": {"numpy": seed, "python": seed, "torch": seed},
        "processes": [{"hash": {"PYTHONHASHSEED": str(seed), "randomised": False}, "torch": generator}],
    }


def _facts(last: float, first: float, goal: str | None) -> dict[str, Any]:
    return {
        "count": 60,
        "first_step": 0,
        "goal": goal,
        "last": last,
        "last_step": 59,
        "max": max(first, last),
        "min": min(first, last),
        "nonfinite": 0,
    }


def _config(number: int) -> dict[str, Any]:
    # Five runs in a row are one seed set: they share all but the seed.
    kind = random.Random(number // 5)
    values = {
        "batch_size": 2 ** kind.randrange(4, 9),
        "epochs": 60,
        "lr": round(10 ** kind.uniform(-4, -1), 6),
        "model": {"depth": kind.randrange(2, 24), "name": _MODELS[kind.randrange(len(_MODELS))], "width": 64},
        "optimizer": {"betas": [0.9, 0.999], "name": "adamw", "weight_decay": kind.choice([0.0, 0.01, 0.1])},
        "seed": number % 5,
    }
    leaves = ("batch_size", "epochs", "lr", "model.depth", "model.name", "model.width", "optimizer.weight_decay")
    return {"format": 1, "overridden": {}, "sources": dict.fromkeys(leaves, "code"), "values": values}


def _environment(number: int) -> bytes:
    packages = {f"package-{each}": f"1.{each}.{number}" for each in range(60)}
    hardware = {"cpu": {"logical_cores": 16, "model": "a processor"}, "memory": {"total_bytes": 1 << 36}}
    python = {"implementation": "CPython", "version": "3.11.7"}
    document = {"container": None, "format": 1, "hardware": hardware, "packages": packages, "python": python}
    return yaml.dump({**document, "frameworks": {}, "installed_from": {}, "os": {"system": "Linux"}, "variables": {}})


def _event(number: int, chance: random.Random, record: RunRecord) -> Event:
    op, value = [("label", "reviewed"), ("note", _NOTES[number // 10 % 3]), ("name", f"renamed-{number}")][
        number // 10 % 3
    ]
    return Event(
        id=run_id(number, chance),
        subject=record.id,
        op=op,
        value=value,
        actor=record.actor,
        at=record.started_at,
        clock=1,
    )
