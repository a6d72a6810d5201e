"""The page of a result: the sentence that a paper would print, and what stands behind it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from ...analysis.efficiency import is_number
from ...audit.waivers import Waiver
from ...records.result import Need, Verdict
from ...records.run import RunRecord
from ...records.seeds import seed_text
from ...records.seedset import Spread
from ...report.tables.rounding import decimals_of, fixed
from ..page.parts import maps
from ..present import clean, coloured, counted, duration, number, pairs
from .known import Declared, bounds_of, costs_of

METRICS_AT_MOST: Final = 8
_RUNS_AT_MOST: Final = 12


def page(declared: Declared) -> Iterator[str]:
    """The lines of the page."""
    result = declared.result
    yield f"{coloured(clean(result.tag), 'bold')}  {result.id}"
    yield ""
    yield clean(abstract(declared))
    for title, rows in sections(declared).items():
        if rows:
            yield ""
            yield coloured(title, "bold")
            yield from pairs(rows)
    yield ""
    yield coloured(f"gitrepro audit {clean(result.tag)}", "dim")


def abstract(declared: Declared) -> str:
    """The sentence that a paper would print."""
    lost = len(declared.records) - len(declared.known)
    missing = f" The records of {counted(lost, 'run')} cannot be read." if lost else ""
    if not declared.spreads:
        return f"No number is on record of {counted(len(declared.records), 'run')}.{missing}"
    name, spread = next(iter(declared.spreads.items()))
    sure = _interval(spread)
    bounds = f" (95 % interval over seeds {sure})" if sure else ""
    seeds = counted(len({seed for _, seed, _ in spread.values}), "seed")
    blocked = declared.audit.blocking
    rules = ", ".join(check.rule for check in blocked)
    standing = f"is blocked by {rules} at" if blocked else "passes the audit at"
    return f"{name} is {_mean(spread)}{bounds}, {seeds}; it {standing} level {declared.audit.level}.{missing}"


def _mean(spread: Spread) -> str:
    decimals = decimals_of([spread])
    std = "" if spread.std is None else f" ± {fixed(spread.std, decimals)}"
    return f"{fixed(spread.mean, decimals)}{std}"


def _interval(spread: Spread) -> str:
    low, high = bounds_of(spread)
    if low is None or high is None:
        return ""
    decimals = decimals_of([spread])
    return f"{fixed(low, decimals)} … {fixed(high, decimals)}"


def sections(declared: Declared) -> dict[str, list[tuple[str, str]]]:
    """What stands on the page, by its title: rows of a name and a text."""
    return {
        "Numbers (mean ± standard deviation over seeds, 95 % interval, n)": _numbers(declared),
        "Test set": [("", text) for text in declared.openings],
        "Audit": _audit(declared),
        "Waivers": [(each.rule, _waiver(each)) for each in declared.waivers],
        "Cost": _cost(declared.known),
        "From": _from(declared),
        "Runs": _runs(declared),
        "Judged beside them": [(run.id[-8:], _commit(run.commit)) for run in declared.audit.evidence],
    }


def _commit(commit: str | None) -> str:
    return f"a check or a training, at commit {commit[:12]}" if commit else "a check or a training"


def _numbers(declared: Declared) -> list[tuple[str, str]]:
    rows = []
    for name, spread in list(declared.spreads.items())[:METRICS_AT_MOST]:
        sure = _interval(spread)
        goal = {"max": "  greater is better", "min": "  smaller is better"}.get(declared.goals.get(name, ""), "")
        rows.append((name, f"{_mean(spread)}  {sure or 'no interval'}  n = {spread.n}{goal}"))
        if name in declared.sampling:
            error, count = declared.sampling[name]
            rows.append(("", f"the choice of {counted(count, 'example')} gives it a standard error of {error:.2g}"))
    left = len(declared.spreads) - METRICS_AT_MOST
    return [*rows, ("", f"and {left} more: `gitrepro show RUN` has them")] if left > 0 else rows


def _audit(declared: Declared) -> list[tuple[str, str]]:
    audit = declared.audit
    asked = [check for check in audit.checks if check.required is not Need.OFF]
    counts = {verdict: sum(check.verdict is verdict for check in asked) for verdict in Verdict}
    tally = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
    off = len(audit.checks) - len(asked)
    rest = f"; {counted(off, 'rule')} not asked for" if off else ""
    told = [check for check in asked if check.verdict not in (Verdict.PASS, Verdict.NOT_APPLICABLE)]
    return [
        ("level", f"{declared.result.level} when it was declared, judged at {audit.level} now"),
        ("verdicts", f"{tally}{rest}"),
        *((check.rule, f"{check.verdict}  {check.why}") for check in told),
    ]


def _waiver(waiver: Waiver) -> str:
    taken = waiver.document()["withdrawn"]
    withdrawn = f"; withdrawn by {taken['by']}: {taken['reason']}" if taken else ""
    return f"{waiver.actor}: {waiver.reason}{withdrawn}"


def _cost(records: Sequence[RunRecord]) -> list[tuple[str, str]]:
    found = costs_of(records)
    rows = [
        ("time", duration(found.get("seconds"))),
        ("GPU-hours", number(found["gpu_hours"]) if "gpu_hours" in found else ""),
        ("energy", f"{found['joules'] / 3.6e6:.3g} kWh" if "joules" in found else ""),
        ("price", number(found["amount"]) if "amount" in found else ""),
    ]
    return [(name, f"{text}, {counted(len(records), 'run')} together") for name, text in rows if text]


def _from(declared: Declared) -> list[tuple[str, str]]:
    result = declared.result
    rows = [
        ("declared", f"{result.created_at}  {result.actor.get('name', '')} <{result.actor.get('email', '')}>"),
        ("note", result.note or ""),
        ("commit", result.commit),
        *(("data", text) for text in dict.fromkeys(_data(declared.known))),
    ]
    return [row for row in rows if row[1].strip()]


def _data(records: Sequence[RunRecord]) -> Iterator[str]:
    for entry in (entry for record in records for entry in maps(record.data)):
        version = f"@{entry['version']}" if entry.get("version") else ""
        splits = ", ".join(f"{each.get('name')} {str(each.get('digest'))[:15]}" for each in maps(entry.get("splits")))
        yield f"{entry.get('name')}{version} {str(entry.get('digest'))[:15]}{f'  split {splits}' if splits else ''}"


def _runs(declared: Declared) -> list[tuple[str, str]]:
    first = next(iter(declared.spreads), "")
    rows = []
    for cited, record in zip(declared.result.runs, declared.records, strict=True):
        if record is None:
            rows.append((cited.id[-8:], "its record is gone, or cannot be read"))
            continue
        value = record.summary.get(first)
        told = f"{first} {number(value)}" if is_number(value) else ""
        rows.append((cited.id[-8:], f"seed {seed_text(record.seeds) or '?'}  {record.status}  {told}".rstrip()))
    left = len(rows) - _RUNS_AT_MOST
    return [*rows[:_RUNS_AT_MOST], ("", f"and {left} more")] if left > 0 else rows
