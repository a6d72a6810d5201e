"""`gitrepro check precision`: real trainings of one script, in several precisions."""

from __future__ import annotations

import json
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.datasets import load_digits

from gitrepro.analysis.intervals import t_interval, t_quantile
from gitrepro.errors import UsageError
from gitrepro.rerun.arms import Arm, check_arms, conclusions, difference, order

TRAIN = """
import sys
import torch
from torch import nn
import gitrepro

images, labels = torch.load("digits.pt")
with gitrepro.record(config={"epochs": 3}) as run:
    run.define_metric("train/loss", goal="min")
    model = nn.Linear(64, 10)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    amp = run.precision("fp32", device="cpu") if sys.argv[1] == "heeds" else None
    for step in range(40):
        if amp:
            with amp:
                loss = nn.functional.cross_entropy(model(images), labels)
            amp.backward(loss)
            amp.step(optimizer)
        else:
            loss = nn.functional.cross_entropy(model(images), labels)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    run.log({"train/loss": loss.item()})
"""


@pytest.fixture
def place(repo, git):
    images, labels = (torch.as_tensor(part) for part in load_digits(return_X_y=True))
    torch.save((images.float() / 16, labels), repo / "digits.pt")
    (repo / "train.py").write_text(TRAIN)
    git(repo, "add", ".")
    git(repo, "commit", "-qm", "train")
    return repo


@pytest.mark.slow
def test_two_precisions_are_compared_seed_by_seed(place, cli):
    command = ("check", "precision", "--seeds", "0..1", "--json", "--", sys.executable, "train.py", "heeds")
    done = cli(*command, cwd=place, timeout_seconds=280)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    base, low = found["arms"]

    assert [(arm["precision"], arm["computed_in"], arm["finished"]) for arm in found["arms"]] == [
        ("fp32", ["float32"], 2),
        ("bf16", ["bfloat16"], 2),
    ]
    assert base["values"]["train/loss"].keys() == low["values"]["train/loss"].keys() == {"0", "1"}
    assert low["differences"]["train/loss"]["low"] <= low["differences"]["train/loss"]["high"]
    assert {"step_seconds", "epoch_seconds", "peak_bytes"} <= base["intervals"].keys()
    assert any(text.startswith("bf16: train/loss:") for text in found["said"])


@pytest.mark.slow
def test_a_program_that_does_not_heed_it_is_no_comparison(place, cli):
    command = ("check", "precision", "--seeds", "0", "--", sys.executable, "train.py", "ignores")
    done = cli(*command, cwd=place, timeout_seconds=280)

    assert done.returncode == 1
    assert "nothing was compared" in done.stderr


def test_a_program_that_fails_is_told(repo, cli):
    done = cli("check", "precision", "--seeds", "0", "--", sys.executable, "-c", "raise SystemExit(3)", cwd=repo)

    assert done.returncode == 6
    assert "no run of it finished" in done.stderr


@pytest.mark.parametrize("wrong", [["fp32"], ["fp32", "fp32"], ["fp32", "fp8"]])
def test_arms_that_are_none_are_said_at_once(wrong):
    with pytest.raises(UsageError):
        check_arms(wrong)


def test_arms_take_turns_in_going_first():
    assert [*order(("a", "b"), (1, 2))] == [("a", 1), ("b", 1), ("b", 2), ("a", 2)]


def arm(name, losses, computed="float32"):
    return Arm(precision=name, finished=len(losses), computed_in=(computed,),
               values={"loss": dict(enumerate(losses))}, tries=())  # fmt: skip


def test_a_metric_that_gets_worse_in_each_pair_ends_in_what_to_try():
    arms = arm("fp32", [0.5, 0.6, 0.7]), arm("bf16", [0.8, 0.91, 0.99], "bfloat16")
    [said] = conclusions(arms, {"loss": "min"})

    assert said.startswith("bf16: loss: worse by 0.3 [") and "loss scaling" in said


def test_a_difference_within_the_interval_is_none_that_was_seen():
    arms = arm("fp32", [0.5, 0.6, 0.7]), arm("bf16", [0.4, 0.7, 0.71], "bfloat16")
    [said] = conclusions(arms, {"loss": "min"})

    assert "no difference seen" in said


def test_two_seeds_tell_nothing():
    arms = arm("fp32", [0.5, 0.6]), arm("bf16", [0.8, 0.9], "bfloat16")

    assert "too few seeds" in next(conclusions(arms, {"loss": "min"}))


def test_only_seeds_that_both_have_are_pairs():
    one, other = arm("bf16", [1.0, 2.0, 3.0]), arm("fp32", [1.0, 1.0])

    assert difference(one, other, "loss").count == 2


@given(st.floats(0.5, 0.9999), st.integers(1, 300))
def test_the_quantiles_of_t_are_those_of_scipy(share, degrees):
    assert t_quantile(share, degrees) == pytest.approx(stats.t.ppf(share, degrees), rel=1e-8, abs=1e-9)


def test_one_value_has_a_mean_and_no_bounds():
    found = t_interval([2.0])

    assert (found.mean, found.low, found.high) == (2.0, None, None)
