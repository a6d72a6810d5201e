"""`gitrepro split check`: what speaks for and against a split."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from ...records.result import Verdict
from .. import here
from ..present import clean, emit, line, mark, note, table
from ..progress import cleared
from .parts import SCHEMA, as_json_option, group_option, opened

if TYPE_CHECKING:
    from ...data.splits import Finding


@click.command()
@click.argument("dataset")
@click.argument("name", default="default")
@group_option
@as_json_option
@click.pass_context
def check(ctx: click.Context, dataset: str, name: str, group: str | None, as_json: bool) -> None:
    """Check a split: disjoint, covering, no group torn, classes balanced. Exits 1 when something fails.

    DATASET may be another version than the one the split was made of: its ids are then looked for there.
    """
    from ...data.splits import check_split

    found = here.repository()
    data = opened(found, dataset)
    record, findings = check_split(found, data, name, group=group)
    cleared()
    failed = any(each.verdict is Verdict.FAIL for each in findings)
    if as_json:
        of = {"name": data.record.name, "version": data.record.version, "digest": data.record.digest}
        emit({
            "schema": SCHEMA,
            "ok": not failed,
            "dataset": of,
            "split": {"name": record.name, "version": record.version, "digest": record.digest},
            "checks": [each.document() for each in findings],
        })  # fmt: skip
    else:
        _show_findings(findings)
    if record.dataset["digest"] != data.record.digest:
        note(f"{record.name}@{record.version} was made of {record.dataset['version']}; looked at {data.record.ref}")
    ctx.exit(1 if failed else 0)


def _show_findings(findings: Sequence[Finding]) -> None:
    if not sys.stdout.isatty():
        table([(each.verdict, each.check, each.what) for each in findings], ["verdict", "check", "what"])
        return
    width = max(len(each.check) for each in findings)
    for each in findings:
        # A sentence is not cut, as a cell would be.
        gap = " " * (len("NOT_APPLICABLE") - len(each.verdict))
        line(f"{mark(each.verdict)}{gap}  {each.check:<{width}}  {clean(each.what)}")
