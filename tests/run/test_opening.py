"""`run.open_test`: a test set is opened with a reason, in the log before it is handed out; unopened it warns or is
refused."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gitrepro
from gitrepro.data.holdouts import append, broken_anchors, log_of
from gitrepro.data.holdouts.log import Log
from gitrepro.errors import GitreproWarning, NotFound, Sealed, UsageError
from gitrepro.records.run import RunRecord
from gitrepro.records.split import SplitRecord
from gitrepro.store.runs import RunTree
from tests.recorded_data import AT, digits
from tests.recorded_runs import ADA, opened

TEST = 11
"""So many of the 100 rows are in the part `test`."""


@pytest.fixture
def here(repo: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(repo)
    return repo


@pytest.fixture
def split(here: Path) -> SplitRecord:
    return digits(here)[1]


def newest(repo: Path) -> RunRecord:
    with RunTree(opened(repo)) as tree:
        return tree.run(tree.run_ids()[-1])


def log(repo: Path, split: SplitRecord) -> Log:
    with RunTree(opened(repo)) as tree:
        return log_of(tree, split.digest)


def messages(caught: list[warnings.WarningMessage]) -> list[str]:
    return [str(each.message) for each in caught if "read without" in str(each.message)]


# -- opened


def test_an_opening_is_in_the_log_before_the_part_is_handed_out(here: Path, split: SplitRecord) -> None:
    with gitrepro.record(dataset="digits") as run:
        part = run.open_test("the final number")
        [entry] = log(here, split).entries
        assert (part.name, part.opening, part.reads) == ("test", entry.id, 0)
        assert (entry.op, entry.part, entry.run, entry.reason) == ("open", "test", run.id, "the final number")
        assert (entry.purpose, entry.actor["name"], entry.dataset, entry.name) == (
            "confirm",
            "Ada Lovelace",
            "digits",
            "default",
        )


def test_what_was_opened_and_the_head_of_the_log_are_on_record(here: Path, split: SplitRecord) -> None:
    with gitrepro.record(dataset="digits") as run:
        run.open_test("the final number").take(np.zeros(100))
    found = log(here, split)
    record = newest(here)
    assert record.holdouts == (
        {"count": 1, "head": list(found.heads), "opened": [found.entries[0].id], "split": split.digest},
    )
    assert record.data[0]["splits"][0]["reads"] == {"test": TEST}
    assert broken_anchors(found, [record]) == ()


def test_opened_twice_in_one_run_is_one_opening(here: Path, split: SplitRecord) -> None:
    with gitrepro.record(dataset="digits") as run:
        assert run.open_test("once") is run.open_test("twice")
    assert len(log(here, split).entries) == 1


def test_every_run_that_opens_it_counts_and_knows_of_those_before(here: Path, split: SplitRecord) -> None:
    for reason in ("first", "second"):
        with gitrepro.record(dataset="digits") as run:
            run.open_test(reason, purpose="explore")
    found = log(here, split)
    assert [(each.number, each.purpose) for each in found.openings] == [(1, "explore"), (2, "explore")]
    assert (found.concurrent, found.troubles) == ((), ())


def test_a_run_that_only_opens_the_split_anchors_the_log(here: Path, split: SplitRecord) -> None:
    append(opened(here), op="open", split=split, part="test", reason="by hand", identity=ADA, at=AT)
    with gitrepro.record(dataset="digits") as run:
        run.split("train")
    [anchor] = newest(here).holdouts
    assert anchor == {"count": 1, "head": list(log(here, split).heads), "split": split.digest}


def test_a_run_of_a_split_without_a_log_says_nothing_of_one(here: Path, split: SplitRecord) -> None:
    with gitrepro.record(dataset="digits") as run:
        run.split("train")
    assert newest(here).holdouts == ()
    assert "holdouts" not in newest(here).document()


def test_an_opening_of_a_killed_run_stays(here: Path, split: SplitRecord, script: Any) -> None:
    done = script("""
        import os
        run = gitrepro.record(dataset="digits")
        run.open_test("then the power went")
        os._exit(9)
    """)
    assert done.returncode == 9, done.stderr
    assert [each.reason for each in log(here, split).entries] == ["then the power went"]


def test_an_evaluation_says_by_which_opening_it_was_made(here: Path, split: SplitRecord) -> None:
    with gitrepro.record(dataset="digits") as run:
        part = run.open_test("final")
        run.evaluate(np.zeros(len(part), dtype=int), split="test", truth=np.zeros(len(part), dtype=int))
    [entry] = newest(here).evaluations
    assert entry["opening"] == log(here, split).entries[0].id


def test_a_part_that_was_handed_out_before_knows_of_the_opening_too(here: Path, split: SplitRecord) -> None:
    with gitrepro.record(dataset="digits") as run:
        with pytest.warns(GitreproWarning, match="read without"):
            before = run.split("test")
        assert before.opening is None
        assert run.open_test("too late").opening == before.opening is not None


@pytest.mark.parametrize("wrong", [{"reason": " "}, {"reason": None}, {"reason": "x", "purpose": "fun"}])
def test_an_opening_without_a_reason_or_with_a_strange_purpose_is_refused(
    here: Path, split: SplitRecord, wrong: dict[str, Any]
) -> None:
    with gitrepro.record(dataset="digits") as run, pytest.raises(UsageError):
        run.open_test(**wrong)
    assert log(here, split).entries == ()


def test_a_part_that_is_not_there_is_not_found_and_nothing_is_logged(here: Path, split: SplitRecord) -> None:
    with gitrepro.record(dataset="digits") as run, pytest.raises(NotFound):
        run.open_test("final", part="tset")
    assert log(here, split).entries == ()


# -- where the log cannot be written


def test_the_opening_goes_with_a_run_that_is_kept_elsewhere(
    here: Path, split: SplitRecord, cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(opened(here), op="open", split=split, part="test", reason="before", identity=ADA, at=AT)
    spool = here.parent / "spool"
    monkeypatch.setenv("GITREPRO_SPOOL", str(spool))
    with gitrepro.record(dataset="digits") as run:
        opening = run.open_test("on a node that may not write").opening
    assert len(log(here, split).entries) == 1
    done = cli("fold", cwd=here)
    assert done.returncode == 0, done.stderr
    found = log(here, split)
    assert [each.reason for each in found.entries] == ["before", "on a node that may not write"]
    assert (found.entries[1].id, found.troubles) == (opening, ())
    assert broken_anchors(found, [newest(here)]) == ()


def test_where_nothing_is_recorded_the_opening_warns_that_it_is_not(
    here: Path, split: SplitRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITREPRO_MODE", "disabled")
    with gitrepro.record(dataset="digits") as run, pytest.warns(GitreproWarning, match="not in the holdout log"):
        assert run.open_test("final").opening is None
    assert log(here, split).entries == ()


# -- unopened


def test_a_test_set_that_is_read_unopened_warns_once_and_is_counted(here: Path, split: SplitRecord) -> None:
    with warnings.catch_warnings(record=True) as caught, gitrepro.record(dataset="digits") as run:
        warnings.simplefilter("always")
        for _ in range(2):
            run.split("test").take(np.zeros(100))
            run.dataset().split("default").part("test")
    [message] = messages(caught)
    assert "test of digits/default" in message
    assert newest(here).data[0]["splits"][0]["reads"] == {"test": 2 * TEST}
    assert log(here, split).entries == ()


@pytest.mark.parametrize("part", ["train", "val"])
def test_parts_for_training_are_nobody_s_business(here: Path, split: SplitRecord, part: str) -> None:
    with warnings.catch_warnings(), gitrepro.record(dataset="digits", guard="strict") as run:
        warnings.simplefilter("error")
        assert len(run.split(part).ids) == split.parts[part]


def test_with_the_guard_strict_it_is_refused_until_it_is_opened(here: Path, split: SplitRecord) -> None:
    with gitrepro.record(dataset="digits", guard="strict") as run:
        with pytest.raises(Sealed, match="without having been opened") as refused:
            run.split("test")
        assert refused.value.exit_code == 1
        assert len(run.open_test("final").ids) == TEST
        assert len(run.split("test").ids) == TEST


def test_the_environment_can_ask_for_strict_and_the_program_stands_over_it(
    here: Path, split: SplitRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITREPRO_GUARD", "strict")
    with gitrepro.record(dataset="digits") as run, pytest.raises(Sealed):
        run.split("test")
    with gitrepro.record(dataset="digits", guard="warn") as run, pytest.warns(GitreproWarning, match="read without"):
        run.split("test")


@pytest.mark.parametrize(
    ("policy", "refused"),
    [
        ('version: 1\nresults: {"*": strict}\n', True),
        ('version: 1\nresults: {"result/*": standard, "final/*": strict}\n', False),
        ("version: 1\n", False),
        ("not a policy", False),
    ],
)
def test_a_policy_that_wants_strict_of_every_result_refuses_it_too(
    here: Path, split: SplitRecord, policy: str, refused: bool
) -> None:
    (here / ".gitrepro.yaml").write_text(policy)
    expected: Any = pytest.raises(Sealed) if refused else pytest.warns(GitreproWarning, match="read without")
    with gitrepro.record(dataset="digits") as run, expected:
        run.split("test")


def test_a_guard_that_nobody_knows_is_refused_or_warned_of(
    here: Path, split: SplitRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="guard"):
        gitrepro.record(guard="loose")
    monkeypatch.setenv("GITREPRO_GUARD", "loose")
    with gitrepro.record(dataset="digits") as run, pytest.warns(GitreproWarning) as told:
        run.split("test")
    assert any("GITREPRO_GUARD" in str(each.message) for each in told)


@pytest.mark.parametrize(("source", "warned"), [("file", 0), ("store", 1)])
def test_a_part_whose_labels_are_sealed_and_lie_nowhere_else_may_be_read(
    here: Path, split: SplitRecord, source: str, warned: int
) -> None:
    append(opened(here), op="seal", split=split, part="test", detail={"source": source}, identity=ADA, at=AT)
    with warnings.catch_warnings(record=True) as caught, gitrepro.record(dataset="digits") as run:
        warnings.simplefilter("always")
        run.split("test")
    assert len(messages(caught)) == warned


def test_outside_a_run_nothing_is_asked(here: Path, split: SplitRecord) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(gitrepro.dataset("digits").split("default").part("test").ids) == TEST


def test_ranks_other_than_the_first_write_no_opening_of_their_own(here: Path, split: SplitRecord, script: Any) -> None:
    code = """
        with gitrepro.record(dataset="digits", guard="strict") as run:
            print(len(run.open_test("final").ids))
    """
    env = {"WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "t", "RANK": "1", "LOCAL_RANK": "1"}
    done = script(code, env=env)
    assert (done.returncode, done.stdout) == (0, f"{TEST}\n"), done.stderr
    assert log(here, split).entries == ()
