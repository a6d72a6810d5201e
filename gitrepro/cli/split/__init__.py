"""`gitrepro split`: divide a data set into parts, take parts over, look at them, and check them."""

from __future__ import annotations

import click

from .check import check
from .look import ls, show
from .make import import_, make


@click.group()
def split() -> None:
    """Divide a data set into parts. A split never changes; other parts under its name are its next version."""


for command in (make, import_, show, check, ls):
    split.add_command(command)
