"""Paths in a data set: how they are written in a text, and which of them could do harm."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

NAME_BYTES_AT_MOST: Final = 255
PATH_BYTES_AT_MOST: Final = 4095
_PLAIN_BYTES: Final = re.compile(rb"[\x20-\x5b\x5d-\x7e]*")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_ESCAPED: Final = re.compile(rb"\\(\\|x[0-9a-f]{2})")

# Nearly all paths: no part begins with a dot, is long, or holds what a file system may read in another way.
_PART: Final = rb"[\w+=@%,-][\w+=@%,. -]{0,99}"
_HARMLESS: Final = re.compile(rb"%b(?:/%b)*" % (_PART, _PART), re.ASCII)
_ALL_HARMLESS: Final = re.compile(rb"(?:%b[/\n])*" % _PART, re.ASCII)
# What HFS+ leaves out of a name when it looks for it, and how Windows reads what is not quite `.git`.
_IGNORED_BY_HFS: Final = re.compile("[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]")
_GIT: Final = re.compile(r"(\.git|git~1)[ .]*(:.*)?", re.IGNORECASE | re.DOTALL)


def escape(path: bytes) -> str:
    r"""A path as one line of text: `\\` for a backslash, `\xNN` for control characters and what is not UTF-8."""
    if _PLAIN_BYTES.fullmatch(path):
        return path.decode("ascii")
    text = path.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")
    return _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", text)


def unescape(text: str) -> bytes:
    """The path that `escape` wrote so.

    Raises:
        ValueError: it never writes that.
    """
    path = _ESCAPED.sub(_character, text.encode())
    if escape(path) != text:
        raise ValueError(f"{text!r} is not how a path is written")
    return path


def _character(match: re.Match[bytes]) -> bytes:
    return b"\\" if match[1] == b"\\" else bytes([int(match[1][1:], 16)])


def fault_of(path: bytes) -> str:
    """Why a path inside a folder could do harm, as in "`has a part '..'`"; empty when it is harmless."""
    if _HARMLESS.fullmatch(path) and len(path) <= PATH_BYTES_AT_MOST:
        return ""
    if not path:
        return "is empty"
    if len(path) > PATH_BYTES_AT_MOST:
        return f"has {len(path)} bytes, and no system opens a path of more than {PATH_BYTES_AT_MOST}"
    if path.startswith(b"/"):
        return "is absolute"
    return next((fault for fault in map(_fault_of_part, path.split(b"/")) if fault), "")


def are_harmless(paths: Sequence[bytes]) -> bool:
    """Whether all of these paths are; where it says no, `fault_of` tells what is wrong, if anything is."""
    joined = b"\n".join(paths) + b"\n"
    return (
        joined.count(b"\n") == len(paths)
        and b"/\n" not in joined
        and max(map(len, paths)) <= PATH_BYTES_AT_MOST
        and _ALL_HARMLESS.fullmatch(joined) is not None
    )


def _fault_of_part(name: bytes) -> str:
    if not name:
        return "has an empty part"
    if name in (b".", b".."):
        return f"has a part '{name.decode()}'"
    if b"\0" in name:
        return "has a zero byte in it"
    if len(name) > NAME_BYTES_AT_MOST:
        return f"has a part of {len(name)} bytes, and a name has at most {NAME_BYTES_AT_MOST}"
    text = _IGNORED_BY_HFS.sub("", name.decode("utf-8", "replace"))
    return "has a part that a file system may take for .git" if _GIT.fullmatch(text) else ""


def fault_of_link(path: bytes, text: bytes) -> str:
    """Why a link at `path` that says `text` could lead out of the folder; empty when it cannot.

    Up comes first and only from real folders, so that no other link, itself inside, can change where it ends.
    """
    if not text or b"\0" in text or len(text) > PATH_BYTES_AT_MOST:
        return "leads nowhere"
    if text.startswith(b"/"):
        return f"leads to the absolute path {escape(text):.200}"
    parts = [part for part in text.split(b"/") if part not in (b"", b".")]
    ups = next((at for at, part in enumerate(parts) if part != b".."), len(parts))
    if ups > path.count(b"/") or b".." in parts[ups:]:
        return f"leads out of the folder, to {escape(text):.200}"
    fault = next((fault for fault in map(_fault_of_part, parts[ups:]) if fault), "")
    return f"leads to {escape(text):.200}, which {fault}" if fault else ""
