"""`gitrepro.runs()`: what is found, as a table, in a notebook, and the curve of a run that was resumed."""

from __future__ import annotations

import math
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import gitrepro
from gitrepro.errors import Damaged, NotFound, QueryError, UsageError
from gitrepro.records.metrics import TableBuilder
from tests.recorded_runs import record_run, seeded

Points = list[tuple[int, float, dict[str, float]]]


def config(**values: Any) -> dict[str, Any]:
    return {"values": values, "sources": {}, "overridden": {}, "format": 1}


def tables(points: Points) -> dict[str, bytes]:
    builder = TableBuilder()
    for seq, (step, seconds, values) in enumerate(points):
        builder.add(seq=seq, step=step, time_seconds=seconds, values=values)
    return dict(builder.files(rank=0))


def put(repo: Path, name: str, at: int, points: Points | None = None, **changes: Any) -> str:
    started = f"2026-01-02T03:{at:02}:00.000000Z"
    return record_run(repo, name=name, started_at=started, files=tables(points) if points else {}, **changes)


@pytest.fixture
def study(repo: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    put(repo, "one", 0, config=config(lr=0.1, opt="adam"), summary={"loss": 0.5, "name": 7}, seeds=seeded(1), group="g")
    put(repo, "two", 1, config=config(lr="auto", amp=True), summary={"loss": math.nan}, labels=("keep",))
    put(repo, "three", 2, config=config(lr=1, big=2**70), status="failed")
    monkeypatch.chdir(repo)
    return repo


def names(found: Any) -> list[str]:
    return [run.name for run in found]


def test_a_query_and_the_arguments_say_which_runs_are_found(study: Path) -> None:
    assert names(gitrepro.runs()) == ["three", "two", "one"]
    assert names(gitrepro.runs("lr < 0.5")) == ["one"]
    assert names(gitrepro.runs("loss is missing", status="failed")) == ["three"]
    assert names(gitrepro.runs("not lr == 1", group="g", repo=study)) == ["one"]
    assert names(gitrepro.runs("loss exists")[:1]) == ["two"]
    with pytest.raises(QueryError, match="loss"):
        gitrepro.runs("losss > 1")


def test_runs_are_an_arrow_table_with_a_type_for_each_column(study: Path) -> None:
    table = gitrepro.runs().to_arrow()

    assert table.column("name").to_pylist() == ["three", "two", "one"]
    assert table.column("metric.name").to_pylist() == [None, None, 7]
    assert table.schema.field("metric.name").type == pa.int64()
    assert table.column("config.lr").to_pylist() == ["1", "auto", "0.1"]
    assert table.schema.field("config.amp").type == pa.bool_()
    assert table.column("config.big").to_pylist() == [str(2**70), None, None]
    losses = table.column("loss").to_pylist()
    assert (losses[0], math.isnan(losses[1]), losses[2]) == (None, True, 0.5)
    assert gitrepro.runs("status == crashed").to_arrow().num_rows == 0


def test_the_table_says_what_runs_were_trained_on(study: Path) -> None:
    split = {"name": "default", "version": "v1", "digest": "b3:5"}
    data = [{"name": name, "version": "v1", "digest": "b3:1", "splits": [split]} for name in ("digits", "mnist")]
    put(study, "four", 3, data=tuple(data), summary={"data": 0.5})
    table = gitrepro.runs("data == digits@v1 or lr == auto").to_arrow()

    assert table.column("data").to_pylist() == ["digits@v1 mnist@v1", None]
    assert table.column("split").to_pylist() == ["default@v1", None]
    assert table.column("metric.data").to_pylist() == [0.5, None]


def test_without_pandas_a_data_frame_is_a_clear_error(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UsageError, match="pip install pandas"):
        gitrepro.runs().to_pandas()


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.seen.add(tag)

    def handle_data(self, data: str) -> None:
        self.text += f"{data} "


def test_a_notebook_gets_a_table_in_which_all_text_is_escaped(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    evil = "</td><script>alert(1)</script><img src=x onerror=y>"
    put(repo, evil, 0, summary={evil: 0.123456, "text": evil}, config=config(**{evil: evil}), group=evil)
    monkeypatch.chdir(repo)
    for page in (gitrepro.runs()._repr_html_(), gitrepro.runs()[0]._repr_html_()):
        tags = Tags(page)
        assert tags.seen <= {"table", "thead", "tbody", "tr", "th", "td", "p"}
        assert evil in tags.text
        assert "0.1235" in tags.text
    assert gitrepro.runs("status == failed")._repr_html_() == "<p>no runs</p>"


def test_a_long_list_says_how_much_of_it_is_shown(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(repo, "one", 0)
    monkeypatch.chdir(repo)
    from gitrepro.run import html

    assert "50 of 60 runs" in html.table_of([gitrepro.runs()[0].listing] * 60)


# -- attempts


def attempts(repo: Path) -> list[str]:
    first = put(repo, "first", 0, [(step, step * 1.0, {"loss": 10.0 - step}) for step in range(6)])
    second = put(
        repo, "second", 1, [(3, 0.5, {"loss": 1.0, "acc": 0.3}), (4, 1.5, {"loss": 0.9})], resumes=first, lineage=first
    )
    third = put(repo, "third", 2, [(5, 0.25, {"loss": 0.8})], resumes=second, lineage=first)
    return [first, second, third]


def test_the_curve_of_a_resumed_run_goes_on_where_the_last_attempt_took_it_up(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = attempts(repo)
    monkeypatch.chdir(repo)
    run = gitrepro.runs()[0]

    assert run.attempts == tuple(ids)
    table = run.metrics()
    assert table.column_names == ["_seq", "_step", "_time_seconds", "acc", "loss"]
    assert table.column("_step").to_pylist() == [0, 1, 2, 3, 4, 5]
    assert table.column("_seq").to_pylist() == [0, 1, 2, 3, 4, 5]
    assert table.column("loss").to_pylist() == [10.0, 9.0, 8.0, 1.0, 0.9, 0.8]
    assert table.column("acc").to_pylist() == [None, None, None, 0.3, None, None]
    assert table.column("_time_seconds").to_pylist() == [0.0, 1.0, 2.0, 2.5, 3.5, 3.75]
    assert run.metrics(whole=False).column("loss").to_pylist() == [0.8]
    assert gitrepro.runs()[2].metrics().num_rows == 6


def test_a_step_that_a_later_attempt_did_again_counts_once_however_far_each_attempt_came(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = put(repo, "first", 0, [(step, 1.0 + step, {"loss": 1}) for step in range(10)])
    second = put(repo, "second", 1, [(8, 1.0, {"loss": 2}), (9, 2.0, {"loss": 2})], resumes=first, lineage=first)
    empty = put(repo, "empty", 2, resumes=second, lineage=first)
    put(repo, "last", 3, [(2, 1.0, {"loss": 0.5})], resumes=empty, lineage=first)
    monkeypatch.chdir(repo)
    table = gitrepro.runs()[0].metrics()

    assert table.column("_step").to_pylist() == [0, 1, 2]
    assert table.column("loss").to_pylist() == [1.0, 1.0, 0.5]


def test_a_missing_attempt_is_reported_and_the_own_rows_can_still_be_had(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = "01k3v9m2h8q4w5x6y7z8a9b0cd"
    put(repo, "last", 0, [(5, 0.25, {"loss": 0.8})], resumes=lost, lineage=lost)
    monkeypatch.chdir(repo)
    run = gitrepro.runs()[0]

    with pytest.raises(NotFound, match=lost):
        run.metrics()
    assert run.metrics(whole=False).num_rows == 1


def test_attempts_that_go_round_in_a_circle_are_called_damaged(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = "01k3v9m2h8q4w5x6y7z8a9b0ca", "01k3v9m2h8q4w5x6y7z8a9b0cb"
    put(repo, "one", 0, [(0, 0.0, {"loss": 1})], id=one, resumes=two, lineage=two)
    put(repo, "two", 1, [(1, 0.0, {"loss": 1})], id=two, resumes=one, lineage=one)
    monkeypatch.chdir(repo)

    assert len(gitrepro.runs()) == 2
    with pytest.raises(Damaged, match="circle"):
        gitrepro.runs()[0].metrics()
