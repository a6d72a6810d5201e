"""`gitrepro check shuffle`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import click

from ...rerun.suite import Asked
from .suite import Command, Options, execute, options


def effort(command: Command) -> Command:
    """The options of the shuffle check."""
    for add in reversed(_EFFORT):
        command = add(command)
    return command


_EFFORT: Final[Sequence[Callable[[Any], Any]]] = (
    click.option("--full", is_flag=True, help="Shuffle all examples with the whole budget, whatever it costs."),
    click.option(
        "--budget",
        type=click.FloatRange(0, 1, min_open=True),
        metavar="SHARE",
        help="Shuffle at this share of the real run's work; by default 0.05, or more where that is seconds.",
    ),
    click.option(
        "--place",
        "places",
        multiple=True,
        metavar="COLUMN",
        help="A column (name, or number from 0) that tells where an example stands: an id, a time. Shuffle keeps it.",
    ),
)


def columns(named: Sequence[str]) -> tuple[str | int, ...]:
    """Columns as a person names them: a number is a place."""
    return tuple(int(each) if each.isascii() and each.isdigit() else each for each in named)


@click.command()
@options
@effort
def shuffle(full: bool, budget: float | None, places: tuple[str, ...], **given: Any) -> int:
    """With labels or inputs that tell nothing, does TASK fall to chance? What does not has seen the answers.

    \b
        gitrepro check shuffle checks.py
        gitrepro check shuffle --full checks.py
        gitrepro check shuffle --budget 0.01 --place file_name checks.py

    TASK is a file of yours, `gitrepro check init` writes one. What comes after `--` is in its sys.argv. It exits 1
    when a line is FAIL, 6 when the task fails.
    """
    asked = Asked(names=("shuffle",), full=full, budget=budget, places=columns(places))
    return execute(asked, Options(**given))
