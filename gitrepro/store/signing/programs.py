"""The programs that sign and verify: which ones, and run so that none of them can ask, hang, or be chosen by others."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from ...errors import ChildFailed, UsageError
from .. import git
from ..repository import Repository
from .text import OPENPGP, SSH

_KEYS: Final = (
    "gpg.format", "gpg.program", "gpg.openpgp.program", "gpg.ssh.program", "user.signingkey",
    "gitrepro.allowedsigners", "gpg.ssh.allowedsignersfile",
)  # fmt: skip
# A repository's own configuration may come from anybody, and names no program here.
_PROGRAMS: Final = ("gpg.program", "gpg.openpgp.program", "gpg.ssh.program")
_OWN_SCOPES: Final = ("global", "system", "command")
_OFF: Final = ("", "0", "false", "no", "off")
_ASKING: Final = ("DISPLAY", "WAYLAND_DISPLAY", "SSH_ASKPASS", "GPG_TTY")
_ANSWER_AT_MOST: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What Git's configuration says of signatures: by key the value, and where it comes from."""

    values: dict[str, str]
    scopes: dict[str, str]

    @property
    def kind(self) -> str:
        return self.values.get("gpg.format", OPENPGP).lower()

    def program(self, kind: str) -> str:
        """The program for signatures of this kind."""
        named = [f"gpg.{kind}.program", *(["gpg.program"] if kind == OPENPGP else [])]
        default = "ssh-keygen" if kind == SSH else "gpg"
        return os.path.expanduser(next((self.values[key] for key in named if self.values.get(key)), default))


@dataclass(frozen=True, slots=True)
class Answer:
    """What a program said, and with which code it ended."""

    code: int
    out: bytes
    err: bytes

    @property
    def last_words(self) -> str:
        lines = [line for line in self.err.decode(errors="replace").splitlines() if line.strip()]
        return lines[-1].strip()[:300] if lines else f"exit code {self.code}"


def is_on(repository: Repository) -> bool:
    """Whether `gitrepro.sign` is set."""
    return (repository.setting("gitrepro.sign") or "").lower() not in _OFF


def read(repository: Repository) -> Settings:
    """The settings of signatures, programs only from configuration of the user or the machine."""
    wanted = "|".join(key.replace(".", "[.]") for key in _KEYS)
    asked = ["--show-scope", "-z", "--get-regexp", f"^({wanted})$"]
    told = git.config(asked, cwd=repository.work_tree or repository.git_dir).decode(errors="replace")
    fields = iter(told.split("\0")[:-1])
    values: dict[str, str] = {}
    scopes: dict[str, str] = {}
    for scope, entry in zip(fields, fields, strict=False):
        key, _, value = entry.partition("\n")
        if key not in _PROGRAMS or scope in _OWN_SCOPES:
            values[key], scopes[key] = value, scope
    return Settings(values=values, scopes=scopes)


def ask(argv: Sequence[str], *, said: bytes, timeout_seconds: float, prompts: bool = False) -> Answer:
    """Run a program on the bytes `said`. Without `prompts` it has no terminal, and asks nobody.

    Raises:
        UsageError: there is no such program.
        ChildFailed: it took longer; it is killed with all that it started.
    """
    import subprocess

    # Files, not pipes: what a program leaves behind, like an agent, holds a pipe open and would hold us.
    with TemporaryDirectory(prefix="gitrepro-") as folder:
        place = Path(folder)
        (place / "in").write_bytes(said)
        with open(place / "in", "rb") as source, open(place / "out", "wb") as out, open(place / "err", "wb") as err:
            try:
                child = subprocess.Popen(
                    list(argv),
                    cwd=folder,
                    stdin=source,
                    stdout=out,
                    stderr=None if prompts else err,
                    env=_environment(prompts=prompts),
                    start_new_session=not prompts,
                )
            except OSError as error:
                raise _no_program(argv[0], error) from error
            code = _wait(child, timeout_seconds, group=not prompts)
        if code is None:
            raise ChildFailed(
                f"{argv[0]} did not answer within {timeout_seconds:g} seconds",
                why="it waits for an agent, a passphrase or a touch of the key",
                do="unlock the key, then `gitrepro sign`",
            )
        return Answer(code, _start_of(place / "out"), _start_of(place / "err"))


def _wait(child: object, timeout_seconds: float, *, group: bool) -> int | None:
    import subprocess

    assert isinstance(child, subprocess.Popen)
    try:
        return int(child.wait(timeout_seconds))
    except subprocess.TimeoutExpired:
        _kill(child.pid, group=group)
        child.wait()
        return None
    except BaseException:
        _kill(child.pid, group=group)
        child.wait()
        raise


def _kill(pid: int, *, group: bool) -> None:
    try:
        os.killpg(pid, signal.SIGKILL) if group else os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _environment(*, prompts: bool) -> dict[str, str]:
    env = {name: value for name, value in os.environ.items() if prompts or name not in _ASKING}
    return {**env, "LC_ALL": "C", **({} if prompts else {"SSH_ASKPASS_REQUIRE": "never"})}


def _no_program(name: str, error: OSError) -> UsageError:
    package = "GnuPG" if name == "gpg" else "OpenSSH" if name == "ssh-keygen" else "it"
    return UsageError(f"cannot start {name}", why=error.strerror or "", do=f"install {package}, or set gpg.format")


def _start_of(path: Path) -> bytes:
    with open(path, "rb") as reader:
        return reader.read(_ANSWER_AT_MOST)
