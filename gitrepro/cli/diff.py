"""`gitrepro diff`: in what two runs differ."""

from __future__ import annotations

import math
from typing import Any, Final

import click

from ..run.differences import SECTIONS, Difference, differences, side
from ..store.repository import Repository
from ..store.resolve import resolve
from ..store.runs import RunTree
from . import here
from .present import clean, coloured, emit, line, number, table

_DIGEST_SHOWN: Final = 15


@click.command()
@click.argument("left")
@click.argument("right")
@click.option("--only", default="", metavar="A,B", help=f"Only these sections: {', '.join(SECTIONS)}.")
@click.option("--trace", is_flag=True, help="Name the first training step in which they differ, and the likely cause.")
@click.option("--patch", is_flag=True, help="Also print the difference of the code, line by line.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def diff(context: click.Context, left: str, right: str, only: str, trace: bool, patch: bool, as_json: bool) -> None:
    """Compare two runs: what went in and what came out.

    The exit code is 0 when nothing differs, and 1 when something does.
    """
    wanted = _wanted(only)
    found = here.repository()
    if trace:
        from .divergence import compare

        context.exit(1 if compare(found, left, right, as_json=as_json) else 0)
    with RunTree(found) as tree:
        sides = [side(tree, resolve(found, text)) for text in (left, right)]
    records = [each.record for each in sides]
    unlike = [each for each in differences(found, *sides) if each.section in wanted]
    if as_json:
        runs = [{"id": record.id, "name": record.name} for record in records]
        emit({"schema": 1, "runs": runs, "differences": [_document(each) for each in unlike]})
    else:
        _print(unlike, (records[0].name, records[1].name))
    if patch and not as_json and "code" in wanted:
        _print_patch(found, *((record.code or {}).get("tree") for record in records))
    context.exit(1 if unlike else 0)


def _wanted(only: str) -> set[str]:
    sections = {part.strip() for part in only.split(",") if part.strip()}
    unknown = sorted(sections - set(SECTIONS))
    if unknown:
        raise click.BadParameter(f"there is no section {unknown[0]!r}; known are {', '.join(SECTIONS)}")
    return sections or set(SECTIONS)


def _document(each: Difference) -> dict[str, Any]:
    return {
        "section": each.section,
        "key": each.key,
        "left": each.left,
        "right": each.right,
        "change": _change(each.left, each.right),
        "note": each.note or None,
    }


def _change(left: object, right: object) -> float | int | None:
    numbers = [value for value in (left, right) if isinstance(value, (int, float)) and not isinstance(value, bool)]
    if len(numbers) != 2 or not all(math.isfinite(value) for value in numbers):
        return None
    return numbers[1] - numbers[0]


def _print(unlike: list[Difference], names: tuple[str, str]) -> None:
    if not unlike:
        line("nothing differs")
        return
    rows = [[each.section, each.key, _value(each.left), _value(each.right), _said(each)] for each in unlike]
    table(rows, ["section", "key", *map(clean, names), "change"], elastic=None)


def _said(each: Difference) -> str:
    change = _change(each.left, each.right) if each.section == "metrics" else None
    return "  ".join(filter(None, (f"{change:+.4g}" if change else "", each.note)))


def _value(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, list):
        return " ".join(map(str, value))
    if isinstance(value, dict):
        return _version(value)
    return number(value) if isinstance(value, float) else str(value)


def _version(value: dict[str, Any]) -> str:
    """A version of a data set or a split, or a checkpoint: what it is called, and the beginning of its digest."""
    step = f"step {value['step']}" if value.get("step") is not None else ""
    parts = (str(value.get("version") or ""), step, str(value.get("digest") or "")[:_DIGEST_SHOWN])
    return " ".join(filter(None, parts))


def _print_patch(found: Repository, left: str | None, right: str | None) -> None:
    if not (left and right) or left == right:
        return
    text = found.git("diff-tree", "-r", "-p", "--no-ext-diff", "--no-textconv", "--no-color", left, right)
    line()
    for row in text.decode("utf-8", "replace").splitlines():
        colour = {"+": "green", "-": "red", "@": "dim"}.get(row[:1])
        shown = row.expandtabs()
        line(coloured(shown, colour) if colour else clean(shown))
