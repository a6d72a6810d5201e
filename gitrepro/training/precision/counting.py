"""The dtypes that one training step meets."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from typing import Any, Final, final

_PRODUCTS: Final = ("mm", "bmm", "addmm", "baddbmm", "convolution", "convolution_backward", "dot")


@final
class Counting:
    """Counts the dtypes of what operations give."""

    def __init__(self) -> None:
        self.outputs: Counter[str] = Counter()
        self.products: Counter[str] = Counter()
        self._mode: Any = None

    def mode(self) -> Any:
        """A context in which every operation of torch is counted; what it computes does not change."""
        if self._mode is None:
            self._mode = _mode(self.note)
        return self._mode

    def note(self, name: str, output: Any) -> None:
        for tensor in output if isinstance(output, tuple | list) else (output,):
            dtype = getattr(tensor, "dtype", None)
            if dtype is not None and dtype.is_floating_point:
                self.outputs[str(dtype)] += 1
                if name in _PRODUCTS or "attention" in name:
                    self.products[str(dtype)] += 1

    def document(self) -> dict[str, Any]:
        found = {"outputs": dict(sorted(self.outputs.items())), "products": dict(sorted(self.products.items()))}
        return {name: counts for name, counts in found.items() if counts}


def _mode(note: Callable[[str, Any], None]) -> Any:
    from torch.utils._python_dispatch import TorchDispatchMode

    class Observing(TorchDispatchMode):  # type: ignore[no-untyped-call]
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            output = func(*args, **(kwargs or {}))
            note(func.overloadpacket.__name__, output)
            return output

    return Observing()  # type: ignore[no-untyped-call]


def compiles() -> bool:
    """Whether something was given to `torch.compile` in this process."""
    dynamo = sys.modules.get("torch._dynamo.eval_frame")
    return any(getattr(dynamo, "cached_backends", {}).values())


def dtypes_of(optimizer: Any) -> dict[str, Any]:
    """Elements by dtype: of the parameters an optimizer moves, their gradients, and its state. Nothing is read."""
    parameters = [each for group in optimizer.param_groups for each in group["params"]]
    states = [each for state in optimizer.state.values() for each in state.values() if hasattr(each, "numel")]
    found: dict[str, Any] = {
        "parameters": _elements(parameters),
        "gradients": _elements([each.grad for each in parameters if each.grad is not None]),
        "optimizer_state": _elements(states),
    }
    eps = [group["eps"] for group in optimizer.param_groups if isinstance(group.get("eps"), float)]
    return {**found, **({"optimizer_eps": min(eps)} if eps else {})}


def _elements(tensors: list[Any]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for each in tensors:
        counts[str(each.dtype)] += int(each.numel())
    return dict(sorted(counts.items()))
