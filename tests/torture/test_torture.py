"""About a twentieth of the torture, in `make test`; `make torture` runs it whole."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.torture import __main__ as command
from tests.torture import blockdisk, defects, fuzz, harm, oracle
from tests.torture.blockdisk import Flush, Write
from tests.torture.case import MOST, Case, Trial, merge
from tests.torture.cases import CASES
from tests.torture.faults import points
from tests.torture.mutants import MUTANTS, replace
from tests.torture.runner import generator
from tests.torture.world import World

SMALL_TRIAL = Trial()
BAD_TRIAL = Trial(problems=["lost"])
IN_CI = [case for case in CASES if case.ci]
SMALL_HUNTS = [defect for defect in defects.DEFECTS if defect.small]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    scratch = tmp_path_factory.mktemp("torture")
    with World(scratch=scratch / "world", shared=scratch / "shared", strace=shutil.which("strace")) as made:
        yield made


@pytest.mark.parametrize("case", IN_CI, ids=lambda case: case.name)
def test_a_fault_breaks_no_promise(case: Case, world: World, seed: int) -> None:
    if missing := case.needs(world):
        pytest.skip(missing)
    full = case.full(world)
    stride = max(1, full // case.ci)
    offset = random.Random(seed).randrange(stride)
    print(f"trials {offset}, {offset + stride}, ... of {full}, seed {seed}")
    facts: Counter[str] = Counter()
    for number in range(offset, full, stride)[: case.ci]:
        trial = case.trial(world, number, generator(seed, case, number))
        assert trial.problems == [], f"trial {number} of {case.name}"
        merge(facts, trial.facts)
    assert facts, "a torture in which nothing happened proves nothing"


@pytest.mark.parametrize("defect", SMALL_HUNTS, ids=lambda defect: defect.mutant)
def test_a_planted_defect_is_found(defect: defects.Defect, world: World, seed: int) -> None:
    if missing := defect.needs(world):
        pytest.skip(missing)
    count, _ = defects.hunt(world, defect, seed)
    assert count, defect.what


def test_the_oracle_misses_a_run_that_was_not_recovered(world: World, seed: int) -> None:
    [case] = [case for case in CASES if case.name == "kill -9 at random, gitrepro record"]
    assert case.control(world, generator(seed, case, -1))


def test_a_defect_that_hits_nothing_is_no_find(world: World) -> None:
    with pytest.raises(AssertionError, match="hit nothing"):
        replace(harm, "no such name", None)
    place = world.place("clean")
    with pytest.raises(RuntimeError, match="could not be planted"):
        world.run(place, "life", str(place.acks), steps=1, mutant="no such defect")
    world.drop(place)


def test_every_planted_defect_is_hunted() -> None:
    assert {defect.mutant for defect in defects.DEFECTS} == set(MUTANTS) - {""}


def test_the_oracles_load_nothing_of_gitrepro() -> None:
    script = "import sys; from tests.torture import litter, oracle, stores; import pyarrow.parquet; "
    script += "print([name for name in sys.modules if name.partition('.')[0] == 'gitrepro'])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", fuzz.TARGETS)
def test_a_reader_only_ever_refuses(name: str, seed: int) -> None:
    done, problems = fuzz.by_chance(fuzz.TARGETS[name], rng=random.Random(seed), count=400)
    assert problems == []
    assert done == 400


def test_the_fuzz_finds_a_reader_that_falls_over() -> None:
    broken = fuzz.Target(read=lambda data: data.decode("ascii"), seeds=lambda: [b"x" * 40], module="")
    _, problems = fuzz.by_chance(broken, rng=random.Random(1), count=400)
    assert "UnicodeDecodeError" in problems[0]


# -- the table of what is done


def small(name: str = "small", **changes: object) -> Case:
    settings = {"full": lambda _: 6, "trial": lambda *_: SMALL_TRIAL, "control": lambda *_: ["found"], **changes}
    return Case(name=name, promise="", ci=1, **settings)  # type: ignore[arg-type]


def test_an_interrupted_torture_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def ask(_: World, number: int, __: random.Random) -> Trial:
        asked.append(number)
        return SMALL_TRIAL

    monkeypatch.setattr(command, "CASES", (small(trial=ask),))
    results = ["--results", str(tmp_path / "results")]

    assert command.main(["--all", "--slice", "1/2", *results]) == 0
    assert command.main(["--all", "--slice", "1/2", *results]) == 0
    assert command.main(["--all", "--slice", "2/2", *results]) == 0

    assert asked == [0, 2, 4, 1, 3, 5]
    entry = json.loads((tmp_path / "results" / "torture.json").read_text())["cases"]["small"]
    assert entry["done"] == {"1/2": 3, "2/2": 3}
    assert "| small |  | 6 | 6 | 0 | 0.5 | found |" in (tmp_path / "results" / "torture.md").read_text()


def test_several_processes_share_the_trials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def count(_: World, number: int, __: random.Random) -> Trial:
        return Trial(facts=Counter({"sum": number, f"{MOST}number": number}))

    monkeypatch.setattr(command, "CASES", (small(trial=count, full=lambda _: 50),))
    assert command.main(["--jobs", "2", "--results", str(tmp_path)]) == 0
    entry = json.loads((tmp_path / "torture.json").read_text())["cases"]["small"]
    assert entry["done"] == {"1/1": 50}
    assert entry["facts"] == {f"{MOST}number": 49, "sum": 49 * 50 // 2}


def test_a_torture_that_finds_something_ends_with_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "CASES", (small("bad", trial=lambda *_: BAD_TRIAL),))
    assert command.main(["--results", str(tmp_path)]) == 1
    assert "trial 0: lost" in (tmp_path / "torture.json").read_text()


def test_a_control_that_finds_nothing_ends_with_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "CASES", (small("blind", control=lambda *_: []),))
    assert command.main(["--results", str(tmp_path)]) == 1
    assert "MISSED" in (tmp_path / "torture.md").read_text()


def test_a_case_that_cannot_run_is_skipped_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lame = small("lame", needs=lambda _: "strace is not here")
    monkeypatch.setattr(command, "CASES", (small(), lame))
    assert command.main(["--results", str(tmp_path)]) == 0
    assert "skipped: strace is not here" in (tmp_path / "torture.md").read_text()

    monkeypatch.setattr(command, "CASES", (lame,))
    assert command.main(["--results", str(tmp_path)]) == 2
    assert "none of these can run" in capsys.readouterr().err


# -- the parts


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


def test_the_oracle_reads_a_journal_by_the_words_of_the_format() -> None:
    assert oracle.journal_steps(fuzz.GOLDEN / "live" / "01k3v9m2h8q4w5x6y7z8a9b0cd")


def test_a_power_cut_keeps_what_was_flushed_and_any_of_the_rest() -> None:
    log: list[Write | Flush] = [
        Write(0, b"a" * 512, 1.0),
        Flush(2.0),
        Write(512, b"b" * 512, 3.0),
        Write(0, b"c" * 512, 4.0),
    ]
    image = bytes(1024)
    assert blockdisk.cut(image, log, 2) == b"a" * 512 + bytes(512)
    assert blockdisk.cut(image, log, 4) == b"c" * 512 + b"b" * 512
    drawn = {bytes(blockdisk.cut(image, log, 4, keep=random.Random(seed))) for seed in range(60)}
    assert drawn >= {one * 512 + two * 512 for one in (b"a", b"c") for two in (b"b", b"\0")}


def test_a_sync_that_loses_leaves_zeros_where_the_last_one_ended(tmp_path: Path) -> None:
    path = tmp_path / "file"
    script = (
        "import os, sys; from tests.torture import harm; harm.sync_loses(2); "
        "fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND); os.write(fd, b'kept'); os.fdatasync(fd); "
        "os.write(fd, b'lost')\n"
        "try: os.fdatasync(fd)\n"
        "except OSError as error: print(error.errno)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "5"
    assert path.read_bytes() == b"kept" + bytes(4)
    assert harm.HARMS["a sync loses"] is harm.sync_loses
