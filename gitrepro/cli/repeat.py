"""`gitrepro repeat`: a recorded command again, with other seeds; and `gitrepro job`, which an engine calls."""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final

import click

from ..errors import UsageError
from ..records.run import RunRecord, Status
from ..rerun import job as jobs
from ..rerun import repeat as plans
from ..rerun import seeding
from ..rerun.engines import Handle
from ..rerun.engines.local import LocalEngine
from ..rerun.judge import Repeat, judge, output_of, spreads
from ..store.repository import Repository
from ..store.resolve import resolve
from . import here
from .checkout import incomplete
from .present import clean, duration, emit, note, number, status, table

SCHEMA: Final = 1
_METRICS_AT_MOST: Final = 6
_SEEDS_SHOWN: Final = 20
_LAST_LINES: Final = 5


@click.command()
@click.argument("run")
@click.option("-n", "count", type=click.IntRange(1, seeding.MOST), help="How many new seeds to draw.")
@click.option("--seeds", "text", metavar="LIST", help="The seeds, as 0..4 or 1,2,3.")
@click.option("--jobs", "-j", "at_once", type=click.IntRange(min=1), default=1, show_default=True, help="At one time.")
@click.option("--link", "links", multiple=True, metavar="PATH", help="A path of your work tree the program needs.")
@click.option("--keep", is_flag=True, help="Leave the checkouts in place.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print the runs and what they say together as JSON.")
def repeat(
    run: str,
    count: int | None,
    text: str | None,
    at_once: int,
    links: tuple[str, ...],
    keep: bool,
    yes: bool,
    as_json: bool,
) -> int:
    """Run the command of RUN again with other seeds, each in a fresh checkout of its exact code.

    \b
        gitrepro repeat @last -n 5
        gitrepro repeat brisk-otter --seeds 0..4 --jobs 2 --link data

    Each is a run on record, in the group of RUN. A seed on the command line (--seed 3, seed=3) is replaced; any other
    program is seeded as `record --seed` does. What Git ignores, such as data, is not in a checkout: --link lends it.
    A recorded command is data from whoever recorded it: it is shown, and run once you agree.
    """
    if (count is None) == (text is None):
        raise UsageError("say how often, or with which seeds", do="`-n 5` or `--seeds 0..4`")
    found = here.repository()
    seeds = None if text is None else seeding.parse_seeds(text)
    plan = plans.plan(found, resolve(found, run), seeds=seeds, count=count or 1, links=links, keep=keep)
    if not _agreed(plan, yes):
        note("nothing was run")
        return 1
    jobs.sweep(found)
    repeats, stopped = _carry_out(found, plan, at_once)
    _report(plan, repeats, as_json=as_json)
    return 130 if stopped else _exit_code(repeats)


def _exit_code(repeats: list[Repeat]) -> int:
    if any(each.run is None or each.run.status != Status.FINISHED for each in repeats):
        return 6
    return 1 if any(each.faults for each in repeats) else 0


# -- consent


def _agreed(plan: plans.Plan, yes: bool) -> bool:
    """Show what would run, and ask. Without a terminal to ask at, `--yes` is the only consent."""
    _show(plan)
    if yes:
        return True
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(
            "a recorded command runs only with your consent",
            why="there is no terminal to ask at",
            do="look at the command above, then add `--yes`",
        )
    return click.confirm("run it?", default=False, err=True)


def _show(plan: plans.Plan) -> None:
    record, source = plan.record, plan.source
    seeds = [str(job.seed) for job in plan.jobs]
    more = f" and {len(seeds) - _SEEDS_SHOWN} more" if len(seeds) > _SEEDS_SHOWN else ""
    code = record.code or {}
    changes = " and its uncommitted changes" if code.get("snapshot") else ""
    actor = f"{record.actor.get('name')} <{record.actor.get('email')}>"
    note(f"run {clean(record.name)} ({record.short_id}) again, with seed {' '.join(seeds[:_SEEDS_SHOWN])}{more}")
    note(f"  command   {_command(plan)}")
    inside = "" if source.folder in (None, ".") else f", in {visible(str(source.folder))}"
    note(f"  in        a fresh checkout{inside}")
    note(f"  code      {clean(str(code.get('commit'))[:12])}{changes}")
    note(f"  recorded  {clean(record.started_at[:16].replace('T', ' '))} by {visible(actor)}")
    if named := plan.jobs[0].data:
        note(f"  data      {visible(' '.join(map(str, [*named.get('datasets', ()), *named.get('splits', ())])))}")
    for name, target in plan.jobs[0].links.items():
        note(f"  link      {visible(name)} to {visible(target)}")
    incomplete(source)


def _command(plan: plans.Plan) -> str:
    words = list(map(shlex.quote, map(visible, plan.jobs[0].argv)))
    if len(plan.jobs) > 1:
        for place in plan.reseeded:
            name, equals, _ = words[place].rpartition("=")
            words[place] = f"{name}{equals}SEED"
    return " ".join(words) if plan.reseeded else f"{' '.join(words)}   (seeded by gitrepro)"


def visible(text: str) -> str:
    """Text of a record with nothing in it that a terminal acts on or a reader cannot see: such characters escaped."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape", "surrogatepass").decode()
        for character in text
    )


# -- the work


def _carry_out(found: Repository, plan: plans.Plan, at_once: int) -> tuple[list[Repeat], bool]:
    """Run the jobs; what became of each, and whether someone stopped them."""
    specs = {job.id: job for job in plan.jobs}
    repeats: list[Repeat] = []
    ended: set[str] = set()
    stopped = False

    def take(handle: Handle) -> None:
        ended.add(handle.id)
        before = [*plan.members, *(each.run for each in repeats if each.run)]
        each = judge(found, plan, specs[handle.id], jobs.result_of(handle.folder), before=before)
        repeats.append(each)
        _tell(each, handle)
        if each.run is not None and each.result.tree is None:
            jobs.clear(handle.folder)

    engine = LocalEngine(found, at_once=at_once, started=lambda handle: _started(specs[handle.id]))
    with _stoppable():
        handles: list[Handle] = []
        try:
            handles += [engine.submit(job) for job in plan.jobs]
            for handle in engine.as_completed(handles):
                take(handle)
        except KeyboardInterrupt:
            stopped = True
            note("stopping: what has run so far stays on record")
        finally:
            engine.close()
        for handle in handles if stopped else ():
            if handle.id not in ended and (handle.folder / jobs.RESULT).exists():
                take(handle)
            elif handle.id not in ended:
                jobs.clear(handle.folder)
    return repeats, stopped


@contextmanager
def _stoppable() -> Iterator[None]:
    """SIGTERM stops the jobs as Ctrl-C does."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _started(job: jobs.JobSpec) -> None:
    note(f"seed {job.seed}: started")


def _tell(each: Repeat, handle: Handle) -> None:
    if each.run is None:
        note(f"seed {each.seed}: no run: {clean(each.result.trouble or ' '.join(each.hints))}")
        for words in output_of(handle.folder):
            note(f"    {clean(words)}")
        return
    took = duration(each.run.duration_seconds)
    facts = [f"{clean(name)} {number(value)}" for name, value in list(each.run.summary.items())[:4]]
    note(", ".join([f"seed {each.seed}: {each.run.status.replace('_', ' ')} after {took}", *facts]))
    for words in str((each.run.reason or {}).get("last_output", "")).splitlines()[-_LAST_LINES:]:
        note(f"    {clean(words)}")
    for words in (*each.faults, *each.hints, *filter(None, [each.result.trouble])):
        note(f"    {clean(words)}")
    if each.result.tree is not None:
        note(f"    its checkout is {clean(each.result.tree)}")


# -- what it came to


def _report(plan: plans.Plan, repeats: list[Repeat], *, as_json: bool) -> None:
    sound = [each.run for each in repeats if each.run is not None and not each.faults]
    runs = plans.evidence([*plan.members, *sound])
    if as_json:
        emit(_document(plan, repeats, runs))
        return
    new = {each.run.id for each in repeats if each.run is not None}
    flawed = {each.run.id: each.faults[0] for each in repeats if each.run is not None and each.faults}
    shown = [*runs, *(each.run for each in repeats if each.run is not None and each.run not in runs)]
    spread = spreads(runs)
    metrics = sorted(spread, key=lambda name: (name.startswith("train"), name))[:_METRICS_AT_MOST]
    rows: list[list[object]] = [_row(run, metrics, new, flawed) for run in shown]
    rows.append(["mean", "", "", "", *(spread[name].mean for name in metrics)])
    rows.append(["std", "", "", f"n = {len(runs)}", *(_std(spread[name].std) for name in metrics)])
    table(rows, ["seed", "id", "status", "", *metrics], right=[0, *range(4, 4 + len(metrics))], elastic=3)


def _row(run: RunRecord, metrics: list[str], new: set[str], flawed: dict[str, str]) -> list[object]:
    remark = "not counted" if run.id in flawed or run.status != Status.FINISHED else "new" if run.id in new else ""
    values = [run.summary.get(name) for name in metrics]
    return [str(plans.seed_of(run)), run.id[-8:], status(run.status), remark, *values]


def _std(value: float | None) -> str:
    return "" if value is None else f"± {number(value)}"


def _document(plan: plans.Plan, repeats: list[Repeat], runs: list[RunRecord]) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "id": plan.record.id,
        "repeats": [_repeat(each) for each in repeats],
        "runs": [run.id for run in runs],
        "metrics": {
            name: {"mean": each.mean, "std": each.std, "count": each.count} for name, each in spreads(runs).items()
        },
    }


def _repeat(each: Repeat) -> dict[str, Any]:
    run = each.run
    return {
        "seed": each.seed,
        "id": run.id if run else each.result.run_id,
        "name": run.name if run else None,
        "status": run.status if run else None,
        "exit_code": each.result.exit_code,
        "duration_seconds": run.duration_seconds if run else None,
        "summary": dict(run.summary) if run else {},
        "faults": list(each.faults),
        "hints": list(each.hints),
        "trouble": each.result.trouble,
        "folder": each.result.tree,
    }


# -- one job


@click.command(hidden=True)
@click.argument("folder", type=click.Path(path_type=Path))
def job(folder: Path) -> int:
    """Carry out the job in FOLDER. Exits with the program's own code, and 6 where it came to no run."""
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(128 + signal.SIGTERM))
    result = jobs.perform(folder.absolute(), say=lambda text: note(f"gitrepro: {text}"))
    if result.trouble:
        note(f"gitrepro: {clean(result.trouble)}")
    return 6 if result.exit_code is None else result.exit_code
