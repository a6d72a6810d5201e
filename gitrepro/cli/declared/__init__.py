"""`gitrepro show result/x`: a declared number as the abstract of a paper has it, and what it stands on."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final

from ...errors import NotFound
from ...records.result import Result, result_path
from ...records.seedset import Spread
from ...store.repository import Repository
from ...store.resolve import resolve
from ...store.runs import RunTree
from ..present import emit, line
from ..target import result_of
from .abstract import abstract, page, sections
from .known import Declared, bounds_of, costs_of, look_up

__all__ = ["Declared", "abstract", "look_up", "sections", "show_declared"]

SCHEMA: Final = 1


def show_declared(found: Repository, text: str, *, as_json: bool) -> bool:
    """Print the result that `text` names by its tag or id; False where it names a run.

    Raises:
        NotFound: there is a tag of that name, and neither a result nor a run.
    """
    with RunTree(found) as tree:
        result = _result(found, tree, text)
        if result is None:
            return False
        declared = look_up(tree, result)
    if as_json:
        emit(document(declared))
    else:
        for shown in page(declared):
            line(shown)
    return True


def _result(found: Repository, tree: RunTree, text: str) -> Result | None:
    try:
        return result_of(found, tree, text)
    except NotFound:
        # An ordinary tag may have the name of a run.
        with suppress(NotFound):
            resolve(found, text)
            return None
        raise


def document(declared: Declared) -> dict[str, Any]:
    """The result as `show --json` gives it."""
    result, audit = declared.result, declared.audit
    return {
        "schema": SCHEMA,
        "id": result.id,
        "tag": result.tag,
        "level": result.level,
        "commit": result.commit,
        "created_at": result.created_at,
        "actor": dict(result.actor),
        "note": result.note,
        "runs": [run.document() for run in result.runs],
        "evidence": [run.document() for run in audit.evidence],
        "metrics": {name: _metric(declared, name, spread) for name, spread in declared.spreads.items()},
        "openings": list(declared.openings),
        "cost": costs_of(declared.known),
        "audit": {
            "level": audit.level,
            "ok": audit.ok,
            "verdicts": {check.rule: str(check.verdict) for check in audit.checks},
        },
        "waivers": [{"rule": each.rule, "holds": each.holds, **each.document()} for each in declared.waivers],
        "path": result_path(result.id),
    }


def _metric(declared: Declared, name: str, spread: Spread) -> dict[str, Any]:
    low, high = bounds_of(spread)
    values = [{"run": run, "seed": seed, "value": value} for run, seed, value in spread.values]
    error, examples = declared.sampling.get(name, (None, None))
    told = {"mean": spread.mean, "std": spread.std, "low": low, "high": high, "n": spread.n}
    sampled = {"sampling_error": error, "examples": examples}
    return {**told, **sampled, "goal": declared.goals.get(name), "values": values}
