"""The section on the batch."""

from __future__ import annotations

from ...records.run import RunRecord
from ..present import number
from .parts import Rows, mapping

_WORDS = {"asked": "as asked for", "observed": "as observed", "loader": "as loaded", "config": "as the config says"}


def batch(record: RunRecord) -> Rows:
    found = mapping(record.batch)
    if not found:
        return []
    effective, unit = found.get("effective_batch"), str(found.get("unit"))
    parts = [found.get(name) for name in ("micro_batch", "accumulation_steps", "world_size")]
    shown = " x ".join("?" if part is None else number(part) for part in parts)
    whole = "?" if effective is None else number(effective)
    said = _WORDS.get(str(found.get("said_by")), "")
    return [("effective", f"{shown} = {whole} {unit}, {said}  (micro-batch x accumulation x processes)"), *_seen(found)]


def _seen(found: object) -> Rows:
    seen = mapping(mapping(found).get("observed"))
    if not seen:
        return []
    told = [f"{number(seen.get('windows'))} steps from {number(seen.get('micro_batches'))} micro-batches"]
    if seen.get("ragged_windows"):
        told.append(f"{number(seen['ragged_windows'])} with fewer than asked")
    if seen.get("empty_windows"):
        told.append(f"{number(seen['empty_windows'])} that weighed nothing, and made no step")
    return [("observed", ", ".join(told))]
