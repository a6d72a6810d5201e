"""Collection: what nothing names goes in two steps; what somebody wants stays, whenever they come to want it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import combinations_with_replacement
from pathlib import Path

import pytest

from gitrepro.errors import Damaged, StorageError
from gitrepro.store.gc import GRACE_SECONDS, Plan, Swept, look, sweep, the_only_one
from gitrepro.store.objects import BlobStore, digest_of
from gitrepro.store.place import prepare
from gitrepro.store.reach import reach
from tests.store.stores import (
    DAY,
    age,
    age_all,
    age_trash,
    files_of,
    large,
    plain_file,
    plain_pack,
    put_large,
    put_packed,
    put_pieces,
    put_tree,
    raw,
    spoil,
    truncate,
)


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "store")


def plan(store: BlobStore, *needed: str, now: float | None = None, grace: float = GRACE_SECONDS) -> Plan:
    alive = reach(store, map(raw, needed))
    return look(store, alive, began=time.time() if now is None else now, grace_seconds=grace)


def collect(store: BlobStore, *needed: str) -> Swept:
    began = time.time()
    return sweep(store, plan(store, *needed, now=began), began=began)


def trashed(store: BlobStore) -> list[Path]:
    return sorted(path for path in (store.root / "trash").rglob("*") if path.is_file())


# -- what goes and what stays


def test_what_nothing_names_goes_to_the_trash_and_a_day_later_for_good(store: BlobStore) -> None:
    dead, alive = put_large(store, 1), put_large(store, 2)
    age_all(store)
    done = collect(store, alive)
    assert (done.taken, done.taken_bytes) == (1, len(large(1)))
    assert dead not in store
    assert store.get(alive) == large(2)
    assert len(trashed(store)) == 1
    collect(store, alive)
    assert len(trashed(store)) == 1, "not on the same day"
    age_trash(store)
    assert collect(store, alive).deleted_bytes == len(large(1))
    assert trashed(store) == []
    assert list((store.root / "trash").iterdir()) == []


def test_what_is_young_stays(store: BlobStore) -> None:
    dead = put_large(store)
    age_all(store, days=13.9)
    found = plan(store)
    assert (found.dead, found.spared) == (0, 1)
    collect(store)
    assert dead in store


@pytest.mark.parametrize("grace", [0.0, -5.0, 60.0])
def test_no_grace_is_shorter_than_an_hour(store: BlobStore, grace: float) -> None:
    put_large(store)
    age_all(store, days=50 / (24 * 60))
    assert plan(store, grace=grace).dead == 0
    age_all(store, days=70 / (24 * 60))
    assert plan(store, grace=grace).dead == 1


def test_files_of_a_tree_live_through_the_tree_and_pieces_through_their_file(store: BlobStore) -> None:
    tree = put_tree(store, {"a": b"one", "b": large(1)})
    whole = put_pieces(store, large(2), large(3))
    age_all(store)
    assert plan(store, tree, whole).dead == 0
    collect(store, tree, whole)
    store.verify(whole)
    assert store.get(digest_of([b"one"])) == b"one"


def test_a_file_in_pieces_that_nothing_names_goes_with_its_pieces_and_leaves_those_of_others(store: BlobStore) -> None:
    dead = put_pieces(store, large(1), large(2))
    alive = put_pieces(store, large(2), large(3))
    age_all(store)
    collect(store, alive)
    assert dead not in store
    assert digest_of([large(1)]) not in store
    store.verify(alive)


def test_a_pack_of_which_nothing_is_needed_goes(store: BlobStore) -> None:
    put_packed(store, b"one", b"two")
    age_all(store)
    found = plan(store)
    assert (found.dead, found.dead_bytes) == (2, 6)
    collect(store)
    assert list((store.root / "packs").iterdir()) == []
    assert digest_of([b"one"]) not in store


def test_a_pack_of_which_little_is_needed_is_written_anew(store: BlobStore) -> None:
    alive, *_ = put_packed(store, b"a" * 100, b"b" * 150, b"c" * 150)
    [old] = (store.root / "packs").iterdir()
    age_all(store)
    assert collect(store, alive).repacked == 1
    assert store.get(alive) == b"a" * 100
    assert digest_of([b"b" * 150]) not in store
    [new] = (store.root / "packs").iterdir()
    assert new.stat().st_size < old.stat().st_size if old.exists() else new != old


def test_a_pack_of_which_most_is_needed_stays_as_it_is(store: BlobStore) -> None:
    first, second, _ = put_packed(store, b"a" * 100, b"b" * 100, b"c" * 100)
    age_all(store)
    found = plan(store, first, second)
    assert found.packs == ()
    assert (found.kept, found.spared) == (2, 1)


def test_many_small_packs_become_one(store: BlobStore) -> None:
    digests = [put_packed(store, bytes([number]) * 50)[0] for number in range(20)]
    age_all(store)
    collect(store, *digests)
    assert len(list((store.root / "packs").iterdir())) == 1
    assert [store.get(digest) for digest in digests] == [bytes([number]) * 50 for number in range(20)]
    age_all(store)
    assert plan(store, *digests).is_empty, "it is done once"


def test_many_small_files_become_a_pack(store: BlobStore) -> None:
    digests = [store.put(bytes([number]) * 50) for number in range(20)]
    age_all(store)
    collect(store, *digests)
    assert list(store.root.glob("objects/??/*")) == []
    assert [store.get(digest) for digest in digests] == [bytes([number]) * 50 for number in range(20)]
    assert collect(store, *digests).repacked == 0


def test_two_packs_with_the_same_blob_become_one(store: BlobStore) -> None:
    """A collection was killed after it had written a pack anew and before the old one was gone."""
    digests = put_packed(store, b"one" * 20, b"two" * 20)
    with store.batch() as batch:
        batch.put_anew(raw(digests[0]), b"one" * 20)
    age_all(store)
    collect(store, *digests)
    assert len(list((store.root / "packs").iterdir())) == 1
    assert store.get(digests[0]) == b"one" * 20
    age_all(store)
    assert plan(store, *digests).is_empty


def test_a_blob_that_is_damaged_in_its_pack_is_told_and_the_pack_stays(store: BlobStore) -> None:
    alive, *_ = put_packed(store, b"a" * 100, b"b" * 150, b"c" * 150)
    [pack] = (store.root / "packs").iterdir()
    entry = store.index.find(raw(alive))
    assert entry is not None
    spoil(pack, at=entry.offset)
    age_all(store)
    began = time.time()
    done = sweep(store, look(store, {raw(alive)}, began=began, grace_seconds=GRACE_SECONDS), began=began)
    assert "verify --full" in done.damaged[0].do
    assert pack.exists()


def test_a_pack_without_a_table_stops_it(store: BlobStore) -> None:
    put_packed(store, b"one", b"two")
    [pack] = (store.root / "packs").iterdir()
    truncate(pack, 40)
    age_all(store)
    with pytest.raises(Damaged, match="not known which blobs it holds"):
        plan(store)
    assert pack.exists()


def test_quarantine_is_never_touched(store: BlobStore) -> None:
    (store.root / "quarantine").mkdir(parents=True)
    kept = store.root / "quarantine" / f"{'0' * 64}-12345678"
    kept.write_bytes(b"wrong")
    age([kept], days=900)
    collect(store)
    assert kept.read_bytes() == b"wrong"


def test_what_does_not_belong_there_is_left_alone(store: BlobStore) -> None:
    put_large(store)
    stray = store.root / "objects" / "ab" / "notes.txt"
    stray.parent.mkdir(exist_ok=True)
    stray.write_text("mine")
    (store.root / "objects" / "README").write_text("mine")
    age([*files_of(store), stray], days=900)
    collect(store)
    assert stray.read_text() == "mine"


def test_a_store_that_is_not_there_has_nothing_to_collect(store: BlobStore) -> None:
    assert plan(store).is_empty
    assert not store.root.exists()


# -- leftovers of writers


def test_what_a_dead_writer_left_goes_after_a_day(store: BlobStore) -> None:
    incoming = store.root / "incoming"
    (incoming / ".tmp-batch-999999999-0123456789ab").mkdir(parents=True)
    (incoming / ".tmp-batch-999999999-0123456789ab" / "1").write_bytes(b"half")
    (incoming / ".tmp-blob-999999999-0123456789ab").write_bytes(b"half")
    (incoming / f".tmp-blob-{os.getpid()}-0123456789ab").write_bytes(b"half")
    assert plan(store).stale == ()
    age(incoming.rglob("*"), days=1.5)
    assert len(plan(store).stale) == 2
    collect(store)
    assert [path.name for path in incoming.iterdir()] == [f".tmp-blob-{os.getpid()}-0123456789ab"]


def test_in_a_shared_store_a_writer_elsewhere_has_a_week(store: BlobStore) -> None:
    left = store.root / "incoming" / ".tmp-blob-999999999-0123456789ab"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    for days, count in ((5, 0), (8, 1)):
        age([left], days=days)
        assert len(look(store, set(), began=time.time(), grace_seconds=GRACE_SECONDS, shared=True).stale) == count


# -- the trash


@pytest.mark.parametrize("kind", ["loose", "pack", "pieces"])
def test_what_a_record_names_after_all_comes_back_from_the_trash(store: BlobStore, kind: str) -> None:
    digest = {
        "loose": lambda: put_large(store),
        "pack": lambda: put_packed(store, b"one", b"two")[0],
        "pieces": lambda: put_pieces(store, large(1), large(2)),
    }[kind]()
    age_all(store)
    collect(store)
    assert digest not in store
    age_trash(store)
    for _ in range(3):  # a recipe first, and then what it names
        collect(store, digest)
    store.verify(digest)


def test_what_others_retire_is_deleted_a_day_later_and_not_put_back_for_being_young(store: BlobStore) -> None:
    """A checkpoint that another one has taken the place of goes to the trash as young as it is."""
    from gitrepro.store.objects.retire import retire

    digest = put_large(store)
    path = store.path(digest)
    retire(path, seen_mtime_ns=path.stat().st_mtime_ns, trash=store.root / "trash")
    assert plan(store).wanted == ()
    assert len(plan(store, digest).wanted) == 1
    assert plan(store).expired == ()
    assert len(plan(store, now=time.time() + 2 * DAY).expired) == 1


# -- while others write

STEPS = ("look", "rename", "look again", "put back", "end")
Writer = Iterator[None]


class Others:
    """Writers who find a blob here, publish, and refer to it, each at a given step of the collection."""

    def __init__(self, store: BlobStore) -> None:
        self.store = store
        self.waiting: dict[Path, tuple[tuple[int, ...], Writer]] = {}
        self.passed: dict[Path, int] = {}
        self.referred: set[str] = set()

    def will_want(self, path: Path, data: bytes, at: tuple[int, ...], pieces: tuple[bytes, ...] = ()) -> None:
        self.waiting[path] = at, self._writer(data, pieces)

    def _writer(self, data: bytes, pieces: tuple[bytes, ...]) -> Writer:
        with self.store.batch() as batch:
            digest = batch.put(data)
            yield
        yield
        self.referred.add(digest)
        yield

    def come(self, step: str, path: Path) -> None:
        at, writer = self.waiting.get(path, ((), iter(())))
        now = STEPS.index(step)
        while self.passed.get(path, 0) < len(at) and at[self.passed.get(path, 0)] <= now:
            next(writer)
            self.passed[path] = self.passed.get(path, 0) + 1

    def finish(self) -> None:
        for path in self.waiting:
            self.come("end", path)

    def lost(self) -> list[str]:
        return [digest for digest in self.referred if digest not in self.store]


SCHEDULES = list(combinations_with_replacement(range(len(STEPS)), 3))
"""At which step each of the three acts of a writer is done: to find, to publish, to refer."""


def immediately(store: BlobStore, found: Plan, others: Others) -> None:
    """The control: what nothing names is deleted at once."""
    for old in (*found.blobs, *(pack.old for pack in found.packs)):
        others.come("look", old.path)
        others.come("rename", old.path)
        old.path.unlink()
        others.come("look again", old.path)
    store.index.refresh()


def carefully(store: BlobStore, found: Plan, others: Others) -> None:
    sweep(store, found, began=time.time(), between=others.come)


def with_writers(root: Path, number: int, act: Callable[[BlobStore, Plan, Others], None]) -> Others:
    """A store of old blobs, alone and in packs; for each of them a writer with a schedule of its own."""
    store = BlobStore(root)
    others = Others(store)
    for at, schedule in enumerate(SCHEDULES):
        data = f"{number} {at}".encode() * 9
        path = plain_file(store, data) if (at + number) % 2 else plain_pack(store, data)
        others.will_want(path, data, schedule)
    age_all(store)
    act(store, look(store, set(), began=time.time(), grace_seconds=GRACE_SECONDS), others)
    others.finish()
    return others


def test_thousands_of_writers_who_come_at_any_step_lose_nothing(tmp_path: Path) -> None:
    schedules = 0
    for number in range(60):
        others = with_writers(tmp_path / str(number), number, carefully)
        assert others.lost() == []
        assert len(others.referred) == len(SCHEDULES)
        schedules += len(others.referred)
    assert schedules >= 2000


def test_a_collection_that_deletes_at_once_loses_what_those_writers_want(tmp_path: Path) -> None:
    assert with_writers(tmp_path / "store", 0, immediately).lost() != []


def test_a_writer_of_a_file_in_pieces_loses_none_of_them(tmp_path: Path) -> None:
    for number, step in enumerate(STEPS):
        store = BlobStore(tmp_path / str(number))
        whole = put_pieces(store, large(1), large(2))
        age_all(store)
        came: list[str] = []

        def come(now: str, _path: Path, step: str = step, came: list[str] = came, store: BlobStore = store) -> None:
            if now == step and not came:
                came.append(put_pieces(store, large(1), large(2)))

        began = time.time()
        found = look(store, set(), began=began, grace_seconds=GRACE_SECONDS)
        sweep(store, found, began=began, between=come)
        if not came:
            put_pieces(store, large(1), large(2))
        assert store.verify(whole) == len(large(1)) + len(large(2))


def test_a_writer_who_finds_a_dead_blob_of_a_pack_that_is_written_anew_keeps_it(store: BlobStore) -> None:
    alive, dead, _ = put_packed(store, b"a" * 100, b"b" * 150, b"c" * 150)
    age_all(store)
    for step in STEPS:
        began = time.time()

        def come(now: str, _path: Path, step: str = step) -> None:
            if now == step:
                put_packed(store, b"b" * 150)

        found = look(store, {raw(alive)}, began=began, grace_seconds=GRACE_SECONDS)
        sweep(store, found, began=began, between=come)
        put_packed(store, b"b" * 150)
        assert store.get(alive) == b"a" * 100
        assert store.get(dead) == b"b" * 150
        age_all(store)


def test_processes_that_write_all_the_while_lose_nothing(tmp_path: Path, seed: int) -> None:
    """No schedule but the machine's: writers put old blobs again and again, and refer to them a moment later."""
    root = tmp_path / "store"
    store = BlobStore(root)
    blobs = [f"blob {number}".encode() * 40 for number in range(40)]
    for blob in blobs[:20]:
        store.put(blob)
    put_packed(store, *blobs[20:])
    script = """
import random, sys, time
from pathlib import Path
from gitrepro.store.objects import BlobStore
root, refs, seed = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
store, random = BlobStore(root), random.Random(seed)
blobs = [f"blob {number}".encode() * 40 for number in range(40)]
until = time.monotonic() + 2
while time.monotonic() < until:
    with store.batch() as batch:
        digest = batch.put(random.choice(blobs))
    time.sleep(random.random() * 0.01)
    (refs / digest).touch()
"""
    (tmp_path / "refs").mkdir()
    args = [sys.executable, "-c", script, str(root), str(tmp_path / "refs")]
    writers = [subprocess.Popen([*args, str(seed + number)]) for number in range(2)]
    while any(writer.poll() is None for writer in writers):
        began = time.time()
        # What is referred to is not collected; all else is made old, as if nobody had wanted it for weeks.
        referred = {path.name for path in (tmp_path / "refs").iterdir()}
        needed = {raw(digest) for digest in referred}
        old = [path for path in files_of(store) if path.exists() and path.stat().st_mtime < began - 0.2]
        for path in old:
            try:
                seen = path.stat()
                if seen.st_mtime < began - 0.2:
                    os.utime(path, (began - 30 * DAY, began - 30 * DAY))
            except FileNotFoundError:
                continue
        sweep(store, look(store, needed, began=began, grace_seconds=GRACE_SECONDS), began=began)
    referred = {path.name for path in (tmp_path / "refs").iterdir()}
    collect(store, *referred)
    assert [digest for digest in referred if digest not in BlobStore(root)] == []


@pytest.mark.skipif(os.geteuid() != 0, reason="needs two users")
def test_what_another_user_wants_meanwhile_goes_back_though_it_may_not_be_linked() -> None:
    """Linux lets nobody link files of others that they cannot write."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        store = BlobStore(Path(folder, "store"))
        prepare(store.root, shared=True)
        path = plain_file(store, large(1))
        age_all(store)
        for place in (store.root, *store.root.rglob("*")):
            if place.is_dir():
                os.chown(place, 0, 65534)
                place.chmod(0o2775)
        asked, answered = os.pipe(), os.pipe()
        child = os.fork()
        if child == 0:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)

            def come(step: str, _path: Path) -> None:
                if step == "rename":
                    os.write(asked[1], b"x")
                    os.read(answered[0], 1)

            began = time.time()
            theirs = BlobStore(store.root)
            done = sweep(theirs, look(theirs, set(), began=began, grace_seconds=0), began=began, between=come)
            os._exit(0 if done.spared == 1 and not done.taken else 1)
        os.read(asked[0], 1)
        assert store.put(large(1)) in store
        os.write(answered[1], b"x")
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert path.read_bytes() == large(1)


# -- killed


def test_killed_at_any_point_the_next_one_ends_it(tmp_path: Path, seed: int) -> None:
    script = """
import sys, time
from pathlib import Path
from gitrepro.store.gc import look, sweep
from gitrepro.store.objects import BlobStore
store = BlobStore(Path(sys.argv[1]))
needed = {bytes.fromhex(each) for each in sys.argv[2].split(",")}
began = time.time()
found = look(store, needed, began=began, grace_seconds=0)
print("ready", flush=True)
sweep(store, found, began=began)
"""
    draw = random.Random(seed)
    for number in range(8):
        store = BlobStore(tmp_path / str(number))
        for at in range(6):
            plain_pack(store, f"{at} keep".encode(), *(f"{at} {more}".encode() * 9 for more in range(9)))
        alive = [digest_of([f"{at} keep".encode()]) for at in range(6)]
        alive += [put_large(store, 1), put_pieces(store, large(2), large(3))]
        for at in range(10, 20):
            plain_file(store, large(at))
        age_all(store)
        needed = reach(store, map(raw, alive))
        args = [sys.executable, "-c", script, str(store.root), ",".join(name.hex() for name in needed)]
        with subprocess.Popen(args, stdout=subprocess.PIPE) as child:
            assert child.stdout
            child.stdout.readline()
            time.sleep(draw.random() * 0.05)
            child.send_signal(signal.SIGKILL)
        age_all(store)
        age_trash(store)
        collect(store, *alive)
        assert [store.verify(digest) > 0 for digest in alive] == [True] * len(alive)
        age_all(store)
        age_trash(store)
        collect(store, *alive)
        assert {raw(digest) for digest in store.names()} == needed
        assert trashed(store) == []


def test_killed_between_rename_and_put_back_what_was_wanted_comes_back(store: BlobStore) -> None:
    digest = put_large(store)
    age_all(store)

    class Killed(Exception):
        pass

    def come(step: str, _path: Path) -> None:
        if step == "rename":
            assert put_large(store) == digest
        if step == "put back":
            raise Killed

    began = time.time()
    with pytest.raises(Killed):
        sweep(store, look(store, set(), began=began, grace_seconds=GRACE_SECONDS), began=began, between=come)
    assert digest not in store
    assert collect(store).put_back == 1, "before anything refers to it"
    assert store.get(digest) == large(0)


def test_two_collections_do_not_meet_and_nothing_needs_unlocking(store: BlobStore) -> None:
    with the_only_one(store.root), pytest.raises(StorageError, match="is being collected"):
        subprocess_lock(store.root)
    subprocess_lock(store.root)


def subprocess_lock(root: Path) -> None:
    script = "import sys; from pathlib import Path; from gitrepro.store.gc import the_only_one\n"
    script += "with the_only_one(Path(sys.argv[1])): pass"
    done = subprocess.run([sys.executable, "-c", script, str(root)], capture_output=True, text=True)
    if done.returncode:
        raise StorageError(done.stderr)
