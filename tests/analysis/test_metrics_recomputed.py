"""An evaluation is computed once more from its predictions: whatever is claimed and is not so is found."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitrepro.analysis.metrics import measure, registered
from gitrepro.analysis.recomputed import agree, examine, recompute
from gitrepro.errors import Damaged, UsageError
from gitrepro.records import predictions, yaml
from gitrepro.records.evaluation import (
    Evaluation,
    Measured,
    bytes_digest,
    evaluation_from,
    examples_digest,
    text_digest,
)
from gitrepro.records.predictions import Predicted, dump, load

IDS = np.array([f"i{k}" for k in range(6)])
FOUND = Predicted(
    ids=IDS,
    truth=np.array([0, 1, 2, 0, 1, 2]),
    values=np.random.default_rng(0).dirichlet(np.ones(3), 6).astype(np.float32),
    groups=np.array(list("aabbcc")),
    classes=(0, 1, 2),
)
METRICS = (registered("accuracy"), registered("log_loss"), registered("top_k", k=2), registered("auc"))


def entry_of(found: Predicted = FOUND, **changes: Any) -> dict[str, Any]:
    measured = {
        each.name: Measured(
            value=measure(each, found), goal=each.goal, function=each.function, digest=each.digest,
            settings=each.settings,
        )
        for each in METRICS
    }  # fmt: skip
    values: dict[str, Any] = {
        "name": "val", "part": "val", "split": None, "examples": len(found), "distinct": len({*found.ids.tolist()}),
        "expected": None, "examples_digest": examples_digest(found.ids, found.truth),
        "predictions": bytes_digest(dump(found)), "size_bytes": len(dump(found)), "classes": found.classes,
        "metrics": measured,
    }  # fmt: skip
    return Evaluation(**{**values, **changes}).document()


def test_what_is_on_record_is_what_the_predictions_come_to() -> None:
    examined = examine(entry_of(), dump(FOUND), source="f", part_ids=None)

    assert [each.agrees for each in examined.metrics] == [True] * 4
    assert (examined.faults, examined.remarks) == ((), ())
    assert {each.metric: each.recomputed for each in examined.metrics}["top_2"] == measure(METRICS[2], FOUND)


def _set(*path: str, to: Any) -> Callable[[dict[str, Any]], None]:
    def change(entry: dict[str, Any]) -> None:
        for name in path[:-1]:
            entry = entry[name]
        entry[path[-1]] = to

    return change


CLAIMS = {
    "a better number": _set("metrics", "accuracy", "value", to=0.99),
    "a number that is a little better": _set(
        "metrics", "log_loss", "value", to=measure(METRICS[1], FOUND) * (1 - 1e-6)
    ),
    "no number": _set("metrics", "accuracy", "value", to=float("nan")),
    "another function": _set("metrics", "accuracy", "function", to="auc@1"),
    "another goal": _set("metrics", "accuracy", "goal", to="min"),
    "another setting": _set("metrics", "top_2", "settings", to={"k": 3}),
    "a setting that is none": _set("metrics", "top_2", "settings", to={"k": "2"}),
    "the metric of another kind": _set("metrics", "accuracy", "function", to="rmse@1"),
    "more examples": _set("examples", to=600),
    "more that are distinct": _set("distinct", to=5),
    "other examples": _set("examples_digest", to=text_digest("other")),
    "other classes": _set("classes", to=[2, 1, 0]),
    "another size": _set("size_bytes", to=7),
}


@pytest.mark.parametrize("claim", CLAIMS)
def test_a_claim_that_is_not_so_is_found(claim: str) -> None:
    entry = copy.deepcopy(entry_of())
    CLAIMS[claim](entry)
    examined = examine(entry, dump(FOUND), source="f")

    assert examined.faults or any(each.agrees is False for each in examined.metrics)


def leaves(entry: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    if isinstance(entry, dict):
        return [each for name, below in entry.items() for each in leaves(below, (*path, name))]
    return [path]


def _other(value: Any) -> Any:
    """Another value of the same type, so that the entry still reads."""
    if isinstance(value, str):
        return text_digest(value) if value.startswith("b3:") else {"max": "min", "min": "max"}.get(value, f"{value}2")
    if isinstance(value, list):
        return [*reversed(value)]
    return 7 if value is None else value + 1


# They are claims about the run, and not about its predictions: the split, the log and the signature of the record tell.
OF_THE_RUN = {"name", "part", "split", "step", "checkpoint", "opening", "expected", "digest"}


def test_each_field_is_looked_at_but_for_those_that_predictions_know_nothing_of() -> None:
    unseen = set()
    for path in leaves(entry_of()):
        entry = copy.deepcopy(entry_of())
        below = entry
        for name in path[:-1]:
            below = below[name]
        below[path[-1]] = _other(below[path[-1]])
        try:
            examined = examine(entry, dump(FOUND), source="f")
        except Damaged:
            continue
        if not examined.faults and all(each.agrees for each in examined.metrics):
            unseen.add(path[-1])

    assert unseen <= OF_THE_RUN


SWAPS = {
    "a better prediction": lambda: {"values": np.eye(3)[FOUND.truth]},
    "another truth": lambda: {"truth": np.array([0, 0, 0, 1, 1, 1])},
    "another id": lambda: {"ids": np.array([*IDS[:5], "other"])},
    "truth of others": lambda: {"ids": IDS[::-1]},
    "a row twice": lambda: {"ids": np.array([*IDS[:5], "i0"])},
}


@pytest.mark.parametrize("swap", SWAPS)
def test_predictions_that_are_not_those_of_the_evaluation_are_found(swap: str) -> None:
    other = Predicted(**{**{name: getattr(FOUND, name) for name in FOUND.__slots__}, **SWAPS[swap]()})
    said = {"predictions": bytes_digest(dump(other)), "size_bytes": len(dump(other))}
    examined = examine(entry_of(**said), dump(other), source="f")

    assert examined.faults or any(each.agrees is False for each in examined.metrics)


def test_examples_that_are_not_in_the_part_are_named() -> None:
    [first, second] = examine(entry_of(expected=6), dump(FOUND), source="f", part_ids=[*IDS[:5]]).faults
    assert first.startswith("expected is on record as 6") and "i5" in second


def test_padded_and_missing_examples_are_remarked() -> None:
    padded = Predicted(ids=np.array([*IDS[:5], "i0"]), truth=np.array([0, 1, 2, 0, 1, 0]), values=FOUND.values,
                       classes=FOUND.classes)  # fmt: skip
    examined = examine(entry_of(padded, expected=9), dump(padded), source="f", part_ids=[*IDS, "x", "y", "z"])

    assert examined.faults == ()
    assert [each.partition(" ")[0] for each in examined.remarks] == ["1", "4"]


def test_a_function_of_the_program_is_not_run_and_says_so() -> None:
    entry = entry_of()
    own = {"digest": text_digest("x"), "function": "own:os.abort", "goal": "max", "value": 1.0}
    [found] = recompute({**entry, "metrics": {"abort": own}}, dump(FOUND), source="f")

    assert (found.agrees, found.recomputed) == (None, None) and "not recomputable" in found.why


@pytest.mark.parametrize("function", ["accuracy@2", "accuracy@", "nothing@1", "accuracy"])
def test_a_metric_of_another_gitrepro_is_left_open(function: str) -> None:
    entry = entry_of()
    entry["metrics"] = {"accuracy": {**entry["metrics"]["accuracy"], "function": function}}
    [found] = recompute(entry, dump(FOUND), source="f")

    assert found.agrees is None and found.why


def test_another_text_of_the_same_version_is_said_and_the_number_counts() -> None:
    entry = entry_of()
    entry["metrics"]["accuracy"]["digest"] = text_digest("as it was")
    found = {each.metric: each for each in recompute(entry, dump(FOUND), source="f")}["accuracy"]

    assert found.agrees and "another one" in found.why


@pytest.mark.parametrize("name", [name for name in entry_of() if name not in ("unknown",)])
def test_an_entry_without_one_of_its_fields_is_damaged(name: str) -> None:
    entry = entry_of()
    del entry[name]
    with pytest.raises(Damaged, match=name):
        evaluation_from(entry, source="f")


@pytest.mark.parametrize("metric", [{}, {"value": "1"}, [], {"value": True}])
def test_a_metric_that_is_none_is_damaged(metric: Any) -> None:
    with pytest.raises(Damaged):
        evaluation_from({**entry_of(), "metrics": {"accuracy": metric}}, source="f")


def test_fields_of_a_later_gitrepro_are_kept() -> None:
    entry = {**entry_of(), "later": [1]}
    assert evaluation_from(entry, source="f").document() == entry


# -- what was written once


def test_an_evaluation_of_format_1_is_read_and_comes_out_the_same() -> None:
    golden = Path(__file__).parent.parent / "golden" / "v1" / "evaluation"
    [entry] = yaml.load((golden / "record.yaml").read_bytes(), source="golden")["evaluations"]
    data = (golden / "predictions.val.parquet").read_bytes()
    examined = examine(entry, data, source="golden")

    assert (examined.faults, examined.remarks) == ((), ())
    assert [(each.metric, each.agrees) for each in examined.metrics] == [
        (name, True) for name in sorted(entry["metrics"])
    ]
    assert load(data, source="golden").groups is not None


@pytest.mark.parametrize("seed", range(8))
def test_a_file_with_flipped_bytes_is_read_or_damaged(seed: int) -> None:
    whole, draw = dump(FOUND), np.random.RandomState(seed)
    for _ in range(20):
        data = bytearray(whole)
        for place in draw.randint(len(data), size=3):
            data[place] = draw.randint(256)
        with contextlib.suppress(Damaged):
            load(bytes(data), source="f")


def test_a_file_of_too_many_values_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predictions, "VALUES_AT_MOST", 20)
    with pytest.raises(Damaged, match="more than are read"):
        load(dump(FOUND), source="f")


def test_bytes_that_are_not_those_on_record_are_not_parsed() -> None:
    examined = examine(entry_of(), b"PAR1 no table", source="f")
    assert examined.metrics == () and examined.faults[0].startswith("predictions is on record as b3:")


# -- laws

LABELS = st.lists(st.integers(-3, 3) | st.integers(-(2**62), 2**62), min_size=1, max_size=12)
TEXTS = st.lists(st.text(max_size=6), min_size=1, max_size=12)


@settings(max_examples=40)
@given(LABELS | TEXTS | st.lists(st.booleans(), min_size=1) | st.lists(st.floats(), min_size=1), st.data())
def test_predictions_with_truth_come_back_as_they_were(values: list[Any], data: st.DataObject) -> None:
    array = np.array(values)
    truth = np.array(data.draw(st.permutations(values)))
    found = load(dump(Predicted(ids=np.arange(len(values)).astype(str), values=array, truth=truth)), source="f")

    assert np.array_equal(found.values, array, equal_nan=array.dtype.kind == "f")
    assert found.truth is not None and np.array_equal(found.truth, truth, equal_nan=truth.dtype.kind == "f")
    assert found.classes is None and found.groups is None and found.labels is None


def test_scores_with_classes_labels_and_groups_come_back_as_they_were() -> None:
    given = Predicted(
        ids=IDS, values=FOUND.values, truth=np.array(list("abcabc")), labels=np.array(list("aaabbb")),
        groups=FOUND.groups, classes=("a", "b", "ü"),
    )  # fmt: skip
    found = load(dump(given), source="f")
    assert found.classes == given.classes
    for name in ("ids", "values", "truth", "labels", "groups"):
        assert np.array_equal(getattr(found, name), getattr(given, name)), name


def test_an_id_that_is_no_text_is_told() -> None:
    with pytest.raises(UsageError, match="no text"):
        dump(Predicted(ids=np.array(["\udcff"]), values=np.array([1])))


@settings(max_examples=40)
@given(st.lists(st.tuples(st.text(alphabet="ab\t\n\\", max_size=3), st.text(alphabet="ab\t\n\\", max_size=3))))
def test_examples_have_one_digest_in_any_order_and_no_two_sets_share_one(pairs: list[tuple[str, str]]) -> None:
    def digest(rows: list[tuple[str, str]]) -> str:
        columns = [np.array([row[place] for row in rows], dtype=object) for place in (0, 1)]
        return examples_digest(*columns)

    assert digest(pairs) == digest([*reversed(pairs), *pairs])
    for place in range(len({*pairs})):
        fewer = sorted({*pairs})
        del fewer[place]
        assert digest(fewer) != digest(pairs)


@given(st.floats(-1e300, 1e300), st.floats(1e-7, 1))
def test_numbers_agree_with_themselves_and_with_no_other(value: float, by: float) -> None:
    assert agree(value, value) and agree(value, value * (1 + 1e-13))
    assert not agree(value, value + max(abs(value) * by, by))
    assert not agree(value, float("nan"))


def test_an_entry_stands_in_a_record_as_it_is() -> None:
    entry = entry_of()
    assert yaml.load(yaml.dump({"evaluations": [entry]}), source="f")["evaluations"] == [entry]
