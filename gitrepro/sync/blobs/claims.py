"""Who needs what of a store remote: each push says so there before it asks what is there, and again when it is done.

A collection reads these claims. A push that began is named by a file of its own until it ends: nothing is deleted
meanwhile. A push that finds a deletion under way waits for its end. So one of the two always sees the other.
"""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final, Protocol, final

from ...errors import Damaged, RemoteError, TooNew
from ...records import ids
from ...store.objects import digest_of
from .driver import Driver, Listed, NoListing

USERS: Final = "users/"
GC: Final = "gc/"
BEGUN: Final = "begun"
DONE: Final = "claim"
SWEEP: Final = "sweep"
CLAIM_BYTES_AT_MOST: Final = 64 << 20
SWEEP_SECONDS: Final = 3600
"""A deletion stops after so long, by a clock that nobody sets."""
SWEEP_IS_DEAD_SECONDS: Final = 3 * SWEEP_SECONDS
RENEWED_SECONDS: Final = 3600
_PATIENCE_SECONDS: Final = 60.0
_HEADER: Final = "gitrepro claims 1\n"
_HEADER_OF_ANY: Final = re.compile(rb"gitrepro claims ([1-9][0-9]{0,8})\n")
_CHECK_BYTES: Final = len("check ") + 64 + 1
_ROOT: Final = re.compile(r"many [0-9a-f]{64}|root [0-9a-f]{64}(?: [0-9a-f]{64})*")
_CLONE: Final = re.compile(r"[0-9a-f]{32}")
_KEY: Final = re.compile(r"users/([0-9a-f]{32})/([0-9a-f]{32})\.(begun|claim)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What one push of one clone needs to stay.

    Attributes:
        clone: 32 hex digits; `host` and `folder` tell people whose it is.
        runs: the ids of the runs that name the roots.
        leads: each root by its digest → the few digests that it leads to; None where a file below `roots/` says it.
    """

    clone: str
    host: str = ""
    folder: str = ""
    runs: tuple[str, ...] = ()
    leads: Mapping[str, tuple[str, ...] | None] = field(default_factory=dict)

    @property
    def whose(self) -> str:
        return f"clone {self.clone[:8]} ({self.folder or '?'} on {self.host or '?'})"

    def dump(self) -> bytes:
        """The text of the claim."""
        roots = (_line(root, found) for root, found in self.leads.items())
        lines = [f"clone {self.clone}", f"folder {json.dumps(self.folder)}", f"host {json.dumps(self.host)}"]
        lines += [*sorted(roots), *sorted(f"run {run_id}" for run_id in self.runs)]
        text = (_HEADER + "".join(f"{line}\n" for line in lines)).encode()
        return text + _check(text)


def load(data: bytes, *, source: str) -> Claim:
    """Read a claim, trusting none of it.

    Raises:
        Damaged: it was cut or changed. TooNew: a newer gitrepro wrote it.
    """
    header = _HEADER_OF_ANY.match(data)
    if header and header[0] != _HEADER.encode():
        raise TooNew(f"{source} has the format {int(header[1])}", why="this gitrepro reads 1", do="upgrade gitrepro")
    text, check = data[:-_CHECK_BYTES], data[-_CHECK_BYTES:]
    found = _parsed(text.decode(errors="replace")) if header and _check(text) == check else None
    if found is None:
        raise Damaged(f"{source} is damaged", why="it was cut or changed", do="push again from the clone that wrote it")
    return found


def _parsed(text: str) -> Claim | None:
    told: dict[str, str] = {}
    runs, leads = list[str](), dict[str, tuple[str, ...] | None]()
    for line in text.splitlines()[1:]:
        word, _, rest = line.partition(" ")
        if _ROOT.fullmatch(line):
            root, *found = (f"b3:{name}" for name in rest.split())
            leads[root] = None if word == "many" else tuple(found)
        elif word == "run" and ids.is_id(rest):
            runs.append(rest)
        elif word == "clone" and _CLONE.fullmatch(rest):
            told[word] = rest
        elif word in ("folder", "host"):
            told[word] = _text(rest)
        else:
            return None
    return Claim(**told, runs=tuple(runs), leads=leads) if "clone" in told else None


def _line(root: str, leads: Iterable[str] | None) -> str:
    return f"many {root[3:]}" if leads is None else " ".join(["root", root[3:], *sorted(each[3:] for each in leads)])


def _text(value: str) -> str:
    try:
        return str(json.loads(value))
    except ValueError:
        return ""


def _check(text: bytes) -> bytes:
    return f"check {digest_of([text])[3:]}\n".encode()


def clone_of(key: str) -> str | None:
    """The clone whose claim lies under this key; None for any other key."""
    found = _KEY.fullmatch(key)
    return found[1] if found else None


def is_begun(key: str) -> bool:
    """Whether this is the key of a push that has not ended."""
    return key.endswith(f".{BEGUN}")


# -- while something is sent


class Stands(Protocol):
    """What says from time to time that a push goes on."""

    def renew(self) -> None: ...


@final
class Standing:
    """A claim for as long as what it names is sent."""

    def __init__(self, driver: Driver, claim: Claim) -> None:
        self._driver = driver
        self._data = claim.dump()
        self._stem = f"{USERS}{claim.clone}/{os.urandom(16).hex()}"
        self._lock = threading.Lock()
        self._written = 0.0

    @property
    def key(self) -> str:
        return f"{self._stem}.{BEGUN}"

    def begin(self) -> None:
        self._put(BEGUN)
        self._written = time.monotonic()

    def renew(self) -> None:
        """Say from time to time that this goes on."""
        with self._lock:
            if time.monotonic() - self._written > RENEWED_SECONDS:
                self.begin()

    def end(self) -> None:
        self._put(DONE)
        # Who may add and not delete has said all the same what is needed.
        with suppress(RemoteError):
            self._driver.delete([self.key])

    def _put(self, kind: str) -> None:
        self._driver.write(f"{self._stem}.{kind}", [self._data], len(self._data))


@contextmanager
def standing(driver: Driver, claim: Claim | None, *, patience_seconds: float = _PATIENCE_SECONDS) -> Iterator[Stands]:
    """Claim what is about to be sent, or found there. Where the block fails, the claim stays as one that was begun.

    Raises:
        RemoteError: something is deleted there, and goes on for longer than `patience_seconds`.
    """
    if claim is None or not claim.leads:
        yield _Silent()
        return
    made = Standing(driver, claim)
    made.begin()
    _let_pass(driver, made, patience_seconds)
    yield made
    made.end()


@final
class _Silent:
    """No claim."""

    def renew(self) -> None:
        """Nothing is said."""


def _let_pass(driver: Driver, made: Standing, patience_seconds: float) -> None:
    """Wait for the end of a deletion that may not know of our claim."""
    until = time.monotonic() + patience_seconds
    while sweeps := _sweeps(driver):
        now = max((each.modified_at for each in driver.list(f"{made.key.rpartition('/')[0]}/")), default=0.0)
        if all(each.modified_at < now - SWEEP_IS_DEAD_SECONDS for each in sweeps):
            return
        if time.monotonic() >= until:
            raise RemoteError(
                f"{driver.url} is being collected",
                why="another `gitrepro remote gc` deletes there what nothing names",
                do="run the command again in a few minutes",
            )
        time.sleep(1)


def _sweeps(driver: Driver) -> list[Listed]:
    try:
        return [each for each in driver.list(GC) if each.key.endswith(f".{SWEEP}")]
    except NoListing:
        return []


def claimed(claims: Iterable[Claim]) -> dict[str, set[str]]:
    """Each root of these claims → what they say that it leads to, where they say it."""
    found: dict[str, set[str]] = {}
    for claim in claims:
        for root, leads in claim.leads.items():
            if leads is not None:
                found.setdefault(root, set()).update(leads)
    return found
