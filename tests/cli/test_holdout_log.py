"""`gitrepro holdout log` and `select`: every use of a test set is shown, and a choice of runs put on record."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import pytest

from gitrepro.cli.main import gitrepro
from gitrepro.cli.page.holdings import data
from gitrepro.data.holdouts import anchor_of, append, log_of, verify_anchors, verify_logs
from gitrepro.data.holdouts.log import Log
from gitrepro.errors import NotFound, UsageError
from gitrepro.records.holdout import Entry
from gitrepro.records.run import RunRecord
from gitrepro.records.split import SplitRecord
from gitrepro.store.runs import RunTree
from tests.data.test_holdouts import RUN, removed
from tests.recorded_data import AT, digits
from tests.recorded_runs import ADA, opened, record_run


class Told(Protocol):
    def __call__(self, *args: str, code: int = 0) -> tuple[str, str]: ...


@pytest.fixture
def split(repo: Path, monkeypatch: pytest.MonkeyPatch) -> SplitRecord:
    monkeypatch.chdir(repo)
    return digits(repo)[1]


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Told:
    """`told("log", code=4)`: what a command of the group prints, on stdout and on stderr."""

    def run(*args: str, code: int = 0) -> tuple[str, str]:
        found = gitrepro.main(["holdout", *args], standalone_mode=False)
        assert (found or 0) == code
        return tuple(capsys.readouterr())  # type: ignore[return-value]

    return run


def log(repo: Path, split: SplitRecord) -> Log:
    with RunTree(opened(repo)) as tree:
        return log_of(tree, split.digest)


def open_it(repo: Path, split: SplitRecord, **more: Any) -> Entry:
    return append(opened(repo), op="open", split=split, part="test", identity=ADA, at=AT, **more)


def uses(split: SplitRecord, anchor: dict[str, Any] | None = None) -> dict[str, Any]:
    """What the record of a run says that has opened the split."""
    entry = {"digest": split.dataset["digest"], "name": "digits", "splits": [{"digest": split.digest}]}
    return {"data": (entry,), **({"holdouts": (anchor,)} if anchor else {})}


def test_the_command_shows_the_log_and_what_to_make_of_it(repo: Path, split: SplitRecord, cli: Any) -> None:
    for reason in ("first", "second"):
        open_it(repo, split, reason=reason, purpose="explore")
    done = cli("holdout", "log", "digits/default", cwd=repo)
    assert done.returncode == 0, done.stderr
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert rows[0][:5] == ["no", "at", "split", "part", "what"]
    assert [(row[0], row[3], row[4], row[8]) for row in rows[1:]] == [
        ("1", "test", "open (explore)", "first"),
        ("2", "test", "open (explore)", "second"),
    ]
    assert "opened 2 times: the best of these is 0.25 (related models) to 0.56" in done.stderr


def test_json_has_every_entry_with_its_digest_and_the_optimism_unrounded(
    repo: Path, split: SplitRecord, told: Told
) -> None:
    entries = [open_it(repo, split) for _ in range(3)]
    [found] = json.loads(told("log", "--json")[0])["logs"]
    assert [each["digest"] for each in found["entries"]] == [each.digest for each in entries]
    assert (found["split"], found["heads"], found["troubles"]) == (split.digest, [entries[-1].digest], [])
    test = found["parts"]["test"]
    assert (test["openings"], round(test["optimism_standard_errors"]["unrelated"], 4)) == (3, 0.8463)


def test_a_test_set_that_nobody_opened_has_an_empty_log(repo: Path, split: SplitRecord, told: Told) -> None:
    out, err = told("log")
    assert (out, "has been opened" in err) == ("", True)
    assert json.loads(told("log", "digits/default", "--json")[0])["logs"][0]["entries"] == []


def test_a_log_that_was_cut_short_exits_4_and_names_who_contradicts_it(
    repo: Path, split: SplitRecord, told: Told
) -> None:
    entries = [open_it(repo, split) for _ in range(2)]
    run = record_run(repo, **uses(split, anchor_of(log(repo, split))))
    told("log")
    removed(repo, entries[1])
    assert f"damaged: run {run[-8:]} has seen entry" in told("log", code=4)[1]
    removed(repo, entries[0])
    assert json.loads(told("log", "--json", code=4)[0])["logs"][0]["troubles"]


def test_verify_proves_logs_and_finds_the_one_that_is_gone(repo: Path, split: SplitRecord, cli: Any) -> None:
    entry = open_it(repo, split)
    run = record_run(repo, **uses(split, {"opened": [entry.id], **anchor_of(log(repo, split))}))
    assert [each.state for each in verify_logs(opened(repo))] == ["ok"]
    assert [each.state for each in verify_anchors(opened(repo), run)] == ["ok"]
    removed(repo, entry)
    [proof] = verify_logs(opened(repo))
    assert (proof.state, proof.digest) == ("damaged", split.digest)
    assert "was removed" in verify_anchors(opened(repo), run)[0].why
    assert cli("verify", run, "--fast", cwd=repo).returncode == 4


def test_a_choice_of_runs_is_put_on_record_and_says_that_nothing_was_seen(
    repo: Path, split: SplitRecord, told: Told
) -> None:
    runs = [record_run(repo, group="study", **uses(split)) for _ in range(2)]
    out, err = told("select", "study", "--split", "digits/default", "-m", "best on val")
    [entry] = log(repo, split).entries
    assert (out.strip(), entry.op, entry.runs, entry.reason) == (entry.id, "select", tuple(runs), "best on val")
    assert "2 runs chosen before test of digits/default@v1 is opened" in err


def test_a_choice_says_what_was_opened_before_it_and_that_an_earlier_one_counts(
    repo: Path, split: SplitRecord, told: Told
) -> None:
    run = record_run(repo, **uses(split))
    seen = open_it(repo, split)
    document = json.loads(told("select", run, "--split", "digits/default", "--json")[0])
    assert document["openings_before"] == [seen.id]
    _, err = told("select", run, "--split", "digits/default")
    assert "was opened 1 time before this choice" in err
    assert f"in entry {document['entry']['id'][-8:]}: that one counts" in err


def test_a_run_that_has_not_opened_the_split_is_named(repo: Path, split: SplitRecord, told: Told) -> None:
    run = record_run(repo)
    assert f"run {run[-8:]} has not opened that split" in told("select", run, "--split", "digits/default")[1]


@pytest.mark.parametrize(
    ("args", "error"),
    [
        (("select", "nosuch", "--split", "digits/default"), NotFound),
        (("select", "@last", "--split", "nosuch/default"), NotFound),
        (("select", "@last", "--split", "digits/default", "--part", "tset"), UsageError),
        (("log", "digits/nosuch"), NotFound),
    ],
)
def test_names_that_mean_nothing_are_errors_and_nothing_is_written(
    repo: Path, split: SplitRecord, told: Told, args: tuple[str, ...], error: type[Exception]
) -> None:
    record_run(repo)
    with pytest.raises(error):
        told(*args)
    assert log(repo, split).entries == ()


def test_the_page_of_a_run_says_by_which_entry_it_has_opened_its_test_set(split: SplitRecord) -> None:
    record = RunRecord(id=RUN, name="x", kind="train", status="finished", started_at=AT)
    anchor = {"split": split.digest, "head": [], "count": 2, "opened": ["01k3v9p0000000000000000002"]}
    rows = data(replace(record, **uses(split, anchor)))
    assert rows[-1] == ("  opened", "by 00000002 of the holdout log")
    assert not any("opened" in name for name, _ in data(replace(record, **uses(split))))
