"""How the check is done, and each threshold with its reason."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Final, final

from ...errors import UsageError

EXAMPLES: Final = 32
"""Few enough for any model to learn by heart, enough that a class is there twice."""
LEAST: Final = 8
"""Of fewer examples, a model can say all labels by accident."""
STEPS: Final = 500
"""Sound networks needed 9 to 272 of them."""
RATES: Final = (1e-3, 3e-4, 1e-2)
"""Tried with AdamW when the configured optimizer does not get there: its rate may be made for a longer training."""
LEFT_AT_MOST: Final = 0.01
"""Share of the loss above its floor that may be left. Softmax before cross-entropy stalls at 0.63 with all examples
right, a frozen body at 0.09, so that examples said right are not enough."""
RIGHT_FROM: Final = 1.0
"""All examples are said right: misaligned labels that were learnt have a loss of 0, too."""
FIT_FROM: Final = 0.999
"""R2 of numbers, as correlation squared: a task may scale its labels."""
NATS_AT_MOST: Final = 0.05
"""Per token above the entropy that the mini-batch itself leaves open."""
TOKENS_RIGHT_FROM: Final = 0.98
"""Of the tokens that can be known from those before them; ties between two may go either way."""
NEAR: Final = 0.10
"""A loss that came down to so much and still falls needs time, and is no fault."""
NEARLY_RIGHT: Final = 0.9
"""With a loss that was learnt, what says less of the labels has learnt other labels."""
FALLING: Final = 0.9
"""Of the last fifth of the steps to the one before: below it the loss still falls."""
NUMBERS_PER_EXAMPLE: Final = 10
"""Weights for each example; a model with fewer may be too small to learn them by heart."""
INITIAL_WITHIN: Final = 0.5
"""Of ln K. Sound networks on scaled inputs were up to 0.23 above; a sum over the examples is above by a factor."""
SUMMED_FROM: Final = 1.8
"""Loss of all examples to the mean loss of two halves: 1 for a mean, 2 for a sum, 0.5 where it is divided twice."""
STILL_AT_MOST: Final = 0.10
"""Share of the trainable numbers without gradient or change: a spare head or a pooler that is not used is less, a body
that was left out is more."""
SMALL_GRADIENT: Final = 1e-6
"""Of the greatest root mean square: such a gradient is rounding (a bias before a norm), and need not move a weight."""
MOVES: Final = 10
"""Steps after which each tensor has moved: a layer behind one that begins at zero moves in the second."""
ALIKE: Final = 1e-3
"""Relative difference of two float32 gradients or outputs that are the same; gradients that add up differ by 1."""
GAP_AT_MOST: Final = 0.05
"""Share of the initial loss between evaluation and train mode. Batch norm whose statistics have settled made less than
0.0001; that it takes another estimate of the variance is 1/31 of 32 examples."""
SETTLING: Final = 100
"""Batches shown to running statistics before evaluation: with the momentum 0.1 nothing of their start is left."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How the check is done.

    Attributes:
        seed: of the model, the choice of examples, and the experiment.
        examples, least: in the mini-batch, and how many it has to have.
        steps: of training at most, for each learning rate.
        rates: of AdamW, after the configured optimizer.
        left_at_most and all others: thresholds, see `settings.py`.
    """

    seed: int = 0
    examples: int = EXAMPLES
    least: int = LEAST
    steps: int = STEPS
    rates: tuple[float, ...] = RATES
    left_at_most: float = LEFT_AT_MOST
    right_from: float = RIGHT_FROM
    fit_from: float = FIT_FROM
    nats_at_most: float = NATS_AT_MOST
    tokens_right_from: float = TOKENS_RIGHT_FROM
    near: float = NEAR
    nearly_right: float = NEARLY_RIGHT
    falling: float = FALLING
    numbers_per_example: int = NUMBERS_PER_EXAMPLE
    initial_within: float = INITIAL_WITHIN
    summed_from: float = SUMMED_FROM
    still_at_most: float = STILL_AT_MOST
    small_gradient: float = SMALL_GRADIENT
    moves: int = MOVES
    alike: float = ALIKE
    gap_at_most: float = GAP_AT_MOST
    settling: int = SETTLING

    def document(self) -> dict[str, Any]:
        """Plain values, as records have them."""
        return {**{each.name: getattr(self, each.name) for each in fields(self)}, "rates": list(self.rates)}


def check_settings(settings: Settings) -> None:
    """Raises:
    UsageError: a number is out of its range.
    """
    for name in ("examples", "least", "steps", "moves", "settling"):
        if getattr(settings, name) < 1:
            raise UsageError(f"{name} is {getattr(settings, name)!r:.40}", do="give 1 or more")
    if settings.least > settings.examples:
        raise UsageError(f"a mini-batch of {settings.examples} is too small", do=f"give {settings.least} or more")
    if settings.seed < 0 or any(not 0 < rate < 10 for rate in settings.rates):
        raise UsageError("the seed is 0 or more, and learning rates are between 0 and 10")
