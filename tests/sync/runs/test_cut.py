"""A sync that is cut: the next one finishes, and nothing half stays."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import pytest

from gitrepro.records import ids
from gitrepro.sync.runs import is_pushed, pull, pulling, push, waiting
from tests.recorded_runs import opened, record_run

from .team import RUNS, Team, begin_anew, git, runs_of, tree_of

CUTS = 6


class Cut(Exception):
    pass


def fail(*args: object, **options: object) -> None:
    raise Cut


@pytest.fixture
def cut_before_it_is_noted(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A pull ends after it has fetched and before it notes what it took in."""

    monkeypatch.setattr(pulling, "unite", fail)
    return monkeypatch


def test_a_pull_cut_after_its_fetch_is_no_pull(team: Team, cut_before_it_is_noted: pytest.MonkeyPatch) -> None:
    ada, ben = team.clone("ada"), team.clone("ben")
    run_id = record_run(ada)
    push(opened(ada))

    with pytest.raises(Cut):
        pull(opened(ben))
    assert runs_of(ben) == [] and not is_pushed(opened(ben), run_id)

    cut_before_it_is_noted.undo()
    assert pull(opened(ben)).runs == (run_id,)


def test_what_was_purged_does_not_come_back_through_a_pull_that_was_cut(
    team: Team, cut_before_it_is_noted: pytest.MonkeyPatch
) -> None:
    ada, ben = team.clone("ada"), team.clone("ben")
    kept, secret = record_run(ada), record_run(ada)
    push(opened(ada))
    cut_before_it_is_noted.undo()
    pull(opened(ben))
    begin_anew(ada, without=secret)
    push(opened(ada))
    cut_before_it_is_noted.setattr(pulling, "unite", fail)
    with pytest.raises(Cut):
        pull(opened(ben))
    cut_before_it_is_noted.undo()

    push(opened(ben))

    assert runs_of(ben) == [kept]
    assert secret not in git(team.hub, "ls-tree", "-r", "--name-only", RUNS)


def test_locks_that_a_killed_fetch_left_are_in_nobody_s_way(team: Team) -> None:
    ada, ben = team.clone("ada"), team.clone("ben")
    run = record_run(ada)
    push(opened(ada))
    for name in ("runs", "anchor"):
        lock = ben / ".git" / "refs" / "gitrepro-remotes" / "origin" / "incoming" / f"{name}.lock"
        lock.parent.mkdir(parents=True, exist_ok=True)
        lock.touch()

    pull(opened(ben))

    assert runs_of(ben) == [run]


def cut(act: object, clone: Path, after_seconds: float) -> None:
    """Start a sync in a process of its own, and kill it with all that it started."""

    def alone() -> None:
        os.setsid()
        act(opened(clone))  # type: ignore[operator]

    child = multiprocessing.get_context("fork").Process(target=alone)
    child.start()
    time.sleep(after_seconds)
    assert child.pid
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    child.join()


def test_killed_at_any_moment_the_next_sync_finishes(team: Team) -> None:
    ada, ben = team.clone("ada"), team.clone("ben")
    chance = random.Random(ids.new_id())
    recorded = []
    for _ in range(CUTS):
        recorded += [record_run(ada), record_run(ben)]
        cut(push, ada, chance.uniform(0.0, 0.15))
        cut(pull, ben, chance.uniform(0.0, 0.1))
        assert not git(team.hub, "fsck", "--connectivity-only", "--no-dangling")
    for clone in (ada, ben, ada):
        push(opened(clone))

    assert runs_of(ada) == runs_of(ben) == sorted(recorded)
    assert tree_of(ada) == tree_of(ben) == team.tree()
    assert not waiting(opened(ada)).runs
