"""Score again what was scored, and hold it against what the log says was told."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, final

from ...errors import Damaged
from ...records.holdout import Entry
from ...store.repository import Repository
from . import book
from .contents import Holdout
from .judging import Bench, bench, entry_of, judged
from .seals import seal_from, seal_of
from .terms import FEEDBACKS

TOLERANCE: Final = 1e-9
"""Relative. Another machine adds floats up in another order; what was told to people differs by far more."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """One score, scored again.

    Attributes:
        why: in words what differs; empty where nothing does.
        skipped: why it could not be scored again; empty where it was.
    """

    entry: Entry
    why: str = ""
    skipped: str = ""


def check(repository: Repository, holdout: Holdout, keys: Sequence[Any]) -> list[Checked]:
    """Score all over again, oldest first. Nothing is written.

    Raises:
        NotFound: the part is not sealed. WrongKey: none of the keys opens the seal.
        Damaged: the seal is not what the log says.
        BlobMissing: it is not here.
    """
    entries = book.entries(repository, holdout)
    seal = seal_of(entries, holdout)
    on = bench(repository, seal, entries, keys)
    apart = book.written_apart(repository, holdout)
    same = {
        each.id for each in entries if each.op == "seal" and seal_from(each, holdout).commitments == seal.commitments
    }
    scores = [each for each in entries if each.op == "score"]
    return [_checked(on, each, same, apart) for each in scores]


def _checked(on: Bench, entry: Entry, seals: set[str], apart: frozenset[str]) -> Checked:
    if entry.detail.get("seal") not in seals:
        return Checked(entry=entry, skipped="it is of another seal, whose labels are not these")
    if entry.id in apart:
        return Checked(entry=entry, skipped="it was written apart from others: which of them it knew is not on record")
    return Checked(entry=entry, why="; ".join(differences(on, entry)))


def differences(on: Bench, entry: Entry) -> Iterator[str]:
    """In words, what a score says that does not come out again."""
    detail = entry.detail
    known = [each for each in on.entries if each.number < entry.number]
    feedback = detail.get("feedback")
    if feedback not in FEEDBACKS:
        yield f"there is no feedback {feedback!r:.40}"
        return
    try:
        predict = entry_of(replace(on, entries=known), str(detail.get("predict")))
        again = judged(replace(on, entries=known), predict, str(feedback)).document()
    except Damaged as error:
        yield str(error)
        return
    if predict.detail.get("predictions") != detail.get("predictions"):
        yield "it names other predictions than were committed before"
    for name in ("best", "improved"):
        if again[name] != detail.get(name):
            yield f"{name} is {detail.get(name)!r:.40}, and comes to {again[name]!r:.40}"
    yield from _metrics(detail.get("metrics"), again["metrics"])


def _metrics(told: object, again: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    if not isinstance(told, Mapping) or set(told) != set(again):
        yield f"its metrics are other ones than {', '.join(again)}"
        return
    for name, found in again.items():
        value = told[name].get("value") if isinstance(told[name], Mapping) else told[name]
        if not _alike(value, found["value"]):
            yield f"{name} was told as {value!r:.40}, and comes to {_shown(found['value'])}"


def _shown(value: float | None) -> str:
    return "nothing that may be told" if value is None else f"{value:.10g}"


def _alike(told: object, value: float | None) -> bool:
    if value is None or not isinstance(told, float):
        return told is value
    return math.isclose(told, value, rel_tol=TOLERANCE) or (math.isnan(told) and math.isnan(value))
