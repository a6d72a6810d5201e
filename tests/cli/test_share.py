"""`share`: one line that others can look up, and nothing of what they cannot."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gitrepro.store.annotate import annotate
from gitrepro.sync.runs import push
from tests.conftest import Git
from tests.recorded_runs import ADA, opened, record_run, seeded
from tests.warm import WarmCli

AT = "2026-01-02T03:04:05.678901Z"
METRICS = {
    name: {"count": 1, "last": 0.9, "goal": goal} for name, goal in (("train/loss", "min"), ("val/accuracy", "max"))
}


@pytest.fixture
def hub(tmp_path: Path, repo: Path, git: Git) -> Path:
    git(tmp_path, "init", "--quiet", "--bare", "hub.git")
    git(repo, "remote", "add", "origin", str(tmp_path / "hub.git"))
    return tmp_path / "hub.git"


def run_of_seed(repo: Path, seed: int, accuracy: float, **changes: object) -> str:
    summary = {"val/accuracy": accuracy, "train/loss": 0.3}
    fields = {"seeds": seeded(seed), "summary": summary, "metrics": METRICS, "name": f"wd-{seed}"}
    return record_run(repo, **(fields | changes))  # type: ignore[arg-type]


def test_a_run_is_one_line_that_says_what_it_is(repo: Path, hub: Path, git: Git, warm_cli: WarmCli) -> None:
    run = run_of_seed(repo, 0, 0.9125, group="wd-study")
    push(opened(repo))

    done = warm_cli("share", run[-8:], cwd=repo)

    commit = git(repo, "rev-parse", "HEAD")[:12]
    assert done.stdout == (
        f"val/accuracy 0.9125 (one run) · wd-0 in wd-study · run {run[-8:]} · commit {commit} clean"
        " · pushed to origin\n"
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_run_that_is_not_pushed_is_not_shared(repo: Path, hub: Path, warm_cli: WarmCli) -> None:
    run = run_of_seed(repo, 0, 0.9)

    done = warm_cli("share", run[-8:], cwd=repo)

    assert (done.returncode, done.stdout) == (1, "")
    assert "is not pushed" in done.stderr
    assert "gitrepro push" in done.stderr


def test_without_a_remote_it_says_how_to_get_one(repo: Path, warm_cli: WarmCli) -> None:
    run = run_of_seed(repo, 0, 0.9)

    assert "git remote add" in warm_cli("share", run[-8:], cwd=repo).stderr


def test_the_spread_counts_the_runs_that_are_pushed_and_no_others(repo: Path, hub: Path, warm_cli: WarmCli) -> None:
    runs = [run_of_seed(repo, seed, value) for seed, value in enumerate((0.88, 0.9, 0.92))]
    push(opened(repo))
    run_of_seed(repo, 3, 0.99)

    told = json.loads(warm_cli("share", runs[2][-8:], "--json", cwd=repo).stdout)

    assert (told["value"], told["n"], sorted(told["runs"])) == (0.92, 3, sorted(runs))
    assert told["mean"] == pytest.approx(0.9)
    assert told["std"] == pytest.approx(0.02)
    assert "val/accuracy 0.92 (mean 0.9 ± 0.02 std, n=3 seeds)" in told["line"]


def test_changes_that_were_not_committed_are_said(repo: Path, hub: Path, warm_cli: WarmCli) -> None:
    (repo / "train.py").write_text("print('changed')\n")
    run = run_of_seed(repo, 0, 0.9)
    annotate(opened(repo), run, "promote", {"commit": "ab" * 20}, identity=ADA, at=AT)
    push(opened(repo))

    assert "dirty, committed since as abababababab" in warm_cli("share", run[-8:], cwd=repo).stdout


def test_which_number_can_be_said(repo: Path, hub: Path, warm_cli: WarmCli) -> None:
    run = run_of_seed(repo, 0, 0.9)
    push(opened(repo))

    assert warm_cli("share", run[-8:], "--metric", "train/loss", cwd=repo).stdout.startswith("train/loss 0.3 ")
    refused = warm_cli("share", run[-8:], "--metric", "val/loss", cwd=repo)
    assert (refused.returncode, "train/loss" in refused.stderr) == (3, True)


def test_a_run_without_numbers_and_one_that_failed_are_shared_as_they_are(
    repo: Path, hub: Path, warm_cli: WarmCli
) -> None:
    run = run_of_seed(repo, 0, 0.9, status="failed", summary={}, metrics={})
    push(opened(repo))

    told = warm_cli("share", run[-8:], cwd=repo).stdout

    assert told.startswith("no metric · ")
    assert f"run {run[-8:]}, failed" in told


def test_a_run_off_the_list_is_not_shared(repo: Path, hub: Path, warm_cli: WarmCli) -> None:
    run = run_of_seed(repo, 0, 0.9)
    push(opened(repo))
    annotate(opened(repo), run, "remove", None, identity=ADA, at=AT)

    done = warm_cli("share", run, cwd=repo)

    assert done.returncode == 1
    assert "rm --undo" in done.stderr


def test_a_name_with_control_characters_is_harmless(repo: Path, hub: Path, warm_cli: WarmCli) -> None:
    run = run_of_seed(repo, 0, 0.9, name="evil\x1b[2J\nname")
    push(opened(repo))

    told = warm_cli("share", run[-8:], cwd=repo).stdout

    assert told.count("\n") == 1
    assert "\x1b" not in told
