"""A repository to measure in, with three files of code. Those with many runs are made in `generate.py`."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from gitrepro.store.fold import Identity

IDENTITY = Identity(name="Ada Lovelace", email="ada@example.org")


DATES = {"GIT_AUTHOR_DATE": "@1767225600 +0000", "GIT_COMMITTER_DATE": "@1767225600 +0000"}


def git(repo: Path, *args: str) -> None:
    subprocess.run(["git", *args], cwd=repo, check=True, capture_output=True, env={**os.environ, **DATES})


def repository(path: Path) -> Path:
    """A repository of three files and one commit, without hooks of the machine's template."""
    path.mkdir()
    git(path, "init", "--quiet", "--template=", "--initial-branch=main")
    git(path, "config", "user.name", IDENTITY.name)
    git(path, "config", "user.email", IDENTITY.email)
    for name in ("train.py", "model.py", "data.py"):
        (path / name).write_text(f"print({name!r})\n")
    git(path, "add", ".")
    git(path, "commit", "--quiet", "--message=first")
    return path
