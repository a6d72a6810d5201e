"""Metric tables: what was logged comes back exactly, or is reported."""

from __future__ import annotations

import math
import struct
import subprocess
import sys
import textwrap

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from gitrepro.errors import Damaged, NotFound, TooNew, UsageError
from gitrepro.records import metrics
from gitrepro.records.metrics import Point, Summary, TableBuilder, read, read_reduced, reduce, summarise
from gitrepro.records.metrics.encode import NO_CHECKSUM, checksum, checksum_place

NAMES = st.sampled_from(["loss", "val/acc", "a.b", "list.element", "lr", "é😀", "0", " "]) | st.text(
    st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12
).filter(lambda name: not name.startswith("_"))
INT64 = st.integers(-(2**63), 2**63 - 1)
NUMBERS = st.floats() | INT64 | st.integers(-5, 5)
ROWS = st.lists(st.tuples(INT64, st.floats(), st.dictionaries(NAMES, NUMBERS, max_size=4)), max_size=25)


def built(rows) -> TableBuilder:
    builder = TableBuilder()
    for seq, (step, time_seconds, values) in enumerate(rows):
        builder.add(seq=seq, step=step, time_seconds=time_seconds, values=values)
    return builder


def simple(count: int = 10) -> TableBuilder:
    return built((step, 100.0 + step, {"loss": step / 4, "lr": 0.1}) for step in range(count))


def bits(value: float) -> bytes:
    return struct.pack("<d", value)


def exact(points) -> list:
    """Rows in which 1 and 1.0 differ, and one NaN equals the other."""
    shown = ((name, type(value).__name__, repr(value)) for point in points for name, value in point.values.items())
    return [(point.seq, point.step, bits(point.time_seconds)) for point in points], sorted(shown)


@given(ROWS)
@settings(max_examples=150, deadline=None)
def test_every_row_comes_back_with_the_type_of_its_column(rows):
    builder = built(rows)
    whole = {name for _, _, values in rows for name in values} - {
        name for _, _, values in rows for name, value in values.items() if isinstance(value, float)
    }
    expected = [
        Point(
            seq=seq,
            step=step,
            time_seconds=time_seconds,
            values={name: value if name in whole else float(value) for name, value in values.items()},
        )
        for seq, (step, time_seconds, values) in enumerate(rows)
    ]

    found = list(read(builder.files()).rows())

    assert exact(found) == exact(expected)
    assert [list(point.values) for point in found] == [sorted(point.values) for point in expected]


@given(ROWS)
@settings(max_examples=60, deadline=None)
def test_equal_points_are_equal_bytes(rows):
    shuffled = [(step, time_seconds, dict(reversed(values.items()))) for step, time_seconds, values in rows]

    assert built(rows).files() == built(shuffled).files()


@given(st.permutations(range(12)))
@settings(max_examples=50, deadline=None)
def test_rows_are_kept_in_the_order_of_logging_whatever_order_they_arrive_in(order):
    builder, expected = TableBuilder(), TableBuilder()
    for target, seqs in ((builder, order), (expected, range(12))):
        for seq in seqs:
            target.add(seq=seq, step=seq // 3, time_seconds=float(seq), values={"a": seq, "b": seq / 2})

    assert builder.files() == expected.files()


def test_late_values_join_the_row_they_belong_to():
    builder = simple(3)
    builder.add(seq=1, step=1, time_seconds=999.0, values={"loss": 7.0, "val/loss": 1.0})

    rows = list(read(builder.files()).rows())

    assert rows[1] == Point(seq=1, step=1, time_seconds=101.0, values={"loss": 7.0, "lr": 0.1, "val/loss": 1.0})
    assert len(builder) == len(rows) == 3


def test_a_row_has_one_step():
    builder = simple(3)
    with pytest.raises(UsageError, match="row 1 has step 1, not 2"):
        builder.add(seq=1, step=2, time_seconds=0.0, values={})


def test_repeated_steps_stay_rows():
    builder = built([(5, 0.0, {"loss": 1.0}), (5, 1.0, {"loss": 2.0})])

    assert read(builder.files()).series("loss") == [(5, 0.0, 1.0), (5, 1.0, 2.0)]


def test_not_logged_and_logged_as_nan_are_different():
    table = read(built([(0, 0.0, {"a": math.nan, "b": 1.0}), (1, 1.0, {"b": math.inf})]).files())

    first, second = table.rows()
    assert math.isnan(first.values["a"])
    assert "a" not in second.values
    assert table.to_arrow().column("a").null_count == 1
    assert len(table.series("a")) == 1


def test_a_column_of_whole_numbers_stays_whole():
    huge = 2**63 - 1
    table = read(built([(0, 0.0, {"n": huge, "x": 1}), (1, 1.0, {"n": -huge, "x": 0.5})]).files())

    assert [value for _, _, value in table.series("n")] == [huge, -huge]
    assert [type(value) for _, _, value in table.series("x")] == [float, float]
    assert table.to_arrow().schema.field("n").type == pa.int64()


def test_integers_that_a_float_cannot_hold_are_counted_by_name():
    builder = built(
        [(0, 0.0, {"a": 2**53 + 1, "b": 3, "c": 2**60 + 1}), (1, 0.0, {"a": 0.5, "b": 0.5}), (2, 0.0, {"a": 2**53 + 3})]
    )

    assert builder.inexact == {"a": 2}
    assert read(builder.files()).series("c")[0][2] == 2**60 + 1


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, True, None, "1", 1j, [1.0]])
def test_a_value_that_no_column_holds_is_refused_and_nothing_is_added(value):
    builder = simple(2)
    before = builder.files()
    with pytest.raises(UsageError, match="bad"):
        builder.add(seq=2, step=2, time_seconds=0.0, values={"loss": 1.0, "bad": value})

    assert builder.files() == before


@pytest.mark.parametrize("name", ["_seq", "_x", "", "a\nb", "\x1b[2J", "\ud800", "n" * 501, "é" * 251])
def test_a_name_that_no_metric_may_have_is_refused(name):
    with pytest.raises(UsageError, match="cannot name a metric"):
        TableBuilder().add(seq=0, step=0, time_seconds=0.0, values={name: 1.0})


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 1.0, "1", True])
def test_rows_are_counted_in_64_bit_integers(number):
    with pytest.raises(UsageError, match="64-bit"):
        TableBuilder().add(seq=number, step=0, time_seconds=0.0, values={})
    with pytest.raises(UsageError, match="64-bit"):
        TableBuilder().add(seq=0, step=number, time_seconds=0.0, values={})


def test_no_rows_are_no_files():
    assert TableBuilder().files() == {}
    empty = read({})
    assert (empty.names, empty.num_rows, list(empty.rows())) == ((), 0, [])
    assert empty.to_arrow().column_names == list(metrics.RESERVED)


def test_a_row_without_values_is_still_a_row():
    table = read(built([(3, 0.5, {})]).files())

    assert list(table.rows()) == [Point(seq=0, step=3, time_seconds=0.5, values={})]


def test_an_unknown_metric_is_not_found():
    table = read(simple().files())
    for name in ("nope", "_seq"):
        with pytest.raises(NotFound, match="the run logged loss, lr"):
            table.series(name)


def test_the_file_is_plain_parquet_with_checked_pages():
    ((name, data),) = simple().files().items()
    file = parquet.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)
    chunks = [file.metadata.row_group(0).column(index) for index in range(5)]

    assert name == "metrics.parquet"
    assert file.schema_arrow.names == ["_seq", "_step", "_time_seconds", "loss", "lr"]
    assert {chunk.compression for chunk in chunks} == {"ZSTD"}
    assert ["DELTA_BINARY_PACKED" in chunk.encodings for chunk in chunks] == [True, True, False, False, False]
    assert ["BYTE_STREAM_SPLIT" in chunk.encodings for chunk in chunks] == [False, False, True, True, True]
    assert file.metadata.metadata[b"gitrepro.format"] == b"1"
    assert b"ARROW:schema" not in data
    labels = [data.rindex(f"gitrepro.{label}\x18".encode()) for label in ("format", "rank", "part", "parts", "crc32")]
    assert labels == sorted(labels)


def test_a_table_may_have_several_row_groups():
    rows = 1_400_000
    builder = built((step, 0.0, {"n": step} if step % 1000 == 0 else {}) for step in range(rows))
    ((_, data),) = builder.files().items()
    table = read({"metrics.parquet": data})

    assert parquet.ParquetFile(pa.BufferReader(data)).num_row_groups > 1
    assert table.num_rows == rows
    assert [(step, value) for step, _, value in table.series("n")] == [(n, n) for n in range(0, rows, 1000)]


# --- many metrics ------------------------------------------------------------------------------------------------


def many(rank: int = 0) -> dict[str, bytes]:
    """250 metrics in every even row, 30 in every odd one, one a row, one everywhere, and a row with nothing."""
    builder = TableBuilder()
    for seq in range(40):
        often = (
            {f"train/{n}": seq + n / 4 for n in range(250)} if seq % 2 == 0 else {f"val/{n}": seq for n in range(30)}
        )
        values = {"lr": 0.5, f"once/{seq}": seq} | often
        builder.add(seq=seq, step=seq * 10, time_seconds=float(seq), values=values if seq != 7 else {})
    return builder.files(rank=rank)


def test_above_200_metrics_those_logged_together_share_a_part():
    files = many()
    columns = [set(parquet.ParquetFile(pa.BufferReader(data)).schema_arrow.names[3:]) for data in files.values()]

    assert list(files) == [f"metrics.part-{n}.parquet" for n in range(len(files))]
    assert 3 <= len(files) <= 8
    assert {f"train/{n}" for n in range(250)} in columns
    assert {f"val/{n}" for n in range(30)} in columns


def test_parts_read_as_one_table():
    table = read(many())
    rows = list(table.rows())

    assert table.num_rows == len(rows) == 40
    assert [row.seq for row in rows] == list(range(40))
    assert rows[7] == Point(seq=7, step=70, time_seconds=7.0, values={})
    assert rows[8].values == dict(
        sorted(({"lr": 0.5, "once/8": 8} | {f"train/{n}": 8 + n / 4 for n in range(250)}).items())
    )
    assert table.series("val/3") == [(s * 10, float(s), s) for s in range(1, 40, 2) if s != 7]


def test_parts_join_into_one_arrow_table():
    table = read(many())
    arrow = table.to_arrow()
    reserved = [arrow.column(name).to_pylist() for name in metrics.RESERVED]

    assert arrow.column_names == [*metrics.RESERVED, *table.names]
    assert reserved == [list(range(40)), [s * 10 for s in range(40)], [float(s) for s in range(40)]]
    for name in table.names:
        logged = [value for value in arrow.column(name).to_pylist() if value is not None]
        assert logged == [value for _, _, value in table.series(name)]


def test_the_footer_of_the_widest_part_fits_the_limit():
    names = [f"{n:03d}" + "n" * 497 for n in range(500)]
    builder = built((step, 0.0, dict.fromkeys(names, 1.0)) for step in range(9_000))
    files = builder.files()

    assert len(files) == 1
    assert read(files).names == tuple(names)


def test_a_missing_a_foreign_and_a_repeated_part_are_damage():
    files, other = many(), many(rank=1)
    names = list(files)
    for wrong in (
        {name: files[name] for name in names[1:]},
        {name: files[name] for name in names[:-1]},
        files | {"metrics.part-9.parquet": files[names[0]]},
        {**files, names[0]: other["metrics.rank-1.part-0.parquet"]},
        files | simple().files(),
    ):
        with pytest.raises(Damaged, match="do not form one metric table"):
            read(wrong)


def test_parts_that_disagree_on_a_row_are_damage():
    files, shifted = many(), TableBuilder()
    for row in read(files).rows():
        shifted.add(seq=row.seq, step=row.step + (row.seq == 8), time_seconds=row.time_seconds, values=row.values)
    with pytest.raises(Damaged, match="disagree on a row"):
        read({**shifted.files(), "metrics.part-0.parquet": files["metrics.part-0.parquet"]})


def test_ranks_are_kept_apart_by_name():
    files = simple().files() | simple().files(rank=12) | many(rank=3) | {"run.yaml": b"", "system.parquet": b""}
    files |= {"metrics.rank-0.parquet": b"", "metrics.part-01.parquet": b"", "metrics.reduced.parquet": b""}
    tables = metrics.by_rank(files)

    assert list(tables) == [0, 3, 12]
    assert tables[0] == ["metrics.parquet"]
    assert tables[12] == ["metrics.rank-12.parquet"]
    assert read({name: files[name] for name in tables[3]}).rank == 3


# --- damage ------------------------------------------------------------------------------------------------------


def signed(data: bytes) -> bytes:
    """The bytes with a checksum that fits, as someone would write it who means harm."""
    place = checksum_place(data)
    return data if place < 0 else data[:place] + checksum(data, place) + data[place + len(NO_CHECKSUM) :]


def forged(table: pa.Table, metadata: dict[str, str] | None = None, **options) -> bytes:
    sink = pa.BufferOutputStream()
    place = {"gitrepro.rank": "0", "gitrepro.part": "0", "gitrepro.parts": "1"}
    with parquet.ParquetWriter(sink, table.schema, **({"store_schema": False} | options)) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({"gitrepro.format": "1"} | place | (metadata or {}) | {"gitrepro.crc32": "0" * 8})
    return signed(sink.getvalue().to_pybytes())


def columns(**changes) -> pa.Table:
    found = {"_seq": pa.array([0, 1]), "_step": pa.array([0, 1]), "_time_seconds": pa.array([0.0, 1.0])}
    return pa.table({name: column for name, column in (found | changes).items() if column is not None})


def test_a_forged_table_that_keeps_every_rule_is_read():
    table = read({"metrics.parquet": forged(columns(a=pa.array([1, None])))})

    assert [point.values for point in table.rows()] == [{"a": 1}, {}]


@pytest.mark.parametrize(
    ("table", "why"),
    [
        (columns(_seq=None), "does not begin with"),
        (columns(_seq=pa.array([0.0, 1.0])), "another type"),
        (columns(_time_seconds=pa.array([0, 1])), "another type"),
        (columns(_step=pa.array([None, 1])), "has gaps"),
        (columns(_seq=pa.array([1, 1])), "not in order"),
        (columns(_seq=pa.array([1, 0])), "not in order"),
        (columns(a=pa.array(["x", "y"])), "not int64 or double"),
        (columns(a=pa.array([1, 2], pa.int32())), "not int64 or double"),
        (columns(a=pa.array([1.0, 2.0], pa.float32())), "not int64 or double"),
        (columns(a=pa.array([1, 2], pa.timestamp("us"))), "not int64 or double"),
        (columns(a=pa.array([[1], [2]])), "not int64 or double"),
        (columns(a=pa.array([{"b": 1}, {"b": 2}])), "not int64 or double"),
        (columns(a=pa.array([None, None], pa.float64())), "no value at all"),
        (columns(_a=pa.array([1, 2])), "a name that none may have"),
        (columns(b=pa.array([1, 2]), a=pa.array([1, 2])), "not in order"),
        (columns().slice(0, 0), "it has 0 rows"),
        (columns(**{f"n{n:04d}": pa.array([1, 2]) for n in range(998)}), "more than 1000 columns"),
    ],
)
def test_a_table_that_breaks_a_rule_is_damage(table, why):
    with pytest.raises(Damaged, match=rf"^metric table metrics\.parquet cannot be read; .*{why}"):
        read({"metrics.parquet": forged(table)})


@pytest.mark.parametrize(
    ("metadata", "why"),
    [
        ({"gitrepro.format": "0"}, "not a metric table"),
        ({"gitrepro.format": "x"}, "not a metric table"),
        ({"gitrepro.part": "1"}, "part 1 of 1"),
        ({"gitrepro.part": "-1"}, "not in numbers"),
        ({"gitrepro.rank": "1" * 100_000}, "not in numbers"),
        ({"more": "x"}, "its metadata"),
    ],
)
def test_a_table_with_other_labels_is_damage(metadata, why):
    with pytest.raises(Damaged, match=why):
        read({"metrics.parquet": forged(columns(), metadata)})


def test_a_table_of_a_newer_format_says_so():
    with pytest.raises(TooNew, match=r"metrics\.parquet is of a newer kind; it has format 2"):
        read({"metrics.parquet": forged(columns(), {"gitrepro.format": "2"})})


def test_a_stored_arrow_schema_is_refused_before_it_is_parsed():
    with pytest.raises(Damaged, match="Arrow schema"):
        read({"metrics.parquet": forged(columns(), store_schema=True)})


def test_a_footer_above_a_mebibyte_is_refused():
    data = forged(columns(), {"more": "x" * (1 << 20)})
    with pytest.raises(Damaged, match="footer claims"):
        read({"metrics.parquet": data})


def test_gigabytes_in_a_small_file_are_refused_before_they_are_read():
    rows = pa.array([0.0] * 1_000_000)
    one = pa.table({"_seq": rows.cast(pa.int64()), "_step": rows.cast(pa.int64()), "_time_seconds": rows})
    sink = pa.BufferOutputStream()
    with parquet.ParquetWriter(sink, one.schema, store_schema=False, compression="zstd") as writer:
        for _ in range(101):
            writer.write_table(one)
        writer.add_key_value_metadata({"gitrepro.format": "1", "gitrepro.crc32": "0" * 8})
    data = signed(sink.getvalue().to_pybytes())

    assert len(data) < 1 << 21
    with pytest.raises(Damaged, match="101,000,000 rows"):
        read({"metrics.parquet": data})


@pytest.mark.parametrize(
    "data", [b"", b"PAR1", b"PAR1PAR1", b"PAR1" + b"\xff\xff\xff\xffPAR1", b"\x00" * 100, b"a: 1\n"]
)
def test_what_is_no_parquet_file_is_damage(data):
    with pytest.raises(Damaged, match="cannot be read"):
        read({"metrics.parquet": data})


def test_parquet_of_another_program_is_damage():
    sink = pa.BufferOutputStream()
    parquet.write_table(columns(), sink, store_schema=False)
    with pytest.raises(Damaged, match="no checksum"):
        read({"metrics.parquet": sink.getvalue().to_pybytes()})


def test_every_flipped_bit_and_every_truncation_is_reported():
    ((name, data),) = simple(50).files().items()
    for bit in range(len(data) * 8):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Damaged, match=name):
            read({name: bytes(flipped)})
    for length in range(len(data)):
        with pytest.raises(Damaged, match=name):
            read({name: data[:length]})


def test_damage_with_a_checksum_that_fits_is_read_or_reported_and_nothing_crashes():
    program = textwrap.dedent(
        """
        import random, sys
        from gitrepro.errors import Damaged
        from gitrepro.records.metrics import TableBuilder, read, read_reduced, reduce
        from gitrepro.records.metrics.encode import checksum, checksum_place

        chance, outcomes = random.Random(14), {"read": 0, "reported": 0}
        builder = TableBuilder()
        for n in range(60):
            values = {"loss": chance.random(), "n": n} | ({"val": 0.5} if n % 10 == 9 else {})
            builder.add(seq=n, step=n, time_seconds=1.0 * n, values=values)
        raw = builder.files()
        small = reduce(raw, points=7)
        for files, reader in ((raw, read), (small, read_reduced)):
            ((name, data),) = files.items()
            for _ in range(1500):
                bad = bytearray(data)
                for _ in range(chance.randint(1, 4)):
                    bad[chance.randrange(len(bad))] ^= 1 << chance.randrange(8)
                if chance.random() < 0.2:
                    at = chance.randrange(len(bad))
                    del bad[at : at + chance.randint(1, 40)]
                bad = bytes(bad)
                place = checksum_place(bad)
                if place > 0:
                    bad = bad[:place] + checksum(bad, place) + bad[place + 8 :]
                try:
                    table = reader({name: bad})
                    if reader is read:
                        list(table.rows()); table.to_arrow(); [table.series(metric) for metric in table.names]
                        reduce({name: bad})
                    outcomes["read"] += 1
                except Damaged:
                    outcomes["reported"] += 1
        print(sum(outcomes.values()), outcomes["reported"] > 1000)
        """
    )
    child = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True)

    assert (child.returncode, child.stdout, child.stderr) == (0, "3000 True\n", "")


# --- reductions --------------------------------------------------------------------------------------------------


def test_a_reduction_has_min_max_and_mean_of_consecutive_points():
    files = built((step, float(step), {"a": step}) for step in range(10)).files()
    reduced = reduce(files, points=3)
    table = read_reduced(reduced)

    assert list(reduced) == ["metrics.reduced.parquet"]
    assert (table.names, table.points, table.num_rows) == (("a",), 3, 10)
    assert [(b.first_step, b.last_step, b.count, b.min, b.mean, b.max) for b in table.series("a")] == [
        (0, 2, 3, 0.0, 1.0, 2.0),
        (3, 5, 3, 3.0, 4.0, 5.0),
        (6, 9, 4, 6.0, 7.5, 9.0),
    ]
    assert table.series("a")[1].first_time_seconds == 3.0
    assert table.series("a")[1].last_time_seconds == 5.0


@given(st.lists(st.floats() | INT64, min_size=1, max_size=60), st.integers(1, 12))
@settings(max_examples=150, deadline=None)
def test_a_reduction_bounds_every_point(numbers, points):
    rows = [(step, 0.0, {"a": value, "rare": 1.5} if step == 0 else {"a": value}) for step, value in enumerate(numbers)]
    table = read_reduced(reduce(built(rows).files(), points=points))
    buckets = table.series("a")

    assert len(buckets) == min(points, len(numbers))
    assert sum(bucket.count for bucket in buckets) == len(numbers)
    assert [bucket.first_step for bucket in buckets[1:]] == [bucket.last_step + 1 for bucket in buckets[:-1]]
    for bucket in buckets:
        values = [float(value) for value in numbers[bucket.first_step : bucket.last_step + 1]]
        finite = [value for value in values if math.isfinite(value)]
        assert bucket.nonfinite == len(values) - len(finite)
        assert (bucket.min, bucket.max) == (min(finite, default=None), max(finite, default=None))
        if finite:
            scale = max(map(abs, finite)) or 1.0
            assert bucket.mean / scale == pytest.approx(math.fsum(v / scale for v in finite) / len(finite), abs=1e-9)
    assert [(bucket.count, bucket.mean) for bucket in table.series("rare")] == [(1, 1.5)]


def test_a_long_run_keeps_2000_points_of_each_metric():
    files = built((s, 0.0, {"a": 1.0} | ({"b": 2.0} if s % 100 == 0 else {})) for s in range(5000)).files(rank=2)
    reduced = reduce(files)
    table = read_reduced(reduced)

    assert list(reduced) == ["metrics.rank-2.reduced.parquet"]
    assert (len(table.series("a")), len(table.series("b"))) == (2000, 50)


def test_many_metrics_reduce_to_one_file():
    table = read_reduced(reduce(many(), points=4))

    assert table.names == read(many()).names
    assert len(table.series("train/0")) == 4


def test_a_reduction_is_never_read_as_raw_points_nor_the_reverse():
    files = simple().files()
    with pytest.raises(Damaged, match=r"metrics\.reduced\.parquet .* use read_reduced"):
        read(reduce(files))
    with pytest.raises(Damaged, match=r"metrics\.parquet .* not a min/max/mean reduction: use read"):
        read_reduced(files)
    with pytest.raises(Damaged, match="one file"):
        read_reduced({})


def test_nothing_reduces_to_nothing():
    assert reduce({}) == {}
    assert reduce(built([(0, 0.0, {})]).files()) == {}
    with pytest.raises(UsageError, match="at least one"):
        reduce(simple().files(), points=0)


def test_a_reduction_of_an_unknown_metric_is_not_found():
    with pytest.raises(NotFound):
        read_reduced(reduce(simple().files())).series("nope")


def test_every_flipped_bit_of_a_reduction_is_reported():
    ((name, data),) = reduce(simple(30).files(), points=5).items()
    for bit in range(len(data) * 8):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Damaged, match=name):
            read_reduced({name: bytes(flipped)})


@pytest.mark.parametrize(
    "change",
    [
        {"min": pa.array([2.0])},
        {"max": pa.array([-1.0])},
        {"mean": pa.array([None], pa.float64())},
        {"count": pa.array([0])},
        {"nonfinite": pa.array([2])},
        {"nonfinite": pa.array([1])},
        {"count": pa.array([None], pa.int64())},
        {"metric": pa.array(["_a"])},
        {"metric": pa.array([None], pa.string())},
        {"metric": pa.array([1])},
        {"mean": pa.array([math.nan])},
    ],
)
def test_a_reduction_that_contradicts_itself_is_damage(change):
    labels = {"gitrepro.reduced": "min/max/mean", "gitrepro.points": "1", "gitrepro.rows": "1"}
    good = {"metric": pa.array(["a"])}
    good |= {name: pa.array([0]) for name in ("first_step", "last_step", "count", "nonfinite")} | {
        "count": pa.array([1])
    }
    good |= {name: pa.array([0.5]) for name in ("first_time_seconds", "last_time_seconds", "min", "max", "mean")}

    assert read_reduced({"r": forged(pa.table(good), labels)}).series("a")[0].mean == 0.5
    with pytest.raises(Damaged):
        read_reduced({"r": forged(pa.table(good | change), labels)})


# --- summaries ---------------------------------------------------------------------------------------------------


def test_a_summary_says_how_often_where_and_how_much():
    points = [
        Point(seq=0, step=0, time_seconds=0.0, values={"loss": 2.0, "n": 1}),
        Point(seq=1, step=10, time_seconds=0.0, values={"loss": math.nan}),
        Point(seq=2, step=20, time_seconds=0.0, values={"loss": 0.5, "n": 2**62}),
        Point(seq=3, step=5, time_seconds=0.0, values={"loss": 1.0, "bad": -math.inf}),
    ]

    assert summarise(points) == {
        name: dict(zip(("count", "first_step", "last_step", "last", "min", "max", "nonfinite"), expected, strict=True))
        for name, expected in {
            "bad": (1, 5, 5, -math.inf, None, None, 1),
            "loss": (4, 0, 5, 1.0, 0.5, 2.0, 1),
            "n": (2, 0, 20, 2**62, 1, 2**62, 0),
        }.items()
    }


@given(ROWS)
@settings(max_examples=60, deadline=None)
def test_a_summary_kept_while_logging_is_the_summary_of_the_rows(rows):
    live = Summary()
    for step, _, values in rows:
        live.add(values, step)
    points = [
        Point(seq=seq, step=step, time_seconds=time_seconds, values=values)
        for seq, (step, time_seconds, values) in enumerate(rows)
    ]

    assert repr(live.as_dict()) == repr(summarise(points))


def test_a_summary_survives_an_integer_that_no_float_holds():
    summary = Summary()
    summary.add({"n": 10**400}, 0)

    assert summary.as_dict()["n"]["max"] == 10**400


# --- imports -----------------------------------------------------------------------------------------------------


def test_importing_the_module_loads_no_library():
    program = "import sys, gitrepro.records.metrics; print({'numpy', 'pyarrow', 'pandas'} & set(sys.modules))"

    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "set()\n"


def test_writing_and_reading_leave_pandas_alone(tmp_path):
    (tmp_path / "pandas.py").write_text("__version__ = '99.0'\n")
    program = textwrap.dedent(
        f"""
        import sys; sys.path.insert(0, {str(tmp_path)!r})
        from gitrepro.records.metrics import TableBuilder, read, read_reduced, reduce
        builder = TableBuilder()
        for n in range(9):
            builder.add(seq=n, step=n, time_seconds=0.0, values={{"a": 0.5, "b": n}} if n % 2 else {{"a": 1.0}})
        table = read(builder.files()); list(table.rows()); table.series("b"); table.to_arrow()
        read_reduced(reduce(builder.files())).series("a")
        print("pandas" in sys.modules)
        """
    )
    child = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert (child.stdout, child.stderr) == ("False\n", "")


def test_a_data_frame_needs_pandas(monkeypatch):
    table = read(simple().files())
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UsageError, match="pip install pandas"):
        table.to_pandas()


def test_a_data_frame_has_the_same_columns():
    pytest.importorskip("pandas")
    frame = read(simple().files()).to_pandas()

    assert list(frame.columns) == [*metrics.RESERVED, "loss", "lr"]
    assert frame["loss"].tolist() == [step / 4 for step in range(10)]
