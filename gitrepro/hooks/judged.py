"""Result tags judged from a clone, as a server with the hook would judge them."""

from __future__ import annotations

from ..audit import gate, tags
from ..errors import NotFound, Refused
from ..policy import Stage
from ..records.result import Audit
from ..store.gitrefs import list_refs, read_ref
from ..store.repository import Repository
from ..store.runs import RunTree
from .proof import NO_COMMIT
from .pushed import is_pushed
from .stands import cited, follow


def result_tags_at(repository: Repository, tree: RunTree, commit: str) -> list[str]:
    """The tags at a commit that its policy makes results of.

    Raises:
        ConfigError: that policy does not parse.
    """
    policy = gate.policy_at(tree.objects, commit)
    found = list_refs(repository.common_dir, tags.PREFIX)
    names = {ref.removeprefix(tags.PREFIX): oid for ref, oid in sorted(found.items())}
    claimed = {name: oid for name, oid in names.items() if policy.level_for(name)}
    return [name for name, oid in claimed.items() if tags.follow(tree.objects, oid).commit == commit]


def judge_tag(repository: Repository, tree: RunTree, name: str, *, at_least: str) -> Audit:
    """The audit of a result tag at the stage of a server; whether the runs are there is known from the last fetch.

    Args:
        at_least: the level below which it is not judged.

    Raises:
        NotFound: there is no such tag, or no result of it is on record.
        Refused: it leads to no commit, or was declared otherwise than it says.
        ConfigError: the policy at its commit does not parse.
    """
    oid = read_ref(repository.common_dir, tags.PREFIX + name)
    if oid is None:
        raise NotFound(f"there is no tag {name!r:.80}", do="`git fetch --tags`, or `git tag --list`")
    target = follow(tree, name, oid)
    if target.commit is None:
        raise Refused(f"tag {name} is refused", why=NO_COMMIT, do="tag the commit that the runs ran at")
    try:
        result = cited(tree, name, target)
    except NotFound as error:
        raise NotFound(
            f"no result is on record for the tag {name}",
            why="its runs were not pushed or not pulled, or it was made where gitrepro's hook did not run",
            do=f"`gitrepro push` where it was made, and `gitrepro pull` here; or `gitrepro tag {name} RUN`",
        ) from error
    pushed = is_pushed(repository, result)
    return gate.judge_result(tree, result, stage=Stage.SERVER, pushed=pushed, at_least=at_least)
