"""The machine a run stands on, and what the run has used of it.

Standard library only, and nothing of gitrepro: this file is also loaded by its path into the interpreter of the program
that is recorded. No process is started and no device is woken. Nothing here raises: what cannot be read is left out.
"""

# pathlib is an import that the program would pay for.
# ruff: noqa: PTH118, PTH208
from __future__ import annotations

import os
import re
import sys

TYPE_CHECKING = False  # as typing has it, without importing typing
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

# A cgroup without a limit says a number near 2^63.
_UNLIMITED_BYTES = 1 << 60


def describe(*, root: str = "/") -> dict[str, Any]:
    """Processors, memory and GPUs, as they are and as far as this process may use them.

    Args:
        root: where the system's files are found.
    """
    found = {"cpu": _cpu(root), "memory": _memory(root), "gpus": _gpus(root), "gpu_driver": _gpu_driver(root)}
    return {name: value for name, value in found.items() if value}


# --- processors -------------------------------------------------------------------------------------------------------


def _cpu(root: str) -> dict[str, Any]:
    info = _read(os.path.join(root, "proc/cpuinfo"))
    model = re.search(r"^(?:model name|Model|Hardware|cpu model)\s*: *(.+)$", info, re.MULTILINE)
    found = {
        "model": model[1].strip() if model else None,
        "physical_cores": _physical_cores(info),
        "logical_cores": os.cpu_count(),
        "available_cores": _affinity(),
        "quota_cores": _quota(root),
    }
    return {name: value for name, value in found.items() if value is not None}


def _physical_cores(info: str) -> int | None:
    cores = set()
    for block in info.split("\n\n"):
        values = dict(re.findall(r"^(physical id|core id)\s*: *(\d+)$", block, re.MULTILINE))
        if "core id" in values:
            cores.add((values.get("physical id"), values["core id"]))
    return len(cores) or None


def _affinity() -> int | None:
    try:
        return len(os.sched_getaffinity(0))
    except (AttributeError, OSError):  # not on macOS, and a sandbox may forbid it
        return None


def _quota(root: str) -> float | None:
    """The processor share that cgroups allow, in cores; the tightest on the way up counts."""
    shares = []
    for version, folder in _cgroups(root, "cpu"):
        if version == 2:
            words = _read(os.path.join(folder, "cpu.max")).split()
            quota, period = (words[0], words[1]) if len(words) == 2 else ("max", "1")
        else:
            quota = _read(os.path.join(folder, "cpu.cfs_quota_us")).strip()
            period = _read(os.path.join(folder, "cpu.cfs_period_us")).strip()
        if quota.isdigit() and period.isdigit() and int(period) > 0:
            shares.append(int(quota) / int(period))
    return min(shares) if shares else None


# --- memory -----------------------------------------------------------------------------------------------------------


def _memory(root: str) -> dict[str, int]:
    found = {"total_bytes": _total_bytes(root), "limit_bytes": _limit_bytes(root)}
    return {name: value for name, value in found.items() if value is not None}


def _total_bytes(root: str) -> int | None:
    match = re.search(r"^MemTotal:\s*(\d+) kB", _read(os.path.join(root, "proc/meminfo")), re.MULTILINE)
    if match:
        return int(match[1]) * 1024
    if root != "/":
        return None
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def available_bytes(*, root: str = "/") -> int:
    """Host memory that a new process may take now, before the machine begins to swap; no limit of a container in it."""
    match = re.search(r"^MemAvailable:\s*(\d+) kB", _read(os.path.join(root, "proc/meminfo")), re.MULTILINE)
    return int(match[1]) * 1024 if match else os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _limit_bytes(root: str) -> int | None:
    limits = []
    for version, folder in _cgroups(root, "memory"):
        text = _read(os.path.join(folder, "memory.max" if version == 2 else "memory.limit_in_bytes")).strip()
        if text.isdigit() and int(text) < _UNLIMITED_BYTES:
            limits.append(int(text))
    return min(limits) if limits else None


def cgroup_oom_kills(*, process: str = "self", root: str = "/") -> dict[str, int]:
    """How many processes the kernel has killed for memory, by cgroup: that of a process; empty when it does not say.

    Args:
        process: the id of a process that lives.
        root: where the system's files are found.
    """
    for _version, folder in _cgroups(root, "memory", process):
        count = oom_kills_in(folder)
        if count is not None:
            return {folder: count}
    return {}


def oom_kills_in(folder: str) -> int | None:
    """The kernel's count for the cgroup at `folder`; None when there is none."""
    for name in ("memory.events", "memory.oom_control"):  # of cgroup version 2, of version 1
        match = re.search(r"^oom_kill (\d+)$", _read(os.path.join(folder, name)), re.MULTILINE)
        if match:
            return int(match[1])
    return None


def _cgroups(root: str, controller: str, process: str = "self") -> Iterator[tuple[int, str]]:
    """The folders of a process's cgroup and of those around it, innermost first, with the cgroup version."""
    for line in _read(os.path.join(root, "proc", process, "cgroup")).splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            for mount in ("sys/fs/cgroup", "sys/fs/cgroup/unified"):
                yield from ((2, folder) for folder in _upwards(os.path.join(root, mount), path))
        elif controller in controllers.split(","):
            for mount in (controller, controllers):
                yield from ((1, folder) for folder in _upwards(os.path.join(root, "sys/fs/cgroup", mount), path))


def _upwards(mount: str, path: str) -> list[str]:
    """A container often sees its own cgroup at the mount, under whatever path the host gave it."""
    parts = [part for part in path.split("/") if part not in ("", ".", "..")]
    return [os.path.join(mount, *parts[:count]) for count in range(len(parts), -1, -1)]


# --- GPUs -------------------------------------------------------------------------------------------------------------


def _gpus(root: str) -> list[dict[str, Any]]:
    return _gpus_of_torch() or _gpus_of_driver(root)


def _gpus_of_driver(root: str) -> list[dict[str, Any]]:
    base = os.path.join(root, "proc/driver/nvidia/gpus")
    found = []
    for slot in _listed(base):
        match = re.search(r"^Model:\s*(.+)$", _read(os.path.join(base, slot, "information")), re.MULTILINE)
        if match:
            found.append({"name": match[1].strip()})
    return found


def _gpus_of_torch() -> list[dict[str, Any]]:
    """What torch sees, when the program has it loaded and its CUDA awake already."""
    torch = sys.modules.get("torch")
    try:
        if torch is None or not torch.cuda.is_initialized():
            return []
        properties = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
        return [
            {"name": each.name, "memory_bytes": each.total_memory, "capability": f"{each.major}.{each.minor}"}
            for each in properties
        ]
    except Exception:  # noqa: BLE001 - a half-imported torch or a lost device must not stop the program
        return []


def _gpu_driver(root: str) -> str | None:
    text = _read(os.path.join(root, "proc/driver/nvidia/version"))
    match = re.search(r"NVRM version:.*?Kernel Module.*?\s(\d+\.\d+(?:\.\d+)?)\s", text)
    return match[1] if match else None


# --- use --------------------------------------------------------------------------------------------------------------


def usage() -> dict[str, Any]:
    """Processor time and peak memory of this process and of its ended children.

    `peak_memory_bytes` is the largest of any one process, not their sum: the kernel keeps no peak of the sum.
    """
    try:
        import resource
    except ImportError:  # not on Windows
        return {}
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    unit_bytes = 1 if sys.platform == "darwin" else 1024
    return {
        "cpu_user_seconds": own.ru_utime + children.ru_utime,
        "cpu_system_seconds": own.ru_stime + children.ru_stime,
        "peak_memory_bytes": max(own.ru_maxrss, children.ru_maxrss) * unit_bytes,
    }


# --- reading without failing ------------------------------------------------------------------------------------------


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(8 << 20)
    except (OSError, ValueError):
        return ""


def _listed(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []
