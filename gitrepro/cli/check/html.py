"""What checks found as one page: no script, nothing fetched, all text escaped."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ...checks.shown import Shown, shown
from ...checks.task import Data, Task
from ...errors import GitreproError, StorageError
from ...records.result import Verdict
from ...records.sanity import Checked, Example
from ...run.sane import plain

EXAMPLES_AT_MOST: Final = 24
_COLOURS: Final = {"PASS": "#1a7f37", "WARN": "#9a6700", "FAIL": "#cf222e", "INCONCLUSIVE": "#9a6700"}
_STYLE: Final = """
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem;color:#1f2328;background:#fff}
h2{margin:2rem 0 .2rem;font-size:1.1rem}p{margin:.2rem 0}table{border-collapse:collapse}
td,th{padding:.2rem .8rem .2rem 0;text-align:left;vertical-align:top}
.pair{display:inline-block;vertical-align:top;border:1px solid #d1d9e0;border-radius:6px;padding:.5rem;margin:.3rem}
.one{display:inline-block;vertical-align:top;max-width:16rem;margin-right:.6rem;overflow-wrap:anywhere}
img{display:block;image-rendering:pixelated}small,summary{color:#59636e}pre{overflow-x:auto;font-size:12px}
"""


def write_page(path: Path, lines: Sequence[Checked], task: Task, *, title: str) -> None:
    """Write the page.

    Raises:
        StorageError: it cannot be written.
    """
    try:
        path.write_text("".join(_page(lines, _data(task), title)), encoding="utf-8")
    except OSError as error:
        raise StorageError(f"{path} cannot be written", why=error.strerror or str(error)) from error


def _data(task: Task) -> Data | None:
    """The examples; None where the task can no longer give them: the page then names them."""
    try:
        found = task.data()
    except GitreproError:
        return None
    return found if isinstance(found, Data) else None


def _page(lines: Sequence[Checked], data: Data | None, title: str) -> Iterator[str]:
    yield f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{_text(title)}</title><style>{_STYLE}</style>'
    yield f"<h1>{_text(title)}</h1><table><tr><th>verdict</th><th>check</th><th>why</th></tr>"
    for each in lines:
        link = f'<a href="#{_text(each.name)}">{_text(each.name)}</a>'
        yield f"<tr><td>{_verdict(each)}</td><td>{link}</td><td>{_text(each.why)}</td></tr>"
    yield "</table>"
    for each in lines:
        yield from _section(each, data)
    yield "</html>\n"


def _verdict(line: Checked) -> str:
    colour = _COLOURS.get(str(line.verdict), "#59636e")
    return f'<b style="color:{colour}">{_text(line.verdict)}</b>'


def _section(line: Checked, data: Data | None) -> Iterator[str]:
    yield f'<h2 id="{_text(line.name)}">{_verdict(line)} {_text(line.name)}</h2><p>{_text(line.why)}</p>'
    if line.repair and line.verdict is not Verdict.PASS:
        yield f"<p>{_text(line.repair)}</p>"
    for example in line.examples[:EXAMPLES_AT_MOST]:
        yield _example(example, data)
    if (left := len(line.examples) - EXAMPLES_AT_MOST) > 0:
        yield f"<p><small>and {left} more, on record</small></p>"
    yield _numbers({"observed": line.observed, "parameters": line.parameters, "runs": line.runs})


def _example(example: Example, data: Data | None) -> str:
    both = zip(example.ids, example.parts, strict=False)
    found = [_one(shown(data, id, part) if data else None, id, part) for id, part in both]
    return f'<div class="pair">{"".join(found)}<p><small>{_text(example.says)}</small></p></div>'


def _one(each: Shown | None, id: str, part: str) -> str:
    name = f"<small>{_text(part)}/{_text(id)}</small>"
    if each is None:
        return f'<div class="one">{name}</div>'
    label = f"<p>label {_text(each.label)}</p>" if each.label else ""
    return f'<div class="one">{_picture(each)}{label}{name}</div>'


def _picture(each: Shown) -> str:
    if each.png is None:
        return f"<p>{_text(each.text)}</p>"
    data = base64.b64encode(each.png).decode()
    return f'<img alt="{_text(each.id)}" src="data:image/png;base64,{data}">'


def _numbers(found: Mapping[str, Any]) -> str:
    told = json.dumps(plain(found), indent=1, sort_keys=True)
    return f"<details><summary>numbers and thresholds</summary><pre>{_text(told)}</pre></details>"


def _text(value: object) -> str:
    return html.escape(_printable(str(value)))


def _printable(text: Iterable[str]) -> str:
    return "".join(each if each.isprintable() or each == "\n" else "?" for each in text)
