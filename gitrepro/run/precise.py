"""The precision of a run: what is asked for, what is in force, and what stands on record."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from ..records.precision import findings
from .warning import warn

if TYPE_CHECKING:
    from ..training.precision import Precision

OP: Final = "precision"
VARIABLE: Final = "GITREPRO_PRECISION"


class Precise(ABC):
    """The part of a `Run` that deals with precision."""

    _precision: Precision | None = None

    @abstractmethod
    def _event(self, op: str, **content: Any) -> None: ...

    def precision(self, name: str = "fp32", *, device: str | None = None) -> Precision:
        """Train in `fp32`, `tf32`, `bf16` or `fp16`, and put on record what was really computed in.

            amp = run.precision("bf16")
            for images, labels in loader:
                with amp:
                    loss = cross_entropy(model(images), labels)
                amp.backward(loss)
                amp.step(optimizer)

        `fp32` means it: TF32 is off in matrix products and in cuDNN until the run ends, where torch leaves it on for
        convolutions. `bf16` and `fp16` are autocast, with weights as they are; `fp16` has a loss scaler. On record are
        the flags as they are read back, elements by dtype of weights, gradients and optimizer state, the dtypes that
        operations gave in the second step, losses that were not finite, and skipped steps and scales.

        Args:
            name: the precision. `GITREPRO_PRECISION` stands over it, so that one program may be tried in several.
            device: `cpu` or `cuda`; by default `cuda` where there is one.

        Raises:
            UsageError: there is no such precision, or the device cannot do it.
        """
        from ..training.precision import Precision

        self._end_precision()
        told = os.environ.get(VARIABLE)
        by = {"told_by": VARIABLE} if told else {}
        made = Precision(told or name, device=device, tell=lambda seen: self._event(OP, seen={**seen, **by}))
        self._precision = made
        return made

    def _end_precision(self) -> None:
        made, self._precision = self._precision, None
        if made is None:
            return
        try:
            made.close()
            for what, do in findings(made.document()):
                warn(f"{what}; try {do}")
        except Exception as error:  # noqa: BLE001 - a lost device must not end a training that went well
            warn(f"the end of what was seen of the precision is not recorded: {error!r:.300}")


def precision_of(events: Iterable[Mapping[str, Any]]) -> dict[str, Any] | None:
    """The field `precision` of a record: the last that was said; None where the program asked for none."""
    told = [event["seen"] for event in events if event.get("op") == OP]
    return dict(told[-1]) if told else None
