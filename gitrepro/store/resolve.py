"""What people type for a run: the end of an id, a name, `@last`, `@{-2}`, `@best:val/accuracy`, or a result tag."""

from __future__ import annotations

import difflib
import re
from typing import Final

from ..errors import Ambiguous, Damaged, NotFound
from ..records import ids
from .index import Index
from .live import live_runs
from .repository import Repository
from .tagged import runs_of_tag

SHORTEST: Final = 4
_BACK = re.compile(r"@\{-(\d{1,6})\}")
_SHOWN_AT_MOST: Final = 10


def resolve(repository: Repository, text: str) -> str:
    """The id of the one run that `text` means; runs under way count too.

    Raises:
        NotFound: no run, with the nearest names.
        Damaged: `@last` and the like mean no run, and some cannot be read.
        Ambiguous: several runs, with up to ten of them.
    """
    with Index(repository) as index:
        if text.startswith("@"):
            return _special(index, text)
        live = [run for run in live_runs(repository.home) if not run.error]
        found = set(_by_text(index, text))
        found |= {run.id for run in live if _means(text, run.id, str(run.start["record"].get("name")))}
        if len(found) == 1:
            return found.pop()
        if found:
            raise _ambiguous(text, sorted(found))
        if tagged := runs_of_tag(repository, text):
            return _only(text, tagged)
        raise _unknown(index, text)


def resolve_each(repository: Repository, text: str) -> tuple[str, ...]:
    """The ids of the runs that `text` means: all those of a result tag, else the one. Raises as `resolve` does."""
    try:
        return (resolve(repository, text),)
    except Ambiguous:
        tagged = runs_of_tag(repository, text)
        if not tagged:
            raise
        return tagged


def _only(text: str, runs: tuple[str, ...]) -> str:
    if len(runs) == 1:
        return runs[0]
    shown = ", ".join(run_id[-8:] for run_id in runs[:_SHOWN_AT_MOST])
    raise Ambiguous(f"{text!r:.80} stands for {len(runs)} runs", why=shown, do="name one of them by the end of its id")


def _by_text(index: Index, text: str) -> list[str]:
    if ids.is_id(text):
        return index.ids(where="id = ?", values=[text])
    named = index.ids(where="removed = 0 AND name = ?", values=[text])
    if named or len(text) < SHORTEST or not text.isalnum():
        return named
    # The reversed id is stored so that an ending is found like a beginning.
    ending = text.lower()[::-1]
    return index.ids(where="suffix >= ? AND suffix < ?", values=[ending, ending + "\uffff"])


def _means(text: str, run_id: str, name: str) -> bool:
    return text in (run_id, name) or (len(text) >= SHORTEST and run_id.endswith(text.lower()))


def _special(index: Index, text: str) -> str:
    if text == "@last":
        return _nth(index, text, 1)
    if back := _BACK.fullmatch(text):
        return _nth(index, text, int(back[1]))
    if text.startswith("@best:"):
        return _best(index, text, text.removeprefix("@best:"))
    raise NotFound(
        f"{text!r:.80} means no run", why="known are @last, @{-2} and @best:METRIC", do="`gitrepro ls` lists the runs"
    )


def _nth(index: Index, text: str, back: int) -> str:
    found = index.ids(where="removed = 0", limit=max(back, 1))
    if back < 1 or len(found) < back:
        _check_readable(index, text)
        raise NotFound(f"{text} means no run", why=f"{len(found)} runs are on record", do="`gitrepro ls` lists them")
    return found[back - 1]


def _best(index: Index, text: str, metric: str) -> str:
    best = index.best(metric)
    if best is None:
        _check_readable(index, text)
        raise NotFound(
            f"{text} means no run",
            why=f"no run has a value of {metric!r} and says whether greater or smaller is better",
            do=f'call `run.define_metric({metric!r}, goal="max")` in the program',
        )
    return best


def _check_readable(index: Index, text: str) -> None:
    """Nobody may say that a run is not there while there are some that cannot be read."""
    for path, what in index.troubles().items():
        do = "`gitrepro doctor` says how to mend it"
        raise Damaged(f"{text} means no run that can be read", why=f"{path}: {what}", do=do)


def _ambiguous(text: str, found: list[str]) -> Ambiguous:
    shown = ", ".join(run_id[-8:] for run_id in found[:_SHOWN_AT_MOST])
    more = f" and {len(found) - _SHOWN_AT_MOST} more" if len(found) > _SHOWN_AT_MOST else ""
    return Ambiguous(f"{text!r:.80} means {len(found)} runs", why=f"{shown}{more}", do="type more of the end of the id")


def _unknown(index: Index, text: str) -> NotFound:
    near = difflib.get_close_matches(text, index.names_of_runs(limit=1000), n=3)
    hint = f"nearest: {', '.join(near)}" if near else f"an id needs its last {SHORTEST} characters or more"
    return NotFound(f"there is no run {text!r:.80}", why=hint, do="`gitrepro ls` lists the runs")
