"""The sections on how the training went: seeds, what was watched, metrics, cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from ...records.run import RunRecord
from ..present import duration, number, size
from .parts import LISTED_AT_MOST, Rows, listed, mapping, maps, value

_TOLD_OF_A_GROUP: Final = ("lr", "momentum", "betas", "weight_decay")


def seeds(record: RunRecord) -> Rows:
    found = record.seeds
    requested = found.get("requested")
    rows = [("requested", "none" if requested is None else f"{requested} ({found.get('source')})")]
    return [*rows, *_generators(listed(found.get("processes")))]


def _generators(processes: list[Any]) -> Iterator[tuple[str, str]]:
    """What each generator ran with, in the processes that drew from it, else in the first."""
    told: dict[str, list[tuple[bool, str]]] = {}
    for process in processes:
        for name, state in process.items() if isinstance(process, dict) else ():
            if isinstance(state, dict) and (words := _generator(state)):
                told.setdefault(name, []).append((bool(state.get("used")), words))
    for name, states in told.items():
        drawn = [said for used, said in states if used] or [states[0][1]]
        yield from ((name, said) for said in list(dict.fromkeys(drawn))[:LISTED_AT_MOST])


def _generator(state: Mapping[str, Any]) -> str:
    if "seeded_by" in state:
        use = "used" if state.get("used") else "not used"
        return f"{state.get('effective')}  set by {state['seeded_by']}, {use}"
    return f"{state.get('seeded')} seeded, {state['unseeded']} unseeded" if "unseeded" in state else ""


def watched(record: RunRecord) -> Rows:
    return [row for each in record.watched[:LISTED_AT_MOST] for row in _watched(each)]


def _watched(each: Mapping[str, Any]) -> Rows:
    rows = [(str(each.get("name")), _model(mapping(each.get("model"))))] if each.get("model") else []
    last = maps(mapping(each.get("end")).get("optimizers"))
    for place, optimizer in enumerate(maps(each.get("optimizers"))):
        ends = maps(last[place].get("groups")) if len(last) > place else []
        for number_, group in enumerate(maps(optimizer.get("groups"))[:LISTED_AT_MOST]):
            end = ends[number_] if len(ends) > number_ else group
            rows.append(("optimizer", f"{_short(optimizer.get('type'))}  {_group(group, end)}"))
    rows += [("scheduler", _short(scheduler.get("type"))) for scheduler in maps(each.get("schedulers"))]
    return rows + [("trouble", str(trouble)) for trouble in listed(each.get("troubles"))]


def _model(model: Mapping[str, Any]) -> str:
    elements, trainable = model.get("elements"), model.get("trainable_elements")
    if elements is None:
        return _short(model.get("type"))
    frozen = f", {_grouped(trainable)} of them trained" if trainable != elements else ""
    kinds = ", ".join(kind.removeprefix("torch.") for kind in map(str, mapping(model.get("dtypes"))))
    return f"{_short(model.get('type'))}  {_grouped(elements)} parameters{frozen}, {kinds}"


def _group(group: Mapping[str, Any], end: Mapping[str, Any]) -> str:
    values, last = mapping(group.get("values")), mapping(end.get("values"))
    told = [f"{_grouped(group.get('elements'))} parameters"]
    for name in (name for name in _TOLD_OF_A_GROUP if name in values):
        moved = f", at the end {value(last[name])}" if last.get(name, values[name]) != values[name] else ""
        told.append(f"{name} {value(values[name])}{moved}")
    return "  ".join(told)


def _grouped(count: object) -> str:
    return f"{count:,}" if isinstance(count, int) else str(count)


def _short(name: object) -> str:
    return str(name).rpartition(".")[2]


def metrics(record: RunRecord) -> Rows:
    rows = []
    for name, facts in record.metrics.items():
        spread = f"min {number(facts['min'])}  max {number(facts.get('max'))}" if facts.get("min") is not None else ""
        goal = f"  (best: {facts['goal']})" if facts.get("goal") else ""
        strange = f"  {facts['nonfinite']} not finite" if facts.get("nonfinite") else ""
        rows.append((name, f"last {number(facts.get('last'))}  {spread}  {facts.get('count')} values{strange}{goal}"))
    return rows


def summary(record: RunRecord) -> Rows:
    return [(name, value(found)) for name, found in record.summary.items() if name not in record.metrics]


def cost(record: RunRecord) -> Rows:
    found = record.cost
    if not found:
        return []
    cpu_seconds = (found.get("cpu_user_seconds") or 0.0) + (found.get("cpu_system_seconds") or 0.0)
    return [("cpu time", duration(cpu_seconds)), ("peak memory", size(found.get("peak_memory_bytes", 0)))]
