"""In what two runs differ by content: the data they were given, and the checkpoints and artifacts they left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from ..errors import GitreproError
from ..records.run import RunRecord
from ..store.repository import Repository
from .difference import Difference, keyed

_ROLES: Final = ("best", "last")
_COMPARED_KINDS: Final = ("artifact", "folder", "output-file")
_PARTS_AT_MOST: Final = 8


def data(repository: Repository, left: RunRecord, right: RunRecord) -> Iterator[Difference]:
    """Versions and splits by their digests, how the data was prepared, and what was fitted to it.

    One content under two labels is no difference, and neither is how it was checked or what was read of it.
    """
    one, other = _by_name(left.data), _by_name(right.data)
    for name in dict.fromkeys([*one, *other]):
        before, after = one.get(name), other.get(name)
        if before and after and before.get("digest") != after.get("digest"):
            note = _moved(repository, before.get("digest"), after.get("digest"))
            yield Difference(section="data", key=name, left=_version(before), right=_version(after), note=note)
        elif not (before and after):
            yield Difference(section="data", key=name, left=_version(before), right=_version(after))
        yield from _splits(name, before or {}, after or {})
    yield from keyed("data", _prepared(left), _prepared(right))


def _by_name(entries: Iterable[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Entries by name; a second one of the same name by its version too."""
    found: dict[str, Mapping[str, Any]] = {}
    for entry in entries:
        name = str(entry.get("name"))
        found[name if name not in found else f"{name}@{entry.get('version')}"] = entry
    return found


def _version(entry: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return {"version": entry.get("version"), "digest": entry.get("digest")} if entry else None


def _moved(repository: Repository, old: object, new: object) -> str:
    """How many items came, went and changed between two versions, where both manifests are here."""
    from ..store import trees
    from ..store.place import store_of

    try:
        counts: Counter[str] = Counter()
        for change in trees.changed(store_of(repository), str(old), str(new)):
            counts["added" if change.old is None else "removed" if change.new is None else "changed"] += 1
    except GitreproError as error:
        return f"what changed is not known here: {error.what}"
    return "files: " + ", ".join(f"{counts[what]} {what}" for what in ("added", "removed", "changed"))


def _splits(dataset: str, left: Mapping[str, Any], right: Mapping[str, Any]) -> Iterator[Difference]:
    one, other = (_by_name(entry.get("splits") or ()) for entry in (left, right))
    for name in dict.fromkeys([*one, *other]):
        before, after = one.get(name), other.get(name)
        if (before or {}).get("digest") != (after or {}).get("digest"):
            note = _resized(before, after) if before and after else ""
            key = f"{dataset}/{name}"
            yield Difference(section="data", key=key, left=_version(before), right=_version(after), note=note)


def _resized(left: Mapping[str, Any], right: Mapping[str, Any]) -> str:
    one, other = (entry.get("parts") or {} for entry in (left, right))
    told = [
        f"{part} {one.get(part, 0)} to {other.get(part, 0)}"
        for part in dict.fromkeys([*one, *other])
        if one.get(part) != other.get(part)
    ]
    return ", ".join(told[:_PARTS_AT_MOST]) or "parts of the same sizes, with other items"


def _prepared(record: RunRecord) -> dict[str, Any]:
    preprocess = record.preprocess or {}
    fitted = {f"fitted.{each.get('name')}": _fitted(each) for each in record.fitted}
    return {**fitted, **({"preprocess": preprocess.get("digest")} if preprocess else {})}


def _fitted(each: Mapping[str, Any]) -> str:
    """What was fitted, on what, with which outcome."""
    return f"{each.get('method')} on {each.get('count')} of {each.get('part')} {each.get('ids')}: {each.get('blob')}"


def checkpoints(left: RunRecord, right: RunRecord) -> Iterator[Difference]:
    """The best and the last, by their weights where these are known: a file names its run and is always another."""
    for role in _ROLES:
        one, other = (_with_role(record.checkpoints, role) for record in (left, right))
        if _content(one, other) != _content(other, one) or (one or {}).get("step") != (other or {}).get("step"):
            alike = one and other and _content(one, other) == _content(other, one)
            yield Difference(
                section="checkpoints",
                key=role,
                left=_place(one),
                right=_place(other),
                note="the same weights" if alike else "",
            )


def _with_role(entries: Iterable[Mapping[str, Any]], role: str) -> Mapping[str, Any] | None:
    return next((entry for entry in reversed([*entries]) if role in (entry.get("roles") or ())), None)


def _content(entry: Mapping[str, Any] | None, beside: Mapping[str, Any] | None) -> object:
    if entry is None:
        return None
    return entry["weights"] if entry.get("weights") and (beside or {}).get("weights") else entry.get("blob")


def _place(entry: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return {"step": entry.get("step"), "digest": entry.get("weights") or entry.get("blob")} if entry else None


def artifacts(left: RunRecord, right: RunRecord) -> Iterator[Difference]:
    """What the program gave, and the files that were kept; neither its output nor its metrics, which differ always."""
    yield from keyed("artifacts", *({_named(item): item.get("blob") for item in _kept(run)} for run in (left, right)))


def _kept(record: RunRecord) -> Iterator[Mapping[str, Any]]:
    return (item for item in record.artifacts if item.get("kind") in _COMPARED_KINDS)


def _named(item: Mapping[str, Any]) -> str:
    return str(item.get("name"))
