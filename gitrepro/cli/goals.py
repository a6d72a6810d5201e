"""Which way a metric is better, as far as somebody declared it: the policy, else the runs themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from .. import policy
from ..errors import GitreproError
from ..store.repository import Repository
from ..store.runs import RunTree
from .page.parts import mapping
from .present import clean, note

_RUNS_AT_MOST: Final = 20


def declared_goals(found: Repository, tree: RunTree, metrics: Sequence[str], runs: Sequence[str]) -> dict[str, str]:
    """`max` or `min` by metric. One that runs disagree on, or nobody speaks of, is left out.

    Args:
        runs: ids of runs with these metrics; the first ones are asked.
    """
    known = dict(policy_goals(found))
    records = [tree.run(run) for run in runs[:_RUNS_AT_MOST]] if any(name not in known for name in metrics) else []
    for name in metrics:
        told = {str(mapping(record.metrics.get(name)).get("goal")) for record in records} & {"max", "min"}
        if name not in known and len(told) == 1:
            known[name] = told.pop()
    return {name: known[name] for name in metrics if name in known}


def policy_goals(found: Repository) -> Mapping[str, str]:
    """What the policy file in the work tree says of metrics; nothing where it cannot be read."""
    path = found.work_tree / policy.FILE if found.work_tree else None
    if path is None or not path.is_file():
        return {}
    try:
        return policy.parse(path.read_bytes()).goals
    except (OSError, GitreproError) as error:
        note(f"{policy.FILE} is passed over: {clean(error)}")
        return {}
