"""What a result tag stands for."""

from __future__ import annotations

from ..audit import tags
from ..audit.results import Declared, audit_digest, find_result
from ..errors import Refused
from ..records.result import Result
from ..store.gitrefs import read_ref
from ..store.repository import Repository
from ..store.runs import RunTree


def follow(tree: RunTree, name: str, oid: str) -> tags.Target:
    """What a tag leads to.

    Raises:
        Refused: it names another ref, and no object.
    """
    if oid.startswith("ref:"):
        raise Refused(f"tag {name} is refused", why="a result tag names an object, not another ref")
    return tags.follow(tree.objects, oid)


def cited(tree: RunTree, name: str, target: tags.Target, *, declared: Declared | None = None) -> Result:
    """The result that a tag object cites, when the two agree.

    Raises:
        NotFound: there is none.
        Refused: it was declared otherwise than the tag says.
    """
    result = find_result(tree, tag=name, commit=target.commit, cited=target.result, declared=declared)
    why = ""
    if name != result.tag or target.name not in (None, name):
        why = f"result {result.id[-8:]} was declared as {result.tag}"
    elif result.commit != target.commit:
        why = f"its result stands at commit {result.commit[:12]}, the tag at {str(target.commit)[:12]}"
    elif target.audit not in (None, audit_digest(tree, result.id)):
        why = "the audit on record is not the one the tag was made after"
    if why:
        raise Refused(f"tag {name} is refused", why=why, do=f"`gitrepro tag {name} RUN` declares one anew")
    return result


def result_of_tag(repository: Repository, tree: RunTree, name: str) -> Result | None:
    """The result that the tag `name` stands for; None when there is no such tag.

    Raises:
        NotFound: the tag is there, and no result is.
    """
    if not tags.is_name(repository, name):
        return None
    oid = read_ref(repository.common_dir, tags.PREFIX + name)
    if oid is None:
        return None
    target = tags.follow(tree.objects, oid)
    return find_result(tree, tag=name, commit=target.commit, cited=target.result)
