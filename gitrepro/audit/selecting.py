"""The runs that words mean: those a claim is made of, and the checks it is judged by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ..errors import Ambiguous, NotFound, UsageError
from ..records.run import Status
from ..store.index import Index
from ..store.repository import Repository
from ..store.resolve import resolve
from ..store.runs import RunTree
from .beside import CHECK_KINDS
from .evidence import gather
from .rules import RESULT_KINDS

_GROUP_AT_MOST: Final = 1000


def select(repository: Repository, words: Sequence[str], *, kinds: Sequence[str] = RESULT_KINDS) -> list[str]:
    """The runs that words mean, each a run or a group of finished ones; in order of their ids.

    Of a group, an attempt that another of the group resumes is left out: it is part of the newer one.

    Args:
        kinds: of the runs of a group that are meant.

    Raises:
        NotFound: a word means nothing.
        Ambiguous: it means several things.
    """
    found: set[str] = set()
    for word in words:
        group = _group(repository, word, kinds)
        try:
            run = resolve(repository, word)
        except Ambiguous:
            raise
        except NotFound:
            if not group:
                raise
            found.update(group)
            continue
        if group and run not in group:
            raise Ambiguous(f"{word!r:.80} is a run and a group", do="type the end of the run's id, or the runs' names")
        found.update(group or [run])
    return sorted(found)


def _group(repository: Repository, name: str, kinds: Sequence[str]) -> list[str]:
    wanted = ", ".join(f"'{kind}'" for kind in kinds)
    where = f'"group" = ? AND status = ? AND removed = 0 AND kind IN ({wanted})'
    with Index(repository) as index:
        found = index.ids(where=where, values=[name, str(Status.FINISHED)], limit=_GROUP_AT_MOST)
    return newest_attempts(repository, found)


def newest_attempts(repository: Repository, runs: Sequence[str]) -> list[str]:
    """The runs without those that another of them resumes."""
    if len(runs) < 2:
        return list(runs)
    with RunTree(repository) as tree:
        read = gather(tree, runs, numbers=False).runs
    resumed = {attempt.id for run in read for attempt in run.earlier}
    return [run for run in runs if run not in resumed]


def check_runs(tree: RunTree, words: Sequence[str]) -> list[str]:
    """The check runs that words mean, each a run or a group.

    Raises:
        NotFound, Ambiguous: as `select`.
        UsageError: a word means none that checked something.
    """
    found: set[str] = set()
    for word in words:
        named = select(tree.repository, [word], kinds=CHECK_KINDS)
        # A group holds the trials of a check, too; what came of them is in the run that closes it.
        told = [run for run in named if tree.run(run).checked]
        if not told:
            raise UsageError(
                f"{word!r:.80} is no check: it has found nothing that could be evidence",
                why="what a check found is in the last run of its group",
                do="name that, or the group; `gitrepro check all TASK` makes one",
            )
        found.update(told)
    return sorted(found)
