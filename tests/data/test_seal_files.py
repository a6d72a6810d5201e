"""Files of labels and of predictions, as people have them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitrepro.data.sealing.reading import read_labels, read_predictions, text_of
from gitrepro.errors import NotFound, UsageError
from gitrepro.records.parquet import table_bytes
from gitrepro.records.predictions import Predicted, dump

CSV = "id,prediction\na,cat\nb,007\n"


def written(tmp_path: Path, name: str, text: str | bytes) -> Path:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_the_same_predictions_are_read_from_every_kind_of_file(tmp_path: Path) -> None:
    import pyarrow as pa

    table = table_bytes(pa.table({"id": ["a", "b"], "prediction": ["cat", "007"]}))
    rows = "\n".join(json.dumps({"id": name, "prediction": value}) for name, value in (("a", "cat"), ("b", "007")))

    for name, text in (
        ("p.csv", CSV), ("p.csv", "\ufeff" + CSV.replace("\n", "\r\n")), ("p.tsv", CSV.replace(",", "\t")),
        ("p.jsonl", rows), ("p.parquet", table),
    ):  # fmt: skip
        found = read_predictions(written(tmp_path, name, text))
        assert (found.ids.tolist(), found.values.tolist()) == (["a", "b"], ["cat", "007"]), name


def test_scores_are_read_by_the_names_of_their_columns(tmp_path: Path) -> None:
    found = read_predictions(written(tmp_path, "p.csv", "id,score/cat,score/dog\na,0.25,0.75\nb,1,0\n"))

    assert found.classes == ("cat", "dog")
    assert found.values.tolist() == [[0.25, 0.75], [1.0, 0.0]]


def test_what_an_evaluation_wrote_is_read_without_its_truth(tmp_path: Path) -> None:
    own = Predicted(ids=np.array(["a", "b"]), values=np.eye(2), truth=np.array(["cat", "dog"]), classes=("cat", "dog"))

    found = read_predictions(written(tmp_path, "p.parquet", dump(own)))

    assert (found.values.tolist(), found.classes, found.truth) == ([[1, 0], [0, 1]], ("cat", "dog"), None)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("p.csv", "", "cannot be read"),
        ("p.csv", b"\xff\xfe", "cannot be read"),
        ("p.csv", "id,prediction\na\n", "cannot be read"),
        ("p.csv", "who,prediction\na,cat\n", "no column of ids"),
        ("p.csv", "id,what\na,cat\n", "no column of predictions"),
        ("p.csv", "id,prediction\na,cat\na,dog\n", "repeats 1 id"),
        ("p.csv", "id,prediction\na,\n", "no prediction for 1 id"),
        ("p.csv", "id,score/cat\na,much\n", "score that is no number"),
        ("p.jsonl", "[1]\n", "cannot be read"),
        ("p.jsonl", '{"id": "a", "prediction": null}\n', "no prediction for 1 id"),
        ("p.parquet", b"PAR1", "cannot be read"),
    ],
)
def test_what_is_no_file_of_predictions_is_refused(tmp_path: Path, name: str, text: str | bytes, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read_predictions(written(tmp_path, name, text))


def test_a_file_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        read_predictions(tmp_path / "nothing.csv")
    with pytest.raises(UsageError, match="cannot be read"):
        read_predictions(tmp_path)


def test_labels_are_read_from_the_usual_column_or_from_the_one_that_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, "l.csv", "path,target,other\na,cat,x\nb,dog,y\n")

    assert read_labels(path) == {"a": "cat", "b": "dog"}
    assert read_labels(path, column="other") == {"a": "x", "b": "y"}
    with pytest.raises(UsageError, match="no column of labels"):
        read_labels(path, column="nope")


def test_a_label_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no label for 1 id"):
        read_labels(written(tmp_path, "l.csv", "id,label\na,cat\nb,\n"))


@given(st.one_of(st.booleans(), st.integers(), st.text(max_size=5)))
def test_a_label_has_one_text_whatever_type_it_came_in(value: bool | int | str) -> None:
    told = text_of(value)

    assert told == (str(value).lower() if isinstance(value, bool) else str(value))
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53:
        assert text_of(float(value)) == told
