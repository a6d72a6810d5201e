"""What the ranks of a training say together."""

from __future__ import annotations

import sys


def agreed(value: int) -> int:
    """The greatest of the values that the ranks give; the own one where there is one process.

    A collective: every rank of the default process group must call it, and it waits for all of them.

    Raises:
        RuntimeError: another rank is gone, as torch.distributed has it.
    """
    torch = sys.modules.get("torch")
    distributed = getattr(torch, "distributed", None)
    if torch is None or distributed is None or not distributed.is_available() or not distributed.is_initialized():
        return value
    device = "cuda" if distributed.get_backend() == "nccl" else "cpu"
    said = torch.tensor([value], dtype=torch.int32, device=device)
    distributed.all_reduce(said, op=distributed.ReduceOp.MAX)
    return int(said.item())
