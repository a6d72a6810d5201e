"""The store against a dictionary: whatever is done to it, it gives back what was put, or says that it cannot."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from gitrepro.errors import BlobMissing, Damaged
from gitrepro.store import recipes
from gitrepro.store.objects import BlobStore, digest_of
from gitrepro.store.objects.packfile import SMALL_BYTES

SMALL = st.binary(max_size=300)
LARGE = st.binary(min_size=1, max_size=8).map(lambda seed: (seed * SMALL_BYTES)[: SMALL_BYTES + len(seed)])


class StoreMachine(RuleBasedStateMachine):
    """Blobs are put in every way there is; files of the store are harmed, deleted, and read again."""

    names = Bundle("names")

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        self.store = BlobStore(self.root)
        self.model: dict[str, bytes] = {}

    def teardown(self) -> None:
        self.store.close()
        shutil.rmtree(self.root)

    @rule(target=names, data=SMALL | LARGE)
    def put(self, data: bytes) -> str:
        return self._kept(self.store.put(data), data)

    @rule(target=names, blobs=st.lists(SMALL | LARGE, min_size=1, max_size=6))
    def put_batch(self, blobs: list[bytes]) -> str:
        with self.store.batch() as batch:
            found = [batch.put(data) for data in blobs]
        for name, data in zip(found, blobs, strict=True):
            self._kept(name, data)
        return found[0]

    @rule(target=names, parts=st.lists(LARGE, min_size=4, max_size=6), name=st.booleans())
    def put_parts(self, parts: list[bytes], name: bool) -> str:
        with self.store.batch() as batch:
            found, size_bytes = recipes.put_parts(batch, parts)
        assert size_bytes == sum(map(len, parts))
        return self._kept(found, b"".join(parts))

    @rule(data=SMALL | LARGE)
    def give_up(self, data: bytes) -> None:
        """A batch that fails keeps nothing new."""
        before = set(self.store.names())
        try:
            with self.store.batch() as batch:
                batch.put(data)
                raise ZeroDivisionError
        except ZeroDivisionError:
            assert set(self.store.names()) == before

    @rule()
    def lose_the_index(self) -> None:
        (self.root / "index.sqlite").unlink(missing_ok=True)

    @rule()
    def open_again(self) -> None:
        self.store.close()
        self.store = BlobStore(self.root)

    @rule(name=consumes(names), at=st.integers(0, 1 << 20))
    def harm(self, name: str, at: int) -> None:
        """Turn one byte around; whatever becomes of the blob, wrong bytes are never given as it."""
        path = self._file_of(name)
        if path is None or not path.stat().st_size:
            return
        path.chmod(0o644)
        with open(path, "r+b") as file:
            at %= path.stat().st_size
            file.seek(at)
            byte = file.read(1)
            file.seek(at)
            file.write(bytes([byte[0] ^ 0xFF]))
        self._see_what_is_left()

    @rule(name=consumes(names))
    def lose(self, name: str) -> None:
        """Delete the file that a blob lies in."""
        if (path := self._file_of(name)) is not None:
            path.unlink()
        self._see_what_is_left()

    @rule(name=names)
    def read(self, name: str) -> None:
        if name in self.model:
            assert self.store.get(name) == self.model[name]
            assert self.store.size(name) == len(self.model[name])
            assert self.store.verify(name) == len(self.model[name])
            with tempfile.TemporaryFile() as out:
                self.store.copy_out(name, out.fileno())
                out.seek(0)
                assert out.read() == self.model[name]

    @invariant()
    def nothing_is_left_on_the_way(self) -> None:
        incoming = self.root / "incoming"
        assert not any(incoming.glob("*"))

    @invariant()
    def what_was_put_is_here(self) -> None:
        assert self.model.keys() <= set(self.store.names())

    def _kept(self, name: str, data: bytes) -> str:
        assert name == digest_of([data])
        self.model[name] = data
        return name

    def _file_of(self, name: str) -> Path | None:
        kinds = (self.store.loose_path, self.store.recipe_path)
        found = [path for kind in kinds if (path := kind(bytes.fromhex(name[3:]))).exists()]
        return found[0] if found else next(self.root.glob("packs/*.pack"), None)

    def _see_what_is_left(self) -> None:
        """Every blob is right, or is said to be damaged or missing, and can then be put again."""
        # An index that is there may know more than a harmed pack says of itself.
        self.lose_the_index()
        self.open_again()
        for name, data in list(self.model.items()):
            try:
                assert self.store.get(name) == data
            except (Damaged, BlobMissing):
                del self.model[name]


TestStore = StoreMachine.TestCase
TestStore.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
