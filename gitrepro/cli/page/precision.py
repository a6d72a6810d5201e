"""The section on precision: what was asked for, what was computed in, and what to try."""

from __future__ import annotations

from ...records.precision import findings
from ...records.run import RunRecord
from ..present import number
from .parts import Rows, mapping


def precision(record: RunRecord) -> Rows:
    found = mapping(record.precision)
    if not found:
        return []
    effective, scaler = mapping(found.get("effective")), mapping(found.get("scaler"))
    by = f", by {found['told_by']}" if found.get("told_by") else ""
    rows = [("asked", f"{found.get('asked')} on {found.get('device')}{by}")]
    for name in ("parameters", "gradients", "optimizer_state", "products", "outputs"):
        if counts := mapping(effective.get(name)):
            rows.append((name.replace("_", " "), _counts(counts)))
    if scaler:
        scale, lowest = number(scaler.get("scale")), number(scaler.get("lowest"))
        skipped = f"{number(scaler.get('skipped'))} of {number(scaler.get('steps'))} steps skipped"
        rows.append(("scaler", f"scale {scale}, lowest {lowest}, {skipped}"))
    if bad := mapping(found.get("nonfinite")).get("loss"):
        rows.append(("not finite", f"{number(bad)} losses"))
    for what, do in findings(found):
        rows += [("found", what), ("try", do)]
    return rows


def _counts(counts: object) -> str:
    return "  ".join(f"{str(name).removeprefix('torch.')} {count:,}" for name, count in mapping(counts).items())
