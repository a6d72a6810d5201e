"""`gitrepro init`: set up a repository."""

from __future__ import annotations

import sys

import click

from .. import hooks as hook_files
from . import here
from .hooks import say_what_is_left
from .present import emit, line, note


@click.command()
@click.option("--no-hooks", is_flag=True, help="Install no Git hooks.")
@click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON.")
def init(no_hooks: bool, as_json: bool) -> None:
    """Set up this repository: hooks that refuse unsound result tags, and a `git log` without our refs.

    Recording works without it. It may be run again at any time, and changes nothing outside this clone's own settings.
    """
    found = here.with_work_tree()
    found.git("config", "log.excludeDecoration", "refs/gitrepro*")
    report = None if no_hooks else hook_files.install(found, python=sys.executable)
    if as_json:
        emit({"repository": str(found.work_tree), "hooks": report.installed if report else []})
        return
    line(f"gitrepro is set up in {found.work_tree}")
    if report:
        note(f"hooks: {', '.join(report.installed) or 'none yet'}; `gitrepro hooks remove` takes them out")
        say_what_is_left(report)
    note("next: `gitrepro record -- python train.py`")
