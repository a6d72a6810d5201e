"""`gitrepro check batch`: which batch sizes fit, and how fast they are."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

import click

from ...errors import UsageError
from ...run.finding import find_batch_size
from ...training.batch import FOUND, NEVER_FAILS, NEVER_FITS, Search, Trial
from ...training.batch.learning import lr_grid, rule_for
from ..present import clean, emit, note, number, size, table

SCHEMA: Final = 1


@click.command()
@click.argument("where", metavar="MODULE:FUNCTION")
@click.option("--at-least", type=click.IntRange(1), default=1, show_default=True, help="The smallest size to try.")
@click.option("--at-most", type=click.IntRange(1), default=1 << 16, show_default=True, help="The largest.")
@click.option("--margin", type=click.FloatRange(0, 0.9), default=0.1, show_default=True, help="Memory to leave free.")
@click.option("--memory-bytes", type=click.IntRange(1), help="On a CPU, what may be used; by default what is free.")
@click.option("--timeout", type=click.FloatRange(1), default=120.0, show_default=True, help="Seconds for one size.")
@click.option("--lr", type=click.FloatRange(0, min_open=True), help="A learning rate that is right at --lr-batch.")
@click.option("--lr-batch", type=click.IntRange(1), help="The effective batch size at which --lr is right.")
@click.option("--json", "as_json", is_flag=True, help="Print the table and what was found as JSON.")
def batch(
    where: str,
    at_least: int,
    at_most: int,
    margin: float,
    memory_bytes: int | None,
    timeout: float,
    lr: float | None,
    lr_batch: int | None,
    as_json: bool,
) -> int:
    """Find the largest batch size whose training step fits, and how fast each size is.

    \b
        gitrepro check batch train:make_step --at-most 4096
        gitrepro check batch train:make_step --lr 0.1 --lr-batch 64

    MODULE:FUNCTION is called with a size in a process of its own. It builds the model, the optimizer and the worst
    batch of that size, and returns a function that makes one full training step: forward, backward, optimizer step. The
    exit code is 1 where not even the smallest size fits.
    """
    if (lr is None) != (lr_batch is None):
        raise UsageError("--lr and --lr-batch go together", do="say at which batch size the learning rate is right")
    sys.path.insert(0, str(Path.cwd()))
    found = find_batch_size(
        where,
        at_least=at_least,
        at_most=at_most,
        margin=margin,
        memory_bytes=memory_bytes,
        timeout_seconds=timeout,
        tried=_tell,
    )
    grid = _grid(found, lr, lr_batch)
    if as_json:
        emit({"schema": SCHEMA, **found.document(), "learning_rates": grid})
    else:
        _print(found)
    _conclude(found, grid)
    return 0 if found.batch_size else 1


def _tell(trial: Trial) -> None:
    why = f": {clean(trial.why.splitlines()[-1])}" if trial.why else ""
    note(f"batch size {trial.size}: {trial.verdict}{why if trial.verdict != 'fits' else ''}")


def _print(found: Search) -> None:
    rows: list[list[object]] = [
        [
            each.size,
            each.verdict,
            size(each.peak_bytes),
            size(each.limit_bytes),
            "" if each.step_seconds is None else f"{each.step_seconds * 1000:.3g} ms",
            "" if each.per_second is None else number(each.per_second),
        ]
        for each in found.trials
    ]
    table(rows, ["size", "", "peak memory", "allowed", "step", "per second"], right=[0, 2, 3, 4, 5])


_SAID: Final = {
    FOUND: "the largest that fits is {size}",
    NEVER_FAILS: "all that was allowed fits, up to {size}; --at-most allows more",
    NEVER_FITS: "not even {least} fits: use a smaller model, bf16, activation checkpointing, or shorter sequences",
}
_SLOW: Final = "a step took too long; what fits in time goes up to {size}; --timeout gives it more"


def _conclude(found: Search, grid: dict[str, Any] | None) -> None:
    least = found.trials[0].size
    note(_SAID.get(found.ended, _SLOW).format(size=found.batch_size, least=least))
    if found.worthwhile and found.worthwhile != found.batch_size:
        note(
            f"from {found.worthwhile} on it is nearly as fast as it gets: larger ones cost memory and save little time"
        )
    if found.batch_size and not any(each.optimizer for each in found.trials):
        note("no optimizer of torch stepped: its state is missing from the memory above, if it has one")
    if grid:
        rates = ", ".join(f"{rate:.3g}" for rate in grid["rates"])
        note(f"learning rates to try at {grid['batch']}: {rates} ({grid['rule']} rule for {clean(grid['optimizer'])})")
    if found.batch_size:
        note("a larger effective batch without more memory: gitrepro.accumulate(model, optimizer, steps=...)")


def _grid(found: Search, lr: float | None, lr_batch: int | None) -> dict[str, Any] | None:
    optimizer = next((each.optimizer for each in found.trials if each.optimizer), None)
    if lr is None or lr_batch is None or found.batch_size is None or optimizer is None:
        return None
    rates = lr_grid(lr, batch=lr_batch, to=found.batch_size, optimizer=optimizer)
    return {"batch": found.batch_size, "optimizer": optimizer, "rates": rates, "rule": rule_for(optimizer)}
