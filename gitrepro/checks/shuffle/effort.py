"""How much of the data and of the budget the trainings get, so that all together stay cheap.

It is counted, in shares of the real run, and never timed: a slow or a busy machine comes to the same verdict.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np

from ..task import Data, Part, Task
from .settings import Settings

_AT_MOST: Final = 13
"""Trainings where little is allowed: the real one, two for each of three arms, and as many again where one strikes."""
_KEPT: Final = 2 / 3
"""Of the work that is left; the rest is for another look at what strikes."""
_FOR_EACH: Final = 1000
"""Multiplications for each number that is read, where nothing tells how often it is: a hundred passes of ten."""
_EPOCHS: Final = 20
"""Of a network, where the task does not say how many."""
_FORTH_AND_BACK: Final = 3
"""Multiplications for each parameter and example: one forward, two backward."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """What each training gets.

    Attributes:
        fraction: of the examples, above 0 and at most 1.
        share: of the budget, above 0 and at most 1.
    """

    fraction: float
    share: float

    @property
    def whole(self) -> bool:
        return self.fraction >= 1 and self.share >= 1


def operations_of(task: Task, data: Data) -> float:
    """About how many multiplications the experiment takes, from what can be counted before it is run.

    Of a network those of its parameters for each example and epoch, or those for each number of its inputs, if these
    are more; of all else those for each number that is read.
    """
    read = _FOR_EACH * float(_numbers(data.train))
    return max(read, _FORTH_AND_BACK * _parameters(task) * _epochs(task) * len(data.train), 1.0)


def _numbers(part: Part) -> int:
    """How many numbers, or characters, the inputs are."""
    if isinstance(part.inputs, np.ndarray) and part.inputs.dtype != object:
        return int(part.inputs.size)
    return sum(_size(each) for each in part.inputs)


def _size(item: Any) -> int:
    if isinstance(item, str | bytes):
        return len(item)
    size = getattr(item, "size", 1)  # of an array the count; of an image of Pillow its width and height
    return int(np.prod(size))


def _epochs(task: Task) -> float:
    epochs = getattr(task, "epochs", None)
    return float(epochs) if isinstance(epochs, int | float) and epochs > 0 else _EPOCHS


def _parameters(task: Task) -> int:
    try:
        learner = task.learner()
        return 0 if learner is None else sum(each.numel() for each in learner.build(0).parameters())
    except Exception:  # noqa: BLE001 - whoever trains it says what is wrong with it
        return 0


def allowed_work(task: Task, data: Data, settings: Settings) -> float:
    """What all trainings together may take, in real runs: a share of one, or more of one that is small."""
    return max(settings.cost, settings.operations / operations_of(task, data))


def effort_for(task: Task, data: Data, settings: Settings) -> Effort:
    """Examples and budget of each training: as much as all of them together are allowed.

    Both are cut alike, examples not below what is needed; where there is no budget to cut, examples alone.
    """
    work = allowed_work(task, data, settings) / _AT_MOST
    if settings.full or work >= 1:
        return Effort(fraction=1.0, share=1.0)
    least = max(settings.examples / len(data.train), settings.scored / len(data.judged))
    cut = has_budget(task)
    fraction = min(max(math.sqrt(work) if cut else work, least), 1.0)
    return Effort(fraction=fraction, share=min(work / fraction, 1.0) if cut else 1.0)


def has_budget(task: Task) -> bool:
    """Whether a smaller share makes a training cheaper; so unless the task says otherwise."""
    try:
        return bool(getattr(task, "has_budget", True))
    except Exception:  # noqa: BLE001 - whoever trains it says what is wrong with it
        return True


def draws_for(needed: int, *, work: float, left: float, settings: Settings) -> int:
    """How many draws of an arm there will be: those that are needed, as far as what is left goes.

    Args:
        work: of one training, in real runs.
        left: for this arm, in real runs.
    """
    affordable = settings.most_draws if settings.full else int(_KEPT * left / work)
    return max(settings.draws, min(needed, settings.most_draws, affordable))
