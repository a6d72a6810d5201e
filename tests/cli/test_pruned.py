"""What `gitrepro checkpoint prune` leaves behind: `verify` and `gc` know that the bytes are gone on purpose."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gitrepro
from gitrepro.checkpoints import places, pruning
from gitrepro.checkpoints.saving import wait_for_all
from gitrepro.store import pruned, reach
from gitrepro.store.fsck import NOT_AVAILABLE, OK, verify_run
from gitrepro.store.gc import survey, sweep
from gitrepro.store.objects import BlobStore, digest_of
from gitrepro.store.place import store_of
from gitrepro.store.repository import Repository
from tests.conftest import Cli
from tests.recorded_runs import opened
from tests.store.stores import DAY, age_all

AT = "2026-01-02T03:04:05.678901Z"
ADA = {"email": "ada@example.org", "name": "Ada Lovelace"}


@pytest.fixture
def here(repo: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(repo)
    return repo


@pytest.fixture
def store(here: Path) -> BlobStore:
    return store_of(opened(here))


def train(name: str, head: float, layers: int = 3) -> str:
    """A run whose model has layers that every run of this seed shares, and a head of its own. Its id."""
    draw = np.random.RandomState(0)
    model = {f"layer-{number}": draw.rand(100_000) for number in range(layers)}
    with gitrepro.record(name=name) as run:
        run.checkpoint(model={**model, "head": np.full(50_000, head)}, step=1, rng=False)
    return str(run.id)


def checkpoint_of(repository: Repository, run_id: str) -> places.Found:
    [entry] = places.entries_of(repository, run_id)
    return places.Found(entry=entry, run=run_id)


def pieces_of(store: BlobStore, digest: str) -> set[str]:
    recipe = reach.load(store.recipe_path(bytes.fromhex(digest[3:])))
    return {segment.digest for segment in recipe.segments if segment.size_bytes >= 256 << 10}


def prune(repository: Repository, store: BlobStore, run_id: str) -> bool:
    [one] = pruning.prunable(store, [checkpoint_of(repository, run_id)], keep=[])
    return pruning.prune(repository, store, one, at=AT, actor=ADA)


def states(repository: Repository, store: BlobStore, run_id: str) -> dict[str, tuple[str, str]]:
    """What `verify` says of the checkpoints of a run."""
    proofs = verify_run(repository, store, run_id)
    return {proof.what: (proof.state, proof.why) for proof in proofs if proof.what.startswith("checkpoint")}


def collect(repository: Repository, store: BlobStore, *, days_later: float = 0.0) -> Any:
    """As `gitrepro gc --yes` does it, some days from now. The plan."""
    began = time.time() + days_later * DAY
    plan = survey(repository, store, began=began)
    sweep(store, plan, began=began)
    return plan


def test_of_two_runs_that_share_layers_one_is_pruned_and_collected_and_the_other_is_whole(
    store: BlobStore, here: Path, cli: Cli
) -> None:
    one, two = train("one", 1.0), train("two", 2.0)
    first, second = (checkpoint_of(opened(here), run_id).digest for run_id in (one, two))
    mine, others = pieces_of(store, first), pieces_of(store, second)
    assert len(mine & others) == 3 and len(mine - others) == 1
    assert str(checkpoint_of(opened(here), one).entry["weights"]) not in store, "a digest on record that is no blob"

    assert cli("checkpoint", "prune", "one", "--keep", "none", "--yes", cwd=here).returncode == 0
    age_all(store)
    collected = cli("gc", "--yes", "--json", cwd=here)
    told, whole = cli("verify", "one", cwd=here), cli("verify", "two", cwd=here)

    assert collected.returncode == 0, collected.stderr
    assert {digest for digest in mine | others if digest in store} == others
    assert json.loads(collected.stdout)["done"]["put_back"] == 0
    assert (whole.returncode, "NOT AVAILABLE" in whole.stdout) == (0, False), whole.stderr
    assert gitrepro.load_checkpoint("two").state["model"]["head"][0] == 2.0
    assert told.returncode == 1
    assert "checkpoint step-1 (last)\t\tNOT AVAILABLE" in told.stdout
    assert "checkpoint step-1 (last): pruned at 20" in told.stderr and "by Ada Lovelace" in told.stderr
    assert first not in store


def test_what_was_pruned_stays_so_whoever_looks_and_leaves_the_trash_after_a_day(store: BlobStore, here: Path) -> None:
    repository = opened(here)
    run_id = train("one", 1.0)
    digest = checkpoint_of(repository, run_id).digest
    assert prune(repository, store, run_id)

    said = {"checkpoint step-1 (last)": (NOT_AVAILABLE, f"pruned at {AT} by Ada Lovelace")}
    assert states(repository, store, run_id) == said
    assert collect(repository, store).wanted == ()
    assert states(repository, store, run_id) == said
    assert [each.home for each in collect(repository, store, days_later=2).expired] == [
        store.recipe_path(bytes.fromhex(digest[3:]))
    ]
    assert digest not in store


@pytest.mark.parametrize("look", ["verify", "gc"])
def test_what_nobody_let_go_of_comes_back_from_the_trash(store: BlobStore, here: Path, look: str) -> None:
    """The control: the same file in the trash, and no note of it."""
    repository = opened(here)
    run_id = train("one", 1.0)
    digest = checkpoint_of(repository, run_id).digest
    assert prune(repository, store, run_id)
    pruned.path_of(store, digest).unlink()

    if look == "gc":
        collect(repository, store)
        assert digest in store
    assert states(repository, store, run_id) == {"checkpoint step-1 (last)": (OK, "")}


def test_a_small_checkpoint_in_a_file_of_its_own_is_pruned_likewise(store: BlobStore, here: Path) -> None:
    repository = opened(here)
    run_id = train("small", 1.0, layers=0)
    digest = checkpoint_of(repository, run_id).digest
    assert store.path(digest).is_file() and prune(repository, store, run_id)

    age_all(store)
    collect(repository, store)
    assert states(repository, store, run_id)["checkpoint step-1 (last)"][1].startswith("pruned at")
    assert digest not in store


def save_copy(path: Path) -> str:
    with gitrepro.record() as run:
        run.checkpoint(path=path, copy=True, step=1)
    return str(run.id)


def test_bytes_that_are_saved_again_are_pruned_no_more(store: BlobStore, here: Path, tmp_path: Path) -> None:
    repository = opened(here)
    path = tmp_path / "pretrained.bin"
    path.write_bytes(os.urandom(300_000))
    first = save_copy(path)
    digest = checkpoint_of(repository, first).digest
    assert prune(repository, store, first) and pruned.told(store, digest)

    second = save_copy(path)

    assert not pruned.path_of(store, digest).exists()
    for run_id in (first, second):
        assert set(states(repository, store, run_id).values()) == {(OK, "")}
    assert collect(repository, store, days_later=2).wanted == ()
    store.path(digest).unlink()
    [(state, why)] = states(repository, store, first).values()
    assert state == NOT_AVAILABLE and "pruned" not in why, "now it is lost, and nobody wanted that"


def test_bytes_that_a_run_under_way_has_copied_too_stay(store: BlobStore, here: Path, tmp_path: Path) -> None:
    repository = opened(here)
    path = tmp_path / "pretrained.bin"
    path.write_bytes(os.urandom(300_000))
    first = save_copy(path)
    with gitrepro.record() as run:
        run.checkpoint(path=path, copy=True, step=1)
        wait_for_all()
        assert not prune(repository, store, first)
        assert set(states(repository, store, first).values()) == {(OK, "")}


def test_a_note_of_what_is_here_is_not_heard(store: BlobStore, here: Path) -> None:
    """Whoever puts the bytes again knows nothing of notes; a prune may be killed before the bytes go."""
    data = os.urandom(1000)
    pruned.note(store, digest_of([data]), {"actor": ADA, "at": AT, "format": 1})
    assert pruned.told(store, digest_of([data])) is not None
    store.put(data)
    assert pruned.told(store, digest_of([data])) is None


def test_a_collection_gives_back_what_it_took_itself_whatever_an_old_note_says(store: BlobStore, here: Path) -> None:
    repository = opened(here)
    run_id = train("one", 1.0)
    path = store.recipe_path(bytes.fromhex(checkpoint_of(repository, run_id).digest[3:]))
    pruned.note(store, checkpoint_of(repository, run_id).digest, {"actor": ADA, "at": AT, "format": 1})
    taken = store.root / "trash" / time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()) / "recipes"
    taken.mkdir(parents=True)
    path.rename(taken / f"{path.parent.name}.{path.name}.00112233")

    assert [each.home for each in collect(repository, store).wanted] == [path]
    assert path.exists()


def test_what_somebody_has_wanted_just_now_is_not_pruned_and_no_note_stays(store: BlobStore, here: Path) -> None:
    repository = opened(here)
    run_id = train("one", 1.0)
    found = checkpoint_of(repository, run_id)
    [one] = pruning.prunable(store, [found], keep=[])
    for path, _ in one.files:
        os.utime(path)

    assert not pruning.prune(repository, store, one, at=AT, actor=ADA)
    assert found.digest in store
    assert not pruned.path_of(store, found.digest).exists()


@pytest.mark.parametrize("text", [b"", b"format: 1\n", b"actor: 3\nat: null\n", b"\xff\x00", b"a: &x\n"])
def test_a_note_that_says_little_or_nothing_harms_nobody(store: BlobStore, here: Path, text: bytes) -> None:
    repository = opened(here)
    run_id = train("one", 1.0)
    assert prune(repository, store, run_id)
    pruned.path_of(store, checkpoint_of(repository, run_id).digest).write_bytes(text)

    [(state, _)] = states(repository, store, run_id).values()
    assert state in (OK, NOT_AVAILABLE)
