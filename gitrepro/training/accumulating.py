"""Gradients of several micro-batches, added up to exactly the gradient of the batch they make together.

The mean over a batch is not the mean of the means of its parts where these weigh differently, as sequences of different
lengths do: the loss of each part counts by its weight over the weight of the whole. That is known at the end only, so
gradients are added up with a reference weight, and put right by one factor before the step. Where all weigh the same
and the window is full the factor is 1, and nothing is multiplied.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final, TypeVar, final

from ..errors import UsageError

Batch = TypeVar("Batch")
Reductions: Final = ("mean", "sum")


def world_size() -> int:
    """How many processes train together: what torch.distributed says, else the launcher, else 1."""
    distributed = _distributed()
    if distributed is not None:
        return int(distributed.get_world_size())
    told = os.environ.get("WORLD_SIZE", "")
    return int(told) if told.isdigit() and int(told) > 0 else 1


def _distributed() -> Any:
    distributed = sys.modules.get("torch.distributed")
    ready = distributed is not None and distributed.is_available() and distributed.is_initialized()
    return distributed if ready else None


@final
class Accumulation:
    """Adds up the gradients of micro-batches and steps the optimizer; see `gitrepro.accumulate`.

    Attributes:
        windows: the optimizer steps so far.
        micro_batches: the backward passes so far.
        ragged: how many windows had fewer micro-batches than asked for.
        empty: how many windows weighed nothing and made no step.
        weight: the weight of all micro-batches so far in this process; a tensor where weights are tensors.
    """

    def __init__(
        self,
        model: Any,
        optimizer: Any,
        *,
        steps: int,
        scaler: Any = None,
        clip_norm: float | None = None,
        reduction: str = "mean",
        stepped: Callable[[Accumulation], None] = lambda _: None,
    ) -> None:
        _check(steps, reduction, clip_norm)
        self.steps = steps
        self.windows = self.micro_batches = self.ragged = self.empty = 0
        self.weight: Any = 0
        self._model = model
        self._optimizer = optimizer
        self._scaler = scaler
        self._clip_norm = clip_norm
        self._reduction = reduction
        self._stepped = stepped
        self._inside = 0
        self._total: Any = 0
        self._reference: Any = None
        self._last = False
        self._iterating = False

    def over(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Go through micro-batches. The last window may be shorter, and is known for it.

        With DistributedDataParallel the gradients are exchanged once a window: all but its last micro-batch run inside
        `no_sync`, forward and backward.
        """
        self._iterating = True
        try:
            for batch, final_one in _with_last(batches):
                self._last = final_one or self._inside == self.steps - 1
                with self._quiet():
                    yield batch
        finally:
            self._iterating = self._last = False

    def _quiet(self) -> AbstractContextManager[Any]:
        no_sync = getattr(self._model, "no_sync", None)
        return nullcontext() if self._last or no_sync is None else no_sync()

    def backward(self, loss: Any, *, weight: Any = 1) -> bool:
        """Add the gradients of one micro-batch, and step where its window is full or the data ends.

        Args:
            loss: a scalar tensor: the mean over the micro-batch, or the sum with `reduction="sum"`.
            weight: over how much it is the mean: the samples, or the tokens that count; a number, or a tensor of one,
                which is not read by this process.

        Returns:
            Whether the optimizer was stepped, and its gradients cleared.

        Raises:
            UsageError: the weight is negative, or no number.
        """
        _check_weight(weight)
        if self._reference is None:
            self._reference = self._agreed(weight)
        share = weight if self._reduction == "mean" else 1
        loss = loss if _is_zero(weight) else loss * _ratio(share, self._reference * self.steps)
        # A mean over nothing is NaN: its part is zero, and other ranks wait for this one all the same.
        self._differentiate(loss.nan_to_num() * 0 if _is_zero(weight) else loss)
        self._total = self._total + weight
        self._inside += 1
        self.micro_batches += 1
        if self._inside < self.steps and not (self._iterating and self._last):
            return False
        return self._step()

    def flush(self) -> bool:
        """Step with what has been added up since the last step. Not needed with `over`.

        With DistributedDataParallel use `over`, which tells it beforehand which micro-batch is the last.
        """
        return self._step() if self._inside else False

    def _differentiate(self, loss: Any) -> None:
        if hasattr(self._scaler, "note_step"):
            self._scaler.backward(loss)
        elif self._scaler is not None:
            self._scaler.scale(loss).backward()
        else:
            loss.backward()

    def _agreed(self, weight: Any) -> Any:
        """The reference: one for all ranks, for what they have is averaged before the factor is known."""
        reference = weight.detach().clone() if hasattr(weight, "detach") else weight
        if _is_zero(reference):
            reference = 1
        distributed = _distributed()
        if distributed is None or distributed.get_world_size() == 1:
            return reference
        told = self._tensor(reference)
        distributed.broadcast(told, src=0)
        return told if hasattr(weight, "detach") else float(told.item())

    def _tensor(self, value: Any) -> Any:
        import torch

        device = next(p.device for group in self._optimizer.param_groups for p in group["params"])
        return torch.as_tensor(value, dtype=torch.float64 if device.type != "mps" else torch.float32, device=device)

    def _step(self) -> bool:
        inside, total = self._inside, self._total
        self._inside, self._total = 0, 0
        everything, world = self._summed(total)
        if _is_zero(everything):
            self._optimizer.zero_grad()
            self.empty += 1
            return False
        scaler = None if self._scaler is None else _scaler_of(self._scaler)
        if scaler is not None:
            scaler.unscale_(self._optimizer)
        self._correct(_ratio(self._reference * self.steps * world, everything))
        if self._clip_norm is not None:
            import torch

            torch.nn.utils.clip_grad_norm_([p for p in self._parameters() if p.grad is not None], self._clip_norm)
        if scaler is None:
            self._optimizer.step()
        else:
            scaler.step(self._optimizer)
            scaler.update()
        if hasattr(self._scaler, "note_step"):
            self._scaler.note_step(self._optimizer)
        self._optimizer.zero_grad()
        self.windows += 1
        self.ragged += inside < self.steps
        self.weight = self.weight + total
        self._stepped(self)
        return True

    def _summed(self, total: Any) -> tuple[Any, int]:
        """The weight of the window over all ranks, and how many these are."""
        distributed = _distributed()
        if distributed is None or not hasattr(self._model, "no_sync"):
            return total, 1
        told = self._tensor(total)
        distributed.all_reduce(told)
        return (told if hasattr(total, "detach") else float(told.item())), int(distributed.get_world_size())

    def _parameters(self) -> Iterator[Any]:
        for group in self._optimizer.param_groups:
            yield from group["params"]

    def _correct(self, factor: Any) -> None:
        if not hasattr(factor, "detach") and factor == 1:
            return
        import torch

        grads = [p.grad for p in self._parameters() if p.grad is not None]
        with torch.no_grad():
            for grad in grads:
                grad.mul_(factor.to(grad.dtype) if hasattr(factor, "to") else factor)


def _scaler_of(given: Any) -> Any:
    """A scaler of torch's, or the one in what `run.precision` gave."""
    return getattr(given, "scaler", given)


def _ratio(one: Any, other: Any) -> Any:
    if hasattr(one, "detach") or hasattr(other, "detach"):
        import torch

        quotient = one / torch.as_tensor(other)
        # Nothing weighed anything: no number of gradients is right, and none is not NaN.
        return torch.where(torch.isfinite(quotient), quotient, torch.zeros_like(quotient))
    return one / other


def _is_zero(weight: Any) -> bool:
    """Of a number; a tensor is not read, for that would wait for its device."""
    return not hasattr(weight, "detach") and weight == 0


def _with_last(batches: Iterable[Batch]) -> Iterator[tuple[Batch, bool]]:
    """Each of them, and whether it is the last."""
    each = iter(batches)
    try:
        held = next(each)
    except StopIteration:
        return
    for following in each:
        yield held, False
        held = following
    yield held, True


def _check(steps: Any, reduction: str, clip_norm: Any) -> None:
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise UsageError(f"steps is {steps!r:.60}", why="it counts micro-batches", do="give an integer from 1 up")
    if reduction not in Reductions:
        raise UsageError(f"there is no reduction {reduction!r:.60}", do='give "mean" or "sum"')
    if clip_norm is not None and not clip_norm > 0:
        raise UsageError(f"clip_norm is {clip_norm!r:.60}", do="give a number above 0, or None")


def _check_weight(weight: Any) -> None:
    if hasattr(weight, "detach"):
        return
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight < float("inf"):
        raise UsageError(
            f"the weight of a micro-batch is {weight!r:.60}", do="give the number of its samples, or of its tokens"
        )
