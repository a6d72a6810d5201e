"""Loaders of a run: the same batches whoever reads them, and a place in the epoch that survives a kill."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset, WeightedRandomSampler

import gitrepro
from gitrepro.errors import UsageError
from gitrepro.run.loaders import Streams
from gitrepro.training import generators
from gitrepro.training.loaders import Loader, Plan, Shape, build

from ..warm import Warm

IMAGES, LABELS = load_digits(return_X_y=True)
WANTED: dict[str, Any] = {
    "batch_size": 16, "shuffle": True, "sampler": None, "drop_last": False, "num_workers": 0, "uneven": "drop",
    "seed": 3, "rank": 0, "world_size": 1, "options": {},
}  # fmt: skip


class Digits(Dataset[Any]):
    """Digits with augmentation that draws from what it is told to."""

    def __init__(self, *draws: str, count: int = 100) -> None:
        self.draws = draws
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[int, list[float]]:
        return index, [float(IMAGES[index].sum()), *(DRAWS[name](index) for name in self.draws)]


DRAWS: dict[str, Any] = {
    "python": lambda _index: random.random(),
    "gauss": lambda _index: random.gauss(0, 1),
    "numpy": lambda _index: float(np.random.rand()),
    "normal": lambda _index: float(np.random.randn()),  # an odd one leaves a second normal number behind
    "torch": lambda _index: torch.rand(1).item(),
    "explicit": lambda _index: float(gitrepro.sample_generator().random()),
    "rarely": lambda index: random.random() if index == 77 else 0.0,
}


class Batched(Digits):
    """The same, a whole batch at a time."""

    def __getitems__(self, indices: list[int]) -> list[Any]:
        return [self[index] for index in indices]


def plainly(samples: list[Any]) -> list[Any]:
    return samples


def drawing(samples: list[Any]) -> list[Any]:
    return [*samples, (0, [random.random()])]


def loader(dataset: Any, **wanted: Any) -> Loader:
    options = {"collate_fn": plainly, **wanted.pop("options", {})}
    return build(dataset, **{**WANTED, **wanted, "options": options})


def batches(found: Any) -> list[Any]:
    return list(found)


# -- augmentation


@pytest.mark.parametrize("kind", [Digits, Batched])
@pytest.mark.parametrize("draws", [("python", "numpy", "torch"), ("gauss", "normal"), ("explicit",), ("rarely",), ()])
def test_augmentation_does_not_hang_on_the_number_of_workers(kind: Any, draws: tuple[str, ...]) -> None:
    alone = loader(kind(*draws))
    shared = loader(kind(*draws), num_workers=2)

    assert [batches(alone), batches(alone)] == [batches(shared), batches(shared)]


def test_a_plain_data_loader_fails_that_very_test() -> None:
    drawn = []
    for workers in (0, 2):
        torch.manual_seed(0), random.seed(0)
        plain = DataLoader(
            Digits("torch", "python"), batch_size=16, shuffle=True, num_workers=workers, collate_fn=plainly
        )
        drawn.append(batches(plain))

    assert drawn[0] != drawn[1]


def test_what_collates_may_draw_too() -> None:
    found = [batches(loader(Digits(), num_workers=workers, options={"collate_fn": drawing})) for workers in (0, 2)]

    assert found[0] == found[1]


@pytest.mark.parametrize("draws", [("python", "gauss", "numpy", "normal", "torch"), ("rarely",), ()])
def test_reading_moves_no_generator_of_the_program(draws: tuple[str, ...]) -> None:
    random.gauss(0, 1), np.random.randn()  # each has a second normal number ready

    def states() -> Any:
        return random.getstate(), repr(np.random.get_state(legacy=False)), torch.get_rng_state().tolist()

    before = states()
    batches(loader(Digits(*draws)))

    assert states() == before


def test_a_data_set_that_fails_leaves_the_generators_as_they_were() -> None:
    before = random.getstate()
    broken = loader(Subset(Digits("python"), [*range(50), 5000]), shuffle=False)
    with pytest.raises(IndexError):
        batches(broken)

    assert random.getstate() == before


def test_augmentation_differs_from_epoch_to_epoch_and_from_seed_to_seed() -> None:
    def numbers(found: Loader) -> set[float]:
        return {values[1] for batch in found for _, values in batch}

    one = loader(Digits("torch"))
    first, second, other = numbers(one), numbers(one), numbers(loader(Digits("torch"), seed=4))

    assert len(first | second | other) == 300


def test_a_sample_that_comes_twice_is_augmented_twice() -> None:
    sampler = [5, 5, 5, 6]
    [batch] = batches(loader(Digits("python"), sampler=sampler, shuffle=False))

    assert len({values[1] for _, values in batch}) == 4


def test_a_sample_generator_outside_a_loader_is_refused() -> None:
    with pytest.raises(UsageError, match="no sample is being read"):
        gitrepro.sample_generator()


def test_each_kind_of_sample_generator_goes_on_within_a_sample() -> None:
    class Twice(Digits):
        def __getitem__(self, index: int) -> Any:
            draw = [gitrepro.sample_generator("python").random(), gitrepro.sample_generator("python").random()]
            return draw, torch.rand(1, generator=gitrepro.sample_generator("torch")).item()

    samples = [sample for batch in loader(Twice()) for sample in batch]

    assert len({number for draw, _ in samples for number in draw}) == 200
    assert len({drawn for _, drawn in samples}) == 100


def test_seeding_each_sample_is_no_seeding_call_of_the_program() -> None:
    from gitrepro.training.seeds import SeedWatch

    watch = SeedWatch()
    watch.start()
    try:
        batches(loader(Digits("python", "numpy", "torch")))
        found = watch.generators()
    finally:
        watch.stop()

    assert [(found[name]["calls"], found[name]["used"]) for name in ("python", "numpy", "torch")] == [(0, False)] * 3


# -- the generators themselves


@pytest.mark.parametrize("name", ["python", "numpy", "torch"])
@given(before=st.integers(0, 700), within=st.integers(0, 1500))
def test_a_generator_that_drew_has_moved_and_is_put_back(name: str, before: int, within: int) -> None:
    draw = {"python": lambda: random.gauss(0, 1), "numpy": np.random.randn, "torch": lambda: torch.rand(1).item()}[name]
    shared = generators.present()[name]
    for _ in range(before):
        draw()
    mark = shared.mark()
    drawn = [draw() for _ in range(within)]

    assert shared.moved(mark) is bool(drawn)
    shared.restore(mark)
    assert [draw() for _ in range(within)] == drawn


@pytest.mark.parametrize("name", ["python", "numpy"])
def test_a_second_normal_number_that_lies_ready_is_no_place_like_the_one_behind_it(name: str) -> None:
    draw, seed = {"python": (lambda: random.gauss(0, 1), random.seed), "numpy": (np.random.randn, np.random.seed)}[name]
    shared = generators.present()[name]
    seed(5)
    draw(), draw()
    shared.mark()  # none lies ready
    seed(5)
    draw()
    mark = shared.mark()  # the generator has drawn as often, and one does
    drawn = [draw() for _ in range(3)]
    shared.restore(mark)
    assert [draw() for _ in range(3)] == drawn


def test_a_generator_that_numpy_was_given_later_is_the_one_that_is_watched() -> None:
    before = np.random.get_bit_generator()
    try:
        np.random.set_bit_generator(np.random.MT19937(5))
        shared = generators.present()["numpy"]
        mark = shared.mark()
        drawn = np.random.rand()
        assert shared.moved(mark)
        shared.restore(mark)
        assert np.random.rand() == drawn
        np.random.set_bit_generator(np.random.PCG64(5))
        assert "numpy" not in generators.present()
    finally:
        np.random.set_bit_generator(before)


def test_a_place_that_stays_through_a_new_seed_is_still_a_move() -> None:
    shared = generators.present()["python"]
    random.seed(1)
    mark = shared.mark()
    random.seed(2)

    assert shared.moved(mark)


# -- order, and sharing it


def test_the_order_moves_with_no_call_of_the_program_to_a_generator() -> None:
    first = batches(loader(Digits()))
    torch.rand(5), np.random.rand(5)

    assert batches(loader(Digits())) == first


@given(
    st.integers(1, 300), st.integers(1, 40), st.integers(1, 5), st.booleans(), st.sampled_from(["drop", "keep"]),
    st.integers(0, 3),
)  # fmt: skip
def test_ranks_share_an_epoch_out(
    length: int, size: int, world_size: int, drop_last: bool, uneven: Any, epoch: int
) -> None:
    plans = []
    for rank in range(world_size):
        shape = Shape(
            length=length, batch_size=size, shuffle=True, drop_last=drop_last, seed=1, rank=rank,
            world_size=world_size, uneven=uneven,
        )  # fmt: skip
        plan = Plan(shape)
        plan.epoch = epoch
        plans.append(plan)
    seen = [index for plan in plans for index in plan.share()]

    assert len(seen) == len(set(seen)) == length - plans[0].shape.left_out
    assert uneven == "keep" or len({plan.shape.share for plan in plans}) == 1
    assert all(len(plan.share()) == plan.shape.share for plan in plans)
    assert all(len(list(plan)) == len(plan) for plan in plans)
    assert all(len(batch) == size for plan in plans for batch in list(plan)[: None if drop_last else -1])


def test_the_batches_of_all_ranks_are_those_of_one_process_with_a_larger_batch() -> None:
    alone = [set(dict(batch)) for batch in loader(Digits(), batch_size=32)]
    ranks = [batches(loader(Digits(), batch_size=16, rank=rank, world_size=2)) for rank in (0, 1)]

    assert [set(dict([*one, *other])) for one, other in zip(*ranks, strict=True)] == alone


def test_a_sampler_draws_from_the_seed_of_the_epoch() -> None:
    weights = [1.0] * 50 + [9.0] * 50
    one, other = (loader(Digits(), shuffle=False, sampler=WeightedRandomSampler(weights, 60)) for _ in range(2))
    torch.rand(3)

    first = batches(one)
    assert batches(other) == first
    assert batches(one) != first


def test_a_sampler_that_shares_out_itself_is_not_shared_out_again() -> None:
    sampler = torch.utils.data.DistributedSampler(Digits(), num_replicas=2, rank=1)
    found = loader(Digits(), shuffle=False, sampler=sampler, rank=1, world_size=2)

    assert sum(len(batch) for batch in found) == 50


# -- what it looks like


def test_it_is_a_data_loader_over_the_data_set() -> None:
    found = loader(TensorDataset(torch.arange(100)), options={"collate_fn": None})

    assert isinstance(found, DataLoader)
    assert (len(found), found.batch_size, len(found.dataset), found.drop_last) == (7, 16, 100, False)  # type: ignore[arg-type]
    assert sorted(torch.cat([batch for [batch] in found]).tolist()) == list(range(100))


def test_it_knows_the_samples_of_the_batches_it_handed_out() -> None:
    found = loader(Digits())
    told = [(list(dict(batch)), found.indices()) for batch in found]

    assert all(batch == indices for batch, indices in told)


# -- places


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("options", [{}, {"persistent_workers": True}])
def test_a_place_in_the_middle_of_an_epoch_is_gone_back_to(workers: int, options: dict[str, Any]) -> None:
    if options and not workers:
        pytest.skip("torch keeps no workers where there are none")
    whole, again = (loader(Digits("python"), num_workers=workers, options=options) for _ in range(2))
    expected = [batches(whole) for _ in range(3)]
    batches(again)
    for number, _ in enumerate(again):
        if number == 2:
            break
    resumed = loader(Digits("python"), num_workers=workers, options=options, seed=99)
    resumed.load_state_dict(again.state_dict())

    assert (resumed.epoch, resumed.batches_done) == (1, 3)
    assert [batches(resumed), batches(resumed)] == [expected[1][3:], expected[2]]


def test_a_place_behind_the_last_batch_ends_its_epoch_first() -> None:
    one = loader(Digits())
    state = [one.state_dict() for _ in one][-1]
    resumed = loader(Digits())
    resumed.load_state_dict(state)

    assert resumed.epoch == 0
    assert batches(resumed) == []
    assert resumed.epoch == 1


def test_a_loop_that_was_left_is_followed_by_a_new_epoch() -> None:
    one, expected = loader(Digits()), loader(Digits())
    batches(expected)
    next(iter(one))

    assert batches(one) == batches(expected)


def test_the_epoch_may_be_said_and_a_place_in_it_stays() -> None:
    one, resumed = loader(Digits()), loader(Digits())
    one.set_epoch(4)
    whole = batches(one)
    one.set_epoch(4)
    next(iter(one))
    resumed.load_state_dict(one.state_dict())
    resumed.set_epoch(4)

    assert batches(resumed) == whole[1:]


def test_a_place_in_an_epoch_of_another_shape_is_refused() -> None:
    one = loader(Digits())
    next(iter(one))
    with pytest.raises(UsageError, match="middle of epoch 0") as refused:
        loader(Digits(), batch_size=8).load_state_dict(one.state_dict())

    assert "batch_size 16, now 8" in refused.value.why


def test_between_two_epochs_the_shape_may_change() -> None:
    one, other = loader(Digits()), loader(Digits(), batch_size=8)
    batches(one)
    other.load_state_dict(one.state_dict())

    assert (other.epoch, other.batches_done) == (1, 0)


# -- bad input


class Stream(IterableDataset[Any]):
    def __iter__(self) -> Iterator[int]:
        return iter(range(5))


OWN = WeightedRandomSampler([1.0], 1, generator=torch.Generator())


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"dataset": Stream()}, "only be gone through from its beginning"),
        ({"dataset": 5}, "only be gone through from its beginning"),
        ({"dataset": Digits(count=0)}, "no batch"),
        ({"dataset": Digits(count=9), "drop_last": True}, "there are 9 samples, and 16 in a batch"),
        ({"rank": 1, "world_size": 200}, "0 of them for rank 1 of 200"),
        ({"num_workers": -1}, "num_workers is -1"),
        ({"num_workers": True}, "num_workers is True"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"batch_size": None}, "batch_size is None"),
        ({"sampler": [1, 2]}, "sampler= and shuffle=True"),
        ({"shuffle": False, "sampler": iter([1])}, "has no length"),
        ({"shuffle": False, "sampler": OWN}, "a generator of its own"),
        ({"uneven": "pad"}, "uneven='pad'"),
        ({"options": {"generator": torch.Generator()}}, "generator= cannot be given"),
        ({"options": {"batch_sampler": [[1]]}}, "batch_sampler= cannot be given"),
        ({"options": {"no_such_option": 1}}, "no_such_option"),
        ({"options": {"prefetch_factor": 2}}, "prefetch_factor"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(wanted: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        loader(wanted.pop("dataset", Digits()), **wanted)


def test_fewer_samples_than_a_batch_are_one_short_batch() -> None:
    assert [len(batch) for batch in loader(Digits(count=9))] == [9]


@pytest.mark.parametrize("state", [{}, None, {"version": 9}])
def test_what_is_no_place_is_refused(state: Any) -> None:
    with pytest.raises(UsageError, match="no state of a loader"):
        loader(Digits()).load_state_dict(state)


# -- a training, killed and resumed

TRAIN = """
import os, signal, sys, torch, gitrepro, hashlib, random
import numpy as np
from torch import nn
from sklearn.datasets import load_digits

torch.set_num_threads(1)
workers, kill_at = int(os.environ["WORKERS"]), int(os.environ.get("KILL_AT", "-1"))

class Digits(torch.utils.data.Dataset):
    images, labels = load_digits(return_X_y=True)
    def __len__(self):
        return 480
    def __getitem__(self, index):
        image = torch.as_tensor(self.images[index] / 16) * random.uniform(0.8, 1.2) * np.random.uniform(0.9, 1.1)
        image = image + torch.randn(64) * 0.05 + torch.as_tensor(gitrepro.sample_generator().normal(0, 0.01, 64))
        return image.float(), int(self.labels[index])

with gitrepro.record(seed=3, resume="auto") as run:
    model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Dropout(0.3), nn.Linear(32, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    train = run.loader(Digits(), batch_size=32, shuffle=True, num_workers=workers)
    if run.resumes:
        found = gitrepro.load_checkpoint(f"{run.resumes}:last")
        found.restore(model=model, optimizer=optimizer, loader=train)
    for epoch in range(train.epoch, 3):
        for images, labels in train:
            loss = nn.functional.cross_entropy(model(images), labels)
            optimizer.zero_grad(); loss.backward(); optimizer.step()
            step = epoch * len(train) + train.batches_done
            run.log({"loss": loss.item()}, step=step)
            if step % 5 == 0:
                run.checkpoint(model=model, optimizer=optimizer, loader=train)
            if step == kill_at:
                run._checkpointing.wait()
                os.kill(os.getpid(), signal.SIGKILL)
    weights = b"".join(each.detach().numpy().tobytes() for each in model.parameters())
    print(hashlib.sha256(weights).hexdigest(), loss.item())
"""


@pytest.fixture(scope="module")
def warm() -> Iterator[Warm]:
    made = Warm("torch.utils.data", "sklearn.datasets", "numpy.random", "gitrepro.run.handle", "gitrepro.run.recorder")
    yield made
    made.close()


def train(warm: Warm, repo: Path, workers: int, kill_at: int = -1) -> tuple[int, str]:
    """The exit code, and what it printed."""
    (repo / "train.py").write_text(TRAIN)
    environ = {**os.environ, "WORKERS": str(workers), "KILL_AT": str(kill_at)}
    warm.start([str(repo / "train.py")], folder=repo, environ=environ)
    code = warm.wait()
    return code, warm.printed("out") if code <= 0 else warm.printed("err")


def test_a_training_has_the_same_weights_with_any_number_of_workers_and_after_a_kill(warm: Warm, repo: Path) -> None:
    alone = train(warm, repo, 0)
    assert [alone[0], train(warm, repo, 1), train(warm, repo, 4)] == [0, alone, alone]

    # In the middle of the second epoch, two batches behind the last checkpoint; then once more, with other workers.
    assert [train(warm, repo, workers, kill_at)[0] for workers, kill_at in ((1, 22), (0, 33))] == [-signal.SIGKILL] * 2

    assert train(warm, repo, 2) == alone
    newest = gitrepro.runs(repo=repo)[0].metadata["streams"]["loaders"][0]
    assert newest["resumed"] == {"batches_done": 15, "epoch": 1}


def test_a_worker_that_dies_ends_the_loop_with_an_error_and_the_run_as_failed(repo: Path) -> None:
    code = """
import os, gitrepro
class Dies:
    def __len__(self): return 8
    def __getitem__(self, index): os._exit(3) if index == 5 else None; return index
with gitrepro.record(seed=0) as run:
    for batch in run.loader(Dies(), batch_size=2, num_workers=1): run.log({"x": 1.0})
"""
    (repo / "train.py").write_text(code)
    done = subprocess.run([sys.executable, "train.py"], cwd=repo, capture_output=True, text=True)
    [run] = gitrepro.runs(repo=repo)

    assert done.returncode == 1
    assert run.metadata["status"] == "failed"
    assert "DataLoader worker" in run.metadata["reason"]["message"]


def test_a_loader_is_on_record_and_a_second_one_has_another_name(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repo)
    with gitrepro.record(seed=1) as run:
        run.loader(Digits(), batch_size=8, shuffle=True)
        run.loader(Digits(count=20), batch_size=10, name="val")
        run.loader(Digits(), batch_size=7, rank=0, world_size=3, uneven="keep")
    loaders = gitrepro.runs(repo=repo)[0].metadata["streams"]["loaders"]

    assert [(each["name"], each["batches"], each["world_size"]) for each in loaders] == [
        ("loader", 13, 1), ("loader-3", 5, 3), ("val", 2, 1),
    ]  # fmt: skip


def test_samples_that_no_rank_would_ever_see_are_warned_of(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repo)
    with (
        gitrepro.record(seed=1) as run,
        pytest.warns(gitrepro.errors.GitreproWarning, match="1 of 100 samples are never"),
    ):
        run.loader(Digits(), batch_size=8, rank=0, world_size=3)


def test_without_torch_a_loader_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITREPRO_MODE", "disabled")
    monkeypatch.delitem(sys.modules, "gitrepro.training.loaders")
    monkeypatch.setitem(sys.modules, "torch", None)
    streams = Streams(1, tell=lambda *_args, **_more: None)
    with pytest.raises(UsageError, match="needs torch"):
        streams.loader(Digits(), name=None, rank=None, world_size=None)


def test_half_a_place_is_refused(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITREPRO_MODE", "disabled")
    with gitrepro.record(seed=1) as run, pytest.raises(UsageError, match="is no place"):
        run.loader(Digits(), batch_size=8, rank=1)


@pytest.mark.gpu
def test_batches_reach_the_device_as_without_us() -> None:
    found = loader(TensorDataset(torch.arange(100)), options={"collate_fn": None, "pin_memory": True}, num_workers=1)
    seen = torch.cat([batch.cuda(non_blocking=True) for [batch] in found])

    assert sorted(seen.tolist()) == list(range(100))
