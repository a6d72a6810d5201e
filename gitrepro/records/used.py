"""The data sets and splits that a run has on record, and the names by which people ask for them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from .term import text

DATA: Final = "data"
SPLIT: Final = "split"
DIGEST: Final = "digest"


class Used(NamedTuple):
    """A version of a data set, or of a split of one. What a record does not say is empty."""

    kind: str
    name: str
    version: str
    digest: str
    dataset: str = ""
    """Of a split, the name of the data set."""

    @property
    def shown(self) -> str:
        """`digits@v1`, as people type it; the digest where there is no name."""
        return _versioned(self.name, self.version) if self.name else self.digest

    def values(self, what: str) -> tuple[str, ...]:
        """What it is asked for by: its names, or for `digest` its digests, which begin with `b3:` or `NAME@b3:`."""
        if what == DIGEST:
            found = (self.digest, f"{self.name}@{self.digest}" if self.name else "") if self.digest else ()
        else:
            names = (self.name, f"{self.dataset}/{self.name}") if self.dataset and self.name else (self.name,)
            found = (*names, *(_versioned(name, self.version) for name in names)) if self.name else (self.digest,)
        return tuple(value for value in dict.fromkeys(found) if value)


def _versioned(name: str, version: str) -> str:
    return f"{name}@{version}" if version else name


def used(data: Iterable[Mapping[str, Any]]) -> tuple[Used, ...]:
    """What the `data` of a run record names, or that of a listing, each once."""
    return tuple(dict.fromkeys(_used(data)))


def _used(data: Iterable[Mapping[str, Any]]) -> Iterator[Used]:
    for entry in data:
        found = Used(DATA, *_known(entry))
        if found.shown:
            yield found
        for split in entry.get("splits") or ():
            of = Used(SPLIT, *_known(split), dataset=found.name)
            if of.shown:
                yield of


def _known(entry: Mapping[str, Any]) -> tuple[str, str, str]:
    name, version, digest = (text(entry.get(field) or "") for field in ("name", "version", "digest"))
    return name, version, digest


def shown(found: Iterable[Used], kind: str) -> str:
    """All of one kind as people type them, with a space between: `digits@v1 mnist@v2`."""
    return " ".join(dict.fromkeys(each.shown for each in found if each.kind == kind))
