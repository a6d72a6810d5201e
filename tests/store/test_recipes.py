"""Files kept in pieces: the bytes come back, what two files share is stored once, and a loss is said."""

from __future__ import annotations

import gzip
import io
import os
import random
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gitrepro.errors import BlobMissing, Damaged, SourceChanged
from gitrepro.records.recipe import SEGMENTS_AT_MOST, Recipe, Segment, load_recipe
from gitrepro.store.objects import BlobStore, digest_of
from gitrepro.store.recipes import put_parts, put_split
from gitrepro.store.splitters import segment_lengths

MIB, KIB = 1 << 20, 1 << 10


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "store")


def noise(size_bytes: int, *, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size_bytes)


def put(store: BlobStore, data: bytes, cuts: list[int] | None = None) -> tuple[str, int]:
    """Put a file; its name, and how many bytes were new."""
    with store.batch() as batch:
        digest, size_bytes = put_split(batch, io.BytesIO(data), len(data), cuts=cuts)
    assert (digest, size_bytes) == (digest_of([data]), len(data))
    return digest, batch.new_bytes


def put_all(store: BlobStore, parts: list[bytes]) -> tuple[str, int]:
    with store.batch() as batch:
        digest, size_bytes = put_parts(batch, parts)
    assert (digest, size_bytes) == (digest_of(parts), sum(map(len, parts)))
    return digest, batch.new_bytes


def pieces(store: BlobStore, digest: str) -> list[int]:
    """How long the pieces of a file are."""
    path = store.recipe_path(bytes.fromhex(digest[3:]))
    return [segment.size_bytes for segment in load_recipe(path.read_bytes()).segments]


def files(store: BlobStore) -> set[Path]:
    return {path for path in store.root.rglob("*") if path.is_file() and "index" not in path.name}


sizes = st.one_of(st.integers(0, 100), st.integers(MIB - 2, 3 * MIB))
cuts = st.lists(st.integers(-10, 3 * MIB + 10), max_size=40)
many = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@many
@given(sizes, st.integers(0, 3), cuts)
def test_any_bytes_with_any_cuts_come_back(store: BlobStore, size: int, seed: int, cuts: list[int]) -> None:
    data = noise(size, seed=seed)
    digest, _ = put(store, data, cuts)
    assert store.get(digest) == data


@many
@given(st.lists(st.one_of(st.integers(0, 100), st.integers(60 * KIB, MIB)), min_size=2, max_size=12), st.integers(0, 3))
def test_any_parts_come_back(store: BlobStore, lengths: list[int], seed: int) -> None:
    parts = [noise(length, seed=seed + number) for number, length in enumerate(lengths)]
    digest, _ = put_all(store, parts)
    assert store.get(digest) == b"".join(parts)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 2 * MIB + 100), st.integers(0, MIB)), max_size=8))
def test_any_range_is_read(store: BlobStore, ranges: list[tuple[int, int]]) -> None:
    data = noise(2 * MIB)
    digest, _ = put(store, data, [100, 70_000, 300_000, 300_001, MIB])
    with store.open(digest) as reader:
        assert reader.seek(0, os.SEEK_END) == len(data)
        for begin, length in ranges:
            reader.seek(begin)
            assert reader.read(length) == data[begin : begin + length]


@many
@given(st.binary(max_size=100), st.sampled_from([b"PK\3\4", b"\x40\0\0\0\0\0\0\0{", b""]), st.binary(max_size=100))
def test_what_only_looks_like_a_format_comes_back(store: BlobStore, begin: bytes, magic: bytes, end: bytes) -> None:
    data = magic + begin + bytes(MIB) + b"PK\5\6" + end
    digest, _ = put(store, data)
    assert store.get(digest) == data


def test_a_part_of_64_kib_is_a_piece_and_smaller_neighbours_are_one(store: BlobStore) -> None:
    lengths = [100, 64 * KIB, 10, 20, 0, 30, MIB, 64 * KIB - 1, 2, 40 * KIB, 30 * KIB, 7]
    digest, _ = put_all(store, [noise(length, seed=number) for number, length in enumerate(lengths)])
    assert pieces(store, digest) == [100, 64 * KIB, 60, MIB, 64 * KIB + 1, 70 * KIB, 7]


def test_a_part_above_64_mib_is_cut_at_every_64_from_its_own_beginning(store: BlobStore) -> None:
    large = bytes(64 * MIB + 10)
    digest, _ = put_all(store, [b"header", large, b"end"])
    assert pieces(store, digest) == [6, 64 * MIB, 10, 3]
    assert put_all(store, [b"a longer header", large, b"end"])[1] < KIB
    assert store.verify(digest) == 64 * MIB + 19


def test_a_tensor_that_changed_costs_itself_and_a_small_one_its_run(store: BlobStore) -> None:
    parts = [noise(length, seed=length) for length in (50, 200 * KIB, 300, 400, MIB, 500, 600, 700 * KIB)]
    put_all(store, parts)
    for number, cost in ((0, 50), (1, 200 * KIB), (2, 700), (4, MIB), (6, 1100), (7, 700 * KIB)):
        other = [*parts[:number], noise(len(parts[number]), seed=9_000 + number), *parts[number + 1 :]]
        assert put_all(store, other)[1] == cost


def test_a_change_in_a_long_run_of_small_tensors_costs_little(store: BlobStore) -> None:
    parts = [noise(100), *(noise(3 * KIB, seed=number) for number in range(1000))]
    put_all(store, parts)
    parts[500] = noise(3 * KIB, seed=9_000)
    assert put_all(store, parts)[1] < 128 * KIB


def test_a_file_that_is_here_already_is_not_written_again(store: BlobStore) -> None:
    data = noise(2 * MIB)
    put(store, data, [500, MIB])
    before = files(store)
    assert put(store, data, [500, MIB])[1] == 0
    assert put_all(store, [data[:70_000], data[70_000:]])[1] == 0
    assert files(store) == before


def test_parts_of_which_the_whole_is_here_as_one_blob_are_not_written(store: BlobStore) -> None:
    data = noise(2 * MIB)
    digest = store.put(data)
    before = files(store)
    assert put_all(store, [data[:1000], data[1000:]]) == (digest, 0)
    assert files(store) == before


def test_a_file_that_is_here_is_made_young_with_its_pieces(store: BlobStore) -> None:
    data = noise(2 * MIB)
    put(store, data, [500, MIB])
    for path in files(store):
        os.utime(path, (1, 1))
    put_all(store, [data])
    assert all(path.stat().st_mtime > 1 for path in files(store))


def test_under_a_mebibyte_and_in_one_piece_a_file_is_a_plain_blob(store: BlobStore) -> None:
    for data in (b"", noise(MIB - 1), noise(MIB)):
        digest, _ = put(store, data, [] if len(data) >= MIB else [10])
        assert store.get(digest) == data
    assert not (store.root / "recipes").exists()


def test_a_file_of_no_known_format_is_a_plain_blob(store: BlobStore, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(data := noise(2 * MIB))
    with open(tmp_path / "a.bin", "rb") as reader, store.batch() as batch:
        reader.read(10)
        assert put_split(batch, reader, len(data)) == (digest_of([data]), len(data))
    assert not (store.root / "recipes").exists()
    assert store.get(digest_of([data])) == data


def test_a_reader_that_unpacks_is_not_taken_for_its_file(store: BlobStore, tmp_path: Path) -> None:
    data = noise(MIB) * 2
    with gzip.open(tmp_path / "a.gz", "wb") as writer:
        writer.write(data)
    with gzip.open(tmp_path / "a.gz", "rb") as reader, store.batch() as batch:
        assert put_split(batch, reader, len(data))[0] == digest_of([data])  # type: ignore[arg-type]
    assert store.get(digest_of([data])) == data


def test_when_a_batch_fails_nothing_of_the_file_stays(store: BlobStore) -> None:
    with pytest.raises(ZeroDivisionError), store.batch() as batch:
        put_parts(batch, [noise(500), noise(MIB)])
        raise ZeroDivisionError
    assert files(store) == set()


def test_a_file_of_another_length_than_said_is_not_taken(store: BlobStore, tmp_path: Path) -> None:
    data = noise(2 * MIB)
    (tmp_path / "a.bin").write_bytes(data)
    for length in (len(data) - 1, len(data) + 1):
        with pytest.raises(SourceChanged), store.batch() as batch:
            put_split(batch, io.BytesIO(data), length, cuts=[MIB])
        with pytest.raises(SourceChanged), open(tmp_path / "a.bin", "rb") as reader, store.batch() as batch:
            put_split(batch, reader, length, cuts=[MIB])
    assert files(store) == set()


class Meddler(list[int]):
    """Cuts; whoever looks at them has the file written to meanwhile, as often as said."""

    def __init__(self, path: Path, times: int) -> None:
        super().__init__([MIB])
        self.path, self.times = path, times

    def __iter__(self) -> Iterator[int]:
        self.times -= 1
        if self.times >= 0:
            with open(self.path, "r+b") as writer:
                writer.write(b"changed %d" % self.times)
        return super().__iter__()


def test_a_file_written_to_while_it_is_read_is_read_again_and_in_the_end_refused(
    store: BlobStore, tmp_path: Path
) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(noise(2 * MIB))
    with open(path, "rb") as reader:
        with store.batch() as batch:
            digest, _ = put_split(batch, reader, 2 * MIB, cuts=Meddler(path, 2))
        assert store.get(digest) == path.read_bytes()
        with pytest.raises(SourceChanged, match=r"a\.bin"), store.batch() as batch:
            put_split(batch, reader, 2 * MIB, cuts=Meddler(path, 10))


def test_a_missing_piece_is_named_with_the_file_and_putting_again_brings_it_back(store: BlobStore) -> None:
    data = noise(2 * MIB)
    digest, _ = put(store, data, [MIB])
    piece = digest_of([data[MIB:]])
    store.path(piece).unlink()
    with pytest.raises(BlobMissing) as found:
        store.get(digest)
    assert digest[:15] in str(found.value)
    assert piece[:15] in str(found.value)
    put_all(store, [data[:MIB], data[MIB:]])
    assert store.get(digest) == data


def test_a_piece_cut_short_is_damage(store: BlobStore) -> None:
    data = noise(2 * MIB)
    digest, _ = put(store, data, [MIB])
    path = store.path(digest_of([data[MIB:]]))
    path.chmod(0o644)
    os.truncate(path, 1000)
    with pytest.raises(Damaged, match=digest[:15]), store.open(digest) as reader:
        reader.read()


def test_recipes_that_are_made_of_each_other_are_damage(store: BlobStore) -> None:
    names = [f"b3:{letter * 64}" for letter in "ab"]
    for whole, piece in (names, names[::-1]):
        path = store.recipe_path(bytes.fromhex(whole[3:]))
        path.parent.mkdir(parents=True)
        path.write_bytes(Recipe(size_bytes=9, digest=whole, segments=(Segment(piece, 9),)).dump())
    with pytest.raises(Damaged, match="made of pieces"), store.open(names[0]) as reader:
        reader.read()


def test_more_parts_than_a_recipe_may_have_become_pieces_of_64_mib() -> None:
    count = SEGMENTS_AT_MOST + 1
    size_bytes = count * 64 * KIB
    found = segment_lengths([64 * KIB] * count, size_bytes)
    assert set(found[:-1]) == {64 * MIB}
    assert sum(found) == size_bytes


# -- real checkpoints


def model(seed: int) -> dict[str, object]:
    torch = pytest.importorskip("torch")
    made = torch.Generator().manual_seed(seed)
    return {f"{layer}.{kind}": torch.rand(count, generator=made) for layer in range(8) for kind, count in
            (("weight", 60_000), ("bias", 200))}  # fmt: skip


def put_path(store: BlobStore, path: Path) -> tuple[str, int]:
    with open(path, "rb") as reader, store.batch() as batch:
        digest, _ = put_split(batch, reader, path.stat().st_size)
    assert store.get(digest) == path.read_bytes()
    return digest, batch.new_bytes


def test_best_and_last_of_one_state_share_their_tensors(store: BlobStore, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    for name in ("best.pt", "last.pt"):
        torch.save(model(0), tmp_path / name)
    best, last = (put_path(store, tmp_path / name) for name in ("best.pt", "last.pt"))
    assert best[0] != last[0]
    assert last[1] < 0.02 * best[1]


def test_another_step_in_the_header_of_a_safetensors_file_costs_the_header(store: BlobStore, tmp_path: Path) -> None:
    save = pytest.importorskip("safetensors.torch").save_file
    for step in ("10", "20"):
        save(model(0), tmp_path / f"{step}.safetensors", metadata={"step": step})
    put_path(store, tmp_path / "10.safetensors")
    assert put_path(store, tmp_path / "20.safetensors")[1] < 2 * KIB


def test_a_torch_file_and_a_safetensors_file_of_one_model_share_its_tensors(store: BlobStore, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("safetensors.torch").save_file(model(0), tmp_path / "a.safetensors")
    torch.save(model(0), tmp_path / "a.pt")
    put_path(store, tmp_path / "a.pt")
    assert put_path(store, tmp_path / "a.safetensors")[1] < 20 * KIB


def test_a_checkpoint_inside_an_archive_comes_back(store: BlobStore, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.save(model(0), tmp_path / "a.pt")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(tmp_path / "a.pt")
        archive.writestr("notes", "of the model")
    with store.batch() as batch:
        for name in ("a.pt", "a.zip"):
            with open(tmp_path / name, "rb") as reader:
                put_split(batch, reader, (tmp_path / name).stat().st_size)
    for name in ("a.pt", "a.zip"):
        data = (tmp_path / name).read_bytes()
        assert store.get(digest_of([data])) == data


def test_recipes_that_name_each_other_are_no_hit_and_no_endless_loop(store: BlobStore) -> None:
    first, second = digest_of([b"first"]), digest_of([b"second"])
    for whole, piece in ((first, second), (second, first)):
        path = store.recipe_path(bytes.fromhex(whole[3:]))
        path.parent.mkdir(parents=True, exist_ok=True)
        recipe = Recipe(size_bytes=6, digest=whole, segments=(Segment(piece, 3), Segment(piece, 3)))
        path.write_bytes(recipe.dump())

    with store.batch() as batch:
        assert first not in batch
    with pytest.raises((Damaged, BlobMissing)):
        store.get(first)


def test_a_damaged_recipe_makes_way_for_a_sound_one(store: BlobStore) -> None:
    parts = [os.urandom(700_000) for _ in range(3)]
    with store.batch() as batch:
        digest, _ = put_parts(batch, parts)
    path = store.recipe_path(bytes.fromhex(digest[3:]))
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b"size", b"sise"))

    with store.batch() as batch:
        put_parts(batch, parts)

    assert store.get(digest) == b"".join(parts)
    assert len(list((store.root / "quarantine").iterdir())) == 1
