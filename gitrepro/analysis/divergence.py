"""Where two traces part, in which fields, and what that says of the cause.

What differs first names the cause: of ids the order, of batches behind equal ids the preprocessing, of generators alone
a stray draw, of weights alone the weights, of the loss behind equal inputs the forward pass, of the gradients behind an
equal loss the backward pass, of weights behind equal gradients the update.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from ..records.trace import FIELDS, NUMBERS, Row, Trace, number_of

CAUSES: Final[Mapping[str, str]] = {
    "seed": "another seed, or other draws before the training began",
    "weights": "other weights at the start, behind equal generators: changed by hand, or loaded from something else",
    "order": "other samples, or another order of them: the sampler, the shuffling, or the split",
    "preprocessing": "the same samples with other contents: the data, a transform, or a random augmentation",
    "data": "other data, or another order of it: the ids of samples are not on record",
    "extra-draw": "a generator was drawn from more or less often: a stray random call",
    "dropout": "the forward pass draws at random in one run and not in the other: dropout on and off",
    "optimizer": "another optimizer, or other values of it",
    "update": "equal gradients made other weights: the optimizer's state, clipping, or what is done between steps",
    "threads": "another number of threads: sums are taken in another order",
    "forward": "the same input gave another loss: other code, another kernel, precision or device",
    "backward": "the same loss gave other gradients: a kernel of the backward pass, or its order of sums",
    "between": "a step between two kept rows differs, and the rows do not: only their links tell",
}
_RNG: Final = ("rng_python", "rng_numpy", "rng_torch")
_DRAWN: Final = ("drawn_python", "drawn_numpy", "drawn_torch")
_LABELS: Final = {"python": "Python's", "numpy": "NumPy's", "torch": "torch's"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of two runs: the rows of a rank, and what was in force as they began."""

    trace: Trace
    setting: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Divergence:
    """The first row in which two traces differ.

    Attributes:
        step: of that row.
        equal_to: the step of the last row before it, in which all is equal; None where there is none.
        fields: what differs in it.
        equal: what is equal in it.
        missing: what one of the two has not measured, so that it could not be compared.
        cause: a key of `CAUSES`.
        hints: what else is known, a sentence each.
        numbers: the loss and the norm of both, where they differ.
    """

    step: int
    equal_to: int | None
    fields: tuple[str, ...]
    equal: tuple[str, ...]
    missing: tuple[str, ...]
    cause: str
    hints: tuple[str, ...] = ()
    numbers: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def exact(self) -> bool:
        """Whether no step lies between this row and the last equal one."""
        return self.step == (0 if self.equal_to is None else self.equal_to + 1)


def divergence(left: Side, right: Side) -> Divergence | None:
    """The first row in which two traces differ; None where all the rows that both have are equal.

    The fields are compared bit by bit. One that is measured in one run alone decides nothing.
    """
    pairs = _common(left.trace, right.trace)
    linked = all(_holes(one) == _holes(other) for one, other in pairs)
    before: tuple[Row, Row] | None = None
    for one, other in pairs:
        differing = _differing(one, other)
        if differing or (linked and one[-1] != other[-1]):
            return _divergence(left, right, before, (one, other), differing, pairs)
        before = (one, other)
    return None


def common_steps(left: Side, right: Side) -> int:
    """How many rows both have."""
    return len(_common(left.trace, right.trace))


def _common(left: Trace, right: Trace) -> list[tuple[Row, Row]]:
    others = {row[0]: row for row in right.rows}
    return [(row, others[row[0]]) for row in left.rows if row[0] in others]


def _holes(row: Row) -> tuple[bool, ...]:
    return tuple(value is None for value in row)


def _differing(one: Row, other: Row) -> tuple[str, ...]:
    return tuple(
        name
        for name, a, b in zip(FIELDS[1:-1], one[1:-1], other[1:-1], strict=True)
        if a is not None and b is not None and a != b
    )


def _divergence(
    left: Side,
    right: Side,
    before: tuple[Row, Row] | None,
    rows: tuple[Row, Row],
    differing: tuple[str, ...],
    pairs: Sequence[tuple[Row, Row]],
) -> Divergence:
    step = rows[0][0]
    assert step is not None
    seen = _Seen(left=left, right=right, rows=rows, fields=frozenset(differing), first=before is None)
    values = [dict(zip(FIELDS, row, strict=True)) for row in rows]
    return Divergence(
        step=step,
        equal_to=before[0][0] if before else None,
        fields=differing,
        equal=tuple(
            name
            for name, a, b in zip(FIELDS[1:-1], rows[0][1:-1], rows[1][1:-1], strict=True)
            if a is not None and a == b
        ),
        missing=tuple(
            name
            for name, a, b in zip(FIELDS[1:-1], rows[0][1:-1], rows[1][1:-1], strict=True)
            if (a is None) != (b is None)
        ),
        cause=seen.cause(),
        hints=(*seen.hints(), *_weights_hint(seen, step, pairs)),
        numbers={
            name: (number_of(values[0][name] or 0), number_of(values[1][name] or 0))
            for name in NUMBERS
            if name in differing
        },
    )


def _weights_hint(seen: _Seen, step: int, pairs: Sequence[tuple[Row, Row]]) -> list[str]:
    place = FIELDS.index("weights")
    if seen.cause() not in ("forward", "backward") or seen.rows[0][place] is not None:
        return []
    known = [
        row[0] for row, other in pairs if row[place] is not None and other[place] is not None and (row[0] or 0) < step
    ]
    if not known:
        return ["the weights were never compared"]
    return [f"the weights were last compared at step {known[-1]}, and were equal: they may have changed since"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """The first rows that differ, with all that bears on why."""

    left: Side
    right: Side
    rows: tuple[Row, Row]
    fields: frozenset[str]
    first: bool

    def cause(self) -> str:
        of = self.fields
        if not of:
            return "between"
        if self.first and (found := self._cause_at_start()):
            return found
        if "ids" in of:
            return "order"
        if "batch" in of:
            return "preprocessing" if self._measured("ids") else "data"
        if of.intersection(_RNG):
            return "extra-draw"
        if "optimizer" in of:
            return "optimizer"
        return self._cause_inside()

    def _cause_at_start(self) -> str:
        reseeded = self.left.seed != self.right.seed
        if "weights" in self.fields:
            return "seed" if self.fields.intersection(_RNG) or reseeded else "weights"
        return "seed" if reseeded and self.fields.intersection(_RNG) else ""

    def _cause_inside(self) -> str:
        """All that went in is equal, as far as it was compared."""
        of = self.fields
        if of.intersection(_DRAWN):
            # A draw that nothing used changes no loss; one that dropout used does.
            silent = self._draws_nothing(0) != self._draws_nothing(1)
            return "dropout" if "loss" in of and silent else "extra-draw"
        if "loss" in of and self._setting_differs("dropout"):
            return "dropout"
        if self._setting_differs("threads"):
            return "threads"
        if "weights" in of:
            return "update"
        return "forward" if "loss" in of else "backward"

    def _draws_nothing(self, side: int) -> bool:
        values = dict(zip(FIELDS, self.rows[side], strict=True))
        return all(values[before] == values[after] for before, after in zip(_RNG, _DRAWN, strict=True))

    def _measured(self, name: str) -> bool:
        return all(row[FIELDS.index(name)] is not None for row in self.rows)

    def _setting_differs(self, name: str) -> bool:
        return name in self.left.setting and self.left.setting.get(name) != self.right.setting.get(name)

    def hints(self) -> list[str]:
        said = []
        if self.left.seed != self.right.seed:
            said.append(f"the seeds are {self.left.seed} and {self.right.seed}")
        generators = [name for name in _LABELS if {f"rng_{name}", f"drawn_{name}"} & self.fields]
        if generators:
            said.append(f"{' and '.join(_LABELS[name] for name in generators)} generator differs")
        for name in sorted({*self.left.setting, *self.right.setting}):
            one, other = self.left.setting.get(name), self.right.setting.get(name)
            if one != other:
                said.append(f"{name}: {_shown(one)} and {_shown(other)}")
        return said


def _shown(value: object) -> str:
    """A value of a setting, in a line; of an optimizer its class and the plain values of its first group."""
    if isinstance(value, dict) and "type" in value:
        groups = value.get("groups")
        first = groups[0] if isinstance(groups, list) and groups and isinstance(groups[0], dict) else {}
        told = [f"{name}={first[name]}" for name in ("lr", "momentum", "weight_decay") if name in first]
        return f"{value['type']}({', '.join(told)})"
    return f"{value!s:.200}"
