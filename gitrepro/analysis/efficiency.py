"""What a run cost: the reports of its processes put together, GPU-hours, money, and whether it waited for data."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeGuard

WAIT_WARN: Final = 0.10
WAIT_BOUND: Final = 0.30
"""The shares of a step spent waiting for data from which it is worth a word, and from which it limits the training."""

_SUMMED: Final = ("samples_per_second", "tokens_per_second", "cpu_seconds")
_LARGEST: Final = ("peak_host_bytes",)

Report = Mapping[str, Any]


def efficiency(
    reports: Sequence[Report],
    *,
    prices: Mapping[str, float],
    duration_seconds: float | None,
    cpu_seconds: float | None = None,
) -> dict[str, Any] | None:
    """Put together what the processes of a run measured, one report a rank, rank 0 first.

    Times are those of rank 0, which waits for the others; what goes through, energy and devices are summed; of the
    memory of hosts the largest counts.

    Args:
        prices: what an hour costs, by its name; see `cost_of`.
        duration_seconds: of the whole run, where it is known.
        cpu_seconds: of the whole run, where they are known; else those of its training.

    Returns:
        The field `efficiency` of a run; of one that took no training step what it cost; None where that is unknown too.
    """
    whole = dict(reports[0]) if reports else {}
    for name in _SUMMED:
        if found := [report[name] for report in reports if is_number(report.get(name))]:
            whole[name] = sum(found)
    for name in _LARGEST:
        if found := [report[name] for report in reports if is_number(report.get(name))]:
            whole[name] = max(found)
    if energy := _energy(reports):
        whole["energy_joules"] = energy
    devices = [device for report in reports for device in report.get("devices") or ()]
    if devices:
        whole["devices"] = devices
        whole["gpu_hours"] = sum(device["seconds"] for device in devices) / 3600.0
    if (flops := whole.get("flops_per_step")) and (p50 := (whole.get("step_seconds") or {}).get("p50")):
        whole["flops_per_second"] = flops / p50
    if len(reports) > 1:
        whole["ranks"] = len(reports)
    charged = whole if cpu_seconds is None else {**whole, "cpu_seconds": cpu_seconds}
    if cost := cost_of(charged, prices=prices, duration_seconds=duration_seconds):
        whole["cost"] = cost
    return whole or None


def _energy(reports: Iterable[Report]) -> dict[str, float]:
    """Of GPUs the sum; of processors the largest, since ranks on one host read the same counter."""
    told = [report.get("energy_joules") or {} for report in reports]
    energy = {}
    if devices := [each["gpu"] for each in told if "gpu" in each]:
        energy["gpu"] = sum(devices)
    if packages := [each["cpu"] for each in told if "cpu" in each]:
        energy["cpu"] = max(packages)
    return energy


def cost_of(
    measured: Report, *, prices: Mapping[str, float], duration_seconds: float | None = None
) -> dict[str, Any] | None:
    """What a run cost by a table of prices an hour.

    A device is charged by its name as its driver gives it, else as `gpu`; `cpu` is an hour of one core that was busy;
    `machine` an hour of the run. What has no price costs nothing.

    Returns:
        `amount`, in whatever currency the prices are, and `from`: for each price that was used its `hours` and
        `per_hour`. None where no price fits.
    """
    hours: dict[str, float] = {}
    for device in measured.get("devices") or ():
        name = device["name"] if device["name"] in prices else "gpu"
        hours[name] = hours.get(name, 0.0) + device["seconds"] / 3600.0
    if is_number(measured.get("cpu_seconds")):
        hours["cpu"] = measured["cpu_seconds"] / 3600.0
    if duration_seconds is not None:
        hours["machine"] = duration_seconds / 3600.0
    used = {name: {"hours": spent, "per_hour": prices[name]} for name, spent in hours.items() if name in prices}
    if not used:
        return None
    return {"amount": math.fsum(each["hours"] * each["per_hour"] for each in used.values()), "from": used}


def waiting(measured: Report) -> str:
    """Whether the training waits for its data: `input-bound`, `waits` or nothing.

    An experiment (`input_bound`) decides where one was made; without it the share of the time does.
    """
    tried = measured.get("input_test") or {}
    if "input_bound" in tried:
        return "input-bound" if tried["input_bound"] else ""
    share = measured.get("wait_share")
    if not is_number(share) or share <= WAIT_WARN:
        return ""
    return "input-bound" if share > WAIT_BOUND else "waits"


def is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
