"""Accumulated gradients against those of the full batch: real models, real data, real processes."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from torch import nn

import gitrepro
from gitrepro.errors import UsageError
from gitrepro.training.equivalence import accumulation_error

IMAGES, LABELS = (torch.as_tensor(part) for part in load_digits(return_X_y=True))
IMAGES = (IMAGES / 16).float()
PADDING = -100


def net(*, seed: int = 0, norm: bool = False, dropout: float = 0.0) -> nn.Module:
    torch.manual_seed(seed)
    middle = [nn.BatchNorm1d(16)] if norm else []
    return nn.Sequential(nn.Linear(64, 16), *middle, nn.ReLU(), nn.Dropout(dropout), nn.Linear(16, 10))


def padded(rows: slice, keep: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Images and labels, of which those behind the first `keep` count for nothing."""
    labels = LABELS[rows].clone()
    labels[keep:] = PADDING
    return IMAGES[rows], labels


PARTS = [padded(slice(0, 8), 8), padded(slice(8, 16), 2), padded(slice(16, 24), 5)]
FULL = tuple(torch.cat(each) for each in zip(*PARTS, strict=True))


def loss(model, batch):
    return nn.functional.cross_entropy(model(batch[0]), batch[1], ignore_index=PADDING)


def counted(batch) -> int:
    return int((batch[1] != PADDING).sum())


def trained(batches, *, steps, weight=counted, of=loss, **more):
    """The weights after one window, by plain gradient descent, so that they tell the gradient."""
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    step = gitrepro.accumulate(model, optimizer, steps=steps, **more)
    for batch in step.over(batches):
        step.backward(of(model, batch), weight=weight(batch))
    return nn.utils.parameters_to_vector(model.parameters()).detach(), step


def distance(one, other):
    return float((one - other).norm() / other.norm())


def test_token_weighted_losses_give_the_gradient_of_the_full_batch():
    full, _ = trained([FULL], steps=1)
    parts, _ = trained(PARTS, steps=3)
    naive, _ = trained(PARTS, steps=3, weight=lambda _: 1)

    assert distance(parts, full) < 1e-6
    assert distance(naive, full) > 1e-3


def test_a_ragged_last_window_is_stepped_with_the_mean_over_what_it_holds():
    full, _ = trained([FULL], steps=1)
    ragged, step = trained(PARTS, steps=8)

    assert distance(ragged, full) < 1e-6
    assert (step.windows, step.micro_batches, step.ragged) == (1, 3, 1)


def test_sums_weigh_as_means_do():
    def summed(model, batch):
        return nn.functional.cross_entropy(model(batch[0]), batch[1], ignore_index=PADDING, reduction="sum")

    means, _ = trained(PARTS, steps=3)
    sums, _ = trained(PARTS, steps=3, of=summed, reduction="sum")

    assert distance(sums, means) < 1e-6


def test_weights_that_are_tensors_give_the_same_and_are_not_read():
    numbers, _ = trained(PARTS, steps=3)
    tensors, _ = trained(PARTS, steps=3, weight=lambda batch: torch.tensor(counted(batch)))

    assert distance(tensors, numbers) < 1e-6


@given(st.lists(st.integers(1, 8), min_size=1, max_size=6), st.integers(1, 8))
def test_windows_of_any_shape_step_as_often_as_they_should(sizes, steps):
    _, step = trained([padded(slice(0, size), size) for size in sizes], steps=steps)

    assert step.windows == -(-len(sizes) // steps)
    assert (step.micro_batches, step.weight) == (len(sizes), sum(sizes))


def test_a_micro_batch_that_is_all_padding_counts_for_nothing():
    empty = padded(slice(24, 32), 0)
    without, _ = trained(PARTS, steps=4)
    with_it, _ = trained([*PARTS, empty], steps=4)

    assert distance(with_it, without) < 1e-6


def test_a_window_that_weighs_nothing_makes_no_step():
    before = nn.utils.parameters_to_vector(net().parameters()).detach()
    after, step = trained([padded(slice(0, 4), 0)], steps=1)

    assert torch.equal(before, after)
    assert (step.windows, step.empty) == (0, 1)


def test_clipping_comes_after_the_gradient_is_right():
    full, _ = trained([FULL], steps=1, clip_norm=0.1)
    parts, _ = trained(PARTS, steps=3, clip_norm=0.1)

    assert distance(parts, full) < 1e-6


def test_a_scaler_changes_nothing_but_the_range():
    scaled, _ = trained(PARTS, steps=3, scaler=torch.amp.GradScaler("cpu", init_scale=1024.0))
    plain, _ = trained(PARTS, steps=3)

    assert distance(scaled, plain) < 1e-6


def test_without_over_a_flush_makes_the_last_step():
    model = net()
    step = gitrepro.accumulate(model, torch.optim.SGD(model.parameters(), lr=1.0), steps=2)
    stepped = [step.backward(loss(model, batch), weight=counted(batch)) for batch in PARTS]

    assert (stepped, step.flush(), step.flush()) == ([False, True, False], True, False)


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"steps": 1.5}, {"steps": True}, {"steps": 2, "clip_norm": -1.0}])
def test_wrong_arguments_are_said_at_once(wrong):
    with pytest.raises(UsageError):
        gitrepro.accumulate(net(), None, **wrong)


@pytest.mark.parametrize("weight", [-1, float("nan"), float("inf"), "3", True])
def test_a_weight_that_is_none_is_said_at_once(weight):
    model = net()
    step = gitrepro.accumulate(model, torch.optim.SGD(model.parameters(), lr=1.0), steps=2)
    with pytest.raises(UsageError, match="weight of a micro-batch"):
        step.backward(loss(model, FULL), weight=weight)


# -- the test of equivalence


def test_the_equivalence_of_a_plain_net_passes_and_the_mean_of_means_would_not():
    found = accumulation_error(net(), FULL, PARTS, loss, counted)

    assert found.verdict == "PASS"
    assert found.relative_error <= 1e-5 < found.naive_error


def test_a_wrong_weight_fails_the_equivalence():
    assert accumulation_error(net(), FULL, PARTS, loss).verdict == "FAIL"


def test_a_net_with_batch_norm_is_reported_and_not_failed():
    found = accumulation_error(net(norm=True), FULL, PARTS, loss, counted)

    assert (found.verdict, found.batch_dependent) == ("WARN", ("1",))
    assert found.relative_error > 1e-5


def test_the_equivalence_leaves_model_and_generators_as_they_were():
    model = net(norm=True, dropout=0.5)
    before, state = {name: each.clone() for name, each in model.state_dict().items()}, torch.get_rng_state()
    found = accumulation_error(model, FULL, PARTS, loss, counted)

    assert found.dropout_off == 1
    assert all(torch.equal(each, before[name]) for name, each in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)
    assert all(each.training for each in model.modules()) and all(each.grad is None for each in model.parameters())


# -- on record


def recorded(repo, git):
    names = git(repo, "ls-tree", "-r", "--name-only", "refs/gitrepro/runs").splitlines()
    [path] = [name for name in names if name.endswith("run.yaml")]
    return yaml.safe_load(git(repo, "cat-file", "blob", f"refs/gitrepro/runs:{path}"))


def test_the_batch_on_record_is_what_was_asked_for_and_what_went_through(repo, git):
    model = net()
    with gitrepro.record(repo=repo) as run:
        step = run.accumulate(model, torch.optim.SGD(model.parameters(), lr=0.1), steps=2, micro_batch=8)
        for batch in step.over(PARTS):
            step.backward(loss(model, batch), weight=8)
    found = recorded(repo, git)["batch"]

    assert (found["effective_batch"], found["said_by"], found["unit"]) == (16, "asked", "samples")
    observed = found["observed"]
    assert (observed["windows"], observed["micro_batches"], observed["ragged_windows"]) == (2, 3, 1)


def test_a_micro_batch_that_nobody_told_is_what_went_through(repo, git):
    model = net()
    with gitrepro.record(repo=repo) as run:
        step = run.accumulate(model, torch.optim.SGD(model.parameters(), lr=0.1), steps=3, unit="tokens")
        for batch in step.over(PARTS):
            step.backward(loss(model, batch), weight=torch.tensor(counted(batch)))
    found = recorded(repo, git)["batch"]

    assert (found["micro_batch"], found["effective_batch"], found["said_by"]) == (5, 15, "observed")


def test_a_batch_in_the_config_alone_is_on_record_as_such(repo, git):
    with gitrepro.record(repo=repo, config={"batch_size": 32, "gradient_accumulation_steps": 4}):
        pass
    found = recorded(repo, git)["batch"]

    assert (found["effective_batch"], found["said_by"]) == (128, "config")


def test_a_batch_that_a_loader_hands_out_stands_over_the_config(repo, git):
    data = torch.utils.data.TensorDataset(torch.arange(40.0))
    with gitrepro.record(repo=repo, seed=0, config={"batch_size": 32, "gradient_accumulation_steps": 4}) as run:
        run.loader(data, batch_size=20, name="val")
        run.loader(data, batch_size=8, shuffle=True, name="train")
    found = recorded(repo, git)["batch"]

    assert (found["micro_batch"], found["effective_batch"], found["said_by"]) == (8, 32, "loader")


def test_of_several_loaders_in_a_fixed_order_none_is_taken_for_that_of_the_training(repo, git):
    data = torch.utils.data.TensorDataset(torch.arange(40.0))
    with gitrepro.record(repo=repo, seed=0) as run:
        run.loader(data, batch_size=20, name="val")
        run.loader(data, batch_size=8, name="test")
    assert "batch" not in recorded(repo, git)


def test_a_declared_batch_stands_over_the_config(repo, git):
    with gitrepro.record(repo=repo, config={"batch_size": 32}) as run:
        run.batch(micro_batch=2048, accumulation_steps=2, unit="tokens")
    found = recorded(repo, git)["batch"]

    assert (found["effective_batch"], found["unit"], found["said_by"]) == (4096, "tokens", "asked")


def test_a_run_that_is_killed_keeps_its_batch(repo, git, cli):
    script = """
        import os, signal, gitrepro
        run = gitrepro.record()
        run.batch(micro_batch=4, accumulation_steps=3)
        run.log({"x": 1.0})
        os.kill(os.getpid(), signal.SIGKILL)
    """
    (repo.parent / "killed.py").write_text(textwrap.dedent(script))
    subprocess.run([sys.executable, repo.parent / "killed.py"], cwd=repo)
    cli("recover", cwd=repo)

    assert recorded(repo, git)["batch"]["effective_batch"] == 12


# -- several processes

DISTRIBUTED = """
    import os, sys
    import torch, torch.distributed as dist
    from torch import nn
    import gitrepro

    dist.init_process_group("gloo")
    rank, world = dist.get_rank(), dist.get_world_size()
    torch.manual_seed(0)
    model = nn.Linear(4, 2)
    data, keep = torch.randn(12, 8, 4), [8, 1, 3, 5, 2, 7, 4, 6, 8, 2, 1, 3]

    def loss(model, i):
        return model(data[i][:keep[i]]).square().mean(dim=1).mean()

    def train(model, batches, steps):
        optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
        step = gitrepro.accumulate(model, optimizer, steps=steps)
        for i in step.over(batches):
            step.backward(loss(model, i), weight=keep[i])
        return step

    alone = nn.Linear(4, 2)
    alone.load_state_dict(model.state_dict())
    ours = nn.parallel.DistributedDataParallel(model)
    train(ours, range(rank, 12, world), steps=4)  # windows of four micro-batches, and a ragged one of two
    train_alone = gitrepro.training.accumulating.Accumulation(
        alone, torch.optim.SGD(alone.parameters(), lr=1.0), steps=100)
    for window in (range(0, 4 * world), range(4 * world, 12)):
        for i in window:
            train_alone.backward(loss(alone, i), weight=keep[i])
        train_alone.flush()
    error = float((model.weight - alone.weight).norm() / alone.weight.norm())
    sys.stdout.write(f"error {error}\\n")
    assert error < 1e-5, error
    dist.barrier()
    dist.destroy_process_group()
"""


def test_ranks_with_different_weights_get_the_gradient_of_all_together(tmp_path):
    (tmp_path / "train.py").write_text(textwrap.dedent(DISTRIBUTED))
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port()), "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
    ranks = [
        subprocess.Popen(
            [sys.executable, tmp_path / "train.py"], env={**os.environ, **place, "RANK": str(rank)},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for rank in range(2)
    ]  # fmt: skip
    said = [rank.communicate(timeout=120)[0] for rank in ranks]

    assert [rank.returncode for rank in ranks] == [0, 0], said


def _free_port() -> int:
    import socket

    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
