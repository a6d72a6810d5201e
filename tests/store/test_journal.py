"""The journal: what was logged is there after any cut, and nothing that was not."""

from __future__ import annotations

import json
import math
import resource
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitrepro.errors import TooNew, UsageError
from gitrepro.store.journal import MAGIC, JournalWriter
from gitrepro.store.journal_reader import parse, read

NUMBERS = st.floats(allow_nan=True, allow_infinity=True) | st.integers(-(2**63), 2**63 - 1)


@pytest.fixture
def writer(tmp_path: Path) -> JournalWriter:
    return JournalWriter(tmp_path, run_id="01abc")


def only_file(folder: Path) -> Path:
    [path] = folder.glob("journal.*")
    return path


def test_rows_come_back_in_order_with_their_types(tmp_path, writer):
    writer.row({"loss": 0.5, "n": 3}, 0)
    writer.row({"loss": math.inf, "n": -(2**63)}, 7)
    writer.row({"acc": 1.0}, 7)

    [journal] = read(tmp_path)
    assert [(row.step, row.values) for row in journal.rows] == [
        (0, {"loss": 0.5, "n": 3}),
        (7, {"loss": math.inf, "n": -(2**63)}),
        (7, {"acc": 1.0}),
    ]
    assert type(journal.rows[0].values["n"]) is int
    assert journal.torn_bytes == journal.damaged_bytes == journal.missing_frames == 0


@given(
    rows=st.lists(
        st.tuples(
            st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), NUMBERS),
            st.integers(-(2**63), 2**63 - 1),
        )
    )
)
def test_any_row_survives(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("journal")
    writer = JournalWriter(folder, run_id="01abc")
    for values, step in rows:
        writer.row(values, step)
    writer.close()

    [journal] = read(folder)
    assert [(repr(row.values), row.step) for row in journal.rows] == [(repr(values), step) for values, step in rows]


def test_each_row_is_one_write(tmp_path, requires_strace):
    program = textwrap.dedent(f"""
        from pathlib import Path
        from gitrepro.store.journal import JournalWriter
        writer = JournalWriter(Path({str(tmp_path)!r}), run_id="01abc")
        writer.row({{"loss": 0.5}}, 0)
        import os; os.write(2, b"begin")
        for step in range(1, 101):
            writer.row({{"loss": 0.5}}, step)
        os.write(2, b"end")
    """)
    trace = tmp_path / "trace"
    subprocess.run(
        [requires_strace, "-f", "-o", trace, "-e", "trace=write,fsync,fdatasync", sys.executable, "-c", program],
        check=True,
    )
    calls = trace.read_text().partition('"begin"')[2].partition('"end"')[0]
    assert calls.count("write(") == 101  # a hundred rows and the word "end"
    assert "sync" not in calls


@pytest.mark.parametrize("value", ["text", None, 1j, object(), True, [1.0]])
def test_only_ints_and_floats_are_taken(writer, value):
    with pytest.raises(UsageError, match="is not a number"):
        writer.row({"loss": value}, 0)


def test_an_integer_beyond_64_bits_is_refused_and_costs_nothing_else(tmp_path, writer):
    writer.row({"n": 1}, 0)
    with pytest.raises(UsageError, match="64 bits"):
        writer.row({"n": 2**63}, 1)
    writer.row({"n": 2}, 2)

    [journal] = read(tmp_path)
    assert [row.values["n"] for row in journal.rows] == [1, 2]


def test_every_truncation_keeps_exactly_the_whole_frames(tmp_path, writer):
    ends = [only_file(tmp_path).stat().st_size]
    for step in range(20):
        writer.row({"loss": step / 2, "lr": 0.1}, step)
        ends.append(only_file(tmp_path).stat().st_size)
    data = only_file(tmp_path).read_bytes()

    for length in range(len(data) + 1):
        journal = parse([data[:length]])
        assert [row.step for row in journal.rows] == list(range(sum(end <= length for end in ends[1:])))
        assert journal.damaged_bytes == 0


def test_a_zero_filled_tail_is_torn_and_invents_nothing(tmp_path, writer):
    writer.row({"loss": 0.5}, 0)
    journal = parse([only_file(tmp_path).read_bytes() + bytes(4096)])
    assert [row.step for row in journal.rows] == [0]
    assert journal.torn_bytes == 4096


def test_every_flipped_bit_is_noticed_and_costs_at_most_its_own_frame(tmp_path, writer):
    for step in range(6):
        writer.row({"loss": step / 2}, step)
    data = only_file(tmp_path).read_bytes()
    whole = [(row.step, row.values) for row in parse([data]).rows]

    for bit in range(len(data) * 8):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        journal = parse([bytes(flipped)])
        rows = [(row.step, row.values) for row in journal.rows]
        assert all(row in whole for row in rows), f"bit {bit} made up a row"
        assert journal.torn_bytes or journal.damaged_bytes, f"bit {bit} went unnoticed"


def test_damage_in_the_middle_does_not_hide_what_follows(tmp_path, writer):
    for step in range(10):
        writer.row({"loss": 0.5}, step)
    data = bytearray(only_file(tmp_path).read_bytes())
    fifth = [at for at in range(len(data)) if data.startswith(MAGIC, at)][6]
    data[fifth + 20] ^= 255

    journal = parse([bytes(data)])
    assert len(journal.rows) == 9
    assert journal.damaged_bytes > 0
    assert journal.missing_frames == 1


def test_a_journal_of_a_newer_format_is_left_alone(tmp_path):
    writer = JournalWriter(tmp_path, run_id="01abc")
    writer._header["format"] = 2
    writer._abandon_segment()
    writer._open_segment()
    with pytest.raises(TooNew, match="format 2"):
        read(tmp_path)


def test_rows_of_64_threads_are_all_there(tmp_path, writer):
    def log(thread: int) -> None:
        for step in range(50):
            writer.row({f"thread {thread}": float(step)}, step)

    threads = [threading.Thread(target=log, args=(number,)) for number in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    [journal] = read(tmp_path)
    assert len(journal.rows) == 64 * 50
    assert journal.missing_frames == 0


def test_a_full_disk_keeps_rows_in_memory_until_there_is_room(tmp_path):
    """A file size limit is a full disk that one can fill and free at will."""
    program = textwrap.dedent(f"""
        import resource, signal, sys
        from pathlib import Path
        from gitrepro.store.journal import JournalWriter
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        writer = JournalWriter(Path({str(tmp_path)!r}), run_id="01abc")
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        for step in range(300):
            if step == 100:
                resource.setrlimit(resource.RLIMIT_FSIZE, (writer._size + 30, hard))
            if step == 200:
                assert writer.spooled == 100, writer.spooled
                resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
            writer.row({{"loss": 0.5}}, step)
        assert writer.spooled == 0 and writer.sync()
    """)
    subprocess.run([sys.executable, "-c", program], check=True)
    [journal] = read(tmp_path)
    assert [row.step for row in journal.rows] == list(range(300))
    assert journal.torn_bytes == journal.damaged_bytes == 0


def test_what_does_not_fit_into_memory_either_is_counted(tmp_path):
    program = textwrap.dedent(f"""
        import errno, resource, signal
        from pathlib import Path
        from gitrepro.store import journal
        journal.SPOOL_BYTES = 1000
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        writer = journal.JournalWriter(Path({str(tmp_path)!r}), run_id="01abc")
        resource.setrlimit(resource.RLIMIT_FSIZE, (writer._size, resource.RLIM_INFINITY))
        for step in range(100):
            writer.row({{"loss": 0.5}}, step)
        assert writer.spooled + writer.dropped == 101, "the shape is an entry too"
        assert writer.dropped > 0 and writer.spooled > 0
        assert writer.last_error.errno == errno.EFBIG
    """)
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_failed_sync_writes_all_since_the_last_good_one_again(tmp_path, requires_strace):
    program = textwrap.dedent(f"""
        from pathlib import Path
        from gitrepro.store.journal import JournalWriter
        writer = JournalWriter(Path({str(tmp_path)!r}), run_id="01abc")
        for step in range(5):
            writer.row({{"loss": 0.5}}, step)
        assert not writer.sync()
        writer.row({{"loss": 0.5}}, 5)
        assert writer.sync()
    """)
    fault = "inject=fdatasync:error=EIO:when=1"
    subprocess.run([requires_strace, "-f", "-o", "/dev/null", "-e", fault, sys.executable, "-c", program], check=True)
    assert len(list(tmp_path.glob("journal.*"))) == 2
    [journal] = read(tmp_path)
    assert [row.step for row in journal.rows] == list(range(6))
    assert parse([max(tmp_path.glob("journal.*")).read_bytes()]).rows[0].step == 0


def test_events_carry_their_time_and_content(tmp_path, writer):
    writer.event({"op": "config", "key": ["lr"], "value": math.nan, "text": "a\ud800b"})
    [journal] = read(tmp_path)
    [event] = journal.events
    assert event["op"] == "config"
    assert math.isnan(event["value"])
    assert event["text"] == "a\ud800b"
    assert event["time_seconds"] >= 0


def test_late_values_join_their_row(tmp_path, writer):
    writer.row({"loss": 0.5}, 3)
    writer.event({"op": "late", "row": writer.last_sequence, "values": {"accuracy": 0.9}})
    [journal] = read(tmp_path)
    assert journal.rows[0].values == {"loss": 0.5, "accuracy": 0.9}


@pytest.mark.parametrize("delay_ms", range(5, 105, 5))
def test_a_killed_process_loses_no_row_that_was_acknowledged(tmp_path, delay_ms):
    program = textwrap.dedent(f"""
        import os
        from pathlib import Path
        from gitrepro.store.journal import JournalWriter
        writer = JournalWriter(Path({str(tmp_path)!r}), run_id="01abc")
        step = 0
        while True:
            writer.row({{"loss": float(step)}}, step)
            os.write(1, b"%d\\n" % step)
            step += 1
    """)
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert process.stdout
    acknowledged = [process.stdout.readline()]
    killer = threading.Timer(delay_ms / 1000, process.send_signal, [signal.SIGKILL])
    killer.start()
    acknowledged += process.stdout.read().splitlines()
    process.wait()
    steps = [int(line) for line in acknowledged]

    [journal] = read(tmp_path)
    assert [row.step for row in journal.rows][: len(steps)] == steps
    assert len(journal.rows) <= len(steps) + 1


def test_the_kill_test_would_notice_a_buffered_writer(tmp_path):
    """The control: the same kill, with rows kept in a buffer of Python, loses what was acknowledged."""
    program = textwrap.dedent(f"""
        import os, signal
        stream = open({str(tmp_path / "buffered")!r}, "wb")
        for step in range(100):
            stream.write(b"%d\\n" % step)
            os.write(1, b"%d\\n" % step)
        signal.pause()
    """)
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert process.stdout
    acknowledged = [process.stdout.readline() for _ in range(100)]
    process.kill()
    process.wait()
    assert len((tmp_path / "buffered").read_bytes().splitlines()) < len(acknowledged)


def test_the_header_is_json_that_people_can_read(tmp_path, writer):
    data = only_file(tmp_path).read_bytes()
    start = data.index(b"{")
    header = json.loads(data[start : data.index(b"}") + 1])
    assert header["run"] == "01abc"
    assert header["format"] == 1
    assert resource.getpagesize() > len(data)
