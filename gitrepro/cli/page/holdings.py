"""The sections on what a run was made from and what it left: data, what was fitted, checkpoints, artifacts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ...records.run import RunRecord
from ..present import size
from .parts import LISTED_AT_MOST, Rows, listed, mapping, maps, value

_DIGEST_SHOWN: Final = 15
_PARTS_AT_MOST: Final = 6


def data(record: RunRecord) -> Rows:
    """Each data set, then its splits, part by part."""
    rows: Rows = []
    for entry in maps(record.data)[:LISTED_AT_MOST]:
        rows.append((version(entry), _dataset(entry)))
        for split in maps(entry.get("splits"))[:LISTED_AT_MOST]:
            rows += [(f"  {version(split)}", _split(split)), *_openings(record, split)]
    return _and_more(rows, len(record.data))


def version(entry: Mapping[str, Any]) -> str:
    """A data set or a split as people type it."""
    return f"{entry.get('name')}@{entry['version']}" if entry.get("version") else str(entry.get("name"))


def _dataset(entry: Mapping[str, Any]) -> str:
    parts = [
        _short(entry.get("digest")),
        _counted(entry.get("items"), "item"),
        size(entry.get("size_bytes")),
        str(entry.get("kind") or ""),
        "linked" if entry.get("linked") else "",
        f"checked by {entry['checked']}" if entry.get("checked") else "not checked",
    ]
    return "  ".join(part for part in parts if part)


def _split(split: Mapping[str, Any]) -> str:
    reads = mapping(split.get("reads"))
    told = []
    for name, count in list(mapping(split.get("parts")).items())[:_PARTS_AT_MOST]:
        read = f" ({_grouped(reads[name])} read)" if reads.get(name) else ""
        told.append(f"{name} {_grouped(count)}{read}")
    more = len(mapping(split.get("parts"))) - _PARTS_AT_MOST
    return f"{_short(split.get('digest'))}  {', '.join(told)}{f', and {more} more' if more > 0 else ''}"


def _openings(record: RunRecord, split: Mapping[str, Any]) -> Rows:
    """By which entries of the holdout log of a split the run has opened a part of it."""
    logs = [each for each in maps(record.holdouts) if each.get("split") == split.get("digest")]
    opened = [str(each)[-8:] for log in logs for each in listed(log.get("opened"))]
    return [("  opened", f"by {', '.join(opened[:LISTED_AT_MOST])} of the holdout log")] if opened else []


def fitted(record: RunRecord) -> Rows:
    rows = [
        (str(each.get("name")), f"{each.get('method')} on {_counted(each.get('count'), 'item')} of {each.get('part')}")
        for each in maps(record.fitted)[:LISTED_AT_MOST]
    ]
    return _and_more(rows, len(record.fitted))


def checkpoints(record: RunRecord) -> Rows:
    """The best and the last, then the newest others."""
    entries = maps(record.checkpoints)
    chosen = [each for each in entries if {"best", "last"} & _roles(each)]
    others = [each for each in reversed(entries) if each not in chosen]
    rows = [(_called(each), _checkpoint(each)) for each in [*chosen, *others][:LISTED_AT_MOST]]
    return _and_more(rows, len(entries))


def _called(entry: Mapping[str, Any]) -> str:
    roles = ", ".join(role for role in ("best", "last") if role in _roles(entry))
    return roles or str(entry.get("name") or "kept")


def _roles(entry: Mapping[str, Any]) -> set[str]:
    roles = entry.get("roles")
    return {str(role) for role in roles} if isinstance(roles, list) else set()


def _checkpoint(entry: Mapping[str, Any]) -> str:
    metric = mapping(entry.get("metric"))
    chosen = f"{metric.get('name')} {value(metric.get('value'))} ({metric.get('goal')})" if metric else ""
    step = f"step {entry['step']}" if entry.get("step") is not None else ""
    place = f"at {entry['path']}" if entry.get("path") else ""
    parts = (step, chosen, size(entry.get("size_bytes")), str(entry.get("format") or ""), _short(entry.get("blob")))
    return "  ".join(part for part in (*parts, place) if part)


def artifacts(record: RunRecord) -> Rows:
    return [(str(item.get("name")), _artifact(item)) for item in maps(record.artifacts)]


def _artifact(item: Mapping[str, Any]) -> str:
    taken = "a file of the program, taken in" if item.get("kind") == "output-file" else ""
    files = _counted(item["files"], "file") if item.get("files") is not None else ""
    parts = (size(item.get("size_bytes")), _short(item.get("blob")), files, str(item.get("media_type") or ""), taken)
    return "  ".join(part for part in parts if part)


def _and_more(rows: Rows, count: int) -> Rows:
    return [*rows, ("", f"and {count - LISTED_AT_MOST} more")] if count > LISTED_AT_MOST else rows


def _short(digest: object) -> str:
    return str(digest)[:_DIGEST_SHOWN] if digest else ""


def _counted(count: object, thing: str) -> str:
    if not isinstance(count, int):
        return ""
    return f"{_grouped(count)} {thing}" if count == 1 else f"{_grouped(count)} {thing}s"


def _grouped(count: object) -> str:
    return f"{count:,}" if isinstance(count, int) else str(count)
