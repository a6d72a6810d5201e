"""Meters on real small trainings: what is timed, what is left out, and that a device is never waited for."""

from __future__ import annotations

import math
import random
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader, Dataset, TensorDataset

from gitrepro.analysis.efficiency import cost_of, efficiency, waiting
from gitrepro.errors import UsageError
from gitrepro.training.flops import FlopsOnce
from gitrepro.training.inputbound import input_bound
from gitrepro.training.meters import Meter, Times, size_of
from gitrepro.training.power import Power
from gitrepro.training.steps import Steps


@pytest.fixture
def steps():
    made = Steps()
    made.start()
    yield made
    made.stop()


@pytest.fixture
def meter(steps):
    told = []
    made = Meter(steps, tell=told.append)
    made.told = told
    made.start()
    return made


class Slow(Dataset):
    """Items that take their time."""

    def __len__(self):
        return 64

    def __getitem__(self, place):
        time.sleep(0.002)
        return torch.full((4,), float(place))


class Net:
    """A net, an optimizer, and a step on a batch."""

    def __init__(self):
        torch.manual_seed(0)
        self.net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Dropout(), torch.nn.Linear(8, 2))
        self.optimizer = torch.optim.AdamW(self.net.parameters())

    def step(self, batch):
        batch = batch[0] if isinstance(batch, (list, tuple)) else batch
        self.optimizer.zero_grad()
        self.net(batch).square().mean().backward()
        self.optimizer.step()


def batches(count, size=4):
    return DataLoader(TensorDataset(torch.randn(count * size, 4)), batch_size=size)


@given(st.lists(st.floats(min_value=1e-6, max_value=1e3), min_size=1, max_size=60), st.sampled_from([0.5, 0.95]))
def test_a_quantile_of_the_counted_times_is_right_to_half_a_percent(seconds, share):
    times = Times()
    for each in seconds:
        times.add(each)

    exact = float(np.quantile(seconds, share, method="inverted_cdf"))
    assert math.isclose(times.quantile(share), exact, rel_tol=0.005)
    assert times.count == len(seconds)


def test_the_first_twenty_steps_are_left_out_and_so_are_the_borders_of_epochs(meter):
    net = Net()
    for _ in range(3):
        for batch in batches(15):
            net.step(batch)
    told = meter.document()

    assert told["steps"] == 45
    # 44 intervals, 19 of them at the start; two of the others hold a border: one lies within the first 20.
    assert (told["timed_steps"], told["between"]["count"]) == (24, 1)
    assert 0 < told["step_seconds"]["p50"] <= told["step_seconds"]["p95"]
    assert told["clock"] == "host"


def test_an_evaluation_between_epochs_is_no_part_of_a_step(meter):
    net = Net()
    for _ in range(8):
        for batch in batches(10):
            net.step(batch)
        for _ in DataLoader(Slow(), batch_size=16):
            pass
    told = meter.document()

    # Eight evaluations of 128 ms at least; had one of them been timed as a step, it would be the longest by far.
    assert told["step_seconds"]["mean"] * told["timed_steps"] < told["between"]["seconds"]
    assert told["wait_share"] < 0.9


def test_a_loader_that_is_slower_than_the_step_shows_as_waiting(meter):
    net = Net()
    for _ in range(3):
        for batch in DataLoader(Slow(), batch_size=4):
            net.step(batch)

    assert meter.document()["wait_share"] > 0.5
    assert waiting(meter.document()) == "input-bound"


def test_samples_are_counted_by_batches_or_by_hand(steps):
    by_loader, by_hand = (Meter(steps, tell=lambda told: None) for _ in range(2))
    for each in (by_loader, by_hand):
        each.start()
    net = Net()
    for batch in batches(40):
        by_hand.count(samples=40, tokens=400)
        net.step(batch)
    one, other = by_loader.document(), by_hand.document()

    assert other["samples_per_second"] / one["samples_per_second"] == pytest.approx(10, rel=0.2)
    assert other["tokens_per_second"] == pytest.approx(10 * other["samples_per_second"])
    assert "tokens_per_second" not in one


@pytest.mark.parametrize(
    ("batch", "size"),
    [
        (torch.zeros(5, 2), 5),
        ([torch.zeros(3, 2), torch.zeros(3)], 3),
        ({"x": np.zeros((7, 1))}, 7),
        ([["a", "b"], torch.zeros(2)], 2),
        (([1, 2, 3],), 3),
        (torch.tensor(1.0), 0),
        (object(), 0),
        ([], 0),
    ],
)
def test_the_size_of_a_batch_is_found_or_unknown(batch, size):
    assert size_of(batch) == size


def test_a_training_of_one_step_an_epoch_is_timed_with_what_lies_between(meter):
    net = Net()
    for _ in range(30):
        for batch in batches(1):
            net.step(batch)
    told = meter.document()

    assert told["includes_between"] is True
    assert told["timed_steps"] == 10


def test_too_few_steps_have_no_times(meter):
    net = Net()
    for batch in batches(5):
        net.step(batch)

    assert meter.document()["steps"] == 5
    assert "step_seconds" not in meter.document()


def test_what_is_known_is_told_at_the_end_and_an_error_of_the_teller_harms_nobody(steps):
    def refuse(told):
        raise OSError("the disk is full")

    told = []
    meters = [Meter(steps, tell=told.append), Meter(steps, tell=refuse)]
    for each in meters:
        each.start()
    net = Net()
    net.step(torch.zeros(1, 4))
    for each in meters:
        each.stop()
    net.step(torch.zeros(1, 4))

    assert [each["steps"] for each in told] == [1]


class Event:
    """An event as CUDA has them, of a device that is behind; waiting for it is what must not happen."""

    passed = 0.0
    made = 0

    def __init__(self, *, enable_timing):
        Event.made += 1
        self.moment = float(Event.made)

    def record(self):
        pass

    def query(self):
        return self.moment <= Event.passed

    def elapsed_time(self, other):
        return (other.moment - self.moment) * 1000.0

    def synchronize(self):
        raise AssertionError("the device was waited for")


class OnDevice:
    """An optimizer whose parameters lie on a device."""

    class Parameter:
        is_cuda = True

    param_groups = ({"params": [Parameter()]},)


def test_a_device_is_asked_whether_it_is_there_yet_and_never_waited_for(meter, steps, monkeypatch):
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "synchronize", Event.synchronize)
    optimizer = OnDevice()
    for _ in range(40):
        steps.note(optimizer)
    behind = meter.document()
    Event.passed = 30.0
    told = meter.document()

    assert "timed_steps" not in behind
    assert (told["timed_steps"], told["clock"]) == (10, "cuda events")
    assert told["step_seconds"]["mean"] == pytest.approx(1.0)


def test_operations_of_one_step_are_counted_and_its_results_do_not_change(steps):
    def weights(*, counted):
        net, told = Net(), []
        flops = FlopsOnce(steps, tell=lambda count, why: told.append((count, why))) if counted else None
        for batch in batches_of_eight():
            net.step(batch)
        if flops:
            flops.stop()
        return [each.detach().clone() for each in net.net.parameters()], told

    def batches_of_eight():
        torch.manual_seed(1)
        return list(batches(6, size=8))

    plain, _ = weights(counted=False)
    measured, told = weights(counted=True)

    # Two operations a multiplication and addition: forward twice, weights twice, the input of the second layer once.
    assert told == [(2 * 8 * (4 * 8 * 2 + 8 * 2 * 3), "")]
    assert all(torch.equal(one, other) for one, other in zip(plain, measured, strict=True))


def test_a_slow_loader_is_found_by_experiment_and_everything_is_as_before(steps, meter):
    net = Net()
    before = {name: value.clone() for name, value in net.net.state_dict().items()}
    generators = (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())

    found = input_bound(
        net.step, DataLoader(Slow(), batch_size=4, shuffle=True), steps=steps, keep=(net.net, net.optimizer), count=5
    )

    assert found["input_bound"] is True
    assert found["loader_seconds"] > found["cached_seconds"]
    assert all(torch.equal(value, before[name]) for name, value in net.net.state_dict().items())
    assert (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()) == generators
    assert not net.optimizer.state
    assert (steps.count, meter.document()["steps"]) == (0, 0)


def test_an_experiment_without_data_or_steps_is_refused(steps):
    net = Net()
    with pytest.raises(UsageError, match="no batch"):
        input_bound(net.step, [], steps=steps)
    with pytest.raises(UsageError, match="0 steps"):
        input_bound(net.step, batches(2), steps=steps, count=0)
    assert steps.paused is False


def test_energy_is_the_sum_of_the_packages_and_survives_a_counter_that_starts_over(tmp_path: Path):
    folder = tmp_path / "sys/class/powercap"
    for name, before in (("intel-rapl:0", 900), ("intel-rapl:1", 0), ("intel-rapl:0:0", 5)):
        (folder / name).mkdir(parents=True)
        (folder / name / "energy_uj").write_text(f"{before * 10**6}\n")
        (folder / name / "max_energy_range_uj").write_text(f"{1000 * 10**6}\n")
    power = Power(root=str(tmp_path))
    power.begin()
    (folder / "intel-rapl:0/energy_uj").write_text("50000000\n")
    (folder / "intel-rapl:1/energy_uj").write_text("7000000\n")
    (folder / "intel-rapl:0:0/energy_uj").write_text("999000000\n")

    assert power.document()["energy_joules"] == {"cpu": 150 + 7}
    assert "energy_joules" not in Power(root=str(tmp_path / "nothing")).document()


def test_a_run_is_charged_by_the_prices_it_has():
    measured = {
        "devices": [{"name": "H200", "seconds": 3600.0}, {"name": "T4", "seconds": 1800.0}],
        "cpu_seconds": 7200.0,
    }

    cost = cost_of(measured, prices={"H200": 3.0, "gpu": 1.0, "cpu": 0.1, "machine": 0.5}, duration_seconds=3600.0)

    assert cost is not None
    assert cost["amount"] == pytest.approx(3.0 + 0.5 + 0.2 + 0.5)
    assert cost["from"]["gpu"] == {"hours": 0.5, "per_hour": 1.0}
    assert cost_of(measured, prices={"coffee": 3.0}) is None


def test_of_several_ranks_the_rates_and_devices_are_summed_and_the_times_are_those_of_the_first():
    ranks = [
        {"steps": 9, "step_seconds": {"p50": 0.5}, "samples_per_second": 10.0, "peak_host_bytes": 5 + rank,
         "devices": [{"name": "T4", "seconds": 1800.0}], "energy_joules": {"gpu": 2.0, "cpu": 7.0 + rank}}
        for rank in range(2)
    ]  # fmt: skip

    found = efficiency(ranks, prices={}, duration_seconds=10.0)

    assert found is not None
    assert (found["samples_per_second"], found["peak_host_bytes"], found["gpu_hours"]) == (20.0, 6, 1.0)
    assert (found["energy_joules"], found["step_seconds"], found["ranks"]) == (
        {"gpu": 4.0, "cpu": 8.0},
        {"p50": 0.5},
        2,
    )
    assert efficiency([], prices={}, duration_seconds=1.0) is None


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"wait_share": 0.05}, ""),
        ({"wait_share": 0.2}, "waits"),
        ({"wait_share": 0.5}, "input-bound"),
        ({"wait_share": 0.5, "input_test": {"input_bound": False}}, ""),
        ({"wait_share": 0.01, "input_test": {"input_bound": True}}, "input-bound"),
        ({}, ""),
    ],
)
def test_an_experiment_decides_over_the_share_of_waiting(found, said):
    assert waiting(found) == said


@pytest.mark.gpu
def test_on_cuda_steps_are_timed_by_the_device_and_its_memory_is_known(meter):
    net = torch.nn.Linear(512, 512).cuda()
    optimizer = torch.optim.AdamW(net.parameters())
    data = torch.randn(64, 512).cuda()
    for _ in range(60):
        optimizer.zero_grad()
        net(data).square().mean().backward()
        optimizer.step()
    torch.cuda.synchronize()
    told = meter.document()

    assert (told["clock"], told["timed_steps"]) == ("cuda events", 40)
    assert told["devices"][0]["peak_allocated_bytes"] > 0
