"""Conditions on what a run has any number of: labels, data sets, splits."""

from __future__ import annotations

import re
from typing import Final

from ..records.term import Term
from ..records.used import DATA, DIGEST, SPLIT
from .nodes import Compare, Glob, Node

MANY: Final = {"label": "labels", DATA: "data sets", SPLIT: "splits"}
"""The words for them in a query, each with its plural."""

_BEGUN = re.compile(r"(?:[^@]*@)?b3:[0-9a-f]{0,63}")


def meant(term: Term, value: str) -> Term:
    """What is held against a value: of data and splits their digests where it is one, else their names."""
    is_digest = value.startswith("b3:") or "@b3:" in value
    return Term(term.kind, DIGEST) if is_digest and term.kind in (DATA, SPLIT) else term


def one_is(term: Term, value: str) -> Node:
    """One of them is this; the beginning of a digest stands for all that begin so."""
    asked = meant(term, value)
    return Glob(asked, f"{value}*") if asked != term and _BEGUN.fullmatch(value) else Compare(asked, "==", value)
