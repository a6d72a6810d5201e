"""What is in force as a training begins, and can change a number: the part of a trace that is said once.

This file is also loaded beside `tracing.py` into interpreters where gitrepro is not installed. So it imports the
standard library only, and its syntax is that of Python 3.8.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # as typing has it, without importing typing
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


def setting(optimizer: Any, model: Any = None) -> dict[str, Any]:
    """What is in force as the first step is made, and can change a number: versions, threads, flags, layers."""
    torch = sys.modules["torch"]
    told: dict[str, Any] = {
        "torch": str(torch.__version__),
        "threads": int(torch.get_num_threads()),
        "deterministic": bool(torch.are_deterministic_algorithms_enabled()),
        "cpu": str(torch.backends.cpu.get_cpu_capability()),
        "matmul": str(torch.get_float32_matmul_precision()),
        "optimizer": _optimizer(optimizer),
        "device": _device(optimizer),
    }
    if told["device"].startswith("cuda"):
        told["cudnn_benchmark"] = bool(torch.backends.cudnn.benchmark)
        told["cudnn_tf32"] = bool(torch.backends.cudnn.allow_tf32)
        told["gpu"] = str(torch.cuda.get_device_name())
    if model is not None:
        told["dropout"] = _dropout(model)
    return told


def _optimizer(optimizer: Any) -> dict[str, Any]:
    plain = (bool, int, float, str)
    groups = [
        {str(name): value for name, value in sorted(group.items()) if isinstance(value, plain)}
        for group in optimizer.param_groups[:8]
    ]
    return {"type": type(optimizer).__name__, "groups": groups}


def _device(optimizer: Any) -> str:
    held: Mapping[str, Any] = optimizer.param_groups[0]
    return str(held["params"][0].device) if held["params"] else "cpu"


def _dropout(model: Any) -> list[float]:
    """The rates of the dropout layers that are at work."""
    layers = (
        each
        for each in model.modules()
        if type(each).__name__.endswith(("Dropout", "Dropout1d", "Dropout2d", "Dropout3d"))
    )
    return [float(each.p) for each in layers if each.training and isinstance(each.p, float)][:64]
