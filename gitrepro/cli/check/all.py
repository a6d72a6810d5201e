"""`gitrepro check all`: every check of an experiment."""

from __future__ import annotations

from typing import Any

import click

from ...rerun.suite import CHECKS, Asked
from .baseline import nominated
from .shuffle import columns, effort
from .suite import Options, execute, options


@click.command()
@options
@effort
@click.option("--baseline", "run", metavar="RUN", help="A run to beat as well; it kept its predictions.")
def all(full: bool, budget: float | None, places: tuple[str, ...], run: str | None, **given: Any) -> int:
    """Is the experiment TASK sound? Its data, whether it can learn, baselines, and whether it falls to chance.

    \b
        gitrepro check init
        gitrepro check all checks.py
        gitrepro check all --html found.html checks.py:task -- --epochs 5

    TASK is a file of yours with an object `task`, or the functions that `gitrepro check init` writes; what comes after
    `--` is in its sys.argv. Each training is a run on record, all in one group, and one more run keeps what was found
    with its numbers, thresholds and examples. It exits 1 when a line is FAIL, 6 when the task fails; what had been
    found by then is shown and on record.
    """
    asked = Asked(names=tuple(CHECKS), full=full, budget=budget, places=columns(places), nominated=nominated(run))
    return execute(asked, Options(**given))
