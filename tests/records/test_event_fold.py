"""What events add up to does not depend on the order in which clones hear of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gitrepro.records import ids
from gitrepro.records.event import OPERATIONS, Event, fold_events

RUN = ids.new_id(now_ms=1)
IDS = sorted(ids.new_id(now_ms=moment) for moment in range(2, 14))


@st.composite
def events(draw: st.DrawFn) -> list[Event]:
    """Facts about one run, some of them made at the same time by clones that knew nothing of each other."""
    made = []
    for event_id in draw(st.lists(st.sampled_from(IDS), unique=True, max_size=8)):
        op = draw(st.sampled_from(OPERATIONS))
        observed = draw(st.lists(st.sampled_from(IDS), max_size=3)) if op in ("unlabel", "unwaive") else []
        made.append(event(event_id, op, draw(st.sampled_from(["a", "b", "c"])), draw(st.integers(1, 4)), *observed))
    return made


def event(event_id: str, op: str, value: Any, clock: int, *observed: str) -> Event:
    return Event(id=event_id, subject=RUN, op=op, value=value, actor={}, at="", clock=clock, observed=observed)


@given(events().flatmap(lambda made: st.tuples(st.just(made), st.permutations(made))))
def test_the_order_of_hearing_makes_no_difference(both: tuple[list[Event], list[Event]]) -> None:
    made, shuffled = both

    assert fold_events(shuffled, labels=("a", "x")) == fold_events(made, labels=("a", "x"))


@given(events(), st.integers(-(365 * 86_400), 365 * 86_400))
def test_a_clock_that_is_a_year_off_makes_no_difference(made: list[Event], off: int) -> None:
    late = [replace(each, at=f"{off}") for each in made]
    told, again = fold_events(made), fold_events(late)

    assert (told.labels, told.notes, told.name, told.group, told.removed, told.clock) == (
        again.labels, again.notes, again.name, again.group, again.removed, again.clock,
    )  # fmt: skip


def test_of_two_names_the_later_clock_wins_and_of_equal_clocks_the_higher_id() -> None:
    assert fold_events([event(IDS[1], "name", "late", 2), event(IDS[0], "name", "early", 1)]).name == "late"
    assert fold_events([event(IDS[1], "name", "high", 1), event(IDS[0], "name", "low", 1)]).name == "high"


def test_a_label_that_was_put_on_elsewhere_at_the_same_time_stays() -> None:
    taken = [event(IDS[0], "label", "good", 1), event(IDS[1], "unlabel", "good", 2, IDS[0])]

    assert fold_events(taken).labels == ()
    assert fold_events([*taken, event(IDS[2], "label", "good", 2)]).labels == ("good",)


def test_what_is_put_back_later_is_on_the_list_again() -> None:
    gone = event(IDS[0], "remove", None, 1)

    assert fold_events([gone]).removed
    assert not fold_events([event(IDS[1], "restore", None, 2), gone]).removed


def test_waivers_and_what_takes_them_back_are_all_kept() -> None:
    waive, unwaive = event(IDS[0], "waive", {}, 1), event(IDS[1], "unwaive", {}, 2, IDS[0])

    found = fold_events([unwaive, waive])

    assert (found.waivers, found.withdrawals) == ((waive,), (unwaive,))
