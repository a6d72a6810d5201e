"""Which checkpoints stay, and what the record says of them in the end."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitrepro.checkpoints.keep import KEPT_AT_MOST, Keep, Shelf, Standing, keep_of, part_of
from gitrepro.checkpoints.record import from_events
from gitrepro.errors import UsageError
from gitrepro.records import yaml


def shelf_after(values: list[float], keep: Keep, *, goal: Any = "min", steps: list[int] | None = None) -> Shelf:
    shelf = Shelf()
    for place, value in enumerate(values):
        step = steps[place] if steps else place
        shelf.admit(Standing(blob=f"b{place}", step=step, metric=("m", goal), value=value), keep)
    return shelf


def roles(shelf: Shelf) -> dict[int, list[str]]:
    return {each.step: each.roles for each in shelf.standing}


def test_of_equal_values_the_earliest_is_the_best() -> None:
    assert roles(shelf_after([2.0, 1.0, 1.0], Keep())) == {1: ["best"], 2: ["last"]}


def test_the_goal_says_which_way_is_better() -> None:
    assert roles(shelf_after([2.0, 3.0, 1.0], Keep(), goal="max")) == {1: ["best"], 2: ["last"]}


def test_a_value_that_is_no_number_is_never_the_best() -> None:
    assert roles(shelf_after([float("nan"), 5.0, float("nan")], Keep())) == {1: ["best"], 2: ["last"]}


def test_the_first_at_or_after_each_multiple_stays() -> None:
    shelf = shelf_after([1.0] * 8, Keep(every_steps=100), steps=[0, 60, 120, 180, 200, 240, 310, 320])

    assert roles(shelf) == {0: ["best"], 120: ["kept"], 200: ["kept"], 310: ["kept"], 320: ["last"]}


def test_the_first_at_or_after_each_named_step_stays() -> None:
    assert roles(shelf_after([1.0] * 5, Keep(at_steps=(2, 3)))) == {0: ["best"], 2: ["kept"], 3: ["kept"], 4: ["last"]}


def test_the_newest_stay_as_many_as_wanted() -> None:
    assert roles(shelf_after([1.0] * 6, Keep(keep_last=3))) == {0: ["best"], 3: ["kept"], 4: ["kept"], 5: ["last"]}


def test_a_named_one_stays_until_another_takes_its_name() -> None:
    shelf = Shelf()
    for step, name in enumerate(["start", None, "start", None]):
        shelf.admit(Standing(blob=f"b{step}", step=step, name=name), Keep())

    assert roles(shelf) == {2: ["kept"], 3: ["last"]}


def test_each_metric_has_a_best_of_its_own() -> None:
    shelf = Shelf()
    for step, (name, value) in enumerate([("loss", 1.0), ("accuracy", 9.0), ("loss", 2.0), ("accuracy", 1.0)]):
        shelf.admit(Standing(blob=f"b{step}", step=step, metric=(name, "min"), value=value), Keep())

    assert roles(shelf) == {0: ["best"], 3: ["best", "last"]}


def test_the_same_bytes_again_are_one_checkpoint_that_keeps_what_it_had() -> None:
    shelf = Shelf()
    shelf.admit(Standing(blob="b", step=1, metric=("m", "min"), value=1.0, pinned=True), Keep())
    gone = shelf.admit(Standing(blob="b", step=2), Keep())

    assert gone == []
    assert roles(shelf) == {2: ["best", "last", "kept"]}


def test_no_more_stay_than_a_record_has_room_for() -> None:
    shelf = shelf_after([float(value) for value in range(KEPT_AT_MOST * 2)], Keep(every_steps=1))

    assert len(shelf.standing) <= KEPT_AT_MOST
    assert (shelf.standing[0].step, shelf.standing[0].roles) == (0, ["best"])
    assert shelf.standing[-1].last


@pytest.mark.parametrize(
    "wrong", [{"every_steps": 0}, {"every_steps": 1.5}, {"keep_last": 0}, {"keep_last": True}, {"at_steps": ("1",)}]
)
def test_a_schedule_of_no_numbers_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        keep_of(**wrong)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("val/loss", "val"), ("eval_loss", "val"), ("validation.accuracy", "val"), ("dev/f1", "val"),
        ("train/loss", "train"), ("trainLoss", "train"), ("loss/train", "train"), ("test_acc", "test"),
        ("loss", None), ("retrained/latest", None), ("value", None), ("holdout/auc", "test"),
        ("val/train_gap", "train"),
    ],
)  # fmt: skip
def test_the_part_of_the_data_is_read_from_the_name_of_a_metric(name: str, part: str | None) -> None:
    assert part_of(name) == part


def test_of_a_name_with_several_parts_the_gravest_counts() -> None:
    for words, part in {("test", "train", "val"): "test", ("train", "val"): "train"}.items():
        assert {part_of("/".join(each)) for each in permutations(words)} == {part}


# -- the record


def saved(blob: str, *roles: str, **more: Any) -> dict[str, Any]:
    metric = {"name": "val/loss", "goal": "min", "value": 1.0, "part": "val"}
    event = {
        "op": "checkpoint",
        "blob": f"b3:{blob}",
        "roles": list(roles),
        "step": 1,
        "size_bytes": 3,
        "metric": metric,
    }
    return {**event, "format": "safetensors", "holds": ["model"], "time_seconds": 0.5, **more}


def dropped(blob: str) -> dict[str, Any]:
    return {"op": "checkpoint_dropped", "blob": f"b3:{blob}", "why": "another one took its place"}


def standing(*events: dict[str, Any]) -> dict[str, list[str]]:
    return {entry["blob"][3:]: entry["roles"] for entry in from_events(events)}


def test_a_later_best_and_last_take_the_roles_over() -> None:
    assert standing(saved("a", "best", "last"), saved("b", "last"), saved("c", "best", "last")) == {
        "c": ["best", "last"]
    }
    assert standing(saved("a", "best", "last"), saved("b", "last")) == {"a": ["best"], "b": ["last"]}


def test_what_was_dropped_is_not_on_record() -> None:
    assert standing(saved("a", "kept"), saved("b", "kept"), dropped("a")) == {"b": ["kept"]}


def test_each_rank_and_each_metric_have_a_best_of_their_own() -> None:
    other = {"name": "val/accuracy", "goal": "max", "value": 1.0, "part": "val"}
    events = (saved("a", "best", "last"), saved("b", "best", "last", rank=1), saved("c", "best", "last", metric=other))

    assert standing(*events) == {"a": ["best"], "b": ["best", "last"], "c": ["best", "last"]}


def test_what_a_killed_run_had_not_yet_dropped_is_left_out_when_it_has_no_role() -> None:
    assert standing(saved("a", "last"), saved("b", "last")) == {"b": ["last"]}


def test_an_entry_has_the_fields_of_the_format_and_no_others() -> None:
    [entry] = from_events([saved("a", "last", name="step-1", created_at="2026-01-01T00:00:00Z", held_seconds=0.1)])

    assert sorted(entry) == [
        "blob", "created_at", "format", "holds", "metric", "name", "roles", "size_bytes", "step",
    ]  # fmt: skip
    assert yaml.load(yaml.dump({"checkpoints": [entry]}), source="")["checkpoints"] == [entry]


def test_a_foreign_event_does_no_harm() -> None:
    assert from_events([{"op": "checkpoint"}, {"op": "checkpoint", "blob": 3}, {"op": "checkpoint_dropped"}, {}]) == ()


@given(st.lists(st.tuples(st.floats(allow_nan=True), st.integers(0, 3)), max_size=30), st.integers(1, 3), st.data())
def test_what_the_events_add_up_to_is_what_stands_on_the_shelf(
    saves: list[tuple[float, int]], keep_last: int, data: Any
) -> None:
    keep = Keep(keep_last=keep_last, every_steps=data.draw(st.one_of(st.none(), st.integers(1, 5))))
    shelf, events = Shelf(), []
    for step, (value, _) in enumerate(saves):
        new = Standing(blob=f"b3:{step}", step=step, metric=("val/loss", "min"), value=value)
        gone = shelf.admit(new, keep)
        roles = {*new.roles, *(["kept"] if keep_last > 1 else [])}
        events.append(saved(str(step), *sorted(roles), step=step))
        events += [dropped(each.blob[3:]) for each in gone]

    assert [entry["blob"] for entry in from_events(events)] == [each.blob for each in shelf.standing]
    for entry, each in zip(from_events(events), shelf.standing, strict=True):
        assert set(each.roles) <= set(entry["roles"])
        assert set(entry["roles"]) - set(each.roles) <= {"kept"}
