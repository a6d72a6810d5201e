"""`gitrepro check data`."""

from __future__ import annotations

from typing import Any

import click

from ...rerun.suite import Asked
from .suite import Options, execute, options


@click.command()
@options
def data(**given: Any) -> int:
    """Look at the data of TASK: classes, types, drift, duplicates, and what stands on both sides of the split.

    \b
        gitrepro check data checks.py

    TASK is a file of yours, `gitrepro check init` writes one. What comes after `--` is in its sys.argv. It exits 1
    when a line is FAIL, 6 when the task fails.
    """
    return execute(Asked(names=("data",)), Options(**given))
