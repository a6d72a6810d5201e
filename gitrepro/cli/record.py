"""`gitrepro record`: run a program and put the run on record."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from ..capture import config as configs
from ..errors import ConfigError, UsageError
from ..launch import Order, Outcome, draw_seed, launch
from ..records.run import Kind
from ..run import place
from ..run.deterministic import MODES
from ..run.intake.files import Wanted
from ..run.named import from_arguments
from .present import duration, note, number


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--name", help="A name for people; one is made up when there is none.")
@click.option("--group", help="Puts runs together.")
@click.option("--label", "labels", multiple=True, metavar="WORD", help="A label; may be given several times.")
@click.option("--note", help="A note.")
@click.option("--kind", type=click.Choice([str(kind) for kind in Kind]), default="train", show_default=True)
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), help="Seed Python, NumPy and torch. Drawn when not given.")
@click.option("--no-seed", is_flag=True, help="Seed nothing; what the program seeds itself is observed.")
@click.option(
    "--determinism", type=click.Choice(MODES), help="Ask torch for the same numbers each time; says what is in force."
)
@click.option("--config", "files", multiple=True, metavar="FILE", help="A YAML, JSON or TOML file of the config.")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="One value of the config.")
@click.option("--data", "datasets", multiple=True, metavar="NAME[@V]", help="A data set that the program uses.")
@click.option(
    "--split", "splits", multiple=True, metavar="NAME[@V]", help="The split of it; DATA/NAME tells several apart."
)
@click.option("--metrics", multiple=True, metavar="GLOB", help="CSV or JSON files of metrics that the program writes.")
@click.option("--out", "outputs", multiple=True, metavar="GLOB", help="Output files to keep with the run.")
@click.option("--no-tensorboard", is_flag=True, help="Do not take in TensorBoard event files.")
@click.option("--trace", is_flag=True, help="Trace each training step; `gitrepro diff A B --trace` compares two.")
@click.option("--resume", metavar="RUN", help="Go on with RUN as its next attempt; `auto` finds the newest that fits.")
@click.option(
    "--no-repo", is_flag=True, help="Record without a repository; `gitrepro recover --into` takes it in later."
)
@click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="-- COMMAND [ARG]...")
def record(
    name: str | None,
    group: str | None,
    labels: tuple[str, ...],
    note: str | None,
    kind: str,
    seed: int | None,
    no_seed: bool,
    determinism: str | None,
    files: tuple[str, ...],
    assignments: tuple[str, ...],
    datasets: tuple[str, ...],
    splits: tuple[str, ...],
    metrics: tuple[str, ...],
    outputs: tuple[str, ...],
    no_tensorboard: bool,
    trace: bool,
    resume: str | None,
    no_repo: bool,
    command: tuple[str, ...],
) -> int:
    """Run COMMAND and put the run on record: code, environment, arguments, output, seeds, exit code, time, memory.

    \b
        gitrepro record -- python train.py --lr 0.1
        gitrepro record --seed 7 --group ablation -- bash run.sh
        gitrepro record --data digits@v1 --split default -- python train.py

    Data that is named is looked up and checked before COMMAND starts; in it `run.dataset()` and `run.split("train")`
    open it.

    The exit code is that of COMMAND. With GITREPRO_MODE=disabled it is run and not recorded.
    """
    if not command:
        raise UsageError("there is no command to run", do="`gitrepro record -- python train.py`")
    if command[0].startswith("-"):
        raise UsageError(
            f"there is no option {command[0]!r:.80}", do="put the program behind `--`; see `gitrepro record --help`"
        )
    if seed is not None and no_seed:
        raise UsageError("--seed and --no-seed exclude each other", do="give one of them")
    recorded = _recorded()
    where = _place(no_repo or not recorded)
    order = Order(
        argv=command,
        name=name,
        group=group,
        labels=labels,
        note=note,
        kind=kind,
        seed=_seed(seed, no_seed),
        seeding=not no_seed,
        drawn=seed is None and not no_seed and "GITREPRO_SEED" not in os.environ,
        config=_layers(files, assignments),
        files=Wanted(metrics=metrics, outputs=outputs, tensorboard=not no_tensorboard),
        resume=resume,
        data=from_arguments(datasets, splits).under({} if datasets or splits else os.environ),
        recorded=recorded,
        environ={
            **os.environ,
            **({"GITREPRO_TRACE": "on"} if trace else {}),
            **({"GITREPRO_DETERMINISM": determinism} if determinism else {}),
        },
    )
    outcome = launch(order, where=where, say=_say)
    _farewell(outcome)
    return outcome.exit_code


def _recorded() -> bool:
    mode = os.environ.get("GITREPRO_MODE", "online")
    if mode not in ("online", "disabled"):
        raise UsageError(f"GITREPRO_MODE is {mode!r:.40}", why="known are online and disabled", do="unset it")
    return mode == "online"


def _seed(seed: int | None, no_seed: bool) -> int | None:
    if no_seed:
        return None
    if seed is None and (named := os.environ.get("GITREPRO_SEED")):
        if not named.isdigit() or int(named) >= 2**32:
            raise UsageError(f"GITREPRO_SEED is {named!r:.40}", why="a seed is an integer from 0 to 4294967295")
        return int(named)
    return draw_seed() if seed is None else seed


def _place(no_repo: bool) -> place.Place:
    if no_repo:
        return place.Place(home=place.state_folder(os.environ), repository=None)
    where = place.find(None, os.environ)
    if isinstance(where.trouble, UsageError):
        raise where.trouble
    # Read-only: the run waits elsewhere, and says so.
    return where


def _layers(files: tuple[str, ...], assignments: tuple[str, ...]) -> tuple[configs.Layer, ...]:
    layers = [configs.Layer(source=f"file:{name}", values=_file(name)) for name in files]
    for text in assignments:
        path, value = configs.parse_assignment(text)
        nested: object = value
        for part in reversed(path):
            nested = {part: nested}
        assert isinstance(nested, dict)
        layers.append(configs.Layer(source="set", values=nested))
    return tuple(layers)


def _file(name: str) -> dict[str, Any]:
    # A pipe or a device would keep us waiting for ever.
    if not Path(name).is_file():
        why = "it is no plain file" if Path(name).exists() else "there is no such file"
        raise ConfigError(f"the config {name!r:.200} cannot be read", why=why, do="check the path")
    return configs.from_file(Path(name))


def _say(text: str) -> None:
    note(f"gitrepro: {text}")


def _farewell(outcome: Outcome) -> None:
    record = outcome.record
    if outcome.trouble:
        _say(f"run {outcome.run_id[-8:]}: {outcome.trouble}")
    if record is not None:
        facts = [f"{name} {number(value)}" for name, value in list(record.summary.items())[:4]]
        _say(", ".join([f"{record.status.replace('_', ' ')} after {duration(record.duration_seconds)}", *facts]))
        if record.losses:
            count = len(record.losses)
            _say(f"{count} {'thing was' if count == 1 else 'things were'} not kept; `gitrepro show` names them")
        _say(f"see it with `gitrepro show {record.short_id}`")
