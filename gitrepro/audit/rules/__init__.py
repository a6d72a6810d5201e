"""The 16 rules. Each is one function of a claim, its evidence and the policy, and reads nothing else.

Where nothing of the kind is on record the verdict is INCONCLUSIVE: silence is no evidence.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ...policy import RULES
from .absent import absent
from .code import code
from .config import config
from .data import data
from .finding import Rule
from .measured import curves, efficiency
from .registered import RESULT_KINDS, audit
from .repeats import repeats
from .seeds import seeds

_DECIDABLE: Final[Mapping[str, Rule]] = {
    "seeds": seeds,
    "config": config,
    "data": data,
    "code": code,
    "curves": curves,
    "efficiency": efficiency,
    "repeats": repeats,
    "audit": audit,
}
ALL: Final[Mapping[str, Rule]] = {rule: _DECIDABLE.get(rule) or absent(rule) for rule in RULES}
"""The rules in their order."""

ALGORITHMS: Final[Mapping[str, int]] = {
    **dict.fromkeys(RULES, 1),
    "audit": 2,
    "code": 4,
    "config": 2,
    "curves": 2,
    "data": 3,
    "repeats": 2,
}
"""The version of each rule; it moves when the same evidence would be judged otherwise."""

__all__ = ["ALGORITHMS", "ALL", "RESULT_KINDS"]
