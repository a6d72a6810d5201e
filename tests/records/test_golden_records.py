"""Files of every released format are read for ever, to the very values."""

from __future__ import annotations

import math
import runpy
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pytest
from pyarrow import parquet

from gitrepro.errors import Damaged
from gitrepro.records import yaml
from gitrepro.records.metrics import Bucket, Point, by_rank, read, read_reduced

GOLDEN = Path(__file__).parent.parent / "golden"
V1 = GOLDEN / "v1"
make = SimpleNamespace(**runpy.run_path(str(GOLDEN / "make.py")))
TABLES = sorted(name for name in make.files() if name.endswith(".parquet"))


def table(rank: int):
    names = by_rank(path.name for path in V1.iterdir())[rank]
    return read({name: (V1 / name).read_bytes() for name in names})


def shown(points: list[Point]) -> list[str]:
    """A form in which 1 and 1.0 differ, as 0.0 and -0.0 do, and NaN equals itself."""
    return [f"{p.seq} {p.step} {p.time_seconds!r} {sorted(p.values.items())!r}" for p in points]


@pytest.mark.parametrize("name", make.RECORDS)
def test_a_golden_record_reads_as_it_was_written(name):
    record = yaml.load((V1 / name).read_bytes(), source=name)
    expected = make.RECORDS[name]

    assert repr(dict(sorted(record.items()))) == repr(yaml.load(yaml.dump(expected)))
    assert record.keys() == expected.keys()
    for key in expected:
        assert record[key] == expected[key] or key == "floats"


def test_golden_floats_keep_their_sign_and_kind():
    floats = yaml.load((V1 / "values.yaml").read_bytes())["floats"]

    assert repr(floats) == repr(make.RECORDS["values.yaml"]["floats"])


@pytest.mark.parametrize("name", make.RECORDS)
def test_a_golden_record_is_written_again_to_the_same_bytes(name):
    data = (V1 / name).read_bytes()

    assert yaml.dump(yaml.load(data)) == data == make.files()[name]


@pytest.mark.parametrize("name", make.RECORDS)
def test_a_golden_record_with_damage_is_reported_or_is_another_record(name):
    # Text has no redundancy: a flipped bit inside a string is another string. The hash of the file tells; what the
    # reader owes is that nothing but a canonical record ever passes, and that it says so in its own error.
    data = (V1 / name).read_bytes()
    for bit in range(len(data) * 8):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            record = yaml.load(bytes(flipped))
        except Damaged:
            continue
        assert yaml.dump(record) == bytes(flipped)
    for length in range(len(data)):
        try:
            assert yaml.dump(yaml.load(data[:length])) == data[:length]
        except Damaged:
            pass


def test_a_golden_table_reads_as_it_was_written():
    found = table(0)

    assert shown(list(found.rows())) == shown(make.POINTS)
    assert found.names == ("count", "train/loss", "val/é")
    assert found.series("count")[0] == (0, 1767225600.0, -(2**63))
    assert found.to_arrow().schema.types[3:] == [pa.int64(), pa.float64(), pa.float64()]


def test_a_golden_table_in_parts_reads_as_it_was_written():
    assert shown(list(table(3).rows())) == shown(make.MANY)
    assert table(3).rank == 3


def test_a_golden_reduction_reads_as_it_was_written():
    name = "metrics.reduced.parquet"
    reduced = read_reduced({name: (V1 / name).read_bytes()})

    assert (reduced.names, reduced.points, reduced.num_rows) == (("count", "train/loss", "val/é"), 2, 6)
    assert reduced.series("train/loss") == (
        Bucket(
            first_step=0,
            last_step=1,
            count=2,
            nonfinite=1,
            first_time_seconds=1767225600.0,
            last_time_seconds=1767225600.25,
            min=2.5,
            max=2.5,
            mean=2.5,
        ),
        Bucket(
            first_step=1,
            last_step=4,
            count=3,
            nonfinite=1,
            first_time_seconds=1767225600.5,
            last_time_seconds=1767225603.125,
            min=-0.0,
            max=5e-324,
            mean=0.0,
        ),
    )
    assert math.copysign(1, reduced.series("val/é")[0].max) == 1.0


@pytest.mark.parametrize("name", TABLES)
def test_a_golden_table_is_written_again_to_the_same_bytes(name):
    data, again = (V1 / name).read_bytes(), make.files()[name]
    writers = {parquet.ParquetFile(pa.BufferReader(one)).metadata.created_by for one in (data, again)}
    if len(writers) > 1:
        pytest.skip(f"Parquet names its writer in the file: {', '.join(sorted(writers))}")

    assert again == data


@pytest.mark.parametrize("name", TABLES)
def test_a_golden_table_with_damage_is_reported(name):
    data = (V1 / name).read_bytes()
    reader = read_reduced if "reduced" in name else read
    for byte in range(len(data)):
        flipped = bytearray(data)
        flipped[byte] ^= 1 << byte % 8
        with pytest.raises(Damaged):
            reader({name: bytes(flipped)})
    for length in range(len(data)):
        with pytest.raises(Damaged):
            reader({name: data[:length]})


def test_the_script_writes_every_golden_file(tmp_path):
    make.main(tmp_path)

    assert {path.name for path in tmp_path.iterdir()} <= {path.name for path in V1.iterdir()}


def test_the_example_in_the_specification_is_canonical():
    page = (GOLDEN.parent.parent / "gitrepro" / "FORMAT.md").read_text()
    example = page.split("## Canonical YAML")[1].split("```yaml\n")[1].split("```")[0].encode()

    assert yaml.dump(yaml.load(example)) == example
