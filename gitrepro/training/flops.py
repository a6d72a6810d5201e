"""How many floating-point operations one training step takes, as torch counts them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, final

from .steps import Step, Steps

_AT_STEP: Final = 3
"""The step that is counted: buffers are made by then, and its slowness lies within what meters leave out."""


@final
class FlopsOnce:
    """Counts the operations of one training step, from the end of a step to the end of the next.

    Matrix products, convolutions and attention are counted, as `torch.utils.flop_counter` knows them; what it does not
    know counts nothing. The results of the step stay what they are; it takes longer.

    Args:
        steps: what tells of steps.
        tell: is given the count, and an empty text; or 0 and why there is none.
        at_step: the first step after which is counted.
    """

    def __init__(self, steps: Steps, *, tell: Callable[[int, str], None], at_step: int = _AT_STEP) -> None:
        self._tell = tell
        self._left = at_step
        self._mode: Any = None
        self._end = steps.subscribe(self._after)

    def stop(self) -> None:
        self._end()
        mode, self._mode = self._mode, None
        if mode is not None:
            mode.__exit__(None, None, None)

    def _after(self, step: Step) -> None:
        if not step.lead:
            return
        self._left -= 1
        if self._left == 0:
            self._begin()
        elif self._left < 0:
            self._finish()

    def _begin(self) -> None:
        try:
            from torch.utils.flop_counter import FlopCounterMode

            mode: Any = FlopCounterMode(display=False)
            mode.__enter__()
        except Exception as error:  # noqa: BLE001 - another release of torch: there is no count, and the training goes on
            self._end()
            self._tell(0, repr(error)[:300])
            return
        self._mode = mode

    def _finish(self) -> None:
        self._end()
        mode, self._mode = self._mode, None
        try:
            mode.__exit__(None, None, None)
            self._tell(int(mode.get_total_flops()), "")
        except Exception as error:  # noqa: BLE001 - as above
            self._tell(0, repr(error)[:300])
