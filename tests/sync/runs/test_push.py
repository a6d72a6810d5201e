"""`push` and `pull` between clones and a bare repository."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from gitrepro.errors import Damaged, NotFound, TooNew
from gitrepro.records import ids, yaml
from gitrepro.store.fold import Pending, enqueue, keep_code
from gitrepro.sync.epochs import purge
from gitrepro.sync.runs import clone_state, is_pushed, pull, push, waiting
from tests.recorded_runs import ADA, NOW, commit_file, opened, record_run

from .team import ANCHOR, CODE, COPY, RUNS, Team, begin_anew, commit_tree, git, refs_of, runs_of, tree_of


def test_what_one_pushes_the_other_pulls(team: Team) -> None:
    ada, ben = team.clone("ada"), team.clone("ben")
    run_id = record_run(ada)

    pushed = push(opened(ada))
    pulled = pull(opened(ben))

    assert pushed.runs == pulled.runs == (run_id,)
    assert tree_of(ada) == tree_of(ben) == team.tree()
    assert runs_of(ben) == [run_id]


def test_a_second_push_sends_nothing(team: Team) -> None:
    ada = team.clone("ada")
    record_run(ada)
    push(opened(ada))
    before = refs_of(team.hub)

    pushed = push(opened(ada))

    assert (pushed.runs, pushed.retries, pushed.restored) == ((), 0, False)
    assert refs_of(team.hub) == before


def test_two_who_recorded_both_are_united(team: Team) -> None:
    ada, ben = team.clone("ada"), team.clone("ben")
    both = sorted([record_run(ada), record_run(ben)])
    push(opened(ada))

    pushed = push(opened(ben))
    pull(opened(ada))

    assert pushed.retries == 1
    assert len(pushed.runs) == 1
    assert pushed.pulled is not None and len(pushed.pulled.runs) == 1
    assert runs_of(ada) == runs_of(ben) == both
    assert tree_of(ada) == tree_of(ben) == team.tree()
    assert git(ada, "rev-parse", RUNS) == git(ben, "rev-parse", RUNS)


def test_a_pull_sends_nothing(team: Team) -> None:
    ada, ben = team.clone("ada"), team.clone("ben")
    record_run(ada)
    push(opened(ada))
    record_run(ben)
    before = refs_of(team.hub)

    pull(opened(ben))

    assert refs_of(team.hub) == before
    assert len(runs_of(ben)) == 2


def test_nothing_is_sent_where_nothing_was_recorded(team: Team) -> None:
    ada = team.clone("ada")

    assert push(opened(ada)).tip is None
    assert pull(opened(ada)).tip is None
    assert list(refs_of(team.hub)) == ["refs/heads/main"]


def test_what_is_queued_goes_too(team: Team) -> None:
    ada = team.clone("ada")
    record_run(ada)
    event = f"events/{ids.shard(ids.new_id())}/x/y.yaml"
    enqueue(opened(ada), Pending(kind="event", subject="x", line="event", files={event: "{}\n"}))

    assert push(opened(ada)).events == 1


def test_what_waits_is_known_without_a_network(team: Team) -> None:
    ada = team.clone("ada")
    first = record_run(ada)
    assert waiting(opened(ada)).runs == (first,)
    push(opened(ada))
    second = record_run(ada)
    team.hub.rename(team.folder / "away.git")

    assert waiting(opened(ada)).runs == (second,)
    assert is_pushed(opened(ada), first) and is_pushed(opened(ada), first, "origin")
    assert not is_pushed(opened(ada), second)
    assert not is_pushed(opened(ada), ids.new_id())


def test_a_dry_run_tells_what_would_go_and_does_nothing(team: Team) -> None:
    ada = team.clone("ada")
    run_id = record_run(ada)
    before = refs_of(ada)

    assert push(opened(ada), dry_run=True).runs == (run_id,)
    assert refs_of(ada) == before
    assert list(refs_of(team.hub)) == ["refs/heads/main"]


def test_how_far_it_is_is_told(team: Team) -> None:
    ada, ben = team.clone("ada"), team.clone("ben")
    for _ in range(3):
        record_run(ada)
    told: dict[str, list[tuple[int, int]]] = {"push": [], "pull": []}

    push(opened(ada), progress=lambda done, total: told["push"].append((done, total)))
    pull(opened(ben), progress=lambda done, total: told["pull"].append((done, total)))

    for act in ("push", "pull"):
        assert told[act] and told[act][-1][0] == told[act][-1][1] > 3
    assert len(runs_of(ben)) == 3


def test_some_runs_may_go_alone(team: Team) -> None:
    ada, ben = team.clone("ada"), team.clone("ben")
    first, second = record_run(ada), record_run(ada)
    assert push(opened(ada), runs=[second], dry_run=True).runs == (second,)

    pushed = push(opened(ada), runs=[second])
    pull(opened(ben))

    assert pushed.runs == (second,)
    assert runs_of(ben) == [second]
    assert waiting(opened(ada)).runs == (first,)
    assert is_pushed(opened(ada), second) and not is_pushed(opened(ada), first)

    rest = push(opened(ada))
    assert (rest.runs, rest.retries) == ((first,), 0)
    assert team.tree() == tree_of(ada)


def test_a_run_that_is_not_on_record_cannot_go_alone(team: Team) -> None:
    ada = team.clone("ada")
    record_run(ada)

    with pytest.raises(NotFound):
        push(opened(ada), runs=[ids.new_id()])


def test_runs_go_to_a_remote_that_is_named_by_its_place(team: Team) -> None:
    ada = team.clone("ada")
    run_id = record_run(ada)
    other = team.folder / "other.git"
    git(team.folder, "init", "--quiet", "--bare", str(other))

    assert push(opened(ada), str(other)).runs == (run_id,)
    assert git(other, "rev-parse", f"{RUNS}^{{tree}}") == tree_of(ada)
    assert is_pushed(opened(ada), run_id) and is_pushed(opened(ada), run_id, str(other))
    assert not is_pushed(opened(ada), run_id, "origin")
    assert waiting(opened(ada)).runs == (run_id,)


# -- code


def test_code_is_published_only_where_somebody_says_so(team: Team) -> None:
    ada = team.clone("ada")
    commit_file(ada, "model.py", "lr = 1\n")
    record_run(ada)

    held = push(opened(ada))
    assert held.code == 0 and held.code_held == 2, "the commit of the run, and the one that keeps it"
    assert team.ref(CODE) == ""

    (ada / ".gitrepro.yaml").write_text("version: 1\npush: {code: always}\n")
    sent = push(opened(ada))
    assert sent.code == 2 and sent.code_held == 0
    assert git(team.hub, "merge-base", "--is-ancestor", git(ada, "rev-parse", "HEAD"), CODE) == ""


def test_the_code_of_two_is_kept_alive_by_one_ref(team: Team) -> None:
    ada, ben = team.clone("ada"), team.clone("ben")
    heads = []
    for each in (ada, ben):
        heads.append(commit_file(each, "model.py", f"{each.name}\n"))
        record_run(each)
        push(opened(each), code=True)
    pull(opened(ada))

    assert git(ada, "rev-parse", CODE) == git(ben, "rev-parse", CODE) == team.ref(CODE)
    for head in heads:
        git(ada, "merge-base", "--is-ancestor", head, CODE)


def test_a_code_ref_that_holds_something_else_is_not_taken(team: Team) -> None:
    ada, ben = team.clone("ada"), team.clone("ben")
    record_run(ada)
    push(opened(ada))
    git(team.hub, "update-ref", CODE, "refs/heads/main")

    pulled = pull(opened(ben))

    assert [each.path for each in pulled.rejected] == [CODE]
    assert len(runs_of(ben)) == 1
    assert git(ben, "rev-parse", "--verify", "--quiet", CODE, check=False) == ""


# -- remotes that lose, and remotes that lie


def test_a_remote_that_was_rewound_gets_all_back(team: Team) -> None:
    ada = team.clone("ada")
    record_run(ada)
    push(opened(ada))
    old = team.ref()
    record_run(ada)
    push(opened(ada))
    whole = team.tree()
    git(team.hub, "update-ref", RUNS, old)

    pushed = push(opened(ada))

    assert pushed.restored
    assert team.tree() == whole


def test_a_remote_that_was_rewound_and_went_on_gets_all_back(team: Team) -> None:
    ada, ben = team.clone("ada"), team.clone("ben")
    record_run(ada)
    push(opened(ada))
    old = team.ref()
    record_run(ada)
    push(opened(ada))
    git(team.hub, "update-ref", RUNS, old)
    record_run(ben)
    assert not push(opened(ben)).restored, "Ben never saw what was lost"

    pushed = push(opened(ada))

    assert pushed.restored and pushed.pulled is not None and pushed.pulled.rewound
    assert len(runs_of(ada)) == 3
    assert team.tree() == tree_of(ada)


def test_a_pull_says_that_the_remote_was_rewound(team: Team) -> None:
    ada = team.clone("ada")
    record_run(ada)
    push(opened(ada))
    old = team.ref()
    record_run(ada)
    push(opened(ada))
    git(team.hub, "update-ref", RUNS, old)

    assert pull(opened(ada)).rewound
    assert len(runs_of(ada)) == 2
    assert push(opened(ada)).tip == git(ada, "rev-parse", RUNS)


def test_a_remote_whose_ref_was_deleted_gets_all_back(team: Team) -> None:
    ada = team.clone("ada")
    record_run(ada)
    push(opened(ada))
    whole = team.tree()
    git(team.hub, "update-ref", "-d", RUNS)

    pushed = push(opened(ada))

    assert pushed.restored
    assert team.tree() == whole


def test_a_remote_that_is_ahead_of_what_was_seen_had_lost_nothing(team: Team) -> None:
    ada = team.clone("ada")
    record_run(ada)
    push(opened(ada))
    record_run(ada)
    git(ada, "push", "--quiet", "origin", RUNS)
    record_run(ada)

    assert not push(opened(ada)).restored


def test_a_pull_says_that_the_ref_is_gone(team: Team) -> None:
    ada = team.clone("ada")
    run_id = record_run(ada)
    push(opened(ada))
    git(team.hub, "update-ref", "-d", RUNS)

    pulled = pull(opened(ada))

    assert pulled.deleted
    assert runs_of(ada) == [run_id]
    assert not is_pushed(opened(ada), run_id)


def test_a_bad_record_is_named_and_the_rest_comes(team: Team) -> None:
    ada, ben = team.clone("ada"), team.clone("ben")
    good, bad = record_run(ada), ids.new_id()
    path = f"runs/{ids.shard(bad)}/{bad}/run.yaml"
    tip = git(ada, "rev-parse", RUNS)
    commit = commit_tree(opened(ada), {path: b"not: [a record\n"}, parent=tip, take=tree_of(ada))
    git(ada, "push", "--quiet", "origin", f"{commit}:{RUNS}")

    pulled = pull(opened(ben))

    assert [bad in each.path for each in pulled.rejected] == [True]
    assert runs_of(ben) == [good]
    assert pull(opened(ben)).rejected, "it is told again as long as it is there"


def test_a_run_ref_that_names_no_commit_changes_nothing(team: Team) -> None:
    ada = team.clone("ada")
    run_id = record_run(ada)
    blob = git(team.hub, "hash-object", "-w", "HEAD")
    git(team.hub, "update-ref", RUNS, blob)

    with pytest.raises(Damaged):
        pull(opened(ada))
    assert runs_of(ada) == [run_id]
    assert git(ada, "rev-parse", "--quiet", "--verify", COPY, check=False) == ""


# -- histories that begin anew


def test_what_was_purged_goes_everywhere_and_what_was_not_pushed_stays(team: Team) -> None:
    ada, ben = team.clone("ada"), team.clone("ben")
    kept, secret = record_run(ada), record_run(ada)
    push(opened(ada))
    pull(opened(ben))
    new = record_run(ben)
    begin_anew(ada, without=secret)

    pushed = push(opened(ada))
    assert pushed.renewed
    assert secret not in git(team.hub, "ls-tree", "-r", "--name-only", RUNS)
    assert team.ref(ANCHOR) == team.ref(), "the old history hangs on nothing there"

    answer = push(opened(ben))
    assert answer.pulled is not None and answer.pulled.renewed
    for clone in (ada, ben):
        assert secret not in git(clone, "log", "--all", "--name-only", "--format=")
    assert runs_of(ben) == sorted([kept, new])
    assert git(ben, "log", "--format=%H", RUNS, "--", f"runs/{ids.shard(secret)}/{secret}") == ""
    pull(opened(ada))
    assert tree_of(ada) == tree_of(ben) == team.tree()


def test_a_purge_takes_in_what_came_meanwhile(team: Team) -> None:
    ada, ben = team.clone("ada"), team.clone("ben")
    kept, secret = record_run(ada), record_run(ada)
    push(opened(ada))
    new = record_run(ben)
    push(opened(ben))
    begin_anew(ada, without=secret)

    pushed = push(opened(ada))

    assert pushed.renewed and pushed.retries == 1
    assert secret not in git(ada, "log", "--all", "--name-only", "--format=")
    assert runs_of(ada) == sorted([kept, new])
    assert team.tree() == tree_of(ada)


@pytest.mark.parametrize("publishing", [True, False])
def test_the_uncommitted_code_of_what_was_purged_goes_everywhere_too(team: Team, publishing: bool) -> None:
    ada, ben = team.clone("ada"), team.clone("ben")
    head = commit_file(ada, "model.py", "1\n")
    snapshot = git(ada, "commit-tree", "-p", head, "-m", "snapshot", f"{head}^{{tree}}")
    keep_code(opened(ada), [snapshot], identity=ADA, now=NOW)
    record_run(ada)
    secret = record_run(ada, code={"commit": head, "dirty": True, "snapshot": snapshot})
    push(opened(ada), code=True)
    pull(opened(ben))
    own = commit_file(ben, "other.py", "2\n")
    record_run(ben)
    assert is_kept(team.hub, snapshot) and is_kept(ben, snapshot)

    purge(opened(ada), [secret], identity=ADA)
    push(opened(ada), code=publishing)
    push(opened(ben), code=True)
    pull(opened(ada))

    for place in (ada, ben, team.hub):
        assert not is_kept(place, snapshot)
        assert is_kept(place, head) and is_kept(place, own)


def is_kept(folder: Path, commit: str) -> bool:
    return commit in git(folder, "rev-list", CODE).split()


# -- a fresh clone


def test_a_fresh_clone_learns_whether_there_are_runs(team: Team) -> None:
    ada, ben = team.clone("ada"), team.clone("ben")
    assert not clone_state(opened(ben)).there
    record_run(ada)
    push(opened(ada))

    state = clone_state(opened(ben))

    assert state.there and not state.here
    assert clone_state(opened(ada)).here


def test_a_remote_of_a_later_layout_is_left_alone(team: Team) -> None:
    ada = team.clone("ada")
    run_id = record_run(ada)
    document = yaml.dump({"epoch": 1, "format": 2})
    commit = commit_tree(opened(ada), {"format.yaml": document}, parent=None, take=tree_of(ada))
    git(ada, "push", "--quiet", "origin", f"{commit}:{RUNS}")

    for act in (pull, push):
        with pytest.raises(TooNew):
            act(opened(ada))

    assert runs_of(ada) == [run_id]
    assert team.ref() == commit


def test_two_syncs_of_one_clone_wait_for_each_other(team: Team) -> None:
    ada, ben = team.clone("ada"), team.clone("ben")
    recorded = [record_run(ada), record_run(ben)]
    push(opened(ben))
    context = multiprocessing.get_context("fork")
    both = [context.Process(target=act, args=(opened(ada),)) for act in (push, pull, push)]

    for each in both:
        each.start()
    for each in both:
        each.join()

    assert [each.exitcode for each in both] == [0, 0, 0]
    assert runs_of(ada) == sorted(recorded)
    assert team.tree() == tree_of(ada)
