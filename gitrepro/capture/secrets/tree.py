"""Secrets in nested values and on command lines."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from .names import Tier, hides, mark, secret_name, tier_of
from .text import redact_text


def redact_value(name: str, value: Any) -> Any:
    """The value, or a marker in its place when the name or the value says secret.

    Args:
        name: the name the value stands under; a dotted path may be given whole.
        value: a plain value; lists and mappings are followed.
    """
    return _redacted(name, value, tier_of(name), name, [])


def redact_tree(values: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """A clean deep copy of nested values, and the dotted paths of what was hidden or cleaned in it.

    Items of a list are named by position. A dot or backslash inside a key is escaped by a backslash.
    """
    hidden: list[str] = []
    clean = {key: _redacted(str(key), value, tier_of(str(key)), _escaped(key), hidden) for key, value in values.items()}
    return clean, hidden


def redact_document(document: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """A configuration document without its secrets, and the dotted paths of what was hidden in its values.

    Args:
        document: `{values, overridden, ...}`; a value that was overridden is as secret as the one in force.
    """
    values, hidden = redact_tree(document["values"])
    overridden = {
        key: [{**before, "value": redact_value(key, before["value"])} for before in entries]
        for key, entries in document["overridden"].items()
    }
    return {**document, "values": values, "overridden": overridden}, hidden


def _escaped(key: object) -> str:
    return str(key).replace("\\", "\\\\").replace(".", "\\.")


def _redacted(name: str, value: Any, tier: Tier, path: str, hidden: list[str]) -> Any:
    if isinstance(value, Mapping):
        return {
            key: _redacted(str(key), item, _inherited(tier, str(key)), f"{path}.{_escaped(key)}", hidden)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_redacted(name, item, tier, f"{path}.{index}", hidden) for index, item in enumerate(value)]
    clean = redacted_leaf(name, value, tier)
    if clean is not value:
        hidden.append(path)
    return clean


def _inherited(outer: Tier, key: str) -> Tier:
    """A section named `credentials` makes its strings suspicious, its numbers not."""
    return max(tier_of(key), min(outer, Tier.WEAK))


def redacted_leaf(name: str, value: Any, tier: Tier) -> Any:
    if isinstance(value, str):
        if hides(tier, value):
            return mark(name)
        clean = redact_text(value)
        return value if clean == value else clean
    if isinstance(value, (int, float)) and not isinstance(value, bool) and tier is Tier.STRONG:
        return mark(name)
    return value


_ASSIGNMENT = re.compile(r"(?P<name>[-+~]{0,2}[A-Za-z_][\w.\-/@]*)=(?P<value>.*)", re.DOTALL)


def redact_argv(argv: Sequence[str]) -> list[str]:
    """A command line with its secrets hidden: `--flag value`, `--flag=value`, `NAME=value`, then by value."""
    clean: list[str] = []
    name = ""
    for word in argv:
        hidden = _redacted_operand(name, word) if name else None
        clean.append(_redacted_word(word) if hidden is None else hidden)
        name = _awaits_value(word) if hidden is None else ""
    return clean


def _awaits_value(word: str) -> str:
    """The name whose value the next word may be, or nothing."""
    if word in ("-u", "login"):
        return word
    if "=" in word or any(char.isspace() for char in word) or not secret_name(word):
        return ""
    return word


def _redacted_operand(name: str, word: str) -> str | None:
    if name == "-u":  # curl's user:password
        user, colon, password = word.partition(":")
        return f"{user}:{mark('password')}" if colon and password and "/" not in word else None
    if name == "login":  # wandb login KEY
        return mark("api-key") if re.fullmatch(r"[0-9a-f]{40,128}", word) else None
    bare = name.lstrip("-")
    if word.startswith("--") or not hides(tier_of(bare), word):
        return None
    # `aws configure set NAME VALUE`: without dashes the next word must look the part as well.
    looks_the_part = len(word) >= 16 and any(char.isdigit() for char in word)
    return mark(bare) if name.startswith("-") or looks_the_part else None


def _redacted_word(word: str) -> str:
    match = _ASSIGNMENT.fullmatch(word)
    if match is None:
        return redact_text(word)
    name = match["name"].lstrip("-+~")
    clean = redacted_leaf(name, match["value"], tier_of(name))
    return word if clean == match["value"] else f"{match['name']}={clean}"
