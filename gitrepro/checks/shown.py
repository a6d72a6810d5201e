"""Examples as a person looks at them: a thumbnail, a snippet of text, or the first numbers of a row."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np

from .task import Data, Part

SIDE_PIXELS: Final = 96
_CHARACTERS: Final = 300
_NUMBERS: Final = 12


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One example.

    Attributes:
        text: what stands below the picture, or instead of it.
        png: a thumbnail; None where it is no image, or Pillow is not there.
    """

    id: str
    part: str
    label: str
    text: str
    png: bytes | None = None


def shown(data: Data, id: str, part: str) -> Shown | None:
    """The example of this id; None where the data have none."""
    if part not in data.parts:
        return None
    whole = data.parts[part]
    places = np.flatnonzero(np.asarray(whole.ids).astype(str) == id)
    return _one(whole, int(places[0]), id, part) if len(places) else None


def _one(part: Part, place: int, id: str, name: str) -> Shown:
    each = part.inputs[place]
    label = "" if part.labels is None else str(part.labels[place])
    png = thumbnail(each) if is_image(each) else None
    return Shown(id=id, part=name, label=label[:_CHARACTERS], text="" if png else snippet(each), png=png)


def is_image(value: Any) -> bool:
    """Whether it has the shape of one: two sides of 4 pixels or more, and perhaps 1, 3 or 4 channels."""
    shape = np.shape(value) if not isinstance(value, str | bytes) else ()
    sides, channels = shape[:2], shape[2:]
    return len(sides) == 2 and min(sides) >= 4 and channels in ((), (1,), (3,), (4,))


def thumbnail(image: Any) -> bytes | None:
    """A PNG of at most 96 pixels a side; floats are stretched to their own range. None without Pillow."""
    try:
        from PIL import Image
    except ImportError:
        return None
    values = np.asarray(image)
    values = values[..., 0] if values.ndim == 3 and values.shape[2] == 1 else values
    if values.dtype != np.uint8:
        values = _stretched(values.astype(np.float64))
    picture = Image.fromarray(values)
    scale = SIDE_PIXELS / max(picture.size)
    wanted = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    out = io.BytesIO()
    picture.resize(wanted, Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BILINEAR).save(out, "PNG")
    return out.getvalue()


def _stretched(values: np.ndarray) -> np.ndarray:
    values = np.nan_to_num(values)
    low, high = float(values.min()), float(values.max())
    return np.asarray((values - low) / (high - low or 1.0) * 255, dtype=np.uint8)


def snippet(value: Any) -> str:
    """The beginning of a text, or the first numbers of a row."""
    if isinstance(value, str):
        return value[:_CHARACTERS] + ("…" if len(value) > _CHARACTERS else "")
    flat = np.ravel(np.asarray(value)).tolist()
    words = [f"{each:.4g}" if isinstance(each, float) else str(each) for each in flat[:_NUMBERS]]
    return (", ".join(words) + (", …" if len(flat) > _NUMBERS else ""))[:_CHARACTERS]
