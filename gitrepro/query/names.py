"""What a query may name, and what is meant by a bare name."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Final, Protocol

from ..errors import QueryError
from ..records.term import Term, escaped, text
from .lex import Token, fault
from .many import MANY

# The name in a query: the field of a run's facts, and how its values are written.
FIELDS: Final[dict[str, tuple[str, str]]] = {
    "id": ("id", "text"),
    "name": ("name", "text"),
    "kind": ("kind", "text"),
    "status": ("status", "text"),
    "group": ("group", "text"),
    "started": ("started_at", "time"),
    "ended": ("ended_at", "time"),
    "duration": ("duration_seconds", "duration"),
    "seed": ("seed", "any"),
    "commit": ("commit_id", "commit"),
    "branch": ("branch", "text"),
    "tree": ("tree", "commit"),
    "dirty": ("dirty", "flag"),
    "actor": ("actor", "text"),
    "email": ("email", "text"),
    "host": ("host", "text"),
    "note": ("note", "text"),
    "argv": ("argv", "text"),
    "lineage": ("lineage", "text"),
    "resumes": ("resumes", "text"),
    "set": ("set_key", "text"),
    "removed": ("removed", "flag"),
}
# As `ls --json` calls them.
_ALSO: Final = {
    "started_at": "started",
    "ended_at": "ended",
    "duration_seconds": "duration",
    "labels": "label",
    "set_key": "set",
}
TYPES: Final = dict(FIELDS.values())
_LOOKED_THROUGH: Final = 5_000


class Names(Protocol):
    """The metrics and config keys that runs have. `kind` is `metric` or `config`."""

    def has(self, kind: str, key: str) -> bool: ...

    def all(self, kind: str) -> Iterable[str]: ...


def term_of(query: str, token: Token, names: Names) -> Term:
    """What a word names: a field, `metric.NAME`, `config.KEY`; else a metric of that name, else a key of a config.

    Raises:
        QueryError: nothing is called so, with the nearest names.
    """
    if token.bare:
        name = _ALSO.get(token.bare, token.bare)
        if name in FIELDS:
            return Term("field", FIELDS[name][0])
        if name in MANY:
            return Term(name, "")
    kind, rest = _named_kind(token)
    for each in [kind] if kind else ["metric", "config"]:
        key = _key(rest, each)
        if names.has(each, key):
            return Term(each, key)
    if not _any(names):
        # Where nothing is on record yet, nothing can be misspelt.
        return Term(kind or "metric", _key(rest, kind or "metric"))
    raise _unknown(query, token, kind, _key(rest, kind or "metric"), names)


def _named_kind(token: Token) -> tuple[str, list[tuple[str, bool]]]:
    parts = [(part.text, part.quoted) for part in token.parts]
    first, quoted = parts[0]
    for kind in ("metric", "config"):
        if not quoted and first.startswith(f"{kind}.") and (len(parts) > 1 or len(first) > len(kind) + 1):
            return kind, [(first[len(kind) + 1 :], False), *parts[1:]]
    return "", parts


def _key(parts: list[tuple[str, bool]], kind: str) -> str:
    # A dot in quotes belongs to a config key itself; the name of a metric is one piece of text.
    return text("".join(escaped(part) if quoted and kind == "config" else part for part, quoted in parts))


def _any(names: Names) -> bool:
    return any(True for kind in ("metric", "config") for _ in islice(iter(names.all(kind)), 1))


def _unknown(query: str, token: Token, kind: str, key: str, names: Names) -> QueryError:
    plain = {
        name: f"{each}.{name}" if kind else name
        for each in ([kind] if kind else ["metric", "config"])
        for name in islice(names.all(each), _LOOKED_THROUGH)
    }
    import difflib  # only a slip needs it

    near = [] if kind else difflib.get_close_matches(key, [*FIELDS, *MANY], n=2)
    near += [plain[name] for name in difflib.get_close_matches(key, plain, n=3)]
    near += [plain[name] for name in plain if name.startswith(f"{key}.")][:3]
    what = {"metric": "no metric", "config": "no config key"}.get(kind, "no field, metric or config key")
    why = f"nearest: {', '.join(dict.fromkeys(near))}" if near else f"fields are {', '.join([*FIELDS, *MANY])}"
    return fault(query, token.at, f"there is {what} {key!r:.80}", why)
