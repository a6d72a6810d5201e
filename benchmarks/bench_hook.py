"""Changes of refs that concern nobody, under our hook, beside an empty `sh` hook: a branch, a tag, a fetch of tags."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from functools import partial
from pathlib import Path

from benchmarks.measure import Times, child_cpu_ms, in_turns, report, row
from benchmarks.repositories import git, repository

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "15"))
HOOK = Path(__file__).parent.parent / "hooks" / "reference-transaction"
CHANGES = int(os.environ.get("BENCH_CHANGES", "20"))
TAGS = int(os.environ.get("BENCH_TAGS", "200"))


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        empty, ours = repository(Path(folder) / "empty"), repository(Path(folder) / "ours")
        for repo in (empty, ours):
            (repo / ".git" / "hooks").mkdir(exist_ok=True)
            git(repo, "config", "gitrepro.python", "/usr/bin/false")  # so that a start of Python would be noticed
            git(repo, "config", "gitrepro.resultTags", "result/*")
            git(repo, "remote", "add", "origin", "elsewhere")  # as in a clone: a quoted section that is not ours
        hook = empty / ".git" / "hooks" / "reference-transaction"
        hook.write_text("#!/bin/sh\n")
        hook.chmod(0o755)
        shutil.copy(HOOK, ours / ".git" / "hooks" / HOOK.name)
        (ours / ".git" / "hooks" / HOOK.name).chmod(0o755)
        for name, ref in (("a branch", "refs/heads/topic"), ("an ordinary tag", "refs/tags/v1")):
            floors, values = in_turns(partial(_move, empty, ref), partial(_move, ours, ref), rounds=ROUNDS)
            report(row(f"update-ref of {name} under our hook", values, floors=floors, budget=Times(1.5)))
        _fetches(Path(folder), empty, ours)


def _fetches(folder: Path, empty: Path, ours: Path) -> None:
    """Git calls the hook twice for each tag that it fetches; what a fetch brings is never judged."""
    for name, stem in (("ordinary", "v"), ("result", "result/n")):
        there = repository(folder / name)
        tags = "".join(f"create refs/tags/{stem}{number} HEAD\n" for number in range(TAGS))
        subprocess.run(["git", "update-ref", "--stdin"], cwd=there, input=tags, text=True, check=True)
        floors, values = in_turns(partial(_fetch, empty, there), partial(_fetch, ours, there), rounds=min(5, ROUNDS))
        report(row(f"fetch of {TAGS} {name} tags under our hook", values, floors=floors, budget=Times(1.5)))


def _fetch(repo: Path, there: Path) -> float:
    """Processor time of a fetch that brings all tags of another repository, hooks included."""
    spent = child_cpu_ms(["git", "fetch", "--quiet", "--no-auto-gc", str(there), "refs/tags/*:refs/tags/*"], cwd=repo)
    _drop_tags(repo)
    return spent


def _drop_tags(repo: Path) -> None:
    listed = subprocess.run(["git", "tag"], cwd=repo, capture_output=True, text=True, check=True).stdout.split()
    moves = "".join(f"delete refs/tags/{name}\n" for name in listed)
    command = ["git", "-c", "core.hooksPath=/dev/null", "update-ref", "--stdin"]
    subprocess.run(command, cwd=repo, input=moves, text=True, check=True)


def _move(repo: Path, ref: str) -> float:
    """Processor time of creating and deleting `ref`, hooks included, a change."""
    spent = 0.0
    for _ in range(CHANGES // 2):
        spent += child_cpu_ms(["git", "update-ref", ref, "HEAD"], cwd=repo)
        spent += child_cpu_ms(["git", "update-ref", "-d", ref], cwd=repo)
    return spent / CHANGES


if __name__ == "__main__":
    main()
