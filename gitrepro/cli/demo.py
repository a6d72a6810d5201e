"""`gitrepro demo`: see it all on real data, in a scratch repository."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Final, final

import click

from ..demo.stage import Voice
from ..demo.story import play, require_parts
from ..errors import UsageError
from .present import coloured, line, note

_INDENT: Final = "  "


@click.command()
@click.argument("path", required=False)
@click.option("--keep/--no-keep", default=True, show_default=True, help="Keep the repository, to look into it.")
def demo(path: str | None, keep: bool) -> None:
    """Train on real data, record, kill, recover, tag: in a scratch repository, by real commands that are shown.

    Takes about half a minute and no network. The repository is a new folder among the temporary ones, or PATH.
    Exits 1 when something does not come out as it should.
    """
    require_parts(path=os.environ.get("PATH"))
    folder = _folder(path)
    line(f"A scratch repository: {folder}")
    line("All of this happens in it and nowhere else. It may be deleted at any time.")
    play(folder, python=sys.executable, environ=os.environ, say=_Teller(), terminal=_terminal())
    if keep:
        _farewell(folder)
    else:
        shutil.rmtree(folder)


def _folder(path: str | None) -> Path:
    """A new folder; a new one of that path, if any.

    Raises:
        UsageError: something is there already.
    """
    if path is None:
        return Path(tempfile.mkdtemp(prefix="gitrepro-demo-")).resolve()
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        taken = any(folder.iterdir())
    except OSError as error:
        raise UsageError(f"{path} cannot be made a folder", why=error.strerror or "") from error
    if taken:
        raise UsageError(f"{path} is not empty", do="name a folder that does not exist yet")
    return folder.resolve()


def _terminal() -> tuple[int, int] | None:
    """The size of ours, where the commands shall see a terminal as we do."""
    if not sys.stdout.isatty():
        return None
    size = shutil.get_terminal_size()
    return size.lines, max(size.columns - len(_INDENT), 1)


@final
class _Teller:
    """Puts the lines of the story on stdout, with air between the paragraphs."""

    def __init__(self) -> None:
        self._before = Voice.TEXT

    def __call__(self, voice: Voice, text: str) -> None:
        if voice is Voice.TITLE or (voice is Voice.TEXT and self._before in (Voice.OUTPUT, Voice.COMMAND)):
            line()
        match voice:
            case Voice.TITLE:
                line(coloured(f"== {text}", "bold") + "\n")
            case Voice.COMMAND:
                line(coloured(f"$ {text}", "bold"))
            case Voice.OUTPUT:
                line(f"{_INDENT}{text}")
            case Voice.TEXT:
                line(text)
        sys.stdout.flush()
        self._before = voice


def _farewell(folder: Path) -> None:
    place = shlex.quote(str(folder))
    line("\nAll went as it should. To look around:\n")
    for command in (
        f"cd {place}",
        "gitrepro show @best:val/accuracy",
        "gitrepro ls --status crashed",
        "git cat-file -p result/digits",
        f"rm -rf {place}",
    ):
        line(f"  {command}")
    note("\nIn a repository of yours: `gitrepro record -- python train.py`")
