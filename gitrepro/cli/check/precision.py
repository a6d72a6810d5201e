"""`gitrepro check precision`: one program in several precisions, side by side."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

import click

from ...errors import NotFound, UsageError
from ...records import ids
from ...records.precision import NAMES
from ...rerun.arms import PLACE, Arm, check_arms, collect, conclusions, difference, is_compared, order, run_arm
from ...rerun.seeding import parse_seeds
from ...run.found import runs
from .. import here
from ..present import clean, emit, note, number, size, table

SCHEMA: Final = 1
_METRICS_AT_MOST: Final = 6
_OWN: Final = ("step_seconds", "epoch_seconds", "peak_bytes")


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--arms", default="fp32,bf16", show_default=True, metavar="A,B", help=f"Of {', '.join(NAMES)}.")
@click.option("--seeds", default="0..2", show_default=True, metavar="LIST", help="The seeds, as 0..4 or 1,2,3.")
@click.option("--metric", "chosen", multiple=True, metavar="NAME", help="What to judge by; by default what has a goal.")
@click.option("--json", "as_json", is_flag=True, help="Print what was measured as JSON.")
@click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="-- COMMAND [ARG]...")
def precision(arms: str, seeds: str, chosen: tuple[str, ...], as_json: bool, command: tuple[str, ...]) -> int:
    """Run COMMAND in several precisions with the same seeds, and compare time, memory and metrics.

    \b
        gitrepro check precision -- python train.py
        gitrepro check precision --arms fp32,bf16,fp16 --seeds 0..4 -- python train.py --amp {precision}

    The program takes its precision from `run.precision()`, which heeds GITREPRO_PRECISION, or from {precision} in its
    arguments. Each run is on record, all in one group, with the arm as its label. The exit code is 6 when a run fails,
    and 1 when nothing was compared.
    """
    if not command or command[0].startswith("-"):
        raise UsageError("there is no command to run", do="`gitrepro check precision -- python train.py`")
    if shutil.which(command[0]) is None:
        raise NotFound(f"there is no program {command[0]!r:.200}", do="check the spelling")
    if os.environ.get("GITREPRO_MODE", "online") != "online":
        raise UsageError("GITREPRO_MODE turns recording off", why="what is compared are records", do="unset it")
    names, wanted = check_arms(arms.split(",")), parse_seeds(seeds)
    here.repository()
    group = f"precision-{ids.new_id()[-8:]}"
    failed = _run(command, names, wanted, group)
    found = _collected(names, group)
    goals = _goals(group, found, chosen)
    by_argument = any(PLACE in word for word in command)
    said = list(conclusions(found, goals, by_argument=by_argument))
    if as_json:
        emit({"schema": SCHEMA, "group": group, "arms": [_document(arm, found[0]) for arm in found], "said": said})
    else:
        _print(found, [*_OWN, *goals])
    for text in said:
        note(clean(text))
    note(f"the runs: `gitrepro ls \"group == '{group}'\"`")
    compared = any(is_compared(arm, found[0], by_argument=by_argument) for arm in found[1:])
    return 6 if failed else 0 if compared else 1


def _run(command: Sequence[str], names: Sequence[str], seeds: Sequence[int], group: str) -> int:
    failed = 0
    for arm, seed in order(names, seeds):
        note(f"{arm}, seed {seed}")
        code = run_arm(command, arm=arm, seed=seed, group=group, environ=os.environ)
        if code == 130:
            raise KeyboardInterrupt
        failed += code != 0
    return failed


def _collected(names: Sequence[str], group: str) -> list[Arm]:
    by_arm: dict[str, list[Any]] = {name: [] for name in names}
    for view in runs(group=group):
        for label in set(view.listing["labels"]) & by_arm.keys():
            by_arm[label].append((view.metadata, view.config))
    return [collect(name, by_arm[name]) for name in names]


def _goals(group: str, found: Sequence[Arm], chosen: tuple[str, ...]) -> dict[str, str]:
    """What to judge by, each with its goal; what nobody gave one is judged as a loss where its name says so."""
    told = {name: facts.get("goal") for view in runs(group=group) for name, facts in view.metadata["metrics"].items()}
    known = [name for name in found[0].values if name not in _OWN]
    if missing := [name for name in chosen if name not in known]:
        raise NotFound(f"the runs have no metric {missing[0]!r:.80}", why=f"they have {', '.join(known[:10])}")
    picked = chosen or [name for name in known if told.get(name)] or known
    return {name: told.get(name) or ("min" if "loss" in name else "max") for name in picked[:_METRICS_AT_MOST]}


def _document(arm: Arm, base: Arm) -> dict[str, Any]:
    intervals = {name: arm.interval(name) for name in arm.values}
    differences = {name: difference(arm, base, name) for name in arm.values if arm is not base}
    return {
        "precision": arm.precision,
        "finished": arm.finished,
        "computed_in": arm.computed_in,
        "values": {name: {str(seed): value for seed, value in each.items()} for name, each in arm.values.items()},
        "intervals": {name: asdict(each) for name, each in intervals.items() if each},
        "differences": {name: asdict(each) for name, each in differences.items() if each},
        "tries": [{"what": what, "do": do} for what, do in arm.tries],
    }


def _print(found: Sequence[Arm], names: Sequence[str]) -> None:
    kept = [name for name in names if any(name in arm.values for arm in found)]
    rows: list[list[object]] = [
        [arm.precision, " ".join(arm.computed_in) or "?", arm.finished, *(_cell(arm, name) for name in kept)]
        for arm in found
    ]
    titles = {"step_seconds": "step", "epoch_seconds": "epoch", "peak_bytes": "peak memory"}
    table(rows, ["precision", "computed in", "runs", *(titles.get(name, name) for name in kept)], right=[2])


def _cell(arm: Arm, name: str) -> str:
    each = arm.interval(name)
    if each is None:
        return ""
    shown = size if name == "peak_bytes" else _milliseconds if name == "step_seconds" else number
    if each.low is None or each.high is None or name == "peak_bytes":
        return shown(each.mean)
    return f"{shown(each.mean)} [{shown(each.low)}, {shown(each.high)}]"


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.3g} ms"
