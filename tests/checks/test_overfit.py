"""What sound trainings pass, and each broken one fails."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some
from torch import Tensor, nn
from torch.nn import functional

from gitrepro.checks.direct import direct
from gitrepro.checks.overfit import Settings, check_overfit, judge
from gitrepro.checks.overfit.choice import mini_batch
from gitrepro.checks.task import Part
from gitrepro.errors import UsageError
from gitrepro.records.result import Verdict
from gitrepro.records.sanity import Checked

from .overfit_tasks import (
    Attention,
    Experiment,
    Letters,
    Numbers,
    Training,
    cnn,
    diabetes,
    digits,
    dropped,
    letters,
    line,
    mlp,
)  # fmt: skip

QUICK = Settings(rates=(3e-3,), steps=200, settling=60)


def checked(task: Experiment, settings: Settings = QUICK) -> dict[str, Checked]:
    lines = check_overfit(task, settings, direct)
    for each in lines:
        json.dumps(each.document(), allow_nan=False)
        assert judge(each.name, each.observed, each.parameters) is each.verdict
    return {each.name.partition(".")[2]: each for each in lines}


def failing(lines: dict[str, Checked]) -> dict[str, str]:
    fine = (Verdict.PASS, Verdict.NOT_APPLICABLE)
    return {name: str(each.verdict) for name, each in lines.items() if each.verdict not in fine}


# -- sound


@pytest.mark.parametrize(
    "task",
    [
        digits(Training(module=mlp)),
        digits(Training(module=dropped)),
        digits(Training(module=lambda: cnn(norm=False))),
        digits(Training(module=lambda: cnn(norm=True))),
        diabetes(Numbers(module=line)),
    ],
    ids=["mlp", "dropout", "cnn", "batch norm", "regression"],
)
def test_a_sound_training_passes_every_line(task):
    assert failing(checked(task)) == {}


def test_a_small_transformer_with_a_mask_passes_every_line():
    lines = checked(letters(Letters(module=Attention)))

    assert failing(lines) == {}
    assert lines["future"].verdict is Verdict.PASS


def test_what_was_switched_off_is_on_record():
    off = checked(digits(Training(module=dropped)))["mini_batch"].observed["off"]

    assert {"dropout 0.5 of 3", "dropout 0.3 of dropout()", "weight decay 0.0001"} <= set(off)


def test_label_smoothing_is_off_so_that_the_loss_can_reach_its_floor():
    class Smoothed(Training):
        def loss(self, model: nn.Module, batch: Any) -> Tensor:
            return functional.cross_entropy(self.outputs(model, batch), batch[1], label_smoothing=0.1)

    found = checked(digits(Smoothed(module=mlp)))["mini_batch"]

    assert found.verdict is Verdict.PASS
    assert any("label smoothing" in each for each in found.observed["off"])


def test_a_rate_made_for_long_trainings_passes_with_another():
    found = checked(digits(Training(module=mlp, rate=1e-6)))["mini_batch"]

    assert found.verdict is Verdict.PASS
    assert "as configured: loss" in found.why


def test_accumulating_gradients_over_calls_is_no_missing_zero_grad():
    class Accumulating(Training):
        calls = 0

        def step(self, model: nn.Module, optimizer: torch.optim.Optimizer, batch: Any) -> float:
            loss = self.loss(model, batch)
            (loss / 2).backward()
            self.calls += 1
            if self.calls % 2 == 0:
                optimizer.step()
                optimizer.zero_grad()
            return loss.item()

    assert checked(digits(Accumulating(module=mlp)))["gradients"].verdict is Verdict.PASS


# -- broken


class Softmaxed(Training):
    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        return functional.cross_entropy(self.outputs(model, batch).softmax(dim=1), batch[1])


class Misaligned(Training):
    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        return functional.cross_entropy(self.outputs(model, batch), batch[1][torch.randperm(len(batch[1]))])


class Rolled(Training):
    def batch(self, part: Part) -> Any:
        inputs, labels = super().batch(part)
        return inputs, labels.roll(5)


class Frozen(Training):
    def optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.Adam(list(model.parameters())[-2:], lr=self.rate)


class Detached(Training):
    def loss(self, model: Any, batch: Any) -> Tensor:
        return functional.cross_entropy(model[-1](model[:-1](batch[0]).detach()), batch[1])


class Unreset(Training):
    def step(self, model: nn.Module, optimizer: torch.optim.Optimizer, batch: Any) -> float:
        loss = self.loss(model, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.1)
        optimizer.step()
        return loss.item()


class Summed(Training):
    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        return functional.cross_entropy(self.outputs(model, batch), batch[1], reduction="sum")


class Mixing(Training):
    def outputs(self, model: nn.Module, batch: Any) -> Tensor:
        return functional.log_softmax(model(batch[0]), dim=0)


class Broadcast(Numbers):
    def outputs(self, model: nn.Module, batch: Any) -> Tensor:
        return model(batch[0])

    @pytest.mark.filterwarnings("ignore")
    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        return (self.outputs(model, batch) - batch[1]).square().mean()


@pytest.mark.parametrize(
    ("broken", "name", "verdict"),
    [
        (Softmaxed, "mini_batch", "FAIL"),
        (Misaligned, "mini_batch", "FAIL"),
        (Rolled, "mini_batch", "FAIL"),
        (Frozen, "all_move", "FAIL"),
        (Detached, "all_move", "FAIL"),
        (Unreset, "gradients", "FAIL"),
        (Summed, "initial_loss", "WARN"),
        (Mixing, "independence", "FAIL"),
    ],
)
def test_a_broken_training_fails_at_its_line(broken, name, verdict):
    assert failing(checked(digits(broken(module=mlp))))[name] == verdict


def test_a_sum_of_losses_that_shrinks_examples_too_is_told_by_how_it_grows():
    assert "2.00 times" in checked(digits(Summed(module=mlp)))["initial_loss"].why


def test_outputs_broadcast_against_labels_fail():
    assert checked(diabetes(Broadcast(module=line)))["mini_batch"].verdict is Verdict.FAIL


def test_running_statistics_that_stand_still_are_warned_of():
    def stale() -> nn.Module:
        return nn.Sequential(
            nn.Flatten(), nn.Linear(64, 64), nn.BatchNorm1d(64, momentum=1e-4), nn.ReLU(), nn.Linear(64, 10)
        )

    assert checked(digits(Training(module=stale)))["modes"].verdict is Verdict.WARN


def test_attention_to_later_tokens_fails():
    task = letters(Letters(module=lambda: Attention(masked=False)))

    assert checked(task, replace(QUICK, steps=20, rates=()))["future"].verdict is Verdict.FAIL


def test_a_training_that_diverges_is_warned_of_where_another_rate_learns():
    class Rough(Training):
        def optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
            return torch.optim.SGD(model.parameters(), lr=1e6)

    assert checked(digits(Rough(module=mlp)))["mini_batch"].verdict is Verdict.WARN


# -- lack of evidence


def test_an_unknown_floor_is_inconclusive_and_leaves_the_curve():
    found = checked(digits(Training(module=mlp, loss_floor=None)), replace(QUICK, steps=40))["mini_batch"]

    assert found.verdict is Verdict.INCONCLUSIVE
    assert len(found.observed["curve"]) == 40


def test_a_model_with_few_weights_is_inconclusive():
    task = diabetes(Numbers(module=lambda: nn.Linear(10, 1)))

    assert checked(task, replace(QUICK, steps=60))["mini_batch"].verdict is Verdict.INCONCLUSIVE


def test_few_examples_and_one_class_are_inconclusive():
    task = digits(Training(module=mlp))
    train = task.given.train
    for places in (np.arange(5), np.flatnonzero(train.labels == 3)):
        less = replace(task, given=task.given.with_parts(train=train.take(places)))
        found = checked(less, replace(QUICK, steps=10, rates=()))["mini_batch"]
        assert found.verdict is Verdict.INCONCLUSIVE


def test_inputs_that_are_missing_are_inconclusive_and_never_pass():
    task = digits(Training(module=mlp))
    task.given.train.inputs[:, 0, 0] = np.nan

    found = checked(task, replace(QUICK, rates=()))["mini_batch"]

    assert found.verdict is Verdict.INCONCLUSIVE
    assert "finite" in found.why


def test_a_step_that_raises_costs_no_line_its_verdict():
    class Raising(Training):
        def step(self, model: nn.Module, optimizer: torch.optim.Optimizer, batch: Any) -> float:
            raise ValueError("no such thing")

    lines = checked(digits(Raising(module=mlp)))

    assert lines["mini_batch"].verdict is Verdict.INCONCLUSIVE
    assert "no such thing" in lines["mini_batch"].why
    assert lines["initial_loss"].verdict is Verdict.PASS


def test_outputs_that_are_random_are_inconclusive():
    class Random(Training):
        def outputs(self, model: nn.Module, batch: Any) -> Tensor:
            return model(batch[0]) + torch.randn(len(batch[0]), 10)

    assert checked(digits(Random(module=mlp)), replace(QUICK, steps=10))["independence"].verdict is Verdict.INCONCLUSIVE


def test_a_model_that_sees_all_tokens_by_right_is_not_asked_for_a_mask():
    task = letters(Letters(module=lambda: Attention(masked=False)))
    labels = np.roll(task.given.train.labels, 3, axis=1)
    train = replace(task.given.train, labels=labels)
    found = checked(replace(task, given=task.given.with_parts(train=train)), replace(QUICK, steps=5, rates=()))

    assert found["future"].verdict is Verdict.NOT_APPLICABLE


def test_settings_out_of_range_are_refused():
    with pytest.raises(UsageError, match="steps"):
        check_overfit(digits(Training(module=mlp)), Settings(steps=0), direct)


def test_random_numbers_of_the_caller_go_on_where_they_were():
    torch.manual_seed(3)
    expected = torch.rand(2)[1]
    torch.manual_seed(3)
    torch.rand(1)
    checked(digits(Training(module=mlp)), replace(QUICK, steps=5, rates=()))

    assert torch.rand(1) == expected


# -- the mini-batch


@given(counts=some.lists(some.integers(1, 40), min_size=2, max_size=20), seed=some.integers(0, 99))
def test_each_class_is_twice_in_the_mini_batch_where_that_goes(counts, seed):
    labels = np.repeat(np.arange(len(counts)), counts)
    part = Part(ids=np.arange(len(labels)).astype(str), inputs=np.arange(len(labels))[:, None], labels=labels)

    chosen = mini_batch(part, count=32, seed=seed)

    found = np.bincount(chosen.labels, minlength=len(counts))
    kept = found[found > 0]
    assert len(chosen) <= 32
    assert len(kept) == min(len(counts), 16)
    assert all(have >= min(2, of) for have, of in zip(found, counts, strict=True) if have)
    assert list(mini_batch(part, count=32, seed=seed).ids) == list(chosen.ids)


def test_equal_inputs_and_missing_labels_are_left_out():
    inputs = np.array([[1.0], [1.0], [2.0], [3.0]])
    part = Part(ids=np.array(list("abcd")), inputs=inputs, labels=np.array([0.0, 1.0, np.nan, 2.0]))

    chosen = mini_batch(part, count=32, seed=0)

    assert len(chosen) == 2
    assert set(chosen.inputs.ravel()) == {1.0, 3.0}
