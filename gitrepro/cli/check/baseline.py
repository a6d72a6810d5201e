"""`gitrepro check baseline`."""

from __future__ import annotations

from typing import Any

import click

from ...checks.baseline import Nominated
from ...rerun.suite import Asked
from .. import here
from .suite import Options, execute, options


@click.command()
@options
@click.option("--baseline", "run", metavar="RUN", help="A run to beat as well; it kept its predictions.")
def baseline(run: str | None, **given: Any) -> int:
    """Does TASK beat the cheap models that anybody would try first, on the same examples, and at what price?

    \b
        gitrepro check baseline checks.py
        gitrepro check baseline --baseline @best:val/accuracy checks.py

    TASK is a file of yours, `gitrepro check init` writes one. What comes after `--` is in its sys.argv. It exits 1
    when a line is FAIL, 6 when the task fails.
    """
    return execute(Asked(names=("baseline",), nominated=nominated(run)), Options(**given))


def nominated(run: str | None) -> Nominated | None:
    """The predictions of a run on record; None where none is named.

    Raises:
        NotFound: there is no such run, or it kept no predictions.
    """
    if run is None:
        return None
    from ...rerun.trials import predictions_of

    run_id, predictions, seconds = predictions_of(here.repository(), run)
    return Nominated(name=f"run {run_id[-8:]}", predictions=predictions, seconds=seconds, run_id=run_id)
