"""Statistics of files: sizes and suffixes, and of images and texts what is in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import repeat
from typing import TYPE_CHECKING, Any, Final, Protocol, final

from ..reading.images import Unreadable, decode
from ..reading.kinds import IMAGES, TEXTS
from ..reading.table import fingerprints
from ..reading.text import read_text
from .classes import Classes
from .duplicates import Duplicates
from .numbers import Stream, Tally, held_by_each
from .sampling import Sample, priorities
from .strings import brief, clipped, ranked

if TYPE_CHECKING:
    from PIL import Image

    from ..reading import File, FolderItems

NAMED: Final = 20
"""How many unreadable items are named."""
_SUFFIXES: Final = 100
_AT_ONCE: Final = 1 << 12


def describe_folder(items: FolderItems, sample: Sample, tell: Callable[[int], None]) -> dict[str, Any]:
    """Sizes, suffixes and classes of files; of images also channels, of texts lengths, of both exact duplicates."""
    fold = _Fold(items)
    labels = items.labels()
    pairs = zip(items.files(), repeat(None) if labels is None else labels, strict=False)
    for done, (file, label) in enumerate(pairs, start=1):
        if file.id in sample:
            fold.add(file, label)
        tell(done)
    return fold.document(id for id in items.ids() if id in sample)


class _Contents(Protocol):
    """What the files of one kind hold."""

    suffixes: frozenset[str]

    def add(self, file: File) -> bytes:
        """Read one file; returns the digest of what it holds. Raises Unreadable."""

    def document(self) -> dict[str, Any]: ...


@final
class _Fold:
    """Files that pass by."""

    def __init__(self, items: FolderItems) -> None:
        self._contents = _contents(items)
        self._classes = Classes() if items.label is not None else None
        self._labels: list[str | None] = []
        self._prints: list[int] = []
        self._sizes = Gathered()
        self._suffixes: Counter[str] = Counter()
        self._counts = Counter[str]()
        self._broken: list[dict[str, str]] = []

    def add(self, file: File, label: str | None) -> None:
        self._counts["n"] += 1
        self._counts["links"] += file.is_link
        self._labels.append(label)
        self._sizes.add(file.size_bytes)
        self._suffixes[file.path.suffix.lower()[:20]] += 1
        if self._contents is not None:
            self._prints.append(self._print(self._contents, file))

    def _print(self, contents: _Contents, file: File) -> int:
        """64 bits of the contents; of a file that is not read, of its name, which no other has."""
        if file.path.suffix.lower() in contents.suffixes:
            try:
                return int.from_bytes(contents.add(file)[:8], "little")
            except Unreadable as error:
                self._counts["unreadable"] += 1
                self._broken.append({"id": clipped(file.id), "why": error.what[:120]})
                del self._broken[NAMED:]
        else:
            self._counts["others"] += 1
        return int(fingerprints([f"not read: {file.id}"])[0])

    def document(self, ids: Iterator[str]) -> dict[str, Any]:
        import numpy as np

        codes = self._classes.add(self._labels) if self._classes is not None else None
        found: dict[str, Any] = {
            "n": self._counts["n"],
            "counts": {"links": self._counts["links"]},
            "sizes": {"bytes": self._sizes.document()},
            "suffixes": ranked(self._suffixes, _SUFFIXES),
            **(self._classes.document() if self._classes is not None else {}),
        }
        if self._contents is None:
            return found
        duplicates = Duplicates()
        duplicates.add(np.array(self._prints, np.uint64), codes)
        contents = self._contents.document()
        found["sizes"] |= contents.pop("sizes", {})
        found["counts"] |= {name: self._counts[name] for name in ("unreadable", "others")}
        return found | contents | {"unreadable": self._broken, "duplicates": duplicates.document(ids)}


def _contents(items: FolderItems) -> _Contents | None:
    if items.kind == "images":
        return _Images(items.follow)
    return _Texts(items.follow) if items.kind == "text" else None


@final
class Gathered:
    """Single numbers, handed on in pieces."""

    def __init__(self) -> None:
        self._stream = Stream(held=held_by_each(8), whole=True)
        self._waiting: list[int] = []
        self._seen = 0

    def add(self, value: int) -> None:
        self._waiting.append(value)
        if len(self._waiting) == _AT_ONCE:
            self._pass_on()

    def _pass_on(self) -> None:
        import numpy as np

        self._stream.add(np.array(self._waiting, np.int64), priorities(self._seen, len(self._waiting)))
        self._seen += len(self._waiting)
        self._waiting = []

    def document(self) -> dict[str, Any]:
        self._pass_on()
        return brief(self._stream.document())


@final
class _Images:
    """Decoded pixels: channels from 0 to 1, exact, for they are counted and not summed up."""

    suffixes = IMAGES

    def __init__(self, follow: bool) -> None:
        self._follow = follow
        self._width, self._height = Gathered(), Gathered()
        self._channels: dict[str, Tally] = {}
        self._modes: Counter[str] = Counter()
        self._counts: Counter[str] = Counter()

    def add(self, file: File) -> bytes:
        picture = decode(file.path, follow=self._follow)
        self._width.add(picture.width)
        self._height.add(picture.height)
        self._modes[picture.mode] += 1
        self._counts["several_frames"] += picture.frames > 1
        self._counts["without_range"] += picture.image is None
        if picture.image is not None:
            for place, name in enumerate(picture.channels):
                self._add_channel(name, picture.image, place)
        return picture.digest

    def _add_channel(self, name: str, image: Image.Image, place: int) -> None:
        import numpy as np

        is_wide = name == "gray16"
        tally = self._channels.setdefault(name, Tally(scale=65535 if is_wide else 255))
        if is_wide:
            tally.add(np.asarray(image).reshape(-1))
        else:
            tally.add_counts(np.array(image.getchannel(place).histogram(), np.int64))

    def document(self) -> dict[str, Any]:
        return {
            "channels": {name: {"type": "pixels", **brief(tally.document())} for name, tally in self._channels.items()},
            "sizes": {"width": self._width.document(), "height": self._height.document()},
            "modes": dict(self._modes),
            "pictures": {name: self._counts[name] for name in ("several_frames", "without_range")},
        }


@final
class _Texts:
    """Normalised texts."""

    suffixes = TEXTS

    def __init__(self, follow: bool) -> None:
        self._follow = follow
        self._characters, self._words = Gathered(), Gathered()

    def add(self, file: File) -> bytes:
        text = read_text(file.path, follow=self._follow)
        self._characters.add(text.characters)
        self._words.add(text.words)
        return text.digest

    def document(self) -> dict[str, Any]:
        return {"lengths": {"characters": self._characters.document(), "words": self._words.document()}}
