"""Hostile records: trees and files that no gitrepro wrote, pushed by somebody into the run ref.

Every reading command must end without a traceback and without running anything, show the good runs that are beside
them, and name the bad one.
"""

from __future__ import annotations

import io
import itertools
import random
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .. import oracle
from ..case import Case, Trial, scene
from ..world import Place, World

FILE, TREE, LINK, MODULE, EXECUTABLE = "100644", "40000", "120000", "160000", "100755"
ID = "01m0evz0000000000000000bad"
SHARD = "/".join(ID[-3:])
FOLDER = f"runs/{SHARD}/{ID}"
SEEN: tuple[tuple[str, ...], ...] = (
    ("ls",),
    ("ls", "--json"),
    ("show", "@last"),
    ("show", ID),
    ("show", "--json", ID),
    ("doctor",),
)
ALLOWED = (0, 1, 2, 3, 4)
"""Ok, a negative answer, usage, not found, damaged. A crash of Python is 1 too, with a traceback."""

Entries = list[tuple[str, bytes, str]]  # mode, name, object: the raw entries of one tree


@dataclass(frozen=True, slots=True)
class Bad:
    """One hostile tree: how it is planted. `named`: whether a run stands there, which then must be named as bad."""

    name: str
    plant: Callable[[Path], str]
    named: bool = True


# -- making trees with Git's plumbing, which checks nothing


def blob(repo: Path, data: bytes) -> str:
    return oracle.git(repo, "hash-object", "-w", "--stdin", input=data).decode().strip()


def tree(repo: Path, entries: Entries) -> str:
    data = b"".join(b"%s %s\0%s" % (mode.encode(), name, bytes.fromhex(oid)) for mode, name, oid in entries)
    return oracle.git(repo, "hash-object", "-w", "-t", "tree", "--literally", "--stdin", input=data).decode().strip()


def existing(repo: Path, path: str = "") -> Entries:
    listed = oracle.git(repo, "ls-tree", "-z", f"{oracle.RUNS}:{path}", check=False).decode().split("\0")
    found = []
    for entry in filter(None, listed):
        head, name = entry.split("\t", 1)
        mode, _, oid = head.split()
        found.append((mode.lstrip("0"), name.encode(), oid))
    return found


def planted(repo: Path, path: str, mode: str, oid: str) -> str:
    """The root tree with `oid` at `path`, everything else as it is."""
    parts = path.split("/")
    for depth in range(len(parts) - 1, -1, -1):
        name = parts[depth].encode()
        entries = [entry for entry in existing(repo, "/".join(parts[:depth])) if entry[1] != name]
        oid = tree(repo, sorted([*entries, (mode, name, oid)], key=_order))
        mode = TREE
    return oid


def _order(entry: tuple[str, bytes, str]) -> bytes:
    return entry[1] + (b"/" if entry[0] == TREE else b"")


def good(repo: Path) -> dict[str, bytes]:
    """The files of the good run, under the bad one's id."""
    [run] = [path.rpartition("/")[0] for path in oracle.paths(repo) if path.endswith("/run.yaml")]
    names = {path.rpartition("/")[2]: path for path in oracle.paths(repo) if path.startswith(run)}
    old = run.rpartition("/")[2].encode()
    contents = {name: oracle.git(repo, "show", f"{oracle.RUNS}:{path}") for name, path in names.items()}
    return {name: data.replace(old, ID.encode()) if name == "run.yaml" else data for name, data in contents.items()}


def with_file(name: str, change: Callable[[bytes], bytes], title: str, *, named: bool = True) -> Bad:
    """A run like the good one in which one file is changed."""

    def plant(repo: Path) -> str:
        files = good(repo)
        files[name] = change(files.get(name, b""))
        entries = [(FILE, key.encode(), blob(repo, data)) for key, data in sorted(files.items())]
        return planted(repo, FOLDER, TREE, tree(repo, entries))

    return Bad(f"{name}: {title}", plant, named)


def with_entry(mode: str, name: bytes, title: str, *, named: bool = False) -> Bad:
    """A run like the good one with one entry more."""

    def plant(repo: Path) -> str:
        kept = [(FILE, key.encode(), blob(repo, data)) for key, data in sorted(good(repo).items())]
        target = blob(repo, b"../../../../../../etc/passwd") if mode != TREE else tree(repo, [])
        oid = "1234567890" * 4 if mode == MODULE else target
        return planted(repo, FOLDER, TREE, tree(repo, sorted([*kept, (mode, name, oid)], key=_order)))

    return Bad(f"an entry {name[:40]!r} of mode {mode}: {title}", plant, named)


def at(path: str, mode: str, content: bytes | None, title: str) -> Bad:
    """Anything anywhere in the tree; a content of None is an object that is not there."""

    def plant(repo: Path) -> str:
        if content is None:
            return planted(repo, path, mode, "dead" * 10)
        return planted(repo, path, mode, tree(repo, []) if mode == TREE else blob(repo, content))

    return Bad(f"{path[:60]} of mode {mode}: {title}", plant, named=False)


# -- the collection

_WORDS = "a: 1\n"
YAML = {
    "empty": b"",
    "nothing but zeros": bytes(4096),
    "noise": random.Random(1).randbytes(5000),
    "two megabytes": b"format: 1\n" + b"x: " + b'"' + b"a" * (2 << 20) + b'"\n',
    "deep": b"".join(b"  " * depth + b"k:\n" for depth in range(400)),
    "deep in flow": b"[" * 100_000,
    "an alias bomb": b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(
        b"%c: &%c [*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c]\n" % ((c, c) + (c - 1,) * 8) for c in range(98, 110)
    ),
    "a tag that makes objects": b"!!python/object/apply:os.system ['touch CANARY']\n",
    "a tag in a value": b"format: 1\nid: !!python/object/apply:os.system ['touch CANARY']\n",
    "merge keys": b"a: &a\n  b: 1\n<<: *a\n",
    "keys twice": b"format: 1\nformat: 2\n",
    "two documents": b"format: 1\n---\nformat: 1\n",
    "a list": b"- 1\n- 2\n",
    "a word": b"hello\n",
    "windows line ends": _WORDS.encode().replace(b"\n", b"\r\n"),
    "a byte order mark": b"\xef\xbb\xbfformat: 1\n",
    "utf-16": "format: 1\n".encode("utf-16"),
    "tabs": b"format:\t1\n\tid: 2\n",
    "a future format": b"format: 99\n",
    "no format": b'id: "x"\n',
    "a million keys": b"".join(b"k%d: 1\n" % number for number in range(60_000)),
    "a number beyond any": b"format: 1" + b"0" * 10_000 + b"\n",
}  # fmt: skip
FIELDS = (
    "id",
    "name",
    "kind",
    "status",
    "started_at",
    "duration_seconds",
    "argv",
    "seeds",
    "summary",
    "code",
    "losses",
)
VALUES = {
    "null": b"null",
    "a list": b"[]",
    "a map": b"{}",
    "a number": b"17",
    "an escape": b'"\\u001b]0;owned\\u0007\\u001b[2J"',
    "a path": b'"../../../../etc/passwd"',
    "a command": b'"$(touch CANARY)`touch CANARY`; touch CANARY"',
}
NAMES = (
    b"..", b".", b".git", b".GIT", b"git~1", b"GIT~1", b".git ", b".git::$INDEX_ALLOCATION", b"a/b", b"../../x",
    b"/etc", b"con", b"aux.txt", b"a\\b", b"a\nb", b"a\rb", b"\x1b[2J", b"\xff\xfe", b"-rf", b"--help", b"a" * 4096,
    b"", b"~", b".gitattributes", b".gitmodules", b"metrics.rank-99999999999999999999.parquet",
    b"metrics.part--1.parquet", "e\u0301".encode(), "\u202egnp.exe".encode(), b"\xef\xbb\xbfrun.yaml", b"RUN.YAML",
)  # fmt: skip
PLACES = (
    "runs", "runs/x", f"runs/{SHARD}", FOLDER, f"{FOLDER}/run.yaml", f"{FOLDER}/config.yaml", "events", "format.yaml",
    f"events/{SHARD}", f"events/{SHARD}/{ID}", f"events/{SHARD}/{ID}/{ID}.yaml", "results", f"results/{ID}",
    f"results/{ID}/result.yaml", f"runs/../{ID}", f"runs/{SHARD}/NOT-AN-ID/run.yaml", f"runs/a/b/c/{ID}/run.yaml",
)  # fmt: skip


def _instead(data: bytes) -> Callable[[bytes], bytes]:
    return lambda _: data


def _field(name: str, value: bytes) -> Callable[[bytes], bytes]:
    # With everything that is indented below it.
    pattern = rb"^%s:.*\n(?:[ -].*\n)*" % name.encode()
    return lambda data: re.sub(pattern, lambda _: b"%s: %s\n" % (name.encode(), value), data, flags=re.M)


def _parquet(kind: str) -> bytes:
    import pyarrow
    from pyarrow import parquet

    labels = {b"gitrepro.format": b"1", b"gitrepro.rank": b"0", b"gitrepro.part": b"0", b"gitrepro.parts": b"1"}
    count = 1 << 22 if kind == "a bomb" else 3
    table = {"_seq": range(count), "_step": range(count), "_time_seconds": [0.0] * count, "loss": [0.0] * count}
    made = pyarrow.table({name: list(values) for name, values in table.items()})
    if kind == "text":
        made = made.append_column("words", pyarrow.array(["x"] * count))
    if kind == "nested":
        made = made.append_column("deep", pyarrow.array([[[[1]]]] * count))
    if kind == "an extension":
        made = made.append_column("ids", pyarrow.ExtensionArray.from_storage(pyarrow.uuid(), _uuids(pyarrow, count)))
    if kind == "many columns":
        made = pyarrow.table({f"c{number}": [1.0] for number in range(20_000)})
    sink = io.BytesIO()
    parquet.write_table(made.replace_schema_metadata(labels), sink, compression="zstd")
    return sink.getvalue()


def _uuids(pyarrow: object, count: int) -> object:
    return pyarrow.array([bytes(16)] * count, pyarrow.binary(16))  # type: ignore[attr-defined]


def _broken_parquet(kind: str) -> Callable[[bytes], bytes]:
    changes: dict[str, Callable[[bytes], bytes]] = {
        "empty": lambda _: b"",
        "only its magic": lambda _: b"PAR1PAR1",
        "a footer of four gigabytes": lambda data: data[:-8] + struct.pack("<I", 0xFFFFFFF0) + b"PAR1",
        "cut in the middle": lambda data: data[: len(data) // 2],
        "a flipped bit": lambda data: data[:40] + bytes([data[40] ^ 1]) + data[41:],
        "zeros for a footer": lambda data: data[:-60] + bytes(52) + data[-8:],
        "a pickle": lambda _: b"\x80\x04cos\nsystem\n(S'touch CANARY'\ntR.",
    }
    return changes[kind] if kind in changes else lambda _: _parquet(kind)


_PARQUET = (
    "empty", "only its magic", "a footer of four gigabytes", "cut in the middle", "a flipped bit", "zeros for a footer",
    "a pickle", "a bomb", "text", "nested", "an extension", "many columns",
)  # fmt: skip


def _twice(repo: Path) -> str:
    files = [(FILE, key.encode(), blob(repo, data)) for key, data in sorted(good(repo).items())]
    return planted(repo, FOLDER, TREE, tree(repo, [*files, *files]))


def _crowded(repo: Path) -> str:
    one = blob(repo, b"x")
    files = [(FILE, key.encode(), blob(repo, data)) for key, data in sorted(good(repo).items())]
    return planted(repo, FOLDER, TREE, tree(repo, [*((FILE, b"a%06d" % n, one) for n in range(100_000)), *files]))


def _raw_tree(data: bytes) -> Callable[[Path], str]:
    def plant(repo: Path) -> str:
        made = oracle.git(repo, "hash-object", "-w", "-t", "tree", "--literally", "--stdin", input=data)
        return planted(repo, FOLDER, TREE, made.decode().strip())

    return plant


def _event(value: bytes) -> bytes:
    head = b'actor:\n  email: "e"\n  name: "m"\nat: "2026-01-01T00:00:00.000000Z"\nclock: 1\nformat: 1\n'
    return head + b'id: "%s"\nobserved: []\nop: "note"\nsubject: "%s"\nvalue: %s\n' % (ID.encode(), ID.encode(), value)


BAD: tuple[Bad, ...] = (
    *(with_file("run.yaml", _instead(data), title) for title, data in YAML.items()),
    *(
        with_file(name, _instead(data), title, named=False)
        for name, (title, data) in itertools.product(("config.yaml", "env.yaml"), YAML.items())
    ),
    *(
        with_file("run.yaml", _field(field, value), f"{field} is {title}", named=False)
        for field, (title, value) in itertools.product(FIELDS, VALUES.items())
    ),
    *(with_file("metrics.parquet", _broken_parquet(kind), kind, named=False) for kind in _PARQUET),
    *(with_entry(FILE, name, "a name") for name in NAMES),
    *(
        with_entry(mode, b"metrics.rank-1.parquet", "a mode")
        for mode in (LINK, MODULE, TREE, EXECUTABLE, "100600", "0")
    ),
    *(with_entry(mode, b"run.yaml", "twice") for mode in (FILE, LINK, MODULE, TREE)),
    *(at(path, mode, b"x", "in the way") for path in PLACES for mode in (FILE, LINK, TREE)),
    *(at(path, FILE, None, "an object that is not there") for path in PLACES),
    *(at(path, MODULE, None, "a module") for path in PLACES),
    *(
        at(f"events/{SHARD}/{ID}/{ID}.yaml", FILE, _event(value), f"the note is {title}")
        for title, value in VALUES.items()
    ),
    Bad("every entry twice", _twice),
    Bad("a hundred thousand entries", _crowded, named=False),
    *(
        Bad(f"a tree of the bytes {data[:20]!r}", _raw_tree(data))
        for data in (b"junk", b"100644 run.yaml\0short", b"\0" * 100, b"999999999999 x\0" + bytes(20), b"100644 \0" * 9)
    ),
)


# -- a trial


def hostile(world: World, number: int, _rng: random.Random, *, mutant: str = "") -> Trial:
    with scene(world, "recorded") as place:
        return _judged(world, place, BAD[number], mutant)


def _judged(world: World, place: Place, bad: Bad, mutant: str) -> Trial:
    repo = place.repo
    [honest] = oracle.run_ids(repo)
    parent = oracle.git(repo, "rev-parse", oracle.RUNS).decode().strip()
    root = bad.plant(repo)
    text = f"tree {root}\nparent {parent}\nauthor e <e> 0 +0000\ncommitter e <e> 0 +0000\n\nevil\n".encode()
    commit = oracle.git(repo, "hash-object", "-w", "-t", "commit", "--literally", "--stdin", input=text)
    (repo / ".git" / oracle.RUNS).write_bytes(commit)
    trial = Trial()
    overwritten = honest not in _ids(repo)
    for argv in SEEN:
        said = _said(world, place, argv, mutant)
        trial.problems += [f"{bad.name}: {' '.join(argv)}: {line}" for line in said[0]]
        if argv == ("ls", "--json") and not overwritten and honest not in said[1]:
            trial.problems.append(f"{bad.name}: the good run is not shown: {said[1][-300:]}")
        if argv == ("ls",) and bad.named and ID[-8:] not in said[1]:
            trial.problems.append(f"{bad.name}: `ls` does not name the bad run: {said[1][-300:]}")
    if canaries := [str(path) for path in place.root.rglob("CANARY*")]:
        trial.problems.append(f"{bad.name}: something was executed: {canaries}")
    trial.facts["commands"] = len(SEEN)
    return trial


def _ids(repo: Path) -> list[str]:
    try:
        return oracle.run_ids(repo)
    except (oracle.Unreadable, UnicodeDecodeError):
        return []


def _said(world: World, place: Place, argv: tuple[str, ...], mutant: str) -> tuple[list[str], str]:
    place.errors.unlink(missing_ok=True)
    code = world.run(place, "command", *argv, mutant=mutant, seconds=60)
    text = place.said
    problems = [] if code in ALLOWED else [f"ended with {code}: {text[-300:]}"]
    if "Traceback (most recent call last)" in text:
        problems.append(f"a traceback: {text[-400:]}")
    if raw := re.findall(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", text):
        problems.append(f"control characters reach the terminal: {raw[:5]}")
    return problems, text


def control_terminal(world: World, rng: random.Random) -> list[str]:
    numbers = [number for number, bad in enumerate(BAD) if "name is an escape" in bad.name]
    return [problem for number in numbers for problem in hostile(world, number, rng, mutant="raw terminal").problems]


CASES = (
    Case(
        name="hostile records in the run ref",
        promise="viewing executes nothing and never crashes; the bad one is named, the others are shown",
        full=lambda _: len(BAD),
        ci=12,
        trial=hostile,
        control=control_terminal,
    ),
)
