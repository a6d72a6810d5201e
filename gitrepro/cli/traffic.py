"""What `push` and `pull` have in common: which runs are meant, how far it has come, and how it is told."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from ..errors import NotFound
from ..query import parse
from ..run import commit, place
from ..store import worktree
from ..store.index import Index
from ..store.repository import Repository
from ..store.resolve import resolve_each
from . import here
from .present import clean, counted, note, size

if TYPE_CHECKING:
    from ..sync.get import Answer
    from ..sync.remotes import StoreRemote
    from ..sync.validate import Rejected

SCHEMA: Final = 1
_SHOWN_AT_MOST: Final = 20


def chosen(found: Repository, texts: Sequence[str]) -> list[str]:
    """The ids of the runs that these name, each a run as everywhere, a result tag, or a query; each once.

    Raises:
        NotFound: one of them names no run, and is no query that any run answers.
        Ambiguous: one names several.
    """
    return list(dict.fromkeys(run_id for text in texts for run_id in _named(found, text)))


def _named(found: Repository, text: str) -> Iterable[str]:
    try:
        return resolve_each(found, text)
    except NotFound as error:
        if error.code != "not-found" or not _is_query(text):
            raise
        return _answering(found, text)


def _is_query(text: str) -> bool:
    return any(mark in text for mark in "=<> ")


def _answering(found: Repository, text: str) -> list[str]:
    with Index(found) as index:
        where, values = index.condition(parse(text, names=index, now=datetime.datetime.now(datetime.UTC)))
        ids = index.ids(where=where, values=values, limit=None)
    if not ids:
        raise NotFound(f"no run answers to {text!r:.120}", do="`gitrepro ls` takes the same query")
    return ids


def commit_dead_runs(found: Repository) -> None:
    """Runs that died are put on record first: they are to go, too."""
    if not found.bare and here.has_live_runs(found):
        done = commit.recover(found, identity=worktree.identity(found, fallback=place.nobody()))
        if done.committed:
            note(f"put {counted(len(done.committed), 'run')} on record that died")


# -- how it is told


def blobs(count: int, size_bytes: int) -> str:
    return f"{counted(count, 'blob')} ({size(size_bytes)})"


def inboxes(count: int) -> str:
    return f"{count:,} inbox{'' if count == 1 else 'es'}"


def contents(runs: Sequence[str], events: int, results: int) -> str:
    """`3 runs, 1 event and 2 results`; empty where there is nothing."""
    told = [(len(runs), "run"), (events, "event"), (results, "result")]
    parts = [counted(count, thing) for count, thing in told if count]
    return " and ".join(filter(None, [", ".join(parts[:-1]), *parts[-1:]]))


def shown(remote: StoreRemote) -> str:
    return f"{remote.name} ({clean(remote.url)})"


def say_rejected(rejected: Sequence[Rejected], what: str = "rejected") -> None:
    """What was not taken from a remote, and why; of many the first."""
    for each in rejected[:_SHOWN_AT_MOST]:
        note(f"{what}: {clean(each.path)}: {clean(each.why)}")
    if len(rejected) > _SHOWN_AT_MOST:
        note(f"and {len(rejected) - _SHOWN_AT_MOST:,} more; `--json` names all")


def say_answers(answers: Iterable[Answer], tell: Callable[[str], None] = note) -> None:
    """From where blobs came, and which remotes had them wrong or could not be asked."""
    for answer in answers:
        if answer.blobs:
            tell(f"fetched {blobs(answer.blobs, answer.size_bytes)} from {shown(answer.remote)}, verified")
        for digest in answer.wrong[:_SHOWN_AT_MOST]:
            note(f"{shown(answer.remote)} has wrong bytes for {clean(digest)}; they were not taken")
        if answer.wrong:
            note(f"`gitrepro remote repair {answer.remote.name} RUN` writes right bytes over the wrong ones")
        if answer.trouble:
            note(f"{shown(answer.remote)}: {clean(answer.trouble)}")


def answer_document(answer: Answer) -> dict[str, Any]:
    return {
        "name": answer.remote.name,
        "url": answer.remote.url,
        "blobs": answer.blobs,
        "size_bytes": answer.size_bytes,
        "wrong": list(answer.wrong),
        "error": str(answer.trouble) if answer.trouble else None,
    }
