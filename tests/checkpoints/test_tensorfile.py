"""Our tensor files are read by the library of the format, and strange ones are checked before they are believed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitrepro.checkpoints import tensorfile
from gitrepro.checkpoints.arrays import piece, tensor
from gitrepro.checkpoints.dtypes import ITEM_BYTES, TORCH
from gitrepro.errors import Damaged

torch = pytest.importorskip("torch")
safetensors_torch = pytest.importorskip("safetensors.torch")


def file_of(tensors: dict[str, Any], metadata: dict[str, str] | None = None) -> bytes:
    pieces = {name: piece(value) for name, value in tensors.items()}
    return b"".join(tensorfile.parts(pieces, metadata or {}))


def example(name: str, shape: tuple[int, ...]) -> Any:
    count = ITEM_BYTES[name]
    for size in shape:
        count *= size
    data = torch.arange(count, dtype=torch.int64).remainder(2 if name == "BOOL" else 251).to(torch.uint8)
    return data.view(getattr(torch, TORCH[name])).reshape(shape)


@pytest.mark.parametrize("name", sorted(ITEM_BYTES))
def test_every_type_is_read_by_the_library_bit_by_bit(name: str) -> None:
    tensors = {"full": example(name, (3, 5)), "empty": example(name, (0, 4)), "one": example(name, (1,)).reshape(())}

    found = safetensors_torch.load(file_of(tensors))

    assert {key: (value.dtype, value.shape) for key, value in found.items()} == {
        key: (value.dtype, value.shape) for key, value in tensors.items()
    }
    for key, value in tensors.items():
        assert bytes(piece(found[key]).data) == bytes(piece(value).data)


def test_a_file_that_the_library_wrote_is_read_by_us() -> None:
    tensors = {"a": torch.randn(3, 4), "b": torch.arange(5), "c": torch.randn(2).bfloat16()}

    found = tensorfile.read(memoryview(bytearray(safetensors_torch.save(tensors, {"x": "y"}))), source="a file")

    assert found.metadata == {"x": "y"}
    assert all(torch.equal(tensor(found.pieces[name]), value) for name, value in tensors.items())


def test_the_same_tensors_in_another_order_make_the_same_bytes() -> None:
    one, other = torch.randn(4), torch.arange(3)

    assert file_of({"a": one, "b": other}, {"x": "1", "y": "2"}) == file_of(
        {"b": other, "a": one}, {"y": "2", "x": "1"}
    )


def test_each_tensor_begins_at_a_multiple_of_its_element() -> None:
    data = file_of({name: example(name, (3,)) for name in ITEM_BYTES}, {"odd": "é" * 3})
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])

    assert length % 8 == 0
    assert all(
        each["data_offsets"][0] % ITEM_BYTES[each["dtype"]] == 0
        for name, each in header.items()
        if name != "__metadata__"
    )


GOOD = file_of({"a": torch.arange(6.0).reshape(2, 3), "b": torch.arange(2)}, {"k": "v"})


def read(data: bytes) -> tensorfile.TensorFile:
    return tensorfile.read(memoryview(bytearray(data)), source="a file")


def with_header(**entries: Any) -> bytes:
    text = json.dumps(entries).encode()
    return len(text).to_bytes(8, "little") + text + bytes(40)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        GOOD[:7],
        GOOD[:40],
        GOOD[:-1],
        GOOD + b"x",
        (2**63).to_bytes(8, "little") + GOOD[8:],
        with_header(a={"dtype": "F32", "shape": [10], "data_offsets": [0, 39]}),
        with_header(a={"dtype": "F32", "shape": [10], "data_offsets": [4, 44]}),
        with_header(a={"dtype": "F32", "shape": [-10], "data_offsets": [0, 40]}),
        with_header(a={"dtype": "F32", "shape": [10.0], "data_offsets": [0, 40]}),
        with_header(a={"dtype": "F31", "shape": [10], "data_offsets": [0, 40]}),
        with_header(a={"dtype": "F32", "shape": [2**62, 4], "data_offsets": [0, 40]}),
        with_header(a={"dtype": "F32", "shape": [10], "data_offsets": [0, 40]}, b={"dtype": "U8", "shape": [8],
                    "data_offsets": [32, 40]}),
        with_header(a={"dtype": "F32", "shape": [9], "data_offsets": [0, 36]}),
        with_header(__metadata__={"a": 1}, a={"dtype": "F32", "shape": [10], "data_offsets": [0, 40]}),
        b'\x02\0\0\0\0\0\0\0[]',
        (200_000).to_bytes(8, "little") + b"[" * 200_000,
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_is_damage(data: bytes) -> None:
    with pytest.raises(Damaged):
        read(data)


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_a_changed_byte_is_damage_or_other_content_and_nothing_else(place: int, change: int) -> None:
    data = bytearray(GOOD)
    data[place] ^= change
    try:
        found = read(bytes(data))
    except Damaged:
        return
    assert found != read(GOOD)
