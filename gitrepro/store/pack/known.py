"""`packs.yaml`: which packs are ours. Lost or damaged it costs time, never an object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from ...errors import GitreproError
from ...records import yaml
from .. import fs

GC_AUTO: Final = 6700
"""What Git takes for `gc.auto` where nobody says otherwise."""
_NAME: Final = "packs.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pack:
    """One pack of ours.

    `swept` says that no loose copy of what it holds is left. `into` names the pack that took its objects in; this one
    then stays a while, from `retired_at` (seconds since 1970) on, for those who have it open.
    """

    name: str
    objects: int
    swept: bool = False
    into: str | None = None
    retired_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Packs:
    """Our packs, up to where each ref is in them, and what the last packing left behind.

    `left` is the sample of loose objects it left, `limit` the `gc.auto` it saw, `trouble` why it failed.
    """

    packs: tuple[Pack, ...] = ()
    tips: Mapping[str, str] = field(default_factory=dict)
    left: int = 0
    limit: int = GC_AUTO
    trouble: str | None = None


def read_packs(home: Path) -> Packs:
    """What is known of our packs; nothing where that is lost or damaged."""
    path = home / _NAME
    try:
        document = yaml.load(path.read_bytes(), source=str(path))
        if document.pop("format") != 1:
            return Packs()
        packs = tuple(Pack(**each) for each in document.pop("packs"))
        known = Packs(packs=packs, **document)
    except (OSError, GitreproError, TypeError, KeyError):
        return Packs()
    return known if _sound(known) else Packs()


def _sound(known: Packs) -> bool:
    names = [name for pack in known.packs for name in (pack.name, pack.into or pack.name)]
    # The name becomes a path whose files may be removed.
    return (
        all(isinstance(name, str) and name.startswith("pack-") and name[5:].isalnum() for name in names)
        and isinstance(known.tips, dict)
        and all(isinstance(tip, str) and len(tip) == 40 and tip.isalnum() for tip in known.tips.values())
        and isinstance(known.left, int)
        and isinstance(known.limit, int)
        and all(isinstance(pack.objects, int) for pack in known.packs)
        and all(isinstance(pack.retired_at, (float, int, type(None))) for pack in known.packs)
    )


def write_packs(home: Path, known: Packs) -> None:
    document = asdict(known)
    fs.write_file(home / _NAME, yaml.dump({**document, "format": 1}))
