"""Results on the run ref: found, read, and written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, final

from ..errors import Damaged, GitreproError, NotFound
from ..records import yaml
from ..records.result import Audit, Result, load_result, result_path
from ..store import live
from ..store.fold import Identity, Pending, enqueue, fold
from ..store.objects import digest_of
from ..store.repository import Repository
from ..store.runs import RunTree

_FILE: Final = "result.yaml"


def read_result(tree: RunTree, result_id: str) -> Result:
    """One result.

    Raises:
        NotFound: there is none of that id.
        Damaged: it cannot be read, or stands under another id than it says.
    """
    return _parsed(result_id, tree.read(f"{result_path(result_id)}/{_FILE}"))


def _parsed(result_id: str, data: bytes) -> Result:
    path = f"{result_path(result_id)}/{_FILE}"
    result = load_result(data, source=path)
    if result.id != result_id:
        raise Damaged(f"{path} says it is result {result.id!r:.40}", why="a record stands under its own id")
    return result


def audit_digest(tree: RunTree, result_id: str) -> str:
    """The digest of the audit as it was when the result was declared: what its tag cites."""
    return digest_of([tree.read(f"{result_path(result_id)}/audit.yaml")])


def all_results(tree: RunTree, *, holding: bytes = b"") -> Iterator[Result]:
    """The results on record, newest first. One that cannot be read is passed over.

    Args:
        holding: read only records with these bytes in them.
    """
    found = tree.entry("results")
    folders = tree.objects.tree(found.oid) if found and found.is_tree else {}
    for result_id, folder in sorted(folders.items(), reverse=True):
        try:
            data = tree.objects.read(tree.objects.tree(folder.oid)[_FILE].oid, "blob")
            if holding in data:
                yield _parsed(result_id, data)
        except (GitreproError, KeyError):
            continue


def results_of(tree: RunTree, *, tag: str) -> Iterator[Result]:
    """The results declared under a tag name, newest first."""
    # A record has one spelling: what does not hold this line needs no parsing.
    line = yaml.dump({"tag": tag})
    return (result for result in all_results(tree, holding=line) if result.tag == tag)


@final
class Declared:
    """Results by the tag they were declared under, newest first; read once, however many are looked up."""

    def __init__(self, tree: RunTree) -> None:
        self._tree = tree
        self._by_tag: dict[str, list[Result]] | None = None

    def under(self, tag: str) -> list[Result]:
        if self._by_tag is None:
            self._by_tag = {}
            for result in all_results(self._tree):
                self._by_tag.setdefault(result.tag, []).append(result)
        return self._by_tag.get(tag, [])


def same_result(tree: RunTree, audit: Audit) -> Result | None:
    """A result on record that says what `audit` would be the audit of; what a cut-off declaration left behind."""
    for result in results_of(tree, tag=audit.tag or ""):
        same = (result.runs, result.evidence, result.commit, result.level, result.policy)
        if same == (audit.runs, audit.evidence, audit.commit, audit.level, audit.policy):
            return result
    return None


def write_result(repository: Repository, result: Result, audit: Audit, *, identity: Identity) -> None:
    """Put a result and its audit on record.

    Raises:
        StorageError: the disk refuses; what was queued is committed by the next command that records.
    """
    folder = result_path(result.id)
    files = {
        f"{folder}/audit.yaml": audit.dump().decode("utf-8"),
        f"{folder}/result.yaml": result.dump().decode("utf-8"),
    }
    line = f"result {result.tag}: {len(result.runs)} {'run' if len(result.runs) == 1 else 'runs'}, level {result.level}"
    enqueue(repository, Pending(kind="result", subject=result.id, line=line, files=files, code=[result.commit]))
    fold_queue(repository, identity=identity)


def fold_queue(repository: Repository, *, identity: Identity) -> None:
    """Commit what waits in the queue, and set aside the folders of the runs among it."""
    for pending in fold(repository, identity=identity).entries:
        if pending.kind == "run":
            live.set_aside(repository.home, pending.subject)


def find_result(
    tree: RunTree, *, tag: str, commit: str | None, cited: str | None, declared: Declared | None = None
) -> Result:
    """The result that a tag stands for: the one it cites, else the newest of its name at its commit.

    Args:
        declared: where to look; given by those who look many up.

    Raises:
        NotFound: there is none.
    """
    if cited is not None:
        return read_result(tree, cited)
    for result in declared.under(tag) if declared else results_of(tree, tag=tag):
        if result.commit == commit:
            return result
    raise NotFound(
        f"no result is on record for the tag {tag}",
        why="it was made where gitrepro's hook did not run",
        do=f"`git tag -d {tag}`, then `gitrepro tag {tag} RUN`",
    )
