"""`gitrepro watch`: follow runs that are under way."""

from __future__ import annotations

import math
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Protocol, final

import click

from ..errors import NotFound
from ..run.watching import Sight, Watched, sight_of_record
from ..store.lease import Life
from ..store.live import live_runs
from ..store.repository import Repository
from ..store.resolve import resolve
from . import here
from .present import clean, duration, emit_line, fitted, line, number, status

_EVERY_SECONDS: Final = 1.0
_BARS: Final = "▁▂▃▄▅▆▇█"
_CURVE_WIDTH: Final = 24
_METRICS_ON_TERMINAL: Final = 6
_HEADER: Final = ("id", "name", "status", "elapsed_seconds", "step", "steps_per_second", "metrics", "output")


@click.command()
@click.argument("runs", nargs=-1, metavar="[RUN]...")
@click.option("--once", is_flag=True, help="Show how things stand, and do not wait.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object a line, for each update.")
def watch(runs: tuple[str, ...], once: bool, as_json: bool) -> int:
    """Follow RUNs until they end, by default all that are under way here: step, speed, metrics, last line of output.

    \b
        gitrepro watch
        gitrepro watch brisk-otter --json

    It only reads: the runs do not notice, and Ctrl-C ends the watching alone.
    """
    found = here.repository()
    screen = _screen(as_json)
    try:
        for sights in _updates(found, runs, once=once):
            screen.show(sights)
    except KeyboardInterrupt:
        return 130
    return 0


def _updates(found: Repository, wanted: Sequence[str], *, once: bool) -> Iterator[list[Sight]]:
    """How the runs stand, each second until all of them have ended; those that begin meanwhile join in."""
    ids = [resolve(found, text) for text in wanted]
    over: dict[str, Sight] = {}
    watched: dict[str, Watched] = {}
    while True:
        for run in live_runs(found.home):
            if run.id not in watched and not run.error and (run.id in ids if ids else run.life is not Life.DEAD):
                watched[run.id] = Watched(found, run)
        for run_id in ids:
            if run_id not in watched and (sight := sight_of_record(found, run_id)):
                over[run_id] = sight
        if not watched and not over:
            raise _nothing(wanted)
        yield [*over.values(), *(run.last if run.last and run.ended else run.look() for run in watched.values())]
        if once or all(run.ended for run in watched.values()):
            return
        time.sleep(_EVERY_SECONDS)


def _nothing(wanted: Sequence[str]) -> NotFound:
    return NotFound(
        "no run is under way here",
        why="it cannot be read" if wanted else "",
        do="`gitrepro record -- python train.py` starts one; `gitrepro ls` lists those that have ended",
    )


# -- how it looks


class _Screen(Protocol):
    def show(self, sights: Sequence[Sight]) -> None: ...


def _screen(as_json: bool) -> _Screen:
    if as_json:
        return _Lines(lambda sight: emit_line(sight.document()))
    if sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
        return _Terminal()
    return _Lines(_tsv, header="\t".join(_HEADER))


@final
class _Lines:
    """A line for each run that has changed: for a pipe."""

    def __init__(self, put: Callable[[Sight], None], *, header: str = "") -> None:
        self._put = put
        self._header = header
        self._shown: dict[str, object] = {}

    def show(self, sights: Sequence[Sight]) -> None:
        if self._header:
            line(self._header)
            self._header = ""
        for sight in sights:
            state = repr((sight.status, sight.step, sight.metrics, sight.output))  # NaN is like NaN here
            if self._shown.get(sight.id) != state:
                self._shown[sight.id] = state
                self._put(sight)
        sys.stdout.flush()


def _tsv(sight: Sight) -> None:
    rate = "" if sight.steps_per_second is None else f"{sight.steps_per_second:.4g}"
    step = "" if sight.step is None else str(sight.step)
    metrics = " ".join(f"{name}={value!r}" for name, value in sight.metrics.items())
    seconds = f"{sight.elapsed_seconds:.1f}"
    cells = (sight.id[-8:], sight.name, sight.status, seconds, step, rate, metrics, sight.output)
    line("\t".join(map(clean, cells)))


@final
class _Terminal:
    """A block of lines that is drawn anew in its place."""

    def __init__(self) -> None:
        self._height = 0

    def show(self, sights: Sequence[Sight]) -> None:
        # A block higher than the terminal could not be gone back over.
        lines = [text for sight in sights for text in _block(sight)][: shutil.get_terminal_size().lines - 1]
        back = f"\x1b[{self._height}A\x1b[J" if self._height else ""
        sys.stdout.write(back + "".join(f"{text}\n" for text in lines))
        sys.stdout.flush()
        self._height = len(lines)


def _block(sight: Sight) -> Iterator[str]:
    facts = [duration(sight.elapsed_seconds)]
    if sight.step is not None:
        facts.append(f"step {sight.step}")
    if sight.steps_per_second is not None:
        facts.append(f"{number(sight.steps_per_second)} steps/s")
    head = f"{sight.name} ({sight.id[-8:]})"
    yield f"{fitted(head, spare=16)}  {status(sight.status)}  {fitted(', '.join(facts), spare=len(head) + 16)}"
    names = sorted(sight.metrics, key=lambda name: (name.startswith("train"), name))
    width = max((len(name) for name in names[:_METRICS_ON_TERMINAL]), default=0)
    for name in names[:_METRICS_ON_TERMINAL]:
        yield fitted(f"  {name:<{width}}  {number(sight.metrics[name]):>10}  {sparkline(sight.curves.get(name, ()))}")
    if len(names) > _METRICS_ON_TERMINAL:
        yield fitted(f"  and {len(names) - _METRICS_ON_TERMINAL} more metrics")
    if sight.output:
        yield fitted(f"  | {sight.output}")


def sparkline(values: Sequence[float], *, width: int = _CURVE_WIDTH) -> str:
    """The course of `values` in at most `width` characters; a dot stands where none is finite."""
    size = max(1, math.ceil(len(values) / width))
    parts = [[value for value in values[at : at + size] if math.isfinite(value)] for at in range(0, len(values), size)]
    means = [math.fsum(part) / len(part) if part else None for part in parts]
    known = [mean for mean in means if mean is not None]
    low, high = min(known, default=0.0), max(known, default=0.0)
    return "".join("·" if mean is None else _bar(mean, low, high) for mean in means)


def _bar(value: float, low: float, high: float) -> str:
    if not high - low > 0 or not math.isfinite(high - low):
        return _BARS[0]
    return _BARS[min(int((value - low) / (high - low) * len(_BARS)), len(_BARS) - 1)]
