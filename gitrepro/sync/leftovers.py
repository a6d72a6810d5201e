"""What the traffic with remotes has left behind here that somebody may want to look at."""

from __future__ import annotations

import re
from typing import Final

from ..store import bulk
from ..store.gitrefs import list_refs, read_ref
from ..store.repository import RUNS_REF, Repository
from .runs.names import BASE, COPIES

_ASIDE: Final = re.compile(r".+~[0-9a-f]{7,40}")
_INBOX: Final = re.compile(rf"{COPIES}/([^/]+(?:/[^/]+)*?)/inbox/[^/]+")
_FETCHED: Final = re.compile(rf"{COPIES}/(.+)/incoming/runs")


def kept_twice(repository: Repository) -> list[str]:
    """The records on the run ref that stand aside, `NAME~DIGITS`, since another one of the same name is there.

    Raises:
        ChildFailed: Git cannot read all of it.
    """
    tip = read_ref(repository.common_dir, RUNS_REF)
    paths = (path for path, _ in bulk.list_files(repository.common_dir, tip)) if tip else ()
    return list(dict.fromkeys(found for path in paths if "~" in path and (found := _aside(path))))


def _aside(path: str) -> str | None:
    parts = path.split("/")
    for count, part in enumerate(parts, start=1):
        if _ASIDE.fullmatch(part):
            return "/".join(parts[:count])
    return None


def inboxes(repository: Repository) -> dict[str, int]:
    """How many inboxes wait, by remote, as it was last seen; under an empty name those of this repository itself."""
    found: dict[str, int] = {}
    for ref in list_refs(repository.common_dir, f"{COPIES}/"):
        if (named := _INBOX.fullmatch(ref)) and not named[1].endswith("/incoming"):
            found[named[1]] = found.get(named[1], 0) + 1
    if own := list_refs(repository.common_dir, f"{BASE}/inbox/"):
        found[""] = len(own)
    return found


def not_taken_in(repository: Repository) -> list[str]:
    """The remotes whose runs were fetched and never united with ours: a pull was cut, or could not read them."""
    fetched = list_refs(repository.common_dir, f"{COPIES}/")
    named = ((found[1], oid) for ref, oid in fetched.items() if (found := _FETCHED.fullmatch(ref)))
    return [name for name, oid in named if fetched.get(f"{COPIES}/{name}/runs") != oid]
