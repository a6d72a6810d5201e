"""`gitrepro check determinism`: the first steps of a program, made again and again."""

from __future__ import annotations

import os
import shlex

import click

from ...errors import UsageError
from ...rerun.determinism import Arm, Measured, Trial, measure
from .. import here
from ..present import clean, coloured, emit, note, table

SCHEMA = 1


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--steps", type=click.IntRange(2, 100_000), default=20, show_default=True, help="How many to make.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True, help="The seed of all runs.")
@click.option("--no-record", is_flag=True, help="Put nothing on record.")
@click.option("--json", "as_json", is_flag=True, help="Print what was measured as JSON.")
@click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="-- COMMAND [ARG]...")
def determinism(steps: int, seed: int, no_record: bool, as_json: bool, command: tuple[str, ...]) -> int:
    """Make the first optimizer steps of COMMAND four times, and compare the weights after each.

    \b
        gitrepro check determinism -- python train.py
        gitrepro check determinism --steps 50 --json -- python train.py --lr 0.1

    Twice as the program is, and twice with deterministic torch, as `gitrepro record --determinism on` switches it: do
    the same steps give the same weights bit by bit, from which step on do they not, and how much longer does a step
    take? Every run has the same seed and ends after its last step. What it measured goes on record as a run of the kind
    `reproduction`. What COMMAND itself writes, it writes four times.

    It exits 0 when the steps repeat with deterministic torch, 1 when they do not.
    """
    if not command or command[0].startswith("-"):
        raise UsageError("there is no command to run", do="`gitrepro check determinism -- python train.py`")
    if not no_record:
        here.repository()
    measured = measure(command, steps=steps, seed=seed, environ=os.environ, told=_tell)
    run = None if no_record else _recorded(measured)
    if as_json:
        emit({"schema": SCHEMA, **measured.document(), "run": run})
    else:
        _show(measured, run)
    return 0 if measured.on.repeats else 1


def _tell(mode: str, trial: Trial) -> None:
    what = f"failed: {clean(trial.failed)}" if trial.failed else f"{trial.steps} steps"
    note(f"deterministic torch {mode}: {what}")


def _recorded(measured: Measured) -> str:
    """Put it on record; the id of the run."""
    from ...run.deterministic import tell_measured
    from ...run.recorder import record

    with record(kind="reproduction", note=f"check determinism: {shlex.join(measured.argv)}") as run:
        tell_measured(run, measured.document())
        for name, arm in (("on", measured.on), ("off", measured.off)):
            run.summary[f"determinism/{name}/repeats"] = arm.repeats
            if arm.step_seconds is not None:
                run.summary[f"determinism/{name}/step_seconds"] = arm.step_seconds
    return run.id


def _show(measured: Measured, run: str | None) -> None:
    rows = [_row(measured.off, ""), _row(measured.on, _cost(measured))]
    table(rows, ["deterministic torch", "steps", "same weights", "first other step", "step time", "cost"])
    for line in _findings(measured):
        note(line)
    if run:
        note(f"see it with `gitrepro show {run[-8:]}`")


def _row(arm: Arm, cost: str) -> tuple[str, ...]:
    same = coloured("yes", "green") if arm.repeats else coloured("failed" if arm.failed else "no", "red")
    first = "" if arm.first_difference is None else str(arm.first_difference + 1)
    taken = "" if arm.step_seconds is None else f"{arm.step_seconds * 1e3:.2f} ms"
    return arm.mode, str(arm.steps), same, first, taken, cost


def _cost(measured: Measured) -> str:
    return "" if measured.cost is None else f"{measured.cost:+.1%}"


def _findings(measured: Measured) -> list[str]:
    """What it means, and what to do."""
    off, on = measured.off, measured.on
    if on.failed:
        return [
            f"with deterministic torch the program fails: {clean(on.failed)}",
            "an operation of it has no deterministic form: replace it, or live with steps that do not repeat",
        ]
    if not on.repeats:
        return [
            f"even with deterministic torch the weights differ after step {(on.first_difference or 0) + 1}",
            "look for a generator that nobody seeds, the order of files or of sets, and threads of the program's own",
        ]
    if off.repeats:
        return ["the steps repeat as the program is; on another machine, or with other threads, they may not"]
    return ["`gitrepro record --determinism on` makes them repeat"]
