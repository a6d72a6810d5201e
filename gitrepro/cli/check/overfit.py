"""`gitrepro check overfit`."""

from __future__ import annotations

from typing import Any

import click

from ...rerun.suite import Asked
from .suite import Options, execute, options


@click.command()
@options
def overfit(**given: Any) -> int:
    """Let the model of TASK learn 32 examples by heart, and look at its loss, its gradients and its modes.

    \b
        gitrepro check overfit checks.py

    TASK is a file of yours, `gitrepro check init` writes one. What comes after `--` is in its sys.argv. It exits 1
    when a line is FAIL, 6 when the task fails.
    """
    return execute(Asked(names=("overfit",)), Options(**given))
