"""The sections on what randomness was derived from, and on whether the same steps repeat."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...records.run import RunRecord
from .parts import LISTED_AT_MOST, Rows, mapping, maps


def streams(record: RunRecord) -> Rows:
    found = mapping(record.streams)
    if not found:
        return []
    drawn = " (drawn)" if found.get("source") == "drawn" else ""
    rows = [("seed", f"{found.get('seed')}{drawn}"), ("derived", ", ".join(mapping(found.get("names"))))]
    rows += [(str(each.get("name")), _loader(each)) for each in maps(found.get("loaders"))[:LISTED_AT_MOST]]
    return [row for row in rows if row[1]]


def _loader(each: Mapping[str, Any]) -> str:
    order = "shuffled" if each.get("shuffle") else "in order"
    told = [f"{each.get('length')} samples {order}", f"{each.get('batches')} batches of {each.get('batch_size')}"]
    if each.get("world_size") != 1:
        told.append(f"for each of {each.get('world_size')} ranks")
    told.append(f"{each.get('num_workers')} workers")
    if each.get("left_out"):
        told.append(f"{each['left_out']} left out each epoch")
    if resumed := mapping(each.get("resumed")):
        told.append(f"went on in epoch {resumed.get('epoch')} behind {resumed.get('batches_done')} batches")
    return ", ".join(told)


def determinism(record: RunRecord) -> Rows:
    found = mapping(record.determinism)
    measured = mapping(found.get("measured"))
    rows = [("mode", str(found["mode"]))] if found.get("mode") else []
    rows += [("in force", _flags(mapping(found.get("flags")))), ("at the end", _flags(mapping(found.get("changed"))))]
    rows += [("trouble", str(trouble)) for trouble in found.get("troubles") or ()]
    rows += [(f"measured {name}", _arm(mapping(measured.get(name)))) for name in ("off", "on") if measured.get(name)]
    if isinstance(cost := measured.get("cost"), float):
        rows.append(("costs", f"{cost:+.1%} of a step"))
    return [row for row in rows if row[1]]


def _flags(flags: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in sorted(flags.items()) if value is not None)


def _arm(arm: Mapping[str, Any]) -> str:
    if arm.get("failed"):
        return f"failed: {arm['failed']}"
    if arm.get("repeats"):
        return f"{arm.get('steps')} steps gave the same weights twice"
    first = arm.get("first_difference")
    return f"other weights from step {first + 1 if isinstance(first, int) else '?'} on, of {arm.get('steps')}"
