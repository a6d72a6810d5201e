"""Guards over real optimizers: gradients and weights, devices that must not be waited for, the batches in hand."""

from __future__ import annotations

import json
import math
import random
import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils._pytree import tree_map
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.trainings import BROKEN, HEALTHY, Training
from gitrepro.errors import UsageError
from gitrepro.records.stopping import Effect, Finding
from gitrepro.training.finite import Counted
from gitrepro.training.guards import Guard, Stop
from gitrepro.training.stopping import Budget, Divergence, EarlyStopping, NoLearning, NonFinite
from gitrepro.training.stopping.rule import Surroundings


class Fake(torch.Tensor):
    """A tensor that says it lies on a device, computes on the CPU, and counts each time somebody waits for it."""

    waits = 0
    inner: torch.Tensor

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> Fake:
        made = torch.Tensor._make_wrapper_subclass(cls, inner.shape, dtype=inner.dtype, device="meta")
        made.inner = inner
        return made  # type: ignore[no-any-return]

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return torch.device("cuda:0")

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        plain = tree_map(lambda each: each.inner if isinstance(each, Fake) else each, (args, kwargs or {}))
        where = plain[1].pop("device", None)
        if func is torch.ops.aten._local_scalar_dense.default or (where and torch.device(where).type == "cpu"):
            Fake.waits += 1
            return func(*plain[0], **plain[1])
        return tree_map(
            lambda each: Fake(each) if isinstance(each, torch.Tensor) else each, func(*plain[0], **plain[1])
        )


@pytest.fixture(autouse=True)
def one_thread():
    """These nets are too small for two: on a busy machine they would wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def device() -> type[Fake]:
    Fake.waits = 0
    return Fake


class Told:
    def __init__(self, *rules: Any) -> None:
        self.found: list[Finding] = []
        self.stops: list[Stop] = []
        self.faults: list[str] = []
        self.guard = Guard(rules, on_finding=self.found.append, on_stop=self.stops.append, on_fault=self.faults.append)

    @property
    def codes(self) -> list[str]:
        return [each.code for each in self.found]


@pytest.fixture
def guarded():
    made: list[Told] = []

    def make(*rules: Any) -> Told:
        made.append(Told(*rules))
        return made[-1]

    yield make
    for told in made:
        told.guard.close()


def net() -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 2))
    return model, torch.optim.SGD(model.parameters(), lr=0.01)


def train(told: Told, *, steps: int, hurt: Any = None) -> int | None:
    model, optimizer = net()
    for step in range(steps):
        optimizer.zero_grad()
        loss = model(torch.randn(4, 8)).square().mean()
        loss.backward()
        if hurt:
            hurt(model, step)
        optimizer.step()
        told.guard.see({"speed": 1.0}, step)
        if told.guard.should_stop():
            return step
    return None


# -- over a resume


def rows(kind: str) -> list[dict[str, float]]:
    draw = random.Random(kind)
    if kind == "stuck":
        return [{"train/loss": 2.3 + draw.gauss(0, 0.05)} for _ in range(1200)]
    if kind == "diverges":
        losses = [2.0 * 0.98**step if step < 120 else 0.2 * 1.1 ** (step - 120) for step in range(220)]
        return [{"train/loss": loss * (1 + draw.gauss(0, 0.02)), "grad_norm": loss} for loss in losses]
    if kind == "overfits":
        return [{"train/loss": 1.0 / (step + 1), "val/loss": abs(step - 20) / 20 + 0.3} for step in range(60)]
    return [{"train/loss": math.nan if step == 150 else 1.0 / (step + 1)} for step in range(160)]


def told_of(*guards: Told, kind: str, split: int) -> list[Any]:
    """What the guards say of one training that the first watches up to `split`, and the last from there."""
    first, last = guards[0], guards[-1]
    for step, row in enumerate(rows(kind)):
        if step == split and first is not last:
            last.guard.load_state_dict(json.loads(json.dumps(first.guard.state_dict())))
        (first if step < split else last).guard.see(row, step)
    return [(each.rule, each.code, each.step, each.seen) for told in dict.fromkeys(guards) for each in told.found]


RULES = (Divergence(), NonFinite(gradients=False, weights=False), NoLearning(stop=True), EarlyStopping("val/loss"))


@pytest.mark.parametrize("kind", ["stuck", "diverges", "overfits", "nan"])
@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_a_guard_that_goes_on_from_a_saved_state_says_what_one_that_saw_all_does(guarded, kind: str, share: float):
    whole = [each for each in told_of(guarded(*RULES), kind=kind, split=0) if each[2] is not None]
    assert {code for _, code, _, _ in whole} & {"not-falling", "divergence", "overfitting", "nonfinite-loss"}

    split = int(min(step for _, _, step, _ in whole) * share)
    found = told_of(guarded(*RULES), guarded(*RULES), kind=kind, split=split)
    assert [each for each in found if each[2] is not None] == whole


def test_a_budget_counts_on_over_a_resume() -> None:
    now = [0.0]
    world = Surroundings(clock=lambda: now[0], cost=lambda: now[0] / 10)
    before = Guard([Budget(hours=1, cost=250, steps=100)], world=world)
    now[0] = 2000.0
    before.see({"loss": 1.0}, 40)
    state = before.state_dict()
    before.close()
    now[0] = 50_000.0

    after = Guard([Budget(hours=1, cost=250, steps=100)], world=world)
    after.load_state_dict(state)
    now[0] += 400.0
    assert not after.should_stop()
    now[0] += 200.0
    assert after.should_stop()
    after.close()
    assert after.reason is not None and after.reason.code == "budget-cost"


@pytest.mark.parametrize("state", [{}, None, {"version": 2, "rules": []}])
def test_what_is_no_state_of_a_guard_is_refused(guarded, state: Any) -> None:
    with pytest.raises(UsageError, match="no state of a guard"):
        guarded(NonFinite()).guard.load_state_dict(state)


def test_a_state_of_other_rules_is_refused(guarded) -> None:
    state = guarded(NoLearning()).guard.state_dict()
    with pytest.raises(UsageError, match="of a guard with NoLearning"):
        guarded(Divergence(), NoLearning()).guard.load_state_dict(state)


# -- gradients and weights


def test_a_guard_counts_the_steps_of_its_own_training_while_the_optimizer_of_one_before_lives_on(guarded):
    told = guarded(NonFinite(every_steps=10, weights=False))
    model, before = net()
    model(torch.randn(4, 8)).sum().backward()
    for _ in range(7):
        before.step()
    told.guard.close()

    told = guarded(NonFinite(every_steps=10, weights=False))
    assert train(told, steps=50, hurt=lambda net, step: net[0].weight.grad.fill_(math.nan)) in range(10)
    assert before


def test_gradients_that_are_not_finite_are_found_when_they_are_read(guarded):
    def hurt(model: nn.Module, step: int) -> None:
        if step == 9:
            model[0].weight.grad[0, 0] = math.nan

    told = guarded(NonFinite(every_steps=10, weights=False))

    assert train(told, steps=50, hurt=hurt) == 9
    assert told.codes == ["nonfinite-gradients"]
    assert told.found[0].seen["tensors"] >= 1


def test_weights_that_are_not_finite_are_found_when_they_are_read(guarded):
    def hurt(model: nn.Module, step: int) -> None:
        if step == 3:
            model[2].bias.data[0] = math.inf

    told = guarded(NonFinite(every_steps=10, gradients=False))

    assert train(told, steps=50, hurt=hurt) in (9, 10)
    assert told.codes == ["nonfinite-weights"]


def test_a_healthy_training_has_finite_gradients_and_weights(guarded):
    told = guarded(NonFinite(every_steps=5))

    assert train(told, steps=60) is None
    assert (told.found, told.faults) == ([], [])


def test_half_precision_gradients_whose_norm_would_overflow_are_finite():
    parameter = nn.Parameter(torch.zeros(100_000, dtype=torch.float16))
    parameter.grad = torch.full((100_000,), 6e4, dtype=torch.float16)
    counted = Counted(every_steps=1, gradients=True, weights=True)
    counted.before(torch.optim.SGD([parameter]), 0, 0)

    assert counted.read() == {"gradients": 0}


def test_sparse_gradients_and_empty_tensors_are_looked_at_as_any():
    table = nn.Embedding(10, 3, sparse=True)
    table(torch.tensor([1, 2])).sum().backward()
    empty = nn.Parameter(torch.zeros(0))
    empty.grad = torch.zeros(0)
    counted = Counted(every_steps=1, gradients=True, weights=True)
    counted.before(torch.optim.SGD([table.weight, empty]), 0, 0)
    counted.after(torch.optim.SGD([table.weight, empty]), 0)

    assert counted.read() == {"gradients": 0, "weights": 0}


def test_what_a_gradient_scaler_will_skip_is_not_counted():
    model, optimizer = net()
    for each in model.parameters():
        each.grad = torch.full_like(each, math.inf)
    optimizer.grad_scale = optimizer.found_inf = torch.ones(())
    counted = Counted(every_steps=1, gradients=True, weights=False)
    counted.before(optimizer, 0, 0)

    assert counted.read() == {}


def test_a_guard_that_is_closed_hears_no_more_steps(guarded):
    def hurt(model: nn.Module, step: int) -> None:
        model[0].weight.grad[0, 0] = math.nan

    told = guarded(NonFinite(every_steps=1))
    told.guard.close()

    assert train(told, steps=3, hurt=hurt) is None


# -- devices


def test_the_fake_device_counts_each_wait(device):
    value = device(torch.tensor(2.0))

    assert (value + 1).item() == 3.0
    assert value.cpu().item() == 2.0
    assert device.waits == 2


def test_losses_on_a_device_are_read_together_each_fifty_rows_and_never_between(device, guarded):
    told = guarded(NonFinite(every_steps=50), Divergence(), NoLearning())
    waits = []
    for step in range(200):
        told.guard.see({"train/loss": device(torch.tensor(1.0 / (step + 1)))}, step)
        told.guard.should_stop()
        waits.append(device.waits)

    assert [waits[place] for place in (48, 49, 98, 99, 148, 199)] == [0, 1, 1, 2, 2, 4]
    assert told.faults == []


def test_a_loss_on_a_device_keeps_its_step_and_its_value_of_then(device, guarded):
    told = guarded(NonFinite(every_steps=10))
    loss = torch.tensor(1.0)
    for step in range(10):
        loss.fill_(math.nan if step == 4 else 1.0)
        told.guard.see({"train/loss": device(loss)}, step)

    assert told.guard.should_stop()
    assert told.guard.reason.step == 4


def test_gradients_and_weights_on_a_device_are_counted_there_and_read_by_the_schedule(device):
    counted = Counted(every_steps=50, gradients=True, weights=True)
    parameter = device(torch.ones(3))
    gradient = device(torch.tensor([1.0, math.nan, 2.0]))

    class Holder:
        def __init__(self) -> None:
            self.data, self.grad = parameter, gradient

        def __getattr__(self, name: str) -> Any:
            return getattr(self.data, name)

    class Optimizer:
        param_groups = ({"params": [Holder()]},)

    for number in range(50):
        counted.before(Optimizer(), number, number)
        counted.after(Optimizer(), number)

    assert device.waits == 0
    assert counted.read() == {"gradients": 50, "weights": 0}
    assert device.waits == 1
    assert len([norm for _, _, norm in counted.norms.read()]) == 50
    assert device.waits == 2


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_cuda_a_guarded_step_synchronises_at_the_schedule_alone(guarded):
    told = guarded(NonFinite(every_steps=50), Divergence())
    model = nn.Linear(64, 64, device="cuda")
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    batch = torch.randn(32, 64, device="cuda")
    torch.cuda.set_sync_debug_mode("error")
    try:
        for step in range(49):
            loss = model(batch).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            told.guard.see({"train/loss": loss.detach()}, step)
            assert not told.guard.should_stop()
    finally:
        torch.cuda.set_sync_debug_mode("default")

    assert told.faults == []


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_cuda_a_gradient_that_is_not_finite_aborts_within_the_schedule(guarded):
    told = guarded(NonFinite(every_steps=10))
    model = nn.Linear(8, 8, device="cuda")
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    for step in range(10):
        model(torch.randn(4, 8, device="cuda")).mean().backward()
        if step == 2:
            model.weight.grad[0, 0] = math.nan
        optimizer.step()
        told.guard.see({"speed": 1.0}, step)

    assert told.guard.should_stop()
    assert told.guard.reason.code.startswith("nonfinite-")


# -- what is in hand


def test_the_last_twenty_batches_of_a_loader_are_named_by_their_ids(guarded):
    told = guarded(NonFinite())
    loader = DataLoader(TensorDataset(torch.arange(300.0)), batch_size=10, shuffle=True)
    drawn = []
    for step, (batch,) in enumerate(loader):
        drawn.append([int(value) for value in batch])
        told.guard.see({"loss": math.nan if step == 24 else 1.0}, step)
        if told.guard.should_stop():
            break
    batches = told.stops[0].batches

    assert [each["ids"] for each in batches] == drawn[-20:]
    assert batches[-1]["after_step"] == 23


def test_batches_of_workers_are_named_as_those_of_the_program_itself(guarded):
    told = guarded(NonFinite())
    loader = DataLoader(TensorDataset(torch.arange(60.0)), batch_size=4, shuffle=True, num_workers=2)
    drawn = []
    for step, (batch,) in enumerate(loader):
        drawn.append([int(value) for value in batch])
        if step == 9:
            break
    told.guard.see({"loss": math.nan}, 9)
    told.guard.should_stop()

    assert [each["ids"] for each in told.stops[0].batches] == drawn


def test_batches_of_validation_are_passed_over(guarded):
    told = guarded(NonFinite())
    train_set, val_set = (DataLoader(TensorDataset(torch.arange(8.0)), batch_size=4) for _ in range(2))
    list(train_set)
    with torch.no_grad():
        list(val_set)
    told.guard.see({"loss": math.nan}, 0)
    told.guard.should_stop()

    assert [each["ids"] for each in told.stops[0].batches] == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_ids_that_the_program_names_itself_are_kept_as_numbers_and_words(guarded):
    told = guarded(NonFinite())
    told.guard.batch(torch.tensor([3, 5]))
    told.guard.batch(["a.png", "b.png"])
    told.guard.batch(range(1000))
    told.guard.see({"loss": math.nan}, 0)
    told.guard.should_stop()
    first, second, third = told.stops[0].batches

    assert (first["ids"], second["ids"]) == ([3, 5], ["a.png", "b.png"])
    assert (len(third["ids"]), third["left_out"]) == (256, 744)


def test_what_is_trained_is_handed_over_as_long_as_it_lives(guarded):
    told = guarded(NonFinite())
    model, optimizer = net()
    told.guard.watch(model, optimizer)
    del optimizer
    told.guard.see({"loss": math.nan}, 0)
    told.guard.should_stop()

    assert dict(told.stops[0].trained) == {"model": model}


# -- several ranks

RANK = """
import os, sys, torch
from gitrepro.training.guards import Guard
from gitrepro.training.stopping import NonFinite
rank = int(sys.argv[1])
torch.distributed.init_process_group("gloo", init_method="file://" + sys.argv[2], rank=rank, world_size=2)
guard = Guard([NonFinite()])
for step in range(20):
    guard.see({"loss": float("nan") if rank == 1 and step == 7 else 1.0}, step)
    if guard.should_stop(across_ranks=True):
        break
print(step, guard.reason.code, guard.reason.effect, flush=True)
torch.distributed.destroy_process_group()  # or gloo may end the process as it leaves
"""


def test_a_rank_that_breaks_stops_the_others_at_the_same_step(tmp_path):
    ranks = [
        subprocess.Popen([sys.executable, "-c", RANK, str(rank), str(tmp_path / "meet")], stdout=subprocess.PIPE)
        for rank in range(2)
    ]
    said = [rank.communicate(timeout=120)[0].decode().split() for rank in ranks]

    assert said == [["7", "another-rank", "abort"], ["7", "nonfinite-loss", "abort"]]


def test_one_process_asks_nobody_else(guarded):
    assert guarded(NonFinite()).guard.should_stop(across_ranks=True) is False


# -- real trainings; `benchmarks/bench_detectors.py` has all of them

SOME_HEALTHY = [each for each in HEALTHY if each.name in (
    "sgd {'momentum': 0.9} batch 64", "adam norm", "sgd diabetes")]  # fmt: skip
SOME_BROKEN = [each for each in BROKEN if each.name in (
    "optimizer of another model, iris", "sgd lr 30", "sign flipped, digits", "a NaN in a gradient")]  # fmt: skip


@pytest.mark.parametrize("training", [*SOME_HEALTHY, *SOME_BROKEN], ids=lambda each: each.name)
def test_healthy_trainings_run_on_and_broken_ones_are_found(training: Training, guarded):
    told = guarded(NonFinite(), Divergence(), NoLearning())
    for step, row in training.rows(steps=520):
        told.guard.see(row, step)
        if told.guard.should_stop():
            break

    assert told.faults == []
    assert bool(told.codes) == bool(training.expected)
    assert {*told.codes} <= training.expected


def test_there_are_forty_trainings_and_more_to_be_judged_by():
    assert len(HEALTHY) >= 40
    assert len(BROKEN) >= 20
    assert {Effect.WARN, Effect.END, Effect.ABORT} == set(Effect)
