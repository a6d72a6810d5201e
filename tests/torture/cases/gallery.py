"""The fault gallery: broken experiments are caught by the line that should, and sound ones are not failed."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from ..case import Case, Trial
from ..world import World

SEEDS = 20
CI_SEEDS = 2
FAMILIES = ("tables", "images", "texts", "sequences", "networks")


def one(family: str, number: int) -> Trial:
    """An experiment and a seed: all experiments with one seed first, then the next seed."""
    # Imported where it is needed: the other cases do not wait for torch and scikit-learn.
    from tests.gallery.registry import FAMILIES as GALLERY
    from tests.gallery.registry import judged

    experiments = [each for each in GALLERY[family] if not each.missed]
    each = experiments[number % len(experiments)]
    seed = number // len(experiments)
    found = judged(each, seed)
    bad = found.outcome in ("missed", "failed")
    facts = Counter({f"{each.name}: {found.outcome}": 1})
    if found.outcome == "undecided":
        facts["broken: undecided"] = 1
    elif not each.broken and found.undecided:
        facts[f"{each.name}: undecided"] = 1
    problems = [f"{each.name}, seed {seed}: {line}" for line in found.lines] if bad else []
    return Trial(problems=problems, facts=facts)


def count_of(family: str) -> int:
    from tests.gallery.registry import FAMILIES as GALLERY

    return SEEDS * sum(1 for each in GALLERY[family] if not each.missed)


def trial_of(family: str) -> Callable[[World, int, random.Random], Trial]:
    return lambda _world, number, _rng: one(family, number)


def control_of(family: str) -> Callable[[World, random.Random], list[str]]:
    """A broken experiment that is said to be sound has to be failed."""

    def control(_world: World, _rng: random.Random) -> list[str]:
        from tests.gallery.registry import FAMILIES as GALLERY
        from tests.gallery.registry import judged, rule_of

        broken = next(each for each in GALLERY[family] if each.line and each.verdict == "FAIL")
        said = replace(broken, broken="", line="")
        return list(judged(said, 0, rules=(rule_of(broken.line),)).lines)

    return control


CASES = tuple(
    Case(
        name=f"gallery, {family}",
        promise="a broken experiment is caught by its line, a sound one is not failed",
        full=lambda _world, family=family: count_of(family),  # type: ignore[misc]
        # `tests/gallery` runs its own part of them.
        ci=0,
        trial=trial_of(family),
        control=control_of(family),
    )
    for family in FAMILIES
)
