"""Out of memory: what shows it, which memory it was, and what to try.

A program that says "out of memory" and goes on, or fails of something else, has not run out of memory: such words are
told as a hint and decide nothing. What decides is the exception that ended the program, or the kernel's own count.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

GPU: Final = "gpu"
HOST: Final = "host"

# What launchers put before each line of a rank: torchrun, Lightning, srun --label.
_PREFIX: Final = r"(?:\[[\w .:-]{1,40}\][: ]*|\d{1,5}: +)*"
_EXCEPTION: Final = re.compile(
    rf"^{_PREFIX}(?P<what>(?:[A-Za-z_]\w*\.)*[A-Za-z_]\w*(?:Error|Exception|Interrupt|Exit)\b(?::.*)?)$", re.MULTILINE
)
# A ValueError that speaks of memory is an opinion of the program's.
_OF_A_DEVICE: Final = frozenset(
    "RuntimeError AcceleratorError CUDARuntimeError XlaRuntimeError JaxRuntimeError ResourceExhaustedError "
    "InternalError Error".split()
)
_GPU_WORDS: Final = re.compile(
    r"(?:CUDA|HIP|ROCm|MPS|XPU|NPU) (?:error: )?(?:backend )?out of memory|CUDNN_STATUS_ALLOC_FAILED"
    r"|CUBLAS_STATUS_ALLOC_FAILED|CUDA_ERROR_OUT_OF_MEMORY|cudaErrorMemoryAllocation",
    re.IGNORECASE,
)
_EXHAUSTED: Final = re.compile(r"RESOURCE_EXHAUSTED|ResourceExhaustedError|OOM when allocating", re.IGNORECASE)
_HOST_WORDS: Final = re.compile(
    r"DefaultCPUAllocator: (?:can't allocate|not enough) memory|Cannot allocate memory|std::bad_alloc",
    re.IGNORECASE,
)
_LOADER_KILLED: Final = re.compile(r"DataLoader worker \(pid(?:\(s\))? [\d, ]+\) is killed by signal: Killed")
_LOADER_GONE: Final = re.compile(r"DataLoader worker \(pid(?:\(s\))? [\d, ]+\) (?:is killed|exited unexpectedly)")
_SLURM: Final = re.compile(
    r"^.*slurmstepd: error: .*(?:oom[-_ ]kill|Exceeded (?:step|job) memory limit).*$"
    r"|^.*srun: error: .*(?:Out Of Memory|OUT_OF_MEMORY).*$",
    re.MULTILINE | re.IGNORECASE,
)
_TORCHRUN_KILLED: Final = re.compile(r"^ *exitcode *: -9 \(pid: \d+\)", re.MULTILINE)
_LOOSE: Final = re.compile(r"^.*\b(?:out of memory|oom[- ]kill|MemoryError)\b.*$", re.MULTILINE | re.IGNORECASE)
_SIZE: Final = r"([\d.]+) (B|[KMGT]i?B)"
_UNITS: Final = {"B": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_AMOUNTS: Final = {
    "tried_to_allocate_bytes": re.compile(rf"[Tt]ried to allocate {_SIZE}"),
    "gpu_total_bytes": re.compile(rf"total capacity of {_SIZE}|{_SIZE} total capacity"),
    "gpu_free_bytes": re.compile(rf"of which {_SIZE} is free|{_SIZE} free"),
    "gpu_allocated_bytes": re.compile(rf"{_SIZE} is allocated by PyTorch|{_SIZE} already allocated"),
}
_SEEN_CHARACTERS: Final = 300
_CAUSES_AT_MOST: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What was seen of a lack of memory.

    Attributes:
        memory: `gpu` or `host`; None where it did not run out.
        seen: what shows it, each a sentence or the line itself; without `memory` these are hints.
        amounts: sizes that the message told, in bytes.
    """

    memory: str | None
    seen: tuple[str, ...] = ()
    amounts: Mapping[str, int] = field(default_factory=dict)


def of_program(output: str, *, killed: bool, kernel_kills: int) -> Evidence:
    """Judge a program by its last words and how it ended, when it did not end well.

    Args:
        killed: whether a SIGKILL ended it.
        kernel_kills: how many processes of its cgroup the kernel killed for memory while it ran.
    """
    counted = f"the kernel killed {kernel_kills} process{'es' if kernel_kills > 1 else ''} of its cgroup for memory"
    kernel = [counted] if kernel_kills > 0 else []
    slurm = [match[0].strip()[:_SEEN_CHARACTERS] for match in _SLURM.finditer(output)][:3]
    last = _last_exception(output)
    memory = memory_of(last)
    if memory:
        return Evidence(memory=memory, seen=(last[:_SEEN_CHARACTERS], *kernel, *slurm), amounts=amounts(last))
    if _LOADER_GONE.search(last) and (worker := _LOADER_KILLED.search(output)):
        return Evidence(memory=HOST, seen=(worker[0], *kernel, *slurm))
    if slurm or (kernel and (killed or _TORCHRUN_KILLED.search(output))):
        return Evidence(memory=HOST, seen=(*kernel, *slurm))
    loose = [match[0].strip()[:_SEEN_CHARACTERS] for match in _LOOSE.finditer(output)][-3:]
    return Evidence(memory=None, seen=(*kernel, *loose))


def _last_exception(output: str) -> str:
    """The exception that a Python program ended with, as it stands in its output; of several ranks, the first to go.

    Where rank 1 has no memory left, rank 0 fails a moment later of a broken connection: each has a traceback, and
    a launcher marks the lines of each.
    """
    found = list(_EXCEPTION.finditer(output))
    by_rank = {match[0][: match.start("what") - match.start()]: match["what"] for match in found}
    lasts = list(by_rank.values())
    return next((what for what in lasts if memory_of(what)), lasts[-1] if lasts else "")


def memory_of(exception: str) -> str | None:
    """Which memory an exception speaks of, from its type and message; None for another exception."""
    kind, _, message = exception.partition(":")
    name = kind.rpartition(".")[2]
    if name == "OutOfMemoryError" or (name in _OF_A_DEVICE and _GPU_WORDS.search(message)):
        return GPU
    if name in ("MemoryError", "_ArrayMemoryError"):
        return HOST
    if name in _OF_A_DEVICE and _EXHAUSTED.search(exception):
        return HOST if re.search(r"\bCPU\b|host memory", message) else GPU
    if name in ("RuntimeError", "OSError") and (_HOST_WORDS.search(message) or _LOADER_KILLED.search(message)):
        return HOST
    return None


def amounts(message: str) -> dict[str, int]:
    """The sizes that a message of torch tells, in bytes."""
    found = {}
    for name, pattern in _AMOUNTS.items():
        if match := pattern.search(message):
            number, unit = [group for group in match.groups() if group]
            found[name] = int(float(number) * _UNITS[unit[0]])
    return found


def advice(memory: str) -> str:
    """What to try, by the memory that ran out."""
    if memory == GPU:
        return (
            "halve the batch size and accumulate gradients over two steps, which keeps the effective batch; "
            "use bf16 autocast or activation checkpointing; look for tensors kept across steps, as a loss that is "
            "summed without `.item()`"
        )
    return (
        "use fewer loader workers or a smaller `prefetch_factor`; read the data in pieces or memory-map it; halve the "
        "batch size and accumulate gradients; or ask for more memory, as `sbatch --mem`"
    )


# -- the batch

_BATCH: Final = (
    "per_device_train_batch_size",
    "train_batch_size",
    "micro_batch_size",
    "batch_size",
    "batch",
    "bs",
)
_ACCUMULATION: Final = (
    "gradient_accumulation_steps",
    "accumulate_grad_batches",
    "accumulation_steps",
    "grad_accum_steps",
    "grad_accumulation",
    "accumulate",
)


def batch(values: Mapping[str, Any], *, world_size: int) -> dict[str, Any] | None:
    """The effective batch, where the config tells the batch of a process: times accumulation, times processes.

    Args:
        values: the config by dotted key.
    """
    size = _named(values, _BATCH)
    if size is None:
        return None
    accumulation = _named(values, _ACCUMULATION) or 1
    return {
        "accumulation_steps": accumulation,
        "effective": size * accumulation * world_size,
        "per_process": size,
        "world_size": world_size,
    }


def _named(values: Mapping[str, Any], names: Sequence[str]) -> int | None:
    for name in names:
        for key, value in values.items():
            last = key.rpartition(".")[2].replace("-", "_").lower()
            if last == name and isinstance(value, int) and not isinstance(value, bool) and value > 0:
                return value
    return None


def of_exception(error: BaseException) -> Evidence:
    """Judge what left a Python program: the exception, or one that it was raised `from`."""
    each: BaseException | None = error
    for _ in range(_CAUSES_AT_MOST):
        if each is None:
            break
        told = _told(each)
        if memory := memory_of(told):
            return Evidence(memory=memory, seen=(told[:_SEEN_CHARACTERS],), amounts=amounts(told))
        each = each.__cause__
    return Evidence(memory=None)


def _told(error: BaseException) -> str:
    kind = "MemoryError" if isinstance(error, MemoryError) else type(error).__name__
    try:
        return f"{kind}: {error}"
    except Exception:  # noqa: BLE001 - an exception of the user's whose own text fails
        return f"{kind}:"


def peak_gpu_bytes() -> int | None:
    """The most that torch has had allocated on one GPU; None where it has woken none."""
    torch = sys.modules.get("torch")
    try:
        if torch is None or not torch.cuda.is_initialized():
            return None
        return max(int(torch.cuda.max_memory_allocated(index)) for index in range(torch.cuda.device_count()))
    except Exception:  # noqa: BLE001 - a half-imported torch or a lost device must not stop the program
        return None
