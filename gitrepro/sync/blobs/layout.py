"""Where a blob, a pack, a table or a root lies in a store remote, and what stands in the files that say so.

All of it is static: names are hashes, and any web server can hand the files out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from ...errors import Damaged, TooNew
from ...records import yaml
from ...store.objects import digest_of

FORMAT: Final = 1
CLAIMS: Final = 1
FORMAT_KEY: Final = "gitrepro-store.yaml"
FORMAT_BYTES_AT_MOST: Final = 64 << 10
INDEX: Final = "index/"
OBJECTS: Final = "objects/"
RECIPES: Final = "recipes/"
RUNS: Final = "runs/"
ROOTS: Final = "roots/"
PACKS: Final = "packs/"

OBJECT_BYTES_AT_MOST: Final = 64 << 20
ROOT_BYTES_AT_MOST: Final = 64 << 20
_ROOT_LINE_BYTES: Final = 72
_HEADER: Final = b"gitrepro root 1\n"
_HEADER_OF_ANY: Final = re.compile(rb"gitrepro root ([1-9][0-9]{0,8})\n")
_LINE: Final = re.compile(rb"(object|pack|recipe) ([0-9a-f]{64})\n")
_CHECK_BYTES: Final = len("check ") + 64 + 1
_PUSH_AGAIN: Final = "push again what it leads to"
_INDEX_KEY: Final = re.compile(r"index/([0-9a-f]{64})\.idx")
_KINDS: Final = re.compile(
    r"(objects|recipes|roots)/([0-9a-f]{2})/([0-9a-f]{62})|(packs)/([0-9a-f]{64})\.pack|(index)/([0-9a-f]{64})\.idx"
    r"|(runs)/[0-9a-z]{2}/([0-9a-z]{26})"
)


def object_key(digest: str) -> str:
    """Of a blob of at most 64 MiB that is a file of its own."""
    return f"objects/{digest[3:5]}/{digest[5:]}"


def recipe_key(digest: str) -> str:
    """Of a blob in pieces."""
    return f"recipes/{digest[3:5]}/{digest[5:]}"


def root_key(digest: str) -> str:
    """Of what says where all lies that a blob leads to."""
    return f"roots/{digest[3:5]}/{digest[5:]}"


def run_key(run_id: str) -> str:
    """Of what says where the small blobs lie that a run names."""
    return f"{RUNS}{run_id[-2:]}/{run_id}"


def pack_key(pack: str) -> str:
    """Of a pack, by its 64 hex digits."""
    return f"packs/{pack}.pack"


def index_key(pack: str) -> str:
    """Of the table of a pack."""
    return f"index/{pack}.idx"


def pack_of_index(key: str) -> str | None:
    """The pack of which this key is the table; None for any other key."""
    found = _INDEX_KEY.fullmatch(key)
    return found[1] if found else None


def kind_of(key: str) -> tuple[str, str] | None:
    """The folder of a key, and its 64 hex digits or the id of its run; None for what a collection leaves alone."""
    found = _KINDS.fullmatch(key)
    if found is None:
        return None
    kind, *parts = (part for part in found.groups() if part is not None)
    return kind, "".join(parts)


# -- the format


def dump_format(*, claims: bool = False) -> bytes:
    """What `gitrepro-store.yaml` holds; `claims`: every push since the first says there what it needs."""
    return yaml.dump({"format": FORMAT, **({"claims": CLAIMS} if claims else {})})


def has_claims(data: bytes, *, source: str) -> bool:
    """Whether every push to this store remote says what it needs, as far as `gitrepro-store.yaml` tells."""
    return yaml.load(data, source=source).get("claims") == CLAIMS


def check_format(data: bytes, *, source: str) -> None:
    """Raises TooNew where a newer gitrepro made the store remote, Damaged where nobody can say."""
    found = yaml.load(data, source=source).get("format")
    if not isinstance(found, int) or isinstance(found, bool) or found < 1:
        raise Damaged(f"{source} does not say of which format the store remote is", do="look at what stands in it")
    if found > FORMAT:
        raise TooNew(f"{source} says format {found}", why=f"this gitrepro reads format {FORMAT}", do="upgrade gitrepro")


# -- roots


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """What a root, or that of a run, leads to: packs by 64 hex digits, objects and recipes by digest."""

    packs: frozenset[str] = frozenset()
    objects: frozenset[str] = frozenset()
    recipes: frozenset[str] = frozenset()


def dump_root(name: str, reached: Reached) -> bytes:
    """The text of the root of a blob or, by its id, of a run.

    Objects are left out where there are too many: they are found by asking, too.
    """
    names = {"pack": reached.packs, "recipe": _hex(reached.recipes), "object": _hex(reached.objects)}
    if sum(map(len, names.values())) > ROOT_BYTES_AT_MOST // _ROOT_LINE_BYTES:
        names["object"] = names["recipe"] = frozenset()
    lines = sorted(f"{kind} {name}\n" for kind, found in names.items() for name in found)
    text = _begin(name) + "".join(lines).encode()
    return text + _check(text)


def load_root(data: bytes, name: str, *, source: str) -> Reached:
    """Read the root of a blob or of a run, trusting none of it.

    Raises:
        Damaged: it is not what `dump_root` makes for this name.
        TooNew: a newer gitrepro wrote it.
    """
    header = _HEADER_OF_ANY.match(data)
    if header and header[0] != _HEADER:
        raise TooNew(f"{source} has the format {int(header[1])}", why="this gitrepro reads 1", do="upgrade gitrepro")
    text, check = data[:-_CHECK_BYTES], data[-_CHECK_BYTES:]
    begin = _begin(name)
    found = _lines(text, len(begin)) if text.startswith(begin) and _check(text) == check else None
    if found is None:
        raise Damaged(f"{source} is damaged", why="it was cut, changed, or is that of something else", do=_PUSH_AGAIN)
    return Reached(
        packs=frozenset(found["pack"]),
        objects=frozenset(f"b3:{name}" for name in found["object"]),
        recipes=frozenset(f"b3:{name}" for name in found["recipe"]),
    )


def _begin(name: str) -> bytes:
    whose = f"b3 {name[3:]}" if name.startswith("b3:") else f"run {name}"
    return _HEADER + f"{whose}\n".encode()


def _lines(text: bytes, at: int) -> dict[str, list[str]] | None:
    """The names by kind, from an offset on; None where a line is none, or out of order."""
    found: dict[str, list[str]] = {"object": [], "pack": [], "recipe": []}
    before = b""
    while at < len(text):
        line = _LINE.match(text, at)
        if line is None or line[0] <= before:
            return None
        found[line[1].decode()].append(line[2].decode())
        at, before = line.end(), line[0]
    return found


def _check(text: bytes) -> bytes:
    return f"check {digest_of([text])[3:]}\n".encode()


def _hex(digests: Iterable[str]) -> frozenset[str]:
    return frozenset(digest[3:] for digest in digests)
