"""Where the bytes of a version lie on this machine: folders it was added from, or was laid out in.

A hint of this clone, one small file for each version; the record of a version names no place but the one that was
typed. Lost, it is found again by `gitrepro data add` of the same path.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ..errors import Damaged, GitreproError, StorageError
from ..records import yaml
from ..store import fs
from ..store.repository import Repository

FORMAT: Final = 1
_PLACES_AT_MOST: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One path at which a version lay, and how it got there.

    `path` is absolute: the folder of the files, or the one file of a data set that was added as a file. `ours` is what
    we laid out ourselves. `follow` and `ignore` are what it was added with.
    """

    path: Path
    at: str
    linked: bool = False
    ours: bool = False
    follow: bool = False
    ignore: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        return {
            "at": self.at,
            "follow": self.follow,
            "ignore": list(self.ignore),
            "linked": self.linked,
            "ours": self.ours,
            "path": str(self.path),
        }


def places_of(repository: Repository, digest: str) -> list[Place]:
    """Where the version `digest` lay on this machine: what was added before what we laid out, the latest first."""
    try:
        data = _file(repository, digest).read_bytes()
        latest = [_place(each) for each in reversed(yaml.load(data, source="places")["places"])]
    except (OSError, GitreproError, KeyError, TypeError):
        return []  # a hint: who has none looks elsewhere
    return sorted(latest, key=lambda place: place.ours)


def remember(repository: Repository, digest: str, place: Place) -> None:
    """Keep in mind that `digest` lies at `place`, in place of what was known of that path.

    Raises:
        StorageError: the disk refuses.
    """
    _change(repository, digest, lambda known: [each for each in known if each.path != place.path] + [place])


def remember_if_possible(repository: Repository, digest: str, place: Place) -> None:
    """As `remember`; a repository that may only be read forgets it again."""
    try:
        remember(repository, digest, place)
    except StorageError:
        pass


def forget(repository: Repository, digest: str, path: Path) -> None:
    """Look no longer for `digest` at `path`. Raises as `remember` does."""
    _change(repository, digest, lambda known: [each for each in known if each.path != path])


def _change(repository: Repository, digest: str, act: Callable[[Sequence[Place]], list[Place]]) -> None:
    file = _file(repository, digest)
    with fs.explained(f"cannot write {file}"):
        fs.make_directories(file.parent)
        with fs.locked(file.parent / "lock"):
            # As they were written: the order is that of time.
            known = sorted(places_of(repository, digest), key=lambda place: place.at)
            kept = act(known)[-_PLACES_AT_MOST:]
            document = {"digest": digest, "format": FORMAT, "places": [each.document() for each in kept]}
            fs.write_file(file, yaml.dump(document))


def _file(repository: Repository, digest: str) -> Path:
    return repository.home / "places" / f"{digest.removeprefix('b3:')}.yaml"


def _place(document: Mapping[str, Any]) -> Place:
    path = Path(document["path"])
    flags = [document[name] for name in ("linked", "ours", "follow")]
    if not path.is_absolute() or not all(isinstance(flag, bool) for flag in flags):
        raise Damaged(f"{path} is no place")
    linked, ours, follow = flags
    ignore = tuple(str(glob) for glob in document["ignore"])
    return Place(path=path, at=str(document["at"]), linked=linked, ours=ours, follow=follow, ignore=ignore)
