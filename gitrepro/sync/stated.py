"""`format.yaml` at the top of the run ref: its layout, its epoch, and what was purged.

Purging begins the history anew, without what must not be in it, and raises the epoch. The ids of what was purged stay
here, so that no clone of the old history brings it back.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from ..errors import Damaged, GitreproError
from ..records import fields, ids, yaml
from ..store.gitobjects import Entry
from .overlay import Overlay, Path

FORMAT: Final = 1
FILE: Final = "format.yaml"
_SHARDED: Final = ("runs", "events")
_ID_AT: Final = {"runs": 4, "events": 4, "results": 1}
"""Where in a path of these folders the id of the run or result stands."""


def epoch(trees: Overlay, root: str | None) -> int:
    """See `union.epoch`."""
    entry = trees.tree(root).get(FILE) if root else None
    if entry is None:
        return 1 if root else 0
    document = read(trees.blob(entry.oid))
    fields.check_format(document["format"], newest=FORMAT, source=FILE, what="the run ref")
    return int(document["epoch"])


def purged(trees: Overlay, root: str | None) -> frozenset[str]:
    """See `union.purged`."""
    entry = trees.tree(root).get(FILE) if root else None
    document = _readable(trees, entry) if entry else None
    return frozenset(document.get("purged", ())) if document else frozenset()


def read(data: bytes) -> dict[str, Any]:
    """What `format.yaml` says. Fields of later are kept.

    Raises:
        Damaged: it is not what the first gitrepro wrote there, or one since.
    """
    document = yaml.load(data, source=FILE)
    for name, fits in (("format", _is_number), ("epoch", _is_number), ("purged", _are_ids)):
        if not fits(document.get(name, [] if name == "purged" else None)):
            raise Damaged(
                f"{FILE}: {name} is {document.get(name)!r:.60}", why="it is not what the run ref states there"
            )
    return document


def _is_number(value: object) -> bool:
    return fields.is_count(value) and 0 < value < 2**31  # type: ignore[operator]


def _are_ids(value: object) -> bool:
    return fields.are_texts(value) and all(map(ids.is_id, value))  # type: ignore[call-overload]


def join(trees: Overlay, mine: Entry | None, other: Entry | None) -> Entry | None:
    """What `format.yaml` says of a union: the later epoch and format, and all that was purged on either side."""
    if mine is None or other is None or mine == other:
        return mine or other
    # What does not parse yields; of two that do not, the higher name stays, as of any two that are not the same.
    low, high = sorted((mine, other), key=lambda entry: (_readable(trees, entry) is not None, entry.oid, entry.mode))
    one, two = _readable(trees, low), _readable(trees, high)
    return high if one is None or two is None else trees.put_blob(yaml.dump(_joined(one, two)))


def _readable(trees: Overlay, entry: Entry) -> dict[str, Any] | None:
    try:
        return read(trees.blob(entry.oid))
    except GitreproError:
        return None


def _joined(one: Mapping[str, Any], two: Mapping[str, Any]) -> dict[str, Any]:
    # Of a field of later, one value stays, and the same one in whatever order clones meet.
    documents = sorted(({name: each[name]} for each in (one, two) for name in each), key=yaml.dump)
    found = {name: value for document in documents for name, value in document.items()}
    gone = sorted({*one.get("purged", ()), *two.get("purged", ())})
    latest = {"epoch": max(one["epoch"], two["epoch"], least_epoch(gone)), "format": max(one["format"], two["format"])}
    return {**found, **latest, **({"purged": gone} if gone else {})}


def least_epoch(purged: Collection[str]) -> int:
    """The epoch of a tree from which so much was purged, at least.

    Two clones that purge at one time come to the same epoch, and each has what the other purged in its history. That
    their union is of a later one says that its history has to begin anew.
    """
    return 1 + len(purged)


# -- what was purged


def is_of(path: Sequence[str], subjects: Collection[str]) -> bool:
    """Whether a path is that of one of these runs or results, or of what was said of it later."""
    at = _ID_AT.get(path[0])
    return at is not None and len(path) > at and path[at].partition("~")[0] in subjects


def without_purged(trees: Overlay, root: str) -> str:
    """The tree `root` without what its `format.yaml` says was purged."""
    gone = purged(trees, root)
    found = [path for subject in gone for path in paths_of(trees, root, subject)]
    return trees.without(root, found) if found else root


def paths_of(trees: Overlay, root: str, subject: str) -> Iterator[Path]:
    """Where a run or a result stands, with what was said of it later and with all its copies that stand aside."""
    for folder in ("results",), *((name, *ids.shard(subject).split("/")) for name in _SHARDED):
        entry = trees.entry(root, folder)
        for name in trees.tree(entry.oid) if entry and entry.is_tree else ():
            if name.partition("~")[0] == subject:
                yield (*folder, name)
