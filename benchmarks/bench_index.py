"""Building the index from nothing, beside `git cat-file --batch` of the same blobs; and bringing it up to date."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from benchmarks.generate import Source, copy, indexed, scratch
from benchmarks.measure import AtMost, child_cpu_ms, report, row
from gitrepro.store import bulk
from gitrepro.store.index import index_path
from gitrepro.store.repository import RUNS_REF

RUNS = int(os.environ.get("BENCH_RUNS", "100000"))
NEW = min(1_000, RUNS)
ROUNDS = 1 if RUNS > 20_000 else 3
OPEN = (
    "import sys; from pathlib import Path; from gitrepro.store import repository;"
    "from gitrepro.store.index import Index;"
    "Index(repository.find(Path(sys.argv[1]), {})).close()"
)


def main() -> None:
    with scratch() as folder:
        repo = copy(RUNS, folder / "repo")
        names = folder / "names"
        names.write_text("".join(f"{oid}\n" for oid in _blobs(repo)))
        floors, values = [], []
        for _ in range(ROUNDS):
            floors.append(_cat_file(repo, names) / 1e3)
            for path in (repo / ".git" / "gitrepro").glob("index.sqlite*"):
                path.unlink()
            values.append(_open(repo) / 1e3)
        budget = AtMost(60 * RUNS / 100_000)
        report(row(f"index from nothing, {RUNS:,} runs", values, floors=floors, budget=budget, unit="s"))
        _more(folder / "more")


def _more(place: Path) -> None:
    repo = indexed(RUNS, place)
    source = Source(repo, seed=1)
    values = []
    for _ in range(3):
        for _ in range(NEW):
            source.queue()
        source.commit()
        values.append(_open(repo) / 1e3)
        assert index_path(source.repository).exists()
    report(row(f"index of {NEW:,} more runs at {RUNS:,}", values, budget=AtMost(1), unit="s"))


def _open(repo: Path) -> float:
    return child_cpu_ms([sys.executable, "-c", OPEN, str(repo)])


def _blobs(repo: Path) -> list[str]:
    wanted = ("/run.yaml", "/config.yaml")
    files = bulk.list_files(repo / ".git", RUNS_REF)
    return list(dict.fromkeys(oid for path, oid in files if path.endswith(wanted) or path.startswith("events/")))


def _cat_file(repo: Path, names: Path) -> float:
    return child_cpu_ms(["sh", "-c", 'git cat-file --batch --buffer < "$1"', "sh", str(names)], cwd=repo)


if __name__ == "__main__":
    main()
