"""`gitrepro data`: versions of data sets, named by their content."""

from __future__ import annotations

import click

from .add import add
from .diff import diff
from .get import get
from .ls import ls
from .show import show
from .stats import stats

_EPILOG = """\b
  gitrepro data add data/digits digits            the first version is digits@v1
  gitrepro data add train.csv prices@2026-03 --id order --label price
  gitrepro data add /big/imagenet imagenet --link --label folder
  gitrepro data show digits                       the newest version
  gitrepro data diff digits@v1 digits@v2          exit code 1 when they differ
  gitrepro data get digits@v1 /tmp/digits --only '*.png'
\b
NAME is digits, digits@v1 or digits@b3:12ab. A version is its content: the same
bytes under the same names have one digest, on every machine.
"""


@click.group(epilog=_EPILOG)
def data() -> None:
    """Add data sets, list, show, compare and fetch them."""


for command in (add, ls, show, get, diff, stats):
    data.add_command(command)
