"""Taking a file out of the store while others may be about to refer to it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from .. import fs


def retire(
    path: Path, *, seen_mtime_ns: int, trash: Path, between: Callable[[str], None] = lambda _step: None
) -> Path | None:
    """Move a file that nothing refers to into `trash`; None when somebody wanted it meanwhile, and it is in its place.

    A writer who finds a blob there already makes it young first, and writes it again when it is gone. So either the
    writer comes before the rename, and the time shows it, or after, and there is nothing to find.

    Args:
        seen_mtime_ns: how old it was when the references were looked at.
        between: is called before each step; a test makes writers come there.
    """
    fs.make_directories(trash)
    kept = trash / f"{path.parent.name}.{path.name}.{os.urandom(4).hex()}"
    between("rename")
    try:
        os.rename(path, kept)
    except FileNotFoundError:
        return None
    between("look again")
    if os.lstat(kept).st_mtime_ns == seen_mtime_ns:
        return kept
    between("put back")
    try:
        os.link(kept, path)
    except FileExistsError:
        pass  # the writer was faster
    except PermissionError:
        # A file of another user, which may not be linked. What the writer put there meanwhile has the same bytes.
        os.rename(kept, path)
        return None
    os.unlink(kept)
    return None
