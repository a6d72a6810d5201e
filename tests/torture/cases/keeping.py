"""Data sets on their way in, and a collection that deletes, under fault: the records need no blob that is not here."""

from __future__ import annotations

import random
from pathlib import Path

import blake3

from .. import litter, oracle, stores
from ..case import Case, needs_strace
from ..world import ADD, COLLECT, Place, World
from .stores import ERRORS, KILLS, Settle, again, control, error, home, kill

MOMENTS = 60
"""So many kills at a moment come on top of those at each call."""
LEFT_BEHIND = 2
"""Temporaries of dead writers that lie in the template of a collection."""


# -- data add


def added(world: World, place: Place) -> list[str]:
    """The data set is on record or not, once, and with all its blobs; given again it is, whole."""
    problems = _judge_add(place)
    if said := again(world, ADD, place):
        return [*problems, *said]
    last = _judge_add(place, whole=True)
    refs, held = oracle.git(place.repo, "for-each-ref"), _holdings(place)
    last += again(world, ADD, place)
    if (oracle.git(place.repo, "for-each-ref"), _holdings(place)) != (refs, held):
        last.append("the third time something changes")
    return problems + [f"given again: {problem}" for problem in last]


def _judge_add(place: Place, *, whole: bool = False) -> list[str]:
    problems = oracle.broken(place.repo) + stores.judge(home(place), ())
    problems += stores.judge_records(place.repo, home(place))
    try:
        records = [path for path in oracle.paths(place.repo) if path.startswith("datasets/")]
    except oracle.Unreadable as error:
        return [*problems, str(error)]
    versions = [path for path in records if ".statistics-" not in path]
    if not int(whole) <= len(versions) <= 1:
        problems.append(f"the data set is {len(versions)} times on record")
    if whole and len(records) != 2:
        problems.append(f"on record are {records}")
    return problems or [problem for path in versions for problem in _judge_tree(place, Path(path).stem)]


def _judge_tree(place: Place, digits: str) -> list[str]:
    """The tree names the very files of the folder."""
    folder = place.repo / "data"
    files = {str(path.relative_to(folder)): _name(path) for path in folder.rglob("*") if path.is_file()}
    return [] if stores.tree(home(place), f"b3:{digits}") == files else ["the data set is not what was added"]


def _name(path: Path) -> str:
    return f"b3:{blake3.blake3(path.read_bytes()).hexdigest()}"


def _holdings(place: Place) -> list[str]:
    """The named files of a store."""
    root = home(place)
    kinds = ("objects/??/*", "packs/*", "recipes/??/*", "trash/*/*/*")
    return sorted(str(path.relative_to(root)) for kind in kinds for path in root.glob(kind))


# -- gc


def collected(world: World, place: Place) -> list[str]:
    """All that records need is here; given again, what they do not need is not, and then nothing changes any more."""
    # It lay in the trash when all began.
    problems = _judge_gc(place, excused=(place.root / "back").read_text().split())
    if said := again(world, COLLECT, place):
        return [*problems, *said]
    last = _judge_gc(place) + _judge_rest(place)
    held = _holdings(place)
    last += again(world, COLLECT, place)
    if _holdings(place) != held:
        last.append("the third time something changes")
    return problems + [f"given again: {problem}" for problem in last]


def _judge_gc(place: Place, *, excused: list[str] | None = None) -> list[str]:
    problems = stores.judge(home(place), (), strays=LEFT_BEHIND + 1)
    return problems + stores.judge_records(place.repo, home(place), excused=excused or ())


def _judge_rest(place: Place) -> list[str]:
    root = home(place)
    problems = []
    dead = stores.blobs(root).keys() - stores.needed(root, stores.named(place.repo))
    if dead:
        problems.append(f"{len(dead)} blobs are here that nothing needs")
    # A folder that was emptied is young again by that; the next day it goes as well.
    if left := [
        path.name for path in root.glob(f"incoming/*-{litter.NOBODY}-*") if path.is_file() or any(path.iterdir())
    ]:
        problems.append(f"{left} of dead writers is left")
    if any(root.glob(f"trash/{litter.PAST}/*/*")):
        problems.append("what was in the trash for years is still there")
    return problems


# -- the cases

ON_RECORD = "on record or not, once, never with a blob missing; given again it is"
NEEDED = "gc never deletes what is needed; cut anywhere, the next one ends it"
REFUSED = "a refusal is said, costs nothing that is needed, and a later retry succeeds"


def _cases(
    scenario: str, settle: Settle, promise: str, mutants: tuple[tuple[str, str], ...], within_seconds: float
) -> list[Case]:
    controls = [control(scenario, settle, mutant, where) for mutant, where in mutants]

    def all_found(world: World, rng: random.Random) -> list[str]:
        found = [each(world, rng) for each in controls]
        return [problem for problems in found for problem in problems] if all(found) else []

    return [
        Case(
            name=f"kill -9 at every call, and at random, of: {scenario}",
            promise=promise,
            full=lambda world: max(KILLS, len(world.points(scenario)) + MOMENTS),
            ci=3,
            trial=kill(scenario, settle, within_seconds=within_seconds),
            control=all_found,
            needs=needs_strace,
        ),
        Case(
            name=f"{', '.join(ERRORS)}, once and from then on, at every call of: {scenario}",
            promise=REFUSED,
            full=lambda world: len(world.points(scenario)) * len(ERRORS) * 2,
            ci=3,
            trial=error(scenario, settle),
            control=all_found,
            needs=needs_strace,
        ),
    ]


ADD_MUTANTS = (("written in place", "^write .*store/incoming"), ("record before blobs", "queue|refs|store/(?!index)"))
GC_MUTANTS = (("deleted before copied", "store/(incoming|packs|trash)"),)

control_record_first = control(ADD, added, *ADD_MUTANTS[1])
control_delete_first = control(COLLECT, collected, *GC_MUTANTS[0])

CASES = (
    *_cases(ADD, added, ON_RECORD, ADD_MUTANTS, 0.25),
    *_cases(COLLECT, collected, NEEDED, GC_MUTANTS, 0.15),
)
