"""Runs as static HTML for a notebook: a table without scripts, in which all text is escaped."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from ..records.seeds import seed_text
from ..records.term import flat

ROWS_AT_MOST: Final = 50
_METRICS_AT_MOST: Final = 8
_CELL: Final = "padding:0.2em 0.8em 0.2em 0;text-align:left;white-space:nowrap"


def table_of(listings: Sequence[Mapping[str, Any]]) -> str:
    """A table of runs, the first 50."""
    shown = listings[:ROWS_AT_MOST]
    metrics = _metrics(shown)
    header = ["id", "name", "status", "started", "seed", "group", *metrics]
    rows = [[*_row(run), *(run["summary"].get(name) for name in metrics)] for run in shown]
    left = f"<p>{len(shown)} of {len(listings)} runs</p>" if len(shown) < len(listings) else ""
    return f"{_table(rows, header)}{left}" if shown else "<p>no runs</p>"


def page_of(run: Mapping[str, Any]) -> str:
    """What is known of one run at a glance: itself, its summary, its config."""
    known = ["id", "name", "kind", "status", "started_at", "duration_seconds", "group"]
    rows = [(name, run.get(name)) for name in known]
    rows += [("seed", seed_text(run["seeds"])), ("commit", run["code"].get("commit"))]
    rows += run["summary"].items()
    rows += [(f"config.{key}", value) for key, value in flat(run["config"])]
    return _table(rows, ())


def _row(run: Mapping[str, Any]) -> list[Any]:
    started = str(run["started_at"])[:16].replace("T", " ")
    return [run["id"][-8:], run["name"], run["status"], started, seed_text(run["seeds"]), run["group"]]


def _metrics(runs: Iterable[Mapping[str, Any]]) -> list[str]:
    counts: dict[str, int] = {}
    for run in runs:
        for name, value in run["summary"].items():
            if isinstance(value, (int, float)):
                counts[name] = counts.get(name, 0) + 1
    return sorted(counts, key=lambda name: (-counts[name], name))[:_METRICS_AT_MOST]


def _table(rows: Iterable[Sequence[Any]], header: Sequence[str]) -> str:
    head = "".join(f'<th scope="col" style="{_CELL}">{html.escape(name)}</th>' for name in header)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f"<table>{f'<thead><tr>{head}</tr></thead>' if head else ''}<tbody>{body}</tbody></table>"


def _cell(value: Any) -> str:
    return f'<td style="{_CELL}">{html.escape(_text(value))}</td>'


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:.4g}"
    return "".join(character if character.isprintable() else "?" for character in str(value))
