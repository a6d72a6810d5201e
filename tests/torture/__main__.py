"""`python -m tests.torture`: the full counts, resumable, and their tables.

    python -m tests.torture --all                     every trial that is still to do
    python -m tests.torture --all --seconds 540       stop in time, go on with the same command
    python -m tests.torture --all --jobs 16           spread the trials over processes
    python -m tests.torture --all --slice 2/5         every fifth trial, for five machines
    python -m tests.torture --case 'kill' --seconds 60
    python -m tests.torture --defects                 planted defects, and which case finds each
    python -m tests.torture.fuzz journal --seconds 60 bytes that nobody wrote, for one reader

What was done is kept in `benchmarks/results/torture.json`, so an interrupted torture goes on where it stopped. A case
that cannot run here (no strace, no root, no FUSE) is skipped, with the reason in the table. The exit code is 1 when a
trial found a problem, or a control or a defect was missed, and 2 when nothing could run.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import defects
from .case import Case, merge
from .cases import CASES
from .runner import Runner, generator, runner

__all__ = ["CASES", "generator", "main"]

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"
PROBLEMS_AT_MOST = 20
MEMORY = Path("/dev/shm")
ROOM_BYTES = 1 << 30


def main(argv: list[str] | None = None) -> int:
    options = _options(argv)
    chosen = tuple(case for case in CASES if options.case in case.name)
    deadline = time.monotonic() + options.seconds if options.seconds else float("inf")
    with (
        tempfile.TemporaryDirectory(prefix="gitrepro-torture-", dir=_scratch()) as scratch,
        runner(chosen, Path(scratch), jobs=options.jobs) as running,
    ):
        if options.defects:
            return defects.hunt_all(Path(options.results), Path(scratch), options.seed, wanted=options.case)
        torture = Torture(running, Path(options.results), options.seed, options.slice, deadline)
        for case in chosen:
            torture.case(case)
    print(torture.table())
    entries = [torture.state[case.name] for case in chosen]
    if all("skipped" in entry for entry in entries):
        print("error: none of these can run here; the table says why", file=sys.stderr)
        return 2
    return 1 if any(entry["problems"] or entry["control"] == "MISSED" for entry in entries) else 0


def _scratch() -> str | None:
    """Memory where there is enough of it: a process that is killed leaves the same files on any file system."""
    if not MEMORY.is_dir() or not os.access(MEMORY, os.W_OK):
        return None
    room = os.statvfs(MEMORY)
    return str(MEMORY) if room.f_bavail * room.f_bsize > ROOM_BYTES else None


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description="Torture gitrepro.")
    parser.add_argument("--all", action="store_true", help="all cases; the same as leaving --case away")
    parser.add_argument("--case", default="", help="only cases whose name holds this")
    parser.add_argument("--slice", default="1/1", help="K/N: trials K, K+N, ...")
    parser.add_argument("--jobs", type=int, default=1, help="how many processes share the trials")
    parser.add_argument("--seconds", type=float, default=0, help="stop after so long; the next call goes on")
    parser.add_argument("--seed", type=int, default=int(os.environ.get("GITREPRO_TEST_SEED", "1")))
    parser.add_argument("--results", default=str(RESULTS), help="the folder for the results")
    parser.add_argument("--defects", action="store_true", help="hunt the planted defects instead")
    return parser.parse_args(argv)


@dataclass(slots=True)
class Torture:
    """What is done of each case, kept in a file so that the next call goes on."""

    running: Runner
    results: Path
    seed: int
    part: str
    deadline: float
    state: dict[str, Any]

    def __init__(self, running: Runner, results: Path, seed: int, part: str, deadline: float) -> None:
        self.running, self.results, self.seed, self.part, self.deadline = running, results, seed, part, deadline
        path = results / "torture.json"
        self.state = dict(json.loads(path.read_text())["cases"]) if path.exists() else {}

    def case(self, case: Case) -> None:
        entry = self.state.setdefault(case.name, _fresh(case))
        entry.pop("skipped", None)
        if missing := self.running.missing(case):
            entry["skipped"] = missing
            print(f"{case.name}: skipped, {missing}", file=sys.stderr)
        elif not self._late():
            self._do(case, entry)
        self._save()

    def _do(self, case: Case, entry: dict[str, Any]) -> None:
        if entry["control"] == "not run":
            entry["control"] = "found" if self.running.control(case, self.seed) else "MISSED"
        entry["full"] = self.running.full(case)
        part, parts = map(int, self.part.split("/"))
        numbers = range(part - 1, entry["full"], parts)
        facts = Counter(entry["facts"])
        saved = time.monotonic()
        while (done := entry["done"].get(self.part, 0)) < len(numbers) and not self._late():
            # In pieces: what is under way when time is up is waited for.
            for number, trial in self._some(case, numbers[done : done + 64]):
                merge(facts, trial.facts)
                entry["done"][self.part] = entry["done"].get(self.part, 0) + 1
                _note(entry, number, trial.problems)
                entry["facts"] = dict(sorted(facts.items()))
                if time.monotonic() - saved > 5:
                    self._save()
                    saved = time.monotonic()
        done = entry["done"].get(self.part, 0)
        print(f"{case.name}: {done} of {len(numbers)} trials, {entry['problems']} with problems", file=sys.stderr)

    def _some(self, case: Case, numbers: range) -> Any:
        trials = self.running.trials(case, numbers, self.seed)
        for number, trial in zip(numbers, trials, strict=True):
            for line in trial.problems:
                print(f"PROBLEM {case.name} {number}: {line}", file=sys.stderr)
            yield number, trial
            if self._late():
                trials.close()
                return

    def _late(self) -> bool:
        return time.monotonic() > self.deadline

    def _save(self) -> None:
        self.results.mkdir(parents=True, exist_ok=True)
        where = {"cores": os.cpu_count(), "python": platform.python_version(), "system": platform.system()}
        making = self.results / ".torture.json"
        document = {"machine": where, "seed": self.seed, "cases": self.state}
        making.write_text(json.dumps(document, indent=2) + "\n")
        making.replace(self.results / "torture.json")
        (self.results / "torture.md").write_text(self.table())

    def table(self) -> str:
        lines = [
            "# Torture",
            "",
            f"Seed {self.seed}. No failure in n faults bounds the rate of failure by 3/n, with 95 % confidence. The "
            "control is a program with a planted fault, judged by the same oracle.",
            "",
            "| fault | promise | faults | of | problems | at most | control | counted |",
            "| --- | --- | ---: | ---: | ---: | ---: | --- | --- |",
        ]
        known = {case.name: case for case in CASES}
        lines += [_row(name, entry, known[name].each) for name, entry in self.state.items() if name in known]
        return "\n".join(lines) + "\n"


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


def _note(entry: dict[str, Any], number: int, problems: list[str]) -> None:
    entry["problems"] += len(problems) > 0
    entry["examples"] = [*entry["examples"], *(f"trial {number}: {line}" for line in problems)][:PROBLEMS_AT_MOST]


def _row(name: str, entry: dict[str, Any], each: int) -> str:
    done = sum(entry["done"].values()) * each
    bound = f"{3 / done:.2g}" if done and not entry["problems"] else ""
    counted = ", ".join(f"{fact}: {value:,}" for fact, value in entry["facts"].items() if value)
    if "skipped" in entry:
        counted = f"skipped: {entry['skipped']}"
    cells = [name, entry["promise"], f"{done:,}", f"{entry['full'] * each:,}", entry["problems"], bound]
    return f"| {' | '.join(map(str, [*cells, entry['control'], counted]))} |"


if __name__ == "__main__":
    sys.exit(main())
