"""The ways to split, as functions of ids, groups, labels and times. The laws hold for any of them."""

from __future__ import annotations

import datetime
import itertools
import math
import random
from collections import Counter
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits, load_iris, load_wine

from gitrepro.data import splitting
from gitrepro.data.splitting.balance import classes_in, deviation, total_variation, variation_by_chance
from gitrepro.data.splitting.groups import straddling
from gitrepro.errors import UsageError

USUAL = {"train": 0.8, "val": 0.1, "test": 0.1}

idlists = st.lists(st.text(max_size=12), unique=True, min_size=1, max_size=60)
fractions = st.lists(st.integers(1, 20), min_size=1, max_size=5).map(
    lambda weights: {f"part-{at}": weight / sum(weights) for at, weight in enumerate(weights)}
)


def named(ids: list[str], parts: dict[str, np.ndarray]) -> dict[str, set[str]]:
    return {name: {ids[at] for at in places.tolist()} for name, places in parts.items()}


def part_of(ids: list[str], parts: dict[str, np.ndarray]) -> dict[str, str]:
    return {ids[at]: name for name, places in parts.items() for at in places.tolist()}


def check_exact_cover(count: int, parts: dict[str, np.ndarray]) -> None:
    assert sorted(at for places in parts.values() for at in places.tolist()) == list(range(count))
    assert all(places.dtype == np.int64 and (np.diff(places) > 0).all() for places in parts.values())


def shares(**given: float) -> dict[str, Fraction]:
    return splitting.shares_of(given or USUAL)


# -- fractions


def test_fractions_are_the_decimals_that_people_write() -> None:
    assert splitting.shares_of({"a": 0.7, "b": 0.2, "c": 0.1}) == {
        "a": Fraction(7, 10), "b": Fraction(1, 5), "c": Fraction(1, 10),
    }  # fmt: skip


def test_thirds_are_taken_for_a_whole() -> None:
    assert splitting.shares_of({"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}) == dict.fromkeys("abc", Fraction(1, 3))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"train": 0.8, "test": 0.1}, "sum to 0.9"),
        ({"train": 0.9, "test": 0.2}, "sum to 1.1"),
        ({"train": 1.5, "test": -0.5}, "fraction of train is 1.5"),
        ({"train": 1.0, "test": 0.0}, "fraction of test is 0.0"),
        ({"train": math.nan}, "fraction of train is nan"),
        ({"a part": 1.0}, "cannot name a part"),
        ({}, "sum to 0"),
    ],
)
def test_fractions_that_cannot_be_are_refused(given: dict[str, float], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        splitting.shares_of(given)


def test_folds_share_equally_what_the_test_part_leaves() -> None:
    folds = splitting.fold_shares(4, {"test": 0.2})

    assert folds == {"test": Fraction(1, 5), **{f"fold-{at}": Fraction(1, 5) for at in range(4)}}


@pytest.mark.parametrize(
    ("folds", "beside"), [(1, {}), (1001, {}), (3, {"test": 1.0}), (3, {"fold-1": 0.1}), (2, {"a": 0.6, "b": 0.6})]
)
def test_folds_that_cannot_be_are_refused(folds: int, beside: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        splitting.fold_shares(folds, beside)


# -- by hash


@given(idlists, fractions, st.text(max_size=8))
def test_by_hash_every_item_has_one_part(ids: list[str], given: dict[str, float], salt: str) -> None:
    check_exact_cover(len(ids), splitting.by_hash(ids, splitting.shares_of(given), salt=salt))


@given(idlists, st.lists(st.text(max_size=12), max_size=60), fractions)
def test_by_hash_items_that_are_added_move_none(ids: list[str], added: list[str], given: dict[str, float]) -> None:
    more = [*dict.fromkeys([*added, *ids])]

    before = part_of(ids, splitting.by_hash(ids, splitting.shares_of(given), salt="s"))
    after = part_of(more, splitting.by_hash(more, splitting.shares_of(given), salt="s"))

    assert {each: after[each] for each in ids} == before


@given(idlists, fractions, st.randoms(use_true_random=False))
def test_the_order_of_the_ids_does_not_matter(ids: list[str], given: dict[str, float], chance: random.Random) -> None:
    mixed = chance.sample(ids, len(ids))
    wanted = splitting.shares_of(given)
    label = {each: f"{len(each) % 3}" for each in ids}
    group = {each: each[:1] for each in ids}

    def divided(order: list[str]) -> list[dict[str, set[str]]]:
        labels, groups = [label[each] for each in order], [group[each] for each in order]
        return [
            named(order, splitting.by_hash(order, wanted, salt="s")),
            named(order, splitting.by_hash(order, wanted, salt="s", groups=groups)),
            named(order, splitting.by_rank(order, wanted, salt="s", labels=labels)),
            named(order, splitting.by_balance(order, wanted, salt="s", groups=groups, labels=labels)),
        ]

    assert divided(mixed) == divided(ids)


def test_the_parts_of_a_release_stay_what_they_are() -> None:
    ids = [str(number) for number in range(20)]

    assert [places.tolist() for places in splitting.by_hash(ids, shares(), salt="default:0").values()] == [
        [2, 7, 8],
        [0, 1, 3, 4, 5, 6, 9, 10, 11, 12, 14, 15, 16, 17, 18, 19],
        [13],
    ]


def test_sizes_by_hash_are_binomial() -> None:
    # 5 standard deviations, over 60 independent splits: one false alarm in 30,000 sessions, and the salts are fixed.
    ids = [f"images/{number:05d}.png" for number in range(4000)]
    for seed in range(60):
        sizes = {name: len(each) for name, each in splitting.by_hash(ids, shares(), salt=f"s:{seed}").items()}
        for name, share in USUAL.items():
            assert abs(sizes[name] - share * 4000) < 5 * math.sqrt(4000 * share * (1 - share))


def test_two_salts_make_independent_splits() -> None:
    ids = [str(number) for number in range(5000)]
    first, second = (splitting.by_hash(ids, shares(a=0.5, b=0.5), salt=salt)["a"] for salt in ("x:0", "x:1"))

    assert abs(len({*first.tolist()} & {*second.tolist()}) - 1250) < 5 * math.sqrt(5000 * 0.25 * 0.75)


def test_a_larger_test_part_keeps_the_test_items_it_had() -> None:
    ids = [str(number) for number in range(500)]
    small = splitting.by_hash(ids, shares(train=0.9, test=0.1), salt="s")["test"]
    large = splitting.by_hash(ids, shares(train=0.7, test=0.3), salt="s")["test"]

    assert {*small.tolist()} < {*large.tolist()}


def test_an_item_that_is_called_like_a_group_does_not_follow_it() -> None:
    ids = [str(number) for number in range(300)]
    by_id = splitting.by_hash(ids, shares(a=0.5, b=0.5), salt="s")
    by_group = splitting.by_hash(ids, shares(a=0.5, b=0.5), salt="s", groups=[*ids])

    assert by_id["a"].tolist() != by_group["a"].tolist()


# -- groups

grouped = st.lists(st.tuples(st.none() | st.sampled_from("abcdefgh"), st.sampled_from("xyz")), min_size=1, max_size=60)


@given(grouped, fractions)
def test_no_way_tears_a_group(items: list[tuple[str | None, str]], given: dict[str, float]) -> None:
    ids = [str(number) for number in range(len(items))]
    groups, labels = [group for group, _ in items], [label for _, label in items]
    wanted = splitting.shares_of(given)

    for parts in (
        splitting.by_hash(ids, wanted, salt="s", groups=groups),
        splitting.by_balance(ids, wanted, salt="s", groups=groups, labels=labels),
        splitting.by_balance(ids, wanted, salt="s", groups=groups),
    ):
        check_exact_cover(len(ids), parts)
        assert straddling(parts, groups) == {}


def test_a_torn_group_is_found_and_named() -> None:
    parts = {"train": np.array([0, 1]), "test": np.array([2, 3])}
    groups = ["p1", "p2", "p2", None]

    assert straddling(parts, groups) == {"p2": ["test", "train"]}
    with pytest.raises(UsageError, match="1 group stands in more than one part") as caught:
        splitting.check_whole(parts, groups)
    assert caught.value.why == "'p2' in test, train"


def test_groups_are_dealt_near_their_shares() -> None:
    chance = random.Random(5)
    groups = [f"patient-{chance.randrange(150)}" for _ in range(3000)]
    labels = [chance.choice("aab") for _ in groups]
    ids = [str(number) for number in range(3000)]

    parts = splitting.by_balance(ids, shares(), salt="s", groups=groups, labels=labels)

    assert deviation(classes_in(parts, labels), shares()) < 0.02


def test_groups_are_folders_or_what_a_pattern_finds() -> None:
    ids = ["a/p1/x.png", "a/p2/y.png", "z.png"]

    assert splitting.folder_groups(ids) == ["a/p1", "a/p2", ""]
    assert splitting.pattern_groups(ids[:2], r"/(p\d)/") == ["p1", "p2"]
    assert splitting.pattern_groups(ids, r"[xyz]\.png") == ["x.png", "y.png", "z.png"]


@pytest.mark.parametrize(
    ("pattern", "says"), [(r"/(p\d)/", "nothing in 1 of 2"), ("(", "no regular"), ("x" * 2000, "2,000")]
)
def test_a_pattern_that_cannot_group_is_refused(pattern: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        splitting.pattern_groups(["a/p1/x.png", "z.png"], pattern)


# -- by rank

labelled = st.lists(st.none() | st.sampled_from("abcde"), min_size=1, max_size=80)


@given(labelled, fractions)
def test_by_rank_each_class_is_shared_to_within_one_item(labels: list[str | None], given: dict[str, float]) -> None:
    ids = [str(number) for number in range(len(labels))]
    wanted = splitting.shares_of(given)

    parts = splitting.by_rank(ids, wanted, salt="s", labels=labels)

    check_exact_cover(len(ids), parts)
    counts = classes_in(parts, labels)
    for label, total in Counter(labels).items():
        assert all(abs(counts[name][label] - share * total) < 1 for name, share in wanted.items())


def test_many_small_classes_still_give_each_part_its_size() -> None:
    labels = [f"class-{number // 3}" for number in range(300)]
    ids = [str(number) for number in range(300)]

    parts = splitting.by_rank(ids, shares(), salt="s", labels=labels)

    assert {name: len(places) for name, places in parts.items()} == {"test": 30, "train": 240, "val": 30}


@pytest.mark.parametrize("load", [load_digits, load_wine, load_iris])
def test_real_classes_lie_in_the_parts_as_in_the_whole(load: Any) -> None:
    labels = [str(label) for label in load().target]
    ids = [str(number) for number in range(len(labels))]

    parts = splitting.by_rank(ids, shares(), salt="s", labels=labels)

    whole = Counter(labels)
    for counts in classes_in(parts, labels).values():
        assert total_variation(counts, whole) < 0.06
        assert {*counts} == {*whole}


def test_without_labels_the_sizes_are_exact() -> None:
    ids = [str(number) for number in range(150)]

    parts = splitting.by_rank(ids, shares(), salt="s")

    assert {name: len(places) for name, places in parts.items()} == {"test": 15, "train": 120, "val": 15}


# -- by column


def test_values_of_a_column_name_the_parts_and_a_missing_one_leaves_out() -> None:
    parts = splitting.by_column(["train", "test", None, "train"])

    assert {name: places.tolist() for name, places in parts.items()} == {"test": [1], "train": [0, 3]}


def test_values_of_a_column_are_mapped_to_parts_or_left_out() -> None:
    parts = splitting.by_column(["0", "1", "2", "1"], parts_of={"0": "train", "1": "test", "2": ""})

    assert {name: places.tolist() for name, places in parts.items()} == {"test": [1, 3], "train": [0]}


@pytest.mark.parametrize(
    ("values", "mapping", "says"),
    [
        (["a", "b", "c"], {"a": "train"}, "2 values have no part"),
        (["a"], {"a": "train", "b": "test"}, "1 values do not occur"),
        (["my train"], None, "'my train' cannot name a part"),
        ([str(number) for number in range(2000)], None, "2,000 different values"),
    ],
)
def test_a_column_that_names_no_parts_is_refused(
    values: list[str | None], mapping: dict[str, str] | None, says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        splitting.by_column(values, parts_of=mapping)


# -- by time


@given(st.lists(st.integers(-5, 30), min_size=1, max_size=60), fractions)
def test_no_part_has_anything_later_than_the_next_part(values: list[int], given: dict[str, float]) -> None:
    times = splitting.moments_of(values).values
    wanted = splitting.shares_of(given)
    try:
        cuts = splitting.cuts_at(times, list(wanted.values()))
    except UsageError as error:
        assert "same time" in error.why
        return
    parts = splitting.by_time(times, list(wanted), cuts=cuts)

    check_exact_cover(len(values), parts)
    filled = [times[places] for places in parts.values()]
    assert all(len(each) for each in filled)
    assert all(before.max() < after.min() for before, after in itertools.pairwise(filled))


def test_fractions_of_time_are_cut_where_they_fall_and_ties_go_together_into_the_later_part() -> None:
    times = splitting.moments_of([1, 2, 3, 4, 4, 4, 7, 8, 9, 10]).values

    (cut,) = splitting.cuts_at(times, [Fraction(1, 2), Fraction(1, 2)])
    parts = splitting.by_time(times, ["train", "test"], cuts=[cut])

    assert cut == 4
    assert [len(places) for places in parts.values()] == [3, 7]


@pytest.mark.parametrize(
    "values",
    [
        ["2026-01-03", "2026-01-01", "2026-01-02"],
        [datetime.date(2026, 1, 3), datetime.date(2026, 1, 1), datetime.date(2026, 1, 2)],
        ["2026-01-03T00:00:00+00:00", "2025-12-31T23:00:00-01:00", "2026-01-02T00:00Z"],
        [3, 1, 2],
        ["3.5", "1", "2"],
        [1_767_225_600_000_000_003, 1_767_225_600_000_000_001, 1_767_225_600_000_000_002],
    ],
)
def test_dates_and_numbers_are_read_as_times(values: list[object]) -> None:
    assert np.argsort(splitting.moments_of(values).values).tolist() == [1, 2, 0]


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (["2026-01-01", None], "1 of 2 items have no time"),
        (["2026-01-01", "soon"], "1 of 2 items have no time"),
        ([1.0, math.nan], "1 of 2 items have no time"),
        ([True, False], "2 of 2 items have no time"),
        (["2026-01-01", 5], "numbers and dates"),
        (["2026-01-01T00:00:00", "2026-01-01T00:00:00Z"], "with and without a time zone"),
    ],
)
def test_what_is_no_time_is_refused(values: list[object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        splitting.moments_of(values)


def test_a_cut_has_to_be_of_the_kind_of_the_times() -> None:
    dates, numbers = splitting.moments_of(["2026-01-01"]), splitting.moments_of([1, 2])

    assert dates.text(dates.cut("2026-02-01")) == "2026-02-01T00:00:00+00:00"
    with pytest.raises(UsageError, match="does not fit the times"):
        dates.cut("7")
    with pytest.raises(UsageError, match="does not fit the times"):
        numbers.cut("2026-02-01")


def test_cuts_ascend_and_there_is_one_between_two_parts() -> None:
    times = np.array([1, 2, 3])

    with pytest.raises(UsageError, match="do not ascend"):
        splitting.by_time(times, ["a", "b", "c"], cuts=[2, 2])
    with pytest.raises(UsageError, match="1 cuts do not make 3 parts"):
        splitting.by_time(times, ["a", "b", "c"], cuts=[2])


def test_a_group_goes_where_its_latest_item_goes() -> None:
    times = splitting.latest_of_groups(np.array([1, 9, 2, 3]), ["p", "p", None, "q"])

    assert times.tolist() == [9, 9, 2, 3]


# -- balance


def test_total_variation_is_nothing_for_equal_shares_and_one_for_strangers() -> None:
    whole = Counter({"a": 50, "b": 50})

    assert total_variation(Counter({"a": 5, "b": 5}), whole) == 0
    assert total_variation(Counter({"a": 10}), whole) == 0.5


def test_variation_by_chance_is_what_random_draws_have_on_average() -> None:
    labels = [*"aaaaabbbccdddddddddd" * 20]
    whole, chance = Counter(labels), random.Random(3)
    drawn = [total_variation(Counter(chance.sample(labels, 60)), whole) for _ in range(2000)]

    assert variation_by_chance(Counter(chance.sample(labels, 60)), whole) == pytest.approx(
        sum(drawn) / len(drawn), rel=0.1
    )
