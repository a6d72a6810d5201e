"""Blobs that are on record and not here, brought from the store remotes when they are first used.

Each remote is asked in its turn for what is still missing, so that one that is down, has not all of it, or has wrong
bytes, costs a try and nothing else. Every byte is hashed before it gets a name here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

from ..errors import BlobMissing, Damaged, GitreproError, StorageError
from ..store import trees
from ..store.objects import BlobStore
from ..store.place import store_of
from ..store.repository import Repository
from ..store.roots import pin
from .naming import runs_naming
from .needs import Need, is_here
from .offline import do_on, switched_off
from .remotes import StoreRemote, remotes

if TYPE_CHECKING:
    from ..store.progress import Progress
    from .blobs import Driver

Tell: TypeAlias = "Callable[[Progress], None]"
Roots: TypeAlias = Mapping[str, Sequence[str]]
_NAMED_AT_MOST: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one store remote gave: blobs and bytes; whose bytes were wrong there; why it gave no more.

    `unlisted`: it cannot say what it has, and was asked by names alone.
    """

    remote: StoreRemote
    blobs: int = 0
    size_bytes: int = 0
    wrong: tuple[str, ...] = ()
    trouble: GitreproError | None = None
    unlisted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """What came, by remote, and what came from nowhere."""

    answers: tuple[Answer, ...] = ()
    missing: tuple[str, ...] = field(default=())

    @property
    def blobs(self) -> int:
        return sum(answer.blobs for answer in self.answers)

    @property
    def size_bytes(self) -> int:
        return sum(answer.size_bytes for answer in self.answers)


def ensure(
    repository: Repository, digests: Iterable[str], *, runs: Iterable[str] = (), progress: Tell | None = None
) -> Brought:
    """See that blobs are in the store, with all their pieces; what is not is asked of the store remotes.

    Args:
        runs: ids of runs that name them, where that is known: it spares questions.

    Raises:
        BlobMissing: one of them is nowhere to be had; the error says who was asked and what to do.
        StorageError: the disk refuses.
    """
    brought = bring(repository, {digest: [digest] for digest in digests}, runs=runs, progress=progress)
    if brought.missing:
        raise not_to_be_had(repository, brought)
    return brought


def ensure_tree(
    repository: Repository,
    digest: str,
    *,
    files: bool = True,
    only: Iterable[bytes] | None = None,
    runs: Iterable[str] = (),
    progress: Tell | None = None,
) -> Brought:
    """As `ensure`, with a tree: its list, and the files in it.

    Args:
        files: False for the list alone.
        only: the paths that are wanted; all by default.

    Raises:
        BlobMissing: something of it is nowhere to be had.
        Damaged: it is no tree.
        NotFound: a path of `only` is not in it.
    """
    answers: list[Answer] = []
    store, runs = store_of(repository), list(runs)
    for wanted in (_root, _shards, _files_of(only) if files else _nothing):
        brought = bring(repository, {digest: wanted(store, digest)}, runs=runs, progress=progress)
        answers += brought.answers
        if brought.missing:
            raise not_to_be_had(repository, brought)
    return Brought(answers=_summed(answers))


def _root(_store: BlobStore, digest: str) -> list[str]:
    return [digest]


def _shards(store: BlobStore, digest: str) -> list[str]:
    return [shard.digest for shard in trees.read_root(store, digest).shards]


def _nothing(_store: BlobStore, _digest: str) -> list[str]:
    return []


def _files_of(only: Iterable[bytes] | None) -> Callable[[BlobStore, str], list[str]]:
    def files(store: BlobStore, digest: str) -> list[str]:
        found = trees.shards(store, digest) if only is None else trees.selected(store, digest, only)
        return [entry.digest for _, entries in found for entry in entries if entry.size_bytes]

    return files


def bring_needs(
    repository: Repository,
    needs: Iterable[Need],
    *,
    only: Sequence[StoreRemote] | None = None,
    progress: Tell | None = None,
) -> Brought:
    """What runs need and is not here, as far as the store remotes have it. Nothing that is missing is an error.

    Args:
        only: the remotes to ask; all that are followed by default.
    """
    wanted = list(needs)
    runs = list(dict.fromkeys(need.run_id for need in wanted))
    alone = {need.digest: [need.digest] for need in wanted}
    rounds = [bring(repository, alone, runs=runs, only=only, progress=progress)]
    store = store_of(repository)
    lists = dict.fromkeys(need.digest for need in wanted if need.tree)
    shards = {name: found for name in lists if (found := _readable(store, name, _shards))}
    rounds.append(bring(repository, shards, runs=runs, only=only, progress=progress))
    whole = [name for name in shards if any(each.digest == name and not each.linked for each in wanted)]
    files = {name: found for name in whole if (found := _readable(store, name, _files_of(None)))}
    rounds.append(bring(repository, files, runs=runs, only=only, progress=progress))
    return Brought(
        answers=_summed([answer for each in rounds for answer in each.answers]),
        missing=tuple(dict.fromkeys(digest for each in rounds for digest in each.missing)),
    )


def _readable(store: BlobStore, digest: str, names: Callable[[BlobStore, str], list[str]]) -> list[str]:
    """What a tree names; nothing where it is not here, or is none: that is for whoever uses it to tell."""
    try:
        return names(store, digest)
    except (BlobMissing, Damaged):
        return []


# -- one after the other


def bring(
    repository: Repository,
    roots: Roots,
    *,
    runs: Iterable[str] = (),
    only: Sequence[StoreRemote] | None = None,
    progress: Tell | None = None,
) -> Brought:
    """What is not here of all that these roots lead to, as far as a store remote has it.

    Args:
        runs: ids of runs that name them, as far as that is known.
        only: the remotes to ask; all that are followed by default.

    Nobody is asked where the network is switched off.

    Raises:
        StorageError: the disk refuses.
    """
    store = store_of(repository)
    left = _left(store, roots)
    if not left:
        return Brought()
    known = [] if switched_off(repository) else remotes(repository) if only is None else only
    if known:
        # Before anything of it lies in a store that others collect.
        pin(repository, {digest for digests in left.values() for digest in digests})
    answers: list[Answer] = []
    named = list(runs)
    for remote in known:
        answers.append(_asked(store, remote, left, named, progress))
        left = _left(store, left)
        if left and answers[-1].unlisted and not named:
            # What is little is found by the run that names it, where a place cannot say what it has.
            named = runs_naming(repository, left)
            answers.append(_asked(store, remote, left, named, progress))
            left = _left(store, left)
        if not left:
            break
    missing = dict.fromkeys(digest for digests in left.values() for digest in digests)
    return Brought(answers=tuple(answers), missing=tuple(missing))


def _asked(store: BlobStore, remote: StoreRemote, roots: Roots, runs: Sequence[str], progress: Tell | None) -> Answer:
    from .blobs import fetch

    try:
        with opened(remote) as driver:
            got = fetch(store, [driver], roots, runs=runs, progress=progress)
    except StorageError:
        raise
    except GitreproError as error:
        return Answer(remote=remote, trouble=error)
    wrong = tuple(each.name for each in got.wrong)
    return Answer(remote=remote, blobs=got.blobs, size_bytes=got.size_bytes, wrong=wrong, unlisted=got.unlisted)


@contextmanager
def opened(remote: StoreRemote) -> Iterator[Driver]:
    """The driver of a store remote, until the block ends. Raises UsageError, RemoteError."""
    from .blobs.opening import open_driver

    driver = open_driver(remote)
    try:
        yield driver
    finally:
        driver.close()


def _left(store: BlobStore, roots: Roots) -> dict[str, list[str]]:
    found = {root: missing_of(store, digests) for root, digests in roots.items()}
    return {root: digests for root, digests in found.items() if digests}


def missing_of(store: BlobStore, digests: Iterable[str]) -> list[str]:
    """Those of these blobs that are not here with all their pieces."""
    from ..store.presence import rows

    wanted = list(dict.fromkeys(digests))
    store.index.refresh()
    _, packed = rows(store, [bytes.fromhex(digest[3:]) for digest in wanted])
    return [digest for digest in wanted if bytes.fromhex(digest[3:]) not in packed and not is_here(store, digest)]


def _summed(answers: Iterable[Answer]) -> tuple[Answer, ...]:
    """One answer for each remote."""
    found: dict[str, Answer] = {}
    for answer in answers:
        before = found.get(answer.remote.name, Answer(remote=answer.remote))
        found[answer.remote.name] = Answer(
            remote=answer.remote,
            blobs=before.blobs + answer.blobs,
            size_bytes=before.size_bytes + answer.size_bytes,
            wrong=(*before.wrong, *answer.wrong),
            trouble=answer.trouble or before.trouble,
        )
    return tuple(found.values())


# -- in words


def not_to_be_had(repository: Repository, brought: Brought) -> BlobMissing:
    """The error of blobs that are nowhere to be had."""
    names = [digest[:15] for digest in brought.missing[:_NAMED_AT_MOST]]
    more = f" and {len(brought.missing) - len(names):,} more" if len(brought.missing) > len(names) else ""
    what = f"blob {names[0]} is" if len(brought.missing) == 1 else f"blobs {', '.join(names)}{more} are"
    if why := switched_off(repository):
        off = f"the network is switched off: {why}"
        return BlobMissing(f"{what} not here, and nobody is asked", why=off, do=do_on(why))
    if not brought.answers:
        return BlobMissing(
            f"{what} not in {store_of(repository).root}",
            why="this clone follows no store remote that could have it",
            do="`gitrepro remote add NAME URL` names the place where your team keeps its blobs",
        )
    down = any(answer.trouble for answer in brought.answers)
    again = "run it again when the remote can be reached"
    return BlobMissing(
        f"{what} neither here nor in a store remote",
        why="; ".join(map(_reason, brought.answers)),
        do=again if down else "`gitrepro push --runs RUN` in the clone that made it sends it there",
    )


def _reason(answer: Answer) -> str:
    name = f"{answer.remote.name} ({answer.remote.url})"
    if answer.trouble:
        return f"{name}: {answer.trouble.what}{f': {answer.trouble.why}' if answer.trouble.why else ''}"
    return f"{name} has other bytes under that name" if answer.wrong else f"{name} has it not"
