"""`gitrepro check batch`, as a person calls it."""

from __future__ import annotations

import json

import pytest

STEPS = """
def make_step(size):
    import torch
    from torch import nn
    model = nn.Linear(64, 10)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    images, labels = torch.rand(size, 64), torch.zeros(size, dtype=torch.long)
    def step():
        nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
        optimizer.zero_grad()
    return step

def plain(size):
    return lambda: bytes(size)
"""


@pytest.fixture
def place(tmp_path):
    (tmp_path / "train.py").write_text(STEPS)
    return tmp_path


def test_the_table_and_the_learning_rates_are_printed(place, cli):
    sizes = ("--at-least", "32", "--at-most", "64")
    done = cli("check", "batch", "train:make_step", *sizes, "--lr", "0.1", "--lr-batch", "16", "--json", cwd=place)
    found = json.loads(done.stdout)

    assert done.returncode == 0, done.stderr
    assert (found["ended"], found["batch_size"]) == ("never fails", 64)
    assert [each["size"] for each in found["trials"]] == [32, 64]
    assert found["learning_rates"]["rule"] == "linear"
    assert found["learning_rates"]["rates"] == pytest.approx([0.4 / 3, 0.4, 1.2])


def test_a_step_without_an_optimizer_is_told(place, cli):
    done = cli("check", "batch", "train:plain", "--at-most", "1", cwd=place)

    assert done.returncode == 0
    assert done.stdout.splitlines()[1].startswith("1\tfits")
    assert "no optimizer of torch stepped" in done.stderr


def test_where_nothing_fits_the_answer_is_no(place, cli):
    done = cli("check", "batch", "train:plain", "--memory-bytes", "1000", cwd=place)

    assert done.returncode == 1
    assert "not even 1 fits" in done.stderr


def test_a_module_that_is_not_there_is_a_clear_error(place, cli):
    done = cli("check", "batch", "nowhere:make_step", cwd=place)

    assert done.returncode == 6
    assert "ModuleNotFoundError: No module named 'nowhere'" in done.stderr


def test_half_a_learning_rate_is_a_usage_error(place, cli):
    assert cli("check", "batch", "train:plain", "--lr", "0.1", cwd=place).returncode == 2
