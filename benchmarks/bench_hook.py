"""A change of a ref that concerns nobody, under our hook, beside an empty `sh` hook: for a branch, and for a tag."""

from __future__ import annotations

import shutil
import tempfile
from functools import partial
from pathlib import Path

from benchmarks.measure import Times, child_cpu_ms, in_turns, report, row
from benchmarks.repositories import git, repository

HOOK = Path(__file__).parent.parent / "hooks" / "reference-transaction"
CHANGES = 20


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        empty, ours = repository(Path(folder) / "empty"), repository(Path(folder) / "ours")
        for repo in (empty, ours):
            (repo / ".git" / "hooks").mkdir(exist_ok=True)
            git(repo, "config", "gitrepro.python", "/usr/bin/false")  # so that a start of Python would be noticed
            git(repo, "config", "gitrepro.resultTags", "result/*")
        hook = empty / ".git" / "hooks" / "reference-transaction"
        hook.write_text("#!/bin/sh\n")
        hook.chmod(0o755)
        shutil.copy(HOOK, ours / ".git" / "hooks" / HOOK.name)
        (ours / ".git" / "hooks" / HOOK.name).chmod(0o755)
        for name, ref in (("a branch", "refs/heads/topic"), ("an ordinary tag", "refs/tags/v1")):
            floors, values = in_turns(partial(_move, empty, ref), partial(_move, ours, ref), rounds=15)
            report(row(f"update-ref of {name} under our hook", values, floors=floors, budget=Times(1.5)))


def _move(repo: Path, ref: str) -> float:
    """Processor time of creating and deleting `ref`, hooks included, a change."""
    spent = 0.0
    for _ in range(CHANGES // 2):
        spent += child_cpu_ms(["git", "update-ref", ref, "HEAD"], cwd=repo)
        spent += child_cpu_ms(["git", "update-ref", "-d", ref], cwd=repo)
    return spent / CHANGES


if __name__ == "__main__":
    main()
