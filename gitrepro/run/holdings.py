"""What a run was given and what it kept, folded from its journals: data, what was fitted, checkpoints, artifacts.

Of each only what a record has room for is listed; what is left out is told in the losses.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ..records import yaml
from ..records.material import CHECKS
from ..store.journal_reader import Journal
from .tabulate import LIMIT

DATA_AT_MOST: Final = 100
PARTS_AT_MOST: Final = 256
FITTED_AT_MOST: Final = 200
CHECKPOINTS_AT_MOST: Final = 128
ARTIFACTS_AT_MOST: Final = 1_000
_DATASET: Final = ("checked", "digest", "items", "kind", "linked", "name", "size_bytes", "version")
_FITTED: Final = ("blob", "count", "data", "ids", "method", "name", "part", "split")
_ARTIFACT: Final = ("blob", "kind", "name", "size_bytes")
_ARTIFACT_SELDOM: Final = ("files", "media_type")


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdings:
    """The fields `data`, `fitted`, `checkpoints` and `artifacts` of a record."""

    data: tuple[Any, ...]
    fitted: tuple[Any, ...]
    checkpoints: tuple[Any, ...]
    artifacts: tuple[Any, ...]


def holdings(
    known: Sequence[Any], written: Sequence[Journal], losses: list[dict[str, Any]], *, own: Sequence[Any] = ()
) -> Holdings:
    """Fold the journals of a run.

    Args:
        known: the data that was named before the run began.
        losses: gets an entry for each list that is cut short.
        own: artifacts of ours, such as the output of the program; they stand first.
    """
    events = [event for journal in written for event in journal.events]
    return Holdings(
        data=_cut(_data(known, written, losses), DATA_AT_MOST, 80 << 10, "data sets", losses),
        fitted=_cut(_fitted(events), FITTED_AT_MOST, 60 << 10, "fitted statistics", losses),
        checkpoints=_cut(_checkpoints(events), CHECKPOINTS_AT_MOST, 140 << 10, "checkpoints", losses),
        artifacts=_cut([*own, *_artifacts(events)], ARTIFACTS_AT_MOST, 300 << 10, "artifacts", losses),
    )


def _cut(
    entries: Sequence[Any], most: int, most_bytes: int, what: str, losses: list[dict[str, Any]]
) -> tuple[Any, ...]:
    """As many of the entries, in their order, as may be listed and have room: the first, or the most wanted ones."""
    places: list[int] = []
    room = most_bytes
    for place in sorted(range(len(entries)), key=lambda place: _wanted(entries[place], place))[:most]:
        room -= len(yaml.dump({what: [entries[place]]}))
        if room < 0:
            break
        places.append(place)
    if left := len(entries) - len(places):
        losses.append(
            {"kind": LIMIT, "what": f"{left} {what} more", "why": f"a record has room for {len(places)} here"}
        )
    return tuple(entries[place] for place in sorted(places))


def _wanted(entry: Mapping[str, Any], place: int) -> tuple[int, int]:
    """Of checkpoints the best and the last come first, then the newest; of all else the first."""
    if "roles" not in entry:
        return 0, place
    return (0, place) if {"best", "last"} & {*entry["roles"]} else (1, -place)


# -- data and splits


def _data(known: Sequence[Any], written: Sequence[Journal], losses: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Data sets in the order in which they were first named, each once."""
    found: dict[str, dict[str, Any]] = {}
    said = [*known, *_named(written, "dataset")]
    for entry in said:
        _take_dataset(found, entry)
    splits: dict[tuple[str, str], dict[str, Any]] = {}
    named = [{**split, "data": entry["digest"]} for entry in known for split in entry.get("splits") or ()]
    for split in [*named, *_named(written, "split")]:
        data, digest = str(split["data"]), str(split["digest"])
        # The word of the data set itself may be among what was lost.
        found.setdefault(data, {"digest": data, "name": str(split.get("dataset"))})
        if (data, digest) not in splits:
            splits[data, digest] = _split(split, losses)
    for key, counts in _reads(written).items():
        if key in splits:
            splits[key]["reads"] = dict(sorted(counts.items()))
    for digest, entry in found.items():
        entry["splits"] = [split for (data, _), split in splits.items() if data == digest][:DATA_AT_MOST]
    return list(found.values())


def _named(written: Iterable[Journal], op: str) -> Iterable[Mapping[str, Any]]:
    return (event for journal in written for event in journal.events if event.get("op") == op)


def _take_dataset(found: dict[str, dict[str, Any]], said: Mapping[str, Any]) -> None:
    entry = {name: said[name] for name in _DATASET if name in said}
    before = found.setdefault(str(entry["digest"]), entry)
    before["checked"] = max((before.get("checked"), entry.get("checked")), key=_strength)


def _strength(checked: object) -> int:
    return CHECKS.index(checked) if checked in CHECKS else -1


def _split(said: Mapping[str, Any], losses: list[dict[str, Any]]) -> dict[str, Any]:
    parts = dict(said.get("parts") or {})
    if len(parts) > PARTS_AT_MOST:
        why = f"{PARTS_AT_MOST} are counted in the record; the split itself names all"
        losses.append({"kind": LIMIT, "what": f"the sizes of {len(parts) - PARTS_AT_MOST} parts", "why": why})
    kept = dict(list(parts.items())[:PARTS_AT_MOST])
    return {
        "digest": said.get("digest"),
        "name": said.get("name"),
        "parts": kept,
        "reads": dict(said.get("reads") or {}),
        "version": said.get("version"),
    }


def _reads(written: Iterable[Journal]) -> dict[tuple[str, str], dict[str, int]]:
    """What was read of each part of each split, over all processes: each tells its own count so far."""
    total: dict[tuple[str, str], dict[str, int]] = {}
    for journal in written:
        last: dict[tuple[str, str], dict[str, int]] = {}
        for event in journal.events:
            if event.get("op") == "reads":
                counts = last.setdefault((str(event["data"]), str(event["split"])), {})
                for part, count in event["reads"].items():
                    counts[part] = max(int(count), counts.get(part, 0))
        for key, counts in last.items():
            sums = total.setdefault(key, {})
            for part, count in list(counts.items())[:PARTS_AT_MOST]:
                sums[part] = sums.get(part, 0) + count
    return total


# -- what was kept


def _fitted(events: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One entry a name, the last of each."""
    found = {
        str(event["name"]): {name: event[name] for name in _FITTED if name in event}
        for event in events
        if event.get("op") == "fitted"
    }
    return list(found.values())


def _artifacts(events: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What the program gave and what was taken from its files; of two that it gave one name, the later one."""
    found: dict[object, dict[str, Any]] = {}
    for place, event in enumerate(events):
        if event.get("op") != "artifact":
            continue
        entry = {name: event[name] for name in _ARTIFACT}
        entry |= {name: event[name] for name in _ARTIFACT_SELDOM if event.get(name) is not None}
        found[place if entry["kind"] == "output-file" else str(entry["name"])] = entry
    return list(found.values())


def _checkpoints(events: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The checkpoints that stand at the end, each with what it says of where it came from."""
    from ..checkpoints.record import SAVED, from_events

    said = {event.get("blob"): event.get("provenance") for event in events if event.get("op") == SAVED}
    return [{**entry, **_provenance(said[entry["blob"]])} for entry in from_events(events)]


def _provenance(said: object) -> dict[str, Any]:
    return {"provenance": said} if isinstance(said, dict) else {}
