"""What the machine under a training gives: processor time, memory of hosts and devices, energy.

Counters are read, nothing else: no device is woken, none is waited for. What cannot be read is left out. Energy is that
of the whole GPU (NVML, through nvidia-ml-py where it is installed) and of the whole processor package (RAPL, where the
system lets us read it): others on the same machine are in it.

This file is also loaded beside `meters.py` into interpreters where gitrepro is not installed, before the user's program
begins. So it imports the standard library only, as little of that as it can, and its syntax is that of Python 3.8.
"""

# pathlib is an import that the program would pay for.
# ruff: noqa: PTH118, PTH208
from __future__ import annotations

import os
import sys
from time import perf_counter

TYPE_CHECKING = False  # as typing has it, without importing typing
if TYPE_CHECKING:
    from typing import Any

_RAPL = "sys/class/powercap"


class Power:
    """Reads the counters from `begin()` on.

    Args:
        root: where the system's files are found.
    """

    def __init__(self, *, root: str = "/") -> None:
        self._root = root
        self._began = perf_counter()
        self._cpu_began = _cpu_seconds()
        self._packages: dict[str, _Package] = {}
        self._devices: dict[int, _Device] = {}
        self._nvml: Any = None

    def begin(self) -> None:
        """The training steps for the first time: what it uses is awake by now."""
        self._began, self._cpu_began = perf_counter(), _cpu_seconds()
        folder = os.path.join(self._root, _RAPL)
        for name in _listed(folder):
            # `intel-rapl:0` is a package, `intel-rapl:0:1` a part of it that is in the package's sum.
            if name.startswith("intel-rapl:") and name.count(":") == 1:
                package = _Package(os.path.join(folder, name))
                if package.known:
                    self._packages[name] = package
        self._meet_devices()

    def document(self) -> dict[str, Any]:
        """What was used so far; sizes in bytes, energy in joules."""
        self._meet_devices()
        told: dict[str, Any] = {}
        seconds = perf_counter() - self._began
        cpu_seconds = _cpu_seconds() - self._cpu_began
        if seconds > 0 and cpu_seconds >= 0:
            told["cpu_seconds"] = cpu_seconds
            told["cpu_utilisation"] = cpu_seconds / seconds / _cores()
        peak_bytes = _peak_bytes()
        if peak_bytes:
            told["peak_host_bytes"] = peak_bytes
        if self._devices:
            told["devices"] = [device.document() for device in self._devices.values()]
        energy = self._energy()
        if energy:
            told["energy_joules"] = energy
        return told

    def _energy(self) -> dict[str, float]:
        packages = [joules for joules in (each.joules() for each in self._packages.values()) if joules is not None]
        devices = [each.joules for each in self._devices.values() if each.joules is not None]
        energy = {}
        if packages:
            energy["cpu"] = sum(packages)
        if devices:
            energy["gpu"] = sum(devices)
        return energy

    def _meet_devices(self) -> None:
        """The devices on which this process holds memory."""
        cuda = getattr(sys.modules.get("torch"), "cuda", None)
        try:
            if cuda is None or not cuda.is_initialized():
                return
            for index in range(cuda.device_count()):
                if index not in self._devices and cuda.max_memory_reserved(index):
                    self._devices[index] = _Device(cuda, index, self._handle(cuda, index))
        except Exception:  # noqa: BLE001 - a lost device must not stop the program
            return

    def _handle(self, cuda: Any, index: int) -> Any:
        """NVML's view of the device, by its UUID, since the indices of the two need not agree."""
        try:
            import pynvml

            if self._nvml is None:
                pynvml.nvmlInit()
                self._nvml = pynvml
            return pynvml, pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{cuda.get_device_properties(index).uuid}")
        except Exception:  # noqa: BLE001 - not installed, no driver, or a part of a device that NVML does not count
            return None


class _Device:
    """One CUDA device that this process uses."""

    def __init__(self, cuda: Any, index: int, handle: Any) -> None:
        self._cuda = cuda
        self._index = index
        self._handle = handle
        self._began = perf_counter()
        self._joules_began = self._joules_now()
        self._loads: list[int] = []
        self.joules: float | None = None
        self._look()

    def _joules_now(self) -> float | None:
        try:
            nvml, handle = self._handle
            return float(nvml.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1000.0
        except Exception:  # noqa: BLE001 - before Volta, or no NVML
            return None

    def _look(self) -> None:
        now = self._joules_now()
        if now is not None and self._joules_began is not None:
            self.joules = max(0.0, now - self._joules_began)
        try:
            nvml, handle = self._handle
            self._loads.append(int(nvml.nvmlDeviceGetUtilizationRates(handle).gpu))
        except Exception:  # noqa: BLE001 - as above
            return

    def document(self) -> dict[str, Any]:
        self._look()
        told: dict[str, Any] = {
            "name": str(self._cuda.get_device_name(self._index)),
            "peak_allocated_bytes": int(self._cuda.max_memory_allocated(self._index)),
            "peak_reserved_bytes": int(self._cuda.max_memory_reserved(self._index)),
            "seconds": perf_counter() - self._began,
        }
        if self._loads:
            told["utilisation"] = sum(self._loads) / len(self._loads) / 100.0
        if self.joules is not None:
            told["energy_joules"] = self.joules
        return told


class _Package:
    """The energy counter of one processor package, which starts over when it is full."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._last = _number(os.path.join(folder, "energy_uj"))
        self._range = _number(os.path.join(folder, "max_energy_range_uj"))
        self._sum = 0
        self.known = self._last is not None

    def joules(self) -> float | None:
        now = _number(os.path.join(self._folder, "energy_uj"))
        if now is None or self._last is None:
            return None
        if now >= self._last:
            self._sum += now - self._last
        elif self._range:
            self._sum += now + self._range - self._last
        self._last = now
        return self._sum / 1e6


def _cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except (AttributeError, OSError):  # not on macOS, and a sandbox may forbid it
        return os.cpu_count() or 1


def _peak_bytes() -> int:
    """The largest memory that this process, or one child of it, ever had."""
    try:
        import resource
    except ImportError:  # not on Windows
        return 0
    peaks = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return max(peaks) * (1 if sys.platform == "darwin" else 1024)


def _number(path: str) -> int | None:
    try:
        with open(path, encoding="ascii") as file:
            return int(file.read(64))
    except (OSError, ValueError):
        return None


def _listed(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []
