"""`gitrepro check init`: a file that hands an experiment over to the checks, to start from."""

from __future__ import annotations

from pathlib import Path

import click

from ... import checks
from ...errors import StorageError, UsageError
from ..present import clean, line, note


@click.command()
@click.argument("file", default="checks.py", metavar="[FILE]")
def init(file: str) -> int:
    """Write FILE, by default checks.py: a commented task that runs as it stands. A file that is there is left alone.

    \b
        gitrepro check init
        gitrepro check all checks.py
    """
    path = Path(file)
    text = (Path(checks.__file__).parent / "template.txt").read_text(encoding="utf-8")
    try:
        with open(path, "x", encoding="utf-8") as out:
            out.write(text.replace("{file}", path.name))
    except FileExistsError:
        raise UsageError(f"{path} is there already", do="name another file, or remove it") from None
    except OSError as error:
        raise StorageError(f"{path} cannot be written", why=error.strerror or str(error)) from error
    line(clean(str(path)))
    note(f"fill it in, then `gitrepro check all {clean(str(path))}`")
    return 0
