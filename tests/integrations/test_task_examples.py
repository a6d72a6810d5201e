"""Items of data sets as examples of a task, and back; what outputs of a network are taken for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from hypothesis.extra.numpy import arrays  # noqa: E402
from sklearn.metrics import log_loss  # noqa: E402
from torch.utils.data import IterableDataset, TensorDataset  # noqa: E402

from gitrepro.checks.metrics import metric  # noqa: E402
from gitrepro.checks.task import Data, Part  # noqa: E402
from gitrepro.errors import TaskFailed, UsageError  # noqa: E402
from gitrepro.integrations.tasks.examples import Fields, Items, read  # noqa: E402
from gitrepro.integrations.tasks.scoring import floor_for, kind_for, metric_for, predictions_of  # noqa: E402


def same(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, tuple | list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and bool((one == other).all())
    return bool(np.asarray(one == other).all())


def through(items: list[Any], **said: Any) -> list[Any]:
    data, form = read(items, items, kind=said.get("kind"), label=said.get("label"))
    return list(Items(data.train, form))


PIXELS = arrays(np.float32, (2, 3), elements=st.floats(-9, 9, width=32))


@given(st.lists(st.tuples(PIXELS, st.integers(0, 3)), min_size=1, max_size=5))
def test_pairs_of_tensors_and_labels_come_back_as_they_were(found: list[tuple[np.ndarray, int]]) -> None:
    items = [(torch.as_tensor(pixels), label) for pixels, label in found]

    assert same(through(items), items)


@given(st.lists(st.tuples(st.lists(st.integers(0, 9), max_size=4), st.booleans(), st.integers(0, 3)), min_size=1))
def test_mappings_with_tokens_of_any_length_come_back_as_they_were(found: list[tuple[list[int], bool, int]]) -> None:
    items = [{"input_ids": ids, "flag": flag, "kind": "a", "labels": label} for ids, flag, label in found]

    assert same(through(items), items)


@pytest.mark.parametrize(
    "items",
    [
        [("a text", "pos"), ("another", "neg")],
        [[np.arange(3), 0.5], [np.arange(3) + 1, 1.5]],
        [(torch.ones(2).half(), torch.tensor(3).int()), (torch.zeros(2).half(), torch.tensor(1).int())],
        [(torch.ones(2), torch.zeros(3), torch.tensor([1.0])), (torch.ones(2), torch.ones(3), torch.tensor([0.0]))],
        [(torch.arange(2.0),), (torch.arange(2.0) + 1,)],
        [torch.arange(2.0), torch.arange(2.0) + 1],
    ],
)  # fmt: skip
def test_items_of_other_forms_come_back_but_for_a_label_in_a_list_of_one(items: list[Any]) -> None:
    again = through(items)

    if isinstance(items[0], tuple | list) and len(items[0]) > 2:
        items, again = ([each[:-1] for each in found] for found in (items, again))
    assert same(again, items)


def test_images_of_pillow_are_images_again() -> None:
    image = pytest.importorskip("PIL.Image")
    items = [(image.new("RGB", (4, 5), color), 0) for color in ("red", "blue")]

    assert [each[0].tobytes() for each in through(items)] == [each[0].tobytes() for each in items]


def test_a_changed_label_is_in_the_item_and_what_is_handed_out_is_no_view() -> None:
    data, form = read(*(TensorDataset(torch.ones(4, 2), torch.arange(4)) for _ in "12"), kind=None, label=None)
    part = data.train
    item = Items(Part(ids=part.ids, inputs=part.inputs, labels=part.labels[::-1].copy()), form)[0]
    item[0].mul_(7)

    assert int(item[1]) == 3
    assert part.inputs.max() == 1


def test_a_field_that_is_the_same_in_all_items_is_no_input() -> None:
    items = [{"input_ids": torch.arange(4) + k, "attention_mask": torch.ones(4), "labels": k} for k in range(3)]
    data, _ = read(items, items, kind=None, label=None)

    assert data.train.inputs.tolist() == [[0, 1, 2, 3], [1, 2, 3, 4], [2, 3, 4, 5]]
    assert same(through(items), items)


@given(PIXELS, PIXELS)
def test_several_fields_are_told_apart_by_their_content(one: np.ndarray, other: np.ndarray) -> None:
    first, second = (repr(Fields({"a": each, "b": 1})) for each in (one, other))

    assert (first == second) == (one.tobytes() == other.tobytes())
    assert " at 0x" not in first


class Stream(IterableDataset):
    def __iter__(self) -> Any:
        return iter([(1, 2)])


@pytest.mark.parametrize(
    ("items", "said", "says"),
    [
        (Stream(), {}, "no length"),
        ([], {}, "no examples"),
        ([(1, 2), (1, 2, 3)], {}, "several forms"),
        ([{"x": 1, "y": 2}], {"label": "z"}, "no field"),
        ([(1, np.zeros(2)), (2, np.zeros(3))], {}, "several shapes"),
    ],
)
def test_items_that_cannot_be_examples_are_told(items: Any, said: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        through(items, **said)


# -- outputs


def data_with(labels: Any) -> Data:
    labels = np.asarray(labels)
    parts = {name: Part(ids=np.array([f"{name}{k}" for k in range(len(labels))]), inputs=np.zeros((len(labels), 1)),
             labels=labels) for name in ("train", "val")}  # fmt: skip
    return Data(parts=parts)


def told(outputs: Any, labels: Any, *, by: str = "accuracy") -> Any:
    classes = np.unique(labels)
    chosen = metric(by, classes=classes)
    return predictions_of(np.asarray(outputs), data_with(labels), kind="classification", metric=chosen, classes=classes)


def test_a_column_is_the_class_of_its_number_or_of_its_place_among_names() -> None:
    scores = np.eye(4)[[1, 3, 1]]

    assert told(scores, [1, 3, 1]).score == 1.0
    assert told(scores[:, [1, 3]], ["a", "b", "a"]).values.tolist() == ["a", "b", "a"]
    assert told(scores[:, [1, 3]], [5, 9, 5]).values.tolist() == [5, 9, 5]


def test_one_output_is_the_score_of_the_second_class() -> None:
    assert told([[2.0], [-1.0]], [1, 0]).values.tolist() == [1, 0]
    assert told([0.9, 0.2], [1, 0]).values.tolist() == [1, 0]
    assert told([0.9, 0.2], [1, 0], by="log_loss").values.tolist() == [[pytest.approx(0.1), 0.9], [0.8, 0.2]]


@given(arrays(np.float64, (4, 3), elements=st.floats(-8, 8)))
def test_scores_become_probabilities_once(scores: np.ndarray) -> None:
    labels = np.array([0, 1, 2, 1])
    found = told(scores, labels, by="log_loss")

    assert found.score == pytest.approx(log_loss(labels, np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)))
    assert told(found.values, labels, by="log_loss").values == pytest.approx(found.values)


@pytest.mark.parametrize(
    ("outputs", "error", "says"),
    [
        ([[1.0, float("nan")]] * 2, TaskFailed, "NaN"),
        ([[1.0, 2.0]], UsageError, "for 2 examples"),
        (np.ones((2, 3, 2)), UsageError, "no scores"),
    ],
)
def test_outputs_that_say_nothing_of_the_examples_are_told(outputs: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        told(outputs, [0, 1])


def test_a_kind_that_the_labels_do_not_tell_has_to_be_said() -> None:
    with pytest.raises(UsageError, match="kind of task"):
        kind_for(data_with(np.zeros((3, 2))), None)
    with pytest.raises(UsageError, match="metric of your own"):
        metric_for(data_with(np.zeros((3, 2))), "language", None)


def test_the_floor_of_the_loss_is_known_of_classes_and_numbers_only() -> None:
    assert (floor_for("regression", None), floor_for("language", None)) == (0.0, None)
    assert (floor_for("classification", "unknown"), floor_for("other", 0.5)) == (None, 0.5)


def test_classes_given_as_floats_are_whole_numbers_where_one_says_so() -> None:
    items = [(torch.ones(1) * k, torch.tensor(float(k % 2))) for k in range(4)]
    data, _ = read(items, items, kind="classification", label=None)

    assert data.train.labels.dtype == np.int64
    assert same(through(items, kind="classification"), items)
