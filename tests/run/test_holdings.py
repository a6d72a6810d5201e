"""What a run was given and what it kept: from events of its journals to the fields of its record."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitrepro.errors import Damaged
from gitrepro.records import yaml
from gitrepro.records.run import load_run
from gitrepro.run.compose import compose
from gitrepro.run.holdings import ARTIFACTS_AT_MOST, CHECKPOINTS_AT_MOST, Holdings, holdings
from gitrepro.store.journal import JournalWriter
from gitrepro.store.journal_reader import Journal

[LIVE] = (Path(__file__).parent.parent / "golden" / "v1" / "live").iterdir()
DIGITS, MORE, SPLIT = (f"b3:{character * 64}" for character in "abc")


def dataset(**changes: Any) -> dict[str, Any]:
    told = {
        "op": "dataset",
        "name": "digits",
        "version": "v1",
        "digest": DIGITS,
        "kind": "npz",
        "items": 1797,
        "size_bytes": 460_000,
        "linked": False,
        "checked": "stat",
    }
    return {**told, **changes}


def split(**changes: Any) -> dict[str, Any]:
    parts = {"train": 1437, "val": 180, "test": 180}
    told = {"op": "split", "data": DIGITS, "dataset": "digits", "name": "default", "version": "v1", "digest": SPLIT}
    return {**told, "parts": parts, **changes}


def reads(**counts: int) -> dict[str, Any]:
    return {"op": "reads", "data": DIGITS, "split": SPLIT, "reads": counts}


def checkpoint(number: int, **changes: Any) -> dict[str, Any]:
    told = {
        "op": "checkpoint",
        "blob": f"b3:{number:064x}",
        "name": f"step-{number}",
        "step": number,
        "roles": ["kept"],
    }
    return {**told, "size_bytes": 10, "created_at": "2026-01-02T03:04:05.000000Z", "metric": None, **changes}


def artifact(name: str, digit: str = "1", **changes: Any) -> dict[str, Any]:
    told = {"op": "artifact", "blob": f"b3:{digit * 64}", "kind": "artifact", "name": name, "size_bytes": 3}
    return {**told, "media_type": "text/plain", **changes}


def folded(*processes: list[dict[str, Any]], known: tuple[Any, ...] = ()) -> tuple[Holdings, list[dict[str, Any]]]:
    """The holdings of a run whose processes said these events, and what of them was left out."""
    losses: list[dict[str, Any]] = []
    journals = [Journal(header={"rank": place}, events=events) for place, events in enumerate(processes)]
    return holdings(known, journals, losses), losses


def test_data_is_named_once_however_many_processes_say_so() -> None:
    found, losses = folded([dataset(), split()], [dataset(), split()])

    [entry] = found.data
    assert entry["digest"] == DIGITS
    assert [each["digest"] for each in entry["splits"]] == [SPLIT]
    assert losses == []


def test_the_strongest_check_of_all_processes_counts() -> None:
    found, _ = folded([dataset(checked="stat")], [dataset(checked="full")], [dataset(checked="sample")])

    assert found.data[0]["checked"] == "full"


def test_reads_are_the_last_word_of_each_process_summed_over_the_processes() -> None:
    one = [dataset(), split(), reads(train=10), reads(train=25, val=3)]
    found, _ = folded(one, [dataset(), split(), reads(train=5, test=2)])

    assert found.data[0]["splits"][0]["reads"] == {"test": 2, "train": 30, "val": 3}


def test_data_that_a_command_named_stands_first_and_its_reads_are_those_of_the_program() -> None:
    entry = {key: value for key, value in dataset().items() if key != "op"}
    named = {key: value for key, value in split().items() if key not in ("op", "data", "dataset")}
    known = ({**entry, "splits": [named]},)
    found, _ = folded([dataset(name="more", digest=MORE), dataset(), split(), reads(train=7)], known=known)

    assert [each["name"] for each in found.data] == ["digits", "more"]
    assert found.data[0]["splits"] == [{**named, "reads": {"train": 7}}]


def test_a_split_whose_data_set_is_lost_still_stands_with_its_name() -> None:
    found, _ = folded([split()])

    assert found.data[0]["name"] == "digits"
    assert found.data[0]["splits"][0]["digest"] == SPLIT


def test_a_checkpoint_that_was_dropped_is_not_in_the_record() -> None:
    dropped = {"op": "checkpoint_dropped", "blob": checkpoint(1)["blob"], "why": "another one took its place"}
    found, _ = folded([checkpoint(1), checkpoint(2), dropped])

    assert [each["step"] for each in found.checkpoints] == [2]


def test_a_checkpoint_keeps_what_it_says_of_where_it_came_from() -> None:
    found, _ = folded([checkpoint(1, provenance={"commit": "c" * 40})])

    assert found.checkpoints[0]["provenance"] == {"commit": "c" * 40}


def test_the_best_stands_in_a_record_that_has_no_room_for_all() -> None:
    events = [checkpoint(0, roles=["best"]), *(checkpoint(number) for number in range(1, CHECKPOINTS_AT_MOST + 50))]
    found, _ = folded(events)

    assert len(found.checkpoints) <= CHECKPOINTS_AT_MOST
    assert found.checkpoints[0]["roles"] == ["best"]
    assert found.checkpoints[-1]["step"] == CHECKPOINTS_AT_MOST + 49


def test_checkpoints_that_take_too_much_room_are_cut_and_told() -> None:
    wide = {"provenance": {"data": [DIGITS] * 50}}
    found, losses = folded(
        [checkpoint(number, roles=["best"] if number == 7 else ["kept"], **wide) for number in range(100)]
    )

    assert 0 < len(found.checkpoints) < 100
    assert found.checkpoints[0]["step"] == 7
    assert [each["step"] for each in found.checkpoints[-2:]] == [98, 99]
    assert [loss["kind"] for loss in losses if "checkpoints more" in loss["what"]] == ["limit"]


def test_of_two_artifacts_of_one_name_the_later_one_stands() -> None:
    found, _ = folded([artifact("plot.png", "1"), artifact("other.txt"), artifact("plot.png", "2")])

    assert {each["name"]: each["blob"][-1] for each in found.artifacts} == {"plot.png": "2", "other.txt": "1"}


def test_files_that_were_taken_in_are_listed_each() -> None:
    events = [artifact("a", "1", kind="output-file"), artifact("a", "2", kind="output-file")]

    assert len(folded(events)[0].artifacts) == 2


def test_artifacts_beyond_the_room_are_told_and_the_record_can_be_written() -> None:
    found, losses = folded([artifact(f"plots/{number:04d}-{'x' * 150}.png") for number in range(ARTIFACTS_AT_MOST + 5)])

    assert len(found.artifacts) < ARTIFACTS_AT_MOST
    assert sum("artifacts more" in loss["what"] for loss in losses) == 1
    assert len(yaml.dump({"artifacts": list(found.artifacts)})) < 400 << 10


def test_of_what_was_fitted_the_last_under_a_name_stands() -> None:
    told = {"op": "fitted", "name": "pixels", "method": "mean_std", "part": "train", "count": 3}
    found, _ = folded([{**told, "ids": DIGITS}, {**told, "ids": MORE}])

    assert [each["ids"] for each in found.fitted] == [MORE]


# -- through a real folder


@pytest.fixture
def live(tmp_path: Path) -> Path:
    """A live folder whose second process has told of data, a checkpoint and an artifact."""
    folder = tmp_path / LIVE.name
    shutil.copytree(LIVE, folder)
    journal = JournalWriter(folder, run_id=LIVE.name, rank=0, origin=1000.0)
    for event in (dataset(), split(), reads(train=12), checkpoint(3, roles=["best", "last"]), artifact("a.txt")):
        journal.event(event)
    journal.sync()
    journal.close()
    return folder


def test_the_same_folder_gives_the_same_bytes(live: Path) -> None:
    first, second = (compose(live, blobs=None) for _ in range(2))

    assert first.files == second.files
    record = load_run(first.files["run.yaml"], source="run.yaml")
    assert record.data[0]["splits"][0]["reads"] == {"train": 12}
    assert record.checkpoints[0]["roles"] == ["best", "last"]
    assert [each["name"] for each in record.artifacts] == ["a.txt"]
    assert record.recorder["start_config"].startswith("b3:")


def test_a_run_without_any_of_it_has_the_record_it_always_had() -> None:
    record = compose(LIVE, blobs=None).record

    assert (record.data, record.checkpoints, record.fitted) == ((), (), ())
    assert b"fitted" not in record.dump()
    assert "start_config" not in record.recorder


@pytest.mark.parametrize(
    ("field", "entry"),
    [
        ("data", "digits"),
        ("data", {"digest": 3}),
        ("data", {"items": -1}),
        ("data", {"splits": {"default": 1}}),
        ("data", {"splits": [{"parts": {"train": "many"}}]}),
        ("data", {"splits": [{"reads": {"train": 1.5}}]}),
        ("checkpoints", {"roles": "best"}),
        ("checkpoints", {"metric": "val/loss"}),
        ("artifacts", {"name": None}),
        ("fitted", {"count": True}),
        ("fitted", [1]),
    ],
)
def test_a_record_whose_data_or_content_is_of_another_type_is_damaged(live: Path, field: str, entry: Any) -> None:
    document = compose(live, blobs=None).record.document()

    with pytest.raises(Damaged, match=field):
        load_run(yaml.dump({**document, field: [entry]}), source="run.yaml")


@given(
    st.lists(st.dictionaries(st.sampled_from(["train", "val", "test"]), st.integers(0, 10**9)), max_size=8),
    st.lists(st.dictionaries(st.sampled_from(["train", "val", "test"]), st.integers(0, 10**9)), max_size=8),
)
def test_counts_never_go_back_whatever_order_they_come_in(
    one: list[dict[str, int]], other: list[dict[str, int]]
) -> None:
    processes = [[dataset(), split(), *(reads(**counts) for counts in told)] for told in (one, other)]
    found, _ = folded(*processes)

    wanted: dict[str, int] = {}
    for told in (one, other):
        most: dict[str, int] = {}
        for counts in told:
            most |= {part: max(count, most.get(part, 0)) for part, count in counts.items()}
        for part, count in most.items():
            wanted[part] = wanted.get(part, 0) + count
    assert found.data[0]["splits"][0]["reads"] == wanted
