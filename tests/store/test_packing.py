"""Packing: our own loose objects, and nobody else's; cut anywhere, beside anybody, nothing is lost."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gitrepro.errors import GitreproError
from gitrepro.records import ids
from gitrepro.records.run import run_path
from gitrepro.store import fs, rescue, worktree
from gitrepro.store import repository as repositories
from gitrepro.store.fold import Identity, Pending, enqueue, fold
from gitrepro.store.gitobjects import FILE_MODE, Entry, GitObjects, encode_tree
from gitrepro.store.pack import due
from gitrepro.store.pack.due import is_due, loose_sample, start_if_due
from gitrepro.store.pack.known import Pack, Packs, read_packs, write_packs
from gitrepro.store.pack.making import Packed, _Packing, _too_small, pack
from gitrepro.store.repository import CODE_REF, RUNS_REF, Repository
from tests.conftest import Git

IDENTITY = Identity(name="Ada Lovelace", email="ada@example.org")


@pytest.fixture
def found(repo: Path) -> Repository:
    return repositories.find(repo, {})


def put_runs(found: Repository, count: int, *, code: str = "", each: bool = False) -> None:
    """Commit `count` runs of two files, in one commit or in a commit each."""
    names = [ids.new_id() for _ in range(count)]
    texts = [text for name in names for text in (f'id: "{name}"\n'.encode() + b"#" * 200, f"lr: {name}\n".encode())]
    with GitObjects(found.common_dir) as objects:
        blobs = iter(objects.write([("blob", text) for text in texts]))
        folders = [
            encode_tree({"run.yaml": Entry(FILE_MODE, next(blobs)), "config.yaml": Entry(FILE_MODE, next(blobs))})
            for _ in names
        ]
        trees = objects.write([("tree", folder) for folder in folders])
    for name, tree in zip(names, trees, strict=True):
        kept = [code] if code else []
        enqueue(
            found,
            Pending(kind="run", subject=name, line="a run", trees={run_path(name): tree}, code=kept, journal="j"),
        )
        if each:
            fold(found, identity=IDENTITY)
    fold(found, identity=IDENTITY)


def at_time(seconds: float) -> Callable[[], float]:
    return lambda: seconds


def loose(found: Repository) -> set[str]:
    return {path.parent.name + path.name for path in (found.common_dir / "objects").glob("??/*")}


def packs(found: Repository) -> set[str]:
    return {path.stem for path in (found.common_dir / "objects" / "pack").glob("*.idx")}


def whole(git: Git, found: Repository, count: int) -> None:
    """Every run is there, by Git's own reading, and nothing is damaged."""
    assert git(found.git_dir, "fsck", "--no-dangling") == ""
    listed = git(found.git_dir, "ls-tree", "-r", "--name-only", RUNS_REF).split()
    assert sum(name.endswith("run.yaml") for name in listed) == count
    oids = git(found.git_dir, "rev-list", "--objects", RUNS_REF).split("\n")
    with GitObjects(found.common_dir) as objects:
        for line in oids:
            objects.read_any(line.split()[0])


def test_what_is_ours_is_packed_and_its_loose_copies_go(found: Repository, git: Git) -> None:
    theirs = loose(found)
    put_runs(found, 20, each=True)
    ours = loose(found) - theirs

    done = pack(found)

    assert done == Packed(objects=len(ours), packs=1)
    assert loose(found) == theirs, "what the user wrote lies where it lay"
    assert read_packs(found.home).packs[0].objects == len(ours)
    whole(git, found, 20)


def test_packing_again_does_nothing(found: Repository, git: Git) -> None:
    put_runs(found, 5)
    pack(found)
    before = packs(found)
    assert pack(found) == Packed(objects=0, packs=1)
    assert packs(found) == before
    whole(git, found, 5)


def test_the_commits_that_keep_code_alive_are_packed_and_the_code_itself_is_not(
    found: Repository, repo: Path, git: Git
) -> None:
    theirs = loose(found)
    put_runs(found, 1, code=git(repo, "rev-parse", "HEAD"))
    pack(found)
    assert loose(found) == theirs
    assert git(repo, "rev-parse", f"{CODE_REF}^1") == git(repo, "rev-parse", "HEAD")
    whole(git, found, 1)


def test_a_snapshot_is_packed_and_the_files_that_the_user_committed_are_not(
    found: Repository, repo: Path, git: Git
) -> None:
    theirs = loose(found)
    (repo / "train.py").write_text("print('changed')\n")
    state = worktree.look(found)
    taken = worktree.snapshot(found, state, identity=IDENTITY, now=0, forbidden=lambda *_: None)
    put_runs(found, 1, code=taken.commit)

    pack(found)

    assert loose(found) == theirs
    assert git(repo, "show", f"{taken.commit}:train.py") == "print('changed')"


def test_objects_that_wait_in_the_queue_stay_loose(found: Repository, git: Git) -> None:
    put_runs(found, 1)
    with GitObjects(found.common_dir) as objects:
        [waiting] = objects.write([("blob", b"of a run that nobody has folded yet")])
    pack(found)
    assert waiting in loose(found)


def test_a_pack_of_the_user_is_never_touched(found: Repository, repo: Path, git: Git) -> None:
    put_runs(found, 3)
    git(repo, "repack", "-adq")
    theirs = packs(found)
    for number in range(6):
        put_runs(found, 2 + number)
        pack(found, clock=at_time(1e9 * number), grace_seconds=0)
    assert theirs <= packs(found)
    assert not theirs & {each.name for each in read_packs(found.home).packs}
    whole(git, found, 3 + sum(range(2, 8)))


def test_the_number_of_packs_grows_as_the_logarithm_of_the_runs(found: Repository, git: Git) -> None:
    for number in range(16):
        put_runs(found, 2)
        pack(found, clock=at_time(1e6 * number), grace_seconds=0)
        assert len(packs(found)) <= 7, "at most five of a geometric row, and two that were just replaced"
    whole(git, found, 32)


def test_packs_are_joined_until_each_has_twice_what_the_smaller_ones_have() -> None:
    def sizes(*objects: int) -> list[int]:
        return [each.objects for each in _too_small([Pack(name=f"pack-{n}", objects=n) for n in objects])]

    assert sizes(10) == []
    assert sizes(10, 20) == []
    assert sizes(10, 19) == [10, 19]
    assert sizes(10, 20, 59) == [10, 20, 59]
    assert sizes(10, 20, 60) == []
    assert sizes(5, 6, 100, 1000) == [5, 6]


def test_a_replaced_pack_stays_for_those_who_read_it_and_goes_later(found: Repository, git: Git) -> None:
    put_runs(found, 3)
    pack(found, clock=lambda: 0)
    [first] = packs(found)
    put_runs(found, 3)
    pack(found, clock=lambda: 10)
    assert len(packs(found)) == 3
    pack(found, clock=lambda: 3000)
    assert first in packs(found)
    pack(found, clock=lambda: 3700)
    assert len(packs(found)) == 1
    whole(git, found, 6)


def test_a_reader_that_is_open_all_the_while_reads_on(found: Repository, git: Git) -> None:
    put_runs(found, 3)
    pack(found, clock=lambda: 0, grace_seconds=0)
    oids = [line.split()[0] for line in git(found.git_dir, "rev-list", "--objects", RUNS_REF).split("\n")]
    with GitObjects(found.common_dir) as objects:
        objects.read_any(oids[0])
        for moment in (10, 20, 30):
            put_runs(found, 3)
            pack(found, clock=at_time(moment), grace_seconds=0)
        newer = [line.split()[0] for line in git(found.git_dir, "rev-list", "--objects", RUNS_REF).split("\n")]
        kinds = {objects.read_any(oid)[0] for oid in newer}

    assert len(newer) > len(oids)
    assert kinds == {"commit", "tree", "blob"}


CUTS = [
    "os.rename",
    "fs.sync_directory",
    "fs.sync_file",
    "write_packs",
    "fs.remove_quietly",
    "git.run",
    "git.attempt",
]


@pytest.mark.parametrize("cut", CUTS)
def test_a_packing_that_is_cut_anywhere_loses_nothing_and_the_next_one_finishes(
    cut: str, found: Repository, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut before the first, the second, ... call of each act that changes something, until none is left to cut."""
    runs, at = 0, 0
    while True:
        put_runs(found, 2)
        runs += 2
        cuts = _cut_at(cut, at, monkeypatch)
        try:
            pack(found, clock=at_time(1e6 * at), grace_seconds=0)
        except KeyboardInterrupt:
            pass
        monkeypatch.undo()
        whole(git, found, runs)
        if not cuts():
            break
        at += 1 if at < 12 else 25
    pack(found, clock=lambda: 1e12, grace_seconds=0)
    known = {each.name for each in read_packs(found.home).packs}
    assert packs(found) == known, "no pack of ours is forgotten"
    assert len(loose(found)) == 3, "all that is left is the user's"
    assert not [*(found.home / "packing").glob("*")]
    whole(git, found, runs)


def _cut_at(name: str, at: int, monkeypatch: pytest.MonkeyPatch) -> Callable[[], bool]:
    """Let the call number `at` of a function stand for the moment of a kill; say later whether it came to that."""
    from gitrepro.store.pack import making

    owner, _, function = name.rpartition(".")
    place = getattr(making, owner) if owner else making
    real, calls = getattr(place, function), 0

    def counted(*args: object, **options: object) -> object:
        nonlocal calls
        calls += 1
        if calls > at:  # the process is gone: it does nothing more, its `finally` included
            raise KeyboardInterrupt
        return real(*args, **options)

    monkeypatch.setattr(place, function, counted)
    return lambda: calls > at


def test_a_process_that_is_killed_while_it_packs_loses_nothing(found: Repository, git: Git) -> None:
    put_runs(found, 60)
    program = (
        "import sys; from pathlib import Path; from gitrepro.store import repository;"
        "from gitrepro.store.pack.making import pack; print('go', flush=True);"
        "pack(repository.find(Path(sys.argv[1]), {}))"
    )
    for pause_seconds in (0.0, 0.02, 0.06):
        child = subprocess.Popen([sys.executable, "-c", program, str(found.work_tree)], stdout=subprocess.PIPE)
        assert child.stdout
        child.stdout.readline()
        time.sleep(pause_seconds)
        child.kill()
        child.wait()
        whole(git, found, 60)
    pack(found)
    assert len(loose(found)) == 3
    whole(git, found, 60)


def test_a_pack_that_is_not_what_was_written_is_not_used(
    found: Repository, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_runs(found, 3)
    before = loose(found)
    proven = _Packing._proven

    def spoiled(packing: _Packing, name: str) -> list[str]:
        path = found.home / "packing" / f"{name}.pack"
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.chmod(0o644)
        path.write_bytes(data)
        return proven(packing, name)

    monkeypatch.setattr(_Packing, "_proven", spoiled)
    with pytest.raises(GitreproError, match="is not what was written"):
        pack(found)
    assert loose(found) == before
    assert packs(found) == set()
    assert "is not what was written" in str(read_packs(found.home).trouble), "on record"
    monkeypatch.undo()
    assert pack(found).objects
    assert read_packs(found.home).trouble is None
    whole(git, found, 3)


@pytest.mark.parametrize(
    "content",
    [b"", b"garbage", b"format: 2\n", b"format: 1\n", None],
    ids=["empty", "garbage", "newer", "short", "gone"],
)
def test_without_its_list_packing_begins_anew_and_loses_nothing(
    found: Repository, git: Git, content: bytes | None
) -> None:
    put_runs(found, 3)
    pack(found)
    put_runs(found, 3)
    path = found.home / "packs.yaml"
    path.unlink() if content is None else path.write_bytes(content)
    pack(found)
    assert len(loose(found)) == 3
    whole(git, found, 6)


@pytest.mark.parametrize("name", ["../../../x", "pack-../x", "pack-a/b", "", "other"])
def test_a_list_that_names_other_files_than_packs_is_not_believed(found: Repository, name: str) -> None:
    found.home.mkdir()
    write_packs(found.home, Packs(packs=(Pack(name=name, objects=1),)))
    assert read_packs(found.home) == Packs()


def test_a_repack_of_the_user_takes_ours_in_and_packing_goes_on(found: Repository, repo: Path, git: Git) -> None:
    put_runs(found, 3)
    pack(found)
    git(repo, "repack", "-adq")
    git(repo, "prune-packed")
    put_runs(found, 3)
    pack(found)
    assert len(read_packs(found.home).packs) == 1
    whole(git, found, 6)


def test_while_a_gc_runs_nothing_is_packed(found: Repository) -> None:
    put_runs(found, 3)
    before = loose(found)
    (found.common_dir / "gc.pid").write_text(f"{os.getpid()} {os.uname().nodename}")
    assert rescue.running_gc(found)
    assert pack(found).why == "git gc is at work"
    assert loose(found) == before


def test_of_two_at_once_one_does_nothing(found: Repository) -> None:
    put_runs(found, 3)
    with fs.locked(found.home / "pack.lock"):
        program = (
            "import sys; from pathlib import Path; from gitrepro.store import repository;"
            "from gitrepro.store.pack.making import pack; print(pack(repository.find(Path(sys.argv[1]), {})).why)"
        )
        done = subprocess.run(
            [sys.executable, "-c", program, str(found.work_tree)], capture_output=True, text=True, check=True
        )
    assert done.stdout.strip() == "another process packs"


def test_writers_gc_repack_and_packing_side_by_side_lose_nothing(found: Repository, repo: Path, git: Git) -> None:
    writer = (
        "import sys; sys.path.insert(0, sys.argv[2]); from pathlib import Path;"
        "from gitrepro.store import repository; from tests.store.test_packing import put_runs;"
        "put_runs(repository.find(Path(sys.argv[1]), {}), 25, each=True)"
    )
    packer = (
        "import sys, time; from pathlib import Path; from gitrepro.store import repository;"
        "from gitrepro.store.pack.making import pack; found = repository.find(Path(sys.argv[1]), {})\n"
        "from gitrepro.errors import GitreproError\n"
        "for number in range(8):\n"
        "    try: pack(found)\n"
        "    except GitreproError as error: print(error)\n"
    )
    top = str(Path(__file__).parent.parent.parent)
    children = [subprocess.Popen([sys.executable, "-c", writer, str(repo), top]) for _ in range(3)]
    children.append(subprocess.Popen([sys.executable, "-c", packer, str(repo)]))
    while any(child.poll() is None for child in children):
        subprocess.run(["git", "gc", "--quiet"], cwd=repo, capture_output=True)
        subprocess.run(["git", "repack", "-adq"], cwd=repo, capture_output=True)
    assert [child.returncode for child in children] == [0] * 4
    fold(found, identity=IDENTITY)
    pack(found)
    whole(git, found, 75)


# -- when


def scatter(found: Repository, count: int) -> None:
    """Files that look like loose objects in the folder by which Git counts."""
    folder = found.common_dir / "objects" / "17"
    folder.mkdir(exist_ok=True)
    for number in range(count):
        (folder / f"{number:038x}").touch()


@pytest.mark.parametrize(
    ("limit", "left", "there", "expected"),
    [
        (6700, 0, 8, False),
        (6700, 0, 9, True),
        (6700, 20, 21, False),
        (6700, 20, 22, True),  # what others left loose brings Git's gc nearer
        (6700, 40, 48, False),  # Git's gc is due for them whatever we do
        (6700, 40, 49, True),
        (100, 0, 1, False),
        (100, 0, 2, True),
    ],
)
def test_packing_is_due_well_before_gits_own(
    found: Repository, limit: int, left: int, there: int, expected: bool
) -> None:
    found.home.mkdir()
    write_packs(found.home, Packs(limit=limit, left=left))
    scatter(found, there)
    assert loose_sample(found.common_dir) == there
    assert is_due(found) is expected


def test_the_limit_is_what_the_user_set(found: Repository, repo: Path, git: Git) -> None:
    put_runs(found, 1)
    pack(found)
    assert read_packs(found.home).limit == 6700
    for value, limit in (("300", 300), ("0", 6700)):
        git(repo, "config", "gc.auto", value)
        pack(found)
        assert read_packs(found.home).limit == limit


def test_of_many_writers_one_starts_a_packing(found: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    found.home.mkdir()
    scatter(found, 30)
    started: list[Repository] = []

    def start(repository: Repository) -> bool:
        started.append(repository)
        return True

    monkeypatch.setattr(due, "_start", start)
    assert [start_if_due(found) for _ in range(3)] == [True, False, False]
    assert len(started) == 1


def test_a_packing_that_cannot_be_started_hurts_nobody(found: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    scatter(found, 30)
    (found.home).write_text("a file where the folder should be")
    assert start_if_due(found) is False


def test_a_thousand_runs_never_let_gits_own_gc_begin(found: Repository, repo: Path, git: Git) -> None:
    """A smaller `gc.auto` stands for more runs: at 2,048 objects Git would begin after some 250 runs of this kind."""
    git(repo, "config", "gc.auto", "2048")
    pack(found)
    for _ in range(50):
        put_runs(found, 20)
        if is_due(found):
            pack(found)  # what the background process does
        assert loose_sample(found.common_dir) <= 8, "above 2,048 / 256 in one folder Git begins"
    done = subprocess.run(["git", "gc", "--auto"], cwd=repo, capture_output=True, text=True, check=True)
    assert done.stderr == "", "it says what it does, when it does something"
    assert len(packs(found)) <= 20
    assert sum(path.stat().st_size for path in (found.common_dir / "objects").rglob("pack-*.pack")) < 1000 * 1500
    whole(git, found, 1000)


def test_without_packing_gits_own_gc_begins(found: Repository, repo: Path, git: Git) -> None:
    """The test above can fail."""
    git(repo, "config", "gc.auto", "512")
    git(repo, "config", "gc.autoDetach", "false")
    put_runs(found, 400)
    done = subprocess.run(["git", "gc", "--auto"], cwd=repo, capture_output=True, text=True, check=True)
    assert "Auto packing the repository" in done.stderr


def test_a_fold_starts_the_packing_by_itself_in_the_background(found: Repository, repo: Path, git: Git) -> None:
    git(repo, "config", "gc.auto", "256")
    write_packs_home(found)
    while not is_due(found):
        put_runs(found, 20)
    put_runs(found, 1)
    deadline = time.monotonic() + 60
    while not read_packs(found.home).packs and time.monotonic() < deadline:
        time.sleep(0.05)
    assert read_packs(found.home).packs
    with fs.locked(found.home / "pack.lock"):  # until it is over
        assert git(found.git_dir, "fsck", "--no-dangling") == ""


def write_packs_home(found: Repository) -> None:
    found.home.mkdir(exist_ok=True)
    write_packs(found.home, Packs(limit=256))
