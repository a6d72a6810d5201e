"""The checks of an experiment, one after the other: what one of them cannot do keeps none of the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any, Final, final

from ..checks.baseline import Nominated
from ..checks.guarded import whole_data
from ..checks.task import Task
from ..checks.trials import Outcome, Runner
from ..errors import GitreproError
from ..records.result import Verdict
from ..records.sanity import Checked
from ..records.thresholds import given_for


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """How the checks are done.

    Attributes:
        names: of CHECKS.
        full: all examples and the whole budget for the shuffle check, whatever it costs.
        budget: share of the real run's work that the shuffle check may take; by default a share, and as much as takes
            some seconds.
        places: names or numbers of columns that tell where an example stands, for the shuffle check.
        nominated: a run that the user names as the one to beat.
        thresholds: of a policy, by their full names, as `shuffle.leaked_at_most`.
        tell: called now and then with the name of what is done, how far it is, and of how many.
        say: called with a sentence that a person wants to know before it goes on.
    """

    names: Sequence[str]
    seed: int = 0
    full: bool = False
    budget: float | None = None
    places: tuple[str | int, ...] = ()
    nominated: Nominated | None = None
    thresholds: Mapping[str, float] = field(default_factory=dict)
    tell: Callable[[str, int, int], None] | None = None
    say: Callable[[str], None] | None = None


@final
@dataclass(slots=True)
class Found:
    """What the checks found so far, and what went wrong in them.

    Attributes:
        errors: deliberate ones: the task failed, its data are not whole.
        fault: the first that nobody meant: gitrepro's own.
    """

    lines: list[Checked] = field(default_factory=list)
    errors: list[GitreproError] = field(default_factory=list)
    fault: Exception | None = None

    @property
    def failing(self) -> list[Checked]:
        return [line for line in self.lines if line.verdict is Verdict.FAIL]


# name: (module, function, rule). A check is imported when it is its turn: what misses a library is one line.
CHECKS: Final[dict[str, tuple[str, str]]] = {
    "data": ("distribution", "distribution"),
    "overfit": ("overfit", "overfit"),
    "baseline": ("baseline", "baseline"),
    "shuffle": ("shuffle", "shuffle"),
}
_NEEDS_REAL: Final = {"baseline", "data"}
_STOPS: Final = {"baseline", "shuffle"}
"""Checks that are left out where the real run failed: they would fail in the same way."""


def run_suite(task: Task, asked: Asked, runner: Runner, *, found: Found | None = None) -> Iterator[Found]:
    """Do the checks, and give what there is after each.

    For the data and the baseline, the experiment itself is run once in full, and both use what came of it.

    Args:
        found: is filled and given each time, so that the caller has it when Control-C comes.
    """
    found = found or Found()
    wanted = bool(_NEEDS_REAL & set(asked.names))
    own = _own(task, asked, runner, found) if wanted else None
    for name in CHECKS:
        if name not in asked.names or (wanted and own is None and name in _STOPS):
            continue
        _one(name, task, asked, runner, own, found)
        yield found


def _own(task: Task, asked: Asked, runner: Runner, found: Found) -> Outcome | None:
    """The experiment as it is, once, on data that are whole."""
    from ..checks.baseline.arms import run_task

    try:
        return run_task(task, whole_data(task), runner, seed=asked.seed)
    except GitreproError as error:
        _add(found, error)
    except Exception as error:  # noqa: BLE001 - a fault of ours: what needs no real run is done all the same
        found.fault = found.fault or error
    return None


def _one(name: str, task: Task, asked: Asked, runner: Runner, own: Outcome | None, found: Found) -> None:
    try:
        found.lines += _BY_NAME[name](task, asked, runner, own)
    except GitreproError as error:
        _add(found, error)
    except Exception as error:  # noqa: BLE001 - a fault of ours: the other checks are done all the same
        if isinstance(error, ImportError) and not _of_ours(error):
            found.lines.append(_without_library(CHECKS[name][1], error))
        else:
            found.fault = found.fault or error


def _of_ours(error: ImportError) -> bool:
    """Whether a module of gitrepro is missing, and no library."""
    return str(error.name).partition(".")[0] == __name__.partition(".")[0]


def _add(found: Found, error: GitreproError) -> None:
    """Each thing that went wrong is told once, however many checks met it."""
    if all((error.what, error.why) != (other.what, other.why) for other in found.errors):
        found.errors.append(error)


def _without_library(rule: str, error: ImportError) -> Checked:
    return Checked(
        rule=rule,
        name=rule,
        verdict=Verdict.INCONCLUSIVE,
        algorithm=1,
        why=f"not done: {error}",
        repair='pip install "gitrepro[checks,torch]"',
        observed={"missing": error.name or str(error)},
    )


def _module(name: str) -> Any:
    return import_module(f"..checks.{CHECKS[name][0]}", __package__)


def _data(task: Task, asked: Asked, runner: Runner, own: Outcome | None) -> list[Checked]:
    module = _module("data")
    settings = module.DataSettings(
        predictions=None if own is None else own.predictions,
        influence=own is not None,
        thresholds=given_for("distribution", asked.thresholds) | given_for("separation", asked.thresholds),
        seed=asked.seed,
        tell=asked.tell,
    )
    lines: list[Checked] = module.check_data(task, settings, runner)
    return lines


def _overfit(task: Task, asked: Asked, runner: Runner, _own: Outcome | None) -> list[Checked]:
    module = _module("overfit")
    settings = module.Settings(seed=asked.seed, **given_for("overfit", asked.thresholds))
    lines: list[Checked] = module.check_overfit(task, settings, runner)
    return lines


def _baseline(task: Task, asked: Asked, runner: Runner, own: Outcome | None) -> list[Checked]:
    module = _module("baseline")
    settings = module.Settings(seed=asked.seed, **given_for("baseline", asked.thresholds))
    lines: list[Checked] = module.check_baseline(task, settings, runner, own=own, nominated=asked.nominated)
    return lines


def _shuffle(task: Task, asked: Asked, runner: Runner, _own: Outcome | None) -> list[Checked]:
    module = _module("shuffle")
    given = given_for("shuffle", asked.thresholds)
    settings = module.Settings(seed=asked.seed, full=asked.full, places=asked.places, **given)
    if asked.budget is not None:
        settings = replace(settings, cost=asked.budget, operations=0.0)
    lines: list[Checked] = module.check_shuffle(task, settings, runner, say=asked.say)
    return lines


_BY_NAME: Final[dict[str, Callable[[Task, Asked, Runner, Outcome | None], list[Checked]]]] = {
    "data": _data,
    "overfit": _overfit,
    "baseline": _baseline,
    "shuffle": _shuffle,
}
