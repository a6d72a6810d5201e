"""The record of a split and the blob with its ids: one way to write each, and a reader that takes no other."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitrepro.errors import Damaged, GitreproError, TooNew, UsageError
from gitrepro.records.partition import Partition, escape, id_lines, load_partition, unescape
from gitrepro.records.split import SplitRecord, check_name, load_split
from gitrepro.store.objects import digest_of

DATA = "b3:" + "ab" * 32
RECORD = SplitRecord(
    name="default",
    version="v2",
    digest="b3:" + "cd" * 32,
    dataset={"name": "digits", "version": "v1", "digest": DATA},
    rule={"by": "hash", "fractions": {"test": 0.2, "train": 0.8}, "group": None},
    parts={"test": 2, "train": 8},
    classes={"test": {"0": 1, "1": 1}, "train": {"0": 4, "1": 4}},
    seed=0,
    stable=True,
    created_at="2026-11-22T10:00:00.000000Z",
    actor={"name": "Ada", "email": "ada@example.org"},
)
SMALL = Partition(data=DATA, ids="path", rule={"by": "import"}, parts={"train": ["b", "a"], "test": ["c\n", "d\\"]})
SMALL_BYTES = (
    f"gitrepro split 1\ndata {DATA}\nids path\nrule "
    + '{"by":"import"}\npart test 2\nc\\x0a\nd\\\\\npart train 2\na\nb\n'
).encode()


# -- the record


def test_a_record_comes_back_as_it_was_written() -> None:
    assert load_split(RECORD.dump(), source="it") == RECORD
    assert RECORD.path == f"splits/digits/default/{'cd' * 32}.yaml"


def test_fields_of_a_later_writer_are_kept() -> None:
    document = {**RECORD.document(), "from_the_future": [1, 2]}
    from gitrepro.records import yaml

    record = load_split(yaml.dump(document), source="it")

    assert record.unknown == {"from_the_future": [1, 2]}
    assert record.dump() == yaml.dump(document)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "../x"),
        ("version", ""),
        ("digest", "b3:12"),
        ("dataset", {"name": "digits"}),
        ("parts", {"train": -1}),
        ("parts", {"a b": 1}),
        ("classes", {"train": {"0": "many"}}),
        ("stable", 1),
        ("seed", True),
        ("deviation", "0.1"),
        ("rule", []),
    ],
)
def test_a_field_of_another_type_is_damage(field: str, value: Any) -> None:
    from gitrepro.records import yaml

    with pytest.raises(Damaged, match=field):
        load_split(yaml.dump({**RECORD.document(), field: value}), source="it")


def test_a_newer_record_asks_for_an_upgrade() -> None:
    from gitrepro.records import yaml

    with pytest.raises(TooNew, match="format 2"):
        load_split(yaml.dump({**RECORD.document(), "format": 2}), source="it")


@pytest.mark.parametrize("name", ["", "-x", "a/b", "..", "x" * 101, "a b", "ä"])
def test_what_cannot_be_a_path_cannot_be_a_name(name: str) -> None:
    with pytest.raises(UsageError, match="cannot name"):
        check_name(name)


# -- the blob


def test_the_bytes_of_a_split_are_these() -> None:
    assert SMALL.dump() == SMALL_BYTES


def test_rows_stand_as_ascending_numbers() -> None:
    partition = Partition(data=DATA, ids="row", rule={}, parts={"train": ["10", "9", "2"]})

    assert partition.dump().endswith(b"part train 3\n2\n9\n10\n")


words = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=8)


values = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | words


@st.composite
def partitions(draw: st.DrawFn) -> Partition:
    rows = draw(st.booleans())
    ids = draw(st.lists(st.integers(0, 999).map(str) if rows else words, unique=True, max_size=30))
    names = draw(st.lists(st.from_regex("[A-Za-z0-9][A-Za-z0-9._-]{0,5}", fullmatch=True), unique=True, min_size=1))
    parts: dict[str, list[str]] = {name: [] for name in names}
    for each in ids:
        parts[draw(st.sampled_from(names))].append(each)
    rule = draw(st.dictionaries(words, values, max_size=4))
    kind = "row" if rows else draw(st.sampled_from(["path", "column:x", "column:a\nb\\"]))
    return Partition(data=DATA, ids=kind, rule=rule, parts=parts)


@given(partitions())
def test_a_split_comes_back_as_it_was_written(partition: Partition) -> None:
    data = partition.dump()

    back = load_partition(data, source="it")

    assert (back.data, back.ids, dict(back.rule)) == (partition.data, partition.ids, dict(partition.rule))
    assert {name: {*ids} for name, ids in back.parts.items()} == {name: {*ids} for name, ids in partition.parts.items()}
    assert back.dump() == data


@given(partitions(), st.randoms(use_true_random=False))
def test_the_order_in_which_ids_are_given_does_not_change_the_digest(partition: Partition, chance: Any) -> None:
    mixed = {name: chance.sample(ids, len(ids)) for name, ids in reversed(partition.parts.items())}

    assert digest_of([replace(partition, parts=mixed).dump()]) == digest_of([partition.dump()])


@given(st.binary(max_size=60), st.integers(0, len(SMALL_BYTES)), st.integers(0, 40))
def test_changed_bytes_are_damage_or_another_split_in_its_own_bytes(patch: bytes, at: int, cut: int) -> None:
    data = SMALL_BYTES[:at] + patch + SMALL_BYTES[at + cut :]
    try:
        partition = load_partition(data, source="it")
    except GitreproError:
        return
    assert partition.dump() == data


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("gitrepro split 1", "gitrepro split one", 1),
        ("data b3:", "data b4:", 2),
        ("ids path", "ids number", 3),
        ('{"by":"import"}', '{"by": "import"}', 4),
        ('{"by":"import"}', '["import"]', 4),
        ('{"by":"import"}', "[" * 100_000, 4),
        ("part test 2", "part test 3", 9),
        ("part test 2", "part zest 2", 8),
        ("part test 2", "part test 02", 5),
        ("\na\nb\n", "\nb\na\n", 10),
        ("\na\nb\n", "\na\na\n", 10),
        ("\na\nb\n", "\na\nd\\\\\n", 10),
        ("c\\x0a", "c\\x0A", 6),
        ("c\\x0a", "c\\x41", 6),
        ("\nb\n", "\nb", 10),
        ("part train 2", "part train 999999999999", 10),
    ],
)
def test_damage_is_told_with_its_line(old: str, new: str, line: int) -> None:
    data = SMALL_BYTES.replace(old.encode(), new.encode(), 1)
    assert data != SMALL_BYTES

    with pytest.raises(Damaged, match=f"it is damaged at line {line}$"):
        try:
            load_partition(data, source="it")
        except Damaged as error:
            raise Damaged(error.what) from None


def test_a_newer_blob_asks_for_an_upgrade() -> None:
    with pytest.raises(TooNew):
        load_partition(SMALL_BYTES.replace(b"split 1", b"split 2"), source="it")


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ({"a": ["x", "y"], "b": ["y", "x", "z"]}, "2 ids stand twice"),
        ({"a": ["x", "x"]}, "1 id stands twice"),
        ({"a/b": ["x"]}, "cannot name a part"),
        ({"a": ["\ud800"]}, "is not text"),
    ],
)
def test_what_is_no_split_is_not_written(parts: dict[str, list[str]], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        Partition(data=DATA, ids="path", rule={}, parts=parts).dump()


def test_a_row_is_a_number_without_ornaments() -> None:
    with pytest.raises(UsageError, match="'01' is not a row number"):
        Partition(data=DATA, ids="row", rule={}, parts={"a": ["01"]}).dump()


@given(st.lists(words))
def test_each_id_takes_one_line(ids: list[str]) -> None:
    lines = id_lines(ids)

    assert [unescape(line) for line in lines.split("\n")[:-1]] == ids
    assert all(unescape(escape(each)) == each for each in ids)
