"""`config.yaml` of a run: what the start knew, what was observed of the program, and what the code changed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ..capture.config import split_key, with_observed
from ..errors import UsageError
from ..records import yaml

CONFIG: Final = "config.yaml"
_OVERRIDDEN_AT_MOST: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ComposedConfig:
    """The bytes of `config.yaml`, and the keys whose values the program's process hid as secrets."""

    data: bytes
    hidden: tuple[str, ...]

    def recorder(self, known: Mapping[str, Any]) -> Mapping[str, Any]:
        """The record's `recorder`, with these keys under `hidden`."""
        if not self.hidden:
            return known
        return {**known, "hidden": sorted({*(known.get("hidden") or ()), *self.hidden})}


def compose_config(
    folder: Path,
    events: Iterable[Mapping[str, Any]],
    observed: Sequence[Mapping[str, Any]],
    losses: list[dict[str, Any]],
) -> ComposedConfig:
    """The config of the run in `folder`; what has no room in it is told in `losses`."""
    events = list(events)
    # Of several Python processes the first that has a configuration: the others are its ranks, or tools it calls.
    report = next((process["config"] for process in observed if _says(process.get("config"))), None)
    try:
        start = _start(folder, report)
        yaml.dump(start)
    except (UsageError, KeyError, TypeError, ValueError, AttributeError) as error:
        losses.append({"kind": "limit", "what": "the configuration that was observed", "why": f"{error!s:.300}"})
        start, report = _start(folder, None), None
    start = {**start, **_never_read(events)}
    data = _with_changes(start, [event for event in events if event.get("op") == "config"], losses)
    return ComposedConfig(data=data, hidden=tuple(map(str, (report or {}).get("hidden") or ())))


def _says(report: object) -> bool:
    return isinstance(report, dict) and bool(report.get("sightings") or report.get("files"))


def _start(folder: Path, report: Mapping[str, Any] | None) -> dict[str, Any]:
    document = yaml.load((folder / CONFIG).read_bytes(), source=str(folder / CONFIG))
    return document if report is None else with_observed(document, report)


def _with_changes(start: Mapping[str, Any], changes: list[Mapping[str, Any]], losses: list[dict[str, Any]]) -> bytes:
    left: list[str] = []
    while True:
        document = _copied(start)
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
    if name in place and source == "tensorboard":
        return  # it was told for a table of runs, perhaps as other types than the program has
    if name in place and place[name] != value:
        was = {"source": document["sources"].get(dotted, "default"), "value": place[name]}
        # A value that changes at every step is a metric; its first changes are kept, and the last value.
        if len(earlier := document["overridden"].setdefault(dotted, [])) < _OVERRIDDEN_AT_MOST:
            earlier.append(was)
    place[name] = value
    document["sources"][dotted] = source


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copied(each) for key, each in value.items()}
    return [_copied(each) for each in value] if isinstance(value, list) else value


def _never_read(events: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    keys = [event["keys"] for event in events if event.get("op") == "never_read"]
    return {"never_read": [str(key) for key in keys[-1]]} if keys else {}
