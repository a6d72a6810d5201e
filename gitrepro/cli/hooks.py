"""`gitrepro hooks`: the Git hooks of this repository; and `gitrepro hook`, which they call."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import click

from .. import hooks as decisions
from ..errors import ChildFailed, GitreproError, UsageError
from ..policy import LEVELS
from ..store import repository as repositories
from . import here
from .present import clean, emit, note, table

SCHEMA = 1
PUSHING: Final = "GITREPRO_PUSHING"
_TERMINAL: Final = "/dev/tty"


@click.group()
def hooks() -> None:
    """Install, remove or show the Git hooks: they audit result tags and let everything else pass."""


_AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print how the hooks stand as JSON.")


@hooks.command()
@click.option("--server", is_flag=True, help="In a bare repository: judge what is pushed to it.")
@click.option("--level", type=click.Choice(LEVELS), help="With --server: ask at least this of every result.")
@_AS_JSON
@click.pass_context
def install(ctx: click.Context, server: bool, level: str | None, as_json: bool) -> None:
    """Put the hooks in place. Hooks that are there already are kept, and run first.

    Where core.hooksPath names files of yours, those stay as they are, and you are told the lines that call ours;
    until they are there it exits 1.

    With --server, in the bare repository that a team pushes to: result tags that do not stand are refused, and so is
    all that would rewind, delete or damage the runs there. Everything else passes untouched.
    """
    found = here.repository()
    if level and not server:
        raise UsageError("--level is what a server asks", do="add --server, in the bare repository that is pushed to")
    if server:
        report = decisions.install_server(found, python=sys.executable, level=level)
    else:
        report = decisions.install(found, python=sys.executable)
    _show(report, as_json=as_json)
    ctx.exit(0 if report.ok else 1)


@hooks.command()
@_AS_JSON
def remove(as_json: bool) -> None:
    """Take the hooks out, and put back what stood there before."""
    _show(decisions.remove(here.repository()), as_json=as_json)


@hooks.command()
@_AS_JSON
@click.pass_context
def status(ctx: click.Context, as_json: bool) -> None:
    """Show the hooks. Exits 1 when one is missing or out of order."""
    report = decisions.status(here.repository())
    _show(report, as_json=as_json)
    ctx.exit(0 if report.ok else 1)


def _show(report: decisions.Report, *, as_json: bool) -> None:
    if as_json:
        emit(_document(report))
        return
    rows = [(hook.name, hook.state, "yes" if hook.chained else "no", hook.path) for hook in report.hooks]
    table(rows, ["hook", "state", "chained", "path"])
    if report.patterns:
        least = f", at least {clean(report.level)}" if report.level else ""
        note(f"result tags: {' '.join(report.patterns)}{least}; checked by {report.python}")
    say_what_is_left(report)
    if report.trouble:
        note(f"out of order: {report.trouble}; `gitrepro hooks install{' --server' if report.level else ''}` mends it")


def say_what_is_left(report: decisions.Report) -> None:
    """Tell what only the user can do: the lines that their own hooks need."""
    for path, text in report.by_hand:
        there = "as its last line" if path.exists() else 'below "#!/bin/sh", and make it executable'
        note(f"{path} is yours; put this into it, {there}:")
        note(f"    {text}")


def _document(report: decisions.Report) -> dict[str, object]:
    return {
        "schema": SCHEMA,
        "ok": report.ok,
        "folder": str(report.folder),
        "python": report.python,
        "patterns": list(report.patterns),
        "level": report.level,
        "trouble": report.trouble,
        "by_hand": [{"path": str(path), "line": text} for path, text in report.by_hand],
        "hooks": [
            {"name": hook.name, "state": hook.state, "chained": hook.chained, "path": str(hook.path)}
            for hook in report.hooks
        ],
    }


@click.command(hidden=True, context_settings={"ignore_unknown_options": True})
@click.argument("kind", type=click.Choice((*decisions.KINDS, *decisions.SERVER_KINDS)))
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def hook(ctx: click.Context, kind: str, words: tuple[str, ...]) -> None:
    """Decide for a Git hook: exits 0 to let pass, 3 to refuse."""
    asked = sys.stdin.buffer.read()
    try:
        found = repositories.find(Path.cwd(), os.environ)
        sender = decisions.Sender(send=_send, ask=_question()) if kind == "pre-push" else None
        code, said = decisions.handle(kind, words, asked, found, now=time.time(), sender=sender)
    except GitreproError as error:
        code, said = decisions.REFUSES, decisions.message(error)
    sys.stderr.write(said)
    ctx.exit(code)


def _question() -> Callable[[str], bool] | None:
    """What puts a question to whoever pushes, at their terminal; None where there is none. Git has taken stdin."""
    try:
        with open(_TERMINAL, "rb", buffering=0):
            return _ask if sys.stderr.isatty() else None
    except OSError:
        return None


def _ask(question: str) -> bool:
    with open(_TERMINAL, "r+b", buffering=0) as terminal:
        terminal.write(f"gitrepro: {clean(question)} [Y/n] ".encode())
        answer = terminal.readline()
    return answer.strip().lower() in (b"", b"y", b"yes") and answer != b""


def _send(remote: str) -> None:
    """What `gitrepro push` does, with its progress and its words, beside the push that waits for this hook."""
    command = [sys.executable, "-P", "-E", "-m", "gitrepro", "push", remote]
    done = subprocess.run(command, env={**os.environ, PUSHING: "1"}, stdin=subprocess.DEVNULL, stdout=2, check=False)
    if done.returncode:
        raise ChildFailed(
            "the runs and blobs were not sent, so the tag is not pushed",
            why=f"`gitrepro push` ended with {done.returncode}; it has said why",
            do="mend that, then push again",
        )
