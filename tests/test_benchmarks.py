"""The bench says what was measured, and does not pass what was not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.generate import Source, cached, copy
from benchmarks.measure import Added, AtLeast, AtMost, Budget, Open, Row, Times, child_cpu_ms, in_turns, own_cpu_ms, row
from benchmarks.run import HERE, aligned, main, markdown, measure_file, merged, table, write

GOOD = '{"name": "a", "unit": "ms", "floor": 2.0, "value": 3.0, "ratio": 1.5, "budget": "≤ 2×", "ok": true, "n": 5}'
MISSED = GOOD.replace("true", "false")


def _plant(folder: Path, name: str, source: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / f"bench_{name}.py").write_text(source)
    return folder


def test_each_side_is_measured_once_a_round_and_the_first_changes() -> None:
    calls: list[str] = []
    floors, values = in_turns(lambda: _note(calls, "floor"), lambda: _note(calls, "value"), rounds=2, warm_up=1)

    assert calls == ["floor", "value", "value", "floor", "floor", "value"]
    assert (floors, values) == ([4.0, 5.0], [3.0, 6.0])  # the first round is thrown away


def _note(calls: list[str], name: str) -> float:
    calls.append(name)
    return float(len(calls))


def test_a_row_holds_the_medians_and_their_ratio() -> None:
    found = row("log", [9.0, 4.0, 5.0], floors=[2.0, 90.0, 1.0], budget=Times(3))

    assert (found.floor, found.value, found.ratio, found.ok, found.n) == (2.0, 5.0, 2.5, True, 3)


@pytest.mark.parametrize(
    ("budget", "value", "ok"),
    [
        (Times(2), 4.0, True),
        (Times(2), 4.1, False),
        (Added(3), 5.0, True),
        (Added(3), 5.1, False),
        (AtMost(4), 4.0, True),
        (AtMost(4), 4.1, False),
        (AtLeast(4), 4.0, True),
        (AtLeast(4), 3.9, False),
    ],
)
def test_a_budget_allows_its_border_and_nothing_beyond(budget: Budget, value: float, ok: bool) -> None:
    assert row("a", [value], floors=[2.0], budget=budget).ok is ok


def test_a_budget_on_a_floor_is_missed_where_no_floor_was_measured() -> None:
    assert not row("a", [1.0], budget=Times(2)).ok
    assert not row("a", [1.0], budget=Added(2)).ok


def test_no_rounds_and_unpaired_rounds_are_no_row() -> None:
    with pytest.raises(ValueError, match="0 values"):
        row("a", [], budget=AtMost(1))
    with pytest.raises(ValueError, match="1 floors"):
        row("a", [1.0, 2.0], floors=[1.0], budget=Times(1))


def test_the_time_of_a_child_is_measured() -> None:
    assert child_cpu_ms([sys.executable, "-c", "pass"]) > 0


def test_the_time_of_a_child_that_failed_is_no_measurement() -> None:
    with pytest.raises(subprocess.CalledProcessError):
        child_cpu_ms([sys.executable, "-c", "raise SystemExit(3)"])


def test_the_time_of_a_call_is_measured() -> None:
    assert own_cpu_ms(lambda: sum(range(200_000))) > 0


def test_rows_of_all_benchmarks_are_printed_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = _plant(tmp_path / "planted", "one", f"print('''{GOOD}''')")
    _plant(folder, "two", f"print('''{GOOD}''')\nprint('''{GOOD}''')")

    assert main([], folder=folder) == 0
    assert len(capsys.readouterr().out.splitlines()) == 4
    assert len(json.loads((folder / "results" / "bench.json").read_text())["rows"]) == 3
    assert (folder / "results" / "bench.md").read_text().count("| ok") == 3


def test_a_missed_budget_ends_with_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([], folder=_plant(tmp_path / "planted", "slow", f"print('''{MISSED}''')")) == 1
    assert "MISSED" in capsys.readouterr().out


@pytest.mark.parametrize("source", ["raise SystemExit(2)", "pass", "print('hello')", "print('{}')"])
def test_a_benchmark_without_a_row_ends_with_one(
    source: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = _plant(tmp_path / "planted", "bad", source)
    _plant(folder, "good", f"print('''{GOOD}''')")

    assert main([], folder=folder) == 1
    assert "error: bench_bad" in capsys.readouterr().err


def test_only_the_named_benchmarks_run_and_nothing_is_written(tmp_path: Path) -> None:
    folder = _plant(tmp_path / "planted", "one", f"print('''{GOOD}''')")
    _plant(folder, "two", "raise SystemExit(2)")

    assert main(["one"], folder=folder) == 0
    assert main(["none"], folder=folder) == 1
    assert not (folder / "results").exists()


def test_merged_rows_take_the_place_of_those_of_their_names(tmp_path: Path) -> None:
    one, two = row("one", [1.0], unit="s", budget=Open()), row("two", [2.0], unit="s", budget=Open())
    write([one, two], folder=tmp_path)
    again, three = row("one", [7.0], unit="s", budget=Open()), row("three", [3.0], unit="s", budget=Open())
    assert merged([three, again], folder=tmp_path) == [again, two, three]
    assert merged([three], folder=tmp_path / "none") == [three]


def test_columns_stand_under_one_another() -> None:
    rows = [Row(**json.loads(GOOD)), Row(**{**json.loads(GOOD), "name": "a longer name", "floor": None, "ratio": None})]

    lines = aligned(table(rows)).splitlines()
    assert len({line.index("≤") for line in lines[1:]}) == 1
    assert len({len(line) for line in markdown(table(rows)).splitlines()}) == 1


@pytest.mark.parametrize("name", sorted(path.stem for path in HERE.glob("bench_*.py")))
def test_each_benchmark_gets_to_its_rows(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = {
        "BENCH_RUNS": "40",
        "BENCH_ROUNDS": "1",
        "BENCH_RUNS_A_WRITER": "1",
        "BENCH_TAGS": "4",
        "BENCH_CHANGES": "2",
        "BENCH_FILES": "100",
        "BENCH_LARGE_MIB": "4",
        "BENCH_CHECKPOINT_MIB": "16",
        "BENCH_SAVING_SECONDS": "0.3",
        "BENCH_REMOTE_MIB": "64",
        "BENCH_REMOTE_BLOBS": "100",
        "BENCH_CURVES": "5",
        "BENCH_TRAININGS": "2",
        "BENCH_WIDTH": "64",
        "BENCH_LAYERS": "1",
        "BENCH_STEPS": "6",
        "BENCH_EXAMPLES": "2000",
    }
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    for variable, value in small.items():
        monkeypatch.setenv(variable, value)
    assert measure_file(HERE / f"{name}.py")


def test_a_repository_is_made_once_and_copies_share_its_packs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    first, second = (copy(30, tmp_path / name) for name in ("first", "second"))
    [pack] = (first / ".git" / "objects" / "pack").glob("*.pack")
    assert pack.samefile(second / ".git" / "objects" / "pack" / pack.name)
    assert pack.stat().st_nlink == 3
    Source(first, seed=1).queue()
    assert cached(30).joinpath(".git", "gitrepro").exists() is False
