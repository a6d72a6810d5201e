"""About a twentieth of the torture, in `make test`; `make torture` runs it whole."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.torture import __main__ as command
from tests.torture import oracle
from tests.torture.cases import CASES, Case, Trial
from tests.torture.faults import points
from tests.torture.world import World

SMALL_TRIAL = Trial()
BAD_TRIAL = Trial(problems=["lost"])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, requires_strace: str) -> Iterator[World]:
    with World(scratch=tmp_path_factory.mktemp("torture") / "world", strace=requires_strace) as made:
        yield made


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_fault_breaks_no_promise(case: Case, world: World, seed: int) -> None:
    full = case.full(world)
    stride = max(1, full // case.ci)
    offset = random.Random(seed).randrange(stride)
    print(f"trials {offset}, {offset + stride}, ... of {full}, seed {seed}")
    facts: Counter[str] = Counter()
    for number in range(offset, full, stride)[: case.ci]:
        trial = case.trial(world, number, command.generator(seed, case, number))
        assert trial.problems == [], f"trial {number} of {case.name}"
        facts += trial.facts
    assert facts, "a torture in which nothing happened proves nothing"


CONTROLS = {case.control: case for case in CASES}


@pytest.mark.parametrize("case", CONTROLS.values(), ids=lambda case: case.control.__name__)
def test_the_oracle_finds_a_planted_fault(case: Case, world: World, seed: int) -> None:
    assert case.control(world, command.generator(seed, case, -1))


def test_an_interrupted_torture_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def ask(_: World, number: int, __: random.Random) -> Trial:
        asked.append(number)
        return SMALL_TRIAL

    small = Case(
        name="small",
        promise="",
        full=lambda _: 6,
        ci=1,
        trial=ask,
        control=lambda *_: ["found"],
    )
    monkeypatch.setattr(command, "CASES", (small,))
    results = ["--results", str(tmp_path / "results")]

    assert command.main(["--all", "--slice", "1/2", *results]) == 0
    assert command.main(["--all", "--slice", "1/2", *results]) == 0
    assert command.main(["--all", "--slice", "2/2", *results]) == 0

    assert asked == [0, 2, 4, 1, 3, 5]
    entry = json.loads((tmp_path / "results" / "torture.json").read_text())["cases"]["small"]
    assert entry["done"] == {"1/2": 3, "2/2": 3}
    assert "| small |  | 6 | 6 | 0 | 0.5 | found |" in (tmp_path / "results" / "torture.md").read_text()


def test_a_torture_that_finds_something_ends_with_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = Case(
        name="bad",
        promise="",
        full=lambda _: 1,
        ci=1,
        trial=lambda *_: BAD_TRIAL,
        control=lambda *_: ["found"],
    )
    monkeypatch.setattr(command, "CASES", (bad,))
    assert command.main(["--results", str(tmp_path)]) == 1
    assert "trial 0: lost" in (tmp_path / "torture.json").read_text()


def test_a_control_that_finds_nothing_ends_with_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blind = Case(
        name="blind",
        promise="",
        full=lambda _: 1,
        ci=1,
        trial=lambda *_: SMALL_TRIAL,
        control=lambda *_: [],
    )
    monkeypatch.setattr(command, "CASES", (blind,))
    assert command.main(["--results", str(tmp_path)]) == 1
    assert "MISSED" in (tmp_path / "torture.md").read_text()


def test_the_points_of_a_trace_are_counted_by_thread_and_only_on_our_files(tmp_path: Path) -> None:
    trace = f"""
11 openat(AT_FDCWD, "/usr/lib/x.so", O_RDONLY) = 3
11 openat(AT_FDCWD, "{tmp_path}/.git/gitrepro/lock", O_RDWR|O_CREAT) = 3
12 openat(AT_FDCWD, "{tmp_path}/.git/gitrepro/lock", O_RDONLY) = 3
12 rename("{tmp_path}/.git/gitrepro/a", "{tmp_path}/.git/gitrepro/b") = 0
11 rename("{tmp_path}/train.py", "{tmp_path}/old.py") = 0
"""
    found = points(trace, within=tmp_path)
    assert [(point.call, point.number, point.place) for point in found] == [
        ("openat", 2, ".git/gitrepro/lock"),
        ("rename", 1, ".git/gitrepro/a"),
    ]


def test_the_oracle_sees_a_point_that_was_not_sent() -> None:
    row: dict[str, object] = {"_step": 1, "loss": 0.25, "count": 1}
    good = oracle.Found(id="x", status="crashed", losses=False, rows=[row], text="")
    bad = oracle.Found(id="x", status="crashed", losses=False, rows=[{**row, "loss": 0.5}], text="")
    assert oracle.judge_rows(good, [1], sent=9) == []
    assert oracle.judge_rows(bad, [1], sent=9)
    assert oracle.judge_rows(good, [1, 2], sent=9)
