"""`run.precision`: real models in each precision, and what the record says they were computed in."""

from __future__ import annotations

import warnings

import pytest
import torch
import yaml
from sklearn.datasets import load_digits
from torch import nn

import gitrepro
from gitrepro.errors import GitreproWarning, UsageError
from gitrepro.records.precision import findings
from gitrepro.training.precision import Precision

IMAGES, LABELS = (torch.as_tensor(part) for part in load_digits(return_X_y=True))
IMAGES, LABELS = (IMAGES[:256] / 16).float(), LABELS[:256]


@pytest.fixture(autouse=True)
def nothing_compiled() -> None:
    """What another test of this process compiled is in use for as long as torch remembers it."""
    torch._dynamo.reset()


def net() -> nn.Module:
    torch.manual_seed(0)
    shape = nn.Unflatten(1, (1, 8, 8))
    return nn.Sequential(shape, nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))


def train(amp: Precision, *, steps: int = 4, device: str = "cpu", bad: tuple[int, ...] = ()) -> list[float]:
    """The losses of some steps; those of `bad` are infinite on the way back."""
    model = net().to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    images, labels, losses = IMAGES.to(device), LABELS.to(device), []
    for number in range(steps):
        with amp:
            loss = nn.functional.cross_entropy(model(images), labels)
        amp.backward(loss * 1e38 if number in bad else loss)
        amp.step(optimizer)
        losses.append(loss.item())
    return losses


def record_of(repo, git):
    names = git(repo, "ls-tree", "-r", "--name-only", "refs/gitrepro/runs").splitlines()
    [path] = [name for name in names if name.endswith("run.yaml")]
    return yaml.safe_load(git(repo, "cat-file", "blob", f"refs/gitrepro/runs:{path}"))


@pytest.mark.parametrize(("name", "dtype"), [("fp32", "float32"), ("bf16", "bfloat16"), ("fp16", "float16")])
def test_the_record_says_what_products_were_computed_in(repo, git, name, dtype):
    with gitrepro.record(repo=repo) as run:
        train(run.precision(name, device="cpu"))
    found = record_of(repo, git)["precision"]

    assert (found["asked"], set(found["effective"]["products"])) == (name, {f"torch.{dtype}"})
    effective = found["effective"]
    assert set(effective["parameters"]) == set(effective["gradients"]) == {"torch.float32"}
    assert effective["parameters"] == {"torch.float32": 1490}
    assert "matmul_tf32" in effective["flags"] and "fp16_reduced_reduction" in effective["flags"]


def test_observing_a_step_changes_no_number():
    amp = Precision("fp32", device="cpu")
    seen = train(amp)
    amp.close()
    model = net()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    plain = []
    for _ in range(4):
        loss = nn.functional.cross_entropy(model(IMAGES), LABELS)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        plain.append(loss.item())

    assert seen == plain


def test_fp32_turns_tf32_off_and_the_end_puts_it_back():
    before = torch.backends.cudnn.allow_tf32
    amp = Precision("fp32", device="cpu")
    inside = torch.backends.cudnn.allow_tf32
    amp.close()

    assert (before, inside, torch.backends.cudnn.allow_tf32) == (True, False, True)


def test_skipped_steps_and_scales_are_counted():
    amp = Precision("fp16", device="cpu")
    train(amp, steps=4, bad=(2,))
    found = amp.document()["scaler"]

    assert (found["skipped"], found["steps"], found["scale"], found["lowest"]) == (1, 4, 32768.0, 32768.0)


def test_many_skipped_steps_are_a_finding_with_what_to_try():
    amp = Precision("fp16", device="cpu")
    train(amp, steps=40, bad=tuple(range(25, 40, 3)))
    [(what, do)] = findings(amp.document())

    assert "5 of 20 steps after warm-up were skipped" in what and "bf16" in do


def test_a_loss_that_is_not_finite_is_counted_and_warned_of(repo, git):
    with pytest.warns(GitreproWarning, match="1 losses were not finite"), gitrepro.record(repo=repo) as run:
        amp = run.precision("fp32", device="cpu")
        amp.backward(torch.tensor(float("nan"), requires_grad=True))

    assert record_of(repo, git)["precision"]["nonfinite"]["loss"] == 1


def test_weights_in_sixteen_bits_and_an_eps_that_is_zero_there_are_findings():
    said = {"asked": "fp16", "effective": {"parameters": {"torch.float16": 9}, "optimizer_eps": 1e-8}}

    assert len([*findings(said)]) == 2
    assert [*findings({"asked": "fp32", "effective": {"parameters": {"torch.float32": 9}}})] == []


def test_a_forward_pass_outside_of_the_context_is_found():
    amp = Precision("bf16", device="cpu")
    model = net()
    optimizer = torch.optim.Adam(model.parameters())
    for _ in range(3):
        amp.backward(nn.functional.cross_entropy(model(IMAGES), LABELS))
        amp.step(optimizer)

    assert any("no operation in it was seen" in what for what, _ in findings(amp.document()))


def test_the_environment_stands_over_the_program(repo, git, monkeypatch):
    monkeypatch.setenv("GITREPRO_PRECISION", "bf16")
    with gitrepro.record(repo=repo) as run:
        train(run.precision("fp32", device="cpu"))
    found = record_of(repo, git)["precision"]

    assert (found["asked"], found["told_by"]) == ("bf16", "GITREPRO_PRECISION")


def test_accumulation_in_fp16_is_seen_too():
    amp = Precision("fp16", device="cpu")
    model = net()
    step = gitrepro.accumulate(model, torch.optim.Adam(model.parameters()), steps=2, scaler=amp)
    for rows in step.over(torch.arange(256).split(32)):
        with amp:
            loss = nn.functional.cross_entropy(model(IMAGES[rows]), LABELS[rows])
        step.backward(loss, weight=len(rows))
    found = amp.document()

    assert (step.windows, found["scaler"]["steps"]) == (4, 4)
    assert found["effective"]["products"].keys() == {"torch.float16"}


def test_a_compiled_model_is_not_observed_and_trains_all_the_same():
    torch.compile(nn.Linear(2, 2), backend="eager")
    try:
        amp = Precision("bf16", device="cpu")
        train(amp)
        assert "products" not in amp.document()["effective"]
    finally:
        torch._dynamo.eval_frame.cached_backends.clear()


@pytest.mark.parametrize(("name", "why"), [("fp8", "there is no precision"), ("tf32", "not to be had on this cpu")])
def test_what_is_not_to_be_had_is_said_at_once(name, why):
    with pytest.raises(UsageError, match=why):
        Precision(name, device="cpu")


def test_a_run_that_asks_for_nothing_has_no_such_field(repo, git):
    with gitrepro.record(repo=repo) as run:
        run.log({"x": 1.0})

    assert "precision" not in record_of(repo, git)


def test_a_run_that_is_off_trains_all_the_same(monkeypatch, repo):
    monkeypatch.setenv("GITREPRO_MODE", "disabled")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with gitrepro.record(repo=repo) as run:
            assert len(train(run.precision("bf16", device="cpu"))) == 4


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["fp32", "tf32", "bf16", "fp16"])
def test_each_precision_trains_on_a_gpu(name):
    amp = Precision(name, device="cuda")
    losses = train(amp, steps=20, device="cuda")
    found = amp.document()
    amp.close()

    assert losses[-1] < losses[0]
    assert found["effective"]["flags"]["matmul_tf32"] is (name == "tf32")
