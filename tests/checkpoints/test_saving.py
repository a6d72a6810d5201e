"""Saving beside training: what is copied, when the caller waits, what the disk may do, and what is told."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gitrepro.checkpoints import reading
from gitrepro.checkpoints.checkpoint import Checkpoint
from gitrepro.checkpoints.record import from_events
from gitrepro.checkpoints.saving import Saver
from gitrepro.errors import UsageError
from gitrepro.store.objects import BlobStore

from .conftest import Told

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

LOSS = ("val/loss", "min")


def loaded(store: BlobStore, told: Told, saver: Saver) -> Checkpoint:
    saver.wait()
    return reading.from_store(store, told.last["blob"], map_location="cpu")


def net() -> Any:
    return nn.Sequential(nn.Linear(8, 300), nn.BatchNorm1d(300), nn.Linear(300, 900), nn.Linear(900, 2))


def bits(value: Any) -> bytes:
    return bytes(value.contiguous().reshape(-1).view(torch.uint8).numpy())


def equal_states(one: Any, other: Any) -> bool:
    """Equal in type, keys, order, and tensors in every bit."""
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and one.shape == other.shape and bits(one) == bits(other)
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
    if isinstance(one, dict):
        return list(one) == list(other) and all(equal_states(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(equal_states, one, other))
    return type(one) is type(other) and bool(one == other)


# -- what is saved


def test_a_training_state_comes_back_in_every_bit(store: BlobStore, told: Told, saver: Saver) -> None:
    model = net()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)
    model(torch.randn(4, 8)).sum().backward()
    optimizer.step()
    scheduler.step()
    states = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "scheduler": scheduler.state_dict()}
    saver.save(model=model, optimizer=optimizer, scheduler=scheduler, step=7)

    found = loaded(store, told, saver)

    assert all(equal_states(found.state[part], state) for part, state in states.items())
    assert found.state["model"]._metadata == model.state_dict()._metadata
    assert (found.step, found.provenance["run"]) == (7, "01run")
    assert told.last["holds"] == ["model", "optimizer", "scheduler", "rng"]


def test_generators_of_all_libraries_go_on_where_they_were(store: BlobStore, told: Told, saver: Saver) -> None:
    own, old, fresh = torch.Generator().manual_seed(5), np.random.RandomState(3), np.random.default_rng(4)
    plain = random.Random(9)
    objects = {"loader": own, "old": old, "new": fresh, "plain": plain}

    def draw() -> list[Any]:
        return [
            random.random(), np.random.rand(), torch.rand(1).item(), torch.rand(1, generator=own).item(),
            old.rand(), fresh.random(), plain.gauss(0, 1),
        ]  # fmt: skip

    np.random.standard_normal()  # leaves half a pair behind, which belongs to the state
    plain.gauss(0, 1)
    saver.save(model={"w": torch.zeros(1)}, extra=objects)
    expected = [draw() for _ in range(3)]
    loaded(store, told, saver).restore(extra=objects)

    assert [draw() for _ in range(3)] == expected


def test_saving_draws_from_no_generator(saver: Saver) -> None:
    before = torch.get_rng_state(), np.random.get_state()[1].tobytes(), random.getstate()
    saver.save(model=net().state_dict(), optimizer={"state": {}})
    saver.wait()

    # Making the net draws; saving it does not.
    state = torch.get_rng_state()
    saver.save(model={"w": torch.zeros(3)})
    saver.wait()

    assert torch.equal(torch.get_rng_state(), state)
    assert (np.random.get_state()[1].tobytes(), random.getstate()) == before[1:]


def test_what_training_does_after_the_call_is_not_in_the_checkpoint(store: BlobStore, told: Told, saver: Saver) -> None:
    weights, array = torch.ones(200_000), np.ones(50_000)
    saver.save(model={"w": weights, "a": array})
    weights.zero_()
    array[:] = 0

    state = loaded(store, told, saver).state["model"]

    assert state["w"].sum() == 200_000
    assert state["a"].sum() == 50_000


def test_tied_weights_are_stored_once_and_stay_tied(store: BlobStore, told: Told, saver: Saver) -> None:
    weight = torch.randn(1000, 100)
    saver.save(model={"in": weight, "out": weight, "part": weight[:10]}, rng=False)

    state = loaded(store, told, saver).state["model"]

    assert state["in"] is state["out"]
    assert torch.equal(state["part"], weight[:10])
    assert told.last["size_bytes"] < 1.1 * weight.nbytes


def test_a_temporary_that_takes_the_memory_of_another_is_not_taken_for_it(
    store: BlobStore, told: Told, saver: Saver
) -> None:
    class Fresh:
        def __init__(self, value: float) -> None:
            self.value = value

        def state_dict(self) -> dict[str, Any]:
            return {"w": torch.full((100_000,), self.value)}

    saver.save(model=[Fresh(float(value)) for value in range(8)])

    assert [state["w"][0].item() for state in loaded(store, told, saver).state["model"]] == list(range(8))


def test_views_strides_and_channels_last_keep_values_and_layout(store: BlobStore, told: Told, saver: Saver) -> None:
    image = torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)
    given = {
        "image": image, "turned": torch.randn(3, 4).T, "every": torch.arange(10)[::2],
        "wide": torch.randn(1).expand(5), "none": torch.empty(0, 3), "scalar": torch.tensor(1.5),
    }  # fmt: skip
    saver.save(model=given)

    state = loaded(store, told, saver).state["model"]

    assert all(equal_states(state[name], value) for name, value in given.items())
    assert state["image"].stride() == image.stride()
    assert state["turned"].stride() == (1, 4)


def test_several_models_and_optimizers_are_saved_and_restored_by_name(
    store: BlobStore, told: Told, saver: Saver
) -> None:
    models = {"generator": nn.Linear(2, 3), "critic": nn.Linear(3, 1)}
    optimizers = [torch.optim.SGD(each.parameters(), lr=0.1 * place) for place, each in enumerate(models.values(), 1)]
    before = {name: bits(each.weight.detach()) for name, each in models.items()}
    saver.save(model=models, optimizer=optimizers)
    found = loaded(store, told, saver)
    for each in models.values():
        nn.init.zeros_(each.weight)
    optimizers[1].param_groups[0]["lr"] = 9.0
    found.restore(model=models, optimizer=optimizers)

    assert {name: bits(each.weight.detach()) for name, each in models.items()} == before
    assert optimizers[1].param_groups[0]["lr"] == 0.2


def test_numbers_of_numpy_dtypes_shapes_and_devices_come_back_as_what_they_were(
    store: BlobStore, told: Told, saver: Saver
) -> None:
    given = {
        "f": np.float32(0.1), "i": np.int64(-3), "b": np.bool_(True), "nan": np.float16("nan"),
        "dtype": torch.bfloat16, "shape": torch.Size([2, 3]), "device": torch.device("cuda:1"),
    }  # fmt: skip
    saver.save(model={"w": torch.zeros(1)}, extra=given)

    found = loaded(store, told, saver).extra

    assert {name: (type(value), str(value)) for name, value in found.items()} == {
        name: (type(value), str(value)) for name, value in given.items()
    }


def test_a_model_of_numpy_arrays_is_saved_without_torch(store: BlobStore, told: Told, saver: Saver) -> None:
    saver.save(model={"weights": np.arange(6.0).reshape(2, 3), "order": np.asfortranarray(np.eye(3))}, rng=False)

    state = loaded(store, told, saver).state["model"]

    assert equal_states(state["weights"], np.arange(6.0).reshape(2, 3))
    assert state["weights"].flags.writeable
    assert (told.last["format"], told.last["weights"] is not None) == ("safetensors", True)


# -- formats


def test_the_file_is_read_by_the_library_of_its_format(
    store: BlobStore, told: Told, saver: Saver, tmp_path: Path
) -> None:
    safetensors_torch = pytest.importorskip("safetensors.torch")
    model = net()
    saver.save(model=model)
    saver.wait()
    (tmp_path / "model.safetensors").write_bytes(store.get(told.last["blob"]))

    found = safetensors_torch.load_file(tmp_path / "model.safetensors")

    assert all(equal_states(found[f"model/{name}"], value) for name, value in model.state_dict().items())


def odd_tensors() -> dict[str, Any]:
    return {
        "sparse": torch.eye(4).to_sparse(),
        "complex": torch.randn(3, dtype=torch.complex64),
        "quantized": torch.quantize_per_tensor(torch.randn(4), 0.1, 0, torch.qint8),
    }


@pytest.mark.parametrize("kind", ["sparse", "complex", "quantized"])
@pytest.mark.filterwarnings("ignore")
def test_tensors_that_the_format_has_not_go_into_a_file_of_torch(
    kind: str, store: BlobStore, told: Told, saver: Saver
) -> None:
    odd = odd_tensors()[kind]
    saver.save(model={"odd": odd, "plain": torch.ones(2), "array": np.ones(2)}, step=3)

    found = loaded(store, told, saver)

    assert (told.last["format"], found.step) == ("torch", 3)
    back, was = (
        value.dequantize() if value.is_quantized else value.to_dense() for value in (found.state["model"]["odd"], odd)
    )
    assert torch.equal(back, was)
    assert equal_states(found.state["model"]["array"], np.ones(2))


class Own:
    pass


class OwnTensor(torch.Tensor):
    pass


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (Own(), "extra/odd/0 is a .*Own"),
        (lambda: None, "extra/odd/0 is a builtins.function"),
        (np.array(["text"], dtype=object), "extra/odd/0 is a ndarray of object"),
        (OwnTensor([1.0]), "extra/odd/0 is a .*OwnTensor"),
        (torch.empty(3, device="meta"), "extra/odd/0 lies on the meta device"),
    ],
)
def test_what_cannot_be_loaded_safely_is_refused_by_name_and_nothing_is_saved(
    value: Any, name: str, store: BlobStore, told: Told, saver: Saver
) -> None:
    with pytest.raises(UsageError, match=name):
        saver.save(model={"w": torch.ones(1)}, extra={"odd": [value]})
    saver.wait()

    assert told.events == []
    assert list(store.names()) == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"model": None}, "a checkpoint of nothing"),
        ({"metric": "val/loss"}, "metric is 'val/loss'"),
        ({"metric": ("val/loss", "least")}, "metric is"),
        ({"step": 1.5}, "step 1.5"),
        ({"step": True}, "step True"),
        ({"value": "low"}, "value is 'low'"),
        ({"name": "../x"}, "cannot be called"),
        ({"name": "best"}, "cannot be called"),
        ({"extra": [1]}, "extra is a list"),
    ],
)
def test_a_wrong_argument_is_told_at_once(wrong: dict[str, Any], said: str, saver: Saver, told: Told) -> None:
    with pytest.raises(UsageError, match=said):
        saver.save(**{"model": {"w": torch.ones(1)}, "metric": LOSS, "value": 1.0, "step": 1, **wrong})
    saver.wait()

    assert told.of("checkpoint") == []


# -- the digest of the weights


def test_equal_weights_have_one_digest_whatever_else_is_in_the_checkpoint(saver: Saver, told: Told) -> None:
    model = net()
    saver.save(model=model, step=1)
    saver.save(model=model, optimizer=torch.optim.Adam(model.parameters()), step=2)
    saver.wait()
    with torch.no_grad():
        model[0].bias[0] = torch.nextafter(model[0].bias[0], torch.tensor(9.0))
    saver.save(model=model, step=3)
    saver.wait()

    one, two, three = (event["weights"] for event in told.of("checkpoint"))
    assert one == two != three


# -- who stays


def save_losses(saver: Saver, losses: list[float | None], **more: Any) -> None:
    for step, loss in enumerate(losses):
        saver.save(model={"w": torch.full((100_000,), float(step))}, step=step, metric=LOSS, value=loss, **more)
        saver.wait()


def test_the_best_and_the_last_stay_and_all_others_leave_the_store(store: BlobStore, told: Told, saver: Saver) -> None:
    save_losses(saver, [3.0, 1.0, 2.0, 1.0, float("nan"), 4.0])

    assert told.standing == [(1, ["best"]), (5, ["last"])]
    kept = {entry["blob"] for entry in from_events(told.events)}
    assert all(store.verify(blob) for blob in kept)
    assert all(event["blob"] not in store for event in told.of("checkpoint") if event["blob"] not in kept)
    assert not list((store.root / "trash").glob("*"))


def test_small_ones_leave_the_store_too(store: BlobStore, told: Told, saver: Saver) -> None:
    for step in range(5):
        saver.save(model={"w": torch.full((3,), float(step))}, step=step)
        saver.wait()

    assert list(store.names()) == [told.last["blob"]]


def test_what_is_shared_with_another_checkpoint_stays_when_one_of_them_leaves(
    store: BlobStore, told: Told, saver: Saver
) -> None:
    frozen = torch.randn(400_000)
    for step in range(5):
        head = torch.full((400_000,), float(step))
        saver.save(model={"frozen": frozen, "head": head}, step=step, rng=False)
        saver.wait()

    assert [step for step, _ in told.standing] == [4]
    assert store.verify(told.last["blob"]) > 3_000_000
    loose = [path.stat().st_size for path in store.root.glob("objects/??/*")]
    assert sum(loose) < 1.05 * told.last["size_bytes"]


def test_what_another_run_has_wanted_meanwhile_is_not_taken_away(store: BlobStore, told: Told, saver_of: Any) -> None:
    one, other, heard = saver_of(), None, Told()
    other = saver_of(tell=heard.tell)
    weights = torch.randn(400_000)
    one.save(model={"w": weights}, step=0)
    one.wait()
    other.save(model={"w": weights}, step=0)
    other.wait()
    one.save(model={"w": weights + 1}, step=1)
    one.wait()

    assert told.of("checkpoint_dropped")
    assert store.verify(heard.last["blob"])


def test_nothing_is_taken_away_before_what_replaces_it_is_on_disk(store: BlobStore, told: Told, saver_of: Any) -> None:
    order: list[str] = []

    def settle() -> bool:
        order.append(f"settle after {told.events[-1]['op']}, {told.events[-2]['blob'] in store}")
        return True

    saver = saver_of(settle=settle)
    for step in range(2):
        saver.save(model={"w": torch.full((100_000,), float(step))}, step=step)
        saver.wait()

    assert order == ["settle after checkpoint, True"]
    assert told.of("checkpoint")[0]["blob"] not in store


def test_where_the_journal_cannot_be_brought_to_disk_nothing_is_taken_away(
    store: BlobStore, told: Told, saver_of: Any
) -> None:
    saver = saver_of(settle=lambda: False)
    save_losses(saver, [1.0, 2.0, 3.0])

    assert len(told.of("checkpoint_dropped")) == 1
    assert all(event["blob"] in store for event in told.of("checkpoint"))


# -- beside the training


class Gate:
    """A store's door that opens when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from gitrepro.checkpoints import publish

        self.open, self.came, real = threading.Event(), threading.Semaphore(0), publish.publish

        def wait(*args: Any) -> Any:
            self.came.release()
            assert self.open.wait(30)
            return real(*args)

        monkeypatch.setattr(publish, "publish", wait)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    made = Gate(monkeypatch)
    yield made
    made.open.set()


def test_the_caller_goes_on_while_a_save_is_written_and_one_waits(gate: Gate, saver: Saver, told: Told) -> None:
    saver.save(model={"w": torch.ones(1)}, step=0)
    gate.came.acquire()
    saver.save(model={"w": torch.ones(1)}, step=1)

    assert told.of("checkpoint") == []
    gate.open.set()
    saver.wait()
    assert [event["step"] for event in told.of("checkpoint")] == [0, 1]
    assert "waited_seconds" not in told.last


def test_a_third_save_waits_until_the_second_is_begun_and_says_so(gate: Gate, saver: Saver, told: Told) -> None:
    for step in range(2):
        saver.save(model={"w": torch.ones(1)}, step=step)
    gate.came.acquire()
    third = threading.Thread(target=lambda: saver.save(model={"w": torch.ones(1)}, step=2))
    third.start()
    time.sleep(0.05)
    assert third.is_alive()
    gate.open.set()
    third.join(30)
    saver.wait()

    assert [event["step"] for event in told.of("checkpoint")] == [0, 1, 2]
    assert told.last["waited_seconds"] > 0.01


def test_closing_waits_for_what_is_under_way(gate: Gate, saver: Saver, told: Told) -> None:
    saver.save(model={"w": torch.ones(1)})
    threading.Timer(0.05, gate.open.set).start()

    assert saver.close(30)
    assert len(told.of("checkpoint")) == 1


def test_what_is_not_written_in_time_at_the_end_is_told_as_lost(gate: Gate, saver: Saver, told: Told) -> None:
    saver.save(model={"w": torch.ones(1)})

    assert not saver.close(0.01)
    assert "not written within" in told.of("lost")[0]["why"]
    gate.open.set()


def test_saves_from_many_threads_are_all_written(saver: Saver, told: Told) -> None:
    threads = [
        threading.Thread(target=lambda n=n: saver.save(model={"w": torch.ones(1)}, step=n, name=f"n{n}"))
        for n in range(12)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join(30)
    saver.wait()

    assert sorted(event["step"] for event in told.of("checkpoint")) == list(range(12))


def test_a_forked_child_saves_by_itself_and_the_parent_goes_on(gate: Gate, store: BlobStore, saver: Saver) -> None:
    saver.save(model={"w": np.ones(1)}, rng=False)
    gate.came.acquire()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            gate.open.set()
            saver.save(model={"w": np.zeros(1)}, rng=False)
            code = 0 if saver.wait(30) and len(list(store.names())) == 1 else 2
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    gate.open.set()
    saver.wait()

    assert os.waitstatus_to_exitcode(status) == 0
    assert len(set(store.names())) == 2


# -- the disk


def test_a_refusing_disk_is_warned_of_and_told_and_the_next_save_succeeds(
    store: BlobStore, saver: Saver, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gitrepro.store import fs

    def full(_fd: int, _data: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(fs, "write_all", full)
        saver.save(model={"w": torch.ones(400_000)}, step=1)
        saver.wait()
    assert list(store.names()) == []
    saver.save(model={"w": torch.ones(400_000)}, step=2)
    saver.wait()

    assert [event["what"] for event in told.of("lost")] == ["the checkpoint of step 1"]
    assert "No space left" in told.of("lost")[0]["why"]
    assert "step 1 is not saved" in told.warnings[0]
    assert told.standing == [(2, ["last"])]


# -- the metric


@pytest.mark.parametrize("name", ["train/loss", "test/accuracy", "train_loss", "Test Acc", "testLoss"])
def test_a_metric_of_the_training_or_test_data_warns_loudly_once(name: str, saver: Saver, told: Told) -> None:
    for step in range(2):
        saver.save(model={"w": torch.ones(1)}, step=step, metric=(name, "min"), value=1.0)
    saver.wait()

    assert len(told.warnings) == 1
    assert "Choose by a validation metric" in told.warnings[0]
    assert told.last["metric"]["part"] == ("train" if "train" in name else "test")


@pytest.mark.parametrize("name", ["val/loss", "eval_loss", "loss", "latest", "contest", "restraining"])
def test_other_metrics_do_not_warn(name: str, saver: Saver, told: Told) -> None:
    saver.save(model={"w": torch.ones(1)}, metric=(name, "min"), value=1.0)
    saver.wait()

    assert told.warnings == []


def test_without_a_value_it_is_kept_as_the_last_only_and_says_so(saver: Saver, told: Told) -> None:
    saver.save(model={"w": torch.ones(1)}, metric=LOSS)
    saver.wait()

    assert told.standing == [(0, ["last"])]
    assert "has no value yet" in told.warnings[0]


def test_a_goal_that_turns_round_is_refused(saver: Saver) -> None:
    saver.save(model={"w": torch.ones(1)}, metric=("val/loss", "min"), value=1.0)

    with pytest.raises(UsageError, match="was min and is max"):
        saver.save(model={"w": torch.ones(1)}, metric=("val/loss", "max"), value=1.0)


def test_a_provenance_that_cannot_be_had_costs_no_checkpoint(
    store: BlobStore, told: Told, saver_of: Callable[..., Saver]
) -> None:
    saver = saver_of(provenance=lambda: 1 / 0)
    saver.save(model={"w": torch.ones(1)})

    assert "ZeroDivisionError" in loaded(store, told, saver).provenance["missing"]
