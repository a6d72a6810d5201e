"""`gitrepro checkpoint`: lists what runs have saved, writes one to a file, lets go of bytes and keeps the records."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import gitrepro
from gitrepro.store import repository as repositories
from gitrepro.store.objects import digest_of
from gitrepro.store.place import store_of

if TYPE_CHECKING:
    from ..conftest import Cli

LOSSES = (0.5, 0.2, 0.4)


@pytest.fixture
def run_id(repo: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A run with three checkpoints: step 0 by its name, step 1 the best, step 2 the last."""
    monkeypatch.chdir(repo)
    with gitrepro.record(name="brisk-otter") as run:
        for step, loss in enumerate(LOSSES):
            run.log({"val/loss": loss}, step=step)
            weights = {"w": np.full(100_000, loss)}
            run.checkpoint(model=weights, metric=("val/loss", "min"), name=None if step else "start")
    return str(run.id)


def listed(cli: Cli, repo: Path, *args: str) -> list[dict[str, Any]]:
    done = cli("checkpoint", "ls", *args, "--json", cwd=repo)
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def store_at(repo: Path) -> Any:
    return store_of(repositories.find(repo, {}))


# -- ls


def test_the_checkpoints_of_a_run_are_listed_newest_first(run_id: str, repo: Path, cli: Cli) -> None:
    found = listed(cli, repo, "brisk-otter")

    assert [(each["name"], each["step"], each["roles"], each["state"]) for each in found] == [
        ("step-2", 2, ["last"], "here"),
        ("step-1", 1, ["best"], "here"),
        ("start", 0, ["kept"], "here"),
    ]
    assert {each["run"] for each in found} == {run_id}
    assert found[1]["metric"] == {"name": "val/loss", "goal": "min", "value": 0.2, "part": "val"}
    assert all(each["size_bytes"] == store_at(repo).size(each["blob"]) for each in found)


def test_without_a_run_those_of_all_runs_are_listed(run_id: str, repo: Path, cli: Cli) -> None:
    with gitrepro.record(name="other") as run:
        run.checkpoint(model={"w": np.ones(3)})

    assert [each["run"] for each in listed(cli, repo)] == [run.id, run_id, run_id, run_id]
    assert len(listed(cli, repo, "--limit", "2")) == 2


def test_a_pipe_gets_tabs_and_a_header(run_id: str, repo: Path, cli: Cli) -> None:
    lines = cli("checkpoint", "ls", cwd=repo).stdout.splitlines()

    assert lines[0].split("\t")[:4] == ["run", "checkpoint", "step", "roles"]
    assert lines[2].split("\t")[:6] == [run_id[-8:], "step-1", "1", "best", "val/loss", "0.2"]


def test_a_run_under_way_lists_what_it_has_saved_so_far(repo: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repo)
    with gitrepro.record() as run:
        run.checkpoint(model={"w": np.ones(3)}, step=7)
        gitrepro.load_checkpoint(run)

        assert [each["step"] for each in listed(cli, repo, run.id)] == [7]


def test_where_there_are_none_it_says_how_to_save_one(repo: Path, cli: Cli) -> None:
    done = cli("checkpoint", "ls", cwd=repo)

    assert (done.returncode, len(done.stdout.splitlines())) == (0, 1)
    assert "run.checkpoint(" in done.stderr


# -- get


def test_the_file_that_is_written_has_the_hash_on_record(run_id: str, repo: Path, cli: Cli, tmp_path: Path) -> None:
    done = cli("checkpoint", "get", "brisk-otter:best", str(tmp_path / "best.safetensors"), "--json", cwd=repo)
    said = json.loads(done.stdout)

    assert digest_of([(tmp_path / "best.safetensors").read_bytes()]) == said["blob"] == listed(cli, repo)[1]["blob"]
    loaded = gitrepro.load_checkpoint(tmp_path / "best.safetensors")
    assert (loaded.step, float(loaded.state["model"]["w"][0])) == (1, 0.2)


@pytest.mark.parametrize(
    ("ref", "step"),
    [("brisk-otter", 1), ("@last:last", 2), ("@last:step-1", 1), ("brisk-otter:start", 0), ("@last:best:val/loss", 1)],
)
def test_a_reference_means_one_of_them(ref: str, step: int, run_id: str, repo: Path, cli: Cli) -> None:
    done = cli("checkpoint", "get", ref, "--json", cwd=repo)

    assert json.loads(done.stdout)["step"] == step
    assert Path(json.loads(done.stdout)["path"]).parent == repo


def test_a_blob_is_fetched_by_its_name(run_id: str, repo: Path, cli: Cli) -> None:
    blob = listed(cli, repo)[0]["blob"]
    done = cli("checkpoint", "get", blob, "some.safetensors", cwd=repo)

    assert done.returncode == 0, done.stderr
    assert digest_of([(repo / "some.safetensors").read_bytes()]) == blob


def test_another_file_is_not_overwritten_without_force(run_id: str, repo: Path, cli: Cli) -> None:
    (repo / "mine").write_text("my notes")
    refused = cli("checkpoint", "get", "brisk-otter", "mine", cwd=repo)

    assert refused.returncode == 2
    assert "--force" in refused.stderr
    assert (repo / "mine").read_text() == "my notes"
    assert cli("checkpoint", "get", "brisk-otter", "mine", "--force", cwd=repo).returncode == 0
    again = cli("checkpoint", "get", "brisk-otter", "mine", "--json", cwd=repo)
    assert json.loads(again.stdout)["written"] is False


def test_damaged_bytes_are_not_written(run_id: str, repo: Path, cli: Cli) -> None:
    [blob] = [each["blob"] for each in listed(cli, repo) if each["roles"] == ["best"]]
    path = store_at(repo).path(blob)
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)

    done = cli("checkpoint", "get", "brisk-otter:best", "x.safetensors", cwd=repo)

    assert done.returncode == 4
    assert sorted(each.name for each in repo.iterdir()) == [".git", "train.py"]


@pytest.mark.parametrize("ref", ["nobody", "brisk-otter:step-9", "brisk-otter:best:val/accuracy", f"b3:{'0' * 64}"])
def test_what_means_nothing_is_not_found(ref: str, run_id: str, repo: Path, cli: Cli) -> None:
    done = cli("checkpoint", "get", ref, cwd=repo)

    assert done.returncode == 3
    assert [line.split()[0] for line in done.stderr.splitlines()][:1] == ["error:"]


def test_two_bests_by_two_metrics_are_ambiguous(repo: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repo)
    with gitrepro.record() as run:
        for step in range(2):
            run.checkpoint(model={"w": np.ones(3)}, metric=("val/loss", "min"), value=step, step=2 * step)
            run.checkpoint(model={"w": np.ones(3)}, metric=("val/f1", "max"), value=-step, step=2 * step + 1)

    done = cli("checkpoint", "get", f"{run.id}:best", cwd=repo)

    assert done.returncode == 3
    assert "best:val/f1, best:val/loss" in done.stderr


def test_a_file_that_lies_where_it_was_written_is_copied_and_checked(
    repo: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(repo)
    path = tmp_path / "epoch=3.ckpt"
    path.write_bytes(b"of a framework")
    with gitrepro.record(name="framed") as run:
        run.checkpoint(path=path, step=3)
    assert run.id

    assert cli("checkpoint", "get", "framed", "a.ckpt", cwd=repo).returncode == 0
    assert (repo / "a.ckpt").read_bytes() == b"of a framework"
    path.write_bytes(b"of something other")
    assert cli("checkpoint", "get", "framed", "b.ckpt", cwd=repo).returncode == 4
    path.unlink()
    assert cli("checkpoint", "get", "framed", "b.ckpt", cwd=repo).returncode == 3
    assert not (repo / "b.ckpt").exists()
    assert listed(cli, repo)[0]["state"] == "elsewhere"


def test_a_folder_that_was_copied_is_laid_out_again(
    repo: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(repo)
    folder = tmp_path / "checkpoint-500"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    with gitrepro.record(name="framed") as run:
        run.checkpoint(path=folder, copy=True, step=500)
    assert run.id

    done = cli("checkpoint", "get", "framed", str(tmp_path / "again"), cwd=repo)

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "again" / "config.json").read_text() == "{}"


# -- prune


def prune(cli: Cli, repo: Path, *args: str) -> subprocess.CompletedProcess[str]:
    return cli("checkpoint", "prune", *args, cwd=repo)


def states(cli: Cli, repo: Path) -> dict[str, str]:
    return {each["name"]: each["state"] for each in listed(cli, repo)}


def test_a_dry_run_shows_what_would_go_and_nothing_goes(run_id: str, repo: Path, cli: Cli) -> None:
    done = prune(cli, repo, "--dry-run")

    assert done.stdout.split("\t")[:2] == [run_id[-8:], "start"]
    assert "would prune 1 checkpoint of 79" in done.stderr
    assert set(states(cli, repo).values()) == {"here"}


def test_what_has_none_of_the_roles_goes_and_its_record_stays(run_id: str, repo: Path, cli: Cli) -> None:
    done = prune(cli, repo, "brisk-otter", "--keep", "best", "--yes", "--json")

    assert [(each["name"], each["pruned"]) for each in json.loads(done.stdout)["checkpoints"]] == [
        ("step-2", True),
        ("start", True),
    ]
    assert states(cli, repo) == {"step-2": "pruned", "step-1": "here", "start": "pruned"}
    with pytest.raises(gitrepro.errors.NotAvailable, match="Ada Lovelace"):
        gitrepro.load_checkpoint("brisk-otter:last")
    got = cli("checkpoint", "get", "brisk-otter:last", cwd=repo)
    assert (got.returncode, "pruned here" in got.stderr) == (3, True)
    assert gitrepro.load_checkpoint("brisk-otter:best").step == 1


def test_pruning_twice_finds_nothing_more(run_id: str, repo: Path, cli: Cli) -> None:
    prune(cli, repo, "--keep", "none", "--yes")
    again = prune(cli, repo, "--keep", "none", "--yes")

    assert (again.returncode, again.stdout) == (0, "")
    assert "nothing to prune" in again.stderr


def test_nobody_to_ask_means_no(run_id: str, repo: Path, cli: Cli) -> None:
    done = prune(cli, repo)

    assert done.returncode == 2
    assert "--yes" in done.stderr
    assert set(states(cli, repo).values()) == {"here"}


def test_a_query_chooses_the_runs(run_id: str, repo: Path, cli: Cli) -> None:
    assert "nothing to prune" in prune(cli, repo, "val/loss > 1", "--keep", "none", "--yes").stderr
    assert "3 checkpoints" in prune(cli, repo, "val/loss < 1", "--keep", "none", "--dry-run").stderr


def test_a_role_that_there_is_not_is_refused(run_id: str, repo: Path, cli: Cli) -> None:
    assert prune(cli, repo, "--keep", "bets", "--yes").returncode == 2


def test_a_run_under_way_is_left_alone(repo: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repo)
    with gitrepro.record() as run:
        run.checkpoint(model={"w": np.ones(100_000)})
        gitrepro.load_checkpoint(run)
        done = prune(cli, repo, run.id, "--keep", "none", "--yes")

    assert "under way" in done.stderr
    assert states(cli, repo) == {"step-0": "here"}


def test_bytes_that_another_run_names_too_stay(
    repo: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(repo)
    path = tmp_path / "pretrained.bin"
    path.write_bytes(bytes(2_000_000))
    for name in ("one", "two"):
        with gitrepro.record(name=name) as run:
            run.checkpoint(path=path, copy=True, name="pretrained")
        assert run.id

    done = prune(cli, repo, "one", "--keep", "none", "--yes")

    assert "another run names the same bytes" in done.stderr
    assert set(states(cli, repo).values()) == {"here"}
