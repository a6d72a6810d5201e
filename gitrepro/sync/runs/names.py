"""Which Git remote is meant, and the names of the refs there and of their copies here."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ...errors import UsageError
from ...store import git, pins
from ...store.repository import Repository

COPIES: Final = "refs/gitrepro-remotes"
BASE: Final = "refs/gitrepro"
_WANTED: Final = r"^(gitrepro\.(remote|ref)|remote\..*\.(url|pushurl)|branch\..*\.remote)$"
_PLAIN: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,80}")
_REF: Final = re.compile(r"refs(/[A-Za-z0-9_][A-Za-z0-9._-]*)+/runs")
_SECRET: Final = re.compile(r"(//[^/\s:@]*):[^/\s@]*@")
# What comes before the double colon names a program; these two run whatever stands after it.
_RUNS_COMMANDS: Final = re.compile(r"(ext|fd)::", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """A Git remote.

    Attributes:
        name: as Git names it; the URL where it has no name.
        base: below which refs its runs, code, anchor and inboxes lie.
        clone: the name of this clone there.
    """

    name: str
    base: str
    clone: str

    @property
    def runs(self) -> str:
        return f"{self.base}/runs"

    @property
    def code(self) -> str:
        return f"{self.base}/code"

    @property
    def anchor(self) -> str:
        return f"{self.base}/anchor"

    @property
    def inboxes(self) -> str:
        """The folder of all inboxes, with the slash."""
        return f"{self.base}/inbox/"

    @property
    def inbox(self) -> str:
        """The inbox of this clone."""
        return f"{self.inboxes}{self.clone}"

    @property
    def shown(self) -> str:
        """Its name for people: a password in it is not shown."""
        return without_password(self.name)

    def copy(self, ref: str) -> str:
        """Where the copy of one of its refs stands here: what has been united with ours."""
        return f"{folder_of(self.name)}/{ref.removeprefix(self.base + '/')}"

    @property
    def copies(self) -> str:
        """The folder of all copies, with the slash."""
        return f"{folder_of(self.name)}/"

    @property
    def incoming(self) -> str:
        """The folder of what the last fetch saw, whether or not it was united with ours; with the slash."""
        return f"{folder_of(self.name)}/incoming/"


def folder_of(name: str) -> str:
    """The folder of refs in which the copies of a remote stand."""
    plain = _PLAIN.fullmatch(name) and ".." not in name and not name.endswith((".", ".lock"))
    # A slash in a name would put the refs of one remote among those of another.
    part = name if plain else f"x-{hashlib.sha256(name.encode('utf-8', 'surrogateescape')).hexdigest()[:16]}"
    return f"{COPIES}/{part}"


def without_password(text: str) -> str:
    return _SECRET.sub(r"\1:***@", text)


def find_remote(repository: Repository, wanted: str | None = None) -> Remote:
    """The remote that `wanted` means, by name, URL or path; without it the one that runs go to by default.

    That is `gitrepro.remote`, else the remote of the branch that is checked out, else `origin`, else the only one.

    Raises:
        UsageError: there is none of that name, or none at all, or several and none stands out, or its URL would run
            a program.
    """
    settings = _settings(repository)
    known = _urls(settings)
    name = wanted if wanted is not None else _default(repository, settings, known)
    _check(name, known)
    if name not in known and Path(name).is_dir():
        name = str(Path(name).resolve())  # Git is started elsewhere
    return Remote(name=name, base=_base(settings), clone=pins.clone_id(repository))


def remote_names(repository: Repository) -> list[str]:
    """The remotes that Git knows."""
    return sorted(_urls(_settings(repository)))


def _settings(repository: Repository) -> dict[str, list[str]]:
    place = repository.work_tree or repository.git_dir
    told = git.config(["-z", "--get-regexp", _WANTED], cwd=place, git_dir=repository.git_dir)
    found: dict[str, list[str]] = {}
    for entry in told.decode("utf-8", "surrogateescape").split("\0"):
        key, newline, value = entry.partition("\n")
        if newline:
            found.setdefault(key, []).append(value)
    return found


def _urls(settings: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for key, values in settings.items():
        if key.startswith("remote."):
            found.setdefault(key[len("remote.") :].rpartition(".")[0], []).extend(values)
    return found


def _default(repository: Repository, settings: Mapping[str, Sequence[str]], known: Mapping[str, object]) -> str:
    said = settings.get("gitrepro.remote")
    if said:
        return said[-1]
    tracked = settings.get(f"branch.{_branch(repository)}.remote", [""])[-1]
    for name in (tracked, "origin"):
        if name in known:
            return name
    if len(known) == 1:
        return next(iter(known))
    raise _none_stands_out(known)


def _branch(repository: Repository) -> str:
    try:
        head = (repository.git_dir / "HEAD").read_text(errors="surrogateescape").strip()
    except OSError:
        return ""
    return head.removeprefix("ref: refs/heads/") if head.startswith("ref: refs/heads/") else ""


def _none_stands_out(known: Mapping[str, object]) -> UsageError:
    if not known:
        return UsageError(
            "this repository has no Git remote",
            why="runs travel to where the code is pushed to",
            do="`git remote add origin URL`, then run the command again",
        )
    names = sorted(known)
    return UsageError(
        "which remote is meant?",
        why=f"there are {', '.join(without_password(name) for name in names)}",
        do=f"name one, or `git config gitrepro.remote {without_password(names[0])}`",
    )


def _check(name: str, known: Mapping[str, Sequence[str]]) -> None:
    shown = without_password(name)
    if not name or name.startswith("-") or any(ord(letter) < 32 for letter in name):
        raise UsageError(f"{shown!r:.80} is no remote", do="`git remote -v` lists the remotes")
    for url in known.get(name, [name]):
        if _RUNS_COMMANDS.match(url) or url.startswith("-"):
            raise UsageError(
                f"the remote {shown:.80} is not used",
                why=f"its URL {without_password(url)!r:.120} would run a program",
                do="use a path, or an ssh:// or https:// URL",
            )
    if name not in known and not _is_place(name):
        listed = ", ".join(sorted(known)) or "none"
        raise UsageError(
            f"there is no remote {shown!r:.80}", why=f"there are: {listed}", do="`git remote -v` lists the remotes"
        )


def _is_place(text: str) -> bool:
    return ":" in text or "/" in text or Path(text).is_dir()


def _base(settings: Mapping[str, Sequence[str]]) -> str:
    named = settings.get("gitrepro.ref", [f"{BASE}/runs"])[-1]
    # Directly below these, the names of our refs are those of other people's branches and tags.
    shared = named in ("refs/heads/runs", "refs/tags/runs", "refs/remotes/runs")
    if shared or not _REF.fullmatch(named) or ".." in named or ".lock/" in named:
        raise UsageError(
            f"gitrepro.ref is {named!r:.80}",
            why="it is the name of the run ref on the remote, and ends in /runs",
            do="`git config gitrepro.ref refs/heads/gitrepro/runs`, or `git config --unset gitrepro.ref`",
        )
    return named.removesuffix("/runs")
