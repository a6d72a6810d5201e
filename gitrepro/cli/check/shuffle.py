"""`gitrepro check shuffle`."""

from __future__ import annotations

from typing import Any

import click

from ...rerun.suite import Asked
from .suite import Options, execute, options


@click.command()
@options
@click.option("--full", is_flag=True, help="All examples and the whole budget, whatever it costs.")
def shuffle(full: bool, **given: Any) -> int:
    """With labels or inputs that tell nothing, does TASK fall to chance? What does not has seen the answers.

    \b
        gitrepro check shuffle checks.py
        gitrepro check shuffle --full checks.py

    TASK is a file of yours, `gitrepro check init` writes one. What comes after `--` is in its sys.argv. It exits 1
    when a line is FAIL, 6 when the task fails.
    """
    return execute(Asked(names=("shuffle",), full=full), Options(**given))
