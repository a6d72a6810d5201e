"""Numbers as papers print them are read, and told from those that are not on record."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitrepro.errors import UsageError
from gitrepro.records.seedset import Spread, spread_of
from gitrepro.report.tables import Printed, Reference, Row, Table, judge, latex, markdown, parse, printed_in, tidy
from gitrepro.report.tables.numbers import difference, last_of, plain

FIVE = spread_of(
    [(f"run{seed}", str(seed), value) for seed, value in enumerate((0.9138, 0.9044, 0.9073, 0.9115, 0.9059))]
)
"""Mean 0.90858, standard deviation 0.003905, n = 5."""


def fault(text: str, spread: Spread = FIVE, *, scale: int = 1) -> str:
    return difference(plain(text), spread, scale=scale)


@pytest.mark.parametrize(
    "text",
    [
        "0.909",
        "0.91",
        r"$0.9086 \pm 0.0039$",
        r"$\mathbf{0.909} \pm 0.004$",
        r"\textbf{0.909} {\scriptsize $\pm$ 0.004}",
        r"$0.909_{\pm 0.004}$",
        "0.909 ± 0.004 (n = 5)",
        "0.909 +/- 0.004",
        "0.909(4)",
        "0.909 (0.004)",
        r"0.9086 ($n=5$)",
        r"90.86\,\%",
        r"$90.9 \pm 0.4\%$",
        r"\num{0.909 +- 0.004}",
        "0,909",
        r"0{,}909 ± 0{,}004",
        r"$9.09 \times 10^{-1}$",
        "9.086e-1",
    ],
)
def test_a_number_is_read_as_people_write_it(text: str) -> None:
    assert fault(text) == ""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0.910", "the mean on record is 0.9086"),
        ("0.92", "the mean on record is 0.909"),
        ("-0.909", "the mean on record is"),
        ("91", "the mean on record is 0.9"),
        ("0.909 ± 0.005", "the standard deviation on record is 0.0039"),
        ("0.909 (n=3)", "n = 5"),
        ("0.909 (7)", "is neither"),
        ("0.909 0.95", "nothing says what it is"),
        ("± 0.909", "the mean on record is"),
        ("", "no number is printed"),
        ("best", "no number is printed"),
    ],
)
def test_a_number_that_is_not_on_record_is_told(text: str, said: str) -> None:
    assert said in fault(text)


def test_percent_is_what_the_reference_says() -> None:
    assert fault("90.86 ± 0.39", scale=100) == ""
    assert "the mean on record is 0.91" in fault("90.9")


def test_thousands_and_negative_numbers_are_read() -> None:
    assert fault("1,234.5", spread_of([("a", "0", 1234.5)])) == ""
    assert fault("$-$0.5", spread_of([("a", "0", -0.5)])) == ""
    assert fault("−0.5", spread_of([("a", "0", -0.5)])) == ""
    assert "none: it is of one run" in fault("0.5 ± 0.1", spread_of([("a", "0", 0.5)]))


def test_a_diverged_run_is_printed_as_one() -> None:
    diverged = spread_of([("a", "0", 0.5), ("b", "1", math.nan)])

    assert fault("NaN ± nan", diverged) == ""
    assert "the mean on record is NaN" in fault("0.5", diverged)


def test_in_prose_the_comment_speaks_of_the_last_number() -> None:
    assert last_of("all 5 models reach **0.909** ± 0.004") == "0.909 ± 0.004"


def row(values: list[float], label: str = "cnn") -> Row:
    draws = {str(seed): f"01m838rqzye5t0gcet{seed:08d}" for seed in range(len(values))}
    spread = spread_of([(draws[str(seed)], str(seed), value) for seed, value in enumerate(values)])
    return Row(labels=(label,), draws=draws, failed=(), repeated=(), unseeded=(), spreads={"val/acc_1": spread})


numbers = st.floats(-1e6, 1e6, allow_nan=False).filter(lambda value: value == 0 or abs(value) > 1e-3)


@settings(max_examples=25)
@given(values=st.lists(numbers, min_size=1, max_size=5), scale=st.sampled_from([1, 100]), label=st.text(max_size=8))
@pytest.mark.parametrize(("form", "suffix"), [(latex, ".tex"), (markdown, ".md"), (tidy, ".csv")])
def test_what_a_table_prints_is_what_the_record_holds(
    form: object, suffix: str, values: list[float], scale: int, label: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    one = row(values, label)
    table = Table(by=("config.model",), metrics=("val/acc_1",), rows=(one,), scale=scale)
    path = tmp_path_factory.mktemp("paper") / f"table{suffix}"
    path.write_text(form(table), encoding="utf-8")  # type: ignore[operator]

    printed, *counts = printed_in(path)
    runs = [
        {"id": run, "seeds": {"requested": seed}, "summary": {"val/acc_1": value}}
        for run, seed, value in one.spreads["val/acc_1"].values
    ]

    assert [judge(each, lambda _: runs).fault for each in (printed, *counts)] == [""] * (1 + len(counts))
    assert all(judge(each, lambda _: runs * 2).fault for each in counts)
    other = [{**run, "summary": {"val/acc_1": float(run["summary"]["val/acc_1"]) * 1.5 + 9}} for run in runs]
    assert judge(printed, lambda _: other).fault != ""


@settings(max_examples=100)
@given(
    metric=st.text(min_size=1, max_size=20).filter(str.strip),
    targets=st.lists(st.text("abcXYZ019/_-.{}%", min_size=1, max_size=12), min_size=1, max_size=3),
    scale=st.sampled_from([1, 100]),
    counts=st.booleans(),
)
def test_a_reference_is_read_back_whatever_the_metric_is_called(
    metric: str, targets: list[str], scale: int, counts: bool
) -> None:
    wanted = Reference(metric=metric, targets=tuple(targets), scale=1 if counts else scale, counts=counts)

    assert parse(str(wanted)) == wanted
    assert not {*str(wanted)} & {*"{}\\%#&~^$|<>\n"}


def test_what_is_no_reference_is_told() -> None:
    with pytest.raises(UsageError, match="does not say where a number is from"):
        parse("0.912")
    wrong = Printed(path=Path("paper.tex"), line=1, reference="somewhere", text="0.912")
    assert "does not say where" in judge(wrong, lambda _: []).fault
