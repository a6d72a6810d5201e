"""What a run cost: measured beside the training, told while it lasts, and put together at the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from .. import policy
from ..analysis.efficiency import efficiency, is_number
from ..errors import GitreproError
from ..records.run import RunRecord
from ..store.journal_reader import Journal
from . import ranks
from .place import Place
from .warning import warn

OP: Final = "meter"
PRICES: Final = "prices"
_TEST: Final = "input_test"
_POLICY_BYTES_AT_MOST: Final = 1 << 20


def prices_at(where: Place) -> dict[str, Any]:
    """The price table of the policy, for the recorder's part of a record; empty where it has none."""
    root = where.repository.work_tree if where.repository else None
    if root is None:
        return {}
    try:
        data = _head(Path(root) / policy.FILE)
        # PyYAML is loaded for those who have prices.
        prices = dict(policy.parse(data).prices) if b"prices" in data else {}
    except (OSError, GitreproError) as error:
        warn(f"the prices in {policy.FILE} are not known: {error}; the run has no cost")
        return {}
    return {PRICES: prices} if prices else {}


def _head(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(_POLICY_BYTES_AT_MOST)
    except FileNotFoundError:
        return b""


def measured(
    record: RunRecord, written: Sequence[Journal], observed: Sequence[Mapping[str, Any]]
) -> dict[str, Any] | None:
    """The field `efficiency` of a record that has ended; None where no process of the run took a training step.

    Of several processes of one rank the one with the most steps counts. What the program told itself stands over what
    was seen of it from the start on.
    """
    found: dict[int, Mapping[str, Any]] = {}
    for rank, report in [*_in_journals(written), *_observed(observed)]:
        if rank not in found or _steps(report) > _steps(found[rank]):
            found[rank] = report
    prices = record.recorder.get(PRICES)
    known = prices if isinstance(prices, dict) else {}
    return efficiency(
        [report for _, report in sorted(found.items())],
        prices={name: price for name, price in known.items() if is_number(price)},
        duration_seconds=record.duration_seconds,
        cpu_seconds=_cpu_seconds(record.cost),
    )


def _cpu_seconds(cost: Mapping[str, Any]) -> float | None:
    """What the whole program took, of which the training is a part."""
    told = [value for name in ("cpu_user_seconds", "cpu_system_seconds") if is_number(value := cost.get(name))]
    return sum(told) if told else None


def _steps(report: Mapping[str, Any]) -> float:
    steps = report.get("steps")
    return steps if is_number(steps) else 0


def _in_journals(written: Sequence[Journal]) -> list[tuple[int, Mapping[str, Any]]]:
    """What each process said last."""
    found = []
    for journal in written:
        told = [
            event["seen"] for event in journal.events if event.get("op") == OP and isinstance(event.get("seen"), dict)
        ]
        if told:
            found.append((int(journal.header.get("rank", 0)), told[-1]))
    return found


def _observed(observed: Sequence[Mapping[str, Any]]) -> list[tuple[int, Mapping[str, Any]]]:
    return [(ranks.rank_of(process), process[OP]) for process in observed if isinstance(process.get(OP), dict)]
