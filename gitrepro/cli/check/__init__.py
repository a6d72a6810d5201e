"""`gitrepro check`: measures on your own program what flags and habits only promise."""

from __future__ import annotations

from importlib import import_module
from typing import Final, final

import click

from ...errors import UsageError

# name: (module, one line of help). Listing them loads none.
CHECKS: Final[dict[str, tuple[str, str]]] = {
    "init": ("init", "Write a file that hands your experiment over, to start from."),
    "all": ("all", "All checks of an experiment, one line each."),
    "data": ("data", "Are the data what they seem: drift, duplicates, overlaps of the split?"),
    "overfit": ("overfit", "Can the model learn 32 examples by heart?"),
    "baseline": ("baseline", "Does the experiment beat cheap models, and at what price?"),
    "shuffle": ("shuffle", "Does it fall to chance when there is nothing to learn?"),
    "determinism": ("determinism", "Do the same steps give the same weights, and what does it cost?"),
    "precision": ("precision", "What does a lower precision change, in speed and in the result?"),
    "batch": ("batch", "Which batch sizes fit, and how fast are they?"),
}


@final
class Checks(click.Group):
    """Checks that are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(CHECKS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in CHECKS:
            raise UsageError(f"there is no check {cmd_name!r:.80}", do="`gitrepro check --help` lists them")
        command: click.Command = getattr(import_module(f".{CHECKS[cmd_name][0]}", __package__), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Checks"):
            formatter.write_dl([(name, line) for name, (_, line) in CHECKS.items()])


@click.group(cls=Checks)
def check() -> None:
    """Measure on your own program what flags and habits only promise."""
