"""One image at a time, decoded by Pillow to 8-bit gray or RGB with or without alpha, or 16-bit gray."""

from __future__ import annotations

import os
import stat
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from ...errors import GitreproError, UsageError

if TYPE_CHECKING:
    from PIL import Image

# Without the formats that run a program to decode (EPS does), and those that are not pictures of pixels.
_FORMATS: Final = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "MPO")
MOST_PIXELS: Final = 178_956_970
"""Larger ones are not decoded: Pillow's own border of a decompression bomb, 512 MiB of RGB."""
_CHANNELS: Final = {
    "gray": ("gray",),
    "gray16": ("gray16",),
    "rgb": ("red", "green", "blue"),
    "rgba": ("red", "green", "blue", "alpha"),
}
_MODES: Final = {"1": "L", "L": "L", "LA": "RGBA", "La": "RGBA", "PA": "RGBA", "RGBA": "RGBA", "RGBa": "RGBA"}
# Whatever a decoder of a broken file may raise; MemoryError is that of a size no memory has.
_BROKEN: Final = (
    OSError, SyntaxError, ValueError, EOFError, struct.error, IndexError, KeyError, TypeError, AttributeError,
    OverflowError, ZeroDivisionError, RuntimeError, NotImplementedError, AssertionError, MemoryError,
)  # fmt: skip


class Unreadable(GitreproError):
    """One item that cannot be decoded; the others can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One decoded image, its first frame, not turned by EXIF.

    Attributes:
        mode: as the file has it, in Pillow's words.
        image: decoded, of mode L, RGB, RGBA or I;16; None where the mode has no range of its own (I, F).
        frames: of an animation or a document; 1 else.
    """

    width: int
    height: int
    mode: str
    frames: int
    image: Image.Image | None
    digest: bytes

    @property
    def channels(self) -> tuple[str, ...]:
        names = {"L": "gray", "I;16": "gray16", "RGB": "rgb", "RGBA": "rgba"}
        return _CHANNELS[names[self.image.mode]] if self.image is not None else ()


def decode(path: Path, *, follow: bool = False) -> Picture:
    """Read one image.

    The digest is BLAKE2b-128 of width, height and pixels as RGBA (gray16 and numbers as they are), so that a palette,
    another compression or another container of equal pixels has the same one.

    Raises:
        Unreadable: it is broken, cut off, of another format, or larger than `MOST_PIXELS`.
        UsageError: Pillow is not installed.
    """
    try:
        from PIL import Image
    except ImportError as error:
        do = "`pip install 'gitrepro[checks]'`, or `gitrepro data add --no-stats`"
        raise UsageError("images are read with Pillow, which is not installed", do=do) from error

    try:
        # Size and mode are known before a pixel is decoded; the border is ours, so no warning is due.
        with open_regular(path, follow=follow) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(file, formats=_FORMATS) as opened:
                return _picture(opened)
    except (*_BROKEN, Image.DecompressionBombError) as error:
        raise Unreadable(_why(error)) from None


def _why(error: BaseException) -> str:
    from PIL import UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        return "it is no image of a known format"
    return (isinstance(error, OSError) and error.strerror) or str(error)[:200] or type(error).__name__


def _picture(opened: Image.Image) -> Picture:
    width, height = opened.size
    if width * height > MOST_PIXELS:
        raise Unreadable(f"{width:,} × {height:,} pixels are more than {MOST_PIXELS:,}")
    frames = int(getattr(opened, "n_frames", 1))
    mode = opened.mode
    opened.load()
    image = _canonical(opened)
    return Picture(
        width=width,
        height=height,
        mode=mode,
        frames=frames,
        image=image,
        digest=_digest(opened if image is None else image),
    )


def _canonical(image: Image.Image) -> Image.Image | None:
    if image.mode.startswith("I;16"):
        return image if image.mode == "I;16" else image.convert("I").convert("I;16")
    if image.mode in ("I", "F"):
        return None
    if image.mode == "P":
        return image.convert("RGBA" if "transparency" in image.info else "RGB")
    wanted = _MODES.get(image.mode, "RGB")
    return image if image.mode == wanted else image.convert(wanted)


def _digest(image: Image.Image) -> bytes:
    from hashlib import blake2b

    eight_bit = image.mode in ("L", "RGB", "RGBA")
    pixels: Any = image.convert("RGBA") if eight_bit else image
    head = f"{image.width} {image.height} {'RGBA' if eight_bit else image.mode} ".encode()
    return blake2b(head + pixels.tobytes(), digest_size=16).digest()


@contextmanager
def open_regular(path: Path, *, follow: bool = False) -> Iterator[IO[bytes]]:
    """Open a regular file; a link only with `follow`.

    Raises:
        Unreadable: it is a link, a pipe, a device or a socket.
        OSError: it cannot be opened.
    """
    # Without O_NONBLOCK a pipe that nobody writes to would wait for ever.
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW)
    with open(os.open(path, flags), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise Unreadable("it is no regular file")
        yield file
