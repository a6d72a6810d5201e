"""Damaged live folders: every truncation, every flipped bit, and tails that a file system may leave."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from pathlib import Path
from zlib import crc32

from blake3 import blake3

from .. import oracle
from ..case import Case, Trial, scene
from ..world import Place, World

IN_BATCH = 100
TAILS = (1, 7, 8, 15, 16, 17, 100, 4096)
Damage = tuple[str, str, int]


def _damages(world: World) -> list[Damage]:
    """Every truncation and flipped bit of every file of a dead run's folder; tails of zeros and of noise."""
    with scene(world, "killed") as place:
        folder = _live_folder(place)
        names = [path for path in sorted(folder.iterdir()) if not path.name.startswith(("lease.", "rank-"))]
        sizes = {path.name: path.stat().st_size for path in names}
    cuts = [(name, "cut", length) for name, size in sizes.items() for length in range(size)]
    flips = [(name, "flip", bit) for name, size in sizes.items() for bit in range(size * 8)]
    journals = [name for name in sizes if name.startswith("journal")]
    tails = [(name, kind, length) for name in journals for kind in ("zeros", "noise") for length in TAILS]
    holes = [(name, "hole", at) for name in journals for at in range(0, sizes[name], 16)]
    return cuts + flips + tails + holes


def _live_folder(place: Place) -> Path:
    return next((place.repo / ".git" / "gitrepro" / "live").iterdir())


def batches(world: World) -> int:
    return -(-len(_damages(world)) // IN_BATCH)


def damage(world: World, number: int, rng: random.Random, *, mutant: str = "") -> Trial:
    """One batch: many damaged copies of a folder, each under an id of its own, recovered at once."""
    everything = _damages(world)
    return _damaged(world, everything[number :: -(-len(everything) // IN_BATCH)], rng, mutant=mutant)


def _damaged(world: World, chosen: list[Damage], rng: random.Random, *, mutant: str = "") -> Trial:
    with scene(world, "killed") as place:
        source = _live_folder(place)
        acks = oracle.acknowledged(place.acks)
        copies = {f"{source.name[:-4]}{count:04d}": what for count, what in enumerate(chosen)}
        planted = {run_id: what for run_id, what in copies.items() if _copy_damaged(source, run_id, what, rng)}
        result = place.root / "result"
        code = world.run(place, "recover", str(result), mutant=mutant, seconds=120)
        if code != 0:
            return Trial(problems=[f"the recovery ended with {code}: {place.said[-500:]}"])
        told = json.loads(result.read_text())
        held = {found.id: found for found in oracle.runs(place.repo)}
        problems = oracle.broken(place.repo)
        for run_id, what in planted.items():
            problems += [f"{what}: {problem}" for problem in _judge_damaged(run_id, what, told, held, acks)]
        if source.name not in held:
            problems.append("the undamaged run beside them is lost")
        facts = Counter({"damaged folders": len(planted), "reported and left": len(told["failed"])})
        return Trial(problems=problems, facts=facts)


def _copy_damaged(source: Path, run_id: str, what: Damage, rng: random.Random) -> bool:
    """Whether the copy was made: a hole where zeros were before is no damage."""
    files = _under(source, run_id)
    harmed = files | {what[0]: _harmed(files[what[0]], what, rng)}
    if harmed == files:
        return False
    target = source.parent / run_id
    target.mkdir()
    for name, data in harmed.items():
        (target / name).write_bytes(data)
    return True


def _under(source: Path, run_id: str) -> dict[str, bytes]:
    """The folder's files as they would be had the run this id: undamaged, nothing in them may tell."""
    files = {path.name: path.read_bytes() for path in source.iterdir()}
    start = files["start.yaml"]
    files["start.yaml"] = start.replace(source.name.encode(), run_id.encode())
    old, new = (blake3(data).hexdigest().encode() for data in (start, files["start.yaml"]))
    return {name: _resealed(data, old, new) if name.startswith("journal") else data for name, data in files.items()}


def _resealed(journal: bytes, old: bytes, new: bytes) -> bytes:
    """The journal with a digest in one of its frames replaced, and the checksum of that frame made again."""
    at = journal.find(old)
    if at < 0:
        return journal
    start = journal.rfind(b"gRj1", 0, at)
    end = start + 12 + int.from_bytes(journal[start + 4 : start + 8], "little")
    frame = journal[start:end].replace(old, new)
    return journal[:start] + frame + crc32(frame).to_bytes(4, "little") + journal[end + 4 :]


def _harmed(data: bytes, what: Damage, rng: random.Random) -> bytes:
    _, kind, at = what
    match kind:
        case "cut":
            return data[:at]
        case "flip":
            return data[: at // 8] + bytes([data[at // 8] ^ 1 << at % 8]) + data[at // 8 + 1 :]
        case "zeros":
            return data + bytes(at)
        case "noise":
            return data + rng.randbytes(at)
        case "hole":
            return data[:at] + bytes(min(16, len(data) - at)) + data[at + 16 :]
    raise ValueError(kind)


def _judge_damaged(
    run_id: str,
    what: Damage,
    told: dict[str, dict[str, str]],
    held: dict[str, oracle.Found],
    acks: oracle.Acknowledged,
) -> list[str]:
    if run_id in told["failed"]:
        return []
    if run_id not in held:
        return ["neither recovered nor reported"]
    found, (name, kind, _) = held[run_id], what
    sent = max(acks.steps.values(), key=len)
    true = [{"_step": step, "loss": step / 4, "count": step} for step in sent]
    problems = [f"made up {row}" for row in found.rows if row not in true]
    if kind in ("zeros", "noise") and [row["_step"] for row in found.rows] != sent:
        problems.append("a tail costs rows before it")
    # Cut between two entries a journal is one that was killed there: nothing in it can tell.
    tellable = not (name.startswith("journal") and kind == "cut")
    return problems + (["damage goes unreported"] if tellable and _silent(found) else [])


def _silent(found: oracle.Found) -> bool:
    counted = re.findall(r"^  (?:torn_bytes|damaged_bytes|missing_frames): (\d+)$", found.text, re.M)
    return not found.losses and not any(map(int, counted))


def control_damage(world: World, rng: random.Random) -> list[str]:
    return control_checksums(world, rng) if control_magic(world, rng) else []


def control_checksums(world: World, rng: random.Random) -> list[str]:
    flips = [what for what in _damages(world) if what[0].startswith("journal") and what[1] == "flip"]
    return _damaged(world, rng.sample(flips, IN_BATCH), rng, mutant="no checksums").problems


def control_magic(world: World, rng: random.Random) -> list[str]:
    tails = [what for what in _damages(world) if what[1] == "zeros"]
    return _damaged(world, tails, rng, mutant="no magic").problems


CASES = (
    Case(
        name="every truncation, flipped bit, hole and tail of a dead run's folder",
        promise="never a wrong number: damage is reported",
        full=batches,
        ci=4,
        each=IN_BATCH,
        trial=damage,
        control=control_damage,
    ),
)
