"""Printed numbers held against the record."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, final

from ...errors import GitreproError, NotFound
from ...records.seeds import seed_text
from ...records.seedset import Spread, spread_of
from .numbers import difference, last_of, miscounted, plain
from .printed import Printed
from .reference import Reference, parse

Lookup: TypeAlias = Callable[[Reference], Sequence[Mapping[str, Any]]]
"""The runs that a reference is to, newest first, each as `ls --json` has it. Raises a GitreproError where it cannot."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One printed number, and what the record says.

    Attributes:
        text: what a reader sees.
        recorded: what its runs came to; None where that is not known.
        fault: in what they differ; empty where they agree.
    """

    printed: Printed
    text: str
    recorded: Spread | None
    fault: str

    @property
    def agrees(self) -> bool:
        return not self.fault


def judge(printed: Printed, lookup: Lookup) -> Judged:
    """Hold one printed number against the record. A number whose runs are not found does not agree."""
    text = plain(printed.text)
    if printed.path.suffix.lower() in (".md", ".markdown", ".html"):
        text = last_of(printed.text)
    try:
        reference = parse(printed.reference)
        spread = _spread(reference, lookup(reference))
    except GitreproError as error:
        why = f": {error.why}" if error.why else ""
        return Judged(printed=printed, text=text, recorded=None, fault=f"{error.what}{why}")
    fault = miscounted(text, spread) if reference.counts else difference(text, spread, scale=reference.scale)
    return Judged(printed=printed, text=text, recorded=spread, fault=fault)


def _spread(reference: Reference, runs: Sequence[Mapping[str, Any]]) -> Spread:
    """What the runs came to. Each counts: a reference names no run that it does not mean."""
    found = [(str(run["id"]), seed_text(run["seeds"]), run["summary"].get(reference.metric)) for run in runs]
    values = [(run, seed, _as_float(value)) for run, seed, value in found if isinstance(value, int | float)]
    if not values:
        what = f"{' '.join(reference.targets)} has no {reference.metric!r:.80} on record"
        raise NotFound(what, do="`gitrepro show RUN` lists its metrics")
    return spread_of(values)


def _as_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")
