"""The sentence that goes with a verdict, and what to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from ...records.result import Verdict
from . import verdict as judged

Numbers = Mapping[str, Any]


def why(name: str, verdict: Verdict, observed: Numbers, parameters: Numbers) -> str:
    """One sentence with the numbers that decide."""
    for key in ("not_applicable", "stopped"):
        if key in observed:
            return str(observed[key])
    said: str = _SAID[name.rpartition(".")[2]](verdict, observed, parameters)
    return said


def repair(name: str, verdict: Verdict, observed: Numbers) -> str:
    """What to do, where the verdict is not PASS."""
    if verdict in (Verdict.PASS, Verdict.NOT_APPLICABLE):
        return ""
    if "stopped" in observed:
        return "mend what stopped it, and check again"
    what = name.rpartition(".")[2]
    if what == "mini_batch":
        return _repair_mini_batch(verdict, observed)
    return _REPAIRS[what]


def _repair_mini_batch(verdict: Verdict, observed: Numbers) -> str:
    if verdict is Verdict.WARN:
        return "lower the configured learning rate, or look at the scale of inputs and loss"
    if "attempts" not in observed:
        return "try a model of more capacity, or take a regularisation off: then all labels must be learnt"
    if verdict is Verdict.FAIL:
        return (
            "look whether labels belong to their inputs, softmax is not taken before cross-entropy, shapes of outputs "
            "and labels agree (no broadcasting), the loss has no smoothing, and the body is trained"
        )
    if observed["floor"] is None:
        return "tell `loss_floor` of the learner, the least the loss can be; or look at the curve"
    return "look at the curve; more steps, a larger model or more examples would tell"


_REPAIRS: Final[Mapping[str, str]] = {
    "initial_loss": "look at the reduction of the loss, the scale of the inputs, and the initialisation of the last "
    "layer",
    "all_move": "give all weights to the optimizer, leave no detach() or no_grad() on the way of the loss, and set "
    "requires_grad = False for what is meant to stay",
    "gradients": "call optimizer.zero_grad() before each backward",
    "independence": "look for a softmax, a norm or a mean over the axis of the examples, and for padding that is not "
    "masked",
    "modes": "look at the momentum of batch norm, and at what else depends on model.training",
    "future": "mask the attention to later tokens, and look for reversed, centred or bidirectional layers",
}


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3g}"


def _mini_batch(verdict: Verdict, observed: Numbers, parameters: Numbers) -> str:
    if judged.too_few(observed, parameters):
        few = observed["count"] < parameters["least"]
        return (
            f"{observed['count']} examples that can be used, at least {parameters['least']} are needed"
            if few
            else "all labels are alike: there is nothing to learn by heart"
        )
    if "attempts" not in observed:
        return _predicting(observed)
    best = best_of(observed)
    told = f"{observed['count']} examples: {_attempt(best, observed)}"
    if best is not observed["attempts"][0]:
        told += f"; as configured: {_attempt(observed['attempts'][0], observed)}"
    return told + _reason(verdict, observed, parameters)


def _attempt(attempt: Numbers, observed: Numbers) -> str:
    fit = "" if attempt.get("fit") is None else f", {observed['fit_name']} {attempt['fit']:.3g}"
    name = "" if attempt["arm"] == "configured" else "AdamW, "
    return (
        f"loss {_number(attempt['initial'])} to {_number(attempt.get('loss'))}{fit} in {attempt['steps']} steps "
        f"({name}rate {attempt['rate']:g})"
    )


def _reason(verdict: Verdict, observed: Numbers, parameters: Numbers) -> str:
    if verdict is Verdict.FAIL and any(judged.misled(each, observed, parameters) for each in observed["attempts"]):
        return "; what it learnt are not the labels of these examples"
    if verdict is Verdict.FAIL:
        return f"; the loss can be {_number(observed['floor'])}"
    if verdict is not Verdict.INCONCLUSIVE:
        return ""
    if best_of(observed).get("loss") is None:
        return "; the loss is not finite"
    if observed["floor"] is None:
        return "; nobody knows how low this loss can be"
    if observed["labelled"] and best_of(observed).get("fit") is None:
        return "; outputs cannot be compared to labels"
    if judged.left_of(observed["attempts"][0], observed["floor"]) is None:
        return f"; the loss diverges, or begins below its floor of {_number(observed['floor'])}"
    if judged.small(observed, parameters):
        return f"; {observed['numbers']} weights may be too few"
    return "; it still falls" if judged.underway(observed, parameters) else "; the floor is estimated only"


def best_of(observed: Numbers) -> Numbers:
    """The training with the least loss."""
    found: Numbers = min(observed["attempts"], key=_loss)
    return found


def _loss(attempt: Numbers) -> float:
    return float("inf") if attempt.get("loss") is None else float(attempt["loss"])


def _predicting(observed: Numbers) -> str:
    if observed["fit"] is None:
        return "what was predicted cannot be compared to the labels"
    return f"trained and scored on the same {observed['count']} examples: {observed['fit_name']} {observed['fit']:.3g}"


def _initial_loss(_verdict: Verdict, observed: Numbers, parameters: Numbers) -> str:
    if observed["initial"] is None:
        return "the loss of the untrained model is not finite"
    growth = observed["growth"]
    if growth is not None and judged.wrong_growth(growth, parameters):
        return f"the loss of twice as many examples is {growth:.2f} times as high: it is no mean over examples"
    if observed["expected"] is None:
        return "what an untrained model's loss should be is known of cross-entropy only"
    return (
        f"{_number(observed['initial'])} before training; guessing among {observed['classes']} classes costs "
        f"{_number(observed['expected'])}"
    )


def _all_move(_verdict: Verdict, observed: Numbers, parameters: Numbers) -> str:
    tensors = observed["tensors"]
    if not tensors:
        return "the model has no trainable weights"
    still = judged.still_of(tensors, parameters)
    if not still:
        return f"all {len(tensors)} trainable tensors have a gradient and move"
    numbers = sum(each["numbers"] for each in still), sum(each["numbers"] for each in tensors)
    names = ", ".join(each["name"] for each in still[:3]) + (", ..." if len(still) > 3 else "")
    dead = sum(not each["gradient"] for each in still)
    return (
        f"{len(still)} of {len(tensors)} trainable tensors ({numbers[0]} of {numbers[1]} numbers) stand still, "
        f"{dead} of them without a gradient: {names}"
    )


def _gradients(verdict: Verdict, observed: Numbers, _parameters: Numbers) -> str:
    told = f"the gradient after another batch differs by {_number(observed['difference'])} of its size"
    if verdict is Verdict.INCONCLUSIVE:
        return f"{told}, and by {_number(observed['noise'])} when nothing came before: it is random"
    return f"{told}: gradients of earlier steps are still in it" if verdict is Verdict.FAIL else told


def _independence(verdict: Verdict, observed: Numbers, _parameters: Numbers) -> str:
    if verdict is Verdict.INCONCLUSIVE:
        return f"outputs in evaluation mode are random (they differ by {_number(observed['noise'])}), or not finite"
    told = (
        f"outputs of an example move by {_number(observed['replaced'])} of their spread when others of its batch are "
        f"replaced, by {_number(observed['turned'])} when they change places"
    )
    return f"{told}; the replaced ones are padded to another length" if observed["padded"] else told


def _modes(verdict: Verdict, observed: Numbers, _parameters: Numbers) -> str:
    told = (
        f"loss {_number(observed['loss'])} in train mode and {_number(observed['loss_eval'])} in evaluation mode, "
        f"from {_number(observed['initial'])}"
    )
    return f"{told}: too little was learnt to compare" if verdict is Verdict.INCONCLUSIVE else told


def _future(verdict: Verdict, observed: Numbers, _parameters: Numbers) -> str:
    if verdict is Verdict.INCONCLUSIVE:
        return "outputs are random, not finite, or do not depend on tokens at all"
    before = max(observed["before"])
    return f"outputs up to a token move by {_number(before)} of their spread when later tokens are replaced"


_SAID: Final[Mapping[str, Callable[[Verdict, Numbers, Numbers], str]]] = {
    "mini_batch": _mini_batch,
    "initial_loss": _initial_loss,
    "all_move": _all_move,
    "gradients": _gradients,
    "independence": _independence,
    "modes": _modes,
    "future": _future,
}
