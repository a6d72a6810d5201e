"""Whether the data are what they are said to be: types and ranges that are declared, and what must hold in any case."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np

from ...records.result import Verdict
from ...records.sanity import Example
from ..task import TRAIN, Data, Kind, Part
from .columns import is_missing, kind_of
from .seen import Fault, Seen, seen_of
from .settings import PAIRS_KEPT, Judged

_SUPERVISED: Final = ("classification", "regression")
_SHOWN: Final = 20


def look(
    data: Data, kind: Kind, schema: Mapping[str, Mapping[str, Any]], *, again: Mapping[str, str], now: Mapping[str, str]
) -> tuple[dict[str, Any], tuple[Example, ...]]:
    """What `judge` is given, and examples of what does not hold.

    Args:
        now, again: digests of two calls of `Task.data`.
    """
    seen = {name: seen_of(part, data, kind, schema) for name, part in sorted(data.parts.items())}
    faults = [
        *_another(now, again),
        *_features(data, seen[TRAIN]),
        *_unlike(seen),
        *_sizes(data),
        *_labels(data, kind),
        *(fault for name, each in seen.items() for fault in each.faults(name, data.parts[name])),
        *_undeclared(schema, seen[TRAIN], data),
    ]
    observed = {
        "columns": len(seen[TRAIN].dtypes),
        "declared": len(schema),
        "dtypes": dict(list(seen[TRAIN].dtypes.items())[:_SHOWN]),
        "examples": {name: len(part) for name, part in sorted(data.parts.items())},
        "faults": [fault.document() for fault in faults[:PAIRS_KEPT]],
        "form": seen[TRAIN].form,
        "missing": {name: each.missing for name, each in seen.items()},
    }
    return observed, tuple(_examples(faults))[:PAIRS_KEPT]


def _examples(faults: list[Fault]) -> Iterator[Example]:
    for fault in sorted(faults, key=lambda fault: fault.level):
        for each in fault.ids[:5]:
            yield Example(ids=(each,), parts=(fault.part,), says=fault.says)


def _another(now: Mapping[str, str], again: Mapping[str, str]) -> Iterator[Fault]:
    differ = sorted(name for name in now.keys() | again.keys() if now.get(name) != again.get(name))
    if differ:
        says = f"data() gives others each time: {', '.join(differ[:3])}"
        yield Fault(level="fail", part=differ[0].partition("/")[0], says=says, count=len(differ))


def _features(data: Data, train: Seen) -> Iterator[Fault]:
    given = None if data.features is None else list(map(str, data.features))
    if given is None or train.form != "table":
        return
    if len(given) != len(train.dtypes):
        says = f"there are {len(train.dtypes)} columns and {len(given)} names of features"
        yield Fault(level="fail", part=TRAIN, says=says)
    elif len(set(given)) < len(given):
        yield Fault(level="fail", part=TRAIN, says=f"the feature {_twice(given)!r:.60} is named twice")


def _twice(names: list[str]) -> str:
    return Counter(names).most_common(1)[0][0]


def _unlike(seen: Mapping[str, Seen]) -> Iterator[Fault]:
    """Parts whose inputs are of another form or type than those of train."""
    train = seen[TRAIN]
    for name, other in seen.items():
        if other.form != train.form:
            yield Fault(level="fail", part=name, says=f"inputs are {other.form}, and {train.form} in train")
        elif other.dtypes.keys() != train.dtypes.keys():
            says = f"inputs have {len(other.dtypes)} columns, and {len(train.dtypes)} in train"
            yield Fault(level="fail", part=name, says=says)
        else:
            yield from _types(name, train, other)


def _types(name: str, train: Seen, other: Seen) -> Iterator[Fault]:
    unlike = [column for column, dtype in train.dtypes.items() if other.dtypes[column] != dtype]
    if unlike:
        first = unlike[0]
        says = f"{first} is {other.dtypes[first]}, and {train.dtypes[first]} in train"
        text = any("text" in (train.dtypes[each], other.dtypes[each]) for each in unlike)
        yield Fault(level="fail" if text else "warn", part=name, says=says, count=len(unlike))


def _sizes(data: Data) -> Iterator[Fault]:
    """Arrays of more than columns whose items are of another shape than those of train."""
    train = data.train.inputs
    for name, part in sorted(data.parts.items()):
        if all(isinstance(each, np.ndarray) and each.ndim > 2 for each in (train, part.inputs)):
            here, there = part.inputs.shape[1:], train.shape[1:]
            if here != there:
                yield Fault(level="warn", part=name, says=f"inputs are of shape {here}, and {there} in train")


def _labels(data: Data, kind: Kind) -> Iterator[Fault]:
    kinds: dict[str, str] = {}
    for name, part in sorted(data.parts.items()):
        if part.labels is None:
            if kind in _SUPERVISED and name in (TRAIN, data.scored):
                yield Fault(level="fail", part=name, says="there are no labels", count=len(part))
            continue
        kinds[name] = kind_of(part.labels.reshape(-1).tolist())
        yield from _of_labels(name, part, kinds[name], kind)
    unlike = sorted(set(kinds.values()))
    if len(unlike) > 1 and set(unlike) != {"float", "int"}:
        says = ", ".join(f"{each} in {name}" for name, each in kinds.items())
        yield Fault(level="fail", part=TRAIN, says=f"the labels are of several types: {says}")


def _of_labels(name: str, part: Part, found: str, kind: Kind) -> Iterator[Fault]:
    assert part.labels is not None
    gaps = [k for k, each in enumerate(part.labels.tolist()) if is_missing(each)]
    shown = tuple(str(part.ids[k]) for k in gaps[:5])
    if gaps:
        yield Fault(level="fail", part=name, says="the label is missing", count=len(gaps), ids=shown)
    if part.labels.ndim != 1 and kind == "classification":
        yield Fault(level="fail", part=name, says=f"labels are of shape {part.labels.shape[1:]} each, not one class")
    if found == "mixed":
        yield Fault(level="fail", part=name, says="the labels are of several types")
    if kind == "regression" and part.labels.dtype.kind == "f" and np.isinf(part.labels).any():
        yield Fault(level="fail", part=name, says="a label is infinite", count=int(np.isinf(part.labels).sum()))


def _undeclared(schema: Mapping[str, Any], train: Seen, data: Data) -> Iterator[Fault]:
    known = {*train.dtypes, *(("label",) if data.train.labels is not None else ())}
    for name in schema:
        if name not in known:
            yield Fault(level="fail", part=TRAIN, says=f"{name} is declared and not there")


def judge(observed: Mapping[str, Any], _: Mapping[str, Any]) -> Judged:
    """FAIL for anything that is declared, or must hold, and does not."""
    faults = observed["faults"]
    if faults:
        first = sorted(faults, key=lambda fault: fault["level"])[0]
        many = f" ({first['count']:,} times)" if first["count"] > 1 else ""
        more = f", and {len(faults) - 1} more" if len(faults) > 1 else ""
        fails = any(fault["level"] == "fail" for fault in faults)
        why = f"{first['part']}: {first['says']}{many}{more}"
        return Judged(Verdict.FAIL if fails else Verdict.WARN, why, "correct the data, or what is declared of them")
    said = f"{observed['declared']} columns are declared" if observed["declared"] else "nothing is declared"
    what = f"{observed['columns']} columns of {observed['form']} are of one type in all parts; {said}"
    return Judged(Verdict.PASS, what)
