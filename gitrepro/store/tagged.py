"""The runs behind a result tag, as the tag itself names them."""

from __future__ import annotations

import re
from typing import Final

from ..errors import GitreproError
from ..records import ids
from .gitobjects import GitObjects
from .gitrefs import read_ref
from .repository import Repository
from .signing.text import part_tag

# What Git takes for a tag, and what stays below `refs/tags/`.
_NAME = re.compile(r"(?!-)(?!.*(\.\.|//|/\.|\.lock(/|$)))[^\x00-\x20\x7f~^:?*\[\\/.][^\x00-\x20\x7f~^:?*\[\\]*(?<!/)")
_RUN: Final = re.compile(r"^Gitrepro-Run: (\S+)$", re.MULTILINE)


def is_tag(repository: Repository, name: str) -> bool:
    """Whether there is a tag `name`, of whatever kind."""
    try:
        return bool(_NAME.fullmatch(name)) and read_ref(repository.common_dir, f"refs/tags/{name}") is not None
    except (GitreproError, OSError):
        return False


def runs_of_tag(repository: Repository, name: str) -> tuple[str, ...]:
    """The ids of the runs that the annotated tag `name` stands for; none where there is no such tag."""
    if not _NAME.fullmatch(name):
        return ()
    try:
        oid = read_ref(repository.common_dir, f"refs/tags/{name}")
        if oid is None:
            return ()
        with GitObjects(repository.common_dir) as objects:
            kind, data = objects.read_any(oid)
    except (GitreproError, OSError):
        return ()
    if kind != "tag":
        return ()
    body = part_tag(data).payload.decode("utf-8", "replace").partition("\n\n")[2].strip()
    return tuple(dict.fromkeys(run for run in _RUN.findall(body.rpartition("\n\n")[2]) if ids.is_id(run)))
