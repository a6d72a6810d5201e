"""What all checks of an experiment have in common: options, the runs they make, and how they show what they found."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeVar, final

import click

from ...checks.loading import load_task
from ...checks.task import Task
from ...checks.trials import Outcome, Runner, Trial
from ...errors import NoRepository, UsageError
from ...records import ids
from ...records.result import Verdict
from ...records.sanity import Checked
from ...rerun.suite import Asked, Found, run_suite
from ...rerun.trials import examples_of, put_on_record, recording
from .. import here
from ..present import clean, counted, emit, fitted, line, mark, note, show_error, table

SCHEMA: Final = 1
_EXAMPLES_SHOWN: Final = 3
_SEEDS: Final = click.IntRange(0, 2**32 - 1)
Command = TypeVar("Command", bound=Callable[..., Any])


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the person at the terminal asks for."""

    where: str
    args: tuple[str, ...]
    seed: int
    no_record: bool
    as_json: bool
    page: str | None


def options(command: Command) -> Command:
    """The arguments and options that each check of an experiment takes."""
    for add in reversed(_OPTIONS):
        command = add(command)
    return command


_OPTIONS: Final[Sequence[Callable[[Any], Any]]] = (
    click.argument("where", metavar="TASK"),
    click.argument("args", nargs=-1, type=click.UNPROCESSED, metavar="[-- ARG...]"),
    click.option("--seed", type=_SEEDS, default=0, show_default=True, help="The seed of the experiment and of draws."),
    click.option("--no-record", is_flag=True, help="Put nothing on record."),
    click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON."),
    click.option("--html", "page", metavar="FILE", help="Also write a page with the examples to look at."),
)


def execute(asked: Asked, wanted: Options) -> int:
    """Do checks of a task, put them on record, show them; the exit code.

    It is that of what went wrong, where anything did (6: the task failed), else 1 where a line is FAIL, else 0. What
    had been found before something went wrong, or before Control-C, is on record and shown.
    """
    if asked.full and asked.budget is not None:
        raise UsageError("--full and --budget were given", why="one is all of the work, the other a share of it")
    asked = replace(asked, thresholds=_thresholds(needed=not wanted.no_record))
    _check_page(wanted.page)
    # What the user's code prints is no data of ours.
    with contextlib.redirect_stdout(sys.stderr):
        task = load_task(wanted.where, argv=wanted.args)
        group = f"check-{ids.new_id()[-8:].lower()}"
        found, interrupted = _run(task, replace(asked, seed=wanted.seed, tell=_far, say=_say), wanted, group)
        run = None if wanted.no_record else _recorded(found, task, wanted, group)
    _show(found, task, wanted, run=run, group=group)
    if interrupted:
        raise KeyboardInterrupt
    if found.fault is not None:
        raise found.fault
    return found.errors[0].exit_code if found.errors else 1 if found.failing else 0


def _thresholds(*, needed: bool) -> Mapping[str, float]:
    """Those of the policy file in the work tree, as it stands now; none where there is no repository.

    Raises:
        NoRepository: there is none, and it is needed.
        ConfigError: the file does not parse.
    """
    from ... import policy

    try:
        found = here.repository()
    except NoRepository as error:
        if needed:
            raise NoRepository(error.what, why=error.why, do="`git init` here, or give --no-record") from None
        return {}
    path = (found.work_tree or found.git_dir) / policy.FILE
    return policy.parse(path.read_bytes()).thresholds if path.is_file() else {}


def _check_page(page: str | None) -> None:
    """Before anything is trained."""
    if page is not None and not Path(page).resolve().parent.is_dir():
        raise UsageError(f"there is no folder for {page!r:.200}", do="make it first")


def _run(task: Task, asked: Asked, wanted: Options, group: str) -> tuple[Found, bool]:
    found, interrupted = Found(), False
    try:
        for _ in run_suite(task, asked, _runner(task, wanted, group), found=found):
            _clear()
    except KeyboardInterrupt:
        interrupted = True
    _clear()
    return found, interrupted


def _runner(task: Task, wanted: Options, group: str) -> Runner:
    from ...checks.direct import direct

    if not wanted.no_record:
        return recording(group, config=_config(task, wanted), told=_trial)

    def runner(trial: Trial) -> Outcome:
        _trial(trial, None)
        return direct(trial)

    return runner


def _config(task: Task, wanted: Options) -> dict[str, Any]:
    return {"args": list(wanted.args), "file": wanted.where, "metric": task.metric.name, "task": task.name}


def _recorded(found: Found, task: Task, wanted: Options, group: str) -> str:
    config = {**_config(task, wanted), "seed": wanted.seed, "errors": [error.what for error in found.errors]}
    what = f"checks of {task.name} ({wanted.where})"
    return put_on_record(
        found.lines, group=group, config=config, seed=wanted.seed, what=what, examples=examples_of(task)
    )


# -- progress, on a terminal


def _tell(text: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{fitted(text)}")
        sys.stderr.flush()


def _far(what: str, done: int, total: int) -> None:
    _tell(f"{what}: {done:,} of {total:,}")


def _say(text: str) -> None:
    _clear()
    note(text)


def _trial(trial: Trial, outcome: Outcome | None) -> None:
    if outcome is None:
        _tell(f"{trial.kind}: {trial.arm}, seed {trial.seed} ...")


def _clear() -> None:
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()


# -- what is shown


def _show(found: Found, task: Task, wanted: Options, *, run: str | None, group: str) -> None:
    if wanted.page is not None:
        from .html import write_page

        write_page(Path(wanted.page), found.lines, task, title=f"{task.name}: {wanted.where}")
        note(f"the examples to look at: {clean(wanted.page)}")
    if wanted.as_json:
        emit(_document(found, task, run=run, group=None if run is None else group))
    elif sys.stdout.isatty():
        _print(found.lines)
    else:
        table([[each.verdict, each.name, each.why, each.repair] for each in found.lines], _HEADER)
    _conclude(found, run, group)


_HEADER: Final = ("verdict", "check", "why", "repair")


def _document(found: Found, task: Task, *, run: str | None, group: str | None) -> dict[str, Any]:
    from ...run.sane import plain

    told = [{"code": each.code, "what": each.what, "why": each.why, "do": each.do} for each in found.errors]
    return {
        "schema": SCHEMA,
        "task": task.name,
        "ok": not found.failing and not found.errors and found.fault is None,
        "run": run,
        "group": group,
        "checks": [plain(each.document()) for each in found.lines],
        "errors": told,
    }


def _print(lines: Sequence[Checked]) -> None:
    width = max((len(each.name) for each in lines), default=0)
    indent = " " * (len("?  INCONCLUSIVE") + 2 + width + 2)
    for each, others in _folded(lines):
        gap = " " * (len("INCONCLUSIVE") - len(each.verdict))
        also = f" (so for {', '.join(others)})" if others else ""
        line(f"{mark(each.verdict)}{gap}  {each.name:<{width}}  {clean(each.why)}{clean(also)}")
        if each.verdict in (Verdict.PASS, Verdict.NOT_APPLICABLE):
            continue
        if each.repair:
            line(f"{indent}{clean(each.repair)}")
        for example in each.examples[:_EXAMPLES_SHOWN]:
            line(f"{indent}{clean(' and '.join(example.ids))}: {clean(example.says)}")


def _folded(lines: Sequence[Checked]) -> list[tuple[Checked, list[str]]]:
    """Each line, with the names of those behind it that do not apply for the same reason."""
    found: list[tuple[Checked, list[str]]] = []
    for each in lines:
        before = (found[-1][0].rule, found[-1][0].verdict, found[-1][0].why) if found else None
        if each.verdict is Verdict.NOT_APPLICABLE and before == (each.rule, each.verdict, each.why):
            found[-1][1].append(each.name)
        else:
            found.append((each, []))
    return found


def _conclude(found: Found, run: str | None, group: str) -> None:
    for error in found.errors:
        # With --json they stand in the document, too; a person reads them here in any case.
        show_error(error, as_json=False)
    counts = {verdict: sum(each.verdict is verdict for each in found.lines) for verdict in Verdict}
    note(", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count) or "nothing was checked")
    if run:
        note(f"see it with `gitrepro show {run[-8:]}`, its runs with `gitrepro ls \"group == '{group}'\"`")
    if found.errors:
        note(f"{counted(len(found.errors), 'check')} could not be done to the end; what is above stands")
