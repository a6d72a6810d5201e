"""How the check is done, and what a user nominates to be beaten."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, final

from ...errors import UsageError
from ..task import Predictions
from .choice import NAMES
from .verdict import LEAST_EXAMPLES, LEAST_GROUPS, WORTH

LEVEL: Final = 0.95
EXAMPLES_AT_MOST: Final = 20_000
"""Of the train part, for baselines with scikit-learn: they are to cost seconds."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How the check is done.

    Attributes:
        seed: of the task and of the baselines.
        level: how sure the interval is, strictly between 0 and 1.
        examples: of the train part that a baseline with scikit-learn sees at most.
        only: names of baselines to choose from; empty for all that fit the data.
        least_examples, least_groups, worth: thresholds, see `verdict`.
    """

    seed: int = 0
    level: float = LEVEL
    examples: int = EXAMPLES_AT_MOST
    only: tuple[str, ...] = ()
    least_examples: int = LEAST_EXAMPLES
    least_groups: int = LEAST_GROUPS
    worth: float = WORTH

    def document(self) -> dict[str, Any]:
        return {
            "examples": self.examples,
            "least_examples": self.least_examples,
            "least_groups": self.least_groups,
            "level": self.level,
            "only": list(self.only),
            "seed": self.seed,
            "worth": self.worth,
        }


def check_settings(settings: Settings) -> None:
    """Raises:
    UsageError: a name is of no baseline, or a number is out of its range.
    """
    if unknown := [name for name in settings.only if name not in NAMES]:
        raise UsageError(f"there is no baseline {unknown[0]!r:.60}", do=f"choose from {', '.join(NAMES)}")
    if not 0 < settings.level < 1 or settings.examples < 1 or settings.worth < 0:
        raise UsageError(
            f"level {settings.level}, examples {settings.examples}, worth {settings.worth}",
            do="give a level between 0 and 1, at least one example, and a worth of 0 or more",
        )


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Nominated:
    """A run that the user names as the one to beat: a published recipe, the model before this one.

    Attributes:
        name: as it is shown.
        predictions: of the same examples, in the form of the task's own.
        seconds: what it took, where that is on record.
    """

    name: str
    predictions: Predictions
    seconds: float | None = None
    run_id: str | None = None
