"""How the check is done, and each threshold with its reason."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any, Final, final

from ...errors import UsageError

COST: Final = 0.05
"""Of the real run's work, for all trainings of the check together: little enough to do it each time."""
OPERATIONS: Final = 1e10
"""Multiplications that a check may take whatever share of the real run they are: some seconds of one core. A twentieth
of a run that is small proves nothing. They are counted and not timed, see `effort.operations_of`."""
EXAMPLES: Final = 500
"""Of the train part at least, or all of it: of fewer, little is learnt that could leak."""
SCORED: Final = 300
"""Of the scored part at least, or all of it: an accuracy is then known to 3 points."""
DRAWS: Final = 2
"""One draw of labels can be lucky; two that are show it."""
DRAWS_AT_MOST: Final = 40
"""For small scored parts: 30 examples of three classes need about 20."""
RESAMPLES: Final = 2000
"""The least p that so many can show is 0.0005, half of `fail_below`."""
LEAKED_AT_MOST: Final = 0.10
"""Share of the gain, upper bound: below it the leak does not carry the conclusion."""
FAIL_BELOW: Final = 0.001
"""p of chance: a sound experiment fails once in a thousand times, and has to do it again in a second set of draws."""
WARN_BELOW: Final = 0.01
AGAIN_BELOW: Final = 0.05
"""p of the second set alone, which nobody has chosen for being striking."""
LEAST_SCORED: Final = 20
"""Examples in the scored part: of fewer, one that is right by luck is a twentieth of the score."""
LEAST_UNITS: Final = 8
"""Independent examples or groups in the scored part: fewer can be dealt out in too few ways."""
UNMOVED_FROM: Final = 0.9
"""Share of the gain that is kept against the true labels when others were handed over: the task does not learn from
what it is given. By accident it happens to one draw in four at most, of two well separated classes."""
UNMOVED_DRAWS: Final = 4


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How the check is done.

    Attributes:
        seed: of the draws and of the task.
        full: all examples and the whole budget, whatever it costs.
        cost: share of the real run's work that all trainings together may take, unless they stay below `operations`.
        operations: multiplications that they may take in any case; 0 where only the share counts.
        examples, scored: of the train and of the scored part, kept at least.
        draws, most_draws: how often labels are drawn, at least and at most.
        places: names or numbers of columns that tell where an example stands (a file name, an id, a time), besides
            those that are found; they stay when all other inputs are blinded.
        resamples, leaked_at_most, fail_below, warn_below, again_below, least_scored, least_units, unmoved_from:
            thresholds, each with its reason where it is defined.
    """

    seed: int = 0
    full: bool = False
    cost: float = COST
    operations: float = OPERATIONS
    examples: int = EXAMPLES
    scored: int = SCORED
    draws: int = DRAWS
    most_draws: int = DRAWS_AT_MOST
    places: tuple[str | int, ...] = ()
    resamples: int = RESAMPLES
    leaked_at_most: float = LEAKED_AT_MOST
    fail_below: float = FAIL_BELOW
    warn_below: float = WARN_BELOW
    again_below: float = AGAIN_BELOW
    least_scored: int = LEAST_SCORED
    least_units: int = LEAST_UNITS
    unmoved_from: float = UNMOVED_FROM

    def document(self) -> dict[str, Any]:
        """Plain values, as records have them."""
        found = {each.name: getattr(self, each.name) for each in fields(self)}
        return {**found, "places": list(self.places)}


def check_settings(settings: Settings) -> None:
    """Raises:
    UsageError: a number is out of its range.
    """
    positive = ("examples", "scored", "draws", "least_scored", "least_units")
    if any(getattr(settings, name) < 1 for name in positive) or settings.most_draws < settings.draws:
        raise UsageError("a count is below what the check needs", do=f"give 1 or more for {', '.join(positive)}")
    shares = ("cost", "leaked_at_most", "fail_below", "warn_below", "again_below", "unmoved_from")
    for name in shares:
        if not 0 < getattr(settings, name) <= 1:
            raise UsageError(f"{name} is {getattr(settings, name)!r:.40}", do="give a number above 0 and at most 1")
    if not math.isfinite(settings.operations) or settings.operations < 0 or settings.seed < 0:
        raise UsageError("operations and seed are numbers of 0 or more")
    if (settings.resamples + 1) * settings.fail_below < 1:
        raise UsageError(
            f"{settings.resamples} resamples cannot show a p below {settings.fail_below}",
            do=f"give {math.ceil(1 / settings.fail_below)} or more",
        )
