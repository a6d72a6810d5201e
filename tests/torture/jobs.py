"""What the tortured processes do. Each job runs in a forked child of the nursery and ends as a program would."""

from __future__ import annotations

import errno
import json
import os
import random
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gitrepro
from gitrepro.errors import GitreproError
from gitrepro.run import commit, place
from gitrepro.store import annotate, fold, fs, live, recipes, repository
from gitrepro.store.fold import Identity
from gitrepro.store.index import Index
from gitrepro.store.objects import BlobStore, batch

from . import harm, litter, traffic, travel
from .mutants import plant, replace

IDENTITY = Identity(name="Ada Lovelace", email="ada@example.org")


def say(path: str, line: str) -> None:
    """Append a line to a file so that it survives a kill."""
    fd = opened(path)
    print_to(fd, line)
    os.close(fd)


def opened(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def print_to(fd: int, line: str) -> None:
    """By `writev`: the sweeps break `write`. What a limit on files keeps from being said is not acknowledged."""
    try:
        os.writev(fd, [line.encode() + b"\n"])
    except OSError as error:
        if error.errno != errno.EFBIG:
            raise


def hear_warnings(path: str) -> None:
    # Opened now: later the disk may refuse.
    heard = opened(path)
    warnings.showwarning = lambda message, *_, **__: print_to(heard, str(message).replace("\n", " "))
    warnings.simplefilter("always")


def life(
    acks: str,
    *,
    steps: int,
    mutant: str = "",
    warned: str = "",
    number: int = 0,
    pause: bool = False,
    harmed: tuple[str, float] | None = None,
    pace_seconds: float = 0,
    timed: bool = False,
) -> None:
    """Start, log, finish and commit one run by the Python API, saying after each step that it returned.

    Args:
        pause: wait before the end, to be killed.
        harmed: what is done to the program on its way, of `harm.HARMS`, and how much.
        pace_seconds: wait so long after each step.
        timed: say with each step when it returned.
    """
    plant(mutant)
    if warned:
        hear_warnings(warned)
    fd = opened(acks)
    if harmed:
        harm.HARMS[harmed[0]](harmed[1])
    with gitrepro.record(config={"lr": 0.1, "steps": steps}, name=f"life {number}", seed=7) as run:
        print_to(fd, f"start {run.id}")
        for step in range(steps):
            run.log({"loss": step / 4, "count": step}, step=step)
            print_to(fd, f"{step} {time.monotonic():.6f}" if timed else f"{step}")
            if pace_seconds:
                time.sleep(pace_seconds)
        if pause:
            signal.pause()
    print_to(fd, f"finish {time.monotonic():.6f}" if timed else "finish")


def lives(acks: str, *, runs: int, mutant: str = "", **options: Any) -> None:
    """Several short runs, one after the other. A commit that cannot be made now is left to the recovery."""
    for number in range(runs):
        life(acks, steps=options.pop("steps", 3), mutant=mutant if number == 0 else "", number=number, **options)


def many(acks: str, *, threads: int, calls: int, keys: int = 1, mutant: str = "") -> None:
    """One run into which many threads log at once; says how many calls returned."""
    plant(mutant)
    with gitrepro.record(name="many", seed=7) as run:
        print_to(fd := opened(acks), f"start {run.id}")
        row = {f"k{number:05}": float(number) for number in range(keys)}

        def log(thread: int) -> None:
            for step in range(calls):
                run.log({**row, f"t{thread}": float(step)}, step=step)

        crew = [threading.Thread(target=log, args=(thread,)) for thread in range(threads)]
        for each in crew:
            each.start()
        for each in crew:
            each.join()
    print_to(fd, "finish")


def preempted(acks: str, *, handler: str, mutant: str = "") -> None:
    """Log until SIGTERM says to stop: by our handler, or by one of the user's own, set before the run begins."""
    plant(mutant)
    stop = threading.Event()

    def handle(*_: object) -> None:
        say(str(Path(acks).with_name("handled")), "x")
        stop.set()

    if handler != "none":
        signal.signal(signal.SIGTERM, handle)
    with gitrepro.record(seed=7) as run:
        print_to(fd := opened(acks), f"start {run.id}")
        step = 0
        while not stop.is_set():
            run.log({"loss": step / 4, "count": step}, step=step)
            print_to(fd, f"{step}")
            step += 1
            time.sleep(0.0005)


def recover(result: str, *, mutant: str = "") -> None:
    """`gitrepro recover`, and after it what was kept outside; says what came of it, and what `ls` shows, as JSON."""
    plant(mutant)
    found = repository.find(Path.cwd(), os.environ)
    with Index(found) as index:
        index.troubles()
    for run in live.live_runs(place.state_folder(os.environ)):
        if run.error is None:
            commit.adopt(found, run.folder, at="2026-01-01T00:00:00.000000Z")
    done = commit.recover(found, identity=IDENTITY)
    with Index(found) as index:
        listed = [run["id"] for run in index.listings()]
    document = {
        "committed": [record.id for record in done.committed],
        "failed": {run_id: str(error) for run_id, error in done.failed},
        "left": dict(done.left),
        "listed": listed,
    }
    say(result, json.dumps(document))


def stock(acks: str, *, mutant: str = "") -> None:
    """Put small blobs for several packs, some large ones and a checkpoint in pieces; say the names that are kept."""
    plant(mutant)
    replace(batch, "TARGET_BYTES", 64 << 10)
    kept = BlobStore(repository.find(Path.cwd(), os.environ).home / "store")
    for part in range(2):
        try:
            with kept.batch() as names:
                said = [names.put(b"%d " % number * (50 + number)) for number in range(part * 200, part * 200 + 200)]
                said += [names.put(bytes([part, number]) * (150 << 10)) for number in range(2)]
                pieces = [b"header", *(bytes([number]) * (300 << 10) for number in range(part, part + 5))]
                said.append(recipes.put_parts(names, pieces)[0])
        except GitreproError as error:
            print(error, file=sys.stderr)
            sys.exit(error.exit_code)
        say(acks, " ".join(["kept", *said]))


def litter_store() -> None:
    """Put small files of the user's: in files of their own, and in a pack that is mostly dead; and what is all dead."""
    kept = BlobStore(repository.find(Path.cwd(), os.environ).home / "store")
    wanted = [litter.small_file(number) for number in range(litter.SMALL_FILES)]
    for data in wanted[: litter.ALONE]:
        kept.put(data)
    dead = [litter.dead_blob(number) for number in range(2 * litter.DEAD)]
    for among in (wanted[litter.ALONE :] + dead[: litter.DEAD], dead[litter.DEAD :]):
        with kept.batch() as names:
            for data in among:
                names.put(data)
    with kept.batch() as names:
        names.put(litter.large_blob(1))
        # A file in pieces, of which a file of the user's has one too.
        pieces = [b"header", litter.tensor(), *(litter.large_blob(number) for number in range(2, 5))]
        recipes.put_parts(names, pieces)


def write_for_ever(acks: str, stop: str, *, seed: int) -> None:
    """Put and name blobs that others put and name too."""
    found = repository.find(Path.cwd(), os.environ)
    kept, draw, fd = BlobStore(found.home / "store"), random.Random(seed), opened(acks)
    while not Path(stop).exists():
        print_to(fd, traffic.write(kept, found, draw, IDENTITY))


def collect_for_ever(result: str, stop: str, *, mutant: str = "") -> None:
    """Collect, again and again; say how often, and how many files were taken."""
    plant(mutant)
    traffic.shorten_grace()
    found = repository.find(Path.cwd(), os.environ)
    kept = BlobStore(found.home / "store")
    while not Path(stop).exists():
        say(result, f"{traffic.collect(kept, found)}")


def meet(acks: str, *, number: int, mutant: str = "") -> None:
    """A collection whose every step writers come to; say what those refer to."""
    plant(mutant)
    root = repository.find(Path.cwd(), os.environ).home / "store"
    say(acks, " ".join(["kept", *traffic.meet(root, number)]))


def listing(result: str) -> None:
    """What `gitrepro ls --json` shows."""
    with Index(repository.find(Path.cwd(), os.environ)) as index:
        say(result, json.dumps(list(index.listings())))


def recover_for_ever(stop: str, *, mutant: str = "") -> None:
    """What a second terminal may do while others train."""
    plant(mutant)
    found = repository.find(Path.cwd(), os.environ)
    while not Path(stop).exists():
        commit.recover(found, identity=IDENTITY)
        time.sleep(0.01)


def queue(word: str) -> None:
    """Queue the dead run, and a label on the run on record, as a process does that dies before its fold."""
    found = repository.find(Path.cwd(), os.environ)
    with Index(found) as index:
        [known] = index.ids(where="removed = 0")
    for run in live.live_runs(found.home):
        commit.prepare(found, run.folder)
    replace(annotate, "fold", lambda *_, **__: None)
    annotate.annotate(found, known, "label", word, identity=IDENTITY, at="2026-01-01T00:00:00.000000Z")


def fold_all(*, mutant: str = "") -> None:
    """Fold what is queued, as the next process does that comes along."""
    plant(mutant)
    found = repository.find(Path.cwd(), os.environ)
    try:
        commit.finish_fold(found, fold.fold(found, identity=IDENTITY))
    except GitreproError as error:
        sys.exit(error.exit_code)


def fill(acks: str) -> None:
    """Fill the store with small blobs, larger ones and one in pieces; say their names, that of the root first."""
    root, names = travel.fill(repository.find(Path.cwd(), os.environ).home / "store")
    say(acks, " ".join(["kept", root, *names]))


def send(
    told: str, url: str, *, options: dict[str, str] | None = None, seed: int | None = None, mutant: str = ""
) -> None:
    """Send what `fill` filled to a store remote; say how many blobs went. With a seed, also some that only it has."""
    plant(mutant)
    _move(lambda: travel.send(repository.find(Path.cwd(), os.environ), url, options or {}, seed), told)


def fetch(told: str, url: str, *, options: dict[str, str] | None = None, mutant: str = "") -> None:
    """Fetch what `fill` filled from a store remote; say how many blobs came."""
    plant(mutant)
    _move(lambda: travel.fetch(repository.find(Path.cwd(), os.environ), url, options or {}), told)


def _move(act: Callable[[], int], told: str) -> None:
    try:
        say(told, f"{act()}")
    except GitreproError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)


def team(told: str, *, runs: int, mutant: str = "") -> None:
    """Record runs, one after the other, and push each; of each say its id, the milliseconds and the retries."""
    plant(mutant)
    for line in travel.record_and_push(Path.cwd(), runs):
        say(told, line)


def agree(*, mutant: str = "") -> None:
    """Push and pull until nothing is left to say."""
    plant(mutant)
    travel.agree(Path.cwd())


def laws(what: str, *, examples: int, steps: int, seed: int, mutant: str = "") -> None:
    """Look for a counterexample to the laws of the union, or in the machine of three clones and a remote."""
    plant(mutant)
    travel.LAWS[what](examples, steps, seed)


def command(*argv: str, mutant: str = "") -> None:
    """The real command line, `gitrepro record -- ...` among them."""
    from gitrepro.cli.main import main

    plant(mutant)
    main(list(argv))


JOBS: dict[str, Callable[..., None]] = {
    "life": life,
    "lives": lives,
    "many": many,
    "preempted": preempted,
    "recover": recover,
    "stock": stock,
    "litter": litter_store,
    "write for ever": write_for_ever,
    "collect for ever": collect_for_ever,
    "meet": meet,
    "listing": listing,
    "recover for ever": recover_for_ever,
    "queue": queue,
    "fold": fold_all,
    "fill": fill,
    "send": send,
    "fetch": fetch,
    "team": team,
    "agree": agree,
    "laws": laws,
    "command": command,
}


def preload() -> None:
    """Load what the jobs load on their way, so that a child's system calls are its work and not its imports."""
    import blake3
    import dulwich.object_store
    import dulwich.refs
    import pyarrow.parquet

    import gitrepro.audit.gate
    import gitrepro.cli.data.add
    import gitrepro.cli.gc
    import gitrepro.cli.label
    import gitrepro.cli.main
    import gitrepro.cli.note
    import gitrepro.cli.pull
    import gitrepro.cli.purge
    import gitrepro.cli.push
    import gitrepro.cli.record
    import gitrepro.cli.tag
    import gitrepro.run.found
    import gitrepro.run.recorder
    import gitrepro.store.objects.index
    import gitrepro.store.objects.output
    import gitrepro.store.objects.recipes
    import gitrepro.sync.blobs.drivers.directory
    import gitrepro.sync.blobs.drivers.http
    import gitrepro.sync.blobs.drivers.ssh
    import gitrepro.sync.blobs.fetching
    import gitrepro.sync.blobs.sending
    import gitrepro.sync.bundles

    assert blake3 and dulwich and pyarrow and gitrepro.cli and fs
    sys.stdout.flush()
