"""`gitrepro.metric`: metrics with settings, and functions of the program as metrics."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, overload

from ..errors import UsageError

if TYPE_CHECKING:
    from ..analysis.metrics import MetricFunction

Goal = Literal["max", "min"]
Needs = Literal["classes", "scores", "numbers", "counts"]


@overload
def metric(name: str, *, goal: Goal, needs: Needs = "classes") -> Callable[[Callable[..., Any]], MetricFunction]: ...


@overload
def metric(name: str, *, goal: None = None, **settings: Any) -> MetricFunction: ...


def metric(name: str, *, goal: Goal | None = None, needs: Needs = "classes", **settings: Any) -> Any:
    """A metric for `run.evaluate(metrics=[...])`: one of ours with its settings, or a function of yours.

        top_3 = gitrepro.metric("top_k", k=3)
        spam = gitrepro.metric("f1", positive="spam")

        @gitrepro.metric("cost", goal="min")
        def cost(truth, predictions):
            return float((truth != predictions) @ weights[truth])

    The text of a function of yours is kept with the run. An audit does not run it: a number that nobody can compute
    again without your program is evidence of less than one of ours.

    Args:
        name: of one of ours (`accuracy balanced_accuracy f1 precision recall auc log_loss calibration_error top_k mae
            rmse r2 perplexity mean_iou`); with `goal`, what yours is called.
        goal: what is better of a function of yours, which is then to be given to what this returns.
        needs: what yours is given beside the truth: `classes` (labels; of scores those with the greatest), `numbers`
            (both as float64), `scores` or `counts` (all as it was given to `run.evaluate`).
        settings: of ours: `k` of top_k, `bins` of calibration_error, `positive` of f1, precision and recall.

    Returns:
        The metric; with `goal`, a decorator that makes one of a function.

    Raises:
        UsageError: there is none of this name, or it takes no such setting.
    """
    from ..analysis.metrics import own, registered

    if goal is None:
        return registered(name, **settings)
    if settings:
        raise UsageError(f"a function of your own takes no {min(settings)}=", do="bind it: functools.partial")

    def made(function: Callable[..., Any]) -> MetricFunction:
        return own(function, name=name, goal=goal, needs=needs)

    return made
