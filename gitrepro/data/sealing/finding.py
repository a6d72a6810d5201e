"""Which part of which split is meant."""

from __future__ import annotations

from collections.abc import Iterator

from ...errors import Ambiguous, NotFound, UsageError
from ...store.catalog import Catalog
from ...store.repository import Repository
from ...store.runs import RunTree
from ..holdouts import splits_with_log
from . import book
from .contents import Holdout


def find_holdout(repository: Repository, ref: str, part: str) -> Holdout:
    """The part that `digits/default`, `digits@v1/default@v2` and a name mean; a data set alone means its `default`.

    Raises:
        UsageError: it has no form that a reference has, or the split has no such part.
        NotFound, Ambiguous: none or several answer to it.
    """
    data, _, name = ref.partition("/")
    with Catalog(repository) as catalog:
        split = catalog.split(catalog.dataset(data), name or "default")
    if part not in split.parts:
        raise UsageError(
            f"split {split.name}@{split.version} has no part {part!r:.80}",
            why=f"its parts are {', '.join(list(split.parts)[:10])}",
            do="name one with --part",
        )
    return Holdout(split=split, part=part)


def the_sealed(repository: Repository, ref: str | None, part: str) -> Holdout:
    """As `find_holdout`; without a reference the only part that is sealed.

    Raises as that does, and NotFound or Ambiguous where none or several are sealed.
    """
    if ref is not None:
        return find_holdout(repository, ref, part)
    found = list(sealed(repository))
    if len(found) == 1:
        return found[0]
    if not found:
        raise NotFound("nothing is sealed here", do="`gitrepro holdout seal DATA/SPLIT --to KEY` seals a test set")
    shown = ", ".join(f"{each.split.dataset['name']}/{each.split.name}" for each in found[:10])
    raise Ambiguous(f"{len(found)} parts are sealed", why=shown, do="name one as DATA/SPLIT")


def sealed(repository: Repository) -> Iterator[Holdout]:
    """All parts that are sealed."""
    with RunTree(repository) as tree:
        digests = splits_with_log(tree)
    with Catalog(repository) as catalog:
        splits = [split for name in catalog.names() for split in catalog.splits(name) if split.digest in digests]
    for split in splits:
        for part in split.parts:
            holdout = Holdout(split=split, part=part)
            if any(each.op == "seal" for each in book.entries(repository, holdout)):
                yield holdout
