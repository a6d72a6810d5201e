"""Items of a data set as examples of a task, and items again of examples that a check has changed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
import torch
from torch.utils.data import Dataset, IterableDataset

from ...checks.arrays import labels_of
from ...checks.task import TRAIN, Data, Kind, Part
from ...errors import UsageError

Key = int | str
LABELS: Final = ("labels", "label", "label_ids", "target", "targets", "y")
"""What the label of an item is called, the first that is there."""
_VAL: Final = "val"


@final
class Fields:
    """Several inputs of one example, which belong together and are dealt out together."""

    __slots__ = ("values",)

    def __init__(self, values: Mapping[Key, Any]) -> None:
        self.values = values

    def __repr__(self) -> str:
        """Equal where the contents are: checks compare examples by it."""
        known = hashlib.blake2b(digest_size=16)
        for key, value in self.values.items():
            array = np.asarray(value)
            raw = repr(value).encode("utf-8", "surrogatepass") if array.dtype.hasobject else array.tobytes()
            known.update(f"{key} {array.dtype.str} {array.shape} {len(raw)}\n".encode() + raw)
        return f"Fields({', '.join(map(str, self.values))}: {known.hexdigest()})"


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Form:
    """What items look like.

    Attributes:
        sample: the first item; fields that are the same in every item are put back from it.
        label: which field is the label; None where there is none.
        varying: the fields that are the input.
    """

    sample: Any
    label: Key | None
    varying: tuple[Key, ...]

    def item(self, given: Any, label: Any) -> Any:
        """An item as the data set gives them."""
        fields = dict(fields_of(self.sample))
        values = given.values if isinstance(given, Fields) else {self.varying[0]: given}
        fields |= {key: _restored(fields[key], value) for key, value in values.items()}
        if self.label is not None and label is not None:
            fields[self.label] = _restored(fields[self.label], label)
        if isinstance(self.sample, Mapping):
            return fields
        if not isinstance(self.sample, tuple | list):
            return fields[0]
        make = getattr(self.sample, "_make", type(self.sample))
        return make(fields.values())


@final
class Items(Dataset[Any]):
    """The examples of a part, as items of the form that they were read in."""

    def __init__(self, part: Part, form: Form) -> None:
        self.part, self.form = part, form

    def __len__(self) -> int:
        return len(self.part)

    def __getitem__(self, place: int) -> Any:
        labels = self.part.labels
        return self.form.item(self.part.inputs[place], None if labels is None else labels[place])


def fields_of(item: Any) -> Mapping[Key, Any]:
    """The fields of an item by name or place."""
    if isinstance(item, Mapping):
        return {str(key): value for key, value in item.items()}
    return dict(enumerate(item if isinstance(item, tuple | list) else [item]))


def read(train: Any, val: Any, *, kind: Kind | None, label: Key | None) -> tuple[Data, Form]:
    """All items of two data sets, read once.

    Args:
        label: the field that is the label. Where it is not said, of a mapping the first of `LABELS`, and of a tuple
            the last field; none for the kind `self-supervised`.

    Raises:
        UsageError: a data set has no length or no items, or items are of several forms.
    """
    found = {TRAIN: _items(train, TRAIN), _VAL: _items(val, _VAL)}
    sample = found[TRAIN][0]
    keys = tuple(fields_of(sample))
    chosen = None if kind == "self-supervised" else _label(sample, label)
    fields = {name: [_plain_fields(item, keys, name) for item in items] for name, items in found.items()}
    form = Form(sample=sample, label=chosen, varying=_varying([*fields[TRAIN], *fields[_VAL]], chosen))
    parts = {name: _part(name, every, form, kind) for name, every in fields.items()}
    return Data(parts=parts, scored=_VAL), form


def _items(dataset: Any, name: str) -> list[Any]:
    if isinstance(dataset, IterableDataset) or not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
        raise UsageError(
            f"the examples of the part {name!r} are a {type(dataset).__name__}, which has no length or no places",
            why="each example has to be found again, to be given another label",
            do="give data= and a function that makes the training of them",
        )
    if not len(dataset):
        raise UsageError(f"the part {name!r} has no examples")
    return [dataset[place] for place in range(len(dataset))]


def _label(sample: Any, label: Key | None) -> Key | None:
    keys = tuple(fields_of(sample))
    if label is not None:
        if label not in keys:
            raise UsageError(f"items have no field {label!r:.60}", why=f"they have {', '.join(map(str, keys))}")
        return label
    if isinstance(sample, Mapping):
        return next((each for each in LABELS if each in keys), None)
    return keys[-1] if len(keys) > 1 else None


def _plain_fields(item: Any, keys: tuple[Key, ...], name: str) -> Mapping[Key, Any]:
    fields = fields_of(item)
    if tuple(fields) != keys:
        raise UsageError(
            f"items of the part {name!r} are of several forms",
            why=f"one has the fields {', '.join(map(str, fields))}, the first {', '.join(map(str, keys))}",
        )
    return {key: _plain(value) for key, value in fields.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        return (value.float() if value.dtype == torch.bfloat16 else value).numpy()
    if isinstance(value, str | bytes):
        return value
    # An image of Pillow, a list of tokens, a number; what is none of them stays.
    array = np.asarray(value) if not isinstance(value, Mapping) else np.asarray(None)
    return value if array.dtype.kind not in "biuf" else array


def _restored(sample: Any, value: Any) -> Any:
    """The value as an object of the sample's type, and no view of what checks hold."""
    if isinstance(sample, torch.Tensor):
        return torch.as_tensor(np.array(value)).to(sample.dtype)
    if isinstance(sample, np.ndarray | np.generic):
        return np.array(value, dtype=sample.dtype)
    if isinstance(value, np.ndarray | np.generic):
        if hasattr(sample, "__array_interface__"):
            from PIL import Image

            return Image.fromarray(np.array(value))
        plain = np.asarray(value).tolist()
        return type(sample)(plain) if isinstance(sample, bool | int | float | tuple) else plain
    return value


def _varying(items: Sequence[Mapping[Key, Any]], label: Key | None) -> tuple[Key, ...]:
    """The fields that differ between items: a mask of ones tells nothing, and hides that the rest are plain tokens."""
    keys = [key for key in items[0] if key != label]
    found = tuple(key for key in keys if any(not _same(items[0][key], item[key]) for item in items))
    return found or tuple(keys[:1])


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return one.shape == other.shape and bool((one == other).all())
    return type(one) is type(other) and bool(np.all(one == other))


def _part(name: str, items: Sequence[Mapping[Key, Any]], form: Form, kind: Kind | None) -> Part:
    if len(form.varying) == 1:
        inputs = _stacked([item[form.varying[0]] for item in items])
    else:
        inputs = [Fields({key: item[key] for key in form.varying}) for item in items]
    labels = None if form.label is None else _labels([item[form.label] for item in items], name, kind)
    width = len(str(len(items)))
    ids = np.array([f"{name}-{place:0{width}d}" for place in range(len(items))])
    return Part(ids=ids, inputs=inputs, labels=labels)


def _stacked(values: list[Any]) -> Any:
    if not all(isinstance(each, np.ndarray) for each in values):
        return values
    return np.stack(values) if len({(each.shape, each.dtype) for each in values}) == 1 else values


def _labels(values: list[Any], name: str, kind: Kind | None) -> np.ndarray:
    if not any(np.ndim(each) for each in values):
        return as_labels([each.item() if isinstance(each, np.ndarray) else each for each in values], kind)
    if len({np.shape(each) for each in values}) > 1:
        shapes = sorted({np.shape(each) for each in values})
        raise UsageError(f"labels of the part {name!r} have several shapes, such as {shapes[0]} and {shapes[-1]}")
    found = np.stack(values)
    # Some data sets give each label as a list of one.
    return as_labels(found[:, 0], kind) if found.shape[1:] == (1,) else found


def as_labels(values: Any, kind: Kind | None) -> np.ndarray:
    """Labels as a task has them; of classes that are whole numbers given as floats the integers."""
    labels = labels_of(values)
    whole = kind == "classification" and labels.dtype.kind == "f" and bool((labels == np.round(labels)).all())
    return labels.astype(np.int64) if whole else labels
