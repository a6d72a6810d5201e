"""Names for metrics that come from several hands: the program's own, and each file's.

The journal of the intake names a metric by the number of its source: `2/loss`. What people see is decided when all
sources are known: the plain name, with the folder or file before it where there are several, with the kind of source
before that where somebody else has the name.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ...store.journal_reader import Journal

INTAKE: Final = "intake"
KINDS: Final = ("tensorboard", "csv", "json")
_PREFIX_BYTES: Final = 250
_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where metrics come from: a folder of event files, or a file; its place is relative to where the run began."""

    number: int
    kind: str
    place: str

    def document(self) -> dict[str, Any]:
        return {"kind": self.kind, "number": self.number, "place": self.place}

    def journalled(self, name: str) -> str:
        """The name of its metric `name` in the journal."""
        return f"{self.number}/{name}"


def told_apart(written: Sequence[Journal]) -> list[Journal]:
    """The journals of a run, with names that people see in place of those of the intake."""
    own = {name for journal in written if not _of_intake(journal) for name in _names(journal)}
    return [_shown(journal, own) if _of_intake(journal) else journal for journal in written]


def shown_names(sources: Iterable[Source], journalled: Iterable[str], own: Iterable[str]) -> dict[str, str]:
    """What people see for each name of the intake's journal.

    Args:
        own: names that the program logged itself; they stay its own.
    """
    by_source: dict[int, list[str]] = {}
    for full in sorted(journalled):
        number, _, name = full.partition("/")
        by_source.setdefault(int(number) if number.isdecimal() else -1, []).append(name)
    used = [source for source in sources if source.number in by_source]
    taken, names = set(own), {}
    for source, prefix in _prefixes(used):
        for name in by_source[source.number]:
            shown = f"{prefix}{name}"
            while shown in taken:
                shown = f"{source.kind}/{shown}"
            taken.add(shown)
            names[source.journalled(name)] = shown
    return names


def source_of(event: Mapping[str, Any]) -> Source | None:
    """The source that an event of the intake's journal tells of."""
    if event.get("op") != "source":
        return None
    return Source(number=int(event["number"]), kind=str(event["kind"]), place=str(event["place"]))


def _of_intake(journal: Journal) -> bool:
    return journal.header.get("source") == INTAKE


def _names(journal: Journal) -> Iterator[str]:
    return (name for kind in journal.kinds for name, _ in kind)


def _shown(journal: Journal, own: Iterable[str]) -> Journal:
    sources = [source for event in journal.events if (source := source_of(event))]
    return journal.renamed(shown_names(sources, set(_names(journal)), own))


def _prefixes(sources: Sequence[Source]) -> Iterator[tuple[Source, str]]:
    for kind in KINDS:
        group = sorted((source for source in sources if source.kind == kind), key=lambda source: source.number)
        common = _common([_folder(source) for source in group])
        for source in group:
            yield source, _prefix(source, common) if len(group) > 1 else ""


def _folder(source: Source) -> str:
    return source.place if source.kind == "tensorboard" else str(Path(source.place).parent)


def _common(folders: Sequence[str]) -> str | None:
    try:
        return os.path.commonpath([str(Path(folder)) for folder in folders])
    except ValueError:
        return None  # some lie inside the work tree and some elsewhere, or there are none


def _prefix(source: Source, common: str | None) -> str:
    place = source.place if source.kind == "tensorboard" else str(Path(source.place).with_suffix(""))
    below = os.path.relpath(place or ".", common or ".") if common is not None else place
    if below == ".":
        return ""
    end = _UNPRINTABLE.sub("?", below).encode()[-_PREFIX_BYTES:].decode(errors="ignore")
    return f"{end.lstrip('_/')}/"
