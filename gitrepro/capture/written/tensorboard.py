"""TensorBoard event files, read without TensorBoard: the scalars, and what else there is by count."""

from __future__ import annotations

import struct
from collections import Counter
from itertools import islice
from typing import Any, Final, final

from . import protobuf
from .crc32c import masked
from .points import Number, Point
from .protobuf import Value, content, fields, float32, float64, signed, text
from .tfrecord import RecordReader

# Of a longer record that holds no scalar nothing is taken but the count: its checksum would cost more than it tells.
_CHECKED_BYTES: Final = 64 << 10
_TAGS_AT_MOST: Final = 10_000
_TAG_CHARACTERS: Final = 1_000
_VALUES_AT_MOST: Final = 100_000
_KINDS_AT_MOST: Final = 50
_HPARAMS_AT_MOST: Final = 1_000
_DEPTH_AT_MOST: Final = 8

_EVENT_OTHERS: Final = {4: "graphs", 8: "run metadata", 9: "graphs"}
_VALUE_OTHERS: Final = {3: "histograms", 4: "images", 5: "histograms", 6: "audio"}
_SCALAR_CLASS: Final = 1

# DataType: how one number of it lies in `tensor_content`, and in which field of the tensor it lies else.
_TENSORS: Final[dict[int, tuple[str, int]]] = {
    1: ("<f", 5), 2: ("<d", 6), 3: ("<i", 7), 4: ("<B", 7), 5: ("<h", 7), 6: ("<b", 7), 9: ("<q", 10), 10: ("<?", 11),
    14: ("<H", 13), 17: ("<H", 7), 19: ("<e", 13), 22: ("<I", 16), 23: ("<Q", 17),
}  # fmt: skip
_BFLOAT16: Final = 14
_HALF: Final = 19


@final
class EventFile:
    """One event file that may still grow.

    Scalars come in both encodings, `simple_value` and a tensor of the scalars plugin. Neighbours of one step are one
    point, with the wall time of the first.

    Attributes:
        others: what was passed over, counted by kind: images, histograms, text, …
        hparams: hyperparameters that the program told the hparams plugin.
        damaged: records whose bytes are not those that were written.
    """

    def __init__(self) -> None:
        self.records = RecordReader()
        self.others: Counter[str] = Counter()
        self.hparams: dict[str, Any] = {}
        self.damaged = 0
        self._plugins: dict[str, tuple[str, bool]] = {}

    def take(self, data: bytes) -> list[Point]:
        """The scalars of the records that end in `data`."""
        points: list[Point] = []
        for record, checksum in self.records.take(data):
            try:
                self._take_record(record, checksum, points)
            except (ValueError, RecursionError):
                self.damaged += 1
        return points

    def _take_record(self, record: bytes, checksum: int, points: list[Point]) -> None:
        small = len(record) <= _CHECKED_BYTES
        if small and masked(record) != checksum:
            raise ValueError("a checksum that does not hold")
        moment, step, found = 0.0, 0, list[tuple[str, Number]]()
        for number, kind, value in fields(record):
            if number == 1 and kind == protobuf.EIGHT_BYTES:
                moment = float64(value)
            elif number == 2 and kind == protobuf.VARINT:
                step = signed(value)
            elif number == 5:
                found += self._summary(content(value))
            elif number in _EVENT_OTHERS:
                self._count(_EVENT_OTHERS[number])
        if found and not small and masked(record) != checksum:
            raise ValueError("a checksum that does not hold")
        for tag, scalar in found:
            _put(points, tag, scalar, step, moment)

    def _summary(self, data: bytes) -> list[tuple[str, Number]]:
        values = (self._value(content(value)) for number, _, value in fields(data) if number == 1)
        scalars = list(islice((scalar for scalar in values if scalar is not None), _VALUES_AT_MOST + 1))
        if len(scalars) > _VALUES_AT_MOST:
            raise ValueError("more scalars than an event has room for")
        return scalars

    def _value(self, data: bytes) -> tuple[str, Number] | None:
        tag, scalar, tensor, other = "", None, None, None
        metadata: bytes | None = None
        for number, _, value in fields(data):
            if number == 1:
                tag = text(value)
            elif number == 2:
                scalar = float32(value)
            elif number == 8:
                tensor = content(value)
            elif number == 9:
                metadata = content(value)
            elif number in _VALUE_OTHERS:
                other = _VALUE_OTHERS[number]
        plugin, is_scalar = self._plugin(tag, metadata)
        if scalar is not None:
            return tag, scalar
        if tensor is not None and is_scalar:
            return self._scalar_tensor(tag, tensor)
        if plugin != "hparams" and (other or tensor is not None):
            self._count(other or plugin or "tensors")
        return None

    def _scalar_tensor(self, tag: str, tensor: bytes) -> tuple[str, Number] | None:
        number = one_number(tensor)
        if number is None:
            self._count("tensors of more than one number")
            return None
        return tag, number

    def _plugin(self, tag: str, metadata: bytes | None) -> tuple[str, bool]:
        """Whose value this is. A writer may say it only with the first value of a tag."""
        if metadata is None:
            return self._plugins.get(tag, ("", False))
        plugin, data_class = "", 0
        for number, kind, value in fields(metadata):
            if number == 1:
                plugin = self._read_plugin(content(value))
            elif number == 4 and kind == protobuf.VARINT:
                data_class = signed(value)
        known = (plugin, plugin == "scalars" or data_class == _SCALAR_CLASS)
        if len(self._plugins) < _TAGS_AT_MOST and len(tag) <= _TAG_CHARACTERS:
            self._plugins[tag] = known
        return known

    def _read_plugin(self, data: bytes) -> str:
        parts = {number: content(value) for number, _, value in fields(data)}
        name = parts.get(1, b"").decode("utf-8")
        if name == "hparams" and not self.hparams:
            self.hparams = _hparams(parts.get(2, b""))
        return name

    def _count(self, kind: str) -> None:
        known = kind[:60] if kind in self.others or len(self.others) < _KINDS_AT_MOST else "(others)"
        self.others[known] += 1


def _put(points: list[Point], tag: str, scalar: Number, step: int, moment: float) -> None:
    if points and points[-1].step == step and tag not in points[-1].values:
        points[-1].values[tag] = scalar
    else:
        points.append(Point(step=step, values={tag: scalar}, moment=moment))


def one_number(tensor: bytes) -> Number | None:
    """The number that a tensor of one element holds; None for a tensor of another shape or type.

    Raises:
        ValueError: it says that it holds one, and does not.
    """
    dtype, elements, raw = 0, 1, b""
    held: dict[int, tuple[int, Value]] = {}
    for number, kind, value in fields(tensor):
        if number == 1:
            dtype = signed(value)
        elif number == 2:
            elements = _elements(content(value))
        elif number == 4:
            raw = content(value)
        else:
            held.setdefault(number, (kind, value))
    if elements != 1 or dtype not in _TENSORS:
        return None
    layout, place = _TENSORS[dtype]
    if raw:
        return _number(_unpacked(layout, raw), dtype)
    if place not in held:
        raise ValueError("a tensor without its number")
    return _from_field(dtype, *held[place])


def _elements(shape: bytes) -> int:
    product = 1
    for number, _, dimension in fields(shape):
        if number == 2:
            sizes = [signed(value) for inner, _, value in fields(content(dimension)) if inner == 1]
            product *= sizes[-1] if sizes else 0
    return product


def _from_field(dtype: int, kind: int, value: Value) -> Number:
    layout, _ = _TENSORS[dtype]
    if dtype in (1, 2):
        return _unpacked(layout, content(value))  # packed and alone, the bytes are the same
    if kind == protobuf.LENGTH:
        value = next((number for _, _, number in fields(b"\x08" + content(value))), 0)
    whole = signed(value)
    if dtype == _HALF:
        return _unpacked("<e", (whole & 0xFFFF).to_bytes(2, "little"))
    return _number(whole % (1 << 64) if dtype == 23 else whole, dtype)


def _unpacked(layout: str, raw: bytes) -> Number:
    try:
        number: Number = struct.unpack(layout, raw)[0]
    except struct.error as error:
        raise ValueError("a number of another width") from error
    return number


def _number(value: Number, dtype: int) -> Number:
    if dtype == _BFLOAT16:
        return _unpacked("<f", b"\0\0" + (int(value) & 0xFFFF).to_bytes(2, "little"))
    if isinstance(value, float):
        return value
    return int(value) if int(value) < 1 << 63 else float(value)


def _hparams(data: bytes) -> dict[str, Any]:
    """The hyperparameters of a session, from the plugin's own message."""
    session = next((content(value) for number, _, value in fields(data) if number == 3), b"")
    found: dict[str, Any] = {}
    for number, _, entry in fields(session):
        if number == 1 and len(found) < _HPARAMS_AT_MOST:
            parts = {inner: content(value) for inner, _, value in fields(content(entry))}
            found[parts.get(1, b"").decode("utf-8")] = _plain(parts.get(2, b""), 0)
    return found


def _plain(data: bytes, depth: int) -> Any:
    """A `google.protobuf.Value` as Python has it."""
    if depth > _DEPTH_AT_MOST:
        raise ValueError("a value inside too many others")
    result: Any = None
    for number, _, value in fields(data):
        if number == 2:
            result = float64(value)
        elif number == 3:
            result = text(value)
        elif number == 4:
            result = bool(signed(value))
        elif number == 6:
            result = [_plain(content(item), depth + 1) for inner, _, item in fields(content(value)) if inner == 1]
    return result
