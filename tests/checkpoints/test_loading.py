"""Reading checkpoints: verified first, nothing run, and what does not fit said before anything is changed."""

from __future__ import annotations

import os
import pickle
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from gitrepro.checkpoints import reading
from gitrepro.checkpoints.loading import load_checkpoint
from gitrepro.checkpoints.saving import Saver
from gitrepro.errors import Damaged, GitreproError, NoRepository, NotAvailable, Unsafe, UsageError
from gitrepro.store.objects import BlobStore

from .conftest import Told

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402


def saved(saver: Saver, told: Told, **state: Any) -> str:
    saver.save(**state)
    saver.wait()
    return str(told.last["blob"])


def load(path: Path) -> Any:
    return reading.from_file(path, map_location="cpu")


# -- verified


def test_a_flipped_bit_anywhere_is_damage_and_the_wrong_bytes_are_set_aside(
    store: BlobStore, told: Told, saver: Saver
) -> None:
    digest = saved(saver, told, model={"w": torch.randn(400_000)})
    [piece] = [path for path in store.root.glob("objects/??/*") if path.stat().st_size > 1_000_000]
    data = bytearray(piece.read_bytes())
    data[-1] ^= 1
    piece.chmod(0o644)
    piece.write_bytes(data)

    with pytest.raises(Damaged):
        reading.from_store(store, digest, map_location="cpu")
    assert list((store.root / "quarantine").iterdir())


def test_a_file_on_record_with_other_bytes_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    torch.save({"w": torch.ones(2)}, path)
    found = load(path)
    torch.save({"w": torch.zeros(2)}, path)

    with pytest.raises(Damaged, match="other bytes than those on record"):
        reading.from_file(path, expected=found.digest, map_location="cpu")


def test_a_file_that_is_gone_is_not_available(tmp_path: Path) -> None:
    with pytest.raises(NotAvailable):
        load(tmp_path / "gone.pt")


def test_a_folder_says_what_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").touch()

    with pytest.raises(UsageError, match=r"model\.safetensors"):
        load(tmp_path)


def test_without_a_repository_a_file_can_be_read_and_a_run_cannot(tmp_path: Path) -> None:
    torch.save({"w": torch.ones(2)}, tmp_path / "m.pt")

    assert load_checkpoint(None, str(tmp_path / "m.pt")).state["model"]["w"].sum() == 2
    with pytest.raises(NoRepository):
        load_checkpoint(None, "brisk-otter:best")


# -- nothing is run


class Hostile:
    """Creates a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.target}",)


def hostile_files(folder: Path) -> dict[str, Path]:
    bomb = Hostile(folder / "executed")
    torch.save({"model": bomb}, folder / "new.pt")
    torch.save({"model": bomb}, folder / "old.pt", _use_new_zipfile_serialization=False)
    (folder / "bare.pkl").write_bytes(pickle.dumps(bomb))
    (folder / "named.safetensors").write_bytes(pickle.dumps(bomb, protocol=2))
    return {path.name: path for path in sorted(folder.iterdir())}


@pytest.mark.parametrize("name", ["new.pt", "old.pt", "bare.pkl", "named.safetensors"])
@pytest.mark.parametrize("forced", [False, True])
def test_a_pickle_that_wants_to_run_code_is_refused_and_runs_nothing(
    name: str, forced: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if forced:
        monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")

    with pytest.raises(Unsafe, match="nothing of it was run") as refused:
        load(hostile_files(tmp_path)[name])
    assert not (tmp_path / "executed").exists()
    assert "weights_only" not in str(refused.value), "how to load it all the same is not for us to say"


def test_the_hostile_file_does_run_code_where_it_is_unpickled(tmp_path: Path) -> None:
    torch.load(hostile_files(tmp_path)["new.pt"], weights_only=False)

    assert (tmp_path / "executed").exists()


def test_an_archive_of_a_program_is_not_run(tmp_path: Path) -> None:
    torch.jit.script(nn.Linear(2, 2)).save(str(tmp_path / "script.pt"))

    with pytest.raises(Unsafe):
        load(tmp_path / "script.pt")


def test_a_compressed_archive_is_not_unfolded(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(50_000_000))

    with pytest.raises(Unsafe, match="compressed"):
        load(tmp_path / "bomb.pt")


@pytest.mark.parametrize("keep", [0, 1, 4, 9, 100, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("kind", ["pt", "old", "safetensors"])
def test_a_file_that_is_cut_short_is_an_error_of_ours(
    kind: str, keep: float, tmp_path: Path, store: BlobStore, told: Told, saver: Saver
) -> None:
    path = tmp_path / "file"
    if kind == "safetensors":
        path.write_bytes(store.get(saved(saver, told, model=nn.Linear(30, 30))))
    else:
        torch.save(nn.Linear(30, 30).state_dict(), path, _use_new_zipfile_serialization=kind == "pt")
    data = path.read_bytes()
    path.write_bytes(data[: int(keep if keep >= 1 or not keep else keep * len(data))])

    with pytest.raises(GitreproError):
        load(path)


def test_a_file_of_something_else_is_said_to_be_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("print('hello, this is no checkpoint')\n")

    with pytest.raises(UsageError, match="is no checkpoint"):
        load(tmp_path / "train.py")


# -- files of other programs


def test_a_bare_state_dict_is_a_model(tmp_path: Path) -> None:
    model = nn.Linear(3, 2)
    torch.save(model.state_dict(), tmp_path / "m.pt")
    other = nn.Linear(3, 2)
    load(tmp_path / "m.pt").restore(model=other)

    assert torch.equal(other.weight, model.weight)


def test_usual_names_of_parts_are_known(tmp_path: Path) -> None:
    model = nn.Linear(3, 2)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.5)
    state = {"epoch": 4, "global_step": 40, "model_state_dict": model.state_dict()}
    torch.save({**state, "optimizer_state_dict": optimizer.state_dict()}, tmp_path / "m.ckpt")

    found = load(tmp_path / "m.ckpt")

    assert (sorted(found.state), found.step, found.extra) == (
        ["extra", "model", "optimizer"],
        40,
        {"epoch": 4, "global_step": 40},
    )
    found.restore(model=nn.Linear(3, 2), optimizer=torch.optim.Adam(nn.Linear(3, 2).parameters()))


def test_plain_safetensors_are_a_model(tmp_path: Path) -> None:
    safetensors_torch = pytest.importorskip("safetensors.torch")
    model = nn.Linear(3, 2)
    safetensors_torch.save_file(model.state_dict(), tmp_path / "m.safetensors")
    other = nn.Linear(3, 2)
    load(tmp_path / "m.safetensors").restore(model=other)

    assert torch.equal(other.weight, model.weight)


# -- putting it back


@pytest.fixture
def checkpoint(store: BlobStore, told: Told, saver: Saver) -> Any:
    model = nn.Sequential(*[nn.Linear(4, 4) for _ in range(8)])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    digest = saved(saver, told, model=model, optimizer=optimizer)
    return reading.from_store(store, digest, map_location="cpu")


def test_another_architecture_is_told_key_by_key_and_nothing_is_changed(checkpoint: Any) -> None:
    other = nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 4), nn.Identity(), *[nn.BatchNorm1d(4) for _ in range(4)])
    before = {name: value.clone() for name, value in other.state_dict().items()}

    with pytest.raises(UsageError, match="another architecture") as refused:
        checkpoint.restore(model=other)

    said = refused.value.why
    assert "missing (12): 3.running_mean" in said
    assert "unexpected (4): 2.weight, 2.bias, 7.weight" in said
    assert "of another shape (7): 0.weight: (4, 4) in the checkpoint, (5, 4) in the model" in said
    assert "and 2 more" in said
    assert all(torch.equal(before[name], value) for name, value in other.state_dict().items())


def test_an_optimizer_of_other_groups_is_refused_before_the_model_is_changed(checkpoint: Any) -> None:
    model = nn.Sequential(*[nn.Linear(4, 4) for _ in range(8)])
    before = model[0].weight.clone()

    with pytest.raises(UsageError, match="other sizes"):
        checkpoint.restore(model=model, optimizer=torch.optim.SGD(list(model.parameters())[:-1], lr=0.1))
    assert torch.equal(model[0].weight, before)


def test_an_optimizer_or_a_scheduler_of_another_class_is_refused_before_anything_is_changed(
    store: BlobStore, told: Told, saver: Saver
) -> None:
    model = nn.Linear(4, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    steps = torch.optim.lr_scheduler.StepLR(optimizer, 2)
    digest = saved(saver, told, model=model, optimizer=optimizer, scheduler=steps)
    found = reading.from_store(store, digest, map_location="cpu")

    other = nn.Linear(4, 4)
    before = other.weight.clone()
    adam = torch.optim.Adam(other.parameters())
    with pytest.raises(UsageError, match="another class") as refused:
        found.restore(model=other, optimizer=adam)
    assert "momentum" in refused.value.why
    with pytest.raises(UsageError, match="another class"):
        found.restore(model=other, scheduler=torch.optim.lr_scheduler.CosineAnnealingLR(adam, 10))
    assert torch.equal(other.weight, before)

    fresh = torch.optim.SGD(other.parameters(), lr=0.5)
    found.restore(model=other, optimizer=fresh, scheduler=torch.optim.lr_scheduler.StepLR(fresh, 3))
    assert fresh.param_groups[0]["momentum"] == 0.9


def test_what_the_checkpoint_does_not_hold_is_named(checkpoint: Any) -> None:
    model = nn.Linear(1, 1)
    scheduler = torch.optim.lr_scheduler.ConstantLR(torch.optim.SGD(model.parameters(), lr=0.1))

    with pytest.raises(UsageError, match="has no scheduler; it holds model, optimizer, rng"):
        checkpoint.restore(scheduler=scheduler)


def test_not_strict_leaves_out_what_only_one_side_has(checkpoint: Any) -> None:
    small = nn.Sequential(*[nn.Linear(4, 4) for _ in range(2)], nn.Identity(), nn.Linear(4, 4), nn.BatchNorm1d(4))
    small = nn.Sequential(small[0], small[1], nn.Identity(), small[3])
    checkpoint.restore(model=small, strict=False, rng=False)

    assert torch.equal(small[3].weight, checkpoint.state["model"]["3.weight"])


@pytest.mark.parametrize("wrapped", ["saved", "restored"])
def test_a_model_saved_wrapped_is_restored_bare_and_the_other_way_round(
    wrapped: str, store: BlobStore, told: Told, saver: Saver
) -> None:
    bare, other = nn.Linear(2, 2), nn.Linear(2, 2)
    digest = saved(saver, told, model=nn.DataParallel(bare) if wrapped == "saved" else bare)
    target = nn.DataParallel(other) if wrapped == "restored" else other
    reading.from_store(store, digest, map_location="cpu").restore(model=target)

    assert torch.equal(other.weight, bare.weight)


def test_a_second_restore_finds_what_was_saved_and_not_what_training_made_of_the_first(
    store: BlobStore, told: Told, saver: Saver
) -> None:
    model = nn.Linear(3, 1)
    optimizer = torch.optim.Adam(model.parameters())

    def train() -> None:
        model(torch.ones(2, 3)).sum().backward()
        optimizer.step()

    train()
    first = optimizer.state_dict()["state"][0]["exp_avg"].clone()
    found = reading.from_store(store, saved(saver, told, model=model, optimizer=optimizer), map_location="cpu")
    found.restore(model=model, optimizer=optimizer)
    train()
    found.restore(model=model, optimizer=optimizer)

    assert torch.equal(optimizer.state_dict()["state"][0]["exp_avg"], first)


def test_models_saved_by_name_are_not_mistaken_for_others(store: BlobStore, told: Told, saver: Saver) -> None:
    digest = saved(saver, told, model={"a": nn.Linear(1, 1), "b": nn.Linear(1, 1)})

    with pytest.raises(UsageError, match="model was saved as 'a', 'b'"):
        reading.from_store(store, digest, map_location="cpu").restore(model={"a": nn.Linear(1, 1)})


def test_an_object_that_takes_no_state_is_named(store: BlobStore, told: Told, saver: Saver) -> None:
    digest = saved(saver, told, model=nn.Linear(1, 1), extra={"epoch": 3})

    with pytest.raises(UsageError, match=r"extra\['epoch'\] is a int"):
        reading.from_store(store, digest, map_location="cpu").restore(extra={"epoch": 3})


def test_the_model_goes_to_the_device_asked_for_and_the_generators_stay(
    store: BlobStore, told: Told, saver: Saver
) -> None:
    digest = saved(saver, told, model=nn.Linear(1, 1), extra={"g": torch.Generator()})

    found = reading.from_store(store, digest, map_location="meta")

    assert found.state["model"]["weight"].device.type == "meta"
    assert found.extra["g"].device.type == found.state["rng"]["torch"].device.type == "cpu"


def test_reading_takes_little_more_memory_than_the_file(
    tmp_path: Path, store: BlobStore, told: Told, saver: Saver
) -> None:
    import subprocess

    digest = saved(saver, told, model={"w": torch.randn(25_000_000)}, rng=False)
    code = (
        "import resource, sys, torch; from pathlib import Path\n"
        "from gitrepro.store.objects import BlobStore; from gitrepro.checkpoints import reading\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "torch.ones(1).sum(); before = peak()\n"
        f"reading.from_store(BlobStore(Path({str(store.root)!r})), {digest!r}, map_location='cpu')\n"
        "print(peak() - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert int(done.stdout) < 1.3 * 100_000
