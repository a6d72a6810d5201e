"""Runs put on record as the recorder does it, without the seconds that a real program takes."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from gitrepro.records import ids, yaml
from gitrepro.records.run import RunRecord, run_path
from gitrepro.store import worktree
from gitrepro.store.fold import Identity, Pending, enqueue, fold
from gitrepro.store.gitobjects import FILE_MODE, Entry, GitObjects, encode_tree
from gitrepro.store.repository import Repository, find

ADA = Identity(name="Ada Lovelace", email="ada@example.org")
NOW = 1_767_323_045.0
TREE_OF_NOTHING = {"values": {}, "sources": {}, "overridden": {}, "format": 1}


def opened(root: Path) -> Repository:
    return find(root, {})


def generator(**changes: Any) -> dict[str, Any]:
    """One generator as a process reports it: seeded with 0 by gitrepro, and drawn from."""
    row: dict[str, Any] = {
        "requested": 0,
        "effective": 0,
        "seeded_by": "gitrepro",
        "calls": 1,
        "used": True,
        "drawn_unseeded": False,
        "start": "sha256:00",
        "now": "sha256:01",
    }
    return {**row, **changes}


def process(**generators: Any) -> dict[str, Any]:
    """What one Python process reports of its generators."""
    return {"hash": {"PYTHONHASHSEED": "0", "randomised": False}, **generators}


def seeds(*processes: Mapping[str, Any], requested: int | None = 0, **changes: Any) -> dict[str, Any]:
    """The `seeds` of a run, folded from its processes."""
    effective = {
        name: row.get("effective")
        for each in processes
        for name, row in each.items()
        if isinstance(row, dict) and "effective" in row
    }
    source = None if requested is None else "command line"
    return {
        "requested": requested,
        "source": source,
        "effective": effective,
        "processes": [dict(each) for each in processes],
        **changes,
    }


def seeded(seed: int = 0) -> dict[str, Any]:
    return seeds(process(torch=generator(requested=seed, effective=seed)), requested=seed)


def record_run(
    root: Path,
    *,
    config: Mapping[str, Any] | None = None,
    files: Mapping[str, bytes] | None = None,
    **changes: Any,
) -> str:
    """Record a finished, seeded run of the code that lies in `root` now. Returns its id."""
    repository = opened(root)
    record = a_run(repository, **changes)
    document = {**TREE_OF_NOTHING, "values": {"lr": 0.1}} if config is None else dict(config)
    contents = {"run.yaml": record.dump(), "config.yaml": yaml.dump(document), **(files or {})}
    with GitObjects(repository.common_dir) as objects:
        blobs = objects.write([("blob", data) for data in contents.values()])
        tree = {name: Entry(FILE_MODE, oid) for name, oid in zip(contents, blobs, strict=True)}
        oid = objects.write([("tree", encode_tree(tree))])[0]
    commit = (record.code or {}).get("commit")
    code = [commit] if commit else []
    trees = {run_path(record.id): oid}
    enqueue(
        repository,
        Pending(kind="run", subject=record.id, line=f"run {record.name}", trees=trees, code=code, journal=record.id),
    )
    fold(repository, identity=ADA, clock=lambda: NOW)
    return record.id


def a_run(repository: Repository, **changes: Any) -> RunRecord:
    run_id = ids.new_id()
    record = RunRecord(
        id=run_id,
        name=f"run-{run_id[-5:]}",
        kind="train",
        status="finished",
        started_at="2026-01-02T03:04:05.678901Z",
        ended_at="2026-01-02T03:05:05.678901Z",
        duration_seconds=60.0,
        actor={"email": ADA.email, "name": ADA.name},
        argv=("python", "train.py"),
        code=worktree.document(worktree.look(repository), None),
        seeds=seeded(),
        metrics={"val/accuracy": {"count": 10, "last": 0.9, "min": 0.1, "max": 0.9, "nonfinite": 0}},
        cost={"cpu_user_seconds": 50.0, "cpu_system_seconds": 1.0, "peak_memory_bytes": 1 << 30},
        journal={"digest": run_id},
    )
    return replace(record, **changes)


def commit_file(root: Path, name: str, text: str) -> str:
    """Commit one file; return the commit."""
    (root / name).write_text(text)
    for args in (["add", "--", name], ["commit", "--quiet", f"--message={name}"]):
        subprocess.run(["git", *args], cwd=root, check=True, capture_output=True)
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def try_git(root: Path, *args: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Plain git, as a user calls it; a failure does not raise."""
    return subprocess.run(
        ["git", *args],
        cwd=root,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="surrogateescape",
    )
