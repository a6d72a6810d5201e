"""Start and finish of a run that logs nothing, imports aside, beside `git commit` of three files.

Both count the processor time of the processes they start.
"""

from __future__ import annotations

import os
import resource
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.measure import AtMost, Times, child_cpu_ms, in_turns, report, row
from benchmarks.repositories import IDENTITY, repository, with_runs

RUNS = int(os.environ.get("BENCH_RUNS", "1000"))


def main() -> None:
    import gitrepro

    with tempfile.TemporaryDirectory() as folder:
        theirs, ours = repository(Path(folder) / "theirs"), repository(Path(folder) / "ours")

        def commit() -> float:
            for name in ("train.py", "model.py", "data.py"):
                (theirs / name).write_text(f"print({os.urandom(8).hex()!r})\n")
            return child_cpu_ms(["git", "commit", "--quiet", "--all", "--message=next"], cwd=theirs)

        def record() -> None:
            os.chdir(ours)
            gitrepro.record(name="empty").finish()

        floors, values = in_turns(commit, lambda: cpu_ms(record), rounds=21)
        report(row("record start + finish of an empty run", values, floors=floors, budget=Times(5)))

        many = with_runs(repository(Path(folder) / "many"), RUNS)
        report(row(f"commit one run at {RUNS:,}", [_commit_one(many) for _ in range(15)], budget=AtMost(10)))


def _commit_one(repo: Path) -> float:
    """The fold alone: the run's own objects are written and queued before."""
    from benchmarks.repositories import _pending
    from gitrepro.store import repository as repositories
    from gitrepro.store.fold import enqueue, fold

    found = repositories.find(repo, {})
    enqueue(found, _pending(repo, 1, "0" * 40))
    return cpu_ms(lambda: fold(found, identity=IDENTITY))


def cpu_ms(act: Callable[[], object]) -> float:
    """Processor milliseconds of one call: this process, all its threads, and the children it waited for."""
    before = _used_ms()
    act()
    return _used_ms() - before


def _used_ms() -> float:
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in both) * 1e3


if __name__ == "__main__":
    main()
