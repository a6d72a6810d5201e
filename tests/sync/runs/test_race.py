"""Many who push at once, and the inbox for those who are always too late."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from gitrepro.sync.runs import is_pushed, pull, push, pushing, waiting
from tests.recorded_runs import opened, record_run

from .team import ANCHOR, RUNS, Team, git, refs_of, runs_of, tree_of

CLONES = 4
RUNS_EACH = 3


def record_and_push(clone: Path) -> tuple[list[str], int, int]:
    """Record and push some runs, one after the other: their ids, the most retries, how often the inbox was used."""
    found, retries, queued = [], 0, 0
    for _ in range(RUNS_EACH):
        found.append(record_run(clone))
        pushed = push(opened(clone))
        retries, queued = max(retries, pushed.retries), queued + pushed.queued
    return found, retries, queued


def inboxes(folder: Path) -> list[str]:
    return [name for name in refs_of(folder) if name.startswith("refs/gitrepro/inbox/")]


def test_of_many_who_push_at_once_nothing_is_lost(team: Team) -> None:
    clones = [team.clone(f"clone{number}") for number in range(CLONES)]
    record_run(clones[0])
    push(opened(clones[0]))

    with ProcessPoolExecutor(CLONES, mp_context=multiprocessing.get_context("fork")) as pool:
        told = list(pool.map(record_and_push, clones))
    for clone in [*clones, *clones]:
        push(opened(clone))
    for clone in clones:
        pull(opened(clone))

    everything = {run_id for found, _, _ in told for run_id in found} | {runs_of(clones[0])[0]}
    assert len(everything) == CLONES * RUNS_EACH + 1
    assert set(runs_of(clones[0])) == everything
    assert {tree_of(clone) for clone in clones} == {team.tree()}
    assert max(retries for _, retries, _ in told) <= 3
    assert inboxes(team.hub) == []
    assert "missing" not in git(team.hub, "fsck", "--connectivity-only")


@pytest.fixture
def late(team: Team, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone that finds the remote moved at each of its tries."""
    ada, quick = team.clone("ada"), team.clone("quick")
    record_run(quick)
    push(opened(quick))
    pull(opened(ada))
    before = pushing.pull_from

    def pull_then_lose(*args: object, **options: object) -> object:
        pulled = before(*args, **options)  # type: ignore[arg-type]
        if args[0] == opened(ada):
            record_run(quick)
            git(quick, "push", "--quiet", "origin", f"{RUNS}:{RUNS}")
        return pulled

    record_run(quick)
    git(quick, "push", "--quiet", "origin", f"{RUNS}:{RUNS}")
    monkeypatch.setattr(pushing, "pull_from", pull_then_lose)
    return ada


def test_who_is_late_three_times_uses_an_inbox(team: Team, late: Path) -> None:
    run_id = record_run(late)

    pushed = push(opened(late))

    assert (pushed.queued, pushed.retries) == (True, 3)
    assert pushed.runs == (run_id,)
    assert inboxes(team.hub) == [f"refs/gitrepro/inbox/{(late / '.git/gitrepro/clone-id').read_text().strip()}"]
    assert not is_pushed(opened(late), run_id), "it is not on the run ref yet"


def test_the_next_who_pushes_takes_the_inbox_in(team: Team, late: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = record_run(late)
    push(opened(late))
    monkeypatch.undo()
    ben = team.clone("ben")

    pulled = pull(opened(ben))
    assert pulled.folded_inboxes == 1 and run_id in pulled.runs
    pushed = push(opened(ben))

    assert pushed.inboxes == 1 and run_id in pushed.runs
    assert inboxes(team.hub) == []
    assert team.tree() == tree_of(ben)
    pull(opened(late))
    assert is_pushed(opened(late), run_id) and not waiting(opened(late)).runs


def test_who_was_late_takes_its_own_inbox_back(team: Team, late: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = record_run(late)
    push(opened(late))
    monkeypatch.undo()

    pushed = push(opened(late))

    assert not pushed.queued and is_pushed(opened(late), run_id)
    assert inboxes(team.hub) == []
    assert team.tree() == tree_of(late)


def test_an_inbox_that_grew_meanwhile_is_not_removed(team: Team, late: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record_run(late)
    push(opened(late))
    monkeypatch.undo()
    ben = team.clone("ben")
    pull(opened(ben))
    second = record_run(late)
    git(late, "push", "--quiet", "--force", "origin", f"{RUNS}:{inboxes(team.hub)[0]}")

    pushed = push(opened(ben))

    assert pushed.inboxes == 0 and len(inboxes(team.hub)) == 1, "the inbox was not what Ben had seen"

    pulled = pull(opened(ben))
    assert second in pulled.runs
    assert push(opened(ben)).inboxes == 1 and inboxes(team.hub) == []
    assert team.tree() == tree_of(ben)


@pytest.mark.parametrize("setting", ["receive.advertiseAtomic", "receive.denyDeletes"])
def test_hosts_that_lack_something_take_the_runs_all_the_same(
    team: Team, late: Path, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    run_id = record_run(late)
    push(opened(late))
    monkeypatch.undo()
    git(team.hub, "config", setting, "false" if setting.endswith("Atomic") else "true")
    ben = team.clone("ben")
    pull(opened(ben))

    push(opened(ben))

    assert is_pushed(opened(ben), run_id)
    assert len(inboxes(team.hub)) == 0
    assert team.tree() == tree_of(ben)


def test_a_host_on_which_nothing_may_be_deleted_keeps_the_inbox(
    team: Team, late: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = record_run(late)
    push(opened(late))
    monkeypatch.undo()
    hook = team.hub / "hooks" / "update"
    hook.write_text('#!/bin/sh\ncase $3 in *[!0]*) exit 0 ;; esac\necho "nothing is deleted here" >&2\nexit 1\n')
    hook.chmod(0o755)
    ben = team.clone("ben")
    pull(opened(ben))

    push(opened(ben))

    assert is_pushed(opened(ben), run_id)
    assert len(inboxes(team.hub)) == 1
    assert push(opened(ben)).retries == 0


def test_an_inbox_does_not_send_the_history_again(team: Team, late: Path) -> None:
    """The receiver grows by what is new, although the tip there is one that the sender has never seen."""
    for _ in range(30):
        record_run(late)
    assert push(opened(late)).queued
    before = objects_in(team.hub)
    record_run(late)

    assert push(opened(late)).queued

    assert team.ref(ANCHOR)
    grown = objects_in(team.hub) - before
    assert grown < 150, f"{grown} objects for one run and the few that others pushed meanwhile"


def objects_in(folder: Path) -> int:
    words = git(folder, "count-objects", "-v").splitlines()
    found = dict(line.split(": ") for line in words)
    return int(found["count"]) + int(found["in-pack"])


def test_pushing_while_another_process_records_loses_nothing(team: Team) -> None:
    ada = team.clone("ada")
    program = "import sys; from pathlib import Path; from tests.recorded_runs import record_run;" + (
        "[print(record_run(Path(sys.argv[1])), flush=True) for _ in range(12)]"
    )
    child = subprocess.Popen([sys.executable, "-c", program, str(ada)], stdout=subprocess.PIPE, text=True)
    assert child.stdout
    recorded = [child.stdout.readline().strip()]
    while child.poll() is None:
        push(opened(ada))
    recorded += child.stdout.read().split()

    push(opened(ada))

    assert child.returncode == 0 and len(recorded) == 12
    assert runs_of(ada) == sorted(recorded)
    assert team.tree() == tree_of(ada)
