"""Trials done here and now, with nothing on record."""

from __future__ import annotations

import linecache
import sysconfig
import time
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Final

from ..errors import GitreproError, TaskFailed
from .trials import Outcome, Trial

_PACKAGE: Final = Path(__file__).resolve().parent.parent
_SAID_AT_MOST: Final = 300
_INSTALLED: Final = tuple(Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib"))
_NO_FILES: Final = ("<frozen", "<__array_function__")


def direct(trial: Trial) -> Outcome:
    """Do a trial in this process.

    Returns:
        What came of it, with `seconds` of wall time.

    Raises:
        TaskFailed: the user's code raised something, or gave back what is no outcome.
    """
    began = time.perf_counter()
    outcome = guarded(trial)
    return replace(outcome, seconds=time.perf_counter() - began)


def guarded(trial: Trial) -> Outcome:
    """What the trial's act gives, or one clear error for whatever it raised."""
    try:
        outcome = trial.act()
    except GitreproError:
        raise
    # `sys.exit` in the middle of an experiment must not end the checks without a word; Control-C must.
    except (Exception, SystemExit) as failure:
        if trial.ours and not is_the_users(failure):
            raise
        raise failed(failure, doing=f"the trial {trial.kind}/{trial.arm}, seed {trial.seed}") from failure
    if not isinstance(outcome, Outcome):
        raise TaskFailed(f"the trial {trial.kind}/{trial.arm} gave a {type(outcome).__name__} and no outcome")
    return outcome


def failed(failure: BaseException, *, doing: str) -> TaskFailed:
    """The error that says what the user's code raised, and at which of its lines.

    Args:
        doing: what was under way, as `data()`.
    """
    said = traceback.format_exception_only(failure)[-1].strip()
    return TaskFailed(
        f"the task failed in {doing}: {said[:_SAID_AT_MOST]}",
        why=where(failure),
        do="run it on its own until it passes: `python -m pdb` on the file of the task helps",
    )


def where(failure: BaseException) -> str:
    """The last place of a traceback that is not ours, as `task.py:12, in predict: model.fit(X)`."""
    places = traceback.extract_tb(failure.__traceback__)
    theirs = [each for each in places if not _ours(each.filename)]
    # A library below the user's code is seldom where the fault is.
    own = [each for each in theirs if "site-packages" not in each.filename]
    if not (chosen := own or theirs or list(places)):
        return ""
    last = chosen[-1]
    line = linecache.getline(last.filename, last.lineno or 0).strip()
    return f"{last.filename}:{last.lineno}, in {last.name}" + (f": {line}" if line else "")


def is_the_users(failure: BaseException) -> bool:
    """Whether a line was under way that is neither ours, nor Python's, nor an installed library's."""
    places = [each.filename for each in traceback.extract_tb(failure.__traceback__)]
    return any(not _ours(each) and not _installed(each) for each in places)


def _installed(filename: str) -> bool:
    return filename.startswith(_NO_FILES) or any(folder in Path(filename).parents for folder in _INSTALLED)


def _ours(filename: str) -> bool:
    return _PACKAGE in Path(filename).parents
