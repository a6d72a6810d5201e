"""Does a program make the same steps twice? Run it, and see: twice as it is, twice with deterministic torch."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ..errors import ChildFailed, UsageError

OFF: Final = "off"
ON: Final = "on"
ORDER: Final = (OFF, ON, ON, OFF)
"""So that a machine that slows down, or warms up, weighs on both alike."""
_BOOTSTRAP: Final = Path(__file__).parent.parent / "bootstrap"
_WARM_UP_STEPS: Final = 2
_FOREIGN: Final = ("GITREPRO_RUN", "GITREPRO_TRACE", "GITREPRO_RESUMES", "GITREPRO_RANK")
_LAST_WORDS_CHARACTERS: Final = 400
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One run of the first steps.

    Attributes:
        rows: by rank, `step`, `digest` and `seconds` of each step.
        flags: what was in force, as torch said.
        failed: the last words of a program that failed; empty for one that did not.
    """

    rows: tuple[tuple[Row, ...], ...]
    flags: Mapping[str, Any]
    failed: str = ""

    @property
    def digests(self) -> list[list[str]]:
        return [[str(row["digest"]) for row in rank] for rank in self.rows]

    @property
    def steps(self) -> int:
        return max((len(rank) for rank in self.rows), default=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """Two runs of one mode.

    Attributes:
        first_difference: the first step, from 0, after which the weights differ; None where none does.
        step_seconds: the median, without the first two steps; None where there are too few.
    """

    mode: str
    steps: int
    first_difference: int | None
    step_seconds: float | None
    flags: Mapping[str, Any]
    failed: str = ""

    @property
    def repeats(self) -> bool:
        """Whether both made the same steps."""
        return not self.failed and self.first_difference is None

    def document(self) -> dict[str, Any]:
        told = {"first_difference": self.first_difference, "flags": dict(self.flags), "repeats": self.repeats}
        return {**told, "failed": self.failed, "step_seconds": self.step_seconds, "steps": self.steps}


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What came of it."""

    argv: tuple[str, ...]
    seed: int
    off: Arm
    on: Arm

    @property
    def cost(self) -> float | None:
        """By how much a step takes longer with it, as a share: 0.03 is 3 %."""
        if not self.off.step_seconds or not self.on.step_seconds:
            return None
        return self.on.step_seconds / self.off.step_seconds - 1

    def document(self) -> dict[str, Any]:
        arms = {"off": self.off.document(), "on": self.on.document()}
        return {"argv": list(self.argv), **arms, "cost": self.cost, "seed": self.seed}


def measure(
    argv: Sequence[str],
    *,
    steps: int,
    seed: int,
    environ: Mapping[str, str],
    told: Callable[[str, Trial], None] = lambda _mode, _trial: None,
) -> Measured:
    """Run the first steps of a program four times, and compare its weights after each.

    Nothing of these runs is recorded. What the program itself writes, it writes four times.

    Args:
        argv: the program, a Python that trains with an optimizer of torch.
        steps: how many optimizer steps.
        seed: what Python's, NumPy's and torch's generators are seeded with.
        told: is called after each run.

    Raises:
        ChildFailed: it fails as it is.
        UsageError: it cannot be started, or makes no optimizer step.
    """
    trials: dict[str, list[Trial]] = {OFF: [], ON: []}
    for mode in ORDER:
        trial = _run(argv, mode, steps=steps, seed=seed, environ=environ)
        if mode == OFF:
            _check(trial, argv)
        trials[mode].append(trial)
        told(mode, trial)
    return Measured(argv=tuple(argv), seed=seed, off=_arm(OFF, trials[OFF]), on=_arm(ON, trials[ON]))


def _check(trial: Trial, argv: Sequence[str]) -> None:
    if trial.failed:
        raise ChildFailed(f"{argv[0]!r:.200} failed before it had made its steps", why=trial.failed)
    if not trial.steps:
        raise UsageError(
            "the program made no optimizer step",
            why="what is watched are the optimizers of torch, in processes that Python starts",
            do="give the command that trains: `gitrepro check determinism -- python train.py`",
        )


def _arm(mode: str, trials: Sequence[Trial]) -> Arm:
    one, other = trials
    seconds = [
        row["seconds"]
        for trial in trials
        for rank in trial.rows
        for row in rank[_WARM_UP_STEPS:]
        if row["seconds"] is not None
    ]
    return Arm(
        mode=mode,
        steps=min(one.steps, other.steps),
        first_difference=first_difference(one.digests, other.digests),
        step_seconds=statistics.median(seconds) if seconds else None,
        flags=one.flags or other.flags,
        failed=one.failed or other.failed,
    )


def first_difference(one: Sequence[Sequence[str]], other: Sequence[Sequence[str]]) -> int | None:
    """The first step, from 0, whose digest differs on any rank; a step that only one of them made differs too."""
    found = [_differs(*pair) for pair in zip(one, other, strict=False)]
    if len(one) != len(other):
        found.append(0)
    return min((step for step in found if step is not None), default=None)


def _differs(one: Sequence[str], other: Sequence[str]) -> int | None:
    for step, (here, there) in enumerate(zip(one, other, strict=False)):
        if here != there:
            return step
    return None if len(one) == len(other) else min(len(one), len(other))


# -- one run


def _run(argv: Sequence[str], mode: str, *, steps: int, seed: int, environ: Mapping[str, str]) -> Trial:
    with tempfile.TemporaryDirectory(prefix="gitrepro-check-") as name:
        folder = Path(name)
        env = _environment(environ, mode, folder, steps=steps, seed=seed)
        with open(folder / "errors", "wb") as errors:
            try:
                done = subprocess.run(argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors)
            except OSError as error:
                raise UsageError(f"{argv[0]!r:.200} cannot be started", why=error.strerror or str(error)) from error
        failed = _last_words(folder / "errors", done.returncode) if done.returncode else ""
        return Trial(rows=tuple(_rows(folder)), flags=_flags(folder), failed=failed)


def _environment(environ: Mapping[str, str], mode: str, folder: Path, *, steps: int, seed: int) -> dict[str, str]:
    kept = {name: value for name, value in environ.items() if name not in _FOREIGN}
    return {
        **kept,
        "GITREPRO_DETERMINISM": mode,
        "GITREPRO_LIVE": str(folder),
        "GITREPRO_METERS": "off",
        "GITREPRO_MODE": "disabled",
        "GITREPRO_ROOT": str(Path.cwd()),
        "GITREPRO_SEED": str(seed),
        "GITREPRO_SEEDING": "on",
        "GITREPRO_STEPS": str(folder),
        "GITREPRO_STOP_AFTER_STEPS": str(steps),
        "PYTHONHASHSEED": environ.get("PYTHONHASHSEED", str(seed)),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(_BOOTSTRAP), environ.get("PYTHONPATH", "")])),
    }


def _last_words(path: Path, code: int) -> str:
    lines = path.read_text(errors="replace").strip().splitlines()
    return f"exit code {code}: {lines[-1] if lines else 'it said nothing'}"[:_LAST_WORDS_CHARACTERS]


def _rows(folder: Path) -> Iterable[tuple[Row, ...]]:
    """Those of each process, by rank and then by when it began."""
    named = [(path.stem.split("-"), path) for path in folder.glob("steps-*.jsonl")]
    for _, path in sorted(named, key=lambda each: (int(each[0][1]), int(each[0][2]))):
        yield tuple(json.loads(line) for line in path.read_text().splitlines())


def _flags(folder: Path) -> Mapping[str, Any]:
    for path in sorted(folder.glob("observed-*.jsonl")):
        for line in path.read_text().splitlines():
            event = json.loads(line)
            if event.get("event") == "determinism" and event["determinism"]["flags"]:
                flags: Mapping[str, Any] = event["determinism"]["flags"]
                return flags
    return {}
