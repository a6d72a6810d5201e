"""Images, tables, histograms and files: kept as artifacts of the run, as far as they have bytes of their own."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, final

from ...errors import UsageError

MEDIA = "media"
"""The folder, among the artifacts of a run, of what was logged."""


class Media:
    """Something that can be logged and is no number.

    Attributes:
        suffix: of the artifact that it becomes.
    """

    suffix = ""

    def content(self) -> Any:
        """As `Run.artifact` takes it."""
        raise NotImplementedError


@final
class Image(Media):
    """A picture: an array, a tensor (1 or 3 channels first, as torch has them), a PIL image, a figure, or a path."""

    suffix = ".png"

    def __init__(self, data_or_path: Any, mode: str | None = None, caption: str | None = None, **_more: Any) -> None:
        self.caption, self.mode, self._data = caption, mode, data_or_path
        if isinstance(data_or_path, (str, Path)):
            self.suffix = Path(data_or_path).suffix or ".png"

    def content(self) -> Any:
        if isinstance(self._data, (str, Path)) or hasattr(self._data, "savefig") or hasattr(self._data, "save"):
            return Path(self._data) if isinstance(self._data, str) else self._data
        import PIL.Image

        return PIL.Image.fromarray(_pixels(self._data))


def _pixels(data: Any) -> Any:
    import numpy as np

    torch_like = hasattr(data, "detach")
    array = np.asarray(data.detach().cpu() if torch_like else data)
    if array.ndim == 3 and (torch_like or (array.shape[0] in (1, 3, 4) and array.shape[2] not in (1, 3, 4))):
        array = np.moveaxis(array, 0, -1)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.dtype.kind == "f":
        # As wandb does: fractions count from 0 to 1, anything else is spread over its range.
        low, high = float(np.nanmin(array)), float(np.nanmax(array))
        if low < 0 or high > 1:
            array = (array - low) / ((high - low) or 1.0)
        array = array * 255
    return array.clip(0, 255).astype("uint8")


@final
class Table(Media):
    """Rows and columns; kept as JSON."""

    suffix = ".table.json"

    def __init__(
        self, columns: Sequence[Any] | None = None, data: Any = None, rows: Any = None, dataframe: Any = None, **_: Any
    ) -> None:
        source = data if data is not None else rows
        if hasattr(source, "to_dict") and hasattr(source, "columns"):
            dataframe, source = source, None
        if dataframe is not None:
            columns, source = list(dataframe.columns), dataframe.to_numpy().tolist()
        self.data: list[list[Any]] = [list(row) for row in (source if source is not None else ())]
        width = len(self.data[0]) if self.data else 0
        self.columns = list(columns) if columns is not None else ["Input", "Output", "Expected"][:width]

    def add_data(self, *row: Any) -> None:
        """Add a row.

        Raises:
            UsageError: it has not one value a column.
        """
        if len(row) != len(self.columns):
            raise UsageError(f"a row of {len(row)} values for {len(self.columns)} columns", do="give one a column")
        self.data.append(list(row))

    def add_column(self, name: str, data: Sequence[Any]) -> None:
        """Add a column to the right."""
        self.columns.append(name)
        self.data = self.data or [[] for _ in data]
        for row, value in zip(self.data, data, strict=True):
            row.append(value)

    def get_column(self, name: str) -> list[Any]:
        """The values of a column."""
        return [row[self.columns.index(name)] for row in self.data]

    def content(self) -> Any:
        return {"columns": [str(name) for name in self.columns], "data": [[_cell(v) for v in row] for row in self.data]}


def _cell(value: Any) -> Any:
    if isinstance(value, Media):
        return f"<{type(value).__name__}>"
    value = value.item() if hasattr(value, "item") and getattr(value, "size", 1) == 1 else value
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)[:10_000]


@final
class Histogram(Media):
    """How often values fall between edges; kept as JSON. At most 512 bins, 64 by default."""

    suffix = ".histogram.json"

    def __init__(self, sequence: Any = None, np_histogram: Any = None, num_bins: int = 64) -> None:
        import numpy as np

        if np_histogram is not None:
            counts, edges = np_histogram
        elif sequence is not None:
            values = sequence.detach().cpu() if hasattr(sequence, "detach") else sequence
            counts, edges = np.histogram(np.asarray(values), bins=min(num_bins, 512))
        else:
            raise UsageError("a histogram of nothing", do="give Histogram(values)")
        self.histogram = [int(count) if float(count).is_integer() else float(count) for count in counts]
        self.bins = [float(edge) for edge in edges]

    def content(self) -> Any:
        return {"bins": self.bins, "histogram": self.histogram}


@final
class Html(Media):
    """A page: its text, an open file, or a path."""

    suffix = ".html"

    def __init__(self, data: Any, inject: bool = True, **_more: Any) -> None:  # noqa: ARG002 - wandb's names
        if isinstance(data, str) and data.endswith(".html") and Path(data).is_file():
            data = Path(data).read_text()
        self._text: str = data.read() if hasattr(data, "read") else str(data)

    def content(self) -> Any:
        return self._text.encode()


@final
class NotKept(Media):
    """Something that wandb shows and that has no bytes we could keep: it is accepted, and said once to be left out."""

    def __init__(self, *_args: Any, **_more: Any) -> None:
        pass


class _File(Media):
    def __init__(self, data_or_path: Any, *_more: Any, **_options: Any) -> None:
        self._path = Path(data_or_path) if isinstance(data_or_path, (str, Path)) else None
        self.suffix = self._path.suffix if self._path else ""

    def content(self) -> Any:
        if self._path is None:
            raise UsageError(f"{type(self).__name__} of an array is not kept", do="write it to a file, and give that")
        return self._path


@final
class Video(_File):
    """A film in a file; one of an array is not kept."""


@final
class Audio(_File):
    """A sound in a file; one of an array is not kept."""


@final
class Artifact:
    """Files that go on record together, as `NAME/...` among the artifacts of the run."""

    def __init__(
        self, name: str, type: str, description: str | None = None, metadata: Mapping[str, Any] | None = None, **_: Any
    ) -> None:
        self.name, self.type, self.description, self.metadata = name, type, description, dict(metadata or {})
        self.entries: dict[str, Any] = {}

    def add_file(self, local_path: str, name: str | None = None, **_more: Any) -> None:
        """Add a file, by its own name where none is given."""
        path = Path(local_path)
        if not path.is_file():
            raise UsageError(f"there is no file {path}", do="check the path")
        self.entries[name or path.name] = path

    def add_dir(self, local_path: str, name: str | None = None, **_more: Any) -> None:
        """Add a folder with all that is in it."""
        path = Path(local_path)
        if not path.is_dir():
            raise UsageError(f"there is no folder {path}", do="check the path")
        self.entries[name or path.name] = path

    def add(self, obj: Media, name: str) -> Media:
        """Add a table, an image or the like."""
        self.entries[f"{name}{obj.suffix}"] = obj.content()
        return obj

    def add_reference(self, uri: str, name: str | None = None, **_more: Any) -> None:
        """Add where something lies; its bytes are not kept."""
        self.entries[f"{name or Path(uri).name}.reference.json"] = {"uri": uri}

    @contextmanager
    def new_file(self, name: str, mode: str = "w", encoding: str | None = None) -> Iterator[Any]:
        """A file to write into; its bytes are added when it is closed."""
        folder = Path(tempfile.mkdtemp(prefix="gitrepro-"))
        try:
            with open(folder / "file", mode, encoding=encoding) as file:
                yield file
            self.entries[name] = (folder / "file").read_bytes()
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def wait(self, *_args: Any) -> Artifact:
        """Nothing is under way: it is on record when `log_artifact` returns."""
        return self
