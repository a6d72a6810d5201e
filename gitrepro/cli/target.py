"""What people type for something that can be judged: a result tag, a result id, or a run."""

from __future__ import annotations

from .. import hooks
from ..audit.results import read_result
from ..records import ids
from ..records.result import Result, result_path
from ..store.repository import Repository
from ..store.resolve import resolve
from ..store.runs import RunTree


def result_of(found: Repository, tree: RunTree, target: str) -> Result | None:
    """The result that `target` names by its id or its tag; None when it names none.

    Raises:
        NotFound: there is a tag of that name, and no result.
    """
    if ids.is_id(target) and tree.entry(result_path(target)) is not None:
        return read_result(tree, target)
    return hooks.result_of_tag(found, tree, target)


def subject_of(found: Repository, target: str) -> str:
    """The id of the result or run that `target` names.

    Raises:
        NotFound: it names neither.
        Ambiguous: it means several runs.
    """
    with RunTree(found) as tree:
        result = result_of(found, tree, target)
    return result.id if result else resolve(found, target)
