"""Repositories to measure in: with some files of code, and with as many recorded runs as wanted."""

from __future__ import annotations

import subprocess
from pathlib import Path

from gitrepro.records import ids
from gitrepro.records.run import RunRecord
from gitrepro.store import repository as repositories
from gitrepro.store.fold import Identity, Pending, enqueue, fold
from gitrepro.store.gitobjects import FILE_MODE, Entry, GitObjects, encode_tree

IDENTITY = Identity(name="Ada Lovelace", email="ada@example.org")


def git(repo: Path, *args: str) -> None:
    subprocess.run(["git", *args], cwd=repo, check=True, capture_output=True)


def repository(path: Path) -> Path:
    """A repository of three files and one commit, without hooks of the machine's template."""
    path.mkdir()
    git(path, "init", "--quiet", "--template=", "--initial-branch=main")
    git(path, "config", "user.name", IDENTITY.name)
    git(path, "config", "user.email", IDENTITY.email)
    for name in ("train.py", "model.py", "data.py"):
        (path / name).write_text(f"print({name!r})\n")
    git(path, "add", ".")
    git(path, "commit", "--quiet", "--message=first")
    return path


def with_runs(repo: Path, count: int) -> Path:
    """Put `count` runs into the ref by the store's own fold, and pack them as `git gc` would."""
    found = repositories.find(repo, {})
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=repo, capture_output=True, text=True, check=True)
    for number in range(count):
        enqueue(found, _pending(repo, number, head.stdout.strip()))
    fold(found, identity=IDENTITY)
    git(repo, "gc", "--quiet")
    return repo


def _pending(repo: Path, number: int, commit: str) -> Pending:
    run_id = ids.new_id()
    record = RunRecord(
        id=run_id,
        name=f"run {number}",
        kind="train",
        status="finished",
        started_at=f"2026-01-{1 + number % 28:02d}T00:{number // 60 % 60:02d}:{number % 60:02d}.000000Z",
        ended_at="2026-02-01T00:00:00.000000Z",
        duration_seconds=float(number),
        actor={"name": IDENTITY.name, "email": IDENTITY.email},
        argv=("python", "train.py", "--lr", "0.1"),
        code={"commit": commit, "dirty": False},
        seeds={"requested": number, "effective": {"torch": number}},
        metrics={"val/accuracy": {"last": number / 1e4, "goal": "max"}, "val/loss": {"last": 0.5, "goal": "min"}},
        summary={"val/accuracy": number / 1e4, "val/loss": 0.5},
        journal={"digest": f"b3:{number:064x}", "rows": 100},
    )
    with GitObjects(repo / ".git") as objects:
        config = b"format: 1\nvalues:\n  lr: 0.1\n"
        blobs = objects.write([("blob", record.dump()), ("blob", config)])
        named = {name: Entry(FILE_MODE, oid) for name, oid in zip(("run.yaml", "config.yaml"), blobs, strict=True)}
        [tree] = objects.write([("tree", encode_tree(named))])
    return Pending(
        kind="run", subject=run_id, line=f"run {number}", trees={record.path: tree}, journal=record.journal["digest"]
    )
