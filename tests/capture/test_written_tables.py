"""CSV tables and JSON, as programs write them, piece by piece."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitrepro.capture.written import Delimited, LineReader, Objects, document


def table(text: str) -> tuple[list[tuple[int, dict]], Delimited]:
    rows = Delimited()
    return [(point.step, point.values) for point in rows.take(text.splitlines())], rows


def objects(*items: object) -> tuple[list[tuple[int, dict]], Objects]:
    rows = Objects()
    return [(point.step, point.values) for point in rows.take([json.dumps(item) for item in items])], rows


def test_a_sparse_table_as_lightning_writes_it_gives_what_was_logged():
    found, rows = table("epoch,step,train_loss,val_loss\n0,49,0.5,\n0,99,,0.6\n1,149,0.4,\n")

    assert found == [
        (49, {"epoch": 0, "train_loss": 0.5}),
        (99, {"epoch": 0, "val_loss": 0.6}),
        (149, {"epoch": 1, "train_loss": 0.4}),
    ]
    assert rows.misfits == 0


@pytest.mark.parametrize(
    ("header", "step"),
    [("epoch,step,iteration", 2), ("iteration,global_step", 2), ("epoch,iteration", 2), ("Step,loss", 1)],
)
def test_the_step_is_the_first_of_four_names(header, step):
    found, _ = table(f"{header}\n1,2,3\n" if header.count(",") == 2 else f"{header}\n1,2\n")

    assert found[0][0] == step


def test_without_a_step_rows_are_counted():
    assert [step for step, _ in table("loss\n0.5\n0.4\n")[0]] == [0, 1]


def test_a_step_that_is_no_whole_number_stays_a_value():
    assert table("epoch,loss\n0.5,1\n1.0,2\n")[0] == [(0, {"epoch": 0.5, "loss": 1}), (1, {"loss": 2})]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_delimiter_is_seen_from_the_header(delimiter):
    text = "step,loss,acc\n1,0.5,0.25\n".replace(",", delimiter)

    assert table(text)[0] == [(1, {"loss": 0.5, "acc": 0.25})]


def test_words_that_are_no_numbers_are_named_and_words_for_numbers_are_taken():
    found, rows = table("step,loss,note,done\n1,nan,hi,True\n2,-Inf,1_000,False\n")

    assert math.isnan(found[0][1]["loss"])
    assert found[1][1]["loss"] == -math.inf
    assert [values["done"] for _, values in found] == [1, 0]
    assert rows.rejected.counts == {"note": 2}


def test_whole_numbers_stay_whole_within_64_bits():
    found, _ = table(f"step,a,b,c\n1,7,7.0,{10**30}\n")

    assert [type(value) for value in found[0][1].values()] == [int, float, float]


def test_a_row_that_does_not_fit_is_counted_and_not_guessed():
    found, rows = table("step,loss,acc\n1,0.5\n2,0.4,0.9,7\n3,0.3,0.8\n")

    assert [step for step, _ in found] == [3]
    assert rows.misfits == 2


def test_a_cell_in_quotes_may_hold_a_line_end_and_delimiters():
    found, _ = table('step,note,loss\n1,"a\n2,3,",0.5\n2,b,0.4\n')

    assert found == [(1, {"loss": 0.5}), (2, {"loss": 0.4})]


def test_a_header_that_comes_again_is_no_row():
    found, rows = table("step,loss\n1,0.5\nstep,loss\n2,0.4\n")

    assert [step for step, _ in found] == [1, 2]
    assert rows.rejected.counts == {}


def test_nested_names_are_joined_and_what_is_no_number_is_named():
    found, rows = objects({"step": 3, "train": {"loss": 0.5, "parts": {"kl": 1}}, "tags": ["a"], "none": None})

    assert found == [(3, {"train/loss": 0.5, "train/parts/kl": 1})]
    assert rows.rejected.counts == {"tags": 1}


def test_the_log_history_of_a_trainer_state_is_its_rows():
    state = {
        "best_metric": None,
        "log_history": [{"epoch": 0.5, "loss": 2.1, "step": 10}, {"eval_loss": 2, "step": 10}],
    }
    rows = Objects()
    found = rows.points(document(json.dumps(state, indent=2).encode()))

    assert [(point.step, point.values) for point in found] == [
        (10, {"epoch": 0.5, "loss": 2.1}),
        (10, {"eval_loss": 2}),
    ]


def test_a_list_is_its_items_and_an_object_is_one():
    assert document(b'[{"a": 1}, {"a": 2}]') == [{"a": 1}, {"a": 2}]
    assert document(b'\xef\xbb\xbf{"accuracy": 0.9}') == [{"accuracy": 0.9}]


@pytest.mark.parametrize("data", [b"", b"{", b"[1, 2", b"[" * 100_000, b"\xff\xfe", b"1" * 5_000])
def test_what_is_no_document_is_a_value_error(data):
    with pytest.raises(ValueError):
        document(data)


def test_lines_that_are_no_objects_are_counted():
    rows = Objects()
    rows.take(["nonsense", "[1]", "", '{"a": NaN}', "[" * 100_000])

    assert rows.unreadable == 3


def test_a_byte_order_mark_and_carriage_returns_are_passed_over():
    lines = LineReader()

    assert lines.take(b"\xef\xbb") == []
    assert lines.take(b"\xbfstep,loss\r\n1,2\r\n3") == ["step,loss", "1,2"]
    assert lines.unfinished == "3"


def test_lines_that_are_no_text_or_too_long_are_counted_and_the_others_are_given():
    lines = LineReader()
    long = b"x" * (3 << 20)

    assert lines.take(b"one\n\xff\xfe\ntwo\n") == ["one", "two"]
    assert lines.take(long) + lines.take(long) + lines.take(b"end\nthree\n") == ["three"]
    assert (lines.undecodable, lines.overlong) == (1, 1)
    assert not lines.unfinished


def test_utf_16_is_said_and_not_read():
    lines = LineReader()

    assert lines.take("step,loss\n1,2\n".encode("utf-16")) == []
    assert lines.utf16


@given(st.binary(max_size=300), st.integers(min_value=1, max_value=9))
def test_any_bytes_give_rows_or_counts(data, size):
    lines, rows, items = LineReader(), Delimited(), Objects()
    found = [line for at in range(0, len(data), size) for line in lines.take(data[at : at + size])]

    for point in rows.take(found) + items.take(found):
        assert all(isinstance(value, int | float) for value in point.values.values())


@given(st.lists(st.floats(), min_size=1), st.integers(min_value=1, max_value=50))
def test_what_the_csv_module_writes_comes_back_in_any_pieces(numbers, size):
    text = "step,loss\r\n" + "".join(f"{step},{number!r}\r\n" for step, number in enumerate(numbers))
    lines, rows = LineReader(), Delimited()
    data = text.encode()
    found = [point for at in range(0, len(data), size) for point in rows.take(lines.take(data[at : at + size]))]

    assert [repr(point.values["loss"]) for point in found] == [repr(number) for number in numbers]
