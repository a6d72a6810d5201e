"""What the program declares beside its numbers: the model it trains, what optimises it, how its data is prepared."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, final

from ..capture import preprocess as preprocessing
from ..capture import secrets
from ..errors import UsageError
from ..records import yaml
from ..store.objects import digest_of
from ..training.watching import Watched
from .names import check_name

_WATCHES_AT_MOST: Final = 32
_LARGEST_BYTES: Final = 100 << 10


@final
class Declarations:
    """The declarations of one run in this process. Of the objects themselves only weak references are kept.

    Args:
        tell: takes an event for the journal.
        warn: is given a line that people should see now.
    """

    def __init__(self, *, tell: Callable[..., None], warn: Callable[[str], None]) -> None:
        self._tell = tell
        self._warn = warn
        self._watched: dict[str, Watched] = {}

    def watch(self, objects: Iterable[object], *, name: str | None) -> None:
        """Describe a model, optimizers and schedulers now, and the last two once more at the end."""
        if len(self._watched) >= _WATCHES_AT_MOST and name not in self._watched:
            self._warn(f"only the first {_WATCHES_AT_MOST} watched models are recorded")
            return
        name = name or self._free_name()
        watched = self._watched[name] = Watched(objects)
        described = watched.describe()
        if "shapes" in (model := described.get("model", {})):
            model["digest"] = digest_of([model.pop("shapes").encode()])
        for trouble in described.get("troubles", ()):
            self._warn(f"watching {name}: {trouble}")
        self._say("watch", name=name, seen=described)

    def _free_name(self) -> str:
        count = len(self._watched) + 1
        return "model" if count == 1 else f"model-{count}"

    def preprocess(self, transform: object, *, name: str) -> None:
        """Put a canonical description of `transform` on record; one of the same name is replaced."""
        check_name(name)
        parts = [{"name": name, **_part(part)} for part in preprocessing.describe(transform)]
        self._say("preprocess", name=name, parts=parts)

    def end(self) -> None:
        """Say what the watched objects have come to."""
        for name, watched in self._watched.items():
            if ended := watched.describe_end():
                self._say("watch_end", name=name, seen=ended)
        self._watched.clear()

    def _say(self, op: str, **content: Any) -> None:
        clean, _ = secrets.redact_tree(content)
        try:
            size_bytes = len(yaml.dump(clean))
        except UsageError as error:
            self._warn(f"a declaration is not recorded: {error.what}")
            return
        if size_bytes > _LARGEST_BYTES:
            self._warn(f"a declaration of {size_bytes} bytes is not recorded: at most {_LARGEST_BYTES} have room")
            return
        self._tell(op, **clean)


def _part(part: preprocessing.Part) -> dict[str, Any]:
    digest = digest_of([part.canonical.encode()])
    limits = {"limits": list(part.limits)} if part.limits else {}
    return {"digest": digest, "repr": part.text, "source": part.source, "type": part.type, **limits}


def watched(events: Iterable[Mapping[str, Any]]) -> tuple[dict[str, Any], ...]:
    """The field `watched` of a record: one entry a name, the last of each."""
    found: dict[str, dict[str, Any]] = {}
    for event in events:
        if event.get("op") == "watch":
            found[str(event["name"])] = {**event["seen"], "name": event["name"]}
        elif event.get("op") == "watch_end" and event.get("name") in found:
            found[str(event["name"])]["end"] = event["seen"]
    return tuple(list(found.values())[:_WATCHES_AT_MOST])


def preprocess(events: Iterable[Mapping[str, Any]]) -> dict[str, Any] | None:
    """The field `preprocess` of a record: the digest over all that was declared, and the parts."""
    declared = {str(event["name"]): event["parts"] for event in events if event.get("op") == "preprocess"}
    if not declared:
        return None
    parts = [part for _, parts in sorted(declared.items()) for part in parts]
    key = "".join(f"{part['name']}\0{part['digest']}\0" for part in parts)
    return {"digest": digest_of([key.encode()]), "parts": parts}
