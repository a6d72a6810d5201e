"""What the pages on sealed test sets have in common: the options, and where private keys are looked for."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click

from ...errors import UsageError
from ...run import place
from ...run.compose import stamp
from ...store import worktree
from ...store.repository import Repository

SCHEMA: Final = 1
IDENTITY: Final = "GITREPRO_IDENTITY"
"""The text of a private key: as CI hands a secret to its job."""
_USUAL: Final = ("id_ed25519", "id_rsa")


part_option: Final = click.option("--part", default="test", show_default=True, help="Which part of the split.")
identity_option: Final = click.option(
    "--identity", "-i", "identities", multiple=True, metavar="FILE", type=click.Path(path_type=Path),
    help=f"A private key, of age or SSH; else ${IDENTITY} or ~/.ssh/id_ed25519.",
)  # fmt: skip
as_json_option: Final = click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")


def private_keys(files: Sequence[Path]) -> list[Any]:
    """The keys that were given, else that of the environment, else those that SSH uses and no passphrase locks."""
    from ...data.sealing.keys import identities

    text = os.environ.get(IDENTITY)
    if files or text:
        return identities(files, text=None if files else text)
    found: list[Any] = []
    for name in _USUAL:
        path = Path.home() / ".ssh" / name
        if path.is_file():
            try:
                found += identities([path])
            except UsageError:
                continue  # locked, or of another type: whoever needs it is told which keys open the seal
    return found


def signed(found: Repository) -> dict[str, Any]:
    """Who writes an entry, and when."""
    return {"identity": worktree.identity(found, fallback=place.nobody()), "at": stamp(time.time())}
