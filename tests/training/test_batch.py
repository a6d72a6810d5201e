"""The search for a batch size: its laws, and real training steps in processes of their own."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

import gitrepro
from gitrepro.errors import ChildFailed, UsageError
from gitrepro.training.batch import FITS, FOUND, NEVER_FAILS, NEVER_FITS, OVER, SLOW, TOO_SLOW, Trial, search
from gitrepro.training.batch.learning import lr_grid, rule_for, scaled_lr

MIB = 1 << 20

STEPS = """
import time

def greedy(size):
    held = []
    def step():
        held[:] = [bytearray(size << 20)]
    return step

def broken(size):
    def step():
        if size >= 4:
            raise ValueError("shapes do not match")
    return step

def out_of_memory(size):
    def step():
        if size > 5:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
    return step

def endless(size):
    def step():
        while size > 2:
            pass
    return step

def killed(size):
    import os, signal
    return lambda: os.kill(os.getpid(), signal.SIGKILL)

def gone(size):
    import os
    return lambda: os._exit(3)

def nothing(size):
    return None

def digits(size):
    import torch
    from torch import nn
    model = nn.Linear(64, 10)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.002)
    images, labels = torch.rand(size, 64), torch.zeros(size, dtype=torch.long)
    def step():
        nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
        optimizer.zero_grad()
    return step
"""


@pytest.fixture
def steps(tmp_path, monkeypatch):
    (tmp_path / "steps_of_tests.py").write_text(STEPS)
    monkeypatch.syspath_prepend(tmp_path)
    return "steps_of_tests"


def fits_up_to(largest, tried):
    def try_size(size):
        tried.append(size)
        return Trial(size=size, verdict=FITS if size <= largest else OVER)

    return try_size


@given(st.integers(0, 5000), st.integers(1, 64), st.integers(0, 5000))
def test_the_search_ends_just_below_what_does_not_fit(largest, least, more):
    most, tried = least + more, []
    found = search(fits_up_to(largest, tried), at_least=least, at_most=most)

    assert len(tried) == len(set(tried)) <= 2 * math.ceil(math.log2(most / least + 1)) + 8
    if largest < least:
        assert (found.ended, found.batch_size) == (NEVER_FITS, None)
    elif largest >= most:
        assert (found.ended, found.batch_size) == (NEVER_FAILS, most)
    else:
        assert found.ended == FOUND and found.batch_size <= largest <= found.batch_size * (1 + 1 / 32) + 1


def test_a_size_that_takes_too_long_ends_the_search_and_is_no_lack_of_memory():
    def try_size(size):
        return Trial(size=size, verdict=FITS if size <= 8 else SLOW)

    found = search(try_size, at_most=64)
    assert (found.ended, found.batch_size) == (TOO_SLOW, 8)


def test_beyond_the_knee_memory_buys_no_speed():
    def try_size(size):
        return Trial(size=size, verdict=FITS, step_seconds=max(1.0, size / 16))

    assert search(try_size, at_most=256).worthwhile == 16


@pytest.mark.parametrize("wrong", [{"at_least": 0}, {"at_most": 1.5}, {"at_least": 9, "at_most": 8}])
def test_sizes_that_are_none_are_said_at_once(wrong):
    with pytest.raises(UsageError):
        search(lambda size: Trial(size=size, verdict=FITS), **wrong)


def test_a_process_that_takes_more_than_it_may_is_over(steps):
    found = gitrepro.find_batch_size(f"{steps}:greedy", at_least=64, at_most=2048, memory_bytes=600 * MIB)

    assert found.ended == FOUND
    assert 256 <= found.batch_size < 540
    assert all(each.peak_bytes > each.size * MIB for each in found.trials if each.verdict == FITS)


def test_a_limit_that_nothing_fits_is_an_end_of_its_own(steps):
    found = gitrepro.find_batch_size(f"{steps}:greedy", memory_bytes=MIB)

    assert (found.ended, found.batch_size, len(found.trials)) == (NEVER_FITS, None, 1)


def test_what_a_device_says_of_its_memory_is_over(steps):
    found = gitrepro.find_batch_size(f"{steps}:out_of_memory", at_least=4, at_most=8)

    assert (found.ended, found.batch_size) == (FOUND, 5)
    assert "CUDA out of memory" in found.trials[-1].why


def test_a_full_training_step_is_timed_and_its_optimizer_seen(steps):
    found = gitrepro.find_batch_size(f"{steps}:digits", at_least=16, at_most=16)
    [trial] = found.trials

    assert (found.ended, found.batch_size) == (NEVER_FAILS, 16)
    assert (trial.optimizer, trial.lr, trial.device) == ("AdamW", 0.002, "cpu")
    assert trial.step_seconds > 0 and trial.peak_bytes > 0


def test_a_step_that_fails_of_something_else_is_an_error_with_its_traceback(steps):
    with pytest.raises(ChildFailed, match="fails at batch size 4") as failed:
        gitrepro.find_batch_size(f"{steps}:broken", at_least=4, at_most=8)

    assert failed.value.why == "ValueError: shapes do not match"


def test_a_step_without_end_is_stopped(steps):
    found = gitrepro.find_batch_size(f"{steps}:endless", at_least=3, at_most=3, timeout_seconds=4)

    assert (found.ended, found.batch_size) == (TOO_SLOW, None)


def test_a_process_that_is_killed_did_not_fit(steps):
    [trial] = gitrepro.find_batch_size(f"{steps}:killed", at_most=1).trials

    assert (trial.verdict, trial.why) == (OVER, "it was killed")


def test_a_process_that_goes_without_a_word_is_an_error_and_no_lack_of_memory(steps):
    with pytest.raises(ChildFailed, match="ended with 3"):
        gitrepro.find_batch_size(f"{steps}:gone")


def test_a_function_that_makes_no_step_is_an_error(steps):
    with pytest.raises(ChildFailed) as failed:
        gitrepro.find_batch_size(f"{steps}:nothing")

    assert "gave NoneType" in failed.value.why


@pytest.mark.parametrize("wrong", [lambda size: None, "no colon", 5])
def test_what_no_other_process_can_find_is_said_at_once(wrong):
    with pytest.raises(UsageError):
        gitrepro.find_batch_size(wrong)


@pytest.mark.parametrize("wrong", [{"margin": 1.0}, {"memory_bytes": 0}, {"timeout_seconds": 0}])
def test_wrong_arguments_are_said_at_once(wrong):
    with pytest.raises(UsageError):
        gitrepro.find_batch_size("a:b", **wrong)


def test_learning_rates_scale_with_the_batch_for_sgd_and_with_its_root_for_adam():
    assert scaled_lr(0.1, batch=64, to=256, optimizer="SGD") == pytest.approx(0.4)
    assert scaled_lr(0.1, batch=64, to=256, optimizer="AdamW") == pytest.approx(0.2)
    assert lr_grid(0.3, batch=8, to=8, optimizer="SGD") == pytest.approx((0.1, 0.3, 0.9))
    assert (rule_for("SGD"), rule_for("Adam")) == ("linear", "square root")


@pytest.mark.gpu
def test_a_gpu_is_measured_by_what_torch_reserves(tmp_path, monkeypatch):
    (tmp_path / "gpu_steps.py").write_text("""
def step_of(size):
    import torch
    weights = torch.zeros(size, 1 << 28, device="cuda")
    return lambda: weights.add_(1)
""")
    monkeypatch.syspath_prepend(tmp_path)
    found = gitrepro.find_batch_size("gpu_steps:step_of", at_most=1 << 12)

    assert found.ended == FOUND
    assert all(each.device.startswith("cuda") for each in found.trials if each.verdict == FITS)
