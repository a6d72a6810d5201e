"""An audit as one page to read or print: no script, nothing fetched, all text escaped, and no clock in it."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ...errors import StorageError
from ...policy import RULES
from ...records.result import Audit, Check, Need, Verdict
from ..declared import Declared, abstract, sections

EVIDENCE_LINES_AT_MOST: Final = 120
"""Of one rule: a page with fifty runs is still one to read; `audit --json` has everything."""
_NOTHING: Final = "<p><small>nothing of the kind is on record</small></p>\n"
_ASKED: Final = {Need.REQUIRED: "required", Need.ADVISED: "advised", Need.OFF: "not asked for"}
# A sign stands beside each word, so that a page printed in black tells the same.
_SIGNS: Final = {
    Verdict.PASS: ("✓", "good"),
    Verdict.WARN: ("!", "fair"),
    Verdict.FAIL: ("✗", "bad"),
    Verdict.INCONCLUSIVE: ("?", "fair"),
    Verdict.WAIVED: ("–", "quiet"),
    Verdict.NOT_APPLICABLE: ("–", "quiet"),
}
_CANNOT: Final = (
    "that whoever recorded was honest: a person can edit a program so that it logs what it did not measure",
    "that no run was left out: only what was recorded, and pushed, can be counted",
    "that the clock was right: times are those of the machine that ran",
    "that nobody knew the test set by other ways: openings are counted where gitrepro opened it",
)
_STYLE: Final = """
:root{color-scheme:light}
*{box-sizing:border-box}
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:62rem;padding:0 1.2rem;color:#1f2328;background:#fff}
h1{margin:0 0 .3rem;font-size:1.7rem;overflow-wrap:anywhere}
h2{margin:2rem 0 .4rem;font-size:1.15rem;border-bottom:1px solid #d1d9e0;padding-bottom:.2rem}
h3{margin:1.2rem 0 .2rem;font-size:1rem}
p{margin:.3rem 0}
.lead{font-size:1.1rem;margin:.6rem 0}
table{border-collapse:collapse;width:100%}
td,th{padding:.35rem .8rem .35rem 0;text-align:left;vertical-align:top;overflow-wrap:anywhere}
th{color:#59636e;font-weight:600}
.rules tr{border-bottom:1px solid #eaeef2}
.rules td:first-child,.rules td:nth-child(2){white-space:nowrap}
.pairs td{white-space:pre-wrap}
.pairs th{width:11rem;font-weight:400;white-space:nowrap}
small,.quiet{color:#59636e}
.good{color:#1a7f37}.fair{color:#8a5a00}.bad{color:#b3202a}
code,pre{font:12px/1.45 ui-monospace,SFMono-Regular,Menlo,monospace}
code{background:#f6f8fa;padding:.1rem .3rem;border-radius:4px;overflow-wrap:anywhere}
pre{background:#f6f8fa;padding:.6rem .8rem;border-radius:6px;margin:.3rem 0;white-space:pre-wrap;overflow-wrap:anywhere}
@media (max-width:40rem){.rules,.rules tbody,.rules tr,.rules td{display:block}.rules thead{display:none}}
@media print{
@page{margin:16mm}
body{margin:0;max-width:none;padding:0;font-size:10.5pt}
pre,code{background:none;padding-left:0}
pre{border-left:2px solid #d1d9e0;padding-left:.6rem;font-size:8.5pt}
tr,h2,h3{break-inside:avoid}h2,h3{break-after:avoid}
.evidence{break-before:page}
}
"""


def write_audit_page(path: Path, audit: Audit, *, title: str, declared: Declared | None = None) -> None:
    """Write the page.

    Args:
        title: the result tag, or what was typed for a run.
        declared: what else is known of the result; without it the page is of runs.

    Raises:
        StorageError: it cannot be written.
    """
    try:
        path.write_text("".join(audit_page(audit, title=title, declared=declared)), encoding="utf-8")
    except OSError as error:
        raise StorageError(f"{path} cannot be written", why=error.strerror or str(error)) from error


def audit_page(audit: Audit, *, title: str, declared: Declared | None = None) -> Iterator[str]:
    """The page in parts."""
    yield '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width,initial-scale=1">'
    yield f"<title>audit of {_text(title)}</title><style>{_STYLE}</style></head>\n<body>\n"
    yield f"<h1>{_text(title)}</h1>\n{_standing(audit)}\n"
    if declared is not None:
        yield f'<p class="lead">{_text(abstract(declared))}</p>\n'
        for name, rows in sections(declared).items():
            # The audit has a section of its own below.
            if rows and name != "Audit":
                yield f"<h2>{_text(name)}</h2>\n{_pairs(rows)}"
    yield from _verdicts(audit)
    yield from _again(audit, title)
    yield f"<h2>What no audit can prove</h2>\n<ul>{''.join(f'<li>{_text(each)}</li>' for each in _CANNOT)}</ul>\n"
    yield from _evidence(audit)
    yield "</body></html>\n"


def _standing(audit: Audit) -> str:
    blocking = ", ".join(check.rule for check in audit.blocking)
    sign, colour, words = ("✗", "bad", f"is blocked by {blocking}") if blocking else ("✓", "good", "passes")
    strict = " Level strict asks for all sixteen rules." if audit.level == "strict" else ""
    told = f"{sign} {words} at level {audit.level}, judged as at stage {audit.stage}.{strict}"
    return f'<p><b class="{colour}">{_text(told)}</b></p>'


def _verdicts(audit: Audit) -> Iterator[str]:
    yield '<h2>The sixteen rules</h2>\n<table class="rules"><thead><tr><th>rule</th><th>verdict</th>'
    yield "<th>why it matters, and what was found</th></tr></thead><tbody>\n"
    for number, check in enumerate(audit.checks, start=1):
        yield f'<tr><td>{number}. <a href="#{_text(check.rule)}">{_text(check.rule)}</a><br>'
        yield f"<small>{_ASKED[check.required]}</small></td><td>{_verdict(check)}</td><td>"
        yield f"<small>{_text(RULES.get(check.rule, ''))}</small><p>{_text(check.why)}</p>"
        if check.repair and check.verdict is not Verdict.PASS:
            yield f"<p>To repair: {_coded(check.repair)}</p>"
        yield from (f"<p>{_text(each)}</p>" for each in _waivers(check))
        yield "</td></tr>\n"
    yield "</tbody></table>\n"


def _verdict(check: Check) -> str:
    sign, colour = _SIGNS[check.verdict]
    return f'<b class="{colour}">{sign} {_text(check.verdict)}</b>'


def _waivers(check: Check) -> Iterator[str]:
    for waiver in check.evidence.get("waivers") or ():
        if isinstance(waiver, Mapping):
            taken = waiver.get("withdrawn")
            more = f"; withdrawn by {taken['by']}: {taken['reason']}" if isinstance(taken, Mapping) else ""
            yield f"Waiver by {waiver.get('by')}: {waiver.get('reason')}{more}"


def _again(audit: Audit, title: str) -> Iterator[str]:
    yield "<h2>Derive it again</h2>\n<p>With a clone of the repository and its store, trusting nobody:</p>"
    commands = ["gitrepro pull", f"gitrepro audit {title}", f"gitrepro verify {title}"]
    yield f"<pre>{_text(chr(10).join(commands))}</pre>\n"
    rows = [
        ("commit", str(audit.commit)),
        ("code tree", str(audit.code_tree)),
        ("records", f"tree {audit.as_of}"),
        ("policy", audit.policy),
        ("rules", ", ".join(f"{rule} {version}" for rule, version in audit.algorithms.items())),
    ]
    yield _pairs(rows)


def _evidence(audit: Audit) -> Iterator[str]:
    yield '<section class="evidence"><h2>The evidence that was looked at</h2>\n'
    for check in audit.checks:
        told = {name: value for name, value in check.evidence.items() if name != "waivers"}
        yield f'<h3 id="{_text(check.rule)}">{_text(check.rule)} {_verdict(check)}</h3>'
        yield f"<pre>{_text(_lines(told))}</pre>\n" if told else _NOTHING
    yield "</section>\n"


def _lines(evidence: Mapping[str, Any]) -> str:
    lines = json.dumps(evidence, indent=1, sort_keys=True, ensure_ascii=False, default=str).splitlines()
    left = len(lines) - EVIDENCE_LINES_AT_MOST
    if left <= 0:
        return "\n".join(lines)
    return "\n".join([*lines[:EVIDENCE_LINES_AT_MOST], f"… and {left} lines more: `gitrepro audit --json` has them"])


def _pairs(rows: Sequence[tuple[str, str]]) -> str:
    if not any(name for name, _ in rows):
        return "".join(f"<p>{_coded(value)}</p>\n" for _, value in rows)
    inside = "".join(f"<tr><th>{_text(name)}</th><td>{_coded(value)}</td></tr>" for name, value in rows)
    return f'<table class="pairs">{inside}</table>\n'


def _coded(text: str) -> str:
    """Text with what stands between backticks set as code."""
    parts = _text(text).split("`")
    if len(parts) % 2 == 0:
        return _text(text)
    return "".join(f"<code>{part}</code>" if place % 2 else part for place, part in enumerate(parts))


def _text(value: object) -> str:
    return html.escape("".join(each if each.isprintable() or each == "\n" else "?" for each in str(value)))
