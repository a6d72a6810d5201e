"""`gitrepro audit`: judge a result or a run again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from .. import hooks
from ..audit import gate
from ..policy import Stage
from ..records.result import Audit, Check, Need, Result, Verdict
from ..store.resolve import resolve
from ..store.runs import RunTree
from . import here
from .present import clean, emit, line, mark, note
from .target import result_of

SCHEMA = 1
_NEEDS = {Need.ADVISED: "advised", Need.OFF: "not asked for"}


@click.command()
@click.argument("target", default="@last")
@click.option(
    "--stage",
    type=click.Choice([str(stage) for stage in Stage]),
    default=str(Stage.TAG),
    show_default=True,
    help="When it would be judged; at push and server the remote must hold the runs.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the audit as JSON.")
@click.pass_context
def audit(ctx: click.Context, target: str, stage: str, as_json: bool) -> None:
    """Judge TARGET from what is on record: a result tag, a result id, or a run; without one, the last run.

    Exits 1 when a required rule is not met.
    """
    found = here.repository()
    with RunTree(found) as tree:
        result = result_of(found, tree, target)
        if result is not None:
            verdict = gate.judge_result(tree, result, stage=Stage(stage), pushed=hooks.is_pushed(found, result))
        else:
            verdict = gate.judge_runs(tree, [resolve(found, target)], tag=None, stage=Stage(stage))
    if as_json:
        emit(_document(verdict, result))
    else:
        _print(verdict, target)
    ctx.exit(0 if verdict.ok else 1)


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
