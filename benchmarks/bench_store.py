"""The content store beside what people would use without it: one large file, many small ones, again, and back out.

`BENCH_FILES` and `BENCH_LARGE_MIB` say how many small files and how large a file, 100,000 and 2,048 by default;
`BENCH_STORE` names the folder to work in, a disk and not memory. Where loop devices can be mounted, the work is done on
an ext4 and an XFS made for it: ext4 passes over inodes that were freed in the last five minutes, one by one, so on a
disk that was in use the price of a new file is anything from 15 to 300 µs.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import blake3

from benchmarks.measure import Open, Times, child_cpu_ms, in_turns, own_cpu_ms, report, row
from gitrepro.store.ingest import add_tree
from gitrepro.store.objects import BlobStore
from gitrepro.store.restore import restore_tree
from gitrepro.store.statcache import StatCache

FILES = int(os.environ.get("BENCH_FILES", "100000"))
LARGE_MIB = int(os.environ.get("BENCH_LARGE_MIB", "2048"))
FILE_BYTES = 8 << 10
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
LARGE_ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
MIB = 1 << 20


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="gitrepro-bench-store-", dir=os.environ.get("BENCH_STORE")) as name:
        with fresh(Path(name), "ext4") as disk:
            large_file(disk or Path(name), where="")
        with fresh(Path(name), "ext4") as disk:
            small_files(disk or Path(name))
        with fresh(Path(name), "xfs") as disk:
            if disk is not None:
                large_file(disk, where=", XFS with reflink")


# -- one large file


def large_file(work: Path, *, where: str) -> None:
    source = work / "large.bin"
    with open(source, "wb") as file:
        for _ in range(LARGE_MIB):
            file.write(os.urandom(MIB))
    data = source.read_bytes()
    floors, hashes = in_turns(lambda: hashed_in_memory(data), lambda: put(work, source, link=True), rounds=LARGE_ROUNDS)
    report(row(f"hash {LARGE_MIB} MiB in place{where}", hashes, floors=floors, budget=Times(1.5)))
    if where:
        floors, adds = in_turns(lambda: hashed_in_memory(data), lambda: put(work, source), rounds=LARGE_ROUNDS)
        report(row(f"add {LARGE_MIB} MiB, beside in-memory BLAKE3{where}", adds, floors=floors, budget=Times(1.5)))
    else:
        floors, adds = in_turns(lambda: hash_and_copy(work, source), lambda: put(work, source), rounds=LARGE_ROUNDS)
        report(row(f"add {LARGE_MIB} MiB, beside hash + copy", adds, floors=floors, budget=Times(1.15)))
    source.unlink()


def hashed_in_memory(data: bytes) -> float:
    return own_cpu_ms(lambda: blake3.blake3(data).digest())


def hash_and_copy(work: Path, source: Path) -> float:
    """Hash a file in memory of one mebibyte, then let the kernel copy it: two passes of what is there already."""

    def act() -> None:
        sums, view = blake3.blake3(), memoryview(bytearray(MIB))
        with open(source, "rb", buffering=0) as reader:
            while count := reader.readinto(view):
                sums.update(view[:count])
        shutil.copyfile(source, work / "copy")

    cpu_ms = own_cpu_ms(act)
    (work / "copy").unlink()
    return cpu_ms


def put(work: Path, source: Path, *, link: bool = False) -> float:
    root = work / "store-large"
    store, cache = BlobStore(root), StatCache(work / "large.sqlite")
    cpu_ms = own_cpu_ms(lambda: add_tree(store, cache, source, link=link))
    store.close()
    clear(root, work / "large.sqlite")
    return cpu_ms


# -- many small files


def small_files(work: Path) -> None:
    source = work / "small"
    spread(source)
    adding(work, source)
    beside_peers(work)
    adding_again(work, source)
    restoring(work, source)


def spread(source: Path, count: int = FILES) -> None:
    for number in range(count):
        folder = source / f"{number // 1000:03d}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number:06d}.bin").write_bytes(os.urandom(FILE_BYTES))


def adding(work: Path, source: Path) -> None:
    floors, adds = in_turns(lambda: git_add(work, source), lambda: add_new(work, source), rounds=ROUNDS, warm_up=0)
    report(row(f"add {FILES:,} × 8 KiB, beside git add", adds, floors=floors, budget=Times(0.25)))
    tars = [child_cpu_ms(["tar", "-cf", str(work / "t.tar"), "-C", str(source), "."]) for _ in range(ROUNDS)]
    report(row(f"add {FILES:,} × 8 KiB, beside tar -c", adds, floors=tars, budget=Open()))
    (work / "t.tar").unlink()
    if shutil.which("restic"):
        restics = [restic(work, source) for _ in range(ROUNDS)]
        report(row(f"add {FILES:,} × 8 KiB, beside restic backup", adds, floors=restics, budget=Times(0.25)))


def beside_peers(work: Path) -> None:
    """Those that take minutes for 100,000 files are given a tenth of them."""
    source, count = work / "fewer", max(1, FILES // 10)
    spread(source, count)
    for name, add in PEERS.items():
        if shutil.which(name) is None:
            continue
        floors, adds = in_turns(lambda add=add: add(work, source), lambda: add_new(work, source), rounds=1, warm_up=0)  # type: ignore[misc]
        report(row(f"add {count:,} × 8 KiB, beside {name} add", adds, floors=floors, budget=Times(0.25)))
    clear(source)


def dvc(work: Path, source: Path) -> float:
    project = work / "dvc-project"
    shutil.copytree(source, project / "data")
    environ = {**os.environ, "DVC_NO_ANALYTICS": "1", "DVC_GLOBAL_CONFIG_DIR": str(work / "dvc-config")}
    environ["DVC_SITE_CACHE_DIR"] = str(work / "dvc-cache")
    subprocess.run(["dvc", "init", "--no-scm", "--quiet"], cwd=project, env=environ, check=True)
    cpu_ms = child_cpu_ms(["dvc", "add", "--quiet", "data"], cwd=project, env=environ)
    clear(project, work / "dvc-config", work / "dvc-cache")
    return cpu_ms


def annex(work: Path, source: Path) -> float:
    project = work / "annex-project"
    shutil.copytree(source, project / "data")
    environ = {**os.environ, "GIT_AUTHOR_NAME": "x", "GIT_AUTHOR_EMAIL": "x", "GIT_COMMITTER_NAME": "x"}
    environ["GIT_COMMITTER_EMAIL"] = "x"
    for argv in (["git", "init", "--quiet"], ["git", "annex", "init", "--quiet", "x"]):
        subprocess.run(argv, cwd=project, env=environ, check=True, capture_output=True)
    cpu_ms = child_cpu_ms(["git", "annex", "add", "--quiet", "data"], cwd=project, env=environ)
    subprocess.run(["chmod", "-R", "u+w", str(project)], check=True)
    clear(project)
    return cpu_ms


PEERS = {"dvc": dvc, "git-annex": annex}


def git_add(work: Path, source: Path) -> float:
    git_dir = work / "floor.git"
    subprocess.run(["git", "init", "--quiet", "--bare", str(git_dir)], check=True)
    environ = {**os.environ, "GIT_DIR": str(git_dir), "GIT_WORK_TREE": str(source)}
    cpu_ms = child_cpu_ms(["git", "add", "."], cwd=source, env=environ)
    clear(git_dir)
    return cpu_ms


def restic(work: Path, source: Path) -> float:
    environ = {**os.environ, "RESTIC_PASSWORD": "x", "RESTIC_REPOSITORY": str(work / "restic")}
    subprocess.run(["restic", "init", "--quiet"], env=environ, check=True, stdout=subprocess.DEVNULL)
    cpu_ms = child_cpu_ms(["restic", "backup", "--quiet", "--no-cache", str(source)], env=environ)
    clear(work / "restic")
    return cpu_ms


def add_new(work: Path, source: Path) -> float:
    root, cache = work / "store-new", work / "new.sqlite"
    with opened(root, cache) as (store, known):
        cpu_ms = own_cpu_ms(lambda: add_tree(store, known, source))
    clear(root, cache)
    return cpu_ms


def adding_again(work: Path, source: Path) -> None:
    with opened(work / "store", work / "kept.sqlite") as (store, cache):
        add_tree(store, cache, source)
        settle()
        add_tree(store, cache, source)

        def again() -> float:
            return own_cpu_ms(lambda: add_tree(store, cache, source))

        floors, values = in_turns(lambda: own_cpu_ms(lambda: walked(source)), again, rounds=5)
    report(row(f"add {FILES:,} files again, unchanged, beside walk + stat", values, floors=floors, budget=Times(2)))
    gits = git_add_again(work, source)
    report(row(f"add {FILES:,} files again, beside git add", values[: len(gits)], floors=gits, budget=Times(5)))


def settle() -> None:
    """Let two seconds pass since the last write: younger files are not believed to be unchanged."""
    subprocess.run(["sleep", "2.5"], check=True)


def walked(source: Path) -> int:
    def files(folder: str) -> Iterator[os.stat_result]:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    yield from files(entry.path)
                else:
                    yield entry.stat(follow_symlinks=False)

    return sum(found.st_size for found in files(str(source)))


def git_add_again(work: Path, source: Path) -> list[float]:
    git_dir = work / "again.git"
    subprocess.run(["git", "init", "--quiet", "--bare", str(git_dir)], check=True)
    environ = {**os.environ, "GIT_DIR": str(git_dir), "GIT_WORK_TREE": str(source)}
    subprocess.run(["git", "add", "."], cwd=source, env=environ, check=True)
    found = [child_cpu_ms(["git", "add", "."], cwd=source, env=environ) for _ in range(ROUNDS)]
    clear(git_dir)
    return found


def restoring(work: Path, source: Path) -> None:
    """From a cold cache, as data is restored that was not in use; and warm, where all that counts is to make files."""
    with opened(work / "store", work / "kept.sqlite") as (store, cache):
        digest = add_tree(store, cache, source).tree.digest
        places = (work / "laid-out" / str(number) for number in itertools.count())  # nothing is removed, see above

        def ours() -> float:
            target, known = next(places), StatCache(work / "out.sqlite")
            return own_cpu_ms(lambda: restore_tree(store, known, digest, target))

        def copied() -> float:
            target = next(places)
            target.parent.mkdir(exist_ok=True)
            return child_cpu_ms(["cp", "-r", str(source), str(target)])

        for how, before in (("", lambda: True), (", cold", cold)):
            if not before():
                continue
            floors, values = in_turns(after(before, copied), after(before, ours), rounds=ROUNDS, warm_up=0)
            report(row(f"restore {FILES:,} × 8 KiB{how}, beside cp -r", values, floors=floors, budget=Times(1.0)))


def after(before: Callable[[], object], act: Callable[[], float]) -> Callable[[], float]:
    """What `act` measures, `before` done first."""

    def both() -> float:
        before()
        return act()

    return both


def cold() -> bool:
    """Let the kernel forget what it keeps of files; whether it may be told to."""
    os.sync()
    try:
        Path("/proc/sys/vm/drop_caches").write_text("3")
    except OSError:
        return False
    return True


@contextmanager
def opened(root: Path, cache: Path) -> Iterator[tuple[BlobStore, StatCache]]:
    store = BlobStore(root)
    try:
        yield store, StatCache(cache)
    finally:
        store.close()


def clear(*paths: Path) -> None:
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            for beside in path.parent.glob(f"{path.name}*"):
                beside.unlink()


# -- file systems made for it


@contextmanager
def fresh(work: Path, kind: str) -> Iterator[Path | None]:
    """A new file system on a loop device, or None where that cannot be made."""
    image, place = work / f"{kind}.img", work / kind
    place.mkdir(exist_ok=True)
    with open(image, "wb") as file:
        file.truncate((LARGE_MIB * 4 + FILES // 4 + 1024) * MIB)
    options = {"ext4": ["-F", "-i", "8192"], "xfs": ["-m", "reflink=1"]}[kind]
    steps: list[list[str]] = [[f"mkfs.{kind}", "-q", *options, str(image)]]
    steps += [["mount", "-o", "loop", str(image), str(place)]]
    if shutil.which(f"mkfs.{kind}") is None or any(map(_fails, steps)):
        image.unlink()
        yield None
        return
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)
        image.unlink()


def _fails(argv: list[str]) -> bool:
    return subprocess.run(argv, capture_output=True).returncode != 0


if __name__ == "__main__":
    main()
