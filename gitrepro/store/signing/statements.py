"""Who said that a run or a result is so: the commits that brought it onto the run ref, and those that vouch for it.

A signature on a commit of the run ref speaks for what the commit *introduces*: what stands in its tree and, byte for
byte, in that of none of its parents. Pulling and merging bring the commits of others along and introduce nothing. A
vouching commit changes nothing and names what it speaks for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ...errors import GitreproError
from .. import git
from ..fold import commit_parents, commit_tree
from ..gitobjects import GitObjects
from ..repository import Repository
from .judging import BAD, FOREIGN, SIGNED, UNSIGNED, Judge, Verdict
from .text import part_commit

VOUCHES: Final = "Gitrepro-Vouches"
SUBJECT: Final = "gitrepro: signatures"
_VOUCHED: Final = re.compile(rb"^Gitrepro-Vouches: ([0-9a-f]{40}) (\S+)$", re.MULTILINE)
_PATHS_AT_MOST: Final = 200
_ORDER: Final = (SIGNED, BAD, FOREIGN, UNSIGNED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What one commit says of one path, and the verdict on its signature."""

    path: str
    commit: str
    verdict: Verdict
    vouching: bool = False


def statements(
    repository: Repository,
    objects: GitObjects,
    tip: str,
    wanted: Mapping[str, str],
    judge: Judge,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, list[Statement]]:
    """All that commits in the history of `tip` say of these folders, best first.

    Args:
        wanted: paths of runs and results on the run ref, each with the Git tree that stands there.
        progress: is told how many of how many commits were looked at.

    Raises:
        ChildFailed: Git cannot read the history.
    """
    found: dict[str, list[Statement]] = {path: [] for path in wanted}
    candidates = [*_candidates(repository, tip, list(wanted))]
    for count, (commit, vouching) in enumerate(candidates, start=1):
        if progress:
            progress(count, len(candidates))
        try:
            data = objects.read(commit, "commit")
            said = _vouched(data, wanted) if vouching else _introduced(objects, data, wanted)
        except GitreproError:
            continue  # of what cannot be read nothing is said
        for path in said:
            verdict = judge.judge(part_commit(data))
            found[path].append(Statement(path=path, commit=commit, verdict=verdict, vouching=vouching))
    for each in found.values():
        each.sort(key=lambda statement: _ORDER.index(statement.verdict.state))
    return found


def _candidates(repository: Repository, tip: str, paths: Sequence[str]) -> Iterator[tuple[str, bool]]:
    """Commits that may say something, and whether they vouch. One too many does no harm: each is looked at."""
    wide = ["runs", "results"] if len(paths) > _PATHS_AT_MOST else list(paths)
    for commit in _listed(repository, "--full-history", tip, paths=wide):
        yield commit, False
    for commit in _listed(repository, f"--grep=^{VOUCHES}: ", tip):
        yield commit, True


def _listed(repository: Repository, option: str, tip: str, *, paths: Sequence[str] = ()) -> list[str]:
    # A commit graph in the repository could say anything of the history.
    args = ["-c", "core.commitGraph=false", "--git-dir=.", "rev-list", option, "--end-of-options", tip, "--", *paths]
    return git.run(args, cwd=repository.common_dir).decode().split()


def _introduced(objects: GitObjects, data: bytes, wanted: Mapping[str, str]) -> list[str]:
    tree = commit_tree(data)
    before = [commit_tree(objects.read(parent, "commit")) for parent in commit_parents(data)]
    near = _changed(objects, before[0] if before else None, tree, wanted)
    return [
        path
        for path in near
        if _holds(objects, tree, path, wanted[path])
        and not any(_holds(objects, each, path, wanted[path]) for each in before)
    ]


def _changed(objects: GitObjects, old: str | None, new: str, wanted: Mapping[str, str]) -> list[str]:
    """Those of the wanted paths that may be new; of very many, by what differs between the two trees."""
    if len(wanted) <= _PATHS_AT_MOST:
        return list(wanted)
    seen = dict.fromkeys(subject_of(path) for path, _ in objects.changed(old, new))
    return [path for path in seen if path in wanted]


def subject_of(path: str) -> str:
    """The folder of the run or the result that a file on the run ref belongs to; empty for other files."""
    parts = path.split("/")
    depth = {"runs": 5, "results": 2}.get(parts[0], 0)
    return "/".join(parts[:depth]) if depth and len(parts) >= depth else ""


def _holds(objects: GitObjects, tree: str, path: str, oid: str) -> bool:
    found = objects.entry(tree, path)
    return found is not None and found.oid == oid


def _vouched(data: bytes, wanted: Mapping[str, str]) -> list[str]:
    parted = part_commit(data)
    _, _, message = parted.payload.partition(b"\n\n")
    if parted.signature is None or not message.startswith(SUBJECT.encode() + b"\n"):
        return []
    named = {path.decode(errors="replace"): oid.decode() for oid, path in _VOUCHED.findall(message)}
    return [path for path, oid in named.items() if wanted.get(path) == oid]
