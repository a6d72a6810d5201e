"""Train in fp32, TF32, BF16 or FP16 by one word, and see what was really computed in.

`Precision` is a context for the forward pass, a loss scaler where FP16 needs one, and an observer: it reads flags back,
counts the dtypes that one step meets under a dispatch mode, and counts losses that are not finite on the device they
are on. What lies on a device is fetched once in `READ_EVERY` steps; nothing else waits for it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from contextlib import ExitStack, nullcontext
from types import TracebackType
from typing import Any, Final, final

from ...errors import UsageError
from ...records.precision import NAMES
from .counting import Counting, compiles, dtypes_of
from .flags import Tf32, flags
from .scaling import scaler

READ_EVERY: Final = 50
_OBSERVED_STEP: Final = 1
_DTYPES: Final = {"bf16": "bfloat16", "fp16": "float16"}


@final
class Precision:
    """The precision of one training; see `Run.precision`.

    Attributes:
        name: `fp32`, `tf32`, `bf16` or `fp16`.
        device: `cpu` or `cuda`.
        scaler: a `torch.amp.GradScaler`, which does nothing but for fp16.

    Raises:
        UsageError: there is no such precision, or this device cannot do it.
    """

    def __init__(
        self, name: str, *, device: str | None = None, tell: Callable[[Mapping[str, Any]], None] = lambda _: None
    ) -> None:
        import torch

        if name not in NAMES:
            raise UsageError(f"there is no precision {name!r:.60}", do=f"give one of {', '.join(NAMES)}")
        self.name = name
        self.device = str(torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu")).type)
        _check_device(name, self.device)
        self._torch = torch
        self._tell = tell
        self._flags = Tf32(on=name == "tf32") if name in ("fp32", "tf32") else None
        self.scaler = scaler(self.device, enabled=name == "fp16")
        self._contexts: list[ExitStack] = []
        self._counting = Counting()
        self._steps = self._read_steps = 0
        self._observing = False
        self._bad_losses: Any = 0
        self._history: list[list[float]] = []
        self._effective: dict[str, Any] = {}

    # -- the training

    def __enter__(self) -> Precision:
        context = ExitStack()
        if self.name in _DTYPES:
            dtype = getattr(self._torch, _DTYPES[self.name])
            context.enter_context(self._torch.autocast(self.device, dtype=dtype))
        context.enter_context(self._observed())
        self._contexts.append(context)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._contexts.pop().__exit__(kind, error, trace)

    def backward(self, loss: Any) -> None:
        """Differentiate `loss`, scaled where fp16 wants that. Outside the `with` block."""
        self._note_loss(loss)
        with self._observed():
            self.scaler.scale(loss).backward()

    def step(self, optimizer: Any, *, clip_norm: float | None = None) -> None:
        """Step the optimizer, unless gradients are infinite under the scale; then clear the gradients.

        Args:
            clip_norm: the greatest norm of all gradients together.
        """
        self.scaler.unscale_(optimizer)
        parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        if clip_norm is not None:
            self._torch.nn.utils.clip_grad_norm_(parameters, clip_norm)
        self.scaler.step(optimizer)
        self.scaler.update()
        self.note_step(optimizer)
        optimizer.zero_grad()

    # -- what is seen of it

    def _observed(self) -> Any:
        # A dispatch mode would make compiled code run uncompiled, and compile it anew.
        if self._steps != _OBSERVED_STEP or self._effective or compiles():
            return nullcontext()
        return self._counting.mode()

    def _note_loss(self, loss: Any) -> None:
        with self._torch.no_grad():
            self._bad_losses = self._bad_losses + (~self._torch.isfinite(loss.detach())).sum()

    def note_step(self, optimizer: Any) -> None:
        """A step was made, or skipped; `step` says so itself. Gradients are still there."""
        self._steps += 1
        if self._steps == _OBSERVED_STEP + 1:
            self._effective = {**dtypes_of(optimizer), **self._counting.document()}
        if self._steps == _OBSERVED_STEP + 1 or self._steps % READ_EVERY == 0:
            self._read()

    def _read(self) -> None:
        """Fetch what lies on the device. The scheduled moments for that are few."""
        if self.scaler.is_enabled():
            point = [self._steps, float(self.scaler.get_scale()), float(self.scaler.skipped)]
            self._history = [*(self._history[::2] if len(self._history) >= 200 else self._history), point]
        self._read_steps = self._steps
        self._tell(self.document())

    def document(self) -> dict[str, Any]:
        """What is known now: the field `precision` of a record."""
        said: dict[str, Any] = {
            "asked": self.name,
            "device": self.device,
            "effective": {**self._effective, "flags": flags()},
            "nonfinite": {"loss": int(self._bad_losses), "steps": self._steps},
        }
        return {**said, "scaler": self._scaled()} if self.scaler.is_enabled() else said

    def _scaled(self) -> dict[str, Any]:
        return {
            "history": [" ".join(f"{number:g}" for number in point) for point in self._history],
            "lowest": float(self.scaler.lowest),
            "scale": float(self.scaler.get_scale()),
            "skipped": int(self.scaler.skipped),
            "skipped_after_warm_up": int(self.scaler.skipped_late),
            "steps": self.scaler.updates,
        }

    def close(self) -> None:
        """Say the last word, and put the flags back that were changed."""
        if self._steps > self._read_steps or not self._steps:
            self._read()
        if self._flags is not None:
            self._flags.restore()
            self._flags = None


# -- what a device can do


def _check_device(name: str, device: str) -> None:
    import torch

    if name == "tf32" and (device != "cuda" or torch.cuda.get_device_capability() < (8, 0)):
        raise UsageError(
            f"tf32 is not to be had on this {device}",
            why="it is a mode of the matrix units of NVIDIA's GPUs from Ampere on",
            do='"fp32", or "bf16"',
        )
    if name == "bf16" and device == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise UsageError("bf16 is not to be had on this GPU", why="it is older than Ampere", do='"fp16", or "fp32"')
    if name == "fp16" and device == "cpu" and not _half_on_cpu():
        raise UsageError(
            "fp16 is not to be had on a CPU with this torch", why=f"it is {torch.__version__}", do='"bf16", or "fp32"'
        )


def _half_on_cpu() -> bool:
    import torch

    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        try:
            with torch.autocast("cpu", dtype=torch.float16):
                return bool((torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float16)
        except RuntimeError:
            return False
