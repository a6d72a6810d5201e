"""What is to travel, sorted by the way it does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ...records.manifest import EMPTY
from ...records.recipe import Recipe
from ...store.objects.packfile import SMALL_BYTES
from . import layout
from .here import Form


@dataclass(slots=True)
class Load:
    """What some roots need, by the way it travels. Keys are digests."""

    plain: dict[str, int] = field(default_factory=dict)
    """Bytes of each blob that travels as it is: small ones in packs, others alone."""
    recipes: dict[str, Recipe] = field(default_factory=dict)
    large: dict[str, int] = field(default_factory=dict)
    """Bytes of each blob that is cut into pieces on its way."""
    absent: dict[str, None] = field(default_factory=dict)

    def _take(self, digest: str, form: Form | None) -> None:
        if form is None and digest == EMPTY:
            return  # the empty folders of a tree name no bytes, which need be nowhere
        if form is None:
            self.absent[digest] = None
        elif form.recipe is not None:
            self.recipes[digest] = form.recipe
            self.plain |= {piece.digest: piece.size_bytes for piece in form.recipe.segments}
        elif form.size_bytes > layout.OBJECT_BYTES_AT_MOST:
            self.large[digest] = form.size_bytes
        else:
            self.plain[digest] = form.size_bytes

    @classmethod
    def of(cls, digests: Iterable[str], forms: Mapping[str, Form]) -> Load:
        """The load that these blobs are; `absent` are those without a form."""
        load = cls()
        for digest in dict.fromkeys(digests):
            load._take(digest, forms.get(digest))
        return load

    def small(self) -> set[str]:
        return {digest for digest, size_bytes in self.plain.items() if size_bytes < SMALL_BYTES}

    def __len__(self) -> int:
        return len(self.plain) + len(self.recipes) + len(self.large) + len(self.absent)
