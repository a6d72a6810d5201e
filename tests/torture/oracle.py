"""The judge: reads acknowledgements, refs, journals and files with Git and pyarrow alone.

It imports nothing of gitrepro, and nothing that does; a test sees to it.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

RUNS = "refs/gitrepro/runs"
Rows = list[dict[str, object]]


class Unreadable(AssertionError):
    """Git itself cannot read what the refs name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledged:
    """What a tortured process said that had returned."""

    runs: tuple[str, ...] = ()
    steps: dict[str, list[int]] = field(default_factory=dict)
    finished: frozenset[str] = frozenset()


def acknowledged(path: Path) -> Acknowledged:
    """Read the lines that `jobs.life` wrote; one that a kill cut short says nothing."""
    runs: list[str] = []
    steps: dict[str, list[int]] = {}
    finished = set()
    text = path.read_text() if path.exists() else ""
    for line in text[: text.rfind("\n") + 1].splitlines():
        if line.startswith("start "):
            runs.append(line[6:])
            steps[runs[-1]] = []
        elif line.startswith("finish"):
            finished.add(runs[-1])
        else:
            steps[runs[-1]].append(int(line.split()[0]))
    return Acknowledged(runs=tuple(runs), steps=steps, finished=frozenset(finished))


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One run as the ref holds it."""

    id: str
    status: str
    losses: bool
    rows: Rows
    text: str


def git(repo: Path, *args: str, check: bool = True, input: bytes | None = None) -> bytes:
    env = {"PATH": os.environ["PATH"], "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, "LC_ALL": "C"}
    done = subprocess.run(["git", *args], cwd=repo, input=input, capture_output=True, env=env)
    if check and done.returncode:
        raise Unreadable(f"git {' '.join(args)}: {done.stderr.decode(errors='replace')[-300:]}")
    return done.stdout


def run_ids(repo: Path) -> list[str]:
    """The runs that the ref names, by the folders of its tree."""
    if not git(repo, "for-each-ref", RUNS):
        return []
    names = git(repo, "ls-tree", "-r", "-d", "--name-only", RUNS).decode().split("\n")
    return [name.split("/")[4] for name in names if name.startswith("runs/") and name.count("/") == 4]


def paths(repo: Path) -> list[str]:
    """Every file of the run ref's tree."""
    if not git(repo, "for-each-ref", RUNS):
        return []
    return [path for path in git(repo, "ls-tree", "-r", "-z", "--name-only", RUNS).decode().split("\0") if path]


def files(repo: Path) -> dict[str, bytes]:
    """Every file of the run ref's tree with its bytes. Raises AssertionError where one cannot be read."""
    if not git(repo, "for-each-ref", RUNS):
        return {}
    entries = [entry.split("\t", 1) for entry in git(repo, "ls-tree", "-r", "-z", RUNS).decode().split("\0") if entry]
    oids = {path: head.split()[2] for head, path in entries}
    contents = _contents(repo, oids.values())
    return {path: contents[oid] for path, oid in oids.items()}


def events(repo: Path) -> list[str]:
    """The text of every event on record."""
    return [git(repo, "show", f"{RUNS}:{path}").decode() for path in paths(repo) if path.startswith("events/")]


def broken(repo: Path) -> list[str]:
    """What Git itself finds wrong: refs that point at something missing, objects with other bytes."""
    done = subprocess.run(
        ["git", "fsck", "--full", "--no-dangling", "--no-progress"], cwd=repo, capture_output=True, text=True
    )
    return [f"git fsck: {line}" for line in (done.stdout + done.stderr).splitlines()] if done.returncode else []


def runs(repo: Path) -> list[Found]:
    """Every run the ref holds, read by Git. Raises AssertionError where the ref cannot be read whole."""
    if not git(repo, "for-each-ref", RUNS):
        return []
    listing = git(repo, "ls-tree", "-r", "-z", RUNS).decode().split("\0")
    files = [(entry.split("\t", 1)[1], entry.split()[2]) for entry in listing if entry]
    contents = _contents(repo, [oid for _, oid in files])
    folders: dict[str, dict[str, bytes]] = {}
    for path, oid in files:
        parts = path.split("/")
        if parts[0] == "runs":
            folders.setdefault("/".join(parts[:5]), {})["/".join(parts[5:])] = contents[oid]
    return [_found(folder, held) for folder, held in sorted(folders.items())]


def _contents(repo: Path, oids: Iterable[str]) -> dict[str, bytes]:
    wanted = list(dict.fromkeys(oids))
    data = git(repo, "cat-file", "--batch", input="".join(f"{oid}\n" for oid in wanted).encode())
    contents, at = {}, 0
    for oid in wanted:
        end = data.index(b"\n", at)
        head = data[at:end].split()
        assert len(head) == 3, f"object {oid} of {RUNS} is missing"
        size = int(head[2])
        contents[oid] = data[end + 1 : end + 1 + size]
        at = end + 2 + size
    return contents


def _found(folder: str, files: dict[str, bytes]) -> Found:
    text = files["run.yaml"].decode()
    status = re.search(r'^status: "(\w+)"$', text, re.M)
    run_id = re.search(r'^id: "(\w+)"$', text, re.M)
    assert status, f"{folder} has no status"
    assert run_id, f"{folder} has no id"
    assert folder.endswith(run_id[1]), f"{folder} holds run {run_id[1]}"
    losses = not re.search(r"^losses: \[\]$", text, re.M)
    return Found(id=run_id[1], status=status[1], losses=losses, rows=_rows(files.get("metrics.parquet")), text=text)


def _rows(data: bytes | None) -> Rows:
    if data is None:
        return []
    import pyarrow.parquet as parquet

    table = parquet.ParquetFile(BytesIO(data)).read()
    return [{name: row[name] for name in ("_step", "loss", "count") if name in row} for row in table.to_pylist()]


def columns(repo: Path, run: str) -> dict[str, list[object]]:
    """Every value of every metric of a run, by name, in the order of logging; from Git, or from the store."""
    import pyarrow.parquet as parquet

    names = [path for path in paths(repo) if path.split("/")[4:5] == [run]]
    text = next(git(repo, "show", f"{RUNS}:{name}").decode() for name in names if name.endswith("/run.yaml"))
    stored = re.findall(r'blob: "b3:(\w{2})(\w+)"\n +kind: "metrics"', text)
    if stored:
        tables = [(repo / f".git/gitrepro/store/objects/{head}/{rest}").read_bytes() for head, rest in stored]
    else:
        tables = [git(repo, "show", f"{RUNS}:{name}") for name in names if name.endswith(".parquet")]
    found: dict[str, list[object]] = {}
    for data in tables:
        table = parquet.ParquetFile(BytesIO(data)).read()
        for name in table.column_names:
            found.setdefault(name, []).extend(table[name].drop_null().to_pylist())
    return found


def judge_rows(found: Found, acked: list[int], *, sent: int) -> list[str]:
    """Acknowledged rows are there, in order; nothing that was not sent is."""
    steps = [row["_step"] for row in found.rows]
    problems = []
    if steps[: len(acked)] != acked:
        problems.append(f"run {found.id}: {len(acked)} rows acknowledged, {len(steps)} read back")
    for row in found.rows:
        step = row["_step"]
        if not isinstance(step, int) or not 0 <= step < sent or row != {"_step": step, "loss": step / 4, "count": step}:
            problems.append(f"run {found.id}: made up {row}")
    if steps != sorted(set(steps), key=lambda step: (step is None, step)):
        problems.append(f"run {found.id}: rows twice or out of order")
    return problems


def judge(
    repo: Path,
    acks: Acknowledged,
    *,
    sent: int,
    excused: Iterable[str] = (),
    strays: int = 1,
    told: bool = False,
) -> list[str]:
    """Everything that must hold once a recovery has been through.

    Args:
        sent: how many steps a run would log when nothing stops it.
        excused: runs of which the program itself said that they could not be kept.
        strays: how many runs may be there that were never acknowledged: each killed start leaves at most one.
        told: the program was told that the disk kept refusing: then points may be missing, and none made up.
    """
    problems = broken(repo)
    try:
        held = runs(repo)
    except AssertionError as error:
        return [*problems, str(error)]
    ids = [found.id for found in held]
    problems += [f"run {run} is in the ref {ids.count(run)} times" for run in {*ids} if ids.count(run) != 1]
    problems += [f"run {run} is lost" for run in acks.runs if run not in ids and run not in set(excused)]
    unknown = [run for run in ids if run not in acks.runs]
    if len(unknown) > strays:
        problems.append(f"runs {unknown} were made up")
    for found in held:
        problems += judge_rows(found, [] if told else acks.steps.get(found.id, []), sent=sent)
        if not told and found.id in acks.finished and found.status not in ("finished", "incomplete"):
            problems.append(f"run {found.id} finished and is called {found.status}")
    return problems


# -- journals, read by the words of FORMAT.md alone


def journal_steps(folder: Path) -> list[int]:
    """The steps of the rows in the journals of a live folder, in the order of their places."""
    rows: dict[int, int] = {}
    for path in sorted(folder.glob("journal.*")):
        for body in _frames(path.read_bytes()):
            if body[8:9] == b"V":
                rows[int.from_bytes(body[:8], "little")] = int.from_bytes(body[21:29], "little", signed=True)
    return [rows[place] for place in sorted(rows)]


def _frames(data: bytes) -> Iterable[bytes]:
    at = 0
    while (at := data.find(b"gRj1", at)) >= 0:
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        end = at + 12 + length
        if zlib.crc32(data[at:end]) == int.from_bytes(data[end : end + 4], "little") and length >= 9:
            yield data[at + 12 : end]
            at = end + 4
        else:
            at += 1


def judge_journals(repo: Path, acks: Acknowledged) -> list[str]:
    """Before any recovery: a point that was acknowledged is in the journal of a run that is still live."""
    problems = []
    for run, acked in acks.steps.items():
        folder = repo / ".git" / "gitrepro" / "live" / run
        if folder.is_dir() and acked and journal_steps(folder)[: len(acked)] != acked:
            problems.append(f"run {run}: its journal lacks points that were acknowledged")
    return problems


# -- what belongs to the user


def belongings(repo: Path) -> dict[str, str]:
    """Every file of the work tree and of `.git` that is the user's, with a hash of its content, mode and kind."""
    return {path: digest for path, digest in _belongings(repo) if digest}


def _belongings(repo: Path) -> Iterable[tuple[str, str]]:
    for folder, folders, files in os.walk(repo):
        inner = os.path.relpath(folder, repo)
        folders[:] = sorted(name for name in folders if not _ours(os.path.normpath(f"{inner}/{name}")))
        yield inner, "folder"
        for name in files:
            path = os.path.normpath(f"{inner}/{name}")
            if not _ours(path):
                yield path, _digest(repo / path)


def _ours(path: str) -> bool:
    refs = [f".git/{place}refs/{name}" for place in ("", "logs/") for name in ("gitrepro", "gitrepro-remotes")]
    ours = (".git/gitrepro", ".git/objects", *refs)
    return any(path == place or path.startswith(f"{place}/") for place in ours)


def _digest(path: Path) -> str:
    if path.is_symlink():
        return f"link {path.readlink()}"
    data = path.read_bytes()
    if path.name == "packed-refs":
        data = b"".join(line for line in data.splitlines(True) if b" refs/gitrepro" not in line)
    return f"{path.stat().st_mode:o} {hashlib.sha256(data).hexdigest()}"


def differences(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """The user's files that are not as they were."""
    paths = sorted({*before, *after})
    return [f"{path} of the user changed" for path in paths if before.get(path) != after.get(path)]
