"""The sections on what a training cost: time, waiting, memory, energy, money; and what its trace holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...analysis.efficiency import is_number, waiting
from ...records.run import RunRecord
from ..present import duration, number, size
from .parts import LISTED_AT_MOST, Rows, mapping, maps


def efficiency(record: RunRecord) -> Rows:
    found = mapping(record.efficiency)
    if not found:
        return []
    rows = [
        ("steps", _steps(found)),
        ("waiting", _waiting(found)),
        ("throughput", _throughput(found)),
        ("processor", _processor(found)),
        *(("device", _device(each)) for each in maps(found.get("devices"))[:LISTED_AT_MOST]),
        ("operations", _operations(found)),
        ("energy", _energy(mapping(found.get("energy_joules")))),
        ("cost", _cost(mapping(found.get("cost")))),
    ]
    return [row for row in rows if row[1]]


def _steps(found: Mapping[str, Any]) -> str:
    times, count = mapping(found.get("step_seconds")), found.get("steps")
    if not times:
        return f"{count}, too few to time" if is_number(count) else ""
    whole = ", with what lies between epochs" if found.get("includes_between") else ""
    return f"{count}  median {_seconds(times.get('p50'))}  95 % within {_seconds(times.get('p95'))}{whole}"


def _seconds(value: object) -> str:
    if not is_number(value):
        return "?"
    return f"{value * 1000:.3g} ms" if value < 1 else f"{value:.3g} s"


def _waiting(found: Mapping[str, Any]) -> str:
    share, tried = found.get("wait_share"), mapping(found.get("input_test"))
    told = [f"{share:.1%} of the time for data"] if is_number(share) else []
    if is_number(tried.get("speedup")):
        told.append(f"{tried['speedup']:.2f} times as fast with a batch at hand")
    words = {"input-bound": "input-bound: the data limits the training", "waits": "worth a look"}
    return "  ".join([*told, *filter(None, [words.get(waiting(found), "")])])


def _throughput(found: Mapping[str, Any]) -> str:
    rates = [(name, found.get(f"{name}_per_second")) for name in ("samples", "tokens")]
    return "  ".join(f"{number(float(rate))} {name}/s" for name, rate in rates if is_number(rate))


def _processor(found: Mapping[str, Any]) -> str:
    told = []
    if is_number(share := found.get("cpu_utilisation")):
        told.append(f"{share:.0%} busy")
    if is_number(peak_bytes := found.get("peak_host_bytes")):
        told.append(f"peak {size(int(peak_bytes))}")
    return "  ".join(told)


def _device(device: Mapping[str, Any]) -> str:
    told = [str(device.get("name"))]
    if is_number(peak_bytes := device.get("peak_reserved_bytes")):
        told.append(f"peak {size(int(peak_bytes))}")
    if is_number(share := device.get("utilisation")):
        told.append(f"{share:.0%} busy")
    if is_number(seconds := device.get("seconds")):
        told.append(duration(float(seconds)))
    return "  ".join(told)


def _operations(found: Mapping[str, Any]) -> str:
    count, rate = found.get("flops_per_step"), found.get("flops_per_second")
    if not is_number(count):
        return ""
    return f"{count:.4g} a step" + (f"  {rate:.4g} a second" if is_number(rate) else "")


def _energy(joules: Mapping[str, Any]) -> str:
    names = {"gpu": "GPU", "cpu": "processor package"}
    return "  ".join(
        f"{number(float(joules[key]))} J {name}" for key, name in names.items() if is_number(joules.get(key))
    )


def _cost(cost: Mapping[str, Any]) -> str:
    if not is_number(cost.get("amount")):
        return ""
    parts = [
        f"{number(float(part['hours']))} h {name} at {number(float(part['per_hour']))}" for name, part in _parts(cost)
    ]
    return f"{number(float(cost['amount']))}  ({', '.join(parts)})"


def _parts(cost: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    parts = [(name, mapping(part)) for name, part in mapping(cost.get("from")).items()]
    return [(name, part) for name, part in parts if is_number(part.get("hours")) and is_number(part.get("per_hour"))]


def trace(record: RunRecord) -> Rows:
    found = mapping(record.trace)
    if not found:
        return []
    return [("rows", f"{found.get('rows')}, to step {found.get('last_step')}"), ("chain", str(found.get("chain")))]
