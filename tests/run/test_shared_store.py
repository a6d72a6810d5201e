"""A run under way in one clone, and a collection by another clone that shares its store."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gitrepro
from gitrepro.checkpoints.saving import wait_for_all
from gitrepro.run import place
from gitrepro.run.intake.files import ProgramFiles, Wanted
from gitrepro.store import journal_reader, pins
from gitrepro.store.objects import BlobStore, digest_of
from gitrepro.store.place import store_of
from gitrepro.store.repository import Repository
from tests.conftest import Cli, Git
from tests.recorded_data import digits
from tests.recorded_runs import opened
from tests.store.stores import age_all, large


class Team:
    """Two clones that share a store; programs run in the first, the second collects."""

    def __init__(self, repo: Path, other: Path, store: BlobStore, cli: Cli) -> None:
        self.repo, self.other, self.store, self.cli = repo, other, store, cli

    @property
    def repository(self) -> Repository:
        return opened(self.repo)

    def collect(self) -> None:
        """`gitrepro gc` in the other clone, long after anybody wanted anything."""
        age_all(self.store)
        done = self.cli("gc", "--yes", cwd=self.other)
        assert done.returncode == 0, done.stderr

    def forget(self) -> None:
        """Let the first clone have pinned nothing."""
        for name in pins.clones(self.store.root):
            if name != pins.clone_id(opened(self.other)):
                pins.withdraw(self.store.root, name)


@pytest.fixture
def team(repo: Path, cli: Cli, git: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Team:
    git(tmp_path, "clone", "--quiet", str(repo), "other")
    for clone in (repo, tmp_path / "other"):
        done = cli("init", "--no-hooks", "--store", str(tmp_path / "team"), cwd=clone)
        assert done.returncode == 0, done.stderr
    monkeypatch.chdir(repo)
    return Team(repo, tmp_path / "other", BlobStore(tmp_path / "team"), cli)


def keep_things(run: gitrepro.Run) -> None:
    run.checkpoint(model={name: np.full(100_000, float(at)) for at, name in enumerate("abc")}, step=1, name="start")
    run.artifact(large(1), "figure.bin")
    wait_for_all()


def named(home: Path, run: gitrepro.Run) -> dict[str, str]:
    """The blobs that the journals of a run name, by the event that names them."""
    return {str(event["op"]): str(event["blob"]) for event in events(home, run) if event.get("blob")}


def events(home: Path, run: gitrepro.Run) -> list[Mapping[str, Any]]:
    journals = journal_reader.read(home / "live" / str(run.id))
    return [event for journal in journals for event in journal.events]


def test_what_a_live_run_names_stays_when_another_clone_collects(team: Team) -> None:
    digits(team.repo)
    with gitrepro.record(dataset="digits", split="default") as run:
        keep_things(run)
        run.fit_statistics("mean_std", np.random.RandomState(0).rand(100, 2))
        blobs = named(team.repository.home, run)
        assert {*blobs} == {"checkpoint", "artifact", "fitted"}
        team.collect()

        assert [digest for digest in blobs.values() if digest not in team.store] == []
        assert team.store.verify(blobs["checkpoint"])
        assert gitrepro.load_checkpoint(run).step == 1


def test_without_its_pins_a_live_run_would_lose_what_it_names(team: Team) -> None:
    """The control."""
    with gitrepro.record() as run:
        keep_things(run)
        blobs = named(team.repository.home, run)
        team.forget()
        team.collect()

        assert [digest for digest in blobs.values() if digest in team.store] == []


def test_what_a_program_printed_and_wrote_stays_when_its_run_has_ended(team: Team) -> None:
    program = "open('out.bin', 'wb').write(bytes(300_000)); print('x' * 300_000)"
    done = team.cli(
        "record", "--no-seed", "--out", "out.bin", "--", sys.executable, "-c", program, cwd=team.repo
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    written = digest_of([bytes(300_000)])
    team.collect()

    assert written in team.store
    found = team.cli("verify", cwd=team.repo)
    assert (found.returncode, found.stdout.count("\tok")) == (0, 4), found.stdout + found.stderr


def test_an_output_file_is_pinned_before_the_journal_names_it(team: Team) -> None:
    """Its run may be killed then, and be put on record long after."""
    where = place.find(team.repo, {})
    with gitrepro.record() as run:
        recording = run._recording
        assert recording is not None
        files = ProgramFiles(Wanted(outputs=("out.bin",), tensorboard=False), recording, where, here=team.repo)
        (team.repo / "out.bin").write_bytes(large(2))
        files.finish()
        assert named(team.repository.home, run) == {"artifact": digest_of([large(2)])}
        team.collect()
        assert digest_of([large(2)]) in team.store


def test_a_store_of_its_own_is_not_told_of_anything(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repo)
    with gitrepro.record() as run:
        keep_things(run)

    assert not (store_of(opened(repo)).root / "pins").exists()


def test_a_run_in_a_spool_pins_for_itself_until_it_is_on_record(
    team: Team, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = tmp_path / "spool"
    spool.mkdir()
    monkeypatch.setenv("GITREPRO_SPOOL", str(spool))
    with gitrepro.record() as run:
        keep_things(run)
        blobs = named(spool, run)
        assert {*blobs} == {"checkpoint", "artifact"}
        monkeypatch.delenv("GITREPRO_SPOOL")
        assert f"{run.id}-0" in pins.clones(team.store.root)
        assert pins.owner(team.store.root, f"{run.id}-0").git_dir == str(team.repository.common_dir)
        team.collect()
        assert [digest for digest in blobs.values() if digest not in team.store] == []

    done = team.cli("fold", "--from", str(spool), cwd=team.repo)
    assert done.returncode == 0, done.stderr
    assert f"{run.id}-0" not in pins.clones(team.store.root)
    team.collect()
    assert [digest for digest in blobs.values() if digest not in team.store] == []


def test_pins_of_a_run_in_a_spool_survive_a_line_that_was_cut(team: Team) -> None:
    names = [digest_of([bytes([number])]) for number in range(3)]
    root = team.store.root
    pins.append_apart(team.repository, root, "01run", 0, names[:2])
    path = pins.path_of(root, "01run-0")
    with open(path, "r+b") as file:
        file.truncate(76 + 30)
    pins.append_apart(team.repository, root, "01run", 0, names[2:])
    pins.append_apart(team.repository, root, "01runner", 0, names[2:])

    assert list(pins.read(root, "01run-0")) == [bytes.fromhex(names[at][3:]) for at in (0, 2)]
    pins.withdraw_apart(root, "01run")
    assert [name for name in pins.clones(root) if name.startswith("01run")] == ["01runner-0"]


def test_a_checkpoint_that_cannot_be_pinned_is_not_named(team: Team) -> None:
    with gitrepro.record() as run:
        file = pins.path_of(team.store.root, pins.clone_id(team.repository))
        file.unlink()
        file.mkdir()
        with pytest.warns(gitrepro.errors.GitreproWarning, match="not (saved|kept)"):
            run.checkpoint(model={"w": np.ones(3)}, step=1)
            run.artifact(b"bytes", "figure.bin")
            wait_for_all()
        told = events(team.repository.home, run)
        file.rmdir()

    lost = {event["what"] for event in told if event["op"] == "lost"}
    assert lost == {"artifact figure.bin", "the checkpoint of step 1"}
    assert [event for event in told if event.get("blob")] == []
