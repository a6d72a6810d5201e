"""Power cuts: a program trains on a disk that remembers every write; each cut is a disk to mount, check and recover."""

from __future__ import annotations

import importlib.util
import os
import random
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .. import blockdisk, oracle
from ..blockdisk import Flush
from ..case import ENDLESS, MOST, Case, Trial, recover
from ..world import Place, World, make_repository

CUTS_EACH = 500
"""Cuts of one recording; then a new one is made."""
SECONDS_LOST = 3.5
"""More than this is a problem: a second between two syncs, and what a sync takes on a slow disk."""
DISKS = {"ext4": (64, ["mkfs.ext4", "-q", "-F"]), "xfs": (320, ["mkfs.xfs", "-q", "-f"])}


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """When the program heard that something was done: a start, a step, the end of a run."""

    run: str
    what: str
    at: float


def cut(system: str) -> Callable[..., Trial]:
    def trial(world: World, number: int, rng: random.Random, *, mutant: str = "") -> Trial:
        name = f"disk-{system}-{number // CUTS_EACH}" + (f"-{mutant.replace(' ', '-')}" if mutant else "")
        made = world.common(name, lambda root: _record(world, system, root, mutant))
        log, image = blockdisk.entries(made / "log"), (made / "image").read_bytes()
        at, keep = _place(log, number % CUTS_EACH, rng)
        place = world.bare_place()
        place.root.mkdir(parents=True)
        try:
            (place.root / "image").write_bytes(blockdisk.cut(image, log, at, keep=keep))
            with blockdisk.mounted(place.root / "image", place.root / "repo"):
                return _judged(world, place, _said(made / "acks"), log[at - 1].at if at else 0.0)
        except oracle.Unreadable as error:
            return Trial(problems=[f"after a cut at {at}: {error}"])
        except subprocess.CalledProcessError as error:
            return Trial(problems=[f"the disk does not mount after a cut at {at}: {error.stderr!r:.300}"])
        finally:
            world.drop(place)

    return trial


def _place(log: list[blockdisk.Write | Flush], number: int, rng: random.Random) -> tuple[int, random.Random | None]:
    """Where to cut: a third right after a flush, a third anywhere, a third with writes out of order."""
    flushes = [place + 1 for place, entry in enumerate(log) if isinstance(entry, Flush)]
    kind = number % 3
    if kind == 0:
        return flushes[number * len(flushes) // CUTS_EACH], None
    return rng.randrange(len(log)), rng if kind == 2 else None


def _record(world: World, system: str, root: Path, mutant: str) -> None:
    """Short runs one after the other beside a long one at a hundred points a second, for some seconds."""
    size, make = DISKS[system]
    image = root / "image"
    with image.open("wb") as file:
        file.truncate(size << 20)
    subprocess.run([*make, str(image)], check=True, capture_output=True)
    with blockdisk.mounted(image, root / "mounted") as mount:
        make_repository(mount / "repo")
        shutil.move(mount / "repo", mount / "kept")
        (mount / "kept").rename(mount / "repo")
    log = root / "log"
    with blockdisk.recording(image, log, root) as mount:
        place = Place(root=root)
        (root / "repo").symlink_to(mount / "repo")
        slow = world.start(place, "life", str(root / "acks-0"), steps=700, pace_seconds=0.01, timed=True, mutant=mutant)
        quick = world.start(
            place, "lives", str(root / "acks-1"), runs=12, steps=20, pace_seconds=0.01, timed=True, mutant=mutant
        )
        codes = [world.nursery.wait(pid, seconds=120) for pid in (slow, quick)]
        assert mutant or codes == [0, 0], place.said
    (root / "repo").unlink()
    (root / "acks").mkdir()
    for path in root.glob("acks-*"):
        path.rename(root / "acks" / path.name)


def _said(folder: Path) -> list[Said]:
    found = []
    for path in sorted(folder.iterdir()):
        run, at = "", 0.0
        for line in path.read_text().splitlines():
            words = line.split()
            run, at = (words[1], at) if words[0] == "start" else (run, float(words[1]))
            if words[0] != "start":
                found.append(Said(run=run, what=words[0], at=at))
    return found


def _judged(world: World, place: Place, said: list[Said], at: float) -> Trial:
    """Everything that was said before the cut: finished runs are whole, of the others at most a second is gone."""
    repo = place.repo / "repo"
    if not (repo / ".git" / "HEAD").exists():
        return Trial(problems=["the repository itself is gone"])
    inner = Place(root=place.root / "state")
    inner.root.mkdir()
    (inner.root / "repo").symlink_to(repo)
    trial = Trial(problems=oracle.broken(repo))
    recover(world, inner, trial)
    trial.problems += oracle.broken(repo)
    held = {found.id: found for found in oracle.runs(repo)}
    for run in dict.fromkeys(each.run for each in said):
        told = [each for each in said if each.run == run and each.at < at]
        if told:
            _judge_run(trial, run, told, held.get(run), at)
    for found in held.values():
        trial.problems += oracle.judge_rows(found, [], sent=ENDLESS)
    trial.facts["cuts"] += 1
    return trial


def _judge_run(trial: Trial, run: str, told: list[Said], found: oracle.Found | None, at: float) -> None:
    steps = [each for each in told if each.what != "finish"]
    kept = {row["_step"] for row in found.rows} if found else set()
    missing = [each for each in steps if int(each.what) not in kept]
    if len(steps) < len(told):
        trial.facts["finished runs checked"] += 1
        if found is None or missing or found.status != "finished":
            trial.problems.append(f"run {run} had finished, and {'is gone' if found is None else found.status}")
        return
    lost_seconds = at - missing[0].at if missing else 0.0
    trial.facts["points checked"] += len(steps)
    trial.facts[f"{MOST}milliseconds of points lost"] = max(
        trial.facts[f"{MOST}milliseconds of points lost"], round(lost_seconds * 1000)
    )
    if lost_seconds > SECONDS_LOST:
        trial.problems.append(f"run {run} lost the points of {lost_seconds:.2f} s")


def hunt(system: str, mutant: str, cuts: int) -> Callable[[World, random.Random], list[str]]:
    def look(world: World, rng: random.Random) -> list[str]:
        for number in rng.sample(range(CUTS_EACH), cuts):
            if problems := cut(system)(world, number, rng, mutant=mutant).problems:
                return problems
        return []

    return look


def needs(system: str) -> Callable[[World], str]:
    def missing(_world: World) -> str:
        if os.geteuid():
            return "only root may mount"
        if not os.access("/dev/fuse", os.W_OK) or not os.access("/dev/loop-control", os.W_OK):
            return "there is no /dev/fuse, or no loop device"
        if not importlib.util.find_spec("mfusepy"):
            return "mfusepy is not installed"
        tools = (DISKS[system][1][0], "losetup", "mount", "blkid")
        return next((f"{tool} is not installed" for tool in tools if not shutil.which(tool)), "")

    return missing


def _case(system: str, full: int, ci: int) -> Case:
    return Case(
        name=f"power cuts on {system}: at flushes, anywhere, with writes out of order",
        promise="a finished run is never lost; of the others at most the last second; refs stay whole",
        full=lambda _: full,
        ci=ci,
        trial=cut(system),
        control=hunt(system, "no sync", 60),
        needs=needs(system),
    )


CASES = (_case("ext4", 3_000, 4), _case("xfs", 1_000, 0))
