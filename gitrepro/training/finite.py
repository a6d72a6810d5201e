"""Numbers that lie on a device, counted there and read together at a stated schedule."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Iterator
from typing import Any, Final, final

CPU: Final = "cpu"


def on_device(value: Any) -> bool:
    """Whether to read `value` would stop the caller until a device has caught up."""
    device = getattr(value, "device", None)
    return getattr(device, "type", CPU) != CPU and hasattr(value, "detach")


@final
class Waiting:
    """Single numbers on devices, kept as they were when they came. Nothing is read until `read`."""

    def __init__(self) -> None:
        self._waiting: list[tuple[str, int, Any]] = []

    def add(self, name: str, step: int, value: Any) -> None:
        """Keep a copy of a tensor of one element; a later step cannot change it."""
        self._waiting.append((name, step, value.detach().clone().reshape(())))

    def read(self) -> Iterator[tuple[str, int, float]]:
        """Names, steps and numbers in the order in which they came, with one synchronisation a device."""
        waiting, self._waiting = self._waiting, []
        numbers = iter(together([value for _, _, value in waiting]))
        yield from ((name, step, next(numbers)) for name, step, _ in waiting)


def together(values: list[Any]) -> list[float]:
    """The numbers of tensors of one element each, in their order, with one synchronisation a device."""
    torch = sys.modules["torch"] if values else None
    found = [math.nan] * len(values)
    places: dict[Any, list[int]] = {}
    for place, value in enumerate(values):
        places.setdefault(value.device, []).append(place)
    for of_device in places.values():
        assert torch is not None
        stacked = torch.stack([values[place].to(torch.float32) for place in of_device])
        for place, number in zip(of_device, stacked.cpu().tolist(), strict=True):
            found[place] = number
    return found


@final
class Counted:
    """Tensors of gradients and weights that are not finite: counted on their device, and read every so many steps.

    A tensor is not finite when its norm is not. On the CPU that takes the time of the training, so gradients are
    looked at only when it is time to read; on a device at each step.

    Args:
        every_steps: when it is time to read.

    Attributes:
        norms: the norm of all gradients of each step on a device, waiting there.
    """

    def __init__(self, *, every_steps: int, gradients: bool, weights: bool) -> None:
        self._every_steps = every_steps
        self._gradients = gradients
        self._weights = weights
        self._counts: dict[tuple[str, Any], Any] = {}
        self.norms = Waiting()

    def before(self, optimizer: Any, number: int, step: int) -> None:
        """An optimizer is about to step: its gradients are there.

        Args:
            number: of steps that the training has done.
            step: under which the norm is kept.
        """
        # A scaler that leaves the check to the optimizer hands over gradients that are scaled, or to be skipped.
        scaled = getattr(optimizer, "grad_scale", None) is not None or getattr(optimizer, "found_inf", None) is not None
        if self._gradients and not scaled:
            found = [each.grad for each in _parameters(optimizer) if getattr(each, "grad", None) is not None]
            self._look("gradients", found, due=self.due(number), step=step)

    def after(self, optimizer: Any, number: int) -> None:
        """An optimizer has stepped: its weights are the new ones."""
        if self._weights and self.due(number):
            self._look("weights", list(_parameters(optimizer)), due=True, step=None)

    def due(self, number: int) -> bool:
        """Whether it is time to read at this step of the training."""
        return number % self._every_steps == self._every_steps - 1

    def read(self) -> dict[str, int]:
        """How many tensors of each kind were not finite since the last reading; one synchronisation a device."""
        counts, self._counts = self._counts, {}
        found: dict[str, int] = {}
        for (what, _), number in zip(counts, together(list(counts.values())), strict=True):
            found[what] = found.get(what, 0) + int(number)
        return found

    def _look(self, what: str, tensors: list[Any], *, due: bool, step: int | None) -> None:
        by_device: dict[Any, list[Any]] = {}
        for each in map(_plain, tensors):
            if each.is_floating_point() and each.numel() and (due or each.device.type != CPU):
                by_device.setdefault((each.device, each.dtype), []).append(each.detach())
        for (device, _), found in by_device.items():
            norms = _norms(found)
            count = (~norms.isfinite()).sum()
            key = (what, device)
            self._counts[key] = self._counts[key] + count if key in self._counts else count
            if step is not None and device.type != CPU and len(by_device) == 1:
                self.norms.add("gradients", step, norms.norm())


def _norms(tensors: list[Any]) -> Any:
    """The norm of each, float32, shape (n,): of half precision it would overflow."""
    torch = sys.modules["torch"]
    if tensors[0].dtype in (torch.float16, torch.bfloat16):
        return torch.stack([torch.linalg.vector_norm(each, dtype=torch.float32) for each in tensors])
    return torch.stack(list(torch._foreach_norm(tensors))).to(torch.float32)


def _parameters(optimizer: Any) -> Iterable[Any]:
    return (each for group in optimizer.param_groups for each in group["params"])


def _plain(tensor: Any) -> Any:
    """What of a tensor lies here: its part of a sharded one, the values of a sparse one."""
    tensor = tensor.to_local() if hasattr(tensor, "to_local") else tensor
    return tensor._values() if getattr(tensor, "is_sparse", False) else tensor
