"""The numbers of a paper are found wherever LaTeX would print them, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from gitrepro.errors import NotFound, UsageError
from gitrepro.report.tables import printed_in


def found(path: Path, text: str) -> list[tuple[int, str, str]]:
    path.write_text(text, encoding="utf-8")
    return [(each.line, each.reference, each.text) for each in printed_in(path)]


def test_a_number_in_prose_and_one_in_a_table_are_found(tmp_path: Path) -> None:
    text = "We reach\n\\gitrepro{m of result/x}{$0.9 \\pm 0.1$}.\n a & \\gitrepro{m of b}\n {\\textbf{1}} \\\\"

    assert found(tmp_path / "a.tex", text) == [
        (2, "m of result/x", "$0.9 \\pm 0.1$"),
        (3, "m of b", "\\textbf{1}"),
    ]


def test_what_is_commented_out_is_not_printed(tmp_path: Path) -> None:
    text = (
        "% \\gitrepro{m of x}{1}\n50\\% of \\gitrepro{m of y}{2} % \\gitrepro{m of z}{3}\n\\\\% \\gitrepro{m of v}{4}"
    )

    assert found(tmp_path / "a.tex", text) == [(2, "m of y", "2")]


def test_the_definition_of_the_macro_is_no_number(tmp_path: Path) -> None:
    text = "\\providecommand{\\gitrepro}[2]{#2}\n\\newcommand\\gitrepro[2]{#2}\n\\gitrepro{half"

    assert found(tmp_path / "a.tex", text) == []


def test_files_that_are_taken_in_are_read_once(tmp_path: Path) -> None:
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "main.tex").write_text("\\gitrepro{m of x}{1}\\input{paper}")
    (tmp_path / "appendix.tex").write_text("\\gitrepro{m of y}{2}")
    paper = tmp_path / "paper.tex"
    paper.write_text("\\input{tables/main}\\include{appendix}\\input{nowhere}\\input{tables/main.tex}")

    assert [each.reference for each in printed_in(paper)] == ["m of x", "m of y"]


def test_in_markdown_a_comment_speaks_of_what_stands_before_it(tmp_path: Path) -> None:
    text = "| cnn | **0.9** ± 0.1 <!-- gitrepro m of x --> | 0.8 <!-- gitrepro m of y --> |"

    assert found(tmp_path / "a.md", text) == [(1, "m of x", " **0.9** ± 0.1"), (1, "m of y", " 0.8")]


def test_a_csv_without_references_prints_no_number(tmp_path: Path) -> None:
    assert found(tmp_path / "a.csv", "a,b\n1,2\n") == []


def test_a_paper_that_is_not_there_or_no_text_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="there is no file"):
        printed_in(tmp_path / "paper.tex")
    (tmp_path / "paper.pdf").write_bytes(b"%PDF-1.5\xff\xfe")
    with pytest.raises(UsageError, match="not UTF-8"):
        printed_in(tmp_path / "paper.pdf")
