"""`gitrepro check determinism`: real programs that repeat their steps, and some that do not."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from gitrepro.rerun.determinism import Trial, first_difference

TRAIN = """
import os, sys, torch
from torch import nn

model = nn.Sequential(nn.Linear(16, 16), nn.Dropout(0.5), nn.Linear(16, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for step in range(1_000_000):
    inputs = torch.randn(8, 16)
    if "restless" in sys.argv and step == 3:
        inputs += int.from_bytes(os.urandom(4), "little") / 2**32
    if "no-form" in sys.argv and torch.are_deterministic_algorithms_enabled():
        raise RuntimeError("histc does not have a deterministic implementation")
    loss = model(inputs).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""


@pytest.fixture
def check(repo: Path, warm_cli: Any, git: Any) -> Any:
    (repo / "train.py").write_text(TRAIN)
    git(repo, "commit", "-qam", "train")

    def run(*words: str, **more: Any) -> Any:
        return warm_cli("check", "determinism", *words, cwd=repo, timeout_seconds=600, **more)

    return run


def test_a_program_that_repeats_its_steps_is_measured_and_on_record(check: Any, repo: Path, warm_cli: Any) -> None:
    done = check("--steps", "6", "--json", "--", sys.executable, "train.py")
    told = json.loads(done.stdout)

    assert done.returncode == 0, done.stderr
    assert [(told[mode]["repeats"], told[mode]["steps"]) for mode in ("off", "on")] == [(True, 6)] * 2
    assert told["cost"] == pytest.approx(told["on"]["step_seconds"] / told["off"]["step_seconds"] - 1)
    assert [told[mode]["flags"]["deterministic_algorithms"] for mode in ("off", "on")] == [False, True]
    shown = json.loads(warm_cli("show", told["run"], "--json", cwd=repo).stdout)
    assert (shown["kind"], shown["status"]) == ("reproduction", "finished")
    assert shown["determinism"]["measured"] == {name: told[name] for name in shown["determinism"]["measured"]}
    assert "6 steps gave the same weights twice" in warm_cli("show", told["run"], cwd=repo).stdout


def test_the_first_step_that_differs_is_named(check: Any) -> None:
    done = check("--steps", "6", "--no-record", "--", sys.executable, "train.py", "restless")
    rows = [line.split("\t") for line in done.stdout.splitlines()]

    assert done.returncode == 1, done.stderr
    assert [row[:4] for row in rows[1:]] == [["off", "6", "no", "4"], ["on", "6", "no", "4"]]
    assert "differ after step 4" in done.stderr


def test_a_program_that_fails_with_deterministic_torch_alone_is_a_finding(check: Any) -> None:
    done = check("--steps", "2", "--no-record", "--json", "--", sys.executable, "train.py", "no-form")
    told = json.loads(done.stdout)

    assert (done.returncode, told["off"]["repeats"], told["on"]["repeats"]) == (1, True, False)
    assert "histc does not have" in told["on"]["failed"]


def test_a_program_that_fails_anyway_is_an_error(check: Any) -> None:
    done = check("--no-record", "--", sys.executable, "-c", "raise SystemExit('no data')")

    assert (done.returncode, done.stdout) == (6, "")
    assert "no data" in done.stderr


def test_a_program_that_trains_nothing_is_refused(check: Any) -> None:
    done = check("--no-record", "--", sys.executable, "-c", "print(1)")

    assert done.returncode == 2
    assert "made no optimizer step" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "there is no command"),
        (("--steps", "1", "--", "python"), "--steps"),
        (("--no-record", "--", "no-such-program"), "cannot be started"),
    ],
)
def test_what_cannot_be_run_is_refused(check: Any, words: tuple[str, ...], said: str) -> None:
    done = check(*words)

    assert done.returncode == 2
    assert said in done.stderr


def test_a_check_that_does_not_exist_is_refused_and_help_lists_those_that_do(repo: Path, warm_cli: Any) -> None:
    unknown = warm_cli("check", "vibes", cwd=repo)
    known = warm_cli("check", "--help", cwd=repo)

    assert (unknown.returncode, known.returncode) == (2, 0)
    assert "determinism" in known.stdout


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ([["a", "b"]], [["a", "b"]], None),
        ([["a", "b"]], [["a", "c"]], 1),
        ([["a", "b"]], [["a"]], 1),
        ([["a"], ["b"]], [["a"]], 0),
        ([["a", "x"], ["b", "y"]], [["a", "z"], ["c", "y"]], 0),
        ([], [], None),
    ],
)
def test_the_first_difference_is_that_of_any_rank(
    one: list[list[str]], other: list[list[str]], expected: int | None
) -> None:
    assert first_difference(one, other) == expected


def test_a_trial_counts_the_steps_of_the_rank_that_got_furthest() -> None:
    row = {"step": 0, "digest": "a", "seconds": None}

    assert Trial(rows=((row,), (row, row)), flags={}).steps == 2
