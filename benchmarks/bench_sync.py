"""Syncing one run of a repository of many, beside `git push` and `git fetch` of one commit there."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from benchmarks.generate import Source, copy, scratch
from benchmarks.measure import AtMost, Open, Times, family_cpu_ms, in_turns, report, row
from gitrepro.store import repository as repositories
from gitrepro.store.repository import RUNS_REF, Repository
from gitrepro.sync.runs import pull, push

RUNS = int(os.environ.get("BENCH_RUNS", "100000"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "9"))
_BYTES_A_RUN = 64 << 10


def main() -> None:
    with scratch() as folder:
        hub, ours, theirs = _team(folder)
        source = Source(ours, seed=1)
        sender, receiver = (repositories.find(path, {}) for path in (ours, theirs))
        push(sender)
        pull(receiver)

        def pushed_by_git() -> float:
            _commit(source)
            return family_cpu_ms(lambda: _git(ours, "push", "--quiet", "origin", f"{RUNS_REF}:{RUNS_REF}"))

        def pushed() -> float:
            _commit(source)
            return family_cpu_ms(lambda: push(sender))

        def fetched() -> float:
            _commit(source)
            _git(ours, "push", "--quiet", "origin", f"{RUNS_REF}:{RUNS_REF}")
            return family_cpu_ms(lambda: pull(receiver))

        def fetched_by_git() -> float:
            _commit(source)
            _git(ours, "push", "--quiet", "origin", f"{RUNS_REF}:{RUNS_REF}")
            spent = family_cpu_ms(lambda: _git(theirs, "fetch", "--quiet", "origin", f"+{RUNS_REF}:refs/bench/runs"))
            pull(receiver)
            return spent

        floors, values = in_turns(pushed_by_git, pushed, rounds=ROUNDS)
        report(row(f"push one run at {RUNS:,}", values, floors=floors, budget=Times(1.3)))
        floors, values = in_turns(fetched_by_git, fetched, rounds=ROUNDS)
        report(row(f"pull one run at {RUNS:,}", values, floors=floors, budget=Times(1.3)))
        report(
            row(
                "bytes that reach the remote, a run", _grown(source, sender, hub), budget=AtMost(_BYTES_A_RUN), unit="B"
            )
        )
        report(
            row(f"push of nothing at {RUNS:,}", [family_cpu_ms(lambda: push(sender)) for _ in range(3)], budget=Open())
        )


def _team(folder: Path) -> tuple[Path, Path, Path]:
    """A bare repository of many runs, and two clones that have them all."""
    hub = copy(RUNS, folder / "hub") / ".git"
    _git(hub, "config", "core.bare", "true")
    clones = [copy(RUNS, folder / name) for name in ("ours", "theirs")]
    for clone in clones:
        _git(clone, "remote", "add", "origin", f"file://{hub}")
    return hub, clones[0], clones[1]


def _commit(source: Source) -> None:
    source.queue()
    source.commit()


def _grown(source: Source, sender: Repository, hub: Path) -> list[float]:
    grown = []
    for _ in range(ROUNDS):
        before = _size_bytes(hub)
        _commit(source)
        push(sender)
        grown.append(float(_size_bytes(hub) - before))
    return grown


def _size_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in (folder / "objects").rglob("*") if path.is_file())


def _git(folder: Path, *args: str) -> None:
    subprocess.run(["git", *args], cwd=folder, check=True, capture_output=True)


if __name__ == "__main__":
    main()
