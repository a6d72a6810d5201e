"""How statistics moved from one version to the next."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn import datasets

from gitrepro.data.reading import kind_of
from gitrepro.data.statistics import Move, describe, moved
from gitrepro.errors import UsageError
from gitrepro.records.yaml import dump, load


@pytest.fixture
def iris(tmp_path: Path) -> Path:
    datasets.load_iris(as_frame=True).frame.to_csv(tmp_path / "iris.csv", index=False)
    return tmp_path / "iris.csv"


def described(path: Path, **options: Any) -> dict[str, Any]:
    """As it comes back from a record, names in another order than they were described in."""
    return load(dump(describe(path, kind_of(path), **options)), source="test")


def found(moves: list[Move], feature: str, what: str) -> Move:
    return next(move for move in moves if (move.feature, move.what) == (feature, what))


def test_nothing_moved_between_equal_versions(iris: Path) -> None:
    assert moved(described(iris, label="target"), described(iris, label="target")) == []


def test_a_shift_is_told_in_units_of_the_old_spread(iris: Path) -> None:
    old = described(iris)
    frame = datasets.load_iris(as_frame=True).frame
    frame["sepal width (cm)"] += 10 * frame["sepal width (cm)"].std(ddof=0)
    frame.to_csv(iris, index=False)
    moves = moved(old, described(iris))

    assert {move.feature for move in moves} == {"sepal width (cm)"}
    assert found(moves, "sepal width (cm)", "mean").size == pytest.approx(10)
    assert found(moves, "sepal width (cm)", "distribution").size == 1.0
    assert [move.size for move in moves] == sorted((move.size for move in moves), reverse=True)


def test_lost_classes_are_told_by_shares(iris: Path) -> None:
    old = described(iris, label="target")
    frame = datasets.load_iris(as_frame=True).frame
    frame[frame["target"] < 2].to_csv(iris, index=False)
    moves = moved(old, described(iris, label="target"))

    assert found(moves, "", "items") == Move(feature="", what="items", before=150, after=100, size=1 / 3)
    assert found(moves, "", "classes").after == pytest.approx(1 / 3)
    assert found(moves, "2", "share").after == 0.0
    assert found(moves, "0", "share").after == 0.5


def test_columns_that_came_or_went_or_changed_their_type_come_first(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b,c\n1,2,3\n2,3,4\n")
    (tmp_path / "b.csv").write_text("a,d,c\n1,2,x\n9,3,y\n")
    moves = moved(described(tmp_path / "a.csv"), described(tmp_path / "b.csv"))

    assert [(move.feature, move.what, move.before, move.after) for move in moves[:3]] == [
        ("b", "removed", "int", None),
        ("c", "type", "int", "string"),
        ("d", "added", None, "int"),
    ]
    assert all(math.isinf(move.size) for move in moves[:3])
    assert found(moves, "a", "max").after == 9


def test_missing_values_and_duplicates_are_told(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n1,2\n2,3\n3,4\n4,5\n")
    (tmp_path / "b.csv").write_text("a,b\n1,2\n,3\n1,2\n4,5\n")
    moves = moved(described(tmp_path / "a.csv"), described(tmp_path / "b.csv"))

    assert found(moves, "a", "missing_rate").after == 0.25
    assert found(moves, "", "duplicates").after == 1


def test_a_constant_that_changed_is_a_move_beyond_all_measure(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a\n1\n1\n")
    (tmp_path / "b.csv").write_text("a\n2\n2\n")

    assert moved(described(tmp_path / "a.csv"), described(tmp_path / "b.csv"))[0].size == math.inf


def test_values_of_categories_and_lengths_of_text_move(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("c,s\n" + "".join(f"{'ab'[n % 2]},t{n}\n" for n in range(100)))
    (tmp_path / "b.csv").write_text("c,s\n" + "".join(f"{'ab'[n % 10 == 0]},t{n}-longer\n" for n in range(100)))
    moves = moved(described(tmp_path / "a.csv"), described(tmp_path / "b.csv"))

    assert found(moves, "c", "values").size == pytest.approx(0.4)
    assert found(moves, "s.length", "mean").size > 5


def test_channels_of_images_move(tmp_path: Path) -> None:
    for name, shade in (("old", 10), ("new", 30)):
        (tmp_path / name).mkdir()
        noise = np.random.default_rng(0).integers(0, 10, (20, 20), np.uint8)
        Image.fromarray(noise + np.uint8(shade)).save(tmp_path / name / "a.png")
    moves = moved(described(tmp_path / "old"), described(tmp_path / "new"))

    assert found(moves, "gray", "mean").size > 5


def test_statistics_of_another_algorithm_are_not_compared(iris: Path) -> None:
    old = described(iris)

    with pytest.raises(UsageError, match="algorithm"):
        moved({**old, "algorithm": 99}, old)


def test_a_dataset_that_became_empty_is_compared(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,y\n1,p\n")
    (tmp_path / "b.csv").write_text("a,y\n")
    old, new = (described(tmp_path / name, label="y") for name in ("a.csv", "b.csv"))

    assert found(moved(old, new), "", "items").after == 0
    assert found(moved(new, old), "", "items").size == math.inf
