"""The sections on what a run was given: its configuration, its data, its environment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..present import size
from .parts import LISTED_AT_MOST, Rows, listed, maps, value


def config(document: Mapping[str, Any]) -> Rows:
    from ...capture.config import flatten

    sources, unread = document.get("sources", {}), listed(document.get("never_read"))
    rows = []
    for key, found in flatten(document.get("values", {})).items():
        said = [str(sources[key])] if sources.get(key) else []
        said += ["never read"] if key in unread else []
        rows.append((key, f"{value(found)}  ({', '.join(said)})" if said else value(found)))
    return rows


def preprocess(document: Mapping[str, Any] | None) -> Rows:
    if not document:
        return []
    parts = maps(document.get("parts"))
    rows = [("digest", str(document.get("digest")))]
    rows += [(str(part.get("name")), _part(part)) for part in parts[:LISTED_AT_MOST]]
    return rows if len(parts) <= LISTED_AT_MOST else [*rows, ("", f"and {len(parts) - LISTED_AT_MOST} more")]


def _part(part: Mapping[str, Any]) -> str:
    limits = "; ".join(map(str, listed(part.get("limits"))))
    return f"{part.get('type')}  ({part.get('source')}){f'  not seen: {limits}' if limits else ''}"


def environment(environment: Mapping[str, Any]) -> Rows:
    python, hardware = environment.get("python", {}), environment.get("hardware", {})
    packages = environment.get("packages", {})
    frameworks = [f"{name} {facts.get('version', '')}" for name, facts in environment.get("frameworks", {}).items()
                  if isinstance(facts, dict) and "version" in facts]  # fmt: skip
    rows = [
        ("python", f"{python.get('version', '')}  {len(packages)} packages" if python else ""),
        ("libraries", ", ".join(frameworks)),
        ("system", " ".join(str(environment.get("os", {}).get(name, "")) for name in ("system", "release", "machine"))),
        ("processor", _processor(hardware)),
        ("gpu", ", ".join(str(gpu.get("name", gpu)) for gpu in hardware.get("gpus", []))),
    ]
    return [row for row in rows if row[1].strip()]


def _processor(hardware: Mapping[str, Any]) -> str:
    cpu = hardware.get("cpu", {})
    cores = cpu.get("available_cores", cpu.get("logical_cores"))
    total = hardware.get("memory", {}).get("total_bytes")
    parts = (cpu.get("model", ""), f"{cores} cores" if cores else "", f"{size(total)} memory" if total else "")
    return ", ".join(str(part) for part in parts if part)
