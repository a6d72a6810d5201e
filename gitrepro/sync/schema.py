"""Whether bytes are the record that stands at their path.

A record says itself where it belongs. It is read once, whatever number of paths claim it, and each path is compared
with what it said.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from ..errors import Damaged, TooNew
from ..records import yaml
from ..records.dataset import load_dataset
from ..records.event import Event, load_event
from ..records.fields import are_texts, is_count, is_text
from ..records.holdout import load_entry
from ..records.result import load_audit, load_result
from ..records.run import load_run
from ..records.split import load_split
from ..records.statistics import load_statistics
from . import stated
from .overlay import Path

Claim = tuple[str, ...]
"""What tells records of one kind apart; nothing for those that do not say."""
Reader = Callable[[bytes], Claim]

_MAGIC: Final = b"PAR1"
_PARQUET_BYTES_AT_LEAST: Final = 12
_CLOCK_AT_MOST: Final = 2**53
_WORDS: Final = ("label", "unlabel", "note", "name", "group")
_FORMAT: Final = re.compile(rb"^format: ([1-9][0-9]{0,8})$", re.MULTILINE)
_DIGEST: Final = "[0-9a-f]{64}"


def kind_of(path: Path) -> str:
    """Which kind of content stands at a path: a key of `READERS`, or nothing where any bytes may.

    The names in `path` are without the `~<digits>` of copies.
    """
    joined = "/".join(path)
    return next((kind for kind, pattern in _PLACES if pattern.fullmatch(joined)), "")


_PLACES: Final = tuple(
    (kind, re.compile(pattern))
    for kind, pattern in (
        ("stated", r"format\.yaml"),
        ("run", r"runs/./././[^/]+/run\.yaml"),
        ("event", r"events/./././[^/]+/[^/]+\.yaml"),
        ("result", r"results/[^/]+/result\.yaml"),
        ("audit", r"results/[^/]+/audit\.yaml"),
        ("dataset", rf"datasets/[^/]+/{_DIGEST}\.yaml"),
        ("statistics", rf"datasets/[^/]+/{_DIGEST}\.statistics-[0-9]+\.yaml"),
        ("split", rf"splits/[^/]+/[^/]+/{_DIGEST}\.yaml"),
        ("holdout", rf"holdout/{_DIGEST}/[^/]+\.yaml"),
        ("yaml", r".*\.yaml"),
        ("parquet", r".*\.parquet"),
    )
)


def claim_of(kind: str, path: Path) -> Claim:
    """What a record at this path has to say."""
    match kind:
        case "run":
            return (path[4],)
        case "event":
            return (path[4], path[5].removesuffix(".yaml"))
        case "result":
            return (path[1],)
        case "dataset" | "split" | "holdout":
            return path
    return ()


def says_later_format(data: bytes) -> bool:
    """Whether a record says that it is of a format that this gitrepro does not read."""
    found = _FORMAT.search(data, 0, yaml.MAX_BYTES)
    return found is not None and int(found[1]) > 1


def _run(data: bytes) -> Claim:
    return (load_run(data, source="it").id,)


def _event(data: bytes) -> Claim:
    event = load_event(data, source="it")
    for name, fits in (
        ("clock", is_count(event.clock) and event.clock < _CLOCK_AT_MOST),
        ("subject", is_text(event.subject)),
        ("op", is_text(event.op)),
        ("at", is_text(event.at)),
        ("observed", are_texts([*event.observed])),
        ("value", _fits(event)),
    ):
        if not fits:
            raise Damaged(f"it is no event: {name} is {getattr(event, name)!r:.60}")
    return (event.subject, event.id)


def _fits(event: Event) -> bool:
    return event.op not in _WORDS or event.value is None or isinstance(event.value, (str, list))


def _result(data: bytes) -> Claim:
    return (load_result(data, source="it").id,)


def _audit(data: bytes) -> Claim:
    load_audit(data, source="it")
    return ()


def _dataset(data: bytes) -> Claim:
    return tuple(load_dataset(data, source="it").path.split("/"))


def _split(data: bytes) -> Claim:
    return tuple(load_split(data, source="it").path.split("/"))


def _holdout(data: bytes) -> Claim:
    return tuple(load_entry(data, source="it").path.split("/"))


def _statistics(data: bytes) -> Claim:
    load_statistics(data, source="it")
    return ()


def _stated(data: bytes) -> Claim:
    found = stated.read(data)
    if found["format"] > stated.FORMAT:
        raise TooNew(f"it has format {found['format']}", why=f"this gitrepro reads format {stated.FORMAT}")
    return ()


def _yaml(data: bytes) -> Claim:
    yaml.load(data, source="it")
    return ()


def _parquet(data: bytes) -> Claim:
    if len(data) < _PARQUET_BYTES_AT_LEAST or not data.startswith(_MAGIC) or not data.endswith(_MAGIC):
        raise Damaged("it is no Parquet file")
    return ()


READERS: Final[dict[str, Reader]] = {
    "stated": _stated,
    "run": _run,
    "event": _event,
    "result": _result,
    "audit": _audit,
    "dataset": _dataset,
    "statistics": _statistics,
    "split": _split,
    "holdout": _holdout,
    "yaml": _yaml,
    "parquet": _parquet,
}
