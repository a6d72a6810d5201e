"""One program in several precisions: the same config, the same seeds, side by side."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ..analysis.intervals import Interval, t_interval
from ..capture.config import flatten
from ..errors import UsageError
from ..records.precision import NAMES, findings
from ..records.run import Status

PLACE: Final = "{precision}"
VARIABLE: Final = "GITREPRO_PRECISION"
_FOREIGN: Final = ("GITREPRO_RUN", "GITREPRO_LIVE", "GITREPRO_RESUMES", "GITREPRO_RANK", "GITREPRO_SEED")
_EPOCHS: Final = ("epochs", "num_epochs", "max_epochs", "num_train_epochs", "n_epochs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """What the runs of one precision came to.

    Attributes:
        finished: how many of its runs did.
        computed_in: what the record says that products, else outputs, were computed in; empty where it does not say.
        values: by quantity the value of each seed: `step_seconds`, `epoch_seconds`, `peak_bytes` and the metrics.
        tries: what was found in its records, and what to try.
    """

    precision: str
    finished: int
    computed_in: tuple[str, ...]
    values: Mapping[str, Mapping[int, float]]
    tries: tuple[tuple[str, str], ...]

    def interval(self, name: str) -> Interval | None:
        found = list(self.values.get(name, {}).values())
        return t_interval(found) if found else None


def difference(arm: Arm, base: Arm, name: str) -> Interval | None:
    """How much more `arm` has of something than `base`, seed by seed."""
    one, other = arm.values.get(name, {}), base.values.get(name, {})
    pairs = [one[seed] - other[seed] for seed in one if seed in other]
    return t_interval(pairs) if pairs else None


def check_arms(names: Sequence[str]) -> tuple[str, ...]:
    """The precisions to try, each once.

    Raises:
        UsageError: fewer than two, or one that there is not.
    """
    if odd := [name for name in names if name not in NAMES]:
        raise UsageError(f"there is no precision {odd[0]!r:.60}", do=f"choose from {', '.join(NAMES)}")
    if len(set(names)) != len(names) or len(names) < 2:
        raise UsageError("two precisions at least are compared, each once", do="`--arms fp32,bf16`")
    return tuple(names)


def order(arms: Sequence[str], seeds: Sequence[int]) -> Iterator[tuple[str, int]]:
    """Arms take turns, and who goes first too: a machine that slows down weighs on all alike."""
    for place, seed in enumerate(seeds):
        yield from ((arm, seed) for arm in (arms if place % 2 == 0 else reversed(arms)))


def run_arm(argv: Sequence[str], *, arm: str, seed: int, group: str, environ: Mapping[str, str]) -> int:
    """Run and record the program once; what it prints goes to stderr. Its exit code."""
    ours = {name: value for name, value in environ.items() if name not in _FOREIGN}
    command = [sys.executable, "-m", "gitrepro", "record", "--seed", str(seed), "--group", group]
    words = [word.replace(PLACE, arm) for word in argv]
    done = subprocess.run(
        [*command, "--label", arm, "--", *words], env={**ours, VARIABLE: arm}, stdin=subprocess.DEVNULL,
        stdout=sys.stderr.fileno() if _has_number(sys.stderr) else None, check=False,
    )  # fmt: skip
    return done.returncode


def _has_number(stream: Any) -> bool:
    try:
        return os.fstat(stream.fileno()) is not None
    except (OSError, ValueError, AttributeError):
        return False


def collect(arm: str, runs: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> Arm:
    """Put the runs of one precision together.

    Args:
        runs: of each its record and its config.
    """
    finished = [each for each in runs if each[0].get("status") == Status.FINISHED]
    values: dict[str, dict[int, float]] = {}
    for record, config in finished:
        seed = int((record.get("seeds") or {}).get("requested") or 0)
        for name, value in _quantities(record, config):
            values.setdefault(name, {})[seed] = value
    computed = {each for record, _ in finished for each in _computed_in(record)}
    tries = {found: None for record, _ in runs for found in findings(record.get("precision") or {})}
    return Arm(
        precision=arm, finished=len(finished), computed_in=tuple(sorted(computed)), values=values, tries=tuple(tries)
    )


def _computed_in(record: Mapping[str, Any]) -> list[str]:
    effective = (record.get("precision") or {}).get("effective") or {}
    found = [str(name).removeprefix("torch.") for name in effective.get("products") or effective.get("outputs") or ()]
    flags = effective.get("flags") or {}
    return [*found, *(["tf32"] if flags.get("matmul_tf32") is True else [])]


def _quantities(record: Mapping[str, Any], config: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    efficiency = record.get("efficiency") or {}
    times = efficiency.get("step_seconds") or {}
    devices = [each.get("peak_reserved_bytes") for each in efficiency.get("devices") or ()]
    on_device = [each for each in devices if isinstance(each, int | float)]
    found = {
        "step_seconds": times.get("p50"),
        "epoch_seconds": _epoch_seconds(record, config),
        "peak_bytes": max(on_device, default=(record.get("cost") or {}).get("peak_memory_bytes")),
        **(record.get("summary") or {}),
    }
    for name, value in found.items():
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            yield name, float(value)


def _epoch_seconds(record: Mapping[str, Any], config: Mapping[str, Any]) -> float | None:
    """The time of the whole run over the epochs of its config: what a person waits for one."""
    for key, value in flatten(config).items():
        named = key.rpartition(".")[2].replace("-", "_").lower() in _EPOCHS
        if named and isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return float(record.get("duration_seconds") or 0.0) / value
    return None


def is_compared(arm: Arm, base: Arm, *, by_argument: bool) -> bool:
    """Whether two arms really differ in precision: by their records, or where these say nothing, by the command."""
    known = arm.computed_in or base.computed_in
    return bool(arm.finished) and (arm.computed_in != base.computed_in if known else by_argument)


def conclusions(arms: Sequence[Arm], metrics: Mapping[str, str], *, by_argument: bool = False) -> Iterator[str]:
    """What the comparison comes to, a sentence each, and what to try.

    Args:
        metrics: what is judged, each with its goal, `min` or `max`.
        by_argument: whether the command was told the precision.
    """
    base = arms[0]
    for arm in arms[1:]:
        if not arm.finished:
            yield f"{arm.precision}: no run of it finished"
        elif is_compared(arm, base, by_argument=by_argument):
            yield from _compared(arm, base, metrics)
        else:
            same = f"both computed in {', '.join(arm.computed_in) or 'what nobody knows'}"
            do = f"use `run.precision()`, or put {PLACE} into the command"
            yield f"{arm.precision}: nothing was compared: {same}; {do}"
    for arm in arms:
        yield from (f"{arm.precision}: {what}; try {do}" for what, do in arm.tries)


def _compared(arm: Arm, base: Arm, metrics: Mapping[str, str]) -> Iterator[str]:
    faster = difference(arm, base, "step_seconds")
    before = base.interval("step_seconds")
    if faster is not None and before is not None and before.mean > 0:
        share = faster.mean / before.mean
        less = "less" if share < 0 else "more"
        yield f"{arm.precision}: a step takes {abs(share):.0%} {less} than in {base.precision}"
    for name, goal in metrics.items():
        moved = difference(arm, base, name)
        if moved is None or moved.low is None or moved.high is None or moved.count < 3:
            yield f"{arm.precision}: {name}: too few seeds to tell; `--seeds 0..4`"
        elif moved.low <= 0 <= moved.high:
            reach = max(abs(moved.low), abs(moved.high))
            yield f"{arm.precision}: {name}: no difference seen; one of up to {reach:.3g} cannot be told from none"
        else:
            worse = (moved.mean < 0) == (goal == "max")
            yield (
                f"{arm.precision}: {name}: {'worse' if worse else 'better'} by {abs(moved.mean):.3g} "
                f"[{moved.low:.3g}, {moved.high:.3g}]"
                + ("; try bf16, loss scaling, or a larger optimizer eps" if worse else "")
            )
