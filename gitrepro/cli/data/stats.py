"""`gitrepro data stats`: the statistics of a version, computed once."""

from __future__ import annotations

import click

from ...data.described import state
from ...run import place
from ...store import worktree
from ...store.catalog import Catalog
from .. import here
from ..present import emit, line, note
from ..progress import progress
from .numbers import print_statistics
from .parts import SCHEMA


@click.command()
@click.argument("name", metavar="NAME[@VERSION]")
@click.option("--again", is_flag=True, help="Compute them anew, and say whether they are what is on record.")
@click.option("--all", "everything", is_flag=True, help="Show every class and every feature.")
@click.option("--json", "as_json", is_flag=True, help="Print one object as JSON.")
def stats(name: str, again: bool, everything: bool, as_json: bool) -> int:
    """Show the statistics of a version.

    Where there are none, they are computed and put on record.

    With --again the exit code is 1 when computing gives something else than what is on record.
    """
    found = here.repository()
    with Catalog(found) as catalog:
        record = catalog.dataset(name)
    identity = worktree.identity(found, fallback=place.nobody())
    stated = state(found, record, again=again, identity=identity, progress=progress(f"describing {record.name}"))
    shown = {key: value for key, value in stated.statistics.items() if key != "format"}
    if as_json:
        facts = {"name": record.name, "version": record.version, "digest": record.digest}
        emit({"schema": SCHEMA, **facts, "new": stated.new, "agree": stated.agree, "statistics": shown})
    else:
        line(f"{record.ref}  {record.digest}")
        print_statistics(shown, everything=everything)
    if stated.new:
        note("computed, and put on record")
    if stated.agree is not None:
        note("computed again: as on record" if stated.agree else "computed again: NOT what is on record")
    return 1 if stated.agree is False else 0
