"""Splitters: cuts at the borders of tensors, and from hostile bytes nothing worse than a useless cut."""

from __future__ import annotations

import io
import json
import struct
import tracemalloc
import zipfile
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitrepro.store.splitters import propose, safetensors, zipped

torch = pytest.importorskip("torch")

BIG, SMALL = 64 << 10, 100


def tensors(*, seed: int = 0) -> dict[str, object]:
    made = torch.Generator().manual_seed(seed)
    sizes = {"a.weight": BIG // 4, "a.bias": SMALL, "b.weight": BIG // 4 + 1, "b.bias": SMALL, "c.weight": BIG}
    return {name: torch.rand(count, generator=made) for name, count in sizes.items()}


def raw(tensor: object) -> bytes:
    found: bytes = tensor.numpy().tobytes()  # type: ignore[attr-defined]
    return found


def torch_file(path: Path) -> bytes:
    torch.save(tensors(), path)
    return path.read_bytes()


def safetensors_file(path: Path) -> bytes:
    save = pytest.importorskip("safetensors.torch").save_file
    save(tensors(), path, metadata={"step": "3"})
    return path.read_bytes()


def pieces(data: bytes, cuts: list[int] | None) -> list[bytes]:
    assert cuts is not None
    borders = [0, *cuts, len(data)]
    assert borders == sorted(set(borders)), "ascending, each once, inside the file"
    return [data[begin:end] for begin, end in pairwise(borders)]


def proposed(data: bytes) -> list[int] | None:
    return propose(io.BytesIO(data), len(data))


def test_each_large_tensor_of_a_torch_file_is_a_piece(tmp_path: Path) -> None:
    found = pieces(data := torch_file(tmp_path / "best.pt"), proposed(data))
    for name, tensor in tensors().items():
        assert raw(tensor) in found or name.endswith("bias")


def test_the_pieces_between_hold_the_file_name_and_the_tensors_do_not(tmp_path: Path) -> None:
    one, two = (set(pieces(data := torch_file(tmp_path / name), proposed(data))) for name in ("best.pt", "epoch_10.pt"))
    assert all(b"best/" in piece or b"epoch_10/" in piece for piece in one ^ two)
    assert sum(map(len, one & two)) >= sum(len(raw(each)) for each in tensors().values()) - 2 * 4 * SMALL


def test_each_tensor_and_the_header_of_a_safetensors_file_is_a_piece(tmp_path: Path) -> None:
    found = pieces(data := safetensors_file(tmp_path / "model.safetensors"), proposed(data))
    assert found[0][8:].startswith(b'{"__metadata__"')
    assert json.loads(found[0][8:])
    assert sorted(found[1:]) == sorted(map(raw, tensors().values()))


def test_arrays_of_a_numpy_archive_are_pieces(tmp_path: Path) -> None:
    numpy = pytest.importorskip("numpy")
    numpy.savez(tmp_path / "a.npz", x=numpy.arange(BIG), y=numpy.arange(3))
    data = (tmp_path / "a.npz").read_bytes()
    assert any(piece.endswith(numpy.arange(BIG).tobytes()) for piece in pieces(data, proposed(data)))


def test_numbers_that_do_not_fit_in_32_bits_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # As `zipfile` writes records above 4 GiB, of small ones.
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 100)
    large = bytes(range(256)) * 300
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("first", large)
        archive.writestr("second", large[::-1])
    data = (tmp_path / "a.zip").read_bytes()
    assert struct.pack("<I", 0xFFFFFFFF) in data
    assert {large, large[::-1]} <= set(pieces(data, proposed(data)))


def test_compressed_records_are_no_pieces(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("first", bytes(BIG * 4))
    assert proposed((tmp_path / "a.zip").read_bytes()) is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"P",
        b"PK\3\4",
        b"PK\3\4" + bytes(100),
        b"PK\3\4" + b"PK\5\6" * 30,
        b"PK\3\4" + b"PK\6\7" + bytes(16) + b"PK\5\6" + b"\xff" * 18,
        b"PK\3\4" + b"PK\6\7" + b"\xff" * 16 + b"PK\5\6" + b"\xff" * 18,
        b"\2" + bytes(7) + b"{}",
        b"\2" + bytes(7) + b"{}" + bytes(100),
        b"\xff" * 8 + b"{}",
        b"\0" * 8 + b"{}",
        b"an ordinary text, of no format that is known",
        bytes(100_000),
    ],
)
def test_what_is_no_such_file_has_no_cuts(data: bytes) -> None:
    assert proposed(data) is None


def headed(offsets: list[tuple[int, int]], *, data_bytes: int = 10_000) -> bytes:
    names = {f"t{number}": {"data_offsets": each} for number, each in enumerate(offsets)}
    header = json.dumps(names).encode()
    return struct.pack("<Q", len(header)) + header + bytes(data_bytes)


@pytest.mark.parametrize(
    ("offsets", "ends"),
    [
        ([(0, 10), (10, 30)], [0, 10, 30]),
        ([(10, 30), (0, 10)], [0, 10, 30]),
        ([(0, 10), (0, 10), (5, 7)], [0, 5, 7, 10]),  # the same again, and one inside another
        ([(0, 10), (30, 20), (-5, 4), (7, 7)], [0, 10]),  # backwards, negative, empty
        ([(0, 10), (0, 10_001), (10**15, 10**15 + 1), (0, 10**40)], [0, 10]),  # beyond the end
    ],
)
def test_offsets_that_cannot_be_are_left_out(offsets: list[tuple[int, int]], ends: list[int]) -> None:
    data = headed(offsets)
    begin = len(data) - 10_000
    assert proposed(data) == [begin + end for end in ends]


def test_offsets_across_the_border_of_a_window_are_found() -> None:
    offsets = [(number, number + 1) for number in range(60_000)]
    data = headed(offsets, data_bytes=70_000)
    assert len(data) > 2 << 20
    assert proposed(data) == list(range(len(data) - 70_000, len(data) - 9_999))


def archive_of(records: list[tuple[int, int]], *, length: int = 400_000) -> bytes:
    """An archive whose directory claims stored records at these offsets, of these sizes, with a header at each."""
    body = bytearray(b"PK\3\4" + bytes(length))
    for at, _ in records:
        if at + 30 <= length:
            body[at : at + 30] = b"PK\3\4" + bytes(26)
    directory = b"".join(struct.pack("<4s6xH8xIIHHH8xI", b"PK\1\2", 0, size, size, 0, 0, 0, at) for at, size in records)
    end = struct.pack("<4s6xHIIH", b"PK\5\6", len(records) & 0xFFFF, len(directory), len(body), 0)
    return bytes(body + directory + end)


@pytest.mark.parametrize(
    "records",
    [
        [(0, BIG), (0, BIG), (0, BIG)],  # duplicates, as in a bomb
        [(0, BIG * 3), (100, BIG), (200, BIG)],  # overlapping, one in another
        [(0, BIG), (0, 2**32 - 2), (2**32 - 2, BIG), (399_990, BIG)],  # beyond the end
        [(0, BIG), (2**32 - 1, 2**32 - 1)],  # wide numbers that are nowhere
    ],
)
def test_records_that_cannot_be_are_harmless(records: list[tuple[int, int]]) -> None:
    data = archive_of(records)
    found = pieces(data, proposed(data))
    assert b"".join(found) == data


def test_more_records_than_are_looked_at_are_left_in_one_piece() -> None:
    data = archive_of([(0, BIG)] + [(100 + number, 1) for number in range(zipped.RECORDS_AT_MOST + 1000)])
    found = proposed(data)
    assert found is not None
    assert len(found) <= zipped.RECORDS_AT_MOST + 2


def test_more_tensors_than_are_looked_at_are_left_in_one_piece() -> None:
    count = safetensors.TENSORS_AT_MOST
    found = proposed(headed([(2 * number, 2 * number + 1) for number in range(count + 1000)], data_bytes=3 * count))
    assert found is not None
    assert len(found) <= 2 * count + 2


@pytest.mark.parametrize("filling", [b"[", b"{", b'{"a":', b'"data_offsets":[', b'"data_offsets":[1,1', b" ", b'"\\'])
def test_a_large_hostile_header_takes_little_memory(tmp_path: Path, filling: bytes) -> None:
    header = b"{" + filling * (16_000_000 // len(filling))
    path = tmp_path / "model.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(100))
    with open(path, "rb") as reader:
        tracemalloc.start()
        propose(reader, path.stat().st_size)
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak_bytes < 6 << 20


def test_a_directory_that_claims_to_be_huge_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with open(path, "wb") as writer:
        writer.write(b"PK\3\4")
        writer.seek(1 << 30)
        writer.write(struct.pack("<4s6xHIIH", b"PK\5\6", 0xFFFF, 1 << 30, 0, 0))
    with open(path, "rb") as reader:
        tracemalloc.start()
        assert propose(reader, path.stat().st_size) is None
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak_bytes < 2 << 20


def test_a_reader_that_fails_has_no_cuts(tmp_path: Path) -> None:
    (tmp_path / "best.pt").write_bytes(data := torch_file(tmp_path / "a.pt"))
    with open(tmp_path / "best.pt", "rb") as reader:
        pass
    assert propose(reader, len(data)) is None


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    folder = tmp_path_factory.mktemp("real")
    return [torch_file(folder / "best.pt"), safetensors_file(folder / "model.safetensors")]


changes = st.lists(st.tuples(st.integers(0, 3_000), st.booleans(), st.binary(min_size=1, max_size=12)), max_size=6)


@settings(max_examples=600, deadline=None)
@given(st.integers(0, 1), changes, st.integers(-50, 3_000), st.integers(-3, 3))
def test_files_that_were_changed_or_cut_short_never_break_it(
    real: list[bytes], kind: int, edits: list[tuple[int, bool, bytes]], lost: int, lied: int
) -> None:
    # The first and the last 3,000 bytes are where the tables of both formats are.
    data = bytearray(real[kind])
    for at, from_end, put in edits:
        at = len(data) - at - 1 if from_end else at
        data[at : at + len(put)] = put
    data = data[: len(data) - lost] if lost > 0 else data + bytes(-lost)
    cuts = propose(io.BytesIO(bytes(data)), len(data) + lied)
    if cuts is not None:
        assert cuts == sorted(set(cuts))
        assert cuts[0] > 0
        assert cuts[-1] < len(data) + lied


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([b"PK\3\4", b"\x40\0\0\0\0\0\0\0{", b""]), st.binary(max_size=300), st.binary(max_size=60))
def test_any_bytes_are_taken(head: bytes, middle: bytes, end: bytes) -> None:
    for tail in (b"", b"PK\5\6" + end, b"PK\6\6" + end, b"PK\6\7" + end + b"PK\5\6" + end):
        cuts = proposed(head + middle + tail)
        assert cuts is None or cuts == sorted(set(cuts))
