"""`git fetch` of 200 tags under our hook, beside an empty `sh` hook and beside none: Git calls it twice a tag."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from functools import partial
from pathlib import Path

from benchmarks.measure import Open, Times, child_cpu_ms, in_turns, report, row
from benchmarks.repositories import git, repository

HOOK = Path(__file__).parent.parent / "hooks" / "reference-transaction"
TAGS = int(os.environ.get("BENCH_TAGS", "200"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        server = repository(place / "server")
        for number in range(TAGS):
            git(server, "tag", "--annotate", "--message=a tag", f"v{number}")
        bare, empty, ours = (_clone(server, place / name) for name in ("bare", "empty", "ours"))
        _hook(empty, "#!/bin/sh\n")
        _hook(ours, HOOK.read_text())
        git(ours, "config", "gitrepro.python", "/usr/bin/false")  # so that a start of Python would be noticed
        git(ours, "config", "gitrepro.resultTags", "result/*")
        floors, values = in_turns(partial(_fetch, empty), partial(_fetch, ours), rounds=ROUNDS)
        report(row(f"fetch of {TAGS} tags, our hook beside an empty one", values, floors=floors, budget=Times(1.5)))
        floors, values = in_turns(partial(_fetch, bare), partial(_fetch, ours), rounds=ROUNDS)
        report(row(f"fetch of {TAGS} tags, our hook beside none", values, floors=floors, budget=Open()))


def _clone(server: Path, path: Path) -> Path:
    subprocess.run(["git", "clone", "--quiet", "--template=", "--no-tags", str(server), str(path)], check=True)
    return path


def _hook(repo: Path, text: str) -> None:
    path = repo / ".git" / "hooks" / "reference-transaction"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def _fetch(repo: Path) -> float:
    """Processor time of one fetch that brings all tags, hooks included."""
    for path in [repo / ".git" / "refs" / "tags", repo / ".git" / "packed-refs"]:
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
    (repo / ".git" / "refs" / "tags").mkdir()
    return child_cpu_ms(["git", "fetch", "--quiet", "--tags", "--no-auto-gc", "origin"], cwd=repo)


if __name__ == "__main__":
    main()
