"""What a program wants kept with its run: files, folders, bytes, tables, figures; and what kind of thing each is."""

from __future__ import annotations

import io
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from ..errors import UsageError
from .names import check_name

if TYPE_CHECKING:
    from ..store.objects import BlobStore
    from ..store.repository import Repository

FOLDER: Final = "folder"
FILE: Final = "artifact"
ANYTHING: Final = "application/octet-stream"
_FOLDER_TYPE: Final = "inode/directory"
# What is common here and not, or not everywhere, known to the table of the standard library.
_TYPES: Final[Mapping[str, str]] = {
    ".ckpt": ANYTHING,
    ".csv": "text/csv",
    ".jsonl": "application/jsonl",
    ".md": "text/markdown",
    ".npy": "application/x-npy",
    ".npz": "application/x-npz",
    ".parquet": "application/vnd.apache.parquet",
    ".pt": ANYTHING,
    ".safetensors": "application/vnd.safetensors",
    ".toml": "application/toml",
    ".tsv": "text/tab-separated-values",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
}
# A table or a figure whose name ends so is written so.
_SEPARATORS: Final[Mapping[str, str]] = {".csv": ",", ".tsv": "\t"}
_DRAWN: Final[Mapping[str, str]] = {".pdf": "pdf", ".svg": "svg"}
_PLOTLY: Final = "application/vnd.plotly.v1+json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What is to be kept: bytes, or a file or folder of the user's."""

    name: str
    media_type: str
    data: bytes | None = None
    path: Path | None = None


def given(thing: object, name: object, media_type: object = None) -> Given:
    """Look at what a program gave. Reads no file.

    Args:
        thing: a path (str or PathLike), bytes, a dict or list (as JSON), a table (Arrow, pandas, polars: as Parquet, or
            as text where the name ends in .csv or .tsv), a NumPy array, or a figure or an image (as PNG; a figure as
            PDF or SVG where the name says so; a plotly figure as its JSON).
        name: what it is called in the run; its suffix tells the media type.

    Raises:
        UsageError: the name cannot be, or nobody knows how to keep such a thing.
    """
    name = _name(name)
    if media_type is not None and (not isinstance(media_type, str) or not media_type.isprintable()):
        raise UsageError(f"media type {media_type!r:.60} is no text", do='give one such as "text/csv"')
    if isinstance(thing, (str, os.PathLike)):
        path = Path(thing)
        guessed = media_type_of(name, path.suffix)
        return Given(name=name, media_type=media_type or guessed, path=path)
    data, known = _rendered(thing, PurePosixPath(name).suffix.lower())
    # What a name says of bytes is a guess; what we have made ourselves is known.
    return Given(name=name, media_type=media_type or known or media_type_of(name), data=data)


def _name(name: object) -> str:
    text = check_name(name, what="name of the artifact")
    parts = PurePosixPath(text).parts
    if text.startswith("/") or ".." in parts or text.endswith("/"):
        raise UsageError(f"an artifact cannot be called {text!r:.80}", do='give a name such as "plots/confusion.png"')
    return text


def media_type_of(name: str, suffix: str = "") -> str:
    """The media type that a name says, and else the suffix of a file; the same on every machine."""
    import mimetypes

    # The tables of the system differ from machine to machine.
    known = mimetypes.MimeTypes()
    for ending in (PurePosixPath(name).suffix.lower(), suffix.lower()):
        if found := _TYPES.get(ending) or known.guess_type(f"x{ending}")[0]:
            return found
    return ANYTHING


# -- things in memory


def _rendered(thing: object, suffix: str) -> tuple[bytes, str | None]:
    """The bytes of a thing, in the form that the suffix of its name asks for, and its media type where it is known."""
    if isinstance(thing, (bytes, bytearray, memoryview)):
        return bytes(thing), None
    if isinstance(thing, (Mapping, list, tuple)):
        return _as_json(thing), "application/json"
    if type(thing).__module__.partition(".")[0] in ("pyarrow", "pandas", "polars"):
        if suffix in _SEPARATORS:
            return _as_text(thing, _SEPARATORS[suffix]), _TYPES[suffix]
        return _as_parquet(thing), _TYPES[".parquet"]
    if type(thing).__module__.partition(".")[0] == "numpy" and hasattr(thing, "dtype"):
        return _as_npy(thing), _TYPES[".npy"]
    return _as_figure(thing, suffix)


def _as_json(value: object) -> bytes:
    try:
        text = json.dumps(_plain(value), indent=1, ensure_ascii=False, allow_nan=False)
        return f"{text}\n".encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(
            "this cannot be kept as JSON", why=str(error)[:200], do="give plain values, or bytes"
        ) from error


def _plain(value: Any) -> Any:
    """Values as JSON has them: what is no finite number as the words "NaN", "Infinity", "-Infinity"."""
    if isinstance(value, Mapping):
        return {str(key): _plain(below) for key, below in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(below) for below in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def _as_text(table: Any, separator: str) -> bytes:
    if hasattr(table, "write_csv"):
        return str(table.write_csv(separator=separator)).encode()
    if hasattr(table, "to_csv"):
        # The numbers of rows are nobody's data; an index that somebody has made is.
        numbered = type(table.index).__name__ == "RangeIndex"
        return str(table.to_csv(sep=separator, index=not numbered)).encode()
    from ..records.parquet import text_bytes

    return text_bytes(table, separator=separator)


def _as_parquet(table: Any) -> bytes:
    if hasattr(table, "write_parquet"):
        buffer = io.BytesIO()
        table.write_parquet(buffer)
        return buffer.getvalue()
    if hasattr(table, "to_frame") and not hasattr(table, "to_parquet"):
        table = table.to_frame()
    if hasattr(table, "to_parquet"):
        return bytes(table.to_parquet(None))
    from ..records.parquet import table_bytes

    return table_bytes(table)


def _as_npy(array: Any) -> bytes:
    import numpy as np

    buffer = io.BytesIO()
    # Without pickle: a reader must never have to trust it.
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _as_figure(thing: Any, suffix: str) -> tuple[bytes, str]:
    buffer = io.BytesIO()
    figure: Any = thing if hasattr(thing, "savefig") else getattr(thing, "figure", None)
    if hasattr(figure, "savefig"):
        figure.savefig(buffer, format=_DRAWN.get(suffix, "png"))
        return buffer.getvalue(), media_type_of(f"x{suffix}") if suffix in _DRAWN else "image/png"
    if hasattr(thing, "to_plotly_json"):
        return str(thing.to_json()).encode(), _PLOTLY
    if hasattr(thing, "save") and hasattr(thing, "getbands"):
        thing.save(buffer, format="PNG")
    else:
        raise UsageError(
            f"nobody knows how to keep a {type(thing).__name__}",
            why="known are files, folders, bytes, dicts and lists, tables, arrays, figures and images",
            do="write it to a file and give its path",
        )
    return buffer.getvalue(), "image/png"


# -- into the store


def keep(one: Given, store: BlobStore, repository: Repository) -> dict[str, Any]:
    """Put an artifact into the store; what the record says of it. Durable once this returns.

    Raises:
        NotFound: there is nothing at its path.
        Unsafe, SourceChanged, StorageError: it cannot be kept.
    """
    if one.path is not None and one.path.is_dir():
        return _keep_folder(one, store, repository)
    if one.path is not None:
        blob, size_bytes = _put_file(store, one.path)
    else:
        data = one.data or b""
        with store.batch() as batch:
            blob, size_bytes = batch.put(data), len(data)
    return {"blob": blob, "kind": FILE, "media_type": one.media_type, "name": one.name, "size_bytes": size_bytes}


def _put_file(store: BlobStore, path: Path) -> tuple[str, int]:
    from ..store.objects import copying
    from ..store.recipes import put_split

    # Only what is a plain file: a pipe would keep us waiting for ever.
    fd = copying.open_source(path)
    with os.fdopen(fd, "rb", buffering=0) as reader, store.batch() as batch:
        return put_split(batch, reader, os.fstat(fd).st_size)


def _keep_folder(one: Given, store: BlobStore, repository: Repository) -> dict[str, Any]:
    from ..store.ingest import add_tree
    from ..store.statcache import StatCache

    assert one.path is not None
    added = add_tree(store, StatCache.of(repository), one.path)
    return {
        "blob": added.tree.digest,
        "files": added.tree.files,
        "kind": FOLDER,
        "media_type": _FOLDER_TYPE,
        "name": one.name,
        "size_bytes": added.tree.size_bytes,
    }
