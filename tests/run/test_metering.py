"""What a training costs, on its record: without being asked, kept when it is killed, priced by the policy."""

from __future__ import annotations

import sys
import textwrap
import warnings
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import gitrepro
from gitrepro.errors import GitreproWarning, UsageError
from gitrepro.training.fingerprints import weights_digest

TRAINING = """
    import torch
    from torch.utils.data import DataLoader, TensorDataset
    torch.manual_seed(0)
    net = torch.nn.Linear(8, 2)
    optimizer = torch.optim.AdamW(net.parameters())
    data = TensorDataset(torch.randn(400, 8))

    def train(epochs):
        for _ in range(epochs):
            for (batch,) in DataLoader(data, batch_size=10):
                optimizer.zero_grad()
                net(batch).square().mean().backward()
                optimizer.step()
"""


def train(steps: int = 40) -> str:
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(8, 4), torch.nn.Dropout(), torch.nn.Linear(4, 2))
    optimizer = torch.optim.AdamW(net.parameters())
    for (batch,) in DataLoader(TensorDataset(torch.randn(steps * 5, 8)), batch_size=5, shuffle=True):
        optimizer.zero_grad()
        net(batch).square().mean().backward()
        optimizer.step()
    return weights_digest(net.state_dict())


def test_a_training_is_measured_without_being_asked(repo, runs):
    with gitrepro.record(repo=repo):
        train()
    found = runs()[0]["efficiency"]

    assert (found["steps"], found["timed_steps"]) == (40, 20)
    assert found["samples_per_second"] == pytest.approx(5 / found["step_seconds"]["mean"])
    assert 0 <= found["wait_share"] <= 1
    assert found["peak_host_bytes"] > 10**6


def test_each_run_of_a_process_is_measured_by_itself(repo, runs):
    for steps in (25, 30):
        with gitrepro.record(repo=repo):
            train(steps)

    assert [run["efficiency"]["steps"] for run in runs()] == [30, 25]


def test_measuring_and_tracing_change_no_bit_of_the_result(repo):
    plain = train()
    with gitrepro.record(repo=repo) as run:
        run.meter(flops=True)
        run.trace()
        measured = train()

    assert measured == plain


def test_a_run_that_trains_nothing_says_nothing(repo, runs, monkeypatch):
    with gitrepro.record(repo=repo) as run:
        run.log({"x": 1.0})
    monkeypatch.setenv("GITREPRO_METERS", "off")
    with gitrepro.record(repo=repo):
        train()

    assert ["efficiency" in run for run in runs()] == [False, False]


def test_operations_tokens_and_an_experiment_are_on_record(repo, runs):
    net = torch.nn.Linear(8, 2)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)

    def step(batch):
        optimizer.zero_grad()
        net(batch).sum().backward()
        optimizer.step()

    with gitrepro.record(repo=repo) as run:
        meter = run.meter(flops=True)
        found = meter.input_bound(step, [torch.ones(4, 8)], keep=(net, optimizer), count=3)
        for _ in range(30):
            meter.count(tokens=100)
            step(torch.ones(4, 8))
    told = runs()[0]["efficiency"]

    assert told["flops_per_step"] == 4 * 8 * 2 * 2 * 2
    assert told["flops_per_second"] == told["flops_per_step"] / told["step_seconds"]["p50"]
    assert told["tokens_per_second"] > 0
    assert told["input_test"]["speedup"] == found["speedup"]
    assert told["steps"] == 30


def test_a_loop_without_an_optimizer_of_torch_says_its_steps_itself(repo, runs):
    with gitrepro.record(repo=repo) as run:
        meter = run.meter()
        for _ in range(30):
            meter.count(samples=2)
            meter.step()

    assert (runs()[0]["efficiency"]["steps"], runs()[0]["efficiency"]["timed_steps"]) == (30, 10)


@pytest.mark.parametrize("wrong", [{"samples": -1}, {"tokens": 1.5}, {"samples": True}])
def test_a_wrong_count_is_refused_at_once(repo, wrong):
    with gitrepro.record(repo=repo) as run, pytest.raises(UsageError, match="give an integer"):
        run.meter().count(**wrong)


def test_the_policy_prices_a_run(repo, runs):
    (repo / ".gitrepro.yaml").write_text("version: 1\nprices: {machine: 3600, gpu: 2}\n")
    with gitrepro.record(repo=repo):
        train(2)
    run = runs()[0]

    assert run["efficiency"]["cost"]["amount"] == pytest.approx(run["duration_seconds"])
    assert run["efficiency"]["cost"]["from"]["machine"]["per_hour"] == 3600


def test_prices_that_cannot_be_read_warn_and_the_run_goes_on(repo, runs):
    (repo / ".gitrepro.yaml").write_text("version: 1\nprices: {gpu: dear}\n")
    with pytest.warns(GitreproWarning, match="the run has no cost"), gitrepro.record(repo=repo):
        train(2)

    assert "cost" not in runs()[0]["efficiency"]


def test_with_recording_disabled_nothing_is_measured_and_nothing_breaks(repo, monkeypatch):
    monkeypatch.setenv("GITREPRO_MODE", "disabled")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with gitrepro.record(repo=repo) as run:
            run.meter(flops=True).count(samples=3)
            run.meter().step()
            run.trace().batch(torch.zeros(2), ids=[1, 2])
            assert train() == train()


def test_a_program_that_is_killed_keeps_what_it_told(repo, script, shown, cli):
    done = script(
        TRAINING
        + """
    import os, signal
    run = gitrepro.record()
    run.meter(flops=True)
    run.trace(net)
    train(1)
    os.kill(os.getpid(), signal.SIGKILL)
    """
    )
    assert done.returncode == -9
    assert cli("recover", cwd=repo).returncode == 0
    found = shown()

    assert found["status"] == "crashed"
    assert found["efficiency"]["flops_per_step"] > 0
    assert (found["trace"]["rows"], found["trace"]["last_step"]) == (40, 39)


def test_an_unedited_program_under_record_is_measured_and_traced(repo: Path, cli, shown):
    (repo / "train.py").write_text(textwrap.dedent(TRAINING) + "train(1)\n")

    done = cli("record", "--trace", "--seed", "3", "--", sys.executable, "train.py", cwd=repo)
    found = shown()
    page = cli("show", cwd=repo).stdout

    assert done.returncode == 0, done.stderr
    assert (found["efficiency"]["steps"], found["efficiency"]["timed_steps"]) == (40, 20)
    assert (found["trace"]["rows"], found["trace"]["setting"]["optimizer"]["type"]) == (40, "AdamW")
    assert sorted(map(int, found["trace"]["weights"])) == [0, 1, 2, 4, 8, 16, 32]
    assert "samples/s" in page and "40, to step 39" in page
