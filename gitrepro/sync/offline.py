"""The switch that keeps gitrepro from the network: nothing is asked of any remote, by itself or by command."""

from __future__ import annotations

import os
from typing import Final

from ..errors import RemoteError
from ..store import git
from ..store.repository import Repository

VARIABLE: Final = "GITREPRO_OFFLINE"
SETTING: Final = "gitrepro.offline"
_OFF: Final = ("", "0", "false", "no")


def switched_off(repository: Repository) -> str | None:
    """What switches the network off, in words; None where nothing does. The variable stands over the setting."""
    if (told := os.environ.get(VARIABLE)) is not None:
        return None if told.lower() in _OFF else f"{VARIABLE} is {told!r:.20}"
    place = repository.work_tree or repository.git_dir
    said = git.config(["--type=bool", "--get", SETTING], cwd=place, git_dir=repository.git_dir)
    return f"{SETTING} is true" if said.strip() == b"true" else None


def check_on(repository: Repository) -> None:
    """Raises RemoteError where the network is switched off."""
    if why := switched_off(repository):
        raise RemoteError("the network is switched off", why=why, do=do_on(why))


def do_on(why: str) -> str:
    """The command that switches it on again."""
    if why.startswith(VARIABLE):
        return f"`unset {VARIABLE}`; `gitrepro push --bundle FILE` and `gitrepro pull FILE` need no network"
    return f"`git config --unset {SETTING}`; `gitrepro push --bundle FILE` and `gitrepro pull FILE` need no network"
