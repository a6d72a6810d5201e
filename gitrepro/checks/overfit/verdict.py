"""What the numbers of one line say: a verdict, drawn from nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ...records.result import Verdict

ALGORITHM: Final = 1
Numbers = Mapping[str, Any]
_NOISY: Final = 10.0
"""A difference counts where it is so many times that of the same computed twice."""


def judge(name: str, observed: Numbers, parameters: Numbers) -> Verdict:
    """The verdict on one line.

    Args:
        name: `overfit.mini_batch` and so on.
        observed: as the line has them.
        parameters: `Settings.document()`.
    """
    if "not_applicable" in observed:
        return Verdict.NOT_APPLICABLE
    if "stopped" in observed:
        return Verdict.INCONCLUSIVE
    return _JUDGES[name.rpartition(".")[2]](observed, parameters)


# -- known by heart


def left_of(attempt: Numbers, floor: float) -> float | None:
    """The share of the initial loss above its floor that is left; None where there was none."""
    if attempt.get("loss") is None or attempt.get("initial") is None or attempt["initial"] <= floor:
        return None
    return float((attempt["loss"] - floor) / (attempt["initial"] - floor))


def by_heart(attempt: Numbers, observed: Numbers, parameters: Numbers) -> bool:
    """Whether the loss came down to its floor, and the outputs say the labels."""
    floor = observed["floor"]
    if floor is None or (left := left_of(attempt, floor)) is None:
        return False
    low = left <= parameters["left_at_most"]
    if observed["kind"] == "language":
        low = attempt["loss"] - floor <= parameters["nats_at_most"]
    return low and (not observed["labelled"] or _right(attempt, observed, parameters))


def _right(attempt: Numbers, observed: Numbers, parameters: Numbers) -> bool:
    fit = attempt.get("fit")
    least = {"regression": parameters["fit_from"], "language": parameters["tokens_right_from"] * observed["reach"]}
    return fit is not None and fit >= least.get(observed["kind"], parameters["right_from"])


def _mini_batch(observed: Numbers, parameters: Numbers) -> Verdict:
    attempts: Sequence[Numbers] = observed["attempts"]
    if too_few(observed, parameters) or observed["floor"] is None or not _compared(observed):
        return Verdict.INCONCLUSIVE
    if any(by_heart(each, observed, parameters) for each in attempts):
        return Verdict.WARN if _worse(attempts[0]) else Verdict.PASS
    hopeless = any(left_of(each, observed["floor"]) is None for each in attempts[:1])
    if hopeless or observed["floor_from"] != "declared" or small(observed, parameters):
        return Verdict.INCONCLUSIVE
    return Verdict.INCONCLUSIVE if underway(observed, parameters) else Verdict.FAIL


def too_few(observed: Numbers, parameters: Numbers) -> bool:
    """Whether the mini-batch has too few examples, or one label only."""
    return bool(observed["count"] < parameters["least"] or observed["labels"] == 1)


def _compared(observed: Numbers) -> bool:
    """Whether outputs could be compared to labels, where the task has labels."""
    return not observed["labelled"] or any(each.get("fit") is not None for each in observed["attempts"])


def _worse(attempt: Numbers) -> bool:
    """Whether the training as it is configured made the loss no lower, or infinite."""
    known = attempt.get("loss") is not None and attempt.get("initial") is not None
    return not known or not attempt["loss"] < attempt["initial"]


def small(observed: Numbers, parameters: Numbers) -> bool:
    """Whether the model may have too few weights to learn these examples by heart."""
    return bool(observed["numbers"] < parameters["numbers_per_example"] * observed["count"])


def underway(observed: Numbers, parameters: Numbers) -> bool:
    """Whether some training is near its goal and still falls; what learnt other labels than these never is."""
    return any(
        (left := left_of(each, observed["floor"])) is not None
        and left <= parameters["near"]
        and (each.get("falling") or 1.0) < parameters["falling"]
        and not misled(each, observed, parameters)
        for each in observed["attempts"]
    )


def misled(attempt: Numbers, observed: Numbers, parameters: Numbers) -> bool:
    """Whether the loss was learnt, and the outputs do not say the labels."""
    left, fit = left_of(attempt, observed["floor"]), attempt.get("fit")
    if left is None or fit is None or left > parameters["left_at_most"]:
        return False
    return bool(fit < parameters["nearly_right"])


# -- the companions


def _initial_loss(observed: Numbers, parameters: Numbers) -> Verdict:
    growth = observed["growth"]
    if observed["initial"] is None:
        return Verdict.INCONCLUSIVE
    if growth is not None and wrong_growth(growth, parameters):
        return Verdict.WARN
    if observed["expected"] is None:
        return Verdict.NOT_APPLICABLE
    off = abs(observed["initial"] / observed["expected"] - 1)
    return Verdict.WARN if off > parameters["initial_within"] else Verdict.PASS


def wrong_growth(growth: float, parameters: Numbers) -> bool:
    """Whether the loss of twice as many examples is about twice as high, or half."""
    return bool(growth >= parameters["summed_from"] or growth <= 1 / parameters["summed_from"])


def still_of(tensors: Sequence[Numbers], parameters: Numbers) -> list[Numbers]:
    """The tensors that get no gradient, or have one and do not move."""
    greatest = max((each["gradient"] for each in tensors), default=0.0)
    least = greatest * parameters["small_gradient"]
    return [each for each in tensors if not each["gradient"] or (not each["moved"] and each["gradient"] > least)]


def _all_move(observed: Numbers, parameters: Numbers) -> Verdict:
    tensors = observed["tensors"]
    if not tensors:
        return Verdict.INCONCLUSIVE
    still = still_of(tensors, parameters)
    if not still:
        return Verdict.PASS
    share = sum(each["numbers"] for each in still) / sum(each["numbers"] for each in tensors)
    return Verdict.FAIL if share > parameters["still_at_most"] else Verdict.WARN


def _gradients(observed: Numbers, parameters: Numbers) -> Verdict:
    noise = observed["noise"]
    if observed["difference"] <= max(parameters["alike"], _NOISY * noise):
        return Verdict.PASS if noise <= parameters["alike"] else Verdict.INCONCLUSIVE
    return Verdict.FAIL


def _independence(observed: Numbers, parameters: Numbers) -> Verdict:
    found = [observed["replaced"], observed["turned"]]
    if observed["noise"] is None or observed["noise"] > parameters["alike"] or None in found:
        return Verdict.INCONCLUSIVE
    if max(found) <= parameters["alike"]:
        return Verdict.PASS
    return Verdict.WARN if observed["padded"] else Verdict.FAIL


def _modes(observed: Numbers, parameters: Numbers) -> Verdict:
    known = [observed[key] for key in ("initial", "loss", "loss_eval")]
    if None in known or observed["floor"] is None or observed["initial"] <= observed["floor"]:
        return Verdict.INCONCLUSIVE
    scale = observed["initial"] - observed["floor"]
    if observed["loss"] - observed["floor"] > scale / 2:
        return Verdict.INCONCLUSIVE
    gap = abs(observed["loss_eval"] - observed["loss"]) / scale
    return Verdict.WARN if gap > parameters["gap_at_most"] else Verdict.PASS


def _future(observed: Numbers, parameters: Numbers) -> Verdict:
    noise, before, behind = observed["noise"], observed["before"], observed["behind"]
    if noise is None or noise > parameters["alike"] or None in before or None in behind:
        return Verdict.INCONCLUSIVE
    if max(before) > parameters["alike"]:
        return Verdict.FAIL
    return Verdict.PASS if max(behind) > parameters["alike"] else Verdict.INCONCLUSIVE


def _by_predicting(observed: Numbers, parameters: Numbers) -> Verdict:
    if too_few(observed, parameters) or observed["fit"] is None:
        return Verdict.INCONCLUSIVE
    least = parameters["fit_from"] if observed["kind"] == "regression" else parameters["right_from"]
    return Verdict.PASS if observed["fit"] >= least else Verdict.INCONCLUSIVE


_JUDGES: Final = {
    "mini_batch": lambda found, given: (_by_predicting if "attempts" not in found else _mini_batch)(found, given),
    "initial_loss": _initial_loss,
    "all_move": _all_move,
    "gradients": _gradients,
    "independence": _independence,
    "modes": _modes,
    "future": _future,
}
