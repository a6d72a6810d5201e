"""Committing runs into a repository of many: what one costs, whether that stays flat, and many writers at once."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.generate import Source, copy, remove, run_id, scratch
from benchmarks.measure import AtLeast, AtMost, Budget, Open, family_cpu_ms, report, row
from gitrepro.records import ids
from gitrepro.store.gitobjects import TREE_MODE, Entry, GitObjects, encode_tree
from gitrepro.store.repository import RUNS_REF

RUNS = int(os.environ.get("BENCH_RUNS", "100000"))
SIZES = sorted({size for size in (1_000, 10_000) if size < RUNS} | {RUNS})
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "15"))
WRITERS = 8
RUNS_A_WRITER = int(os.environ.get("BENCH_RUNS_A_WRITER", "40"))
SHARDS = 32**3
WRITER = (
    "import sys, time; from pathlib import Path; from benchmarks.generate import Source;"
    "source = Source(Path(sys.argv[1]), seed=int(sys.argv[2])); print('ready', flush=True); sys.stdin.readline();"
    "began = time.process_time();"
    "[(source.queue(), source.commit()) for _ in range(int(sys.argv[3]))];"
    "print(time.process_time() - began)"
)


def main() -> None:
    with scratch() as folder:
        for size in SIZES:
            repo = copy(size, folder / str(size))
            _one_by_one(repo, size, AtMost(10) if size == RUNS else Open())
        report(
            row("tree data a run at 1,000,000 runs, simulated", [_simulated(repo, 1_000_000)], budget=Open(), unit="B")
        )
    for where, memory in (("tmpfs", "/dev/shm"), ("disk", None)):
        if memory is None or Path(memory).is_dir():
            place = Path(tempfile.mkdtemp(dir=memory, prefix="gitrepro-bench-"))
            try:
                _many(copy(RUNS, place / "repo"), where)
            finally:
                remove(place)


def _one_by_one(repo: Path, size: int, budget: Budget) -> None:
    source = Source(repo, seed=size)
    times, trees = [], []
    for _ in range(ROUNDS + 1):
        source.queue()
        before = _tip(repo)
        times.append(family_cpu_ms(source.commit))
        trees.append(_new_tree_bytes(repo, before))
    report(row(f"commit one run at {size:,}", times[1:], budget=budget))
    report(row(f"tree data a run at {size:,}", trees[1:], budget=AtMost(4096), unit="B"))


def _tip(repo: Path) -> str:
    return subprocess.run(
        ["git", "rev-parse", RUNS_REF], cwd=repo, capture_output=True, text=True, check=True
    ).stdout.strip()


def _new_tree_bytes(repo: Path, before: str) -> float:
    """Bytes of the trees that came with the last commit, as they are before Git compresses them."""
    listed = subprocess.run(
        ["git", "rev-list", "--objects", RUNS_REF, f"^{before}"], cwd=repo, capture_output=True, check=True
    ).stdout.split(b"\n")
    asked = b"\n".join(line.split(b" ")[0] for line in listed if line)
    check = ["git", "cat-file", "--batch-check=%(objecttype) %(objectsize)"]
    answers = subprocess.run(check, cwd=repo, input=asked, capture_output=True, check=True).stdout.decode()
    return float(sum(int(line.split()[1]) for line in answers.splitlines() if line.startswith("tree ")))


def _simulated(repo: Path, runs: int) -> float:
    """Tree bytes a run at `runs`: folders above are full from some ten thousand runs on, only the last one grows."""
    chance = random.Random(0)
    with GitObjects(repo / ".git") as objects:
        root = subprocess.run(
            ["git", "rev-parse", f"{RUNS_REF}^{{tree}}"], cwd=repo, capture_output=True, text=True, check=True
        ).stdout.strip()
        name = next(path.split("/")[4] for path, _ in objects.files(root) if path.startswith("runs/"))
        x, y, z = ids.shard(name).split("/")
        above = ["", "runs", f"runs/{x}", f"runs/{x}/{y}"]
        sizes = [len(encode_tree(objects.tree(root if not path else _oid(objects, root, path)))) for path in above]
        own = len(encode_tree(objects.tree(_oid(objects, root, f"runs/{x}/{y}/{z}/{name}"))))
    leaf = {run_id(number, chance): Entry(TREE_MODE, "0" * 40) for number in range(-(-runs // SHARDS))}
    return float(sum(sizes) + own + len(encode_tree(leaf)))


def _oid(objects: GitObjects, root: str, path: str) -> str:
    found = objects.entry(root, path)
    assert found
    return found.oid


def _many(repo: Path, where: str) -> None:
    """Eight processes, each committing runs as fast as it can, all of it synced: writing, queueing, folding."""
    rates, spent = [], []
    for number in range(min(3, ROUNDS)):
        children = [
            subprocess.Popen(
                [sys.executable, "-c", WRITER, str(repo), str(1 + number * WRITERS + each), str(RUNS_A_WRITER)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for each in range(WRITERS)
        ]
        for child in children:
            assert child.stdout
            child.stdout.readline()
        began = time.perf_counter()
        for child in children:
            assert child.stdin
            child.stdin.write("go\n")
            child.stdin.flush()
        seconds = [child.communicate()[0] for child in children]
        if any(child.returncode for child in children):
            raise RuntimeError("a writer failed")
        spent.append(1e3 * sum(map(float, seconds)) / (WRITERS * RUNS_A_WRITER))
        rates.append(WRITERS * RUNS_A_WRITER / (time.perf_counter() - began))
    name = f"{WRITERS} writers at {RUNS:,}, {where}"
    report(row(name, rates, budget=AtLeast(80), unit="runs/s"))
    # The rate is that of a quiet machine; what a run takes of its processors is the same on any.
    report(row(f"{name}, a run", spent, budget=Open()))


if __name__ == "__main__":
    main()
