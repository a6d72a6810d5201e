"""`gitrepro doctor --remote` finds out what the places take that runs and blobs go to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Cli, Git
from tests.recorded_runs import record_run

REFUSING = "#!/bin/sh\ncase $1 in refs/heads/*) exit 0 ;; esac\necho 'branches only, please' >&2\nexit 1\n"
KEEPING = "#!/bin/sh\ncase $3 in *[!0]*) exit 0 ;; esac\necho 'nothing is removed here' >&2\nexit 1\n"


@pytest.fixture
def hub(tmp_path: Path, repo: Path, git: Git) -> Path:
    git(tmp_path, "init", "--quiet", "--bare", "hub.git")
    git(repo, "remote", "add", "origin", str(tmp_path / "hub.git"))
    return tmp_path / "hub.git"


def found(cli: Cli, repo: Path, *words: str, code: int = 0) -> dict[str, list[dict[str, Any]]]:
    done = cli("doctor", "--remote", *words, "--json", cwd=repo)
    assert done.returncode == code, done.stdout + done.stderr
    by_name: dict[str, list[dict[str, Any]]] = {}
    for finding in json.loads(done.stdout):
        by_name.setdefault(finding["what"], []).append(finding)
    return by_name


def hook(hub: Path, text: str) -> None:
    (hub / "hooks" / "update").write_text(text)
    (hub / "hooks" / "update").chmod(0o755)


def test_a_remote_that_takes_runs_is_found_fine_and_left_as_it_was(repo: Path, hub: Path, git: Git, cli: Cli) -> None:
    record_run(repo)
    before = git(repo, "for-each-ref")
    takes, standing = found(cli, repo)["remote origin"]
    assert (takes["verdict"], takes["detail"]) == ("PASS", "takes refs below refs/gitrepro/ and lets them be removed")
    assert standing["detail"] == "it has no runs yet; 1 of our commits are not there"
    assert standing["do"] == "`gitrepro push origin`"
    assert (git(hub, "for-each-ref"), git(repo, "for-each-ref")) == ("", before)


def test_what_each_side_lacks_is_told(tmp_path: Path, repo: Path, hub: Path, git: Git, cli: Cli) -> None:
    record_run(repo)
    assert cli("push", cwd=repo).returncode == 0
    assert "not" not in found(cli, repo)["remote origin"][1]["detail"]
    git(repo, "push", "--quiet", "origin", "main")
    git(tmp_path, "clone", "--quiet", "--branch=main", str(hub), "other")
    standing = found(cli, tmp_path / "other")["remote origin"][1]
    assert (standing["detail"].partition("; ")[2], standing["do"]) == (
        "it has runs that are not here",
        "`gitrepro pull origin`",
    )


def test_a_host_for_branches_only_is_found_out_and_what_helps_does(repo: Path, hub: Path, git: Git, cli: Cli) -> None:
    hook(hub, REFUSING)
    [refused, _] = found(cli, repo, code=1)["remote origin"]
    assert (refused["verdict"], "hook declined" in refused["detail"]) == ("FAIL", True)
    git(repo, *refused["do"].split("`")[1].split()[1:])
    assert found(cli, repo)["remote origin"][0]["verdict"] == "PASS"


def test_a_host_that_removes_nothing_is_found_out(repo: Path, hub: Path, cli: Cli) -> None:
    hook(hub, KEEPING)
    [kept, _] = found(cli, repo)["remote origin"]
    assert (kept["verdict"], "lets none be removed" in kept["detail"]) == ("WARN", True)


def test_a_server_of_ours_may_be_asked(repo: Path, hub: Path, cli: Cli) -> None:
    assert cli("hooks", "install", "--server", cwd=hub).returncode == 0
    assert found(cli, repo)["remote origin"][0]["verdict"] == "PASS"


@pytest.mark.parametrize(("words", "code", "verdict"), [((), 0, "WARN"), (("nowhere",), 1, "FAIL")])
def test_without_a_remote_that_is_said(repo: Path, cli: Cli, words: tuple[str, ...], code: int, verdict: str) -> None:
    assert found(cli, repo, *words, code=code)["remote"][0]["verdict"] == verdict


def test_a_remote_that_is_not_there_is_wrong(tmp_path: Path, repo: Path, git: Git, cli: Cli) -> None:
    git(repo, "remote", "add", "origin", str(tmp_path / "none.git"))
    assert found(cli, repo, code=1)["remote"][0]["verdict"] == "FAIL"


def test_store_remotes_are_asked_too(tmp_path: Path, repo: Path, hub: Path, cli: Cli) -> None:
    assert cli("remote", "add", "disk", str(tmp_path / "blobs"), cwd=repo).returncode == 0
    assert "holds nothing yet" in found(cli, repo)["store remote disk"][0]["detail"]
    (tmp_path / "blobs").mkdir(exist_ok=True)
    (tmp_path / "blobs" / "gitrepro-store.yaml").write_text("format: 9\n")
    assert found(cli, repo, code=1)["store remote disk"][0]["verdict"] == "FAIL"


def test_a_share_that_is_not_mounted_is_wrong(tmp_path: Path, repo: Path, hub: Path, cli: Cli) -> None:
    assert cli("remote", "add", "disk", str(tmp_path / "mnt" / "blobs"), cwd=repo).returncode in (0, 5)
    assert found(cli, repo, code=1)["store remote disk"][0]["verdict"] == "FAIL"


def test_without_the_word_no_remote_is_asked(tmp_path: Path, repo: Path, git: Git, cli: Cli) -> None:
    git(repo, "remote", "add", "origin", str(tmp_path / "none.git"))
    done = cli("doctor", "--json", cwd=repo)
    assert (done.returncode, "remote" in {each["what"] for each in json.loads(done.stdout)}) == (0, False)
