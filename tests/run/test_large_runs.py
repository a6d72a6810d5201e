"""Runs that are large in one way or another: what finishing them takes does not grow with them."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitrepro.records.metrics import Summary, TableBuilder, reduce
from gitrepro.run import tabulate as tabulating
from gitrepro.run.tabulate import tabulate
from gitrepro.store.journal import JournalWriter
from gitrepro.store.journal_reader import read as read_journals
from gitrepro.store.objects import BlobStore

_NAMES = ["loss", "val/loss", "n", "lr"]
_ROW = st.dictionaries(
    st.sampled_from(_NAMES), st.one_of(st.floats(), st.integers(-(2**63), 2**63 - 1)), min_size=0, max_size=4
)


def written(folder: Path, processes: list[list[dict[str, float]]], *, rank: int = 0) -> None:
    """Journals in `folder`, one a process, whose rows come in turns."""
    ticks = iter(range(10**9))
    journals = []
    for number, _ in enumerate(processes):
        writer = JournalWriter(folder, run_id="r", rank=rank, clock=lambda: float(next(ticks)), origin=0.0)
        journals.append(writer)
        (folder / f"journal.rank-{rank}.{writer._pid}.0").rename(folder / f"journal.rank-{rank}.{number + 1}.0")
    for step in range(max(map(len, processes))):
        for writer, rows in zip(journals, processes, strict=True):
            if step < len(rows):
                writer.row(rows[step], step)
    for writer in journals:
        writer.close()


def in_memory(folder: Path) -> tuple[TableBuilder, Summary]:
    """The same table, from rows that are all there at once."""
    rows = [row for journal in read_journals(folder) for row in journal.rows]
    rows.sort(key=lambda row: row.time_seconds)
    builder, summary = TableBuilder(), Summary()
    for seq, row in enumerate(rows):
        builder.add(seq=seq, step=row.step, time_seconds=row.time_seconds, values=row.values)
        summary.add(row.values, row.step)
    return builder, summary


@settings(max_examples=40, deadline=None)
@given(processes=st.lists(st.lists(_ROW, min_size=1, max_size=30), min_size=1, max_size=3))
def test_rows_that_pass_by_make_the_bytes_of_rows_held_at_once(tmp_path_factory, processes) -> None:
    folder = tmp_path_factory.mktemp("live")
    written(folder, processes)

    tables = tabulate(read_journals(folder), blobs=None)
    builder, summary = in_memory(folder)

    assert dict(tables.files) == builder.files()
    assert {loss["what"] for loss in tables.losses} == {f"metric {name}" for name in builder.inexact}
    for name, facts in summary.as_dict().items():
        assert {key: repr(float(value)) if value is not None else None for key, value in facts.items()} == {
            key: repr(float(value)) if value is not None else None for key, value in tables.metrics[name].items()
        }


@pytest.mark.parametrize("at_once", [1, 7, 1000])
def test_how_many_rows_pass_at_a_time_is_not_seen_in_the_bytes(tmp_path, monkeypatch, at_once) -> None:
    rows = [{f"m{number}": 0.5 * step for number in range(step % 5)} | {"n": step} for step in range(300)]
    written(tmp_path, [rows, rows[:100]])
    expected = in_memory(tmp_path)[0].files()

    monkeypatch.setattr(tabulating, "_CELLS_AT_ONCE", at_once)

    assert dict(tabulate(read_journals(tmp_path), blobs=None).files) == expected


def test_a_table_of_many_parts_is_the_same_when_its_rows_pass_by(tmp_path, monkeypatch) -> None:
    rows = [{f"{'abc'[step % 3]}{number}": float(step) for number in range(100)} for step in range(90)]
    written(tmp_path, [[*rows, {}, {"alone": 1}]])
    expected = in_memory(tmp_path)[0].files()
    monkeypatch.setattr(tabulating, "_CELLS_AT_ONCE", 1000)

    files = dict(tabulate(read_journals(tmp_path), blobs=None).files)

    assert len(files) == 4
    assert files == expected


def test_a_large_table_goes_to_the_store_and_its_reduction_stays(tmp_path, monkeypatch) -> None:
    written(tmp_path, [[{"loss": 1.0 / (step + 1), "n": step * step} for step in range(20_000)]])
    whole = in_memory(tmp_path)[0].files()
    monkeypatch.setattr(tabulating, "IN_GIT_BYTES", 10_000)
    monkeypatch.setattr(tabulating, "_CELLS_AT_ONCE", 3_000)
    blobs = BlobStore(tmp_path / "store")

    tables = tabulate(read_journals(tmp_path), blobs=blobs)

    (artifact,) = tables.artifacts
    assert blobs.get(str(artifact["blob"])) == whole["metrics.parquet"]
    assert dict(tables.files) == reduce(whole)


def test_a_run_of_more_rows_than_a_table_holds_says_so_and_is_kept(tmp_path, monkeypatch) -> None:
    written(tmp_path, [[{"loss": 0.5}] * 11])
    monkeypatch.setattr(tabulating, "MAX_ROWS", 10)

    tables = tabulate(read_journals(tmp_path), blobs=None)

    assert not tables.files
    assert tables.losses[0]["what"] == "the metric table of 11 rows"


def test_finishing_takes_no_more_memory_for_more_steps(tmp_path) -> None:
    peaks = [_peak_bytes(tmp_path / str(rows), rows) for rows in (200_000, 600_000)]

    # 400,000 rows more: held at once, they would take over 100 MiB.
    assert peaks[1] - peaks[0] < 25 << 20


def _peak_bytes(folder: Path, rows: int) -> int:
    program = f"""
        import resource
        from pathlib import Path
        from gitrepro.records.metrics import encode
        from gitrepro.run.tabulate import tabulate
        from gitrepro.store.journal import JournalWriter
        from gitrepro.store.journal_reader import read
        from gitrepro.store.objects import BlobStore

        encode._GROUP_CELLS = 1 << 18  # a row group is what is held: small ones show growth sooner
        folder = Path({str(folder)!r})
        folder.mkdir()
        ticks = iter(range(10**9))
        writer = JournalWriter(folder, run_id="r", clock=lambda: float(next(ticks)), origin=0.0)
        for step in range({rows}):
            writer.row({{"loss": 1.0 / (step + 1)}}, step)
            if step % 10_000 == 0:
                writer.sync()
        writer.close()
        (journal,) = read(folder)
        assert journal.row_count == {rows}
        assert tabulate([journal], blobs=BlobStore(folder / "store")).metrics["loss"]["count"] == {rows}
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True)
    return int(done.stdout)
