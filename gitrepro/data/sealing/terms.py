"""What a seal says about its scores: by which metrics, what is told of one, and how many there may be."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, final

from ...errors import UsageError

FEEDBACKS: Final = ("ladder", "full", "none")
BUDGET: Final = 5
"""Scores before somebody has to say why there are more: the best of five related models is half a standard error too
good by luck alone, and that of unrelated ones more than one."""
WARN_FROM: Final = 3
"""From this score on it is said how many there were: the best of three is .85 standard errors too good, or .38."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a seal says about its scores.

    Attributes:
        metrics: by name; the first is the one that the ladder looks at.
        feedback: what is told of a score: `ladder`, `full` or `none`.
        budget: how many scores there may be before somebody has to raise it, with a reason.
    """

    metrics: tuple[str, ...] = ("accuracy",)
    feedback: str = "ladder"
    budget: int = BUDGET

    def document(self) -> dict[str, Any]:
        return {"budget": self.budget, "feedback": self.feedback, "metrics": list(self.metrics)}

    def check(self) -> Terms:
        """Raises UsageError where these cannot be."""
        from ...analysis.ladder import COMPARABLE
        from ...analysis.metrics import named

        metrics = [named(each) for each in self.metrics]
        if not metrics or any(each.needs == "counts" for each in metrics):
            raise UsageError(
                f"a sealed part cannot be scored by {', '.join(self.metrics) or 'nothing'}",
                why="counts and log probabilities of the truth are made by who knows it",
                do="choose metrics of labels, scores or numbers",
            )
        if self.feedback not in FEEDBACKS:
            raise UsageError(f"there is no feedback {self.feedback!r:.40}", do=f"one of {', '.join(FEEDBACKS)}")
        if self.feedback == "ladder" and metrics[0].key not in COMPARABLE:
            raise UsageError(
                f"the ladder cannot compare two values of {metrics[0].name}",
                why=f"it is no mean over single examples, as {', '.join(COMPARABLE)} are",
                do="name one of those first and this one after it, or seal with `--feedback none`",
            )
        if self.budget < 1:
            raise UsageError(f"a budget of {self.budget} allows no score", do="give 1 or more")
        return self

    def check_labels(self, labels: Sequence[str]) -> None:
        """See that these labels can be scored so. Raises UsageError where they cannot."""
        from ...analysis.metrics import named

        needs = {each.name: each.needs for each in map(named, self.metrics)}
        numbers = [name for name, kind in needs.items() if kind == "numbers"]
        words = next((each for each in labels if not _is_number(each)), None)
        if numbers and words is not None:
            raise UsageError(
                f"{numbers[0]} is of numbers, and a label is {words!r:.60}",
                do="choose accuracy, or another metric of classes",
            )
        fraction = next((each for each in labels if words is None and not float(each).is_integer()), None)
        if fraction is not None and len(numbers) < len(needs):
            name = next(each for each in needs if each not in numbers)
            raise UsageError(
                f"{name} is of classes, and the labels are numbers such as {fraction!r:.60}",
                do="choose a metric of numbers: --metric rmse",
            )


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
