"""Writers of the same blobs, and a collection without end beside them: what of it runs in the tortured processes.

The grace is a part of a second instead of weeks, so blobs become old while they are played with. A writer who takes
longer than half of it from finding a blob to naming it in a record says so: no more is promised to anybody.
"""

from __future__ import annotations

import random
import shutil
import time
from pathlib import Path
from typing import Final

from gitrepro.records import ids, yaml
from gitrepro.store import fold, recipes, repository
from gitrepro.store.fold import Identity, Pending
from gitrepro.store.gc import looking, survey, sweep, the_only_one
from gitrepro.store.objects import Batch, BlobStore

GRACE_SECONDS: Final = 0.6
PLAY_SECONDS: Final = 2.0
"""How long a blob is put again and again; then it is left to the collection."""
A_SECOND: Final = 120
"""How many new blobs come into play."""
FOLD_EVERY: Final = 12
ANSWER_SECONDS: Final = 0.3
LARGE_BYTES: Final = 256 << 10
"""Of a blob that has a file of its own."""


def write(kept: BlobStore, found: repository.Repository, draw: random.Random, identity: Identity) -> str:
    """Put some blobs that others put as well, and often name them in a record: a line that says what became of it."""
    began = time.monotonic()
    newest = int(began * A_SECOND)
    numbers = [newest - draw.randrange(int(A_SECOND * PLAY_SECONDS)) for _ in range(3)]
    with kept.batch() as batch:
        said = " ".join(_put(batch, number) for number in numbers)
    if draw.random() < 0.7:
        return f"left {said}"
    time.sleep(draw.random() * 0.02)
    name = ids.new_id()
    files = {f"events/{name}.yaml": yaml.dump({"names": said.split()}).decode()}
    fold.enqueue(found, Pending(kind="record", subject=name, line="blobs in traffic", files=files))
    late = time.monotonic() - began > GRACE_SECONDS / 2
    if draw.randrange(FOLD_EVERY) == 0:
        fold.fold(found, identity=identity)
    return f"{'late' if late else 'kept'} {said}"


def _put(batch: Batch, number: int) -> str:
    draw = random.Random(number)
    if number % 6 < 2:
        return batch.put(draw.randbytes(LARGE_BYTES))
    if number % 6 < 5:
        return batch.put(draw.randbytes(3000))
    # A file in pieces, most of which others have too, some of them as blobs of their own.
    pieces = [random.Random(number // 24 * 24 + at).randbytes(LARGE_BYTES) for at in (0, 1, 6, 100)]
    return recipes.put_parts(batch, [b"header %d" % number, *pieces])[0]


def shorten_grace() -> None:
    assert looking.GRACE_SECONDS_AT_LEAST
    looking.GRACE_SECONDS_AT_LEAST = GRACE_SECONDS  # type: ignore[misc]


def collect(kept: BlobStore, found: repository.Repository) -> int:
    """One collection; how many files it took. What it took is gone at once: nothing may ever need to come back."""
    with the_only_one(kept.root):
        began = time.time()
        plan = survey(found, kept, began=began, grace_seconds=0)
        # Somebody is asked whether to go on.
        time.sleep(random.random() * ANSWER_SECONDS)
        taken = sweep(kept, plan, began=began).taken
        shutil.rmtree(kept.root / "trash", ignore_errors=True)
        return taken


def meet(root: Path, number: int) -> list[str]:
    """A collection, and writers who come at each of its steps; the blobs that they refer to."""
    from tests.store.test_gc import carefully, with_writers

    root.parent.mkdir(parents=True, exist_ok=True)
    return sorted(with_writers(root, number, carefully).referred)
