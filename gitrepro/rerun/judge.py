"""What a repetition came to: whether it ran the same code, under another seed, and what the seeds say together."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from ..capture import config as configs
from ..errors import GitreproError
from ..records.run import RunRecord, Status
from ..records.seeds import effective_seed
from ..records.seedset import is_seed, seed_set_key
from ..store.repository import Repository
from .checkout import record_of
from .job import JobResult, JobSpec
from .repeat import Plan, document

_LISTED_AT_MOST: Final = 3
_NO_FILE: Final = re.compile(r"No such file or directory[^'\"\n]*['\"]([^'\"\n]{1,1000})['\"]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat:
    """One repetition.

    Attributes:
        run: its record; None when it came to none.
        faults: why it is no new evidence about the repeated run.
        hints: what is worth knowing about it all the same.
    """

    seed: int | None
    run: RunRecord | None
    result: JobResult
    faults: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """A metric over the runs of a seed set. `std` is the sample's; None for a single run."""

    mean: float
    std: float | None
    count: int


def judge(
    repository: Repository, plan: Plan, job: JobSpec, result: JobResult, *, before: Sequence[RunRecord]
) -> Repeat:
    """Look at what a job came to.

    Args:
        before: the runs of the set so far, in the order in which they ended.
    """
    run = None
    if result.run_id is not None:
        try:
            run = record_of(repository, result.run_id)
        except GitreproError as error:
            return Repeat(seed=job.seed, run=None, result=result, hints=(str(error),))
    if run is None:
        return Repeat(seed=job.seed, run=None, result=result)
    # One that did not finish counts for nothing anyway, and may not have come far enough to say what it was.
    faults = tuple(_faults(repository, plan, job, run, before)) if run.status == Status.FINISHED else ()
    return Repeat(seed=job.seed, run=run, result=result, faults=faults, hints=tuple(_hints(repository, plan, run)))


def _faults(
    repository: Repository, plan: Plan, job: JobSpec, run: RunRecord, before: Sequence[RunRecord]
) -> Iterator[str]:
    tree = (run.code or {}).get("tree")
    if plan.source.tree is not None and tree != plan.source.tree:
        yield f"it ran other code: {_changes(run)}"
    if missing := _not_imported(plan.record, run):
        yield (
            f"{', '.join(missing[:_LISTED_AT_MOST])} of its code was not imported from the checkout: "
            "an installed copy may have run instead"
        )
    seeds = effective_seed(run.seeds)
    for other in before:
        if seeds and other.status == Status.FINISHED and effective_seed(other.seeds) == seeds:
            yield f"no new evidence: run {other.short_id} had the same seeds in force"
            break
    config = document(repository, run.id, "config.yaml").get("values") or {}
    if seed_set_key(run, config) != plan.key and tree == plan.source.tree:
        yield f"it is not of the same seed set: {_differing(plan.config.get('values') or {}, config)}"
    elif stuck := _stuck(config, job.seed, plan.reseeded):
        yield f"the program goes by its own seed: {stuck}"


def _changes(run: RunRecord) -> str:
    changes = list((run.code or {}).get("changes") or ())
    return ", ".join(map(str, changes[:_LISTED_AT_MOST])) or "its tree is another one"


def _not_imported(original: RunRecord, run: RunRecord) -> list[str]:
    """The packages and modules at the top of the code that the original imported and this run did not at all."""
    before, now = (
        {PurePosixPath(str(module)).parts[0] for module in (each.code or {}).get("modules") or ()}
        for each in (original, run)
    )
    return sorted(before - now)


def _differing(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    one, other = configs.flatten(before), configs.flatten(now)
    keys = sorted(key for key in {*one, *other} if one.get(key) != other.get(key) and not is_seed(key))
    return f"{', '.join(keys[:_LISTED_AT_MOST])} differ in its config" if keys else "its data or command differs"


def _stuck(config: Mapping[str, Any], seed: int | None, reseeded: Sequence[int]) -> str:
    """A seed in the config that no command line gave and that is not the one asked for."""
    own = {key: value for key, value in configs.flatten(config).items() if is_seed(key) and type(value) is int}
    if reseeded or seed in own.values():
        return ""
    return ", ".join(f"{key} is {value}" for key, value in sorted(own.items())[:_LISTED_AT_MOST])


def _hints(repository: Repository, plan: Plan, run: RunRecord) -> Iterator[str]:
    before, now = (document(repository, each.id, "env.yaml") for each in (plan.record, run))
    if changed := environment_changes(before, now):
        more = f" and {len(changed) - _LISTED_AT_MOST} more" if len(changed) > _LISTED_AT_MOST else ""
        yield f"the environment is another one: {', '.join(changed[:_LISTED_AT_MOST])}{more}"
    if link := _missing_file(repository, plan, run):
        yield f"{link} is not in the code: `--link {link}` gives the program what lies in your work tree"


def environment_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs in Python and its packages, as `torch 2.6.0 is now 2.7.1`."""
    one, other = _versions(before), _versions(now)
    if not one or not other:
        return []
    return [
        f"{name} {one.get(name) or 'missing'} is now {other.get(name) or 'missing'}"
        for name in sorted({*one, *other}, key=lambda name: (name != "python", name))
        if one.get(name) != other.get(name)
    ]


def _versions(environment: Mapping[str, Any]) -> dict[str, str]:
    python, packages = environment.get("python") or {}, environment.get("packages") or {}
    if not python:
        return {}
    return {"python": str(python.get("version")), **{str(name): str(version) for name, version in packages.items()}}


def _missing_file(repository: Repository, plan: Plan, run: RunRecord) -> str:
    """The path to link where a program failed for a file that lies in the user's work tree alone."""
    top = repository.work_tree
    found = _NO_FILE.search(str((run.reason or {}).get("last_output", "")))
    if found is None or top is None:
        return ""
    path = PurePosixPath(found[1])
    path = path if path.is_absolute() else PurePosixPath(plan.source.folder or ".") / path
    # The top of what is missing: a whole folder of data, where its first file was not found.
    for place in [*reversed(path.parents), path]:
        if place.is_absolute() or str(place) == "." or ".." in place.parts:
            continue
        if not (top / place).exists():
            return ""
        if not _is_tracked(repository, plan, place):
            return str(place)
    return ""


def _is_tracked(repository: Repository, plan: Plan, path: PurePosixPath) -> bool:
    return bool(repository.git("--literal-pathspecs", "ls-tree", "--full-tree", plan.source.commit, "--", str(path)))


def spreads(runs: Sequence[RunRecord]) -> dict[str, Spread]:
    """Mean and standard deviation of each number in the summaries, over the runs that have a finite one."""
    values: dict[str, list[float]] = {}
    for run in runs:
        for name, value in run.summary.items():
            if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
                values.setdefault(name, []).append(float(value))
    return {
        name: Spread(
            mean=statistics.fmean(each), std=statistics.stdev(each) if len(each) > 1 else None, count=len(each)
        )
        for name, each in values.items()
    }


def output_of(folder: Path, *, lines: int = 5) -> list[str]:
    """The last words of a job that came to no run."""
    try:
        return (folder / "output.log").read_text(errors="replace").splitlines()[-lines:]
    except OSError:
        return []
