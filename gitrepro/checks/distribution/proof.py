"""Whether anything was fitted on more than train: from what the task tells, and from what its predictions hang on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ...errors import GitreproError
from ...records.result import Verdict
from ..task import Data, Task
from ..trials import Runner
from . import fitted, influence
from .settings import FITTED_RELATIVE, INFLUENCE_LEAST, DataSettings, Judged

PARAMETERS: Final[Mapping[str, Any]] = {"influence_least": INFLUENCE_LEAST, "relative": FITTED_RELATIVE}
_GRAVITY: Final = (Verdict.NOT_APPLICABLE, Verdict.INCONCLUSIVE, Verdict.PASS, Verdict.WARN, Verdict.FAIL)


def look(task: Task, data: Data, settings: DataSettings, runner: Runner) -> tuple[dict[str, Any], tuple[str, ...]]:
    """What `judge` is given: under `told` what `fitted` needs, under `seen` what `influence` does; and ids of runs."""
    observed: dict[str, Any] = {}
    runs: tuple[str, ...] = ()
    try:
        parameters = fitted.told(task, data, settings.predictions)
        if parameters:
            observed["told"] = fitted.look(data, parameters, task.kind)
        if settings.influence:
            observed["seen"], runs = influence.look(task, data, runner, settings)
    except GitreproError as error:
        observed["failed"] = f"{error.what}{': ' if error.why else ''}{error.why}"
    return observed, runs


def judge(observed: Mapping[str, Any], parameters: Mapping[str, Any]) -> Judged:
    """The graver of the two, and PASS where one of them shows that all is well and the other nothing."""
    found = []
    if "told" in observed:
        found.append(fitted.judge(observed["told"], parameters))
    if "seen" in observed:
        found.append(influence.judge(observed["seen"], parameters))
    if "failed" in observed:
        why = f"the experiment did not run to its end: {observed['failed']}"
        found.append(Judged(Verdict.INCONCLUSIVE, why, "run it on its own until it passes"))
    if not found:
        why = "the task tells nothing of what it fits before training"
        do = "give it a method fitted(data) that returns its means and deviations"
        return Judged(Verdict.NOT_APPLICABLE, why, do)
    return max(found, key=lambda judged: _GRAVITY.index(judged.verdict))
