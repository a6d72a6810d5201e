"""Pushing result tags whose runs are not there yet: asked at a terminal, else as the policy says."""

from __future__ import annotations

import fcntl
import os
import pty
import subprocess
import sys
import termios
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gitrepro import hooks
from gitrepro.audit import gate
from gitrepro.store.place import store_of
from tests.recorded_runs import ADA, NOW, commit_file, opened, record_run, seeded, try_git
from tests.store.stores import put_large

if TYPE_CHECKING:
    from tests.conftest import Git

OFFER = "version: 1\npush: {results: offer}\n"
SENT = ["refs/gitrepro/anchor", "refs/gitrepro/runs", "refs/heads/main", "refs/tags/result/x"]
QUESTION = "Send runs and blobs first? [Y/n]"


@pytest.fixture
def guarded(repo: Path, git: Git, tmp_path: Path) -> Path:
    """A repository with a remote `origin` that has no runs, and the hooks."""
    git(tmp_path, "init", "--quiet", "--bare", "origin.git")
    git(repo, "remote", "add", "origin", str(tmp_path / "origin.git"))
    git(repo, "push", "--quiet", "origin", "main")
    hooks.install(opened(repo), python=sys.executable)
    return repo


def declared(repo: Path, name: str = "result/x", *, seed: int = 0, blobs: tuple[str, ...] = ()) -> None:
    artifacts = tuple({"blob": digest, "kind": "artifact", "name": digest[:9]} for digest in blobs)
    run = record_run(repo, seeds=seeded(seed), artifacts=artifacts)
    gate.declare(opened(repo), name, [run], identity=ADA, now=NOW)


def refs_there(git: Git, root: Path) -> list[str]:
    return [line.split("\t")[1] for line in git(root, "ls-remote", "--refs", "origin").splitlines()]


def at_a_terminal(repo: Path, answer: str, *args: str) -> tuple[int, str]:
    """Push with a terminal of its own, at which somebody answers. The exit code, and what stood on the screen."""
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        ["git", "push", "origin", *args],
        cwd=repo,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(theirs, termios.TIOCSCTTY, 0),
    )
    os.close(theirs)
    screen = b""
    asked = False
    try:
        while data := _read(ours):
            screen += data
            if not asked and QUESTION.encode() in screen:
                asked = True
                os.write(ours, answer.encode())
        return child.wait(60), screen.decode(errors="replace")
    finally:
        os.close(ours)
        child.kill()
        child.wait()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # nobody holds the other end any more
        return b""


@pytest.mark.parametrize("answer", ["\n", "y\n", "Yes\n"])
def test_at_a_terminal_the_runs_go_first_when_nobody_objects(guarded: Path, git: Git, answer: str) -> None:
    declared(guarded)
    code, screen = at_a_terminal(guarded, answer, "result/x")

    assert code == 0, screen
    assert "origin does not hold the runs of result/x" in screen
    assert refs_there(git, guarded) == SENT


@pytest.mark.parametrize("answer", ["n\n", "no\n", "what?\n", "\x04"])
def test_at_a_terminal_any_other_answer_refuses_the_push(guarded: Path, git: Git, answer: str) -> None:
    declared(guarded)
    code, screen = at_a_terminal(guarded, answer, "result/x")

    assert code == 1
    assert "`gitrepro push origin`" in screen
    assert refs_there(git, guarded) == ["refs/heads/main"]


def test_it_is_asked_once_for_several_results(guarded: Path, git: Git) -> None:
    declared(guarded)
    declared(guarded, "result/y", seed=1)
    code, screen = at_a_terminal(guarded, "\n", "result/x", "result/y")

    assert (code, screen.count(QUESTION)) == (0, 1)
    assert "result/x and 1 more" in screen


def test_where_the_runs_are_there_nobody_is_asked(guarded: Path, git: Git) -> None:
    declared(guarded)
    git(guarded, "push", "--quiet", "origin", "refs/gitrepro/runs")
    code, screen = at_a_terminal(guarded, "", "result/x")

    assert (code, QUESTION in screen) == (0, False)


def test_of_a_result_that_does_not_stand_nothing_is_sent(guarded: Path, git: Git) -> None:
    declared(guarded)
    git(guarded, "-c", "core.hooksPath=/dev/null", "tag", "result/y")
    code, screen = at_a_terminal(guarded, "\n", "result/x", "result/y")

    assert (code, QUESTION in screen) == (1, False)
    assert refs_there(git, guarded) == ["refs/heads/main"]


def test_without_a_terminal_the_runs_are_demanded(guarded: Path, git: Git) -> None:
    declared(guarded)
    done = try_git(guarded, "push", "origin", "result/x")

    assert done.returncode == 1
    assert "do:  audit: `gitrepro push origin`" in done.stderr


def test_without_a_terminal_a_policy_that_offers_sends_them(guarded: Path, git: Git) -> None:
    commit_file(guarded, ".gitrepro.yaml", OFFER)
    declared(guarded)
    done = try_git(guarded, "push", "origin", "result/x")

    assert done.returncode == 0, done.stderr
    assert refs_there(git, guarded) == SENT


def test_a_result_whose_policy_demands_is_not_outvoted(guarded: Path, git: Git) -> None:
    declared(guarded)
    commit_file(guarded, ".gitrepro.yaml", OFFER)
    declared(guarded, "result/y", seed=1)

    assert try_git(guarded, "push", "origin", "result/x", "result/y").returncode == 1
    assert refs_there(git, guarded) == ["refs/heads/main"]


def test_blobs_go_too(guarded: Path, git: Git, tmp_path: Path) -> None:
    commit_file(guarded, ".gitrepro.yaml", OFFER)
    digest = put_large(store_of(opened(guarded)))
    declared(guarded, blobs=(digest,))
    git(guarded, "config", "gitrepro-remote.box.url", str(tmp_path / "box"))
    done = try_git(guarded, "push", "origin", "result/x")

    assert done.returncode == 0, done.stderr
    hex_digits = digest.removeprefix("b3:")
    assert (tmp_path / "box" / "objects" / hex_digits[:2] / hex_digits[2:]).exists()


def test_where_blobs_cannot_be_sent_the_tag_stays(guarded: Path, git: Git, tmp_path: Path) -> None:
    commit_file(guarded, ".gitrepro.yaml", OFFER)
    declared(guarded, blobs=(put_large(store_of(opened(guarded))),))
    (tmp_path / "box").write_text("a file")
    git(guarded, "config", "gitrepro-remote.box.url", str(tmp_path / "box"))
    done = try_git(guarded, "push", "origin", "result/x")

    assert done.returncode == 1
    assert "the runs and blobs were not sent" in done.stderr
    assert "refs/tags/result/x" not in refs_there(git, guarded)


def test_a_push_of_gitrepros_own_passes(guarded: Path, git: Git) -> None:
    declared(guarded)

    assert try_git(guarded, "push", "origin", "result/x", env={"GITREPRO_PUSHING": "1"}).returncode == 0
