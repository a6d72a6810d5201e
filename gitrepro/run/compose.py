"""From the folder of a live run to the files of its record.

This is one function of the folder's content and nothing else: the run that finishes, the recovery after a kill, and
a second recovery all make the same bytes.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from ..capture import secrets
from ..capture.config import split_key
from ..errors import Damaged, GitreproError, UsageError
from ..records import yaml
from ..records.metrics import Summary, TableBuilder, reduce
from ..records.run import Kind, RunRecord, Status, run_from
from ..store import journal as journals
from ..store.journal import Journal, Row
from ..store.live import ERRORS, OUTPUT, START
from ..store.objects import BlobStore, digest_of
from .names import name_for

CONFIG: Final = "config.yaml"
ENVIRONMENT: Final = "env.yaml"
IN_GIT_BYTES: Final = 1 << 20
REJECTED: Final = "rejected"
"""A loss of this kind is no fault of the recording: the program logged what is no number."""
LIMIT: Final = "limit"
"""A loss of this kind is beyond what a record has room for, as FORMAT.md says."""
_PROCESSES_AT_MOST: Final = 16
_LOSSES_AT_MOST: Final = 200
_OVERRIDDEN_AT_MOST: Final = 20
_MAP_BYTES: Final = 300 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Composed:
    """A run's record and the files it consists of, by name."""

    record: RunRecord
    files: Mapping[str, bytes]


def compose(folder: Path, *, blobs: BlobStore | None) -> Composed:
    """Compose the record of the run in `folder`, however it ended.

    Output and tables over 1 MiB are put into `blobs`; without it they stay out.

    Raises:
        Damaged: the start record cannot be read. Damage behind it goes into the record as `losses`.
        TooNew: a newer gitrepro wrote the folder.
    """
    try:
        return _compose(folder, blobs)
    except (GitreproError, OSError):
        raise
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:
        # Files that parse and hold other things than were written: a flipped bit in a time, in the name of a field.
        raise Damaged(
            f"{folder} does not hold what was written there", why=repr(error)[:300], do="it is left as it is"
        ) from error


def _compose(folder: Path, blobs: BlobStore | None) -> Composed:
    start = yaml.load((folder / START).read_bytes(), source=str(folder / START))
    record = run_from(_field(start, "record", folder), source=str(folder / START))
    if record.id != folder.name:
        raise Damaged(f"{folder / START} says it is run {record.id!r:.40}", do="it is left as it is")
    written = journals.read(folder)
    observed = read_observed(folder)
    events = [event for journal in written for event in journal.events]
    table, summary = _tabulate(written)
    losses = [*record.losses, *_changed(folder, events), *_losses(written, events), *_inexact(table)]
    record = _described(record, events)
    config = _config(folder, events, losses)
    end = _end_event(written, owner=start.get("owner"))
    goals = {event["name"]: event["goal"] for event in events if event.get("op") == "define"}
    metrics, best = _metrics(summary, goals)
    tables, artifacts = _place(table, blobs, losses)
    artifacts += _output(folder, blobs, losses)
    record = replace(
        record,
        seeds=_seeds(record, events, observed, end),
        metrics=metrics,
        summary={**best, **_assigned(events)},
        artifacts=tuple(artifacts),
        journal=_journal_facts(folder, written),
        code=_code(record, end, observed),
    )
    record = _fitting(record, losses)
    record = replace(record, **_ending(record, end, written, losses), losses=_told(losses))
    files = {
        CONFIG: config,
        ENVIRONMENT: _environment(folder, end, observed),
        **tables,
    }
    return Composed(record=record, files={"run.yaml": record.dump(), **files})


def _field(start: Mapping[str, Any], name: str, folder: Path) -> Mapping[str, Any]:
    value = start.get(name)
    if not isinstance(value, dict):
        raise Damaged(f"{folder / START} has no {name}")
    return value


# -- how it ended


def _end_event(written: Sequence[Journal], *, owner: object) -> Mapping[str, Any] | None:
    """The closing word: the owner's if there is one, else that of the first rank that spoke it."""
    ends = [(journal, event) for journal in written for event in journal.events if event.get("op") == "end"]
    others = [event for journal, event in ends if journal.header.get("pid") != owner]
    # Of several ranks, one that failed tells more than those that did not.
    inner = next((event for event in others if event.get("status") != Status.FINISHED), others[0] if others else None)
    for journal, event in reversed(ends):
        if journal.header.get("pid") == owner:
            return _with_cause(event, inner)
    return inner


def _with_cause(end: Mapping[str, Any], inner: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """The owner of a wrapped program sees an exit code; the program, when it speaks itself, knows why."""
    if inner is None or end.get("status") != Status.FAILED or inner.get("status") == Status.FINISHED:
        return end
    return {
        **end,
        "status": inner.get("status"),
        "reason": {**(end.get("reason") or {}), **(inner.get("reason") or {})},
    }


def _ending(
    record: RunRecord, end: Mapping[str, Any] | None, written: Sequence[Journal], losses: Sequence[Any]
) -> dict[str, Any]:
    if end is None:
        seconds = max((moment for journal in written for moment in _moments(journal)), default=0.0)
        return {
            "status": Status.CRASHED,
            "reason": {"kind": "crash", "message": "the process is gone and left no closing word"},
            "ended_at": later(record.started_at, seconds),
            "duration_seconds": seconds,
        }
    status = str(end.get("status", Status.CRASHED))
    if status == Status.FINISHED and any(loss.get("kind") not in (REJECTED, LIMIT) for loss in losses):
        status = Status.INCOMPLETE
    return {
        "status": status,
        "reason": end.get("reason"),
        "ended_at": end.get("ended_at"),
        "duration_seconds": end.get("duration_seconds"),
        "cost": end.get("cost") or {},
    }


def _moments(journal: Journal) -> Iterator[float]:
    yield from (row.time_seconds for row in journal.rows[-1:])
    yield from (float(event.get("time_seconds", 0.0)) for event in journal.events[-1:])


def later(moment: str, seconds: float) -> str:
    """The ISO time `seconds` after `moment`."""
    start = datetime.datetime.fromisoformat(moment)
    return stamp((start + datetime.timedelta(seconds=seconds)).timestamp())


def stamp(seconds: float) -> str:
    """A Unix time as UTC, ISO 8601 with microseconds."""
    moment = datetime.datetime.fromtimestamp(seconds, tz=datetime.UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


# -- what was lost


def _changed(folder: Path, events: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The files of the start that are not as they were written: the journal knows their digests."""
    told: Mapping[str, Any] = next((event["digests"] for event in events if event.get("op") == "start"), {})
    why = "its bytes are not those that were written at the start: what it says may be wrong"
    return [
        {"what": name, "why": why}
        for name, known in sorted(told.items())
        if name in (START, CONFIG, ENVIRONMENT) and digest_of([(folder / name).read_bytes()]) != known
    ]


def _losses(written: Sequence[Journal], events: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    losses: list[dict[str, Any]] = []
    for journal in written:
        name = f"journal of rank {journal.header.get('rank', '?')}, process {journal.header.get('pid', '?')}"
        if journal.damaged_bytes:
            losses.append({"what": name, "why": f"{journal.damaged_bytes} bytes are damaged"})
        if journal.missing_frames:
            losses.append({"what": name, "why": f"{journal.missing_frames} entries are missing"})
    for event in events:
        if event.get("op") == "lost":
            kind = {"kind": event["kind"]} if "kind" in event else {}
            losses.append({**kind, "what": event["what"], "why": event["why"]})
    return losses


def _told(losses: Sequence[Mapping[str, Any]]) -> tuple[Any, ...]:
    if len(losses) <= _LOSSES_AT_MOST:
        return tuple(losses)
    rest = len(losses) - _LOSSES_AT_MOST
    return (*losses[:_LOSSES_AT_MOST], {"what": f"{rest} entries more", "why": "the list of losses is long"})


# -- what a record has room for


def _fitting(record: RunRecord, losses: list[dict[str, Any]]) -> RunRecord:
    """The record, or where no reader would take one so large, the record with its largest maps cut short."""
    try:
        replace(record, losses=_told(losses)).dump()
        return record
    except UsageError:
        cut = {name: _within(getattr(record, name)) for name in ("metrics", "summary")}
    for name, (kept, left) in cut.items():
        if left:
            why = f"{len(kept)} have room in the record; every row is in the metric table"
            losses.append({"kind": LIMIT, "what": f"the {name} of {left} names", "why": why})
    return replace(record, metrics=cut["metrics"][0], summary=cut["summary"][0])


def _within(values: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
    kept: dict[str, Any] = {}
    room = _MAP_BYTES
    for name, value in values.items():
        size_bytes = len(yaml.dump({name: {"below": value}}))
        if size_bytes <= room:
            kept[name] = value
            room -= size_bytes
    return kept, len(values) - len(kept)


def _inexact(table: Mapping[int, TableBuilder]) -> list[dict[str, Any]]:
    return [
        {"what": f"metric {name}", "why": f"{count} integers beyond 2**53 stand among floats and were rounded"}
        for builder in table.values()
        for name, count in sorted(builder.inexact.items())
    ]


def _journal_facts(folder: Path, written: Sequence[Journal]) -> dict[str, Any]:
    return {
        "damaged_bytes": sum(journal.damaged_bytes for journal in written),
        "digest": digest(folder),
        "missing_frames": sum(journal.missing_frames for journal in written),
        "rows": sum(len(journal.rows) for journal in written),
        "torn_bytes": sum(journal.torn_bytes for journal in written),
    }


def digest(folder: Path) -> str:
    """The BLAKE3 of everything the record is made from: names, lengths and bytes, in the order of the names."""
    return digest_of(_parts(folder))


def _parts(folder: Path) -> Iterator[bytes]:
    for path in sorted(folder.iterdir()):
        if path.name.startswith(("journal.", "observed-")) or path.name in (START, CONFIG, ENVIRONMENT):
            data = path.read_bytes()
            yield f"{path.name}\0{len(data)}\0".encode()
            yield data


# -- metrics


def _tabulate(written: Sequence[Journal]) -> tuple[dict[int, TableBuilder], Summary]:
    by_rank: dict[int, list[Row]] = {}
    for journal in written:
        _join_late(journal)
        by_rank.setdefault(int(journal.header.get("rank", 0)), []).extend(journal.rows)
    summary = Summary()
    builders = {}
    for rank, rows in sorted(by_rank.items()):
        # Several processes of one rank (a fork, a resumed worker) interleave by time; each keeps its own order.
        rows.sort(key=lambda row: row.time_seconds)
        builder = builders[rank] = TableBuilder()
        for seq, row in enumerate(rows):
            builder.add(seq=seq, step=row.step, time_seconds=row.time_seconds, values=row.values)
            if rank == 0:
                summary.add(row.values, row.step)
    return builders, summary


def _join_late(journal: Journal) -> None:
    """Put values that a device handed over later into the rows they were logged in."""
    rows = {row.seq: row for row in journal.rows}
    for event in journal.events:
        if event.get("op") == "late" and (row := rows.get(event["row"])) is not None:
            row.values.update(event["values"])


def _metrics(summary: Summary, goals: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is known of each metric, and the one number that stands for it: the best by its goal, else the last."""
    metrics: dict[str, dict[str, Any]] = {name: dict(facts) for name, facts in summary.as_dict().items()}
    shown = {}
    for name, facts in metrics.items():
        goal = goals.get(name)
        facts["goal"] = goal
        best = facts.get(goal) if goal in ("min", "max") else None
        shown[name] = facts["last"] if best is None else best
    return metrics, shown


def _assigned(events: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    assigned: dict[str, Any] = {}
    for event in events:
        if event.get("op") == "summary":
            assigned.update(event.get("values", {}))
    return assigned


def _place(
    builders: Mapping[int, TableBuilder], blobs: BlobStore | None, losses: list[dict[str, Any]]
) -> tuple[dict[str, bytes], list[dict[str, Any]]]:
    """Tables go to Git up to 1 MiB a run; beyond it the full ones go to the store and a reduction stays."""
    tables = {name: data for rank, builder in builders.items() for name, data in builder.files(rank=rank).items()}
    if sum(map(len, tables.values())) <= IN_GIT_BYTES:
        return tables, []
    if blobs is None:
        return tables, []
    try:
        artifacts = [
            {"blob": blobs.put(data), "kind": "metrics", "name": name, "size_bytes": len(data)}
            for name, data in sorted(tables.items())
        ]
    except GitreproError as error:
        losses.append({"what": "the full metric tables", "why": str(error)})
        artifacts = []
    first_rank = {name: data for name, data in tables.items() if ".rank-" not in name}
    return reduce(first_rank), artifacts


def _output(folder: Path, blobs: BlobStore | None, losses: list[dict[str, Any]]) -> list[dict[str, Any]]:
    artifacts: list[dict[str, Any]] = []
    for name in (OUTPUT, ERRORS):
        path = folder / name
        if blobs is None or not path.exists() or not path.stat().st_size:
            continue
        try:
            blob, size_bytes = blobs.put_file(path)
        except GitreproError as error:
            losses.append({"what": f"the {name} of the program", "why": str(error)})
            continue
        artifacts.append({"blob": blob, "kind": "output", "name": name, "size_bytes": size_bytes})
    return artifacts


# -- what was seen from inside


def read_observed(folder: Path) -> list[dict[str, Any]]:
    """What each Python process of the run reported of itself, folded; the first process first."""
    processes = []
    for path in sorted(folder.glob("observed-*.jsonl"), key=lambda path: path.name.rsplit("-", 1)[-1]):
        folded: dict[str, Any] = {}
        for line in path.read_bytes().splitlines():
            try:
                report = json.loads(line)
            except ValueError:
                continue  # the line that a kill cut short
            if isinstance(report, dict):
                folded.update({name: value for name, value in report.items() if name != "event"})
        if folded:
            processes.append(folded)
    return processes


def _seeds(
    record: RunRecord,
    events: Iterable[Mapping[str, Any]],
    observed: Sequence[Mapping[str, Any]],
    end: Mapping[str, Any] | None,
) -> dict[str, Any]:
    seeds = dict(record.seeds)
    reports = [process["generators"] for process in observed if "generators" in process]
    own = [event["generators"] for event in events if event.get("op") == "seeds"]
    if end and "generators" in end:
        own.append(end["generators"])
    # A process that both the bootstrap and the API watched is reported by the bootstrap.
    if not reports and own:
        reports = own[-1:]
    seeds["processes"] = [dict(report) for report in reports[:_PROCESSES_AT_MOST]]
    seeds["effective"] = effective_seeds(reports)
    return seeds


def effective_seeds(reports: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The seed in force for each generator: of the first process that used or seeded it."""
    found: dict[str, Any] = {}
    for report in reports:
        for name, state in report.items():
            if isinstance(state, dict) and "effective" in state and found.get(name) is None:
                found[name] = state["effective"]
    return found


def _code(
    record: RunRecord, end: Mapping[str, Any] | None, observed: Sequence[Mapping[str, Any]]
) -> Mapping[str, Any] | None:
    if record.code is None:
        return None
    modules = sorted({module for process in observed for module in process.get("local_modules", ())})
    seen = dict(end.get("code") or {}) if end else {}
    return {**record.code, "modules": modules or seen.pop("modules", []), **seen}


def _described(record: RunRecord, events: Iterable[Mapping[str, Any]]) -> RunRecord:
    """What the program says of a run that a command started: the words of the command stand over it."""
    for event in events:
        if event.get("op") != "describe":
            continue
        generated = record.name == name_for(record.id)
        record = replace(
            record,
            name=event.get("name", record.name) if generated else record.name,
            group=record.group or event.get("group"),
            note=record.note or event.get("note"),
            kind=event.get("kind", record.kind) if record.kind == Kind.TRAIN else record.kind,
            labels=tuple(sorted({*record.labels, *event.get("labels", ())})),
        )
    return record


def _config(folder: Path, events: Iterable[Mapping[str, Any]], losses: list[dict[str, Any]]) -> bytes:
    changes = [event for event in events if event.get("op") == "config"]
    left: list[str] = []
    while True:
        document = yaml.load((folder / CONFIG).read_bytes(), source=str(folder / CONFIG))
        for event in changes:
            _assign(document, str(event["key"]), event["value"], str(event["source"]))
        try:
            data = yaml.dump(document)
            break
        except UsageError:
            # What was there at the start fits; the largest change since then is what does not.
            largest = max(changes, key=lambda event: len(json.dumps(event["value"])))
            left.append(str(largest["key"]))
            changes = [event for event in changes if event["key"] != largest["key"]]
    losses += [
        {"what": f"changes of the config value {key:.200}", "why": "the config has no room for them"} for key in left
    ]
    return data


def _assign(document: dict[str, Any], dotted: str, value: Any, source: str) -> None:
    *folders, name = split_key(dotted)
    place = document["values"]
    for folder in folders:
        below = place.get(folder)
        place[folder] = below if isinstance(below, dict) else {}
        place = place[folder]
    if name in place and place[name] != value:
        was = {"source": document["sources"].get(dotted, "default"), "value": place[name]}
        # A value that changes at every step is a metric; its first changes are kept, and the last value.
        if len(earlier := document["overridden"].setdefault(dotted, [])) < _OVERRIDDEN_AT_MOST:
            earlier.append(was)
    place[name] = value
    document["sources"][dotted] = source


def _environment(folder: Path, end: Mapping[str, Any] | None, observed: Sequence[Mapping[str, Any]]) -> bytes:
    document = yaml.load((folder / ENVIRONMENT).read_bytes(), source=str(folder / ENVIRONMENT))
    for process in observed[:1]:
        document.update(process.get("environment") or {})
        document["frameworks"] = process.get("frameworks") or {}
    if not observed and end:
        document["frameworks"] = end.get("frameworks") or {}
    # An allowed variable may still carry a password inside an address.
    document["variables"], _ = secrets.redact_tree(document.get("variables", {}))
    return yaml.dump(document)
