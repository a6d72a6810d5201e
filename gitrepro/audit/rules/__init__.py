"""The 16 rules. Each is one function of a claim, its evidence and the policy, and reads nothing else.

Where nothing of the kind is on record the verdict is INCONCLUSIVE: silence is no evidence.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ...policy import RULES
from .checked import checked
from .code import code
from .config import config
from .data import data
from .finding import Rule
from .measured import curves, efficiency
from .registered import RESULT_KINDS, audit
from .repeats import repeats
from .seeds import seeds
from .separation import separation
from .setup import batch, precision
from .stopping import stopping
from .trained import of_both, of_training

ALL: Final[Mapping[str, Rule]] = {
    "seeds": of_both(seeds),
    "config": of_both(config),
    "data": of_both(data),
    "code": code,
    "baseline": checked("baseline"),
    "shuffle": checked("shuffle"),
    "overfit": checked("overfit"),
    "distribution": checked("distribution"),
    "curves": of_training(curves),
    "stopping": of_training(stopping),
    "batch": of_training(batch),
    "precision": of_training(precision),
    "efficiency": of_both(efficiency),
    "separation": separation,
    "repeats": of_training(repeats),
    "audit": audit,
}
"""The rules in their order."""

ALGORITHMS: Final[Mapping[str, int]] = {
    **dict.fromkeys(RULES, 2),
    "audit": 3,
    "code": 4,
    "curves": 3,
    "data": 3,
    "repeats": 3,
    "seeds": 1,
}
"""The version of each rule; it moves when the same evidence would be judged otherwise."""

__all__ = ["ALGORITHMS", "ALL", "RESULT_KINDS"]
