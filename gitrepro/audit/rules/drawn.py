"""Lines of checks that are on record, each verdict drawn again from its numbers, at least as strictly as by default."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, final

from ...records.result import Verdict
from ...records.thresholds import held_to
from .finding import mapping

Numbers: TypeAlias = Mapping[str, Any]
_Drawn: TypeAlias = tuple[Verdict, str]
_Draw: TypeAlias = Callable[[Numbers, Numbers], _Drawn]

GRAVITY: Final = (Verdict.NOT_APPLICABLE, Verdict.PASS, Verdict.WARN, Verdict.INCONCLUSIVE, Verdict.FAIL)
_ENTRIES: Final = 200
"""So many entries of a list a record holds, and no more: a full one may be part of what the verdict was drawn from."""
_UNFIT: Final = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What numbers raise that are not of the shape they should be: a record holds what others wrote."""
_NOT_FINITE: Final = {"nan": float("nan"), "inf": float("inf"), "-inf": float("-inf")}
_OVERFIT: Final = ("mini_batch", "initial_loss", "all_move", "gradients", "independence", "modes", "future")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a check.

    Attributes:
        name: as `baseline.beaten`.
        verdict: what its numbers come to; never better than lack of evidence where they come to nothing.
        recorded: what the record says.
        why: one sentence.
        repair: as the record has it.
        entry: the line as the record has it.
    """

    name: str
    verdict: Verdict
    recorded: str
    why: str
    repair: str
    entry: Numbers

    @property
    def inputs(self) -> Mapping[str, Any]:
        """Digests of what it looked at."""
        return mapping(self.entry.get("inputs"))

    @property
    def observed(self) -> Mapping[str, Any]:
        return mapping(self.entry.get("observed"))

    def document(self) -> dict[str, Any]:
        return {"drawn": str(self.verdict), "recorded": self.recorded, "why": self.why}


def drawn_again(entry: Numbers, thresholds: Mapping[str, float]) -> Line:
    """One entry of the field `checked` of a record, judged again.

    The verdict comes from `observed` and `parameters` alone, each threshold as strict as it is by default, as the line
    was made with, and as the policy wants it: whichever is the strictest. Where that differs from what is on record,
    and no threshold tells why, the line is no evidence.

    Args:
        thresholds: of the policy.
    """
    name, recorded = str(entry.get("name")), str(entry.get("verdict"))
    verdict, why = _judged(name, recorded, entry, thresholds)
    repair = str(entry.get("repair") or "")
    return Line(name=name, verdict=verdict, recorded=recorded, why=why, repair=repair, entry=entry)


def _judged(name: str, recorded: str, entry: Numbers, thresholds: Mapping[str, float]) -> _Drawn:
    judges = _judges()
    if name not in judges:
        return Verdict.INCONCLUSIVE, f"this gitrepro knows no line {name:.60}"
    newest, draw = judges[name]
    made = entry.get("algorithm")
    if isinstance(made, int) and made > newest:
        return Verdict.INCONCLUSIVE, f"it is of version {made}, and this gitrepro draws version {newest}; upgrade it"
    said = _whole(mapping(entry.get("observed")))
    given = _whole(mapping(entry.get("parameters")))
    if not said:
        return _compared_nothing(recorded, entry)
    try:
        verdict, why = draw(said, held_to(name.partition(".")[0], given, thresholds))
        as_made = draw(said, given)[0]
    except _UNFIT as error:
        return Verdict.INCONCLUSIVE, f"its verdict cannot be drawn again: {type(error).__name__} {error!s:.80}"
    # What an older version drew otherwise from the same numbers, this one draws anew.
    if str(as_made) == recorded or (isinstance(made, int) and made < newest):
        return verdict, why
    return _other(recorded, as_made, verdict, said, why)


def _compared_nothing(recorded: str, entry: Numbers) -> _Drawn:
    """A check that met nothing to compare has no numbers, and says so by its verdict alone."""
    why = str(entry.get("why") or "nothing was compared")
    if recorded == Verdict.NOT_APPLICABLE:
        return Verdict.NOT_APPLICABLE, why
    return Verdict.INCONCLUSIVE, why


def _other(recorded: str, as_made: Verdict, verdict: Verdict, said: Numbers, why: str) -> _Drawn:
    if _is_cut(said) and recorded in [*map(str, Verdict)]:
        worse = max(Verdict(recorded), verdict, key=GRAVITY.index)
        return worse, f"on record is {recorded}; of its numbers only the first {_ENTRIES} are"
    told = f"on record is {recorded:.20}, and its numbers come to {as_made}: {why}"
    return (Verdict.FAIL if verdict is Verdict.FAIL else Verdict.INCONCLUSIVE), told


def _is_cut(value: Any) -> bool:
    if isinstance(value, Mapping):
        return len(value) >= _ENTRIES or any(map(_is_cut, value.values()))
    return isinstance(value, list) and (len(value) >= _ENTRIES or any(map(_is_cut, value)))


def _whole(value: Any) -> Any:
    """Numbers that are not finite, which stand in a record as text, as what they were."""
    if isinstance(value, Mapping):
        return {name: _whole(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_whole(each) for each in value]
    return _NOT_FINITE.get(value, value) if isinstance(value, str) else value


# -- the pure functions, each where its check has it


def _judges() -> dict[str, tuple[int, _Draw]]:
    """By the name of a line its newest version, and what judges it. Loaded when there is a line to judge."""
    found = {**_of_distribution(), "baseline.beaten": _baseline(), "baseline.nominated": _baseline()}
    for arm in ("labels", "inputs"):
        found[f"shuffle.{arm}"] = _shuffle(arm)
    for what in _OVERFIT:
        found[f"overfit.{what}"] = _overfit(f"overfit.{what}")
    return found


def _baseline() -> tuple[int, _Draw]:
    from ...checks.baseline import verdict as judged

    def draw(observed: Numbers, parameters: Numbers) -> _Drawn:
        verdict = judged.judge(observed, parameters)
        return verdict, judged.why(observed, verdict)

    return judged.ALGORITHM, draw


def _shuffle(arm: Any) -> tuple[int, _Draw]:
    from ...checks.shuffle import verdict as judged
    from ...checks.shuffle import wording

    def draw(observed: Numbers, parameters: Numbers) -> _Drawn:
        verdict = judged.judge(observed, parameters)
        return verdict, wording.why(arm, verdict, observed, parameters)

    return judged.ALGORITHM, draw


def _overfit(name: str) -> tuple[int, _Draw]:
    from ...checks.overfit import verdict as judged
    from ...checks.overfit import wording

    def draw(observed: Numbers, parameters: Numbers) -> _Drawn:
        verdict = judged.judge(name, observed, parameters)
        return verdict, wording.why(name, verdict, observed, parameters)

    return judged.ALGORITHM, draw


def _of_distribution() -> dict[str, tuple[int, _Draw]]:
    from ...checks.distribution import alike, classes, overlaps, proof, repeated, schema
    from ...checks.distribution.check import ALGORITHMS

    judges: dict[str, Callable[[Numbers, Numbers], Any]] = {
        "distribution.classes": classes.judge,
        "distribution.drift": alike.judge,
        "distribution.duplicates": repeated.judge,
        "distribution.label_conflicts": repeated.judge_labels,
        "distribution.schema": schema.judge,
        "separation.fitted": proof.judge,
        "separation.groups": overlaps.judge_groups,
        "separation.ids": overlaps.judge_ids,
        "separation.times": overlaps.judge_times,
    }

    def drawing(judge: Callable[[Numbers, Numbers], Any]) -> _Draw:
        return lambda observed, parameters: judge(observed, parameters)[:2]

    return {name: (ALGORITHMS[name], drawing(judge)) for name, judge in judges.items()}
