"""The page of a run that `gitrepro show` prints: what is known of it, in the words of people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...records.event import Event, Standing
from ...records.run import RunRecord
from ...store.repository import RUNS_REF
from ..present import clean, coloured, duration, pairs, status
from .batch import batch
from .checked import checked
from .code import code
from .efficiency import efficiency, trace
from .evaluated import evaluated
from .holdings import artifacts, checkpoints, data, fitted
from .parts import LISTED_AT_MOST, Rows, listed
from .precision import precision
from .seeded import determinism, streams
from .setting import config, environment, preprocess
from .stopping import curves, stopping
from .training import cost, metrics, seeds, summary, watched


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A run with everything that stands beside its record.

    Attributes:
        attempts: the runs of its lineage as `ls --json` has them, the first one first.
        cells: `cells.yaml`, of a run in a notebook.
    """

    record: RunRecord
    standing: Standing
    config: Mapping[str, Any]
    environment: Mapping[str, Any]
    recorded: bool
    events: Sequence[Event] = ()
    attempts: Sequence[Mapping[str, Any]] = ()
    cells: Mapping[str, Any] = field(default_factory=dict)


def page(known: Known) -> Iterator[str]:
    """The lines of the page."""
    record = known.record
    yield f"{coloured(clean(known.standing.name or record.name), 'bold')}  {record.id}"
    yield ""
    yield from pairs(_head(known))
    for title, rows in _sections(known).items():
        if rows:
            yield ""
            yield coloured(title, "bold")
            yield from pairs(rows)
    if known.recorded:
        yield ""
        yield coloured(f"git show {RUNS_REF}:{record.path}/run.yaml", "dim")


def _sections(known: Known) -> Mapping[str, Rows]:
    record = known.record
    return {
        "Code": code(record, known.cells),
        "Seeds": seeds(record),
        "Streams": streams(record),
        "Determinism": determinism(record),
        "Config": config(known.config),
        "Data": data(record),
        "Preprocessing": preprocess(record.preprocess),
        "Fitted": fitted(record),
        "Watched": watched(record),
        "Environment": environment(known.environment),
        "Metrics": metrics(record),
        "Summary": summary(record),
        "Curves": curves(record),
        "Stopping": stopping(record),
        "Cost": cost(record),
        "Efficiency": efficiency(record),
        "Trace": trace(record),
        "Batch": batch(record),
        "Precision": precision(record),
        "Checked": checked(record),
        "Evaluated": evaluated(record),
        "Checkpoints": checkpoints(record),
        "Artifacts": artifacts(record),
        "Not kept": [(str(item.get("what")), str(item.get("why"))) for item in record.losses],
        "Notes": [("", text) for text in (*([record.note] if record.note else []), *known.standing.notes)],
        "Waived": _waived(known.standing),
    }


def _head(known: Known) -> Rows:
    record, standing, reason = known.record, known.standing, known.record.reason or {}
    rows = [
        ("status", status(record.status)),
        ("kind", record.kind),
        ("started", f"{record.started_at}  {record.actor.get('name', '')} <{record.actor.get('email', '')}>"),
        ("duration", duration(record.duration_seconds)),
        ("command", " ".join(record.argv)),
        ("host", f"{record.host.get('hostname', '')}  {record.host.get('cwd', '')}"),
        ("group", standing.group or record.group or ""),
        ("labels", ", ".join(standing.labels)),
        ("reason", str(reason.get("message", ""))),
        ("try", str(reason.get("do", ""))),
        *_attempts(known),
        ("ranks", _ranks(record.ranks or {})),
        ("adopted", _adopted(record.adopted or {})),
        ("takes in", _takes_in(record.recorder.get("takes_in"))),
    ]
    return [row for row in rows if row[1].strip()]


def _attempts(known: Known) -> Rows:
    """The attempts of the lineage, the newest ones; else the one that this goes on with."""
    attempts = known.attempts[-LISTED_AT_MOST:]
    if known.record.id not in (each["id"] for each in attempts) or len(attempts) == 1:
        return [("resumes", known.record.resumes or "")]
    names = ["attempts", *[""] * len(attempts)]
    return [(name, _attempt(known, each)) for name, each in zip(names, attempts, strict=False)]


def _attempt(known: Known, each: Mapping[str, Any]) -> str:
    this = "  this one" if each["id"] == known.record.id else ""
    return f"{str(each['id'])[-8:]}  {each['status']}  {duration(each['duration_seconds'])}{this}"


def _ranks(ranks: Mapping[str, Any]) -> str:
    if not ranks:
        return ""
    seen, silent = listed(ranks.get("seen")), listed(ranks.get("silent"))
    told = f"{len(seen)} of {ranks.get('world_size')} on record, by {ranks.get('launcher')}"
    lost = f"; no closing word of {', '.join(map(str, silent[:LISTED_AT_MOST]))}" if silent else ""
    rivals = f"; also claimed by run {', '.join(str(run)[-8:] for run in listed(ranks.get('rivals')))}"
    return told + lost + (rivals if ranks.get("rivals") else "")


def _adopted(adopted: Mapping[str, Any]) -> str:
    return f"{adopted.get('at')}  from {adopted.get('from')}" if adopted else ""


def _takes_in(patterns: object) -> str:
    """Which files of the program belong to the run; TensorBoard's always do, and are not told."""
    found = patterns if isinstance(patterns, dict) else {}
    told = [(name, " ".join(map(str, listed(found.get(name))))) for name in ("metrics", "outputs")]
    return ", ".join(f"{name} {words}" for name, words in told if words)


def _waived(standing: Standing) -> list[tuple[str, str]]:
    """Each waiver, and each withdrawal of one."""
    taken = {name for event in standing.withdrawals for name in event.observed}
    rows = [(event, " (withdrawn)" if event.id in taken else "") for event in standing.waivers]
    rows += [(event, " (the withdrawal)") for event in standing.withdrawals]
    return [
        (str(event.value.get("rule")), f"{event.actor.get('name')}: {event.value.get('reason')}{more}")
        for event, more in rows
        if isinstance(event.value, dict)
    ]
