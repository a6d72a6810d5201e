"""The checks of an experiment, one after the other: what one of them cannot do keeps none of the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Final, final

from ..checks.baseline import Nominated
from ..checks.task import Task, check_data
from ..checks.trials import Outcome, Runner
from ..errors import GitreproError
from ..records.result import Verdict
from ..records.sanity import Checked


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """How the checks are done.

    Attributes:
        names: of CHECKS.
        full: all examples and the whole budget for the shuffle check, whatever it costs.
        nominated: a run that the user names as the one to beat.
        tell: called now and then with the name of what is done, how far it is, and of how many.
    """

    names: Sequence[str]
    seed: int = 0
    full: bool = False
    nominated: Nominated | None = None
    tell: Callable[[str, int, int], None] | None = None


@final
@dataclass(slots=True)
class Found:
    """What the checks found so far, and what went wrong in them."""

    lines: list[Checked] = field(default_factory=list)
    errors: list[GitreproError] = field(default_factory=list)

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
_NEEDS_REAL: Final = {"baseline", "shuffle", "data"}


def run_suite(task: Task, asked: Asked, runner: Runner, *, found: Found | None = None) -> Iterator[Found]:
    """Do the checks, and give what there is after each.

    The experiment itself is run once in full, and each check that can use what came of it does.

    Args:
        found: is filled and given each time, so that the caller has it when Control-C comes.
    """
    found = found or Found()
    own = _own(task, asked, runner, found) if _NEEDS_REAL & set(asked.names) else None
    for name in CHECKS:
        if name not in asked.names or (own is None and name in ("baseline", "shuffle")):
            continue
        _one(name, task, asked, runner, own, found)
        yield found


def _own(task: Task, asked: Asked, runner: Runner, found: Found) -> Outcome | None:
    """The experiment as it is, once, on data that are whole."""
    from ..checks.baseline.arms import run_task

    try:
        data = check_data(task.data(), source=f"data() of {task.name}")
        return run_task(task, data, runner, seed=asked.seed)
    except GitreproError as error:
        _add(found, error)
        return None


def _one(name: str, task: Task, asked: Asked, runner: Runner, own: Outcome | None, found: Found) -> None:
    try:
        found.lines += _BY_NAME[name](task, asked, runner, own)
    except ImportError as error:
        if str(error.name).partition(".")[0] == __name__.partition(".")[0]:
            raise  # ours: no library is missing
        found.lines.append(_without_library(CHECKS[name][1], error))
    except GitreproError as error:
        _add(found, error)


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
        seed=asked.seed,
        tell=asked.tell,
    )
    lines: list[Checked] = module.check_data(task, settings, runner)
    return lines


def _overfit(task: Task, asked: Asked, runner: Runner, _own: Outcome | None) -> list[Checked]:
    module = _module("overfit")
    lines: list[Checked] = module.check_overfit(task, module.Settings(seed=asked.seed), runner)
    return lines


def _baseline(task: Task, asked: Asked, runner: Runner, own: Outcome | None) -> list[Checked]:
    module = _module("baseline")
    settings = module.Settings(seed=asked.seed)
    lines: list[Checked] = module.check_baseline(task, settings, runner, own=own, nominated=asked.nominated)
    return lines


def _shuffle(task: Task, asked: Asked, runner: Runner, own: Outcome | None) -> list[Checked]:
    module = _module("shuffle")
    seconds = None if own is None else own.seconds
    settings = module.Settings(seed=asked.seed, full=asked.full, real_seconds=seconds)
    lines: list[Checked] = module.check_shuffle(task, settings, runner)
    return lines


_BY_NAME: Final[dict[str, Callable[[Task, Asked, Runner, Outcome | None], list[Checked]]]] = {
    "data": _data,
    "overfit": _overfit,
    "baseline": _baseline,
    "shuffle": _shuffle,
}
