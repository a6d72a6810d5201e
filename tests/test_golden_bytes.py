"""The golden content store is what FORMAT.md says. Read here from the page alone: by struct, json and plain text."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import math
import re
import statistics
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import blake3
import pytest
import yaml

CONTENT = Path(__file__).parent / "golden" / "v1" / "content"
STORE, REF = CONTENT / "store", CONTENT / "ref"
RUN = "01k3v9m2h8q4w5x6y7z8a9b0ce"
[PACK] = (STORE / "packs").iterdir()
[RECIPE] = (path for path in (STORE / "recipes").rglob("*") if path.is_file())
DIGITS = "fe16acbbac001f657ce7455d5cb3fd18979e960443cc717d8e977c7f82cc623a"


def b3(data: bytes) -> str:
    return blake3.blake3(data).hexdigest()


def packed() -> dict[str, bytes]:
    """The blobs of the pack, by its table."""
    data = PACK.read_bytes()
    count, _, _ = struct.unpack(">Q32s8s", data[-48:])
    table = data[-48 - 44 * count : -48]
    return {name.hex(): data[at : at + size] for name, at, size in struct.iter_unpack(">32sQI", table)}


def loose() -> dict[str, bytes]:
    files = [path for path in (STORE / "objects").rglob("*") if path.is_file()]
    return {f"{path.parent.name}{path.name}": path.read_bytes() for path in files}


BLOBS = packed() | loose()


def record(pattern: str) -> dict[str, Any]:
    [path] = (path for path in REF.glob(pattern) if "statistics" not in path.name)
    return yaml.safe_load(path.read_bytes())


def unescaped(text: str) -> bytes:
    r"""`\\` and `\xNN`, of UTF-8."""
    return re.sub(
        rb"\\(\\|x[0-9a-f]{2})",
        lambda match: b"\\" if match[1] == b"\\" else bytes([int(match[1][1:], 16)]),
        text.encode(),
    )


# -- blobs, packs, recipes


def test_each_blob_is_named_by_its_blake3():
    assert len(BLOBS) == 52
    for name, data in BLOBS.items():
        assert b3(data) == name


def test_a_pack_has_a_beginning_the_blobs_a_table_and_an_end_that_names_it():
    data = PACK.read_bytes()
    count, digest, end = struct.unpack(">Q32s8s", data[-48:])
    table = data[-48 - 44 * count : -48]
    rows = list(struct.iter_unpack(">32sQI", table))

    assert (data[:8], end) == (b"gRpack1\n", b"gRpend1\n")
    assert digest == blake3.blake3(table).digest()
    assert PACK.name == f"{digest.hex()}.pack"
    assert rows == sorted(rows)
    # Nothing lies between the blobs.
    at = 8
    for _, offset, size in sorted(rows, key=lambda row: (row[1], row[2])):
        assert offset == at or size == 0
        at += size
    assert at == len(data) - len(table) - 48


def recipe_lines() -> tuple[list[list[str]], bytes]:
    data = RECIPE.read_bytes()
    return [line.split(" ") for line in data.decode().removesuffix("\n").split("\n")], data


def test_a_recipe_names_the_pieces_of_a_file_and_ends_with_its_own_hash():
    lines, data = recipe_lines()
    whole = b"".join(BLOBS[name] for name, _ in lines[3:-1])

    assert lines[0] == ["gitrepro", "recipe", "1"]
    assert lines[1] == ["size", str(len(whole))]
    assert lines[2] == ["b3", b3(whole)]
    assert lines[-1] == ["check", b3(data[: data.rindex(b"check ")])]
    assert all(len(BLOBS[name]) == int(size) for name, size in lines[3:-1])
    assert f"{RECIPE.parent.name}{RECIPE.name}" == b3(whole) not in BLOBS


def test_a_tensor_of_64_kib_is_a_piece_of_its_own_and_so_is_the_header():
    lines, _ = recipe_lines()
    sizes = [int(size) for _, size in lines[3:-1]]

    header = BLOBS[lines[3][0]]
    assert int.from_bytes(header[:8], "little") + 8 == sizes[0]
    assert sizes[1:] == [1 << 16] * 17


# -- trees


def tree(root: str) -> Iterator[tuple[str, int, str, bytes]]:
    """The entries of a tree: hash, size, mode, path."""
    head, files, size, *refs = BLOBS[root].decode().removesuffix("\n").split("\n")
    assert head == "gitrepro tree 1"
    found: list[tuple[str, int, str, bytes]] = []
    for ref in refs:
        name, count, size_bytes, first = ref.split(" ", 3)
        first_line, *lines = BLOBS[name].decode().removesuffix("\n").split("\n")
        assert first_line == "gitrepro tree-shard 1"
        shard = [line.split(" ", 3) for line in lines]
        assert (len(shard), sum(int(line[1]) for line in shard)) == (int(count), int(size_bytes))
        assert shard[0][3] == first
        found += [(digest, int(size), mode, unescaped(path)) for digest, size, mode, path in shard]
    assert files == f"files {len(found)}"
    assert size == f"size {sum(entry[1] for entry in found)}"
    yield from found


def data_sets() -> dict[str, dict[str, Any]]:
    paths = [path for path in REF.glob("datasets/*/*.yaml") if "statistics" not in path.name]
    return {path.parent.name: yaml.safe_load(path.read_bytes()) for path in paths}


@pytest.mark.parametrize("name", data_sets())
def test_a_version_is_the_hash_of_a_tree_of_ascending_paths(name):
    told = data_sets()[name]
    entries = list(tree(told["digest"].removeprefix("b3:")))
    paths = [path for _, _, _, path in entries]

    assert paths == sorted(set(paths))
    assert (len(entries), sum(size for _, size, _, _ in entries)) == (told["files"], told["size_bytes"])
    assert {mode for _, _, mode, _ in entries} <= {"100644", "100755", "120000", "040000"}
    for digest, size, mode, path in entries:
        assert (mode == "040000") == path.endswith(b"/")
        assert (digest, size) == (b3(b""), 0) or mode != "040000"
        if digest in BLOBS:
            assert len(BLOBS[digest]) == size
        else:
            assert told["linked"] or digest == f"{RECIPE.parent.name}{RECIPE.name}"


def test_a_shard_ends_after_a_path_whose_crc_ends_in_ten_zero_bits():
    refs = BLOBS[record("datasets/odd/*.yaml")["digest"][3:]].decode().splitlines()[3:]
    shards = [[unescaped(line.split(" ", 3)[3]) for line in BLOBS[ref[:64]].decode().splitlines()[1:]] for ref in refs]

    assert [len(shard) for shard in shards] == [9, 7]
    ends = [path for shard in shards for path in shard if not zlib.crc32(path) & 1023]
    assert ends == [shards[0][-1]]


def test_what_is_no_text_in_a_path_is_escaped_and_nothing_else():
    lines = [line for name in BLOBS if BLOBS[name].startswith(b"gitrepro tree-shard 1\n") for line in text_lines(name)]
    written = {unescaped(line.split(" ", 3)[3]): line.split(" ", 3)[3] for line in lines[1:] if line.count(" ") > 2}

    assert written[b"back\\slash.txt"] == r"back\\slash.txt"
    assert written[b"control\n\x1b\x7f.txt"] == r"control\x0a\x1b\x7f.txt"
    assert written[b"latin-\xe9.bin"] == r"latin-\xe9.bin"
    assert written["ünï/😀.txt".encode()] == "ünï/😀.txt"
    assert written[b"a b.txt"] == "a b.txt"


def text_lines(name: str) -> list[str]:
    return BLOBS[name].decode().removesuffix("\n").split("\n")


# -- records

DATASET_FIELDS = {
    "actor", "created_at", "digest", "files", "format", "id", "ignore", "items", "kind", "label", "linked", "name",
    "note", "size_bytes", "source", "version",
}  # fmt: skip
SPLIT_FIELDS = {
    "actor", "classes", "created_at", "dataset", "deviation", "digest", "format", "group", "name", "note", "parts",
    "rule", "seed", "stable", "version",
}  # fmt: skip


def test_records_of_data_sets_and_splits_have_the_fields_of_the_page_and_lie_where_it_says():
    for path in REF.glob("datasets/*/*.yaml"):
        told = yaml.safe_load(path.read_bytes())
        if ".statistics-" in path.name:
            assert path.name == f"{told['digest'][3:]}.statistics-{told['algorithm']}.yaml"
            assert told["format"] == 1
            continue
        assert set(told) == DATASET_FIELDS
        assert path.relative_to(REF) == Path("datasets", told["name"], f"{told['digest'][3:]}.yaml")
    for path in REF.glob("splits/*/*/*.yaml"):
        told = yaml.safe_load(path.read_bytes())
        assert set(told) == SPLIT_FIELDS
        assert path.relative_to(REF) == Path(
            "splits", told["dataset"]["name"], told["name"], f"{told['digest'][3:]}.yaml"
        )
        assert set(told["dataset"]) == {"digest", "name", "version"}


def test_places_are_of_this_clone_alone_and_their_paths_absolute():
    assert re.fullmatch(r"[0-9a-f]{32}\n", (CONTENT / "home" / "clone-id").read_text())
    for path in (CONTENT / "home" / "places").iterdir():
        told = yaml.safe_load(path.read_bytes())
        assert set(told) == {"digest", "format", "places"}
        assert path.name == f"{told['digest'][3:]}.yaml"
        for place in told["places"]:
            assert set(place) == {"at", "follow", "ignore", "linked", "ours", "path"}
            assert place["path"].startswith("/")


# -- splits


def split(name: str) -> tuple[dict[str, Any], dict[str, list[str]], str]:
    """A split: its rule, the lines of its parts, and what names the items; checked line by line."""
    told = record(f"splits/*/{name}/*.yaml")
    lines = text_lines(told["digest"][3:])
    assert lines[0] == "gitrepro split 1"
    assert lines[1] == f"data {told['dataset']['digest']}"
    ids = lines[2].removeprefix("ids ")
    rule = json.loads(lines[3].removeprefix("rule "))
    assert lines[3] == f"rule {json.dumps(rule, sort_keys=True, separators=(',', ':'))}"
    assert rule == told["rule"]
    parts: dict[str, list[str]] = {}
    rest = lines[4:]
    while rest:
        word, part, count = rest[0].split(" ")
        assert word == "part"
        parts[part], rest = rest[1 : int(count) + 1], rest[int(count) + 1 :]
    assert {part: len(own) for part, own in parts.items()} == told["parts"]
    assert list(parts) == sorted(parts)
    return rule, parts, ids


SPLITS = sorted(path.name for path in REF.glob("splits/*/*"))


@pytest.mark.parametrize("name", SPLITS)
def test_the_ids_of_a_split_ascend_and_stand_once(name):
    _, parts, ids = split(name)

    every = [line for own in parts.values() for line in own]
    assert len(set(every)) == len(every)
    for own in parts.values():
        keys: list[Any] = [int(line) for line in own] if ids == "row" else [unescaped(line) for line in own]
        assert keys == sorted(keys)


@pytest.mark.parametrize("name", ["by-folder", "folds"])
def test_where_a_split_goes_by_hash_each_item_is_where_its_hash_falls(name):
    rule, parts, _ = split(name)
    key = blake3.blake3(rule["salt"].encode(), derive_key_context="gitrepro 2026-11 keyed hashes of items").digest()
    shares = {part: Fraction(str(share)) for part, share in sorted(rule["fractions"].items())}
    total, below = sum(shares.values()), Fraction(0)
    ranges = {}
    for part, share in shares.items():
        ranges[part] = range(int(below / total * 2**64), int((below + share) / total * 2**64))
        below += share

    for part, own in parts.items():
        for line in own:
            item = unescaped(line)
            group = item.rpartition(b"/")[0]
            text = b"group " + group if rule["group"] == "folder" else b"id " + item
            assert int.from_bytes(blake3.blake3(text, key=key).digest()[:8]) in ranges[part]


def test_the_hashes_on_the_page_are_what_they_are():
    key = blake3.blake3(b"default:0", derive_key_context="gitrepro 2026-11 keyed hashes of items").digest()
    hashes = [int.from_bytes(blake3.blake3(text, key=key).digest()[:8]) for text in (b"id 0", b"id 1")]

    assert hashes == [3593321864107856481, 9679089268158587469]


def rows() -> list[dict[str, str]]:
    [(digest, _, _, _)] = tree(DIGITS)
    head, *lines = BLOBS[digest].decode().removesuffix("\n").split("\n")
    return [dict(zip(head.split(","), line.split(","), strict=True)) for line in lines]


def test_where_a_split_goes_by_time_a_part_begins_at_its_cut():
    rule, parts, ids = split("in-time")
    taken = {row["name"].encode(): row[rule["time"]] + "+00:00" for row in rows()}
    moments = {part: sorted(taken[unescaped(line)] for line in own) for part, own in parts.items()}

    assert ids == "column:name"
    assert rule["order"] == ["train", "val", "test"]
    for cut, before, after in zip(rule["cuts"], rule["order"], rule["order"][1:], strict=False):
        assert moments[before][-1] < cut <= moments[after][0]


def test_the_record_of_a_split_counts_the_labels_of_each_part():
    _, parts, _ = split("default")
    label = {row["name"].encode(): row["digit"] for row in rows()}
    counts = {part: [label[unescaped(line)] for line in own] for part, own in parts.items()}

    told = record("splits/digits/default/*.yaml")
    assert told["classes"] == {
        part: {each: own.count(each) for each in sorted(set(own))} for part, own in counts.items()
    }
    worst = max(
        abs(own.count(each) / list(label.values()).count(each) - told["rule"]["fractions"][part])
        for part, own in counts.items()
        for each in "012"
    )
    assert told["deviation"] == pytest.approx(worst)
    assert told["seed"] == int(told["rule"]["salt"].partition(":")[2])


# -- normalisers


def fitted() -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """By name what the run says of a normaliser, and the normaliser itself."""
    found = {}
    for entry in run()["fitted"]:
        first, line, rest = BLOBS[entry["blob"][3:]].decode().split("\n")
        assert (first, rest) == ("gitrepro fitted 1", "")
        document = json.loads(line)
        assert line == json.dumps(document, sort_keys=True, separators=(",", ":"))
        found[entry["name"]] = entry, document
    return found


def run() -> dict[str, Any]:
    return yaml.safe_load((REF / "runs" / "0" / "c" / "e" / RUN / "run.yaml").read_bytes())


def test_a_normaliser_names_the_lines_of_the_ids_that_it_was_fitted_on():
    names = {"b3:" + record(f"splits/*/{name}/*.yaml")["digest"][3:]: name for name in SPLITS}
    for entry, document in fitted().values():
        assert set(document) == {"axis", "count", "ids", "method", "options", "params", "taken"}
        _, parts, _ = split(names[entry["split"]])
        lines = parts[entry["part"]]
        text = "".join(f"{line}\n" for line in lines)
        assert document["ids"] == entry["ids"] == f"b3:{b3(text.encode())}"
        assert document["count"] == entry["count"] == len(lines)
        assert document["method"] == entry["method"]


def test_the_numbers_of_a_normaliser_are_those_of_its_part():
    found = {name: document["params"] for name, (_, document) in fitted().items()}
    columns = [[float(4 * row + column) ** 2 for row in (4, 7, 8)] for column in range(4)]

    assert found["min_max"] == {"max": [max(each) for each in columns], "min": [min(each) for each in columns]}
    assert found["mean_std"]["mean"] == pytest.approx([statistics.mean(each) for each in columns], rel=1e-15)
    assert found["mean_std"]["std"] == pytest.approx([statistics.pstdev(each) for each in columns], rel=1e-15)
    for name, at in (("q25", 0.25), ("median", 0.5), ("q75", 0.75)):
        assert found["robust"][name] == [quantile(each, at) for each in columns]
    assert found["area"]["std"] == pytest.approx(statistics.pstdev(n * n for n in range(12)), rel=1e-15)
    assert found["words"] == {"counts": [3, 2, 1], "tokens": ["a", "b", "é"]}


# -- statistics


def quantile(values: Sequence[float], at: float) -> float:
    """Type 7 of Hyndman and Fan."""
    ordered = sorted(values)
    place = at * (len(ordered) - 1)
    low = math.floor(place)
    return ordered[low] + (place - low) * (ordered[min(low + 1, len(ordered) - 1)] - ordered[low])


def bins(values: Sequence[float], *, whole: bool) -> dict[str, list[Any]]:
    k = 0 if whole else -60
    while math.floor(max(values) / 2.0**k) - math.floor(min(values) / 2.0**k) + 1 > 20:
        k += 1
    first, last = (math.floor(each / 2.0**k) for each in (min(values), max(values)))
    counts = [sum(math.floor(each / 2.0**k) == place for each in values) for place in range(first, last + 1)]
    return {"counts": counts, "edges": [place * 2.0**k for place in range(first, last + 2)]}


def check_summary(told: dict[str, Any], values: Sequence[float], *, whole: bool) -> None:
    assert (told["count"], told["min"], told["max"]) == (len(values), min(values), max(values))
    assert told["mean"] == pytest.approx(statistics.fmean(values), rel=1e-11)
    assert told["std"] == pytest.approx(statistics.pstdev(values), rel=1e-11)
    shares = {"p01": 0.01, "p05": 0.05, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95, "p99": 0.99}
    assert told["quantiles"] == pytest.approx({name: quantile(values, at) for name, at in shares.items()})
    assert told["histogram"] == bins(values, whole=whole)


def described(name: str) -> dict[str, Any]:
    [path] = REF.glob(f"datasets/{name}/*.statistics-1.yaml")
    return yaml.safe_load(path.read_bytes())


def test_statistics_of_a_table_are_those_of_its_columns():
    told = described("digits")
    features = told["features"]

    assert (told["kind"], told["exact"], told["n"], told["counts"]["features"]) == ("csv", True, 20, 4)
    check_summary(features["area"], [int(row["area"]) for row in rows()], whole=True)
    given = [float(row["brightness"]) for row in rows() if row["brightness"]]
    check_summary(features["brightness"], given, whole=False)
    assert (features["brightness"]["missing"], features["brightness"]["missing_rate"]) == (1, 1 / 20)
    words = [row["word"] for row in rows() if row["word"]]
    check_summary(features["word"]["lengths"], [len(word) for word in words], whole=True)
    assert features["word"]["top"] == {word: words.count(word) for word in set(words)}
    assert features["word"]["distinct"] == len(set(words))
    assert told["classes"] == {each: [row["digit"] for row in rows()].count(each) for each in "012"}


def test_statistics_of_times_are_seconds_since_1970():
    told = described("digits")["features"]["taken_at"]

    assert (told["min"], told["first"]) == (1767225600.0, "2026-01-01T00:00:00")
    assert (told["max"], told["last"]) == (1767225600.0 + 19 * 86400, "2026-01-20T00:00:00")


def test_statistics_of_files_are_of_their_bytes_and_texts():
    sizes = [size for _, size, mode, _ in tree(record("datasets/odd/*.yaml")["digest"][3:]) if mode != "040000"]
    check_summary(described("odd")["sizes"]["bytes"], sizes, whole=True)
    assert described("odd")["suffixes"] == {"": 3, ".bin": 4, ".safetensors": 1, ".sh": 1, ".txt": 6}

    texts = described("texts")
    check_summary(texts["lengths"]["characters"], [19, 19, 4], whole=True)
    check_summary(texts["lengths"]["words"], [4, 4, 1], whole=True)
    assert texts["duplicates"] == {"items": 1, "other_label": 0, "pairs": [["a/1.txt", "a/2.txt"]]}


def test_statistics_of_images_are_of_their_channels_from_0_to_1():
    told = described("images")
    reds = [255 / 255] * 24 + [51 / 255] * 10

    assert set(told["channels"]) == {"red", "green", "blue"}
    assert told["channels"]["red"]["count"] == 34
    assert told["channels"]["red"]["mean"] == pytest.approx(statistics.fmean(reds))
    assert told["channels"]["red"]["std"] == pytest.approx(statistics.pstdev(reds))
    assert told["modes"] == {"RGB": 3}
    check_summary(told["sizes"]["width"], [4, 4, 2], whole=True)


def test_statistics_of_an_archive_are_of_each_of_its_columns():
    told = described("pixels")

    assert told["arrays"] == {"x": {"dtype": "float64", "shape": [10, 4]}, "y": {"dtype": "int64", "shape": [10]}}
    assert set(told["features"]) == {f"x[{column}]" for column in range(4)}
    check_summary(told["features"]["x[1]"], [float(4 * row + 1) ** 2 for row in range(10)], whole=False)


def test_a_sample_is_of_the_ids_whose_hash_is_small():
    told = yaml.safe_load((CONTENT / "statistics-sampled.yaml").read_bytes())
    key = told["sampled"]["seed"].to_bytes(8, "little")
    limit = 2**64 * told["sampled"]["at_most"] // 20

    def hashed(name: str) -> int:
        return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8, key=key).digest(), "little")

    chosen = [int(row["area"]) for row in rows() if hashed(row["name"]) < limit]
    assert (told["exact"], told["n"], told["sampled"]["n"]) == (False, len(chosen), len(chosen))
    check_summary(told["features"]["area"], chosen, whole=True)


# -- checkpoints

ITEM_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "U32": 4, "U8": 1}


def checkpoint(name: str) -> tuple[dict[str, Any], bytes]:
    [entry] = (entry for entry in run()["checkpoints"] if entry["name"] == name)
    return entry, BLOBS[entry["blob"][3:]]


def tensor_file() -> tuple[dict[str, Any], dict[str, str], bytes]:
    _, data = checkpoint("step-200")
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length].decode("ascii"))
    assert length % 8 == 0
    text = json.dumps(header, separators=(",", ":")).encode()
    assert data[8 : 8 + length] == text + b" " * (length - len(text))
    return header, header.pop("__metadata__"), data[8 + length :]


def test_a_tensor_file_holds_wide_elements_first_and_no_gaps():
    header, metadata, body = tensor_file()

    assert list(header) == sorted(header, key=lambda name: (-ITEM_BYTES[header[name]["dtype"]], name))
    at = 0
    for told in header.values():
        assert told["data_offsets"] == [at, at + ITEM_BYTES[told["dtype"]] * math.prod(told["shape"])]
        at = told["data_offsets"][1]
    assert at == len(body)
    assert set(metadata) == {"format", "gitrepro", "gitrepro.state"}
    assert metadata["format"] == "pt"


def test_a_tensor_file_is_read_by_the_library_of_the_format(tmp_path):
    safetensors = pytest.importorskip("safetensors")
    (tmp_path / "x.safetensors").write_bytes(checkpoint("step-200")[1])
    header, _, body = tensor_file()

    with safetensors.safe_open(tmp_path / "x.safetensors", framework="pt") as reader:
        assert set(reader.keys()) == set(header)
        begin, end = header["model/first.weight"]["data_offsets"]
        assert tuple(reader.get_tensor("model/first.weight").flatten().tolist()) == struct.unpack(
            "<9f", body[begin:end]
        )


def test_the_provenance_in_a_tensor_file_is_that_of_the_record():
    entry, _ = checkpoint("step-200")
    _, metadata, _ = tensor_file()
    told = json.loads(metadata["gitrepro"])

    assert metadata["gitrepro"] == json.dumps(told, sort_keys=True, separators=(",", ":"))
    assert set(told) == {
        "commit", "config", "created_at", "data", "dirty", "format", "holds", "metric", "metrics", "name", "numpy",
        "python", "rng", "run", "run_name", "splits", "step", "time_seconds", "torch", "tree", "weights",
    }  # fmt: skip
    assert {name: told[name] for name in entry["provenance"]} == entry["provenance"]
    assert set(entry["provenance"]) == {"run", "commit", "tree", "config", "data", "splits"}
    for name in ("created_at", "holds", "metric", "step", "weights"):
        assert told[name] == entry[name]
    start_config = (CONTENT / "live" / RUN / "config.yaml").read_bytes()
    assert told["config"] == run()["recorder"]["start_config"] == f"b3:{b3(start_config)}"


def test_the_digest_of_the_weights_is_over_the_tensors_of_the_model():
    header, metadata, body = tensor_file()
    sums = blake3.blake3()
    for name in sorted(name for name in header if name.startswith("model/")):
        told = header[name]
        sizes = ",".join(map(str, told["shape"]))
        sums.update(f"{name.removeprefix('model/')}\0{told['dtype']}\0{sizes}\n".encode())
        sums.update(body[slice(*told["data_offsets"])])

    assert json.loads(metadata["gitrepro"])["weights"] == f"b3:{sums.hexdigest()}"


def test_the_state_in_a_tensor_file_refers_to_its_tensors_and_has_the_tags_of_the_page():
    header, metadata, body = tensor_file()
    state = json.loads(metadata["gitrepro.state"])
    extra = state["extra"]

    assert list(state) == ["model", "optimizer", "scheduler", "rng", "extra"]
    weights = dict(state["model"]["$ordered"][0])
    assert weights["first.weight"] == weights["second.weight"] == {"$tensor": "model/first.weight"}
    assert state["model"]["$ordered"][1]["first"] == {"version": 1}
    assert "model/second.weight" not in header
    assert extra["array"] == {"$array": "extra/array"}
    assert extra["scalar"] == {"$numpy": ["float32", struct.pack("<f", 0.1).hex()]}
    assert extra["columns first"] == {"$tensor": {"name": "extra/columns first", "stride": [1, 3]}}
    assert extra["types"] == [{"$dtype": "torch.float32"}, {"$device": "cpu"}, {"$size": [2, 3]}]
    assert extra["é"][5:] == [
        {"$tuple": [1, {"$tuple": []}]},
        {"$bytes": base64.b64encode(b"\0\xff").decode()},
        {"$set": [1, 2]},
        {"$dict": [[2, "two"]]},
        {"$float": "7ff8000000000000"},
        {"$complex": [1.0, -2.0]},
    ]
    assert set(state["rng"]) == {"python", "numpy", "torch"}
    begin, end = header["extra/columns first"]["data_offsets"]
    assert struct.unpack("<6f", body[begin:end]) == (0.0, 3.0, 1.0, 4.0, 2.0, 5.0)


def test_a_file_of_torch_is_an_archive_that_packs_nothing_and_holds_the_same_texts():
    import torch

    entry, data = checkpoint("complex")
    assert (entry["format"], "weights" in entry) == ("torch", False)
    assert {member.compress_type for member in zipfile.ZipFile(io.BytesIO(data)).infolist()} == {zipfile.ZIP_STORED}
    found = torch.load(io.BytesIO(data), weights_only=True)

    assert set(found) == {"gitrepro_checkpoint", "provenance", "state", "tensors"}
    assert found["gitrepro_checkpoint"] == 1
    assert json.loads(found["state"]) == {"model": {"spectrum": {"$tensor": "model/spectrum"}}}
    assert found["tensors"]["model/spectrum"].tolist() == [1 + 2j]
    assert json.loads(found["provenance"])["weights"] is None


def test_the_note_of_a_pruned_checkpoint_lies_under_its_name():
    [path] = (path for path in (STORE / "pruned").rglob("*") if path.is_file())
    told = yaml.safe_load(path.read_bytes())

    assert set(told) == {"actor", "at", "blob", "format", "run"}
    assert f"b3:{path.parent.name}{path.stem}" == told["blob"]
    assert told["blob"][3:] not in BLOBS


# -- pins, the journal, the run


@pytest.mark.parametrize(("name", "lines"), [("0123456789abcdef0123456789abcdef", 6), (f"{RUN}-3", 1)])
def test_pins_are_lines_of_76_bytes(name, lines):
    data = (STORE / "pins" / f"{name}.roots").read_bytes()

    assert len(data) == lines * 76
    assert all(re.fullmatch(rb"[0-9a-f]{64} [0-9]{10}\n", line) for line in data.splitlines(keepends=True))
    card = yaml.safe_load((STORE / "pins" / f"{name}.yaml").read_bytes())
    assert set(card) == {"clone", "format", "git_dir", "host", "updated_at"}
    assert (card["clone"], card["git_dir"]) == (name, "/home/ada/digits/.git")


def events(pid: int) -> list[dict[str, Any]]:
    data = (CONTENT / "live" / RUN / f"journal.rank-0.{pid}.0").read_bytes()
    found, at = [], 0
    while at < len(data):
        magic, length, check = struct.unpack_from("<4sII", data, at)
        assert (magic, zlib.crc32(data[at : at + 8])) == (b"gRj1", check)
        body = data[at + 12 : at + 12 + length]
        assert struct.unpack_from("<I", data, at + 12 + length)[0] == zlib.crc32(data[at : at + 12 + length])
        if body[8:9] == b"J":
            found.append(json.loads(body[9:].decode("ascii")))
        at += 16 + length
    return found


EVENTS = {
    "dataset": {"name", "version", "digest", "kind", "items", "size_bytes", "linked", "checked"},
    "split": {"data", "dataset", "name", "version", "digest", "parts"},
    "reads": {"data", "split", "reads"},
    "fitted": {"blob", "count", "data", "ids", "method", "name", "part", "split"},
    "checkpoint_dropped": {"blob", "why"},
}


def test_events_have_the_fields_of_the_page():
    told = [event for pid in (4242, 4243) for event in events(pid)]

    for event in told:
        if event["op"] in EVENTS:
            assert set(event) - {"op", "time_seconds"} == EVENTS[event["op"]]
    kinds = {event["op"] for event in told}
    assert kinds == {*EVENTS, "artifact", "checkpoint", "end"}
    saved = next(event for event in told if event["op"] == "checkpoint")
    assert set(saved) - {"op", "time_seconds"} == {
        "blob", "name", "step", "created_at", "size_bytes", "roles", "metric", "format", "holds", "weights",
        "provenance", "held_seconds",
    }  # fmt: skip


def test_reads_are_the_largest_of_each_journal_added_up():
    largest = [max(event["reads"]["train"] for event in events(pid) if event["op"] == "reads") for pid in (4242, 4243)]

    assert run()["data"][0]["splits"][0]["reads"]["train"] == sum(largest) == 72


def test_the_run_has_the_fields_of_the_page():
    told = run()

    for entry in told["data"]:
        assert set(entry) == {"checked", "digest", "items", "kind", "linked", "name", "size_bytes", "splits", "version"}
        for each in entry["splits"]:
            assert set(each) == {"digest", "name", "parts", "reads", "version"}
    assert all(set(entry) == EVENTS["fitted"] for entry in told["fitted"])
    files = {"blob", "kind", "media_type", "name", "size_bytes"}
    assert [set(entry) - files for entry in told["artifacts"]] == [set(), set(), {"files"}]
    known = {"blob", "created_at", "format", "holds", "metric", "name", "provenance", "roles", "size_bytes", "step"}
    assert [set(entry) - known for entry in told["checkpoints"]] == [
        {"weights"},
        {"weights"},
        set(),
        {"files", "path"},
        {"path"},
    ]
    steps = {event["blob"] for event in events(4242) if event["op"] == "checkpoint"}
    gone = {event["blob"] for event in events(4242) if event["op"] == "checkpoint_dropped"}
    assert {entry["blob"] for entry in told["checkpoints"]} == steps - gone
