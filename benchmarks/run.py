"""Run every benchmark in a process of its own and print one table: `python -m benchmarks.run [NAME…]`.

A benchmark is a file `bench_*.py` beside this one. Each line it prints on stdout is one row, as `measure.report` writes
it. The exit code is 1 when a budget was missed or a benchmark did not get to its rows.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.measure import Row

HERE = Path(__file__).parent
COLUMNS = ("benchmark", "unit", "floor", "value", "ratio", "budget", "verdict", "n")
RIGHT = {"floor", "value", "ratio", "n"}


class BenchmarkFailed(Exception):
    """A benchmark ended badly, or printed something that is no row."""


def measure_file(path: Path) -> list[Row]:
    """Run one benchmark and return its rows.

    Raises:
        BenchmarkFailed: it ended badly, printed no row, or printed something else.
    """
    argv = [sys.executable, "-m", f"{path.parent.name}.{path.stem}"]
    done = subprocess.run(argv, cwd=path.parent.parent, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise BenchmarkFailed(f"{path.stem} ended with {done.returncode}")
    rows = [_row(line, path.stem) for line in done.stdout.splitlines()]
    if not rows:
        raise BenchmarkFailed(f"{path.stem} printed no row")
    return rows


def _row(line: str, name: str) -> Row:
    try:
        return Row(**json.loads(line))
    except (ValueError, TypeError) as error:
        raise BenchmarkFailed(f"{name} printed a line that is no row: {line[:80]!r}") from error


def table(rows: Sequence[Row]) -> list[list[str]]:
    """The header and a line of cells for each row, for people."""
    return [list(COLUMNS), *(_cells(each) for each in rows)]


def _cells(each: Row) -> list[str]:
    ratio = "" if each.ratio is None else f"{each.ratio:.2f}"
    verdict = "ok" if each.ok else "MISSED"
    return [each.name, each.unit, _number(each.floor), _number(each.value), ratio, each.budget, verdict, str(each.n)]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def aligned(cells: Sequence[Sequence[str]]) -> str:
    """Columns under one another, numbers to the right."""
    return "\n".join("  ".join(line).rstrip() for line in _padded(cells))


def markdown(cells: Sequence[Sequence[str]]) -> str:
    """The same as a Markdown table."""
    header, *lines = _padded(cells)
    rule = ["-" * (len(cell) - 1) + (":" if name in RIGHT else "-") for name, cell in zip(COLUMNS, header, strict=True)]
    return "\n".join(f"| {' | '.join(line)} |" for line in [header, rule, *lines])


def _padded(cells: Sequence[Sequence[str]]) -> list[list[str]]:
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        [
            cell.rjust(width) if name in RIGHT else cell.ljust(width)
            for name, cell, width in zip(COLUMNS, line, widths, strict=True)
        ]
        for line in cells
    ]


def machine() -> dict[str, str]:
    """What the numbers were measured on, in the words a reader needs to judge them."""
    return {
        "cores": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def write(rows: Sequence[Row], *, folder: Path) -> None:
    """Write `bench.json` and `bench.md` into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    document = {"machine": machine(), "rows": [asdict(each) for each in rows]}
    (folder / "bench.json").write_text(json.dumps(document, indent=2) + "\n")
    where = ", ".join(f"{name} {value}" for name, value in machine().items())
    (folder / "bench.md").write_text(f"# Benchmarks\n\n{where}\n\n{markdown(table(rows))}\n")


def merged(rows: Sequence[Row], *, folder: Path) -> list[Row]:
    """The rows that are written in `folder`, with these in place of those of the same names; new ones at the end."""
    try:
        before = [Row(**each) for each in json.loads((folder / "bench.json").read_text())["rows"]]
    except FileNotFoundError:
        before = []
    new = {each.name: each for each in rows}
    return [*(new.pop(each.name, each) for each in before), *new.values()]


def main(argv: Sequence[str] | None = None, *, folder: Path = HERE) -> int:
    """Measure, print, write; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description="Run the benchmarks.")
    parser.add_argument("name", nargs="*", help="only these, such as `log` for bench_log.py; nothing is written then")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="the same")
    parser.add_argument("--merge", action="store_true", help="write these in place of the rows of the same names")
    asked = parser.parse_args(argv)
    wanted = [*asked.name, *asked.only]
    paths = [path for path in sorted(folder.glob("bench_*.py")) if not wanted or path.stem[len("bench_") :] in wanted]
    rows, failures = _measure_all(paths)
    print(aligned(table(rows)))
    if rows and (asked.merge or not wanted):
        write(merged(rows, folder=folder / "results") if asked.merge else rows, folder=folder / "results")
    if not paths:
        failures.append(f"no benchmark of that name in {folder}")
    for failure in failures:
        print(f"error: {failure}", file=sys.stderr)
    return 0 if not failures and all(each.ok for each in rows) else 1


def _measure_all(paths: Sequence[Path]) -> tuple[list[Row], list[str]]:
    rows: list[Row] = []
    failures: list[str] = []
    for path in paths:
        print(f"{path.stem} …", file=sys.stderr)
        try:
            rows += measure_file(path)
        except BenchmarkFailed as failure:
            failures.append(str(failure))
    return rows, failures


if __name__ == "__main__":
    sys.exit(main())
