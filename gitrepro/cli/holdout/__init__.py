"""`gitrepro holdout`: the log of every use of a test set, and the seal on one."""

from __future__ import annotations

import click

from .log import log
from .predict import predict
from .score import score
from .seal import seal
from .select import select


@click.group()
def holdout() -> None:
    """Keep a test set for one use: what opened it is logged for good, and its labels can be sealed."""


for command in (log, select, seal, predict, score):
    holdout.add_command(command)
