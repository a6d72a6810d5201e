"""Files that lie here in pieces: what the store needs of a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from ...errors import BlobMissing, Damaged
from ...records.recipe import Recipe, load_recipe
from . import damage, names

if TYPE_CHECKING:
    from .blobs import BlobStore


def load(path: Path) -> Recipe:
    """The recipe in a file. Raises FileNotFoundError, Damaged."""
    recipe = load_recipe(path.read_bytes(), source=str(path))
    if recipe.digest != names.PREFIX + path.parent.name + path.name:
        raise Damaged(f"{path} is the recipe of another file", why=f"it says {recipe.digest[:15]}")
    return recipe


def open_whole(store: BlobStore, path: Path) -> BinaryIO:
    """A reader of the file that a recipe describes. A recipe that cannot be read is set aside."""
    from ..recipes import RecipeReader

    try:
        recipe = load(path)
    except Damaged as error:
        name = bytes.fromhex(path.parent.name + path.name)
        raise damage.set_aside(store.root, path, name) from error
    return cast("BinaryIO", RecipeReader(store, recipe))


def freshen_segments(store: BlobStore, path: Path) -> bool:
    """Whether all pieces are here, and none of them will be collected now."""
    try:
        recipe = load(path)
    except FileNotFoundError:
        return False
    except Damaged:
        # It makes way for the sound one that is to be put.
        damage.set_aside(store.root, path, bytes.fromhex(path.parent.name + path.name))
        return False
    packs: set[str] = set()
    return all(
        store.hit(names.raw(segment.digest), segment.size_bytes, freshened=packs, plain=True)
        for segment in recipe.segments
    )


def damage_of(store: BlobStore, path: Path, digest: str) -> Damaged:
    """Which piece of a file has wrong bytes; it is set aside. Where each is right, the recipe itself is wrong."""
    try:
        for segment in load(path).segments:
            store.verify(segment.digest)
    except BlobMissing as error:
        return Damaged(f"a piece of blob {digest[:15]} is gone", why=error.what, do=error.do)
    except Damaged as error:
        return error
    except FileNotFoundError:
        pass
    return damage.set_aside(store.root, path, names.raw(digest))
