"""`python -m tests.gallery`: which experiment is caught by which line, as a table, from what the torture counted.

python -m tests.torture --case gallery --jobs 2   20 seeds of each experiment, resumable
python -m tests.gallery                           the table of what came of it
python -m tests.gallery --seeds 1 --family texts  each experiment here and now, and all lines that do not pass
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from scipy.stats import beta

from gitrepro.errors import GitreproError

from .experiment import Experiment
from .registry import FAMILIES, RULES, check, judged

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results" / "torture.json"


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.gallery")
    parser.add_argument("--seeds", type=int, default=0, help="so many seeds of each, here and now")
    parser.add_argument("--family", default="", help="only this family")
    parser.add_argument("--name", default="", help="only experiments whose name holds this")
    parser.add_argument("--results", default=str(RESULTS))
    options = parser.parse_args(argv)
    if options.seeds:
        return here_and_now(options)
    cases = json.loads(Path(options.results).read_text())["cases"]
    print("\n".join(table(cases)))
    return 0


def here_and_now(options: argparse.Namespace) -> int:
    wrong = 0
    for family, experiments in FAMILIES.items():
        for each in experiments:
            if options.family in family and options.name in each.name:
                for seed in range(options.seeds):
                    wrong += show(each, seed)
    return 1 if wrong else 0


def show(each: Experiment, seed: int) -> int:
    """Print every line that does not pass; 1 where the experiment is not judged as it should be."""
    problem = 0
    if each.line:
        problem = judged(each, seed).outcome == "missed"
        print(f"{'MISSED' if problem else 'caught'}: {each.name}, {each.broken}, by {each.line}")
    for rule in RULES:
        try:
            lines = check(each.make(seed), rule, seed)
        except GitreproError as error:
            print(f"ERROR: {each.name}, {rule}: {error}")
            problem = 1
            continue
        for line in lines:
            if line.verdict not in ("PASS", "NOT_APPLICABLE"):
                print(f"  {each.name}, seed {seed}: {line.name} {line.verdict}: {line.why}")
                problem |= int(not each.broken and line.verdict == "FAIL")
    return int(problem)


# -- the table


def table(cases: Mapping[str, Mapping[str, Mapping[str, int]]]) -> Iterator[str]:
    """Rows of Markdown, from the facts that the torture has counted."""
    facts = {name: count for case in cases.values() for name, count in case["facts"].items()}
    yield "| experiment | what is wrong | line that says so | caught | missed | undecided | at least |"
    yield "| --- | --- | --- | ---: | ---: | ---: | ---: |"
    every = [each for experiments in FAMILIES.values() for each in experiments]
    for each in (each for each in every if each.line):
        caught, missed, unsure = (facts.get(f"{each.name}: {said}", 0) for said in ("caught", "missed", "undecided"))
        low, _ = interval(caught, caught + missed + unsure)
        yield f"| {each.name} | {each.broken} | `{each.line}` | {caught} | {missed} | {unsure} | {low:.0%} |"
    for each in (each for each in every if each.missed):
        yield f"| {each.name} | {each.broken} | none: {each.missed} | | | | |"
    yield ""
    yield "| sound experiment | no line fails | a line fails | a line is undecided | fails at most |"
    yield "| --- | ---: | ---: | ---: | ---: |"
    for each in (each for each in every if not each.broken):
        whole, failed, unsure = (facts.get(f"{each.name}: {said}", 0) for said in ("not failed", "failed", "undecided"))
        _, high = interval(failed, whole + failed)
        yield f"| {each.name} | {whole} | {failed} | {unsure} | {high:.0%} |"
    yield ""
    yield from sums(facts, every)


def sums(facts: Mapping[str, int], every: list[Experiment]) -> Iterator[str]:
    def count(said: str) -> int:
        return sum(facts.get(f"{each.name}: {said}", 0) for each in every)

    caught, missed, unsure = count("caught"), count("missed"), facts.get("broken: undecided", 0)
    whole, failed = count("not failed"), count("failed")
    low, high = interval(caught, caught + missed + unsure)
    yield f"Broken: {caught} of {caught + missed + unsure} caught [{low:.1%}, {high:.1%}], {unsure} undecided."
    low, high = interval(failed, whole + failed)
    yield f"Sound: {failed} of {whole + failed} failed [{low:.1%}, {high:.1%}]."


def interval(count: int, total: int, *, level: float = 0.95) -> tuple[float, float]:
    """Of a share, by Clopper and Pearson (1934): it holds at least as often as it says."""
    if not total:
        return 0.0, 1.0
    low = beta.ppf((1 - level) / 2, count, total - count + 1) if count else 0.0
    high = beta.ppf((1 + level) / 2, count + 1, total - count) if count < total else 1.0
    return float(low), float(high)


if __name__ == "__main__":
    sys.exit(main())
