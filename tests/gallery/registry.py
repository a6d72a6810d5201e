"""All experiments of the gallery, what each check says of one, and whether that is what it should say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, final

from gitrepro.checks.direct import direct
from gitrepro.checks.task import Task
from gitrepro.records.sanity import Checked

from . import faults, images, leaks, networks, sequences, tables, texts, torch_broken
from .experiment import Experiment

FAMILIES: Final[Mapping[str, tuple[Experiment, ...]]] = {
    "tables": (*tables.SOUND, *leaks.BROKEN, *faults.BROKEN),
    "images": (*images.SOUND, *images.BROKEN),
    "texts": (*texts.SOUND, *texts.BROKEN),
    "sequences": (*sequences.SOUND, *sequences.BROKEN),
    "networks": (*networks.SOUND, *torch_broken.BROKEN),
}
RULES: Final = ("baseline", "shuffle", "overfit", "data")
OF_LINE: Final[Mapping[str, str]] = {"distribution": "data", "separation": "data"}


def rule_of(line: str) -> str:
    """The check that prints a line."""
    rule = line.partition(".")[0]
    return OF_LINE.get(rule, rule)


def check(task: Task, rule: str, seed: int) -> list[Checked]:
    """What a check says, at its defaults."""
    if rule == "baseline":
        from gitrepro.checks.baseline import Settings as Baselines
        from gitrepro.checks.baseline import check_baseline

        return check_baseline(task, Baselines(seed=seed), direct)
    if rule == "shuffle":
        from gitrepro.checks.shuffle import Settings as Shuffles
        from gitrepro.checks.shuffle import check_shuffle

        return check_shuffle(task, Shuffles(seed=seed), direct)
    if rule == "overfit":
        from gitrepro.checks.overfit import Settings as Overfits
        from gitrepro.checks.overfit import check_overfit

        return check_overfit(task, Overfits(seed=seed), direct)
    from gitrepro.checks.distribution import DataSettings, check_data

    return check_data(task, DataSettings(seed=seed), direct)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What came of one experiment and one seed.

    Attributes:
        outcome: of a broken one `caught`, `missed` or `undecided`; of a sound one `not failed` or `failed`.
        lines: that decided it, with their sentences.
        undecided: lines that were INCONCLUSIVE.
    """

    outcome: Literal["caught", "missed", "undecided", "not failed", "failed"]
    lines: tuple[str, ...] = ()
    undecided: tuple[str, ...] = ()


def judged(experiment: Experiment, seed: int, *, rules: tuple[str, ...] = RULES) -> Said:
    """What the checks say of an experiment: of a broken one its own line, of a sound one all lines of these rules."""
    if experiment.line:
        return _caught(experiment, seed)
    lines = [line for rule in rules for line in check(experiment.make(seed), rule, seed)]
    failed = tuple(_sentence(line) for line in lines if line.verdict == "FAIL")
    unsure = tuple(line.name for line in lines if line.verdict == "INCONCLUSIVE")
    return Said(outcome="failed" if failed else "not failed", lines=failed, undecided=unsure)


def _caught(experiment: Experiment, seed: int) -> Said:
    lines = check(experiment.make(seed), rule_of(experiment.line), seed)
    [line] = [line for line in lines if line.name == experiment.line]
    if line.verdict == "INCONCLUSIVE":
        return Said(outcome="undecided", lines=(_sentence(line),), undecided=(line.name,))
    # A graver verdict than the one that is wanted is no miss.
    right = line.verdict == "FAIL" or line.verdict == experiment.verdict
    return Said(outcome="caught" if right else "missed", lines=(_sentence(line),))


def _sentence(line: Checked) -> str:
    return f"{line.name} {line.verdict}: {line.why}"
