"""Where a signature stands in a commit or a tag, and what it was made over. Bytes only; nothing is judged here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

SSH: Final = "ssh"
OPENPGP: Final = "openpgp"
HEADER: Final = b"gpgsig"
_ARMOUR: Final = {SSH: b"SSH SIGNATURE", OPENPGP: b"PGP SIGNATURE"}
# Git looks for the last of these lines in a tag; whoever cut elsewhere would read other words than were signed.
_BEGINS: Final = tuple(
    b"-----BEGIN " + name + b"-----" for name in (*_ARMOUR.values(), b"PGP MESSAGE", b"SIGNED MESSAGE")
)
_DATED: Final = re.compile(rb"^(?:committer|tagger) .*> ([0-9]{1,11}) [+-][0-9]{4}$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parted:
    """A commit or a tag, taken apart.

    Attributes:
        payload: what the signature was made over; without one, all of it.
        signature: the armoured signature, or None.
        fault: why there is no telling what was signed; empty when there is.
    """

    payload: bytes
    signature: bytes | None
    fault: str = ""

    @property
    def kind(self) -> str | None:
        """`ssh` or `openpgp`; None for others."""
        first = (self.signature or b"").partition(b"\n")[0]
        return next((kind for kind, name in _ARMOUR.items() if first == b"-----BEGIN %s-----" % name), None)

    @property
    def seconds(self) -> int | None:
        """When it was made, as it says itself, in seconds since 1970."""
        found = _DATED.search(self.payload.partition(b"\n\n")[0])
        return int(found[1]) if found else None


def part_commit(data: bytes) -> Parted:
    """Take a commit apart as `git verify-commit` does."""
    head, gap, rest = data.partition(b"\n\n")
    kept: list[bytes] = []
    found: list[list[bytes]] = []
    into: list[bytes] | None = None
    for line in head.split(b"\n"):
        if into is not None and line.startswith(b" "):
            into.append(line[1:])
            continue
        into = None
        if line.startswith(HEADER):
            into = [line.partition(b" ")[2]]
            found.append(into)
        else:
            kept.append(line)
    signature = b"\n".join(found[0]) + b"\n" if found else None
    fault = "it has more than one signature" if len(found) > 1 else _fault(signature)
    return Parted(payload=b"\n".join(kept) + gap + rest, signature=signature, fault=fault)


def part_tag(data: bytes) -> Parted:
    """Take a tag apart as `git verify-tag` does."""
    at = 0
    cut = len(data)
    while at < len(data):
        if data.startswith(_BEGINS, at):
            cut = at
        end = data.find(b"\n", at)
        at = len(data) if end < 0 else end + 1
    signature = data[cut:] or None
    return Parted(payload=data[:cut], signature=signature, fault=_fault(signature))


def _fault(signature: bytes | None) -> str:
    """What comes behind a signature, or between two, nobody has signed; the programs that verify pass over it."""
    if signature is None:
        return ""
    lines = signature.removesuffix(b"\n").split(b"\n")
    ends = [line.replace(b"BEGIN", b"END") for line in lines[:1]]
    marks = [line for line in lines if line.startswith(b"-----")]
    return "" if marks == [lines[0], *ends] and lines[-1:] == ends else "more stands beside its signature"


def sign_commit(payload: bytes, signature: bytes) -> bytes:
    """The commit `payload` with its signature, in the place where Git puts it."""
    head, _, rest = payload.partition(b"\n\n")
    indented = signature.strip(b"\n").replace(b"\n", b"\n ")
    return b"%s\n%s %s\n\n%s" % (head, HEADER, indented, rest)


def sign_tag(payload: bytes, signature: bytes) -> bytes:
    """The tag `payload` with its signature."""
    return payload + signature.strip(b"\n") + b"\n"


def harmless(text: str) -> str:
    """Words of a message in which no line looks like the beginning of a signature."""
    return re.sub(r"^-----BEGIN ", " -----BEGIN ", text, flags=re.MULTILINE)
