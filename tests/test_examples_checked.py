"""The example of a checked experiment: sound, and broken in one way each; the check that must find it finds it."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

from gitrepro.checks import baseline, distribution, overfit, shuffle
from gitrepro.checks.direct import direct
from gitrepro.checks.guarded import guarded_task

FILE = Path(__file__).parent.parent / "examples" / "checked_digits.py"
STEPS = {"frozen": 20, "zero-grad": 20, "softmax": 150}
QUICK = {"drift": {}, "groups": {}, "duplicates": {}, "normalised": {"influence": True}}


@pytest.fixture(autouse=True)
def one_thread():
    """The net is too small for two: on a busy machine they would wait for each other."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def make(monkeypatch):
    """The example with a smaller budget."""
    monkeypatch.setattr(sys, "argv", [str(FILE)])
    names = runpy.run_path(str(FILE), run_name="example")
    names["Digits"].predict.__globals__["EPOCHS"] = 15
    names["Digits"].broken_ones = names["BROKEN"]
    return lambda broken: guarded_task(names["Digits"](broken))


class Fewer:
    """The same experiment with 120 examples, and 40 that are scored: it learns them by heart in no time."""

    def __init__(self, task):
        self.task = task
        data = task.data()
        self.whole = data.with_parts(train=data.train.take(np.arange(120)), val=data.judged.take(np.arange(40)))

    def data(self):
        return self.whole

    def __getattr__(self, name):
        return getattr(self.task, name)


def lines(name, task):
    """What the check says that is to find this fault."""
    if name in QUICK:
        return distribution.check_data(task, distribution.DataSettings(**{"influence": False, **QUICK[name]}), direct)
    if name in ("filename", "own-labels"):
        return shuffle.check_shuffle(task, shuffle.Settings(full=True, most_draws=4), direct)
    if name == "majority":
        return baseline.check_baseline(task, baseline.Settings(only=("neighbours",)), direct)
    return overfit.check_overfit(task, overfit.Settings(steps=STEPS[name], rates=(1e-3,), settling=10), direct)


BROKEN = {
    "drift": "distribution.drift",
    "groups": "separation.groups",
    "normalised": "separation.fitted",
    "filename": "shuffle.inputs",
    "own-labels": "shuffle.labels",
    "frozen": "overfit.all_move",
    "softmax": "overfit.mini_batch",
    "zero-grad": "overfit.gradients",
    "majority": "baseline.beaten",
    "duplicates": "distribution.duplicates",
}


def test_the_example_says_which_check_finds_each_fault(make):
    told = make("drift").broken_ones

    assert {name: said.partition(":")[0] for name, said in told.items()} == BROKEN


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_is_found_by_the_check_that_looks_for_it(make, name):
    found = {
        each.name: str(each.verdict) for each in lines(name, Fewer(make(name)) if name == "own-labels" else make(name))
    }

    assert found[BROKEN[name]] in ("FAIL", "WARN"), found


def test_the_sound_one_is_data_that_pass(make):
    task = make(None)
    found = {each.name: str(each.verdict) for each in lines("drift", task)}

    assert "FAIL" not in found.values() and "WARN" not in found.values()
