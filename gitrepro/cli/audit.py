"""`gitrepro audit`: judge a result or a run again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from .. import hooks
from ..audit import gate
from ..audit.statement import statement
from ..errors import UsageError
from ..policy import LEVELS, Stage
from ..records.result import Audit, Check, Need, Result, Verdict, result_path
from ..store.repository import Repository
from ..store.resolve import resolve
from ..store.runs import RunTree
from . import here
from .ci import judge_all
from .present import clean, emit, line, mark, note
from .target import result_of

SCHEMA = 1
_NEEDS = {Need.ADVISED: "advised", Need.OFF: "not asked for"}


@click.command()
@click.argument("targets", metavar="[TARGET]...", nargs=-1)
@click.option(
    "--stage",
    type=click.Choice([str(stage) for stage in Stage]),
    help="When it would be judged, by default `tag`; at push and server the remote must hold the runs.",
)
@click.option("--ci", is_flag=True, help="Judge the result tags TARGET, or those at HEAD, as a server would.")
@click.option("--level", type=click.Choice(LEVELS), help="With --ci: ask at least this of every result.")
@click.option("--html", "page", metavar="FILE", help="Also write a page to read or print, with all evidence.")
@click.option("--in-toto", "attested", is_flag=True, help="Print the audit as an in-toto Statement.")
@click.option("--json", "as_json", is_flag=True, help="Print the audit as JSON.")
@click.pass_context
def audit(
    ctx: click.Context,
    targets: tuple[str, ...],
    stage: str | None,
    ci: bool,
    level: str | None,
    page: str | None,
    attested: bool,
    as_json: bool,
) -> None:
    """Judge TARGET from what is on record: a result tag, a result id, or a run; without one, the last run.

    Exits 1 when a required rule is not met. With --ci, in a job on a host without hooks, after `gitrepro pull`: all
    result tags at HEAD, with a summary and annotations where GitHub runs it.
    """
    found = here.repository()
    if ci:
        _check_ci(stage, page or attested)
        ctx.exit(judge_all(found, targets, at_least=level or LEVELS[0], as_json=as_json))
    _check_plain(targets, level)
    form = "in-toto" if attested else "json" if as_json else ""
    _judge(ctx, found, targets[0] if targets else "@last", Stage(stage or Stage.TAG), form=form, page=page)


def _check_ci(stage: str | None, one: object) -> None:
    if one:
        raise UsageError("--ci judges many results", why="a page or a statement is of one", do="leave --ci out")
    if stage not in (None, str(Stage.SERVER)):
        raise UsageError(f"--ci and --stage {stage} are given", why="--ci judges as a server does", do="leave one out")


def _check_plain(targets: tuple[str, ...], level: str | None) -> None:
    if len(targets) > 1:
        raise UsageError(f"{len(targets)} targets are given", do="name one; with --ci several result tags")
    if level:
        raise UsageError("--level is what a job asks", do="add --ci, or let .gitrepro.yaml say the level")


def _judge(ctx: click.Context, found: Repository, target: str, stage: Stage, *, form: str, page: str | None) -> None:
    with RunTree(found) as tree:
        result = result_of(found, tree, target)
        if result is not None:
            verdict = gate.judge_result(tree, result, stage=stage, pushed=hooks.is_pushed(found, result))
        else:
            verdict = gate.judge_runs(tree, [resolve(found, target)], tag=None, stage=stage)
        if page:
            _write_page(tree, Path(page), verdict, result, target)
        attested = _statement(tree, verdict, result) if form == "in-toto" else None
    if attested is not None:
        emit(attested)
    elif form == "json":
        emit(_document(verdict, result))
    else:
        _print(verdict, target)
    ctx.exit(0 if verdict.ok else 1)


def _write_page(tree: RunTree, path: Path, verdict: Audit, result: Result | None, target: str) -> None:
    from .declared import look_up
    from .page.audit import write_audit_page

    declared = look_up(tree, result, verdict) if result else None
    write_audit_page(path, verdict, title=result.tag if result else target, declared=declared)
    note(f"the page is {path}")


def _statement(tree: RunTree, verdict: Audit, result: Result | None) -> dict[str, Any]:
    record = tree.read(f"{result_path(result.id)}/result.yaml") if result else None
    return statement(verdict, result, record)


def _document(verdict: Audit, result: Result | None) -> dict[str, object]:
    return {
        "schema": SCHEMA,
        "result": result.id if result else None,
        "level": verdict.level,
        "stage": verdict.stage,
        "ok": verdict.ok,
        "checks": [check.document() for check in verdict.checks],
    }


def _print(verdict: Audit, target: str) -> None:
    # What is off is shown where somebody waived it: a waiver stays visible.
    shown = [check for check in verdict.checks if check.required is not Need.OFF or check.evidence.get("waivers")]
    width = max(len(check.rule) for check in shown)
    indent = " " * (len("?  INCONCLUSIVE") + 2 + width + 2)
    for check in shown:
        # As wide as the longest verdict; the sign in front of it makes the sense plain without colour.
        gap = " " * (len("INCONCLUSIVE") - len(check.verdict))
        advice = "" if check.required is Need.REQUIRED else f"  ({_NEEDS[check.required]})"
        line(f"{mark(check.verdict)}{gap}  {check.rule:<{width}}  {clean(check.why)}{advice}")
        if check.repair and check.blocks:
            line(f"{indent}{clean(check.repair)}")
        for waiver in check.evidence.get("waivers", ()):
            if waiver["withdrawn"] or check.verdict is not Verdict.WAIVED:
                line(f"{indent}{clean(_waiver_words(waiver))}")
    note(_summary(verdict.blocking, verdict, target))


def _waiver_words(waiver: Mapping[str, Any]) -> str:
    said = f"waiver of {waiver['of'][-8:]} by {waiver['by']}: {waiver['reason']}"
    taken = waiver["withdrawn"]
    return f"{said}; withdrawn by {taken['by']}: {taken['reason']}" if taken else said


def _summary(blocking: tuple[Check, ...], verdict: Audit, target: str) -> str:
    off = sum(check.required is Need.OFF for check in verdict.checks)
    rest = f"; {off} rules are not asked for at this level" if off else ""
    state = "passes" if not blocking else f"is blocked by {', '.join(check.rule for check in blocking)}"
    return f"{clean(target)} {state} at level {verdict.level}{rest}"
