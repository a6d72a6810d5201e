"""Splits on record: made, imported, opened and checked, in a real repository and store."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits, load_iris

from gitrepro.data.splits import Finding, Made, Wish, check_split, import_split, make_split, open_split
from gitrepro.data.splitting.checking import examine
from gitrepro.data.splitting.dividing import divide
from gitrepro.errors import BlobMissing, Damaged, NotFound, UsageError
from gitrepro.records.partition import Partition
from gitrepro.store import pins, place
from gitrepro.store import repository as repositories
from gitrepro.store.catalog import Catalog
from gitrepro.store.fold import Identity
from gitrepro.store.place import store_of
from gitrepro.store.repository import Repository
from tests.conftest import Git
from tests.data.in_memory import DIGEST, Table

ADA = Identity(name="Ada Lovelace", email="ada@example.org")
AT = "2026-11-22T10:00:00.000000Z"
IRIS = load_iris()
DIGITS = load_digits()
FLOWERS = Table(columns={"species": IRIS.target.tolist(), "length": IRIS.data[:, 0].tolist()}, label="species")
DAYS = Table(
    columns={
        "day": [f"2026-01-{1 + row // 10:02d}" for row in range(200)],
        "patient": [f"p{row % 40}" if row % 7 else None for row in range(200)],
        "site": [("train", "test", None)[row % 3] for row in range(200)],
    }
)


@pytest.fixture
def found(repo: Path) -> Repository:
    return repositories.find(repo, os.environ)


def make(found: Repository, dataset: Table = FLOWERS, name: str = "default", **wishes: Any) -> Made:
    return make_split(found, dataset, name, Wish(**wishes), identity=ADA, at=AT)


def take_over(found: Repository, dataset: Table, files: dict[str, Path], **more: Any) -> Made:
    return import_split(found, dataset, "official", files, identity=ADA, at=AT, **more)


def verdicts(findings: list[Finding]) -> dict[str, str]:
    return {each.check: str(each.verdict) for each in findings}


# -- make


def test_a_split_is_on_record_with_its_digest_rule_counts_and_classes(found: Repository) -> None:
    made = make(found, stratify=True, seed=3)

    record = made.record
    with Catalog(found) as catalog:
        assert catalog.splits("things") == [record]
    assert (made.new, record.version, record.seed, record.stable) == (True, "v1", 3, False)
    assert record.parts == {"test": 15, "train": 120, "val": 15}
    assert record.classes == {
        "test": {"0": 5, "1": 5, "2": 5}, "train": {"0": 40, "1": 40, "2": 40}, "val": {"0": 5, "1": 5, "2": 5},
    }  # fmt: skip
    assert record.deviation == pytest.approx(0)
    assert record.rule["stratify"] == "label"
    assert store_of(found).verify(record.digest) > 0
    assert record.dataset == {"name": "things", "version": "v1", "digest": DIGEST}
    assert record.actor == {"name": "Ada Lovelace", "email": "ada@example.org"}


def test_an_opened_split_has_the_parts_that_were_made(found: Repository) -> None:
    made = make(found)

    split = open_split(found, FLOWERS, "default")

    assert split.parts == made.record.parts
    assert sorted(at for part in split.parts for at in split.part(part).indices) == list(range(150))
    assert (split.name, split.version, split.digest) == ("default", "v1", made.record.digest)


def test_making_the_same_split_again_says_which_it_is(found: Repository) -> None:
    first, again = make(found), make(found)

    assert (again.new, again.record) == (False, first.record)
    with Catalog(found) as catalog:
        assert len(catalog.splits("things")) == 1


def test_other_parts_under_the_same_name_are_the_next_version(found: Repository) -> None:
    first, second = make(found), make(found, seed=1)

    assert (second.new, second.record.version, second.earlier) == (True, "v2", ("v1",))
    assert first.record.digest != second.record.digest
    assert open_split(found, FLOWERS, "default").version == "v2"
    assert open_split(found, FLOWERS, "default@v1").digest == first.record.digest
    assert open_split(found, FLOWERS, f"default@{first.record.digest[:12]}").version == "v1"
    assert make(found).record.version == "v1"


def test_a_split_of_a_later_version_of_the_data_is_a_version_of_its_own(found: Repository) -> None:
    make(found)
    grown = Table(columns={"species": [*IRIS.target.tolist(), 0, 1]}, digest="b3:" + "ef" * 32, version="v2")

    made = make(found, grown)

    assert made.record.version == "v2"
    before, after = open_split(found, FLOWERS, "default"), open_split(found, grown, "default")
    assert (before.version, after.version) == ("v1", "v2")
    # Stable: no item of the first version has another part in the second.
    assert all({*before.part(name).ids} <= {*after.part(name).ids} for name in before.parts)


def test_in_a_store_that_clones_share_the_ids_are_pinned_before_the_record(
    found: Repository, git: Git, repo: Path, tmp_path: Path
) -> None:
    place.prepare(tmp_path / "store", shared=True)
    git(repo, "config", "gitrepro.store", str(tmp_path / "store"))

    made = make(found)

    assert store_of(found).root == tmp_path / "store"
    assert bytes.fromhex(made.record.digest[3:]) in {*pins.read(tmp_path / "store", pins.clone_id(found))}
    assert open_split(found, FLOWERS, "default").parts == made.record.parts


def test_without_a_wish_it_is_a_hash_of_the_ids(found: Repository) -> None:
    made = make_split(found, FLOWERS, "default", identity=ADA, at=AT, note="the usual one")

    assert made.record.rule == {
        "algorithm": 1, "by": "hash", "exact": False, "fractions": {"test": 0.1, "train": 0.8, "val": 0.1},
        "group": None, "salt": "default:0", "stratify": None,
    }  # fmt: skip
    assert (made.record.stable, made.record.seed, made.record.note) == (True, 0, "the usual one")


def test_two_names_give_two_splits(found: Repository) -> None:
    assert make(found, name="a").record.digest != make(found, name="b").record.digest


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.permutations(range(30)))
def test_the_digest_does_not_depend_on_the_order_of_the_items(order: list[int]) -> None:
    def blob(names: list[str]) -> bytes:
        divided = divide(Table(names=names), "default", Wish(exact=True))
        ids = {part: [divided.ids[at] for at in places.tolist()] for part, places in divided.parts.items()}
        return Partition(data=DIGEST, ids="column:id", rule=divided.rule, parts=ids).dump()

    assert blob([f"item-{number}" for number in order]) == blob([f"item-{number}" for number in range(30)])


# -- the ways


def test_folds_stand_beside_a_test_part(found: Repository) -> None:
    made = make(found, folds=5, fractions={"test": 0.2}, stratify=True)

    assert made.record.parts == {"test": 30, **{f"fold-{at}": 24 for at in range(5)}}
    assert made.record.rule["folds"] == 5


def test_parts_by_a_column_leave_out_what_names_none(found: Repository) -> None:
    made = make(found, DAYS, column="site")

    assert made.record.parts == {"test": 67, "train": 67}
    assert made.left_out == 66
    assert made.record.rule == {"algorithm": 1, "by": "column", "column": "site", "group": None}


def test_parts_by_time_go_from_the_earliest_to_the_latest_and_the_cuts_are_on_record(found: Repository) -> None:
    made = make(found, DAYS, time="day", fractions={"train": 0.5, "later": 0.5})

    assert made.record.rule["cuts"] == ["2026-01-11T00:00:00+00:00"]
    assert made.record.rule["order"] == ["train", "later"]
    split = open_split(found, DAYS, "default")
    assert split.part("train").indices.max() < split.part("later").indices.min()


def test_parts_by_time_are_cut_where_it_is_said(found: Repository) -> None:
    made = make(found, DAYS, time="day", cuts=["2026-01-06", "2026-01-16"])

    assert made.record.parts == {"train": 50, "val": 100, "test": 50}
    assert made.record.stable


@pytest.mark.parametrize(
    "wishes", [{}, {"exact": True}, {"folds": 3}, {"time": "day", "cuts": ["2026-01-11"]}, {"stratify": "site"}]
)
def test_no_way_to_make_a_split_tears_a_group(found: Repository, wishes: dict[str, Any]) -> None:
    made = make(found, DAYS, group="patient", **wishes)

    assert made.record.group == "column:patient"
    _, findings = check_split(found, DAYS, "default")
    assert verdicts(findings)["groups"] == "PASS"


def test_with_groups_nothing_in_train_is_later_than_the_cut(found: Repository) -> None:
    patients = Table(columns={"t": [1, 5, 2, 9, 3, 4, 8], "p": ["a", "a", "b", "b", None, "c", "c"]})
    make(found, patients, time="t", cuts=["6"], group="p")

    split = open_split(found, patients, "default")

    assert split.part("train").indices.tolist() == [0, 1, 4]
    assert split.part("test").indices.tolist() == [2, 3, 5, 6]


def test_a_column_that_tears_a_group_is_refused(found: Repository) -> None:
    with pytest.raises(UsageError, match="groups stand in more than one part"):
        make(found, DAYS, column="site", group="patient")


def test_folders_and_patterns_group_paths(found: Repository) -> None:
    names = [f"patient-{number // 4}/scan-{number}.png" for number in range(80)]
    folder = Table(names=names, kind="folder")

    by_folder, by_pattern = make(found, folder, group="folder"), make(found, folder, name="p", group=r"patient-(\d+)")

    assert (by_folder.record.group, by_pattern.record.group) == ("folder", r"regex:patient-(\d+)")
    for name in ("default", "p"):
        split = open_split(found, folder, name)
        where = Counter(
            each.partition("/")[0]
            for part in split.parts
            for each in {i.partition("/")[0] for i in split.part(part).ids}
        )
        assert set(where.values()) == {1}


@pytest.mark.parametrize(
    ("dataset", "wishes", "says"),
    [
        (FLOWERS, {"by": "magic"}, "no way to split called 'magic'"),
        (FLOWERS, {"by": "kfold"}, "needs folds"),
        (FLOWERS, {"by": "hash", "folds": 3}, "folds does not go with a split by hash"),
        (FLOWERS, {"column": "species", "stratify": True}, "stratify does not go with a split by column"),
        (FLOWERS, {"column": "species", "seed": 0}, "seed does not go with a split by column"),
        (FLOWERS, {"column": "colour"}, "no column 'colour'"),
        (DAYS, {"stratify": True}, "has no label to stratify by"),
        (DAYS, {"group": "colour"}, "no column 'colour'"),
        (DAYS, {"time": "day", "cuts": ["2026-01-06"], "fractions": {"train": 0.5, "test": 0.5}}, "do not go together"),
        (DAYS, {"time": "day", "cuts": ["2020-01-06"]}, "no item falls into train"),
        (DAYS, {"time": "patient"}, "items have no time"),
        (FLOWERS, {"fractions": {"train": 0.9}}, "sum to 0.9"),
        (Table(columns={"x": [1, 2]}), {}, "no item falls into"),
        (Table(names=[]), {}, "has no items"),
        (Table(names=["a", "b", "a"]), {}, "1 ids of things@v1 stand twice"),
    ],
)
def test_a_wish_that_cannot_be_met_is_refused(
    found: Repository, dataset: Table, wishes: dict[str, Any], says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        make(found, dataset, **wishes)
    with Catalog(found) as catalog:
        assert catalog.splits("things") == []


@pytest.mark.parametrize("name", ["", "a/b", "..", "default@v1"])
def test_a_name_that_cannot_be_a_path_is_refused(found: Repository, name: str) -> None:
    with pytest.raises(UsageError, match="cannot name a split"):
        make(found, name=name)


def test_labels_that_are_no_classes_stay_out_of_the_record(found: Repository) -> None:
    many = Table(columns={"y": list(range(3000))}, label="y")

    assert make(found, many).record.classes is None


# -- import


def write(folder: Path, **files: str) -> dict[str, Path]:
    for name, text in files.items():
        (folder / name).write_text(text)
    return {name: folder / name for name in files}


def test_a_split_is_taken_over_from_files_of_ids(found: Repository, tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("".join(f"{row}\n" for row in range(0, 150, 2)))
    (tmp_path / "val.csv").write_text("id,why\n1,x\n3,y\n")
    (tmp_path / "test.json").write_text(json.dumps([5, 7, "9"]))

    made = take_over(
        found, FLOWERS, {"train": tmp_path / "train.txt", "val": tmp_path / "val.csv", "test": tmp_path / "test.json"}
    )

    assert made.record.parts == {"test": 3, "train": 75, "val": 2}
    assert made.left_out == 70
    split = open_split(found, FLOWERS, "official")
    assert list(split.part("test").ids) == ["5", "7", "9"]
    assert split.record.rule["by"] == "import"


def test_the_same_ids_in_other_files_are_the_same_split(found: Repository, tmp_path: Path) -> None:
    files = write(tmp_path, train="1\n2\n3\n", test="4\n")
    first = take_over(found, FLOWERS, files)
    other = write(tmp_path, a="3\r\n2\r\n\r\n1", b="\ufeff4\n")

    again = take_over(found, FLOWERS, {"train": other["a"], "test": other["b"]})

    assert (again.new, again.record) == (False, first.record)


def test_all_that_is_wrong_with_imported_ids_is_told_at_once(found: Repository, tmp_path: Path) -> None:
    files = write(tmp_path, train="1\n2\n2\n900\n901\n902\n903\n", val="2\n3\n", test="3\n")

    with pytest.raises(UsageError, match="do not fit things@v1") as caught:
        take_over(found, FLOWERS, files)

    assert "train has 4 ids ('900', '901', '902', …) that the data set has not" in caught.value.why
    assert "train repeats 1 id ('2')" in caught.value.why
    assert "train and val share 1 id ('2')" in caught.value.why
    assert "val and test share 1 id ('3')" in caught.value.why


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.json", "{", "is no JSON"),
        ("a.json", "[" * 100_000, "is no JSON"),
        ("a.json", '{"a": 1}', "is no list of ids"),
        ("a.json", "[1.5]", "is no list of ids"),
        ("a.csv", "x,y\n1,2\n", "does not say which column"),
        ("a.csv", "", "does not say which column"),
        ("a.txt", "\n\n", "no ids for train"),
    ],
)
def test_a_file_that_holds_no_ids_is_refused(
    found: Repository, tmp_path: Path, name: str, text: str, says: str
) -> None:
    (tmp_path / name).write_text(text)

    with pytest.raises(UsageError, match=says):
        take_over(found, FLOWERS, {"train": tmp_path / name})


def test_a_column_of_a_table_of_ids_may_be_named(found: Repository, tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("row\twhy\n7\tx\n")

    assert take_over(found, FLOWERS, {"test": tmp_path / "a.tsv"}, column="row").record.parts == {"test": 1}
    with pytest.raises(UsageError, match="has no column 'rows'"):
        take_over(found, FLOWERS, {"test": tmp_path / "a.tsv"}, column="rows")


def test_files_that_are_not_there_or_no_text_are_told(found: Repository, tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_bytes(b"\xff\xfe\x00")

    with pytest.raises(NotFound, match="there is no file"):
        take_over(found, FLOWERS, {"train": tmp_path / "a.txt"})
    with pytest.raises(UsageError, match="cannot be read"):
        take_over(found, FLOWERS, {"train": tmp_path / "b.txt"})
    with pytest.raises(UsageError, match="cannot be read"):
        take_over(found, FLOWERS, {"train": tmp_path})
    with pytest.raises(UsageError, match="no ids for any part"):
        take_over(found, FLOWERS, {})


@pytest.mark.timeout(60)
def test_a_pipe_or_a_device_of_ids_is_refused_and_not_read(found: Repository, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(UsageError, match="no regular file"):
            take_over(found, FLOWERS, {"train": path})


def test_a_csv_file_of_bare_ids_loses_none_to_a_header_it_has_not(found: Repository, tmp_path: Path) -> None:
    files = {"train": tmp_path / "train.csv", "test": tmp_path / "test.csv"}
    files["train"].write_text("1\n2\n3\n")
    files["test"].write_text("row\n4\n")

    assert take_over(found, FLOWERS, files).record.parts == {"test": 1, "train": 3}


def test_imported_parts_that_tear_a_group_are_refused(found: Repository, tmp_path: Path) -> None:
    files = write(tmp_path, train="1\n2\n", test="41\n")

    with pytest.raises(UsageError, match="1 group stands in more than one part"):
        take_over(found, DAYS, files, group="patient")
    assert take_over(found, DAYS, files).new


# -- open


def test_a_split_that_is_not_there_is_told_with_what_makes_it(found: Repository) -> None:
    with pytest.raises(NotFound, match="has no split 'default'") as caught:
        open_split(found, FLOWERS, "default")
    assert "gitrepro split make things@v1 default" in caught.value.do


def test_ids_that_are_not_in_the_store_are_told(found: Repository) -> None:
    made = make(found)
    lying = next(path for path in store_of(found).root.rglob(made.record.digest[5:]) if path.is_file())
    lying.unlink()

    with pytest.raises(BlobMissing):
        open_split(found, FLOWERS, "default")
    assert make(found).new is False
    assert open_split(found, FLOWERS, "default").parts == made.record.parts


def test_damaged_ids_are_no_split(found: Repository) -> None:
    made = make(found)
    lying = next(path for path in store_of(found).root.rglob(made.record.digest[5:]) if path.is_file())
    lying.chmod(0o644)
    lying.write_bytes(lying.read_bytes().replace(b"part test", b"part tost"))

    with pytest.raises(Damaged):
        open_split(found, FLOWERS, "default")


# -- check


def test_a_good_split_passes_all_checks(found: Repository) -> None:
    make(found, stratify=True)

    _, findings = check_split(found, FLOWERS, "default")

    assert verdicts(findings) == {
        "disjoint": "PASS", "ids": "PASS", "sizes": "PASS", "covering": "PASS", "groups": "NOT_APPLICABLE",
        "classes": "PASS",
    }  # fmt: skip


def test_a_group_that_was_not_thought_of_is_found_afterwards(found: Repository) -> None:
    make(found, DAYS)

    _, findings = check_split(found, DAYS, "default", group="patient")

    assert verdicts(findings)["groups"] == "FAIL"


def test_a_split_is_checked_against_a_version_it_was_not_made_of(found: Repository) -> None:
    made = make(found)
    shrunk = Table(columns={"species": IRIS.target.tolist()[:100]}, digest="b3:" + "ef" * 32, version="v2")
    grown = Table(columns={"species": [*IRIS.target.tolist(), 1]}, digest="b3:" + "aa" * 32, version="v3")

    record, of_shrunk = check_split(found, shrunk, "default")

    assert record == made.record
    assert verdicts(of_shrunk)["ids"] == "FAIL"
    assert verdicts(check_split(found, grown, "default@v1")[1])["covering"] == "WARN"
    with pytest.raises(NotFound):
        check_split(found, grown, "default@v9")


GOOD = {"train": [str(row) for row in range(80)], "test": [str(row) for row in range(80, 100)]}
ROWS = [str(row) for row in range(100)]


@pytest.mark.parametrize(
    ("parts", "more", "check", "verdict", "says"),
    [
        ({**GOOD, "val": ["1"]}, {}, "disjoint", "FAIL", "1 item is in more than one place: '1' in train and val"),
        ({**GOOD, "val": ["x"]}, {}, "ids", "FAIL", "1 item is not in the data set: 'x' (val)"),
        ({**GOOD, "val": []}, {}, "sizes", "FAIL", "empty: val"),
        ({"train": ROWS[:97]}, {}, "covering", "WARN", "3 items are in no part: '97', '98', '99'"),
        (
            GOOD,
            {"groups": [*ROWS[:99], "1"]},
            "groups",
            "FAIL",
            "1 of 99 groups are in more than one part: '1' in test",
        ),
        (GOOD, {"groups": ROWS}, "groups", "PASS", "each of 100 groups"),
        (GOOD, {"groups": [None] * 100}, "groups", "PASS", "each of 0 groups"),
        (GOOD, {"labels": [*"ab" * 50]}, "classes", "PASS", "2 classes"),
        (GOOD, {"labels": ["a"] * 80 + ["b"] * 20}, "classes", "WARN", "train has nothing of b"),
        (GOOD, {"labels": ["a"] * 50 + ["b"] * 50}, "classes", "WARN", "test is 0.500 from the whole"),
        (GOOD, {"labels": ROWS}, "classes", "NOT_APPLICABLE", "100 different labels are no classes"),
        (GOOD, {"labels": [*"ab" * 49, None, "a"]}, "classes", "PASS", "3 classes"),
    ],
)
def test_each_check_finds_what_it_is_for(
    parts: dict[str, list[str]], more: dict[str, Any], check: str, verdict: str, says: str
) -> None:
    (finding,) = (each for each in examine(parts, ROWS, **more) if each.check == check)

    assert (str(finding.verdict), says in finding.what) == (verdict, True), finding.what


def test_what_chance_makes_of_the_classes_is_no_warning() -> None:
    labels = [str(label) for label in DIGITS.target]
    ids = [str(row) for row in range(len(labels))]
    warned = 0
    for seed in range(40):
        divided = divide(Table(columns={"y": labels}, label="y"), f"s{seed}", Wish())
        parts = {part: [ids[at] for at in places.tolist()] for part, places in divided.parts.items()}
        warned += verdicts(examine(parts, ids, labels=labels))["classes"] == "WARN"

    assert warned <= 2
