"""Examples that are there more than once, looked for in the ways that the form of the inputs allows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, final

import numpy as np

from ...data.duplicates import Items, Pair, Pairs, Tell, exact, near_images, near_texts, near_vectors
from ...data.duplicates.pairs import silent
from ...errors import UsageError
from ..direct import is_the_users
from ..task import TRAIN, Data, Kind
from .columns import columns_of
from .settings import DataSettings

_FORM_OF: Final = 8
"""Examples that the form of the inputs is told from."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Pairs of examples.

    Attributes:
        exact: of the same content.
        near: of nearly the same.
        looked: how they were looked for.
        left_out: how many examples were not compared, by reason.
        lost: why near ones could not be looked for; empty where they were, or were not wanted.
        repair: what would let them be.
    """

    exact: tuple[Pair, ...] = ()
    near: tuple[Pair, ...] = ()
    looked: str = ""
    left_out: Mapping[str, int] = field(default_factory=dict)
    lost: str = ""
    repair: str = ""


def pairs_of(data: Data, kind: Kind, settings: DataSettings) -> Found:
    """Pairs within each part and across parts, `train` searched first, the scored part last.

    Raises:
        UsageError: the embeddings that are given do not fit the parts.
    """
    names = (TRAIN, *sorted(data.parts.keys() - {TRAIN, data.scored}), data.scored)
    parts = {name: Items(ids=data.parts[name].ids, contents=data.parts[name].inputs) for name in names}
    tell = settings.tell or silent
    equal = exact(parts, tell=tell)
    found = Found(exact=equal.pairs, looked="by content", left_out=equal.left_out)
    try:
        near, how = _near(data, parts, kind, settings, tell)
    except UsageError as error:
        if settings.embeddings is not None:
            raise  # they were given for this
        return replace(found, lost=error.what, repair=error.do)
    except Exception as failure:
        if is_the_users(failure):
            raise
        said = f"gitrepro itself failed: {type(failure).__name__}: {failure!s:.200}"
        return replace(found, lost=said, repair="report it; `DataSettings(near=False)` leaves them out")
    left_out = {**equal.left_out, **{f"{why}, near": count for why, count in near.left_out.items()}}
    return replace(found, near=near.pairs, looked=f"by content{how}", left_out=left_out)


def _near(data: Data, parts: Mapping[str, Items], kind: Kind, settings: DataSettings, tell: Tell) -> tuple[Pairs, str]:
    """Near duplicates, and how they were looked for."""
    if not settings.near:
        return Pairs(), ""
    if settings.embeddings is not None:
        return near_vectors(_embedded(parts, settings), tell=tell), " and by the embeddings given"
    form = columns_of(data.train.take(_first(data)), data, kind).form
    if form == "texts":
        return near_texts(parts, scored=data.scored, tell=tell), " and by passages of words"
    if form == "images":
        return near_images(parts, tell=tell), " and by perceptual hashes"
    return Pairs(), ""


def _first(data: Data) -> np.ndarray:
    return np.arange(min(_FORM_OF, len(data.train)))


def _embedded(parts: Mapping[str, Items], settings: DataSettings) -> dict[str, Items]:
    given = settings.embeddings or {}
    missing = [name for name in parts if name not in given]
    if missing:
        raise UsageError(f"there are no embeddings of {missing[0]}", do="give those of every part, in the order of ids")
    return {name: Items(ids=each.ids, contents=given[name]) for name, each in parts.items()}


def as_table(found: Found) -> bytes:
    """Tab-separated values, a pair a line: both parts and ids, the kind of the pair, and its distance."""
    lines = ["part_a\tid_a\tpart_b\tid_b\tkind\tdistance"]
    lines += [
        "\t".join([_cell(p.part_a), _cell(p.a), _cell(p.part_b), _cell(p.b), p.kind, repr(float(p.distance))])
        for p in (*found.exact, *found.near)
    ]
    return ("\n".join(lines) + "\n").encode("utf-8", "surrogatepass")


def _cell(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")
