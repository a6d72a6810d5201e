"""A remote that says no: the error has Git's words and a way out, nothing is lost, and the next try finishes."""

from __future__ import annotations

from pathlib import Path

import pytest

from gitrepro.errors import RemoteError
from gitrepro.sync.runs import clone_state, find_remote, is_pushed, pull, push
from gitrepro.sync.runs.failures import failure, words
from tests.recorded_runs import opened, record_run

from .team import RUNS, Team, git, refs_of, runs_of


@pytest.fixture
def ada(team: Team) -> Path:
    clone = team.clone("ada")
    record_run(clone)
    return clone


def hook(team: Team, text: str, name: str = "update") -> Path:
    path = team.hub / "hooks" / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("act", [push, pull, clone_state], ids=lambda act: act.__name__)
@pytest.mark.parametrize(
    ("url", "cause"),
    [
        ("/nowhere/at/all.git", "no repository"),
        ("git://127.0.0.1:1/x.git", "cannot be reached"),
        ("http://127.0.0.1:1/x.git", "cannot be reached"),
        ("https://host.invalid/x.git", "cannot be reached"),
    ],
)
def test_a_remote_that_is_not_there_is_told_and_nothing_changes(ada: Path, url: str, cause: str, act: object) -> None:
    git(ada, "remote", "set-url", "origin", url)
    before = refs_of(ada)

    with pytest.raises(RemoteError) as caught:
        act(opened(ada))  # type: ignore[operator]

    assert cause in caught.value.what and caught.value.why and caught.value.do
    assert caught.value.exit_code == 5
    assert {name: oid for name, oid in refs_of(ada).items() if "code" not in name}.items() <= before.items()


def test_the_next_try_finishes(team: Team, ada: Path) -> None:
    away = team.folder / "away.git"
    team.hub.rename(away)
    with pytest.raises(RemoteError):
        push(opened(ada))
    away.rename(team.hub)

    assert len(push(opened(ada)).runs) == 1


def test_a_host_that_refuses_the_ref_says_which_and_why(team: Team, ada: Path) -> None:
    hook(team, 'case $1 in refs/gitrepro/*) echo "refs/heads and refs/tags only" >&2; exit 1;; esac')

    with pytest.raises(RemoteError) as caught:
        push(opened(ada))

    assert "refuses refs/gitrepro/runs" in caught.value.what
    assert "refs/heads and refs/tags only" in caught.value.why
    assert "gitrepro.ref refs/heads/gitrepro/runs" in caught.value.do


def test_a_host_that_takes_branches_only_is_served_with_branches(team: Team) -> None:
    hook(team, "case $1 in refs/heads/*) exit 0;; esac; exit 1")
    ada, ben = team.clone("ada"), team.clone("ben")
    for clone in (ada, ben):
        git(clone, "config", "gitrepro.ref", "refs/heads/gitrepro/runs")
    run_id, other = record_run(ada), record_run(ben)

    push(opened(ada))
    push(opened(ben), code=True)
    pull(opened(ada))

    assert runs_of(ada) == runs_of(ben) == sorted([run_id, other])
    assert is_pushed(opened(ada), run_id)
    assert {name for name in refs_of(team.hub) if "gitrepro" in name} == {
        f"refs/heads/gitrepro/{name}" for name in ("anchor", "code", "runs")
    }
    assert not [name for name in refs_of(ada) if name.startswith("refs/heads/gitrepro")]


def test_a_host_that_refuses_only_the_code_gets_the_runs(team: Team, ada: Path) -> None:
    hook(team, 'case $1 in refs/gitrepro/code) echo "not that" >&2; exit 1;; esac')

    pushed = push(opened(ada), code=True)

    assert (len(pushed.runs), pushed.code, pushed.code_held > 0) == (1, 0, True)
    assert team.ref(RUNS)


def test_a_host_that_refuses_all_or_nothing_gets_the_runs_without_the_code(team: Team, ada: Path) -> None:
    hook(team, "while read -r _ _ ref; do [ $ref != refs/gitrepro/code ] || exit 1; done", name="pre-receive")

    pushed = push(opened(ada), code=True)

    assert (len(pushed.runs), pushed.code) == (1, 0)


def test_a_host_that_refuses_the_anchor_gets_the_runs(team: Team, ada: Path) -> None:
    hook(team, "case $1 in */anchor) exit 1;; esac")

    assert len(push(opened(ada)).runs) == 1
    assert push(opened(ada)).retries == 0


def test_an_error_never_shows_a_password(ada: Path) -> None:
    git(ada, "remote", "set-url", "origin", "http://ada:geheim@127.0.0.1:1/x.git")
    with pytest.raises(RemoteError) as caught:
        push(opened(ada))
    assert "geheim" not in str(caught.value)

    with pytest.raises(RemoteError) as caught:
        push(opened(ada), "http://ada:geheim@127.0.0.1:1/x.git")
    assert "geheim" not in str(caught.value)


# What hosts say, word for word; a real one of each kind is not at hand.
SAID = {
    "the disk of": ["remote: fatal: write error: No space left on device\nerror: remote unpack failed"],
    "does not let you write": [
        "remote: error: unable to create temporary object directory",
        "ERROR: The key you are authenticating with has been marked as read only.\nfatal: insufficient permission",
        "remote: Permission to ada/x.git denied to ben.\nfatal: unable to access 'https://x/': error: 403",
        "remote: You are not allowed to push code to this project.",
    ],
    "does not accept who you are": [
        "git@example.org: Permission denied (publickey).\nfatal: Could not read from remote repository.",
        "fatal: could not read Username for 'https://example.org': terminal prompts disabled",
        "remote: HTTP Basic: Access denied\nfatal: Authentication failed for 'https://example.org/x.git/'",
        "Host key verification failed.\nfatal: Could not read from remote repository.",
    ],
    "cannot be reached": [
        "ssh: Could not resolve hostname example.org: Temporary failure in name resolution",
        "ssh: connect to host example.org port 22: Connection refused",
        "fatal: unable to access 'https://example.org/': Failed to connect to example.org port 443",
        "ssh: connect to host example.org port 22: Network is unreachable",
    ],
    "there is no repository": [
        "remote: Repository not found.\nfatal: repository 'https://example.org/x.git/' not found",
        "fatal: '/srv/x.git' does not appear to be a git repository",
    ],
    "is of a kind that is not used": [
        "fatal: transport 'ext' not allowed",
        "git: 'remote-foo' is not a git command\nfatal: Unable to find remote helper for 'foo'",
    ],
}  # fmt: skip


@pytest.mark.parametrize(("cause", "said"), [(cause, said) for cause, every in SAID.items() for said in every])
def test_each_way_to_say_no_is_known(ada: Path, cause: str, said: str) -> None:
    error = failure(find_remote(opened(ada)), "push runs to", said)

    assert cause in error.what and error.do
    assert said.splitlines()[0] in error.why


def test_the_words_that_say_nothing_are_left_out() -> None:
    said = "Enumerating objects: 5, done.\rCounting objects: 20% (1/5)\rTo /srv/x\nhint: try again\nfatal: it broke\n"

    assert words(said) == "fatal: it broke"
