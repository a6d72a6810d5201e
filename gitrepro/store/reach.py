"""From the blobs that records name to all that those name in turn: files of trees, data of splits, pieces of files.

Nothing is taken on trust: a manifest is hashed before it is read, and it is read by its names alone, so that one made
by an enemy can keep a few names more alive, and nothing else. A needed manifest that is damaged is an error.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final, final

from ..errors import BlobMissing, Damaged, GitreproError, TooNew
from ..records.recipe import RECIPE_BYTES_AT_MOST, Recipe, load_recipe
from .objects import BlobStore, packfile
from .objects.damage import PACK_SET_ASIDE

MANIFEST_BYTES_AT_MOST: Final = 64 << 20
NAMES_AT_MOST: Final = 20_000_000
_FORMAT: Final = 1
_FIRST: Final = re.compile(rb"gitrepro (tree|tree-shard|split) ([0-9]{1,9})\n")
_FIRST_BYTES: Final = 64
_NAMED: Final = re.compile(rb"^([0-9a-f]{64}) ", re.MULTILINE)
_DATA: Final = re.compile(rb"^data b3:([0-9a-f]{64})\n", re.MULTILINE)
_HASHED_BYTES: Final = 16 << 20
# A manifest whose first bytes were changed looks like anything but these.
_NO_MANIFEST: Final = (b"PAR1", b"PK\x03\x04", b"\x89PNG")
_PACK: Final = b"gRpack1\n"
_TRAILER_BYTES: Final = 48
_SET_ASIDE: Final = re.compile(r"(pack-)?([0-9a-f]{64})-[0-9a-f]{8}")
_GIVEN_UP: Final = "given-up-"

Told = Callable[[int, int], None]


def reach(
    store: BlobStore,
    roots: Iterable[bytes],
    *,
    lost: frozenset[bytes] = frozenset(),
    progress: Told = lambda *_: None,
) -> set[bytes]:
    """The hashes of all that is needed, whether it is here or not: `roots`, and what they lead to.

    Args:
        lost: damaged or missing manifests that somebody has given up: what only they name is not needed. One that is
            here and right all the same is read.
        progress: is told how many of how many roots were looked at.

    Raises:
        Damaged: it is not known what one of them names.
        TooNew: a newer gitrepro wrote one of them.
    """
    walk = _Walk(store, lost)
    waiting = list(roots)
    for done, name in enumerate(waiting):
        walk.take(name)
        if done % 500 == 0:
            progress(done, len(waiting))
    walk.take_recipes()
    walk.check_set_aside()
    progress(len(waiting), len(waiting))
    return walk.alive


@final
class _Walk:
    """One walk over the manifests. Each is opened once: a name is a hash, and none can lead back to itself."""

    def __init__(self, store: BlobStore, lost: frozenset[bytes]) -> None:
        self._store = store
        self._lost = lost
        self._opened: set[bytes] = set()
        self._missing: set[bytes] = set()
        self.alive: set[bytes] = set()

    def take(self, name: bytes) -> None:
        self._add(name)
        if name in self._opened:
            return
        self._opened.add(name)
        match self._manifest(name):
            case (b"tree", data):
                self._take_tree(data)
            case (b"split", data):
                for found in _DATA.finditer(data[: data.find(b"\npart ")]):
                    self.take(bytes.fromhex(found[1].decode()))

    def _add(self, name: bytes) -> None:
        self.alive.add(name)
        if len(self.alive) > NAMES_AT_MOST:
            raise Damaged(
                f"the records name more than {NAMES_AT_MOST:,} blobs", why="a manifest may have been made to do harm"
            )

    def _take_tree(self, data: bytes) -> None:
        for found in _NAMED.finditer(data):
            shard = bytes.fromhex(found[1].decode())
            self._add(shard)
            if shard not in self._opened:
                self._opened.add(shard)
                for file in _NAMED.finditer(self._shard(shard)):
                    self._add(bytes.fromhex(file[1].decode()))

    def _shard(self, name: bytes) -> bytes:
        # Its tree is here, so it was here too: what it names may be here alone, and nobody would know.
        try:
            return self._checked(name, self._store.get(_digest(name), limit_bytes=MANIFEST_BYTES_AT_MOST))[1]
        except BlobMissing as error:
            self._give_up(name, "part of a tree is missing", error)
        except TooNew:
            raise
        except Damaged as error:
            self._give_up(name, str(error), error)
        return b""

    def _give_up(self, name: bytes, why: str, error: Exception) -> None:
        """Go on without what `name` names, where somebody has said so."""
        if name not in self._lost:
            raise _unknown(name, why) from error

    def _manifest(self, name: bytes) -> tuple[bytes, bytes] | None:
        """The kind and the bytes of a manifest; None for what is none, or not here."""
        if os.path.lexists(self._store.recipe_path(name)):
            return None  # a file of the user's, in pieces; manifests are not cut up
        try:
            if not self._may_be_manifest(name):
                return None
            data = self._store.get(_digest(name), limit_bytes=MANIFEST_BYTES_AT_MOST)
        except BlobMissing:
            self._missing.add(name)
            return None
        except Damaged as error:
            self._give_up(name, str(error), error)
            return None
        return self._checked(name, data)

    def _may_be_manifest(self, name: bytes) -> bool:
        with self._store.open(_digest(name)) as reader:
            size_bytes = reader.seek(0, os.SEEK_END)
            reader.seek(0)
            first = reader.read(_FIRST_BYTES) or b""
        return bool(_FIRST.match(first)) or (size_bytes <= _HASHED_BYTES and not first.startswith(_NO_MANIFEST))

    def _checked(self, name: bytes, data: bytes) -> tuple[bytes, bytes]:
        found = _FIRST.match(data)
        if found and int(found[2]) != _FORMAT:
            what = f"{_digest(name)[:15]} is a {found[1].decode()} of format {int(found[2])}"
            raise TooNew(what, why=f"this gitrepro reads format {_FORMAT}", do="upgrade gitrepro")
        return (found[1], data) if found else (b"", data)

    # -- pieces

    def take_recipes(self) -> None:
        """The pieces of all needed files."""
        for path in recipes(self._store):
            name = bytes.fromhex(path.parent.name + path.name)
            if name in self.alive:
                for piece in self._pieces(path, name):
                    self._add(piece)

    def _pieces(self, path: Path, name: bytes) -> list[bytes]:
        try:
            return [bytes.fromhex(each.digest[3:]) for each in load(path).segments]
        except FileNotFoundError:
            return []
        except (GitreproError, OSError) as error:
            self._give_up(name, str(error), error)
            return []

    def check_set_aside(self) -> None:
        """Refuse to go on while something needed is known to be damaged: nobody can say what it names."""
        place = self._store.root / "quarantine"
        names, unread = set_aside(self._store)
        for name in names:
            if name in self.alive and name not in self._lost and _digest(name) not in self._store:
                raise _unknown(name, f"its bytes are wrong, and were set aside in {place}")
        # What such a pack held can only have led on where something that leads on is missing.
        missing = self._missing - self._lost
        for path, name in unread.items():
            if missing and name not in self._lost:
                raise Damaged(
                    f"it is not known which blobs the pack {name.hex()[:12]} held, now {path}",
                    why="its table cannot be read",
                    do="bring back what `gitrepro verify --all` misses, by adding it again or from another clone; "
                    f"then, once, `gitrepro gc --lost {_digest(name)}`",
                )


def _digest(name: bytes) -> str:
    return f"b3:{name.hex()}"


def _unknown(name: bytes, why: str) -> Damaged:
    return Damaged(
        f"blob {_digest(name)[:15]} is needed and cannot be read, so it is not known what it names",
        why=why,
        do=f"put it again or pull it; or give up what only it leads to: `gitrepro gc --lost {_digest(name)}`",
    )


# -- parts of a store


def recipes(store: BlobStore) -> Iterator[Path]:
    """The recipes of a store that stand under a name."""
    for path in sorted(store.root.glob("recipes/??/*")):
        if re.fullmatch("[0-9a-f]{64}", path.parent.name + path.name):
            yield path


def load(path: Path) -> Recipe:
    """The recipe in a file, as its name and its last line say it was written.

    Raises:
        FileNotFoundError: it is gone.
        Damaged: it is another one, or none.
    """
    with open(path, "rb") as reader:
        recipe = load_recipe(reader.read(RECIPE_BYTES_AT_MOST + 1), source=str(path))
    if recipe.digest != f"b3:{path.parent.name}{path.name}":
        raise Damaged(f"{path} is the recipe of another file", why=f"it says {recipe.digest[:15]}")
    return recipe


def set_aside(store: BlobStore) -> tuple[set[bytes], dict[Path, bytes]]:
    """The hashes of what lies in `quarantine/`, those in packs included; packs there that do not say what they held.

    Such a pack is given by the hash in its name: that of the pack, or of one of its blobs.
    """
    found: set[bytes] = set()
    unread: dict[Path, bytes] = {}
    for path in sorted((store.root / "quarantine").glob("*")):
        match = _SET_ASIDE.fullmatch(path.name)
        if match is None:
            continue
        name = bytes.fromhex(match[2])
        try:
            found.update(entry.hash for entry in table_of(path))
        except (OSError, GitreproError):
            unread[path] = name
        if not match[1]:
            found.add(name)
    return found, unread


def give_up(store: BlobStore, lost: frozenset[bytes]) -> None:
    """Remember of the packs in `quarantine/` which of them somebody has given up: they stop no collection again."""
    for path, name in set_aside(store)[1].items():
        if name in lost:
            os.replace(path, path.with_name(f"{_GIVEN_UP}{path.name.removeprefix(PACK_SET_ASIDE)}"))


def table_of(path: Path) -> list[packfile.Entry]:
    """The blobs of a pack that lies under a name that is not its own; nothing, where it is no pack.

    Raises:
        Damaged: its table cannot be read.
        OSError: the disk refuses.
    """
    with open(path, "rb") as reader:
        size_bytes = os.fstat(reader.fileno()).st_size
        begins_right = reader.read(len(_PACK)) == _PACK
        if not begins_right and not path.name.startswith(PACK_SET_ASIDE):
            return []
        if not begins_right or size_bytes < _TRAILER_BYTES:
            raise Damaged(f"{path} is no whole pack")
        reader.seek(size_bytes - _TRAILER_BYTES)
        name = reader.read(_TRAILER_BYTES)[8:40].hex()
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder, f"{name}{packfile.SUFFIX}")
        link.symlink_to(path.absolute())
        return packfile.entries(link)
