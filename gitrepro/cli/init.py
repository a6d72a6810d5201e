"""`gitrepro init`: set up a repository."""

from __future__ import annotations

import sys

import click

from .. import hooks as hook_files
from . import here
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
    done = {"repository": str(found.work_tree), "hooks": []}
    if not no_hooks:
        report = hook_files.install(found, python=sys.executable)
        done["hooks"] = report.installed
    if as_json:
        emit(done)
        return
    line(f"gitrepro is set up in {found.work_tree}")
    if not no_hooks:
        note(f"hooks: {', '.join(done['hooks'])}; `gitrepro hooks remove` takes them out")
    note("next: `gitrepro record -- python train.py`")
