"""From the folder of a live run to the files of its record.

This is one function of the folder's content and nothing else: the run that finishes, the recovery after a kill, and
a second recovery all make the same bytes.
"""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from ..capture import memory, secrets
from ..capture.config import flatten
from ..errors import Damaged, GitreproError, UsageError
from ..records import yaml
from ..records.run import Kind, RunRecord, Status, run_from
from ..store import journal_reader
from ..store.journal_reader import Journal
from ..store.live import ADOPTED, START
from ..store.objects import BlobStore, digest_of
from . import batching, configured, declared, deterministic, executed, loaders, metering, precise, ranks, sane, stopped
from .evaluated import evaluations
from .holdings import holdings
from .holdouts import holdouts
from .intake.naming import told_apart
from .judging import judged_curves
from .names import name_for
from .parents import parents
from .tabulate import LIMIT, tabulate
from .tracing import traced

CONFIG: Final = configured.CONFIG
ENVIRONMENT: Final = "env.yaml"
REJECTED: Final = "rejected"
"""A loss of this kind is no fault of the recording: the program logged what is no number."""
NOT_TAKEN_IN: Final = "not-taken-in"
"""Nor is a loss of this kind: files of the program that hold something else than was looked for."""
CODE: Final = "code"
"""What was logged is whole; of the code that ran something is gone."""
_HARMLESS: Final = (REJECTED, LIMIT, NOT_TAKEN_IN, CODE)
LOST: Final = "lost.yaml"
_PIECE_BYTES: Final = 1 << 20
_PROCESSES_AT_MOST: Final = 16
_MODULES_AT_MOST: Final = 2000
_LOSSES_AT_MOST: Final = 200
_MAP_BYTES: Final = 300 << 10
_SPARE_BYTES: Final = 48 << 10
"""For what is still to be said of a record: how it ended, and what of it was cut."""


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
    written = told_apart(journal_reader.read(folder))
    observed = read_observed(folder)
    events = [event for journal in written for event in journal.events]
    tables = tabulate(written, blobs=blobs)
    losses = [*record.losses, *_lost(folder), *_changed(folder, events), *_losses(written, events), *tables.losses]
    record = _described(record, events)
    config = configured.compose_config(folder, events, observed, losses)
    end = _end_event(written, owner=start.get("owner"), supervised=start.get("supervised") is True)
    goals = {event["name"]: event["goal"] for event in events if event.get("op") == "define"}
    metrics, best = _metrics(tables.metrics, goals)
    held = holdings(record.data, written, losses, own=[*tables.artifacts, *_output(folder, blobs, losses)])
    record = replace(
        record,
        seeds=_seeds(record, written, observed, end),
        metrics=metrics,
        summary={**best, **_assigned(events)},
        data=held.data,
        fitted=held.fitted,
        checkpoints=held.checkpoints,
        artifacts=held.artifacts,
        journal=_journal_facts(folder, written),
        code=_code(record, end, observed),
        preprocess=declared.preprocess(events),
        watched=declared.watched(events),
        parents=parents(events, known=record.parents),
        streams=loaders.streams(events),
        determinism=deterministic.determinism(events, observed),
        precision=precise.precision_of(events),
        batch=batching.batch_of(
            events, yaml.load(config.data, source=CONFIG)["values"], ranks.document(written, observed)
        ),
        stopping=stopped.stopping(events),
        checked=sane.checked(events),
        evaluations=evaluations(events, held.checkpoints, losses),
        holdouts=holdouts(events, losses),
        curves=judged_curves(tables, goals, blobs),
        recorder={**config.recorder(record.recorder), **_start_config(folder, held.checkpoints)},
        ranks=ranks.document(written, observed),
        adopted=_adopted(folder),
    )
    cells = executed.files(events, losses)
    trace, trace_files = traced(folder, written, losses)
    record = replace(record, trace=trace)
    record = _fitting(record, losses)
    record = replace(record, **_ending(record, end, written, losses), losses=_told(losses))
    record = stopped.judged(_with_batch(record, config.data))
    record = replace(record, efficiency=metering.measured(record, written, observed))
    files = {
        CONFIG: config.data,
        ENVIRONMENT: _environment(folder, end, observed),
        **tables.files,
        **trace_files,
        **cells,
    }
    return Composed(record=record, files={"run.yaml": record.dump(), **files})


def _adopted(folder: Path) -> Mapping[str, Any] | None:
    path = folder / ADOPTED
    return yaml.load(path.read_bytes(), source=str(path)) if path.exists() else None


def _start_config(folder: Path, checkpoints: Sequence[Any]) -> dict[str, Any]:
    """The digest of the config that the run began with: its checkpoints name it."""
    return {"start_config": digest_of([(folder / CONFIG).read_bytes()])} if checkpoints else {}


def _lost(folder: Path) -> list[Mapping[str, Any]]:
    """What was found to be gone when the run was to be committed."""
    path = folder / LOST
    return list(yaml.load(path.read_bytes(), source=str(path))["losses"]) if path.exists() else []


def _field(start: Mapping[str, Any], name: str, folder: Path) -> Mapping[str, Any]:
    value = start.get(name)
    if not isinstance(value, dict):
        raise Damaged(f"{folder / START} has no {name}")
    return value


# -- how it ended


def _end_event(written: Sequence[Journal], *, owner: object, supervised: bool) -> Mapping[str, Any] | None:
    """The closing word: of all ranks together, else the owner's if there is one, else the first that was spoken."""
    members = ranks.members(written)
    if members and (not supervised or ranks.led_by(owner, written)):
        return ranks.closing(members)
    ends = [(journal, event) for journal in written for event in journal.events if event.get("op") == "end"]
    inner = ranks.closing(members) or _told_inside(
        [event for journal, event in ends if journal.header.get("pid") != owner]
    )
    for journal, event in reversed(ends):
        if journal.header.get("pid") == owner:
            return ranks.with_cause(event, inner)
    return inner


def _told_inside(others: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    # Of several processes, one that failed tells more than those that did not.
    failed = (event for event in others if event.get("status") != Status.FINISHED)
    return next(failed, others[0] if others else None)


def _ending(
    record: RunRecord, end: Mapping[str, Any] | None, written: Sequence[Journal], losses: Sequence[Any]
) -> dict[str, Any]:
    if end is None:
        seconds = max((moment for journal in written for moment in _moments(journal)), default=0.0)
        return {
            **_without_a_word(written),
            "ended_at": later(record.started_at, seconds),
            "duration_seconds": seconds,
        }
    status = str(end.get("status", Status.CRASHED))
    if status == Status.FINISHED and any(loss.get("kind") not in _HARMLESS for loss in losses):
        status = Status.INCOMPLETE
    return {
        "status": status,
        "reason": end.get("reason"),
        "ended_at": end.get("ended_at"),
        "duration_seconds": end.get("duration_seconds"),
        "cost": end.get("cost") or {},
    }


def _with_batch(record: RunRecord, config: bytes) -> RunRecord:
    """A run that found no memory says of which batch."""
    if record.status != Status.OUT_OF_MEMORY:
        return record
    values = flatten(yaml.load(config, source=CONFIG)["values"])
    batch = memory.batch(values, world_size=int((record.ranks or {}).get("world_size") or 1))
    return replace(record, reason={**(record.reason or {}), "batch": batch}) if batch else record


def _without_a_word(written: Sequence[Journal]) -> dict[str, Any]:
    if any(event.get("op") == "signal" for journal in written for event in journal.events):
        message = "SIGTERM; the process was gone before it could leave a closing word"
        return {"status": Status.PREEMPTED, "reason": {"kind": "signal", "message": message}}
    reason = {"kind": "crash", "message": "the process is gone and left no closing word"}
    return {"status": Status.CRASHED, "reason": reason}


def _moments(journal: Journal) -> Iterator[float]:
    yield journal.last_time_seconds
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
        room = _room(record, losses)
        cut = {name: _within(getattr(record, name), room) for name in ("metrics", "summary")}
    for name, (kept, left) in cut.items():
        if left:
            why = f"{len(kept)} have room in the record; every row is in the metric table"
            losses.append({"kind": LIMIT, "what": f"the {name} of {left} names", "why": why})
    return replace(record, metrics=cut["metrics"][0], summary=cut["summary"][0])


def _room(record: RunRecord, losses: Sequence[Mapping[str, Any]]) -> int:
    """How many bytes each of the largest maps may take beside all the rest."""
    bare = replace(record, metrics={}, summary={}, losses=_told(losses))
    return min(_MAP_BYTES, (yaml.MAX_BYTES - _SPARE_BYTES - len(bare.dump())) // 2)


def _within(values: Mapping[str, Any], room: int) -> tuple[dict[str, Any], int]:
    kept: dict[str, Any] = {}
    for name, value in values.items():
        size_bytes = len(yaml.dump({name: {"below": value}}))
        if size_bytes <= room:
            kept[name] = value
            room -= size_bytes
    return kept, len(values) - len(kept)


def _journal_facts(folder: Path, written: Sequence[Journal]) -> dict[str, Any]:
    return {
        "damaged_bytes": sum(journal.damaged_bytes for journal in written),
        "digest": digest(folder),
        "missing_frames": sum(journal.missing_frames for journal in written),
        "rows": sum(journal.row_count for journal in written),
        "torn_bytes": sum(journal.torn_bytes for journal in written),
    }


def digest(folder: Path) -> str:
    """The BLAKE3 of everything the record is made from: names, lengths and bytes, in the order of the names."""
    return digest_of(_parts(folder))


def _parts(folder: Path) -> Iterator[bytes]:
    for path in sorted(folder.iterdir()):
        if path.name.startswith(("journal.", "observed-")) or path.name in (START, CONFIG, ENVIRONMENT, ADOPTED, LOST):
            with open(path, "rb") as reader:
                yield f"{path.name}\0{os.fstat(reader.fileno()).st_size}\0".encode()
                while piece := reader.read(_PIECE_BYTES):
                    yield piece


# -- metrics


def _metrics(told: Mapping[str, Mapping[str, Any]], goals: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is known of each metric, and the one number that stands for it: the best by its goal, else the last."""
    metrics: dict[str, dict[str, Any]] = {name: dict(facts) for name, facts in told.items()}
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


def _output(folder: Path, blobs: BlobStore | None, losses: list[dict[str, Any]]) -> list[dict[str, Any]]:
    artifacts: list[dict[str, Any]] = []
    for path in [*sorted(folder.glob("output*.log")), *sorted(folder.glob("errors*.log"))]:
        name = path.name
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
    written: Sequence[Journal],
    observed: Sequence[Mapping[str, Any]],
    end: Mapping[str, Any] | None,
) -> dict[str, Any]:
    seeds = dict(record.seeds)
    reports = [process["generators"] for process in observed if "generators" in process]
    working = [process["generators"] for process in ranks.working(observed) if "generators" in process]
    # A process that both the bootstrap and the API watched is reported by the bootstrap.
    if not reports:
        reports = working = _own_reports(written, end)
    seeds["processes"] = [dict(report) for report in reports[:_PROCESSES_AT_MOST]]
    seeds["effective"] = effective_seeds(working)
    return seeds


def _own_reports(written: Sequence[Journal], end: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    """What each rank said last of its generators; of a run without ranks, what was said last at all."""
    events = [event for journal in written for event in journal.events if "generators" in event]
    if not ranks.members(written):
        return [event["generators"] for event in [*events, *([end] if end and "generators" in end else [])]][-1:]
    by_rank = {
        journal.header.get("rank"): event["generators"]
        for journal in written
        for event in journal.events
        if "generators" in event
    }
    return list(by_rank.values())


def effective_seeds(reports: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The seed in force for each generator that was drawn from: of the first process that did, with a seed.

    A generator that nobody drew from had no part in the numbers, whatever its seed. Where nobody drew from any, they
    all count.
    """
    states = [
        (name, state)
        for report in reports
        for name, state in report.items()
        if isinstance(state, dict) and "effective" in state
    ]
    drawn = [(name, state) for name, state in states if state.get("used")]
    found: dict[str, Any] = {}
    for name, state in drawn or states:
        if found.get(name) is None:
            found[name] = state["effective"]
    return found


def _code(
    record: RunRecord, end: Mapping[str, Any] | None, observed: Sequence[Mapping[str, Any]]
) -> Mapping[str, Any] | None:
    if record.code is None:
        return None
    modules = sorted({module for process in observed for module in process.get("local_modules", ())})
    seen = dict(end.get("code") or {}) if end else {}
    digests = {name: _digests(name, observed) for name in ("module_digests", "outside_modules")}
    told = {name: found for name, found in digests.items() if found}
    return {**record.code, "modules": modules or seen.pop("modules", []), **told, **seen}


def _digests(name: str, observed: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Of several processes that imported a file, the digest of the first."""
    found: dict[str, str] = {}
    for process in observed:
        found = {**process.get(name, {}), **found}
    return dict(sorted(found.items())[:_MODULES_AT_MOST])


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
            resumes=record.resumes or event.get("resumes"),
            lineage=record.lineage or event.get("lineage"),
        )
    return record


def _environment(folder: Path, end: Mapping[str, Any] | None, observed: Sequence[Mapping[str, Any]]) -> bytes:
    document = yaml.load((folder / ENVIRONMENT).read_bytes(), source=str(folder / ENVIRONMENT))
    told = [process for process in observed if process.get("environment")]
    if told:
        # Of several processes, a launcher among them, the one that loaded the most libraries.
        process = max(told, key=lambda each: len(each.get("frameworks") or {}))
        document.update(process["environment"])
        document["frameworks"] = process.get("frameworks") or {}
    if not observed and end:
        document["frameworks"] = end.get("frameworks") or {}
    # An allowed variable may still carry a password inside an address.
    document["variables"], _ = secrets.redact_tree(document.get("variables", {}))
    return yaml.dump(document)
