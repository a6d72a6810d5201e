"""The stage: runs real commands in the scratch repository, and shows each one before what it prints."""

from __future__ import annotations

import json
import os
import pty
import re
import shlex
import signal
import subprocess
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from ..errors import GitreproError


class Voice(StrEnum):
    """What kind of line is spoken."""

    TITLE = "title"
    TEXT = "text"
    COMMAND = "command"
    OUTPUT = "output"


Say = Callable[[Voice, str], None]

# Git, gitrepro, schedulers and launchers read these; a demo begins with none of them.
_FOREIGN: Final = re.compile(r"(GIT|GITREPRO|SLURM|TORCHELASTIC)_.*|(LOCAL_)?RANK|WORLD_SIZE|PYTHONHASHSEED")
_WIDTH: Final = 78
_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Where commands run, and how they are shown.

    Attributes:
        folder: where every command runs.
        python: the interpreter that has gitrepro.
        environ: the variables of a command.
        say: is given each line.
        terminal: the size of the terminal (rows, columns) that commands shall see; None lets them write to a pipe.
    """

    folder: Path
    python: str
    environ: Mapping[str, str]
    say: Say
    terminal: tuple[int, int] | None = None

    def title(self, text: str) -> None:
        self.say(Voice.TITLE, text)

    def tell(self, text: str) -> None:
        """A paragraph, wrapped."""
        self.plain(*textwrap.wrap(text, width=_WIDTH))

    def plain(self, *lines: str) -> None:
        for line in lines:
            self.say(Voice.TEXT, line)

    def show(self, *lines: str) -> None:
        for line in lines:
            self.say(Voice.OUTPUT, line)

    def run(self, *argv: str, fails: bool = False, lines: int | None = None, shown: str = "") -> str:
        """Run a command, show it and what it prints; return what it printed, without colours.

        Args:
            argv: the command as one would type it.
            fails: it has to end with an exit code other than 0.
            lines: show only so many lines, and the number of the others.
            shown: the command line to show, where it is not `argv`.

        Raises:
            GitreproError: it succeeded, and should not have, or the other way round.
        """
        self.say(Voice.COMMAND, shown or shlex.join(argv))
        reader, process = self._start(argv)
        try:
            printed = list(self._lines(reader, at_most=lines))
            process.wait()
        except BaseException:
            # Ctrl-C, or our reader is gone: nothing of the demo goes on behind it.
            process.terminate()
            process.wait()
            raise
        if process.returncode != 0 and not fails:
            raise GitreproError(f"`{shlex.join(argv)}` ended with {process.returncode}", do=self.way_in)
        if process.returncode == 0 and fails:
            raise GitreproError(f"`{shlex.join(argv)}` went through, and should not have", do=self.way_in)
        return "\n".join(printed)

    def begin(self, *argv: str) -> subprocess.Popen[str]:
        """Start a command in a process group of its own, show it, and hand over its output as it comes."""
        self.say(Voice.COMMAND, f"{shlex.join(argv)} &")
        return subprocess.Popen(
            self._resolved(argv),
            cwd=self.folder,
            env=dict(self.environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )

    def ask(self, *argv: str) -> Any:
        """What `gitrepro ... --json` says, without showing it."""
        return json.loads(self.read("gitrepro", *argv, "--json"))

    def read(self, *argv: str) -> str:
        """What a command says, without showing it."""
        done = subprocess.run(
            self._resolved(argv),
            cwd=self.folder,
            env=dict(self.environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            raise GitreproError(f"`{shlex.join(argv)}` ended with {done.returncode}", why=done.stderr[-500:])
        return done.stdout

    def expect(self, holds: bool, what: str) -> None:
        """Go on only if what was promised came true.

        Raises:
            GitreproError: it did not.
        """
        if not holds:
            raise GitreproError(f"the demo did not go as it should: not so: {what}", do=self.way_in)

    @property
    def way_in(self) -> str:
        return f"look into {self.folder}"

    def _resolved(self, argv: Sequence[str]) -> list[str]:
        # `gitrepro` may stand on nobody's PATH, as under `python -m gitrepro`.
        return [self.python, "-P", "-m", *argv] if argv[0] == "gitrepro" else list(argv)

    def _start(self, argv: Sequence[str]) -> tuple[int, subprocess.Popen[bytes]]:
        """The command with both its streams at one end of a pipe or terminal; the other end is returned."""
        reader, writer = os.pipe() if self.terminal is None else _terminal(*self.terminal)
        try:
            process = subprocess.Popen(
                self._resolved(argv),
                cwd=self.folder,
                env=dict(self.environ),
                stdin=subprocess.DEVNULL,
                stdout=writer,
                stderr=writer,
            )
        except BaseException:
            os.close(reader)
            raise
        finally:
            os.close(writer)
        return reader, process

    def _lines(self, reader: int, *, at_most: int | None) -> Iterator[str]:
        count = 0
        for count, line in enumerate(_read_lines(reader), start=1):
            if at_most is None or count <= at_most:
                self.say(Voice.OUTPUT, line)
            yield _COLOUR.sub("", line)
        if at_most is not None and count > at_most:
            self.say(Voice.OUTPUT, f"... and {count - at_most} more")


def _terminal(rows: int, columns: int) -> tuple[int, int]:
    """A terminal of this size whose lines end as the program ends them."""
    import fcntl
    import struct
    import termios

    reader, writer = pty.openpty()
    mode = termios.tcgetattr(writer)
    mode[1] &= ~termios.OPOST
    termios.tcsetattr(writer, termios.TCSANOW, mode)
    fcntl.ioctl(writer, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    return reader, writer


def _read_lines(reader: int) -> Iterator[str]:
    waiting = b""
    try:
        while chunk := _read(reader):
            *whole, waiting = (waiting + chunk).split(b"\n")
            yield from (line.decode(errors="replace") for line in whole)
    finally:
        os.close(reader)
    if waiting:
        yield waiting.decode(errors="replace")


def _read(reader: int) -> bytes:
    try:
        return os.read(reader, 1 << 16)
    except OSError:
        return b""  # Linux reports the end of a terminal as an error


def end_group(process: subprocess.Popen[Any]) -> None:
    """kill -9 for a process and all it started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def environment(given: Mapping[str, str], *, python: str) -> dict[str, str]:
    """The variables of a demo: yours, without settings that would change what happens in it.

    Git's own settings of yours stay out too: a signing key, a folder of hooks or a template would take part.
    """
    kept = {name: value for name, value in given.items() if not _FOREIGN.fullmatch(name)}
    return {
        **kept,
        "PATH": os.pathsep.join([str(Path(python).parent), kept.get("PATH", os.defpath)]),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_PAGER": "cat",
        "GIT_TERMINAL_PROMPT": "0",
    }
