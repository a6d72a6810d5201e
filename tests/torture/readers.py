"""What reads the store and the records around it, for the fuzz: recipes, trees, splits, packs, checkpoints, pins.

Where a format ends with a hash of itself, the bytes are also tried with the hash made right, as an enemy would do.
"""

from __future__ import annotations

import contextlib
import io
import json
import random
import struct
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

NAMES: Final = [f"{number:064x}" for number in (1, 2**200, 2**255)]
PIECES: Final = (70_000, 65_536, 1)
ODD: Final[tuple[Any, ...]] = (
    None,
    True,
    -1,
    0,
    2**62,
    0.5,
    float("inf"),
    "",
    "x",
    [],
    {},
    [1, "a"],
    {"a": 1},
    {"a": {}},
)
"""What stands in a document where something else is wanted."""
CONFUSED: Final = 150
SMALL_RECORD_BYTES: Final = 16
_READ_WHOLE: Final = 40
"""Of 256 packs, so many are read as a whole: it takes a store and its index."""


def _same(found: object, data: bytes) -> None:
    if found != data:
        raise AssertionError("what was read is written differently")


def hashed(data: bytes) -> bytes:
    import blake3

    return blake3.blake3(data).digest()


def _in_turn(*readers: Callable[[], object]) -> None:
    """Call each; one that refuses does not keep the next from its turn."""
    from gitrepro.errors import GitreproError

    refused: GitreproError | None = None
    for each in readers:
        try:
            each()
        except GitreproError as error:
            refused = error
    if refused:
        raise refused


# -- texts of the store


def recipe(data: bytes) -> None:
    from gitrepro.records.recipe import load_recipe

    right = data[:-71] + b"check " + hashed(data[:-71]).hex().encode() + b"\n"
    _in_turn(*(lambda each=each: _same(load_recipe(each).dump(), each) for each in (data, right)))


def recipes() -> list[bytes]:
    from gitrepro.records.recipe import Recipe, Segment

    segments = tuple(Segment(f"b3:{name}", size) for name, size in zip(NAMES, PIECES, strict=True))
    return [Recipe(size_bytes=sum(PIECES), digest=f"b3:{7:064x}", segments=segments).dump()]


def root(data: bytes) -> None:
    from gitrepro.records.manifest import load_root

    _same(load_root(data, source="a root").dump(), data)


def roots() -> list[bytes]:
    from gitrepro.records.manifest import ShardRef, root_of

    firsts = (b"a/1", b"b\n\\", "ö".encode())
    refs = [ShardRef(f"b3:{name}", 2, 10, first) for name, first in zip(NAMES, firsts, strict=True)]
    return [root_of(refs).dump(), root_of([]).dump()]


def shard(data: bytes) -> None:
    from gitrepro.records.manifest import Sequenced, ShardRef, dump_shard, load_shard

    entries = load_shard(data, source="a shard")
    _same(dump_shard(entries), data)
    total = sum(entry.size_bytes for entry in entries)
    first = entries[0].path if entries else b""
    Sequenced("a tree").take(entries, ShardRef(f"b3:{NAMES[0]}", len(entries), total, first))


def shards() -> list[bytes]:
    from gitrepro.records.manifest import EMPTY, FILE, FOLDER, LINK, PROGRAM, FileEntry, dump_shard

    name = f"b3:{NAMES[1]}"
    paths = [(b"a", FILE, 5), (b"b/c\\\n", PROGRAM, 0), (b"b/\xff", LINK, 9), ("b/ü".encode(), FILE, 2**40)]
    entries = [FileEntry(path, name, size, mode) for path, mode, size in sorted(paths)]
    return [dump_shard([*entries, FileEntry(b"z/", EMPTY, 0, FOLDER)])]


def partition(data: bytes) -> None:
    from gitrepro.records.partition import load_partition

    _same(load_partition(data, source="a split").dump(), data)


def partitions() -> list[bytes]:
    from gitrepro.records.partition import Partition

    rule = {"by": "hash", "fractions": {"test": 0.5, "train": 0.5}, "seed": 1}
    rows = Partition(data=f"b3:{NAMES[0]}", ids="row", rule=rule, parts={"train": ["0", "3", "20"], "test": ["1"]})
    paths = Partition(data=f"b3:{NAMES[0]}", ids="path", rule={}, parts={"train": ["a/1", "ü\\x"], "val": []})
    return [rows.dump(), paths.dump()]


# -- records


def dataset(data: bytes) -> None:
    from gitrepro.records.dataset import load_dataset

    load_dataset(data, source="a record").dump()


def datasets() -> list[bytes]:
    from gitrepro.records.dataset import DatasetRecord

    record = DatasetRecord(
        name="digits", version="v1", digest=f"b3:{NAMES[0]}", kind="csv", items=3, files=1, size_bytes=10, linked=False,
        source="data/digits.csv", id="column:id", label="digit", ignore=("*.tmp",), note="a note",
        created_at="2026-01-01T00:00:00.000000Z", actor={"email": "a@example.org", "name": "a"},
    )  # fmt: skip
    return [record.dump(), *_confused(record.document())]


def split(data: bytes) -> None:
    from gitrepro.records.split import load_split

    load_split(data, source="a record").dump()


def splits() -> list[bytes]:
    from gitrepro.records.split import SplitRecord

    of = {"digest": f"b3:{NAMES[0]}", "name": "digits", "version": "v1"}
    record = SplitRecord(
        name="default", version="v1", digest=f"b3:{NAMES[1]}", dataset=of, rule={"by": "hash"},
        parts={"test": 1, "train": 3}, classes={"test": {"a": 1}, "train": {"a": 2, "b": 1}}, seed=1, deviation=0.5,
    )  # fmt: skip
    return [record.dump(), *_confused(record.document())]


def statistics(data: bytes) -> None:
    """Shown, and compared with sound ones, as `data stats` and `data diff` do."""
    from gitrepro.cli.data.diff import _histogram
    from gitrepro.cli.data.numbers import beside, print_statistics
    from gitrepro.data.statistics import moved
    from gitrepro.records.statistics import load_statistics

    found, sound = load_statistics(data, source="statistics"), _sound()
    with contextlib.redirect_stdout(io.StringIO()):
        print_statistics(found, everything=True)
    for old, new in ((found, sound), (sound, found)):
        for each in moved(old, new):
            beside(_histogram(old, each.feature), _histogram(new, each.feature))


def _sound() -> dict[str, Any]:
    bins = {"counts": [1, 2], "edges": [0.0, 1.0, 2.0]}
    numbers = {"histogram": bins, "max": 2.0, "mean": 1.0, "min": 0.0, "std": 0.5}
    return {
        "algorithm": 1,
        "classes": {"a": 2, "b": 1},
        "counts": {"classes": 2, "features": 2, "items": 3, "unreadable": 1},
        "duplicates": {"items": 1},
        "exact": False,
        "features": {
            "text": {"distinct": 2, "lengths": numbers, "missing_rate": 0.5, "type": "text", "values": {"x": 2}},
            "x": {"missing_rate": 0.0, "type": "float", **numbers},
        },
        "format": 1,
        "notes": ["a note"],
        "sampled": {"n": 3, "seed": 0},
        "sizes": {"bytes": numbers},
        "suffixes": {".txt": 3},
    }


def all_statistics() -> list[bytes]:
    from gitrepro.records import yaml

    return [yaml.dump(_sound()), *_confused(_sound())]


def _confused(document: Mapping[str, Any]) -> list[bytes]:
    """Documents that parse, with something else in one or two places."""
    from gitrepro.records import yaml

    rng, found = random.Random(1), []
    for number in range(CONFUSED):
        changed = json.loads(json.dumps(document))
        for _ in range(1 + number % 2):
            holder, key = rng.choice(list(_places(changed)))
            holder[key] = rng.choice(ODD)
        found.append(yaml.dump(changed))
    return found


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Each place in a document: what holds it, and its key there."""
    keys = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from _places(value[key])


# -- packs and pins


def pack(data: bytes) -> None:
    """The table, with the name of the pack made right where it can be; of some packs also each blob it tells of."""
    from gitrepro.store.objects import BlobStore, packfile

    whole = _rightly_named(data)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "packs", f"{whole[-40:-8].hex()}.pack")
        path.parent.mkdir()
        path.write_bytes(whole)
        entries = packfile.entries(path)
        if hashed(data)[0] < _READ_WHOLE:
            store = BlobStore(Path(folder))
            _in_turn(*(lambda entry=entry: store.get(f"b3:{entry.hash.hex()}") for entry in entries))
            store.close()


def _rightly_named(data: bytes) -> bytes:
    if len(data) < 48:
        return data
    count = struct.unpack(">Q", data[-48:-40])[0]
    table = data[max(len(data) - 48 - count * 44, 0) : -48] if count < len(data) else b""
    return data[:-40] + hashed(table) + data[-8:]


def packs() -> list[bytes]:
    from gitrepro.store.objects.packfile import PackWriter

    with tempfile.TemporaryDirectory() as folder:
        writer = PackWriter(f"{folder}/pack")
        for blob in (b"one", b"two" * 30, b""):
            writer.add(hashed(blob), blob)
        writer.close()
        return [Path(folder, "pack").read_bytes()]


def pins(data: bytes) -> None:
    from gitrepro.store import pins as reading

    with tempfile.TemporaryDirectory() as folder:
        clone = "0" * 32
        reading.path_of(Path(folder), clone).parent.mkdir()
        reading.path_of(Path(folder), clone).write_bytes(data)
        reading.path_of(Path(folder), clone).with_suffix(".yaml").write_bytes(data)
        reading.owner(Path(folder), clone)
        list(reading.read(Path(folder), clone))


def all_pins() -> list[bytes]:
    from gitrepro.records import yaml

    card = {"clone": "0" * 32, "format": 1, "git_dir": "/a/.git", "host": "h", "updated_at": "2026"}
    return ["".join(f"{name} 1700000000\n" for name in NAMES).encode(), yaml.dump(card), *_confused(card)]


# -- splitters


def cuts(data: bytes) -> None:
    """Proposals lie inside the file, ascending. A record counts as large from 16 bytes on: the files here are small."""
    from gitrepro.store.splitters import propose, zipped

    large, zipped.SMALL_BYTES = zipped.SMALL_BYTES, SMALL_RECORD_BYTES  # type: ignore[misc]
    try:
        found = propose(io.BytesIO(data), len(data))
    finally:
        zipped.SMALL_BYTES = large  # type: ignore[misc]
    if found is not None and (found != sorted(set(found)) or not 0 < found[0] <= found[-1] < len(data)):
        raise AssertionError(f"cuts that cannot be: {found}")


def archives() -> list[bytes]:
    return [_archive(comment=b""), _archive(comment=b"PK\5\6" + bytes(30)), _archive(zip64=True)]


def _archive(*, comment: bytes = b"", zip64: bool = False) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.comment = comment
        for name, data in (("a/data.pkl", b"state"), ("a/data/0", bytes(300)), ("a/data/1", b"\1" * 200)):
            with archive.open(zipfile.ZipInfo(name), "w", force_zip64=zip64) as member:
                member.write(data)
    data = stream.getvalue()
    return _with_zip64_end(data) if zip64 else data


def _with_zip64_end(data: bytes) -> bytes:
    """The archive with its end written once more as large archives have it, and the small one full."""
    at = data.rindex(b"PK\5\6")
    count, length, begin = struct.unpack_from("<HII", data, at + 10)
    end64 = struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, count, count, length, begin)
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, at, 1)
    return (
        data[:at] + end64 + locator + struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, count, count, 2**32 - 1, 2**32 - 1, 0)
    )


def tensor_files() -> list[bytes]:
    """Files in the safetensors format, sound and not."""
    header = {
        "__metadata__": {"format": "pt"},
        "a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
        "b": {"dtype": "I64", "shape": [2], "data_offsets": [24, 40]},
        "c": {"dtype": "U8", "shape": [0], "data_offsets": [40, 40]},
    }
    rng = random.Random(2)
    headers = [header, *(json.loads(json.dumps(header)) for _ in range(CONFUSED))]
    for each in headers[1:]:
        holder, key = rng.choice(list(_places(each)))
        holder[key] = rng.choice([*ODD, 25, 39, 40, 41, "BOOL", [2, 2**62]])
    return [_tensor_file(json.dumps(each).encode()) for each in headers]


def _tensor_file(header: bytes) -> bytes:
    return len(header).to_bytes(8, "little") + header + bytes(range(40))


def tensors(data: bytes) -> None:
    from gitrepro.checkpoints import tensorfile

    for piece in tensorfile.read(memoryview(data), source="a file").pieces.values():
        bytes(piece.data)


# -- checkpoints


def checkpoint(data: bytes) -> None:
    """As `load_checkpoint` reads it, whatever it is."""
    from gitrepro.checkpoints.reading import parse

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch has something to say of odd pickles
        parse(memoryview(bytearray(data)), source="a checkpoint", digest=f"b3:{NAMES[0]}")


def checkpoints() -> list[bytes]:
    """One of ours in each format, one of torch's own, and states that say what cannot be."""
    import torch

    from gitrepro.checkpoints import torchfile
    from gitrepro.checkpoints.skeleton import encode

    stream = io.BytesIO()
    torch.save({"model": {"w": torch.ones(3)}, "step": 3}, stream)
    state = {"model": {"w": {"$tensor": "a"}}, "step": 3, "extra": encode({1: (2.5, b"x")}, path="", take=_none)}
    rng = random.Random(3)
    states = [state, *(json.loads(json.dumps(state)) for _ in range(CONFUSED))]
    for each in states[1:]:
        holder, key = rng.choice(list(_places(each)))
        holder[key] = rng.choice([*ODD, *_TAGGED])
    ours = torchfile.dump(json.dumps(state), {"a": torch.ones(3)}, "{}")
    return [stream.getvalue(), ours, *(_state_file(each) for each in states)]


_TAGGED: Final[tuple[Any, ...]] = tuple(
    {tag: value}
    for tag in ("$tensor", "$array", "$float", "$tuple", "$dict", "$ordered", "$set", "$bytes", "$complex", "$module")
    for value in ("a", None, 5, [], [[]], [[1, 2], 3], {"dtype": "x"}, [["a", {}]], "\ud800")
)


def _none(_path: str, _value: Any) -> Any:
    raise AssertionError


def _state_file(state: Mapping[str, Any]) -> bytes:
    from gitrepro.checkpoints import files

    told = {files.STATE: json.dumps(state), files.PROVENANCE: json.dumps({"step": 3, "metrics": {"val/loss": 1.0}})}
    header = {"__metadata__": told, "a": {"dtype": "F32", "shape": [10], "data_offsets": [0, 40]}}
    return _tensor_file(json.dumps(header).encode())
