"""`python -m tests.torture --all`: the full counts, resumable, and their tables.

    python -m tests.torture --all                     every trial that is still to do
    python -m tests.torture --all --seconds 540       stop in time, go on with the same command
    python -m tests.torture --all --slice 2/5         every fifth trial, for five machines
    python -m tests.torture --case 'kill' --seconds 60

What was done is kept in `benchmarks/results/torture.json`, so an interrupted torture goes on where it stopped. The
exit code is 1 when a trial found a problem or a control did not.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from .cases import CASES, Case
from .world import World

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"
PROBLEMS_AT_MOST = 20


def generator(seed: int, case: Case, number: int) -> random.Random:
    """What a trial draws from: the same for the same seed, case and number."""
    return random.Random(f"{seed}:{case.name}:{number}")


def main(argv: list[str] | None = None) -> int:
    options = _options(argv)
    results = Path(options.results)
    state = _load(results)
    chosen = [case for case in CASES if options.case in case.name]
    strace = shutil.which("strace")
    if strace is None:
        print("error: strace is not installed\ndo: tests/setup_tools.sh installs it", file=sys.stderr)
        return 2
    deadline = time.monotonic() + options.seconds if options.seconds else float("inf")
    with (
        tempfile.TemporaryDirectory(prefix="gitrepro-torture-") as scratch,
        World(scratch=Path(scratch) / "world", strace=strace) as world,
    ):
        for case in chosen:
            _torture(world, case, state, options, deadline, results)
    print(_markdown(state, options.seed))
    return 1 if any(entry["problems"] or entry["control"] == "MISSED" for entry in state.values()) else 0


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description="Torture gitrepro.")
    parser.add_argument("--all", action="store_true", help="all cases; the same as leaving --case away")
    parser.add_argument("--case", default="", help="only cases whose name holds this")
    parser.add_argument("--slice", default="1/1", help="K/N: trials K, K+N, ...")
    parser.add_argument("--seconds", type=float, default=0, help="stop after so long; the next call goes on")
    parser.add_argument("--seed", type=int, default=int(os.environ.get("GITREPRO_TEST_SEED", "1")))
    parser.add_argument("--results", default=str(RESULTS), help="the folder for torture.json and torture.md")
    return parser.parse_args(argv)


def _torture(
    world: World, case: Case, state: dict[str, Any], options: argparse.Namespace, deadline: float, results: Path
) -> None:
    entry = state.setdefault(case.name, _fresh(case))
    full = entry["full"] = case.full(world)
    part, parts = map(int, options.slice.split("/"))
    numbers = range(part - 1, full, parts)
    done = entry["done"].get(options.slice, 0)
    facts = Counter(entry["facts"])
    saved = time.monotonic()
    if entry["control"] == "not run" and time.monotonic() < deadline:
        entry["control"] = "found" if case.control(world, generator(options.seed, case, -1)) else "MISSED"
    for number in numbers[done:]:
        if time.monotonic() > deadline:
            break
        trial = case.trial(world, number, generator(options.seed, case, number))
        facts += trial.facts
        done += 1
        entry["problems"] += len(trial.problems) > 0
        entry["examples"] = [*entry["examples"], *(f"trial {number}: {line}" for line in trial.problems)][
            :PROBLEMS_AT_MOST
        ]
        for line in trial.problems:
            print(f"PROBLEM {case.name} {number}: {line}", file=sys.stderr)
        if time.monotonic() - saved > 5:
            _note(entry, facts, options.slice, done)
            _save(results, state, options.seed)
            saved = time.monotonic()
    _note(entry, facts, options.slice, done)
    _save(results, state, options.seed)
    print(f"{case.name}: {done} of {len(numbers)} trials, {entry['problems']} with problems", file=sys.stderr)


def _fresh(case: Case) -> dict[str, Any]:
    return {
        "promise": case.promise,
        "full": 0,
        "done": {},
        "problems": 0,
        "examples": [],
        "facts": {},
        "control": "not run",
    }


def _note(entry: dict[str, Any], facts: Counter[str], part: str, done: int) -> None:
    entry["facts"] = dict(sorted(facts.items()))
    entry["done"][part] = done


def _load(results: Path) -> dict[str, Any]:
    path = results / "torture.json"
    return dict(json.loads(path.read_text())["cases"]) if path.exists() else {}


def _save(results: Path, state: dict[str, Any], seed: int) -> None:
    results.mkdir(parents=True, exist_ok=True)
    where = {"cores": os.cpu_count(), "python": platform.python_version(), "system": platform.system()}
    making = results / ".torture.json"
    making.write_text(json.dumps({"machine": where, "seed": seed, "cases": state}, indent=2) + "\n")
    making.replace(results / "torture.json")
    (results / "torture.md").write_text(_markdown(state, seed))


def _markdown(state: dict[str, Any], seed: int) -> str:
    lines = [
        "# Torture",
        "",
        f"Seed {seed}. No failure in n trials bounds the rate of failure by 3/n, with 95 % confidence. The control is "
        "a program with a planted fault, judged by the same oracle.",
        "",
        "| fault | promise | trials | of | problems | at most | control | counted |",
        "| --- | --- | ---: | ---: | ---: | ---: | --- | --- |",
    ]
    for name, entry in state.items():
        done = sum(entry["done"].values())
        bound = f"{3 / done:.2g}" if done and not entry["problems"] else ""
        counted = ", ".join(f"{value:,} {fact}" for fact, value in entry["facts"].items())
        cells = [name, entry["promise"], f"{done:,}", f"{entry['full']:,}", entry["problems"], bound, entry["control"]]
        lines.append(f"| {' | '.join(map(str, [*cells, counted]))} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
