"""The field `curves` of a record, from the metric tables that were just made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..store.objects import BlobStore
from .tabulate import Tables


def judged_curves(tables: Tables, goals: Mapping[str, str], blobs: BlobStore | None) -> dict[str, Any] | None:
    """What the curves of the first rank show; None where they are too short to show anything.

    Nothing heavy is loaded, and nothing read, for a run of a few rows.
    """
    from ..analysis.judging import judge, worth_judging

    counts = {name: int(facts.get("count") or 0) for name, facts in tables.metrics.items()}
    names = worth_judging(counts, goals)
    if not names:
        return None
    try:
        return judge(_series(names, tables, blobs), goals)
    except Exception as error:  # noqa: BLE001 - a verdict is worth less than the record of the run
        return {"algorithm": None, "metrics": {}, "trouble": f"{type(error).__name__}: {error!s:.300}"}


def _series(names: Iterable[str], tables: Tables, blobs: BlobStore | None) -> dict[str, tuple[Any, Any]]:
    from ..records.metrics import by_rank, read

    stored = {str(each["name"]): str(each["blob"]) for each in tables.artifacts if each.get("kind") == "metrics"}
    files = by_rank(stored or tables.files).get(0, [])
    if stored:
        assert blobs is not None
        table = read({name: blobs.get(stored[name]) for name in files})
    else:
        table = read({name: tables.files[name] for name in files})
    found = {}
    for name in names:
        steps, _, values = table.arrays(name)
        found[name] = (steps.astype("float64"), values.astype("float64"))
    return found
