"""Statistics of whole data sets: real tables, arrays, images and texts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from sklearn import datasets

from gitrepro.data.reading import kind_of
from gitrepro.data.statistics import ALGORITHM, describe
from gitrepro.data.statistics.describe import AT_MOST
from gitrepro.data.statistics.room import MOST_BYTES, within
from gitrepro.errors import Damaged, UsageError
from gitrepro.records.yaml import dump, load

ROOT = Path(__file__).parent.parent.parent


def described(path: Path, **options: Any) -> dict[str, Any]:
    """The statistics, as they come back from a record."""
    found = describe(path, kind_of(path), **options)
    data = dump(found)
    back = load(data, source="test")
    assert len(data) < MOST_BYTES
    assert dump(back) == data
    return found


@pytest.fixture
def wine(tmp_path: Path) -> Path:
    frame = datasets.load_wine(as_frame=True).frame
    frame.to_csv(tmp_path / "wine.csv", index=False)
    return tmp_path / "wine.csv"


# -- tables


def test_a_table_is_described_by_columns_and_classes(wine: Path) -> None:
    found = described(wine, label="target")
    alcohol = found["features"]["alcohol"]
    values = datasets.load_wine().data[:, 0]

    assert (found["algorithm"], found["kind"], found["exact"], found["n"]) == (ALGORITHM, "csv", True, 178)
    assert found["counts"] == {"items": 178, "features": 13, "classes": 3, "missing_labels": 0}
    assert found["classes"] == {"0": 59, "1": 71, "2": 48}
    assert "target" not in found["features"]
    assert (alcohol["type"], alcohol["count"], alcohol["missing"]) == ("float", 178, 0)
    assert alcohol["mean"] == pytest.approx(values.mean(), rel=1e-11)
    assert alcohol["std"] == pytest.approx(values.std(), rel=1e-11)
    assert (alcohol["min"], alcohol["max"]) == (values.min(), values.max())
    assert alcohol["quantiles"]["p25"] == pytest.approx(np.quantile(values, 0.25))
    assert sum(alcohol["histogram"]["counts"]) == 178


def test_csv_parquet_jsonl_and_arrays_of_the_same_rows_have_the_same_features(tmp_path: Path) -> None:
    frame = datasets.load_iris(as_frame=True).frame.rename(columns=lambda name: name.split(" (")[0])
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_parquet(tmp_path / "a.parquet")
    frame.to_json(tmp_path / "a.jsonl", orient="records", lines=True, double_precision=15)
    np.savez(tmp_path / "a.npz", **{name: frame[name].to_numpy() for name in frame})
    found = [described(tmp_path / f"a.{suffix}", label="target") for suffix in ("csv", "parquet", "jsonl", "npz")]

    for other in found[1:]:
        assert other["features"] == found[0]["features"]
        assert other["classes"] == found[0]["classes"]
        assert other["duplicates"] == found[0]["duplicates"]


def test_rows_that_are_equal_are_counted_and_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y,label\n1,a,p\n2,b,p\n1,a,q\n1,a,p\n2,B,p\n")

    assert described(tmp_path / "a.csv", label="label")["duplicates"] == {
        "items": 2,
        "other_label": 1,
        "pairs": [["0", "2"], ["0", "3"]],
    }
    assert described(tmp_path / "a.csv")["duplicates"] == {"items": 1, "pairs": [["0", "3"]]}


def test_equal_values_in_other_columns_are_no_duplicates(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y\n1,2\n2,1\n,1\n1,\n")

    assert described(tmp_path / "a.csv")["duplicates"] == {"items": 0}


def test_duplicates_are_named_by_the_id_column(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,x\nu,1\nv,2\nw,1\n")

    assert described(tmp_path / "a.csv", id="column:id")["duplicates"]["pairs"] == [["u", "w"]]


def test_text_columns_are_categories_strings_or_mixed(tmp_path: Path) -> None:
    rows = "".join(f"{'ab'[n % 2]},name-{n},{n if n % 3 else 'oops'},\n" for n in range(300))
    (tmp_path / "a.csv").write_text(f"c,s,m,gap\n{rows}")
    features = described(tmp_path / "a.csv")["features"]

    assert (features["c"]["type"], features["c"]["values"]) == ("category", {"a": 150, "b": 150})
    assert (features["s"]["type"], features["s"]["distinct"], len(features["s"]["top"])) == ("string", 300, 10)
    assert features["s"]["lengths"]["max"] == 8
    assert (features["m"]["type"], features["m"]["numbers"]) == ("mixed", 200)
    assert (features["gap"]["type"], features["gap"]["missing_rate"]) == ("missing", 1.0)


def test_times_truths_bytes_and_lists_have_their_own_forms(tmp_path: Path) -> None:
    table = pa.table(
        {
            "t": pa.array(["2024-01-01", "2024-03-01", None]).cast(pa.timestamp("ns")),
            "d": pa.array([0, 1, 2], pa.date32()),
            "b": [True, None, False],
            "raw": [b"abc", b"", None],
            "l": [[1, 2], [], None],
            "m": pa.array([[("k", 1)], [], []], pa.map_(pa.string(), pa.int64())),
            "dec": pa.array(["1.5", "2.5", None]).cast(pa.decimal128(5, 2)),
            "h": np.array([1, 2, 3], np.float16),
            "u": np.array([0, 1, 2**64 - 1], np.uint64),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    features = described(tmp_path / "a.parquet")["features"]

    assert (features["t"]["first"], features["t"]["last"]) == ("2024-01-01T00:00:00", "2024-03-01T00:00:00")
    assert features["d"]["last"] == "1970-01-03T00:00:00"
    assert (features["b"]["values"], features["b"]["missing"]) == ({"false": 1, "true": 1}, 1)
    assert (features["raw"]["type"], features["raw"]["lengths"]["max"]) == ("bytes", 3)
    assert (features["l"]["type"], features["l"]["lengths"]["mean"], features["l"]["missing"]) == ("nested", 1.0, 1)
    assert features["m"]["type"] == "nested"
    assert features["dec"]["mean"] == 2.0
    assert features["h"]["mean"] == 2.0
    assert features["u"]["max"] == 2**64 - 1


def test_a_time_without_years_python_has_is_still_described(tmp_path: Path) -> None:
    pq.write_table(pa.table({"t": pa.array([2**62], pa.timestamp("us"))}), tmp_path / "a.parquet")

    assert "microseconds" in described(tmp_path / "a.parquet")["features"]["t"]["first"]


def test_a_label_of_doubles_is_a_feature(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y\n1,0.5\n2,1.5\n")
    found = described(tmp_path / "a.csv", label="y")

    assert "classes" not in found
    assert found["features"]["y"]["mean"] == 1.0


def test_a_label_that_is_missing_is_counted(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y\n1,a\n2,\n3,a\n")
    found = described(tmp_path / "a.csv", label="y")

    assert (found["classes"], found["counts"]["missing_labels"]) == ({"a": 2}, 1)


@pytest.mark.parametrize("content", ["a,b\n", "a,b\n1,x\n"])
def test_no_row_or_one_row_is_described(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.csv").write_text(content)
    found = described(tmp_path / "a.csv", label="b")

    assert found["n"] == content.count("\n") - 1
    assert found["features"]["a"]["count"] == found["n"]


def test_a_header_of_numbers_is_pointed_out(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("1.0,2\n3,4\n")
    (tmp_path / "b.csv").write_text("x,2\n3,4\n")

    assert "header" in described(tmp_path / "a.csv")["notes"][0]
    assert "notes" not in described(tmp_path / "b.csv")


def test_a_broken_table_is_an_error_and_not_half_a_description(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n" + "1,2\n" * 1000 + "1\n")

    with pytest.raises(Damaged, match="row 1,002"):
        described(tmp_path / "a.csv")


# -- samples


@pytest.mark.parametrize("suffix", ["csv", "npz"])
def test_above_the_limit_a_declared_sample_is_described(tmp_path: Path, suffix: str) -> None:
    labels = np.arange(20_000) % 4
    values = labels + np.linspace(0, 0.5, 20_000)
    if suffix == "csv":
        rows = "".join(f"{value},{label}\n" for value, label in zip(values, labels, strict=True))
        (tmp_path / "a.csv").write_text(f"v,y\n{rows}")
    else:
        np.savez(tmp_path / "a.npz", v=values, y=labels)
    path = tmp_path / f"a.{suffix}"
    found = described(path, label="y", at_most=2000, seed=7)

    assert (found["exact"], found["counts"]["items"]) == (False, 20_000)
    assert found["sampled"] == {"n": found["n"], "seed": 7, "at_most": 2000}
    assert 1800 < found["n"] < 2200
    assert sum(found["classes"].values()) == found["features"]["v"]["count"] == found["n"]
    assert found["features"]["v"]["mean"] == pytest.approx(1.75, abs=0.1)
    assert found == described(path, label="y", at_most=2000, seed=7)
    assert found != described(path, label="y", at_most=2000, seed=8)


def test_tables_and_arrays_sample_the_same_rows(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("v\n" + "".join(f"{n}\n" for n in range(5000)))
    np.savez(tmp_path / "a.npz", v=np.arange(5000))
    one, other = (described(tmp_path / name, at_most=500) for name in ("a.csv", "a.npz"))

    assert one["features"] == other["features"]


def test_a_limit_below_one_is_refused(wine: Path) -> None:
    with pytest.raises(UsageError, match="at least one"):
        describe(wine, "csv", at_most=0)
    assert AT_MOST == 1_000_000


# -- arrays


def test_digits_are_described_by_features_channels_and_classes(tmp_path: Path) -> None:
    digits = datasets.load_digits()
    np.savez(tmp_path / "a.npz", images=digits.images, data=digits.data, target=digits.target)
    found = described(tmp_path / "a.npz", label="target")

    assert found["classes"]["3"] == 183
    assert found["arrays"]["images"] == {"shape": [1797, 8, 8], "dtype": "float64"}
    assert found["channels"]["images"]["mean"] == pytest.approx(digits.images.mean(), rel=1e-11)
    assert found["features"]["data[20]"]["std"] == pytest.approx(digits.data[:, 20].std(), rel=1e-11)
    assert len(found["features"]) == 64
    assert found["duplicates"] == {"items": 0, "other_label": 0}


@pytest.mark.parametrize(("shape", "axis"), [((30, 8, 8, 3), 3), ((30, 3, 8, 8), 1)])
def test_pictures_in_arrays_are_described_by_channel(tmp_path: Path, shape: tuple[int, ...], axis: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    pixels[7] = pixels[2]
    np.savez(tmp_path / "a.npz", x=pixels, y=np.arange(30) % 2)
    found = described(tmp_path / "a.npz", label="y")

    assert found["arrays"]["x"]["channel_axis"] == axis
    for channel in range(3):
        expected = pixels.take(channel, axis=axis)
        assert found["channels"][f"x[{channel}]"]["mean"] == pytest.approx(expected.mean(), rel=1e-11)
        assert found["channels"][f"x[{channel}]"]["std"] == pytest.approx(expected.std(), rel=1e-11)
    assert found["duplicates"] == {"items": 1, "other_label": 1, "pairs": [["2", "7"]]}


def test_odd_arrays_are_declared(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "a.npz",
        words=np.array(["a", "bb", "a"]),
        waves=np.zeros(3, complex),
        pairs=np.zeros(3, [("a", int), ("b", float)]),
        five=np.ones((3, 2, 2, 2, 2), bool),
        none=np.zeros((3, 0)),
        version=np.array(7),
    )
    found = described(tmp_path / "a.npz")

    assert found["features"]["words"]["top"] == {"a": 2, "bb": 1}
    assert found["features"]["waves"] == {"type": "nested", "of": "complex128"}
    assert found["features"]["pairs"]["type"] == "nested"
    assert found["channels"]["five"]["mean"] == 1.0
    assert found["arrays"]["version"]["shape"] == []
    assert not [name for name in found["features"] if name.startswith("none")]


def test_items_without_rows_are_described(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros((0, 4)), y=np.zeros(0, int))
    found = described(tmp_path / "a.npz", label="y")

    assert (found["n"], found["classes"], found["duplicates"]["items"]) == (0, {}, 0)


def test_features_beyond_two_hundred_are_counted(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros((3, 1000)), z=np.zeros((3, 5)))
    found = described(tmp_path / "a.npz")

    assert (len(found["features"]), found["counts"]["features"]) == (200, 1005)


# -- images


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    generator = np.random.default_rng(0)
    for number in range(6):
        folder = tmp_path / "set" / ("cat" if number % 2 else "dog")
        folder.mkdir(parents=True, exist_ok=True)
        pixels = generator.integers(0, 256, (8 + number, 10, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return tmp_path / "set"


def _pixels(folder: Path) -> np.ndarray[Any, Any]:
    return np.concatenate([np.asarray(Image.open(path)).reshape(-1, 3) for path in sorted(folder.rglob("*.png"))]) / 255


def test_images_are_described_by_channel_size_and_mode(pictures: Path) -> None:
    found = described(pictures, label="folder")
    pixels = _pixels(pictures)

    assert (found["kind"], found["n"], found["classes"]) == ("images", 6, {"cat": 3, "dog": 3})
    for channel, name in enumerate(("red", "green", "blue")):
        assert found["channels"][name]["mean"] == pytest.approx(pixels[:, channel].mean(), rel=1e-11)
        assert found["channels"][name]["std"] == pytest.approx(pixels[:, channel].std(), rel=1e-11)
        assert 0 <= found["channels"][name]["min"] < found["channels"][name]["max"] <= 1
    assert (found["sizes"]["height"]["min"], found["sizes"]["height"]["max"], found["sizes"]["width"]["mean"]) == (
        8,
        13,
        10,
    )
    assert found["modes"] == {"RGB": 6}
    assert found["duplicates"] == {"items": 0, "other_label": 0}


def test_a_broken_image_is_counted_and_named_and_the_others_are_described(pictures: Path) -> None:
    before = described(pictures)
    (pictures / "cat" / "cut.png").write_bytes((pictures / "cat" / "1.png").read_bytes()[:-40])
    (pictures / "labels.csv").write_text("a,b\n")
    (pictures / "link.png").symlink_to("cat/1.png")
    found = described(pictures)

    assert (found["counts"]["unreadable"], found["counts"]["others"], found["counts"]["links"]) == (2, 1, 1)
    assert [each["id"] for each in found["unreadable"]] == ["cat/cut.png", "link.png"]
    assert all(each["why"] for each in found["unreadable"])
    assert found["channels"] == before["channels"]


def test_only_twenty_broken_images_are_named(tmp_path: Path) -> None:
    for number in range(30):
        (tmp_path / f"{number:02}.png").write_bytes(b"no")
    found = described(tmp_path)

    assert (found["counts"]["unreadable"], len(found["unreadable"])) == (30, 20)
    assert found["duplicates"] == {"items": 0}


def test_equal_pictures_in_other_files_are_duplicates(pictures: Path) -> None:
    Image.open(pictures / "dog" / "2.png").save(pictures / "cat" / "same.bmp")

    assert described(pictures, label="folder")["duplicates"] == {
        "items": 1,
        "other_label": 1,
        "pairs": [["cat/same.bmp", "dog/2.png"]],
    }


def test_gray_of_sixteen_bits_is_a_channel_of_its_own(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 65535]], np.uint16)).save(tmp_path / "a.png")
    Image.new("L", (2, 1), 255).save(tmp_path / "b.png")
    channels = described(tmp_path)["channels"]

    assert (channels["gray16"]["mean"], channels["gray"]["mean"]) == (0.5, 1.0)


# -- texts and files


def test_texts_are_described_by_normalised_lengths(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("One  TWO\n")
    (tmp_path / "b.txt").write_text("one two")
    (tmp_path / "c.txt").write_text("")
    (tmp_path / "d.txt").write_bytes(b"\xff\x00\x80")
    found = described(tmp_path)

    assert found["kind"] == "text"
    assert (found["lengths"]["words"]["max"], found["lengths"]["characters"]["max"]) == (2, 7)
    assert found["lengths"]["words"]["count"] == 3
    assert found["duplicates"] == {"items": 1, "pairs": [["a.txt", "b.txt"]]}
    assert [each["id"] for each in found["unreadable"]] == ["d.txt"]


def test_files_are_described_by_sizes_and_suffixes(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / f"{number}.bin").write_bytes(b"x" * number)
    (tmp_path / "README").write_bytes(b"")
    found = described(tmp_path)

    assert (found["kind"], found["suffixes"]) == ("folder", {".bin": 5, "": 1})
    assert (found["sizes"]["bytes"]["max"], found["sizes"]["bytes"]["count"]) == (4, 6)
    assert "duplicates" not in found


def test_an_empty_folder_and_a_single_file_are_described(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.bin").write_bytes(b"abc")

    assert described(tmp_path / "empty")["n"] == 0
    assert described(tmp_path / "a.bin")["sizes"]["bytes"]["mean"] == 3.0


def test_progress_counts_up_to_all_items(pictures: Path) -> None:
    seen: list[tuple[int, int]] = []
    describe(pictures, "images", progress=lambda done, of: seen.append((done, of)))

    assert seen[-1] == (6, 6)
    assert seen == sorted(seen)


# -- the record


def test_the_statistics_fit_into_a_record_whatever_the_names(tmp_path: Path) -> None:
    name = "\U0001f600" * 300
    columns = {f"{name}{number}": np.linspace(0.1, number + 1, 50) for number in range(250)}
    columns |= {"y": pa.array([f"{number}{name}" for number in range(50)])}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    found = described(tmp_path / "a.parquet", label="y")

    assert found["counts"]["features"] == 250
    assert len(found["features"]) <= 200
    assert len(found["classes"]) == 50


def test_more_than_a_thousand_classes_are_counted(tmp_path: Path) -> None:
    labels = "".join(f"{number}\n" for number in [*range(3000), 5, 5])
    (tmp_path / "a.csv").write_text(f"y\n{labels}")
    found = described(tmp_path / "a.csv", label="y")

    assert (len(found["classes"]), found["counts"]["classes"]) == (1000, 3000)
    assert found["classes"]["5"] == 3


def test_what_does_not_fit_is_halved_until_it_does() -> None:
    document = {"features": {str(n): {"mean": n} for n in range(1000)}, "classes": {"a": 1}}
    found = within(document, most_bytes=5000)

    assert len(dump(found)) <= 5000
    assert 100 < len(found["features"]) < 1000
    assert found["classes"] == {"a": 1}
    with pytest.raises(UsageError, match="do not fit"):
        within({"other": "x" * 100}, most_bytes=50)


def _in_another_process(path: Path, environment: dict[str, str]) -> str:
    code = (
        "import json, sys; from pathlib import Path; from gitrepro.data.statistics import describe;"
        "print(json.dumps(describe(Path(sys.argv[1]), sys.argv[2]), sort_keys=True))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path), kind_of(path)],
        env={**os.environ, **environment},
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    )
    return done.stdout


@pytest.mark.parametrize("make", ["csv", "npz", "jsonl"])
def test_the_same_bytes_give_the_same_statistics_whatever_the_processor_and_the_hash_seed(
    tmp_path: Path, make: str
) -> None:
    values = np.random.default_rng(5).lognormal(size=(70_000, 3)) * 1e3
    names = [f"w{number % 5000}" for number in range(len(values))]
    path = tmp_path / f"a.{make}"
    write: dict[str, Callable[[], Any]] = {
        "csv": lambda: path.write_text("a,b,c,d\n" + "".join(_row(*each) for each in zip(values, names, strict=True))),
        "npz": lambda: np.savez(path, x=values.astype(np.float32), d=np.array(names)),
        "jsonl": lambda: path.write_text(
            "".join(json.dumps({"a": v[0], "b": n}) + "\n" for v, n in zip(values, names, strict=True))
        ),
    }
    write[make]()
    dispatched = " ".join(np._core._multiarray_umath.__cpu_dispatch__)  # type: ignore[attr-defined]
    plain = {"NPY_DISABLE_CPU_FEATURES": dispatched, "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "1"}

    assert _in_another_process(path, plain) == _in_another_process(path, {"PYTHONHASHSEED": "2"})


def _object(values: Any, name: str) -> str:
    return json.dumps({"a": values[0], "b": name})


def _row(values: Any, name: str) -> str:
    return ",".join(map(repr, values.tolist())) + f",{name}\n"
