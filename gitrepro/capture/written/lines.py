"""Lines of text out of a file that may still grow."""

from __future__ import annotations

from typing import Final, final

LINE_BYTES: Final = 1 << 20
_MARK: Final = b"\xef\xbb\xbf"
_UTF16: Final = (b"\xff\xfe", b"\xfe\xff")


@final
class LineReader:
    """Whole lines, as UTF-8, without their ends; a byte order mark is passed over.

    Attributes:
        undecodable: lines with bytes that are not UTF-8; they are not given out.
        overlong: lines over 1 MiB; neither are those.
        utf16: whether the file says that it is UTF-16, which is not read.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._begun = False
        self._passing_over = False
        self.undecodable = 0
        self.overlong = 0
        self.utf16 = False

    @property
    def unfinished(self) -> str:
        """What stands behind the last line end."""
        return self._rest.decode("utf-8", "replace")

    def take(self, data: bytes) -> list[str]:
        """The lines that end in `data`."""
        data = self._rest + data
        if not self._begun:
            if len(data) < len(_MARK):
                self._rest = data
                return []
            self._begun, self.utf16 = True, data.startswith(_UTF16)
            data = data.removeprefix(_MARK)
        *lines, self._rest = data.split(b"\n")
        if self._passing_over and lines:
            lines, self._passing_over = lines[1:], False
        if len(self._rest) > LINE_BYTES:
            self.overlong += not self._passing_over
            self._rest, self._passing_over = b"", True
        return [] if self.utf16 else [text for line in lines if (text := self._text(line)) is not None]

    def _text(self, line: bytes) -> str | None:
        try:
            return line.removesuffix(b"\r").decode("utf-8")
        except UnicodeDecodeError:
            self.undecodable += 1
            return None
