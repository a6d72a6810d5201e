"""Statistics on record: what is written is read, and nothing else is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitrepro.data.statistics import describe
from gitrepro.errors import Damaged, TooNew
from gitrepro.records import yaml
from gitrepro.records.statistics import load_statistics

NUMBERS = {"max": 1.0, "mean": 1.0, "min": 1.0, "std": 0.0}
FEATURE = {**NUMBERS, "histogram": {"counts": [3], "edges": [1.0, 1.0]}, "type": "float"}


def load(**document: Any) -> dict[str, Any]:
    return load_statistics(yaml.dump({"algorithm": 1, "format": 1, **document}), source="here")


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.one_of(st.floats(), st.integers(-(2**63), 2**63 - 1), st.text("ab1,", max_size=3)), min_size=1, max_size=6
    )
)
def test_whatever_a_column_holds_its_statistics_are_read_again(values: list[object]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.jsonl")
        lines = [{"x": str(value) if isinstance(value, str) else value, "y": str(value)} for value in values]
        path.write_text("".join(f"{_json(line)}\n" for line in lines))
        document = {**describe(path, "jsonl"), "format": 1}
    assert load_statistics(yaml.dump(document), source="here")["counts"]["items"] == len(values)


def _json(value: object) -> str:
    import json

    return json.dumps(value)


def test_numbers_closer_than_any_bins_are_read_again(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("x\n1.0\n1.0000000000000002\n")
    found = load_statistics(yaml.dump({**describe(path, "csv"), "format": 1}), source="here")
    assert (found["features"]["x"]["min"], found["features"]["x"]["max"]) == (1.0, 1.0000000000000002)


@pytest.mark.parametrize(
    "feature",
    [
        [],
        {**FEATURE, "mean": "1"},
        {**FEATURE, "min": None},
        {**NUMBERS},
        {**FEATURE, "histogram": {"counts": [0], "edges": [1.0, 1.0]}},
        {**FEATURE, "histogram": {"counts": [1], "edges": [2.0, 1.0]}},
        {**FEATURE, "histogram": {"counts": [1], "edges": [1.0]}},
        {**FEATURE, "histogram": {"counts": [1], "edges": [1.0, float("inf")]}},
        {"lengths": {"lengths": {}}},
        {"values": {"a": -1}},
        {"missing_rate": 2.0},
        {"type": 1},
    ],
)
def test_a_feature_that_cannot_be_is_damage(feature: object) -> None:
    with pytest.raises(Damaged, match="features"):
        load(features={"x": feature})


@pytest.mark.parametrize(
    "document",
    [
        {"classes": ["a"]},
        {"classes": {"a": True}},
        {"counts": {"items": "3"}},
        {"notes": "a note"},
        {"sampled": {"n": 3, "seed": "x"}},
        {"duplicates": {"items": None}},
        {"algorithm": 0},
        {"format": 0},
    ],
)
def test_a_field_of_another_type_is_damage(document: dict[str, Any]) -> None:
    with pytest.raises(Damaged):
        load(**document)


def test_a_newer_format_is_told() -> None:
    with pytest.raises(TooNew, match="format 2"):
        load(format=2)


def test_fields_of_tomorrow_are_kept() -> None:
    assert load(features={"x": {**FEATURE, "new": [1]}}, more={"a": None})["more"] == {"a": None}


def test_numbers_whose_squares_no_number_tells_have_an_infinite_spread(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("x\n0.0\n0.0\n5.123497534458145e+244\n")
    described = describe(path, "csv")
    assert described["features"]["x"]["std"] == float("inf")
    load_statistics(yaml.dump({**described, "format": 1}), source="here")
