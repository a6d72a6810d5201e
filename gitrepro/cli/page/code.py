"""The section on the code: which commit, what was not in it, and what else ran."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...records.run import RunRecord
from .parts import LISTED_AT_MOST, Rows, listed, maps


def code(record: RunRecord, cells: Mapping[str, Any]) -> Rows:
    return [*_commit(record.code), *_cells(cells), *_beside(record.code or {})]


def _commit(code: Mapping[str, Any] | None) -> Rows:
    if code is None:
        return [("", "no repository: the code is not on record")]
    if not code.get("commit"):
        return [("commit", str(code.get("trouble") or "none yet: HEAD has no commit"))]
    rows = [("commit", f"{code['commit']}  {code.get('branch') or 'detached HEAD'}")]
    if not code.get("dirty"):
        return [*rows, ("state", "clean")]
    changes = listed(code.get("changes"))
    count = code.get("changes_count", len(changes))
    rows.append(("state", "1 uncommitted change" if count == 1 else f"{count} uncommitted changes"))
    rows += [("", str(change)) for change in changes[:LISTED_AT_MOST]]
    return [*rows, *([("snapshot", str(code["snapshot"]))] if code.get("snapshot") else [])]


def _cells(cells: Mapping[str, Any]) -> Rows:
    """Of a notebook, how many cells ran."""
    ran, left = len(listed(cells.get("cells"))), cells.get("cells_left_out")
    if not ran:
        return []
    rest = f", {left} more not kept" if left else ""
    return [("notebook", f"{cells.get('notebook') or 'of no known name'}: cells.yaml has what ran, cell by cell"),
            ("cells", f"{ran}{rest}")]  # fmt: skip


def _beside(code: Mapping[str, Any]) -> Rows:
    """What is in neither the commit nor its snapshot, and what did not stay as it was."""
    outside = code.get("outside_modules")
    rows = [
        *(("left out", f"{item.get('path')}: {item.get('why')}") for item in maps(code.get("left_out"))),
        *(("ignored", _ignored(item)) for item in maps(code.get("ignored"))),
        *(("outside", f"{path}  imported from beside the work tree") for path in outside or () if outside),
        *(("edited", f"{path}  while it ran") for path in listed(code.get("edited"))),
    ]
    return _cut(rows)


def _ignored(item: Mapping[str, Any]) -> str:
    kept = f"not kept: {item['why']}" if item.get("why") else "Git ignores it; kept beside the commit"
    return f"{item.get('path')}  {kept}"


def _cut(rows: Rows) -> Rows:
    """Of each kind the first ones, and how many more there are."""
    kept: Rows = []
    for kind in dict.fromkeys(name for name, _ in rows):
        alike = [row for row in rows if row[0] == kind]
        kept += alike[:LISTED_AT_MOST]
        if len(alike) > LISTED_AT_MOST:
            kept.append(("", f"and {len(alike) - LISTED_AT_MOST} more"))
    return kept
