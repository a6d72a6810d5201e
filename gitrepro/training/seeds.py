"""Set the seeds of a program, and see which ones are really in force.

A `SeedWatch` knows the generators that training code draws from: Python's `random`, NumPy's global generator, torch
on the CPU and on each CUDA device. It seeds them when asked to, watches every later call that seeds them again, and
says at any time who seeded each one, with what, and whether it was drawn from. What it reads it never changes, it
imports no library the program did not import, and it never initialises CUDA.

This file is also loaded by its path into interpreters where gitrepro is not installed, before the user's program
begins. So it imports the standard library only, as little of that as it can, and its syntax is that of Python 3.8.
"""

from __future__ import annotations

import os
import sys
from _thread import _local

TYPE_CHECKING = False  # as typing has it, without importing typing
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from importlib.machinery import ModuleSpec
    from types import FrameType, ModuleType
    from typing import Any

    Document = dict[str, Any]

SEED_LIMIT = 2**32
"""NumPy's legacy generator takes 32 bits, so that is what one seed for all may have."""

# ---------------------------------------------------------------- Mersenne Twister: from a state back to its seed

_WORDS = 624
_MASK = 0xFFFFFFFF
_TWISTS = 16  # 10,000 words drawn; a step back costs about half a millisecond
_LONGEST_KEY_WORDS = 200  # a string of 700 bytes; a generator nobody seeded has 624 words of entropy
_LONGEST_INTEGER_WORDS = 8


def _mix(word: int) -> int:
    return word ^ (word >> 30)


def _from_integer(words: Sequence[int]) -> int | None:
    """The integer that NumPy's legacy seeding filled this state from, if it did; words[0] is not looked at."""
    for i in range(2, _WORDS):
        if words[i] != (1812433253 * _mix(words[i - 1]) + i) & _MASK:
            return None
    return _mix((words[1] - 1) * pow(1812433253, -1, 2**32) & _MASK)


_plain: list[int] = []


def _plain_state() -> list[int]:
    """What `init_by_array` starts from."""
    if not _plain:
        _plain.append(19650218)
        for i in range(1, _WORDS):
            _plain.append((1812433253 * _mix(_plain[-1]) + i) & _MASK)
    return _plain


def _from_array(words: Sequence[int]) -> list[int] | None:
    """The words that `init_by_array` mixed in: it adds key[j] + j over and over, so a short key shows as a period."""
    before = [0, 0, 0]
    for i in range(3, _WORDS):
        before.append((words[i] + i & _MASK) ^ (_mix(words[i - 1]) * 1566083941 & _MASK))
    plain = _plain_state()
    added = [
        before[i] - (plain[i] ^ (_mix(before[i - 1]) * 1664525 & _MASK)) & _MASK for i in range(4, _WORDS)
    ]  # added[0] belongs to word 4, which is step 3
    for period in range(1, _LONGEST_KEY_WORDS + 1):
        if added[0] == added[period] and added[:-period] == added[period:]:
            return [(added[(j - 3) % period] - j) & _MASK for j in range(period)]
    return None


def _untwist(words: Sequence[int]) -> tuple[list[int], bool]:
    """The state one twist earlier, and whether `words` can be the outcome of a twist at all."""
    earlier = [0] * _WORDS
    low = 0
    twisted = True
    for i in range(_WORDS - 1, -2, -1):
        if i < 0:  # the low bits of word 0 come from the word before it
            mixed = earlier[_WORDS - 1] ^ earlier[396]
        else:
            mixed = words[i] ^ (words[i - 227] if i >= 227 else earlier[i + 397])
        odd = mixed >> 31
        pair = ((mixed ^ 0x9908B0DF if odd else mixed) << 1 | odd) & _MASK
        low = pair & 0x7FFFFFFF
        if i == _WORDS - 1:
            twisted = low == words[0] & 0x7FFFFFFF
        else:
            earlier[i + 1] |= low
        if i >= 0:
            earlier[i] = pair & 0x80000000
    return earlier, twisted


def mersenne_origin(words: Sequence[int]) -> tuple[str, list[int]]:
    """Find how a Mersenne Twister state began.

    Both ways of seeding can be run backwards, and so can the drawing.

    Args:
        words: the 624 words of the state.

    Returns:
        ("integer", [n]) for `numpy.random.seed(n)`; ("array", key) for a key mixed in, which is what `random.seed`
        does; ("entropy", []) for a state that was never drawn from and had no such seed; else ("unknown", []).
    """
    previous, twisted = _untwist(words)
    if not twisted:
        return _origin_of_fresh(words)
    for _ in range(_TWISTS):
        kind, key = _origin_of_fresh(previous)
        if key:
            return kind, key
        previous, _ = _untwist(previous)
    return "unknown", []


def _origin_of_fresh(words: Sequence[int]) -> tuple[str, list[int]]:
    integer = _from_integer(words)
    if integer is not None:
        return "integer", [integer]
    key = _from_array(words)
    return ("entropy", []) if key is None else ("array", key)


# ---------------------------------------------------------------- the generators

_SNAPSHOTS = 100  # a loop that seeds for every sample pays for this many copies of the state, not for a million
_TORCH_ENTROPY = 2**48  # torch takes 64 bits from the system where nobody seeds; a person's seed is shorter


class _Generator:
    """One generator: who seeded it, with what, and whether it moved since."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.effective: int | None = None
        self.seeded_by = "unknown"
        self.calls = 0
        self.restored = 0
        self.used = False
        self.drawn_unseeded = False
        self.start: Any = None

    def state(self) -> Any:
        """A comparable copy of the state; reading it draws nothing."""
        raise NotImplementedError

    def trace(self) -> None:
        """Correct who and what from the state itself, where the state can tell."""
        raise NotImplementedError

    def begin(self, *, fresh: bool) -> None:
        """Take the first look. `fresh`: its library was imported this moment."""
        self.start = self.state()
        if fresh:
            self.seeded_by = "nobody"
        else:
            self.trace()

    def note_use(self) -> None:
        """Look whether it moved. Once used, always used: seeding it later does not take back what was drawn."""
        if self.start is not None and not (self.used and self.seeded_by != "nobody") and self.state() != self.start:
            self.used = True
            self.drawn_unseeded = self.drawn_unseeded or self.seeded_by == "nobody"

    def pass_over(self) -> None:
        """What was drawn since the last look counts for nothing."""
        if not self.used and self.start is not None:
            self.start = self.state()

    def note_seed(self, argument: object, *, by: str) -> None:
        self.effective = _integer(argument)
        self.seeded_by = "nobody" if argument is None else by
        self.calls += 1
        self._rebase()

    def note_restore(self) -> None:
        # A saved state was put back: this run's own or another's, the call does not say.
        self.restored += 1
        if self.seeded_by == "nobody":
            self.seeded_by = "unknown"
        self._rebase()

    def _rebase(self) -> None:
        copied = not self.used or self.calls + self.restored <= _SNAPSHOTS
        self.start = self.state() if copied else None

    def row(self, *, requested: int | None, thorough: bool) -> Document:
        now = self.state()
        if thorough and now != self.start:
            self.trace()
        self.note_use()
        row = {
            "requested": requested,
            "effective": self.effective,
            "seeded_by": self.seeded_by,
            "calls": self.calls,
            "used": self.used,
            "drawn_unseeded": self.drawn_unseeded,
            "start": None if self.start is None else _digest(self.start),
            "now": _digest(now),
        }
        return {**row, "restored": self.restored} if self.restored else row


class _Mersenne(_Generator):
    """Python's and NumPy's global generators, whose states can be run backwards to their seed."""

    def words(self, state: Any) -> Sequence[int]:
        """The 624 words of the state; none when another algorithm was put in place."""
        raise NotImplementedError

    def seed_of(self, kind: str, key: list[int]) -> int | None:
        """The one integer that a key stands for in this library, if there is one."""
        raise NotImplementedError

    def trace(self) -> None:
        words = self.words(self.state())
        kind, key = mersenne_origin(words) if words else ("unknown", [])
        if key:
            self._adopt(self.seed_of(kind, key))
        elif kind == "entropy" and not self.calls + self.restored:
            self.seeded_by = "nobody"

    def _adopt(self, seed: int | None) -> None:
        known = None if self.effective is None else abs(self.effective)  # Python's random ignores the sign
        if seed != known or self.seeded_by in ("nobody", "unknown"):
            self.effective, self.seeded_by = seed, "user"


class _PythonGenerator(_Mersenne):
    def __init__(self, module: Any) -> None:
        super().__init__("python")
        self._read = module.getstate

    def state(self) -> Any:
        return self._read()

    def words(self, state: Any) -> Sequence[int]:
        words: Sequence[int] = state[1][:_WORDS]
        return words

    def seed_of(self, kind: str, key: list[int]) -> int | None:
        if kind != "array" or len(key) > _LONGEST_INTEGER_WORDS:
            return None  # a string, or bytes
        return sum(word << 32 * j for j, word in enumerate(key))


class _NumpyGenerator(_Mersenne):
    def __init__(self, module: Any) -> None:
        super().__init__("numpy")
        self._read = module.get_state

    def state(self) -> Any:
        whole = self._read(legacy=False)
        inner = whole["state"]
        if whole["bit_generator"] != "MT19937":
            return repr(whole)  # numpy.random.set_bit_generator was here
        return inner["key"].tobytes(), inner["pos"], whole["has_gauss"], whole["gauss"]

    def words(self, state: Any) -> Sequence[int]:
        return [] if isinstance(state, str) else memoryview(state[0]).cast("I")

    def seed_of(self, kind: str, key: list[int]) -> int | None:
        return key[0] if kind == "integer" else None


class _TorchGenerator(_Generator):
    """A torch generator, which always knows its own seed; `origins` says who set which."""

    def __init__(self, name: str, generator: Any, *, origins: dict[int, str]) -> None:
        super().__init__(name)
        self._generator = generator
        self._origins = origins

    def state(self) -> Any:
        return _tensor_bytes(self._generator.get_state())

    def begin(self, *, fresh: bool) -> None:
        self.start = self.state()
        seed = self._generator.initial_seed()
        if fresh or seed >= _TORCH_ENTROPY:
            self._origins.setdefault(seed, "nobody")
        self.trace()

    def note_seed(self, argument: object, *, by: str) -> None:
        super().note_seed(argument, by=by)
        self._origins[self._generator.initial_seed()] = self.seeded_by
        self.trace()

    def trace(self) -> None:
        seed = self._generator.initial_seed()
        self.seeded_by = self._origins.get(seed, "user")
        self.effective = None if self.seeded_by == "nobody" else seed

    def row(self, *, requested: int | None, thorough: bool) -> Document:
        self.trace()
        return super().row(requested=requested, thorough=thorough)


class _CudaGenerator(_TorchGenerator):
    """The generator of one CUDA device: its state is a seed and how far it has counted."""

    UNSEEDED = 67280421310721  # what torch starts every device with

    def begin(self, *, fresh: bool) -> None:
        self._origins.setdefault(self.UNSEEDED, "nobody")
        super().begin(fresh=fresh)
        # CUDA woke up at some time we did not see; a count of zero is how every seed begins.
        self.start = self.start[:8] + bytes(8)


def _tensor_bytes(tensor: Any) -> bytes:
    import ctypes  # torch has imported it already; NumPy may not be there

    return ctypes.string_at(tensor.data_ptr(), tensor.numel())


def _integer(argument: Any) -> int | None:
    try:
        return int(argument.__index__())
    except (AttributeError, TypeError, ValueError):
        return None  # a string, a float, a list: no one integer stands for it


def _digest(state: Any) -> str:
    return "sha256:" + str(_sha256()(repr(state).encode()).hexdigest())


def _sha256() -> Any:
    # hashlib loads OpenSSL, which costs more than all the rest of this file.
    for name in ("_sha2", "_sha256"):
        try:
            return __import__(name).sha256
        except ImportError:
            continue
    import hashlib

    return hashlib.sha256


def hash_seed() -> Document:
    """How this interpreter hashes strings: the order of sets, and of much that is built from them.

    Returns:
        `PYTHONHASHSEED` as it was when the interpreter started (setting it later changes nothing), and `randomised`:
        whether the hashes differ from one start to the next.
    """
    value = _variable_at_start("PYTHONHASHSEED")
    fixed = not sys.flags.ignore_environment and value is not None and value.isdigit()
    return {"PYTHONHASHSEED": value, "randomised": bool(sys.flags.hash_randomization) and not fixed}


def _variable_at_start(name: str) -> str | None:
    try:
        with open("/proc/self/environ", "rb") as stream:
            entries = stream.read().split(b"\0")
    except OSError:
        return os.environ.get(name)
    prefix = name.encode() + b"="
    found = next((entry for entry in entries if entry.startswith(prefix)), None)
    return None if found is None else found[len(prefix) :].decode("ascii", "replace")


# ---------------------------------------------------------------- the calls that are watched

_SEED, _RESTORE, _CREATE = "seed", "restore", "create"


class _Call:
    """A function people call to seed, and every module that holds it."""

    __slots__ = ("act", "attribute", "homes", "library", "name")

    def __init__(self, library: str, name: str, act: str, *homes: str) -> None:
        self.library = library
        self.name = name
        self.attribute = name.rpartition(".")[2]
        self.act = act
        self.homes = homes


_CALLS = (
    _Call("random", "random.seed", _SEED, "random"),
    _Call("random", "random.setstate", _RESTORE, "random"),
    _Call("numpy.random", "numpy.random.seed", _SEED, "numpy.random.mtrand", "numpy.random"),
    _Call("numpy.random", "numpy.random.set_state", _RESTORE, "numpy.random.mtrand", "numpy.random"),
    _Call("numpy.random", "numpy.random.default_rng", _CREATE, "numpy.random._generator", "numpy.random"),
    _Call("torch", "torch.manual_seed", _SEED, "torch.random", "torch"),
    _Call("torch", "torch.seed", _SEED, "torch.random", "torch"),
    _Call("torch", "torch.cuda.manual_seed", _SEED, "torch.cuda.random", "torch.cuda"),
    _Call("torch", "torch.cuda.manual_seed_all", _SEED, "torch.cuda.random", "torch.cuda"),
    _Call("torch", "torch.cuda.seed", _SEED, "torch.cuda.random", "torch.cuda"),
    _Call("torch", "torch.cuda.seed_all", _SEED, "torch.cuda.random", "torch.cuda"),
)
_LIBRARIES = ("random", "numpy.random", "torch")
_MKL_FUNCTIONS = (
    "sqrt", "exp", "expm1", "log", "log10", "log1p", "log2", "sin", "cos", "tan", "asin", "acos", "atan", "sinh",
    "cosh", "tanh", "erf", "erfc", "erfinv", "lgamma", "trunc",
)  # fmt: skip
_DRAWING = ("rich.style",)  # draw from Python's generator while they are imported, for a number that nobody sees
_LOUD_CALLS = 16  # every call up to this one is an event; after that, each time their number doubles
_PLACES = 8


class SeedWatch:
    """Seeds a program's generators, and watches who seeds them afterwards.

    Args:
        requested: the seed that the run was asked to have, if any.
        seed_now: set it: in libraries already imported at `start()`, in the others right after their import, once each.
            Without it nothing is set and calls are only observed.
        on_event: is told of each library seen and each seeding call, with `generators` as they then are. An error in it
            is swallowed: the program that is watched never meets one.

    Raises:
        ValueError: `seed_now` without a seed from 0 to 2**32 - 1.
    """

    def __init__(
        self,
        *,
        requested: int | None = None,
        seed_now: bool = False,
        on_event: Callable[[Document], None] | None = None,
    ) -> None:
        if seed_now and not (requested is not None and 0 <= requested < SEED_LIMIT):
            raise ValueError(f"a seed to set is an integer from 0 to {SEED_LIMIT - 1}, not {requested!r}")
        self.requested = requested
        self._seed_now = seed_now
        self._on_event = on_event
        self._watching = False
        self._thread = _local()
        self._finder = Finder((*_LIBRARIES, *_DRAWING), self._imported, before=self._importing)
        self._finder.seed_watch = self
        self._generators: dict[str, _Generator] = {}
        self._origins: dict[int, str] = {}
        self._hash = self._quietly(hash_seed) or {}
        self._cuda_calls = 0
        self._created = {"seeded": 0, "unseeded": 0}
        self._places: list[str] = []
        self._order = 0
        self._seeded: set[str] = set()
        self._replaced: list[tuple[ModuleType, str, Any, Any]] = []

    def start(self) -> None:
        """Begin: seed if asked to, and watch from here on."""
        self._watching = True
        sys.meta_path.insert(0, self._finder)
        for library in _LIBRARIES:
            module = sys.modules.get(library)
            if module is not None and hasattr(module, "seed"):  # else its import is only half way
                self.meet(library, module, fresh=False)

    def stop(self) -> None:
        """Put every function back where it was; what was seen stays readable."""
        self._watching = False
        if self._finder in sys.meta_path:
            sys.meta_path.remove(self._finder)
        for module, attribute, original, ours in reversed(self._replaced):
            if module.__dict__.get(attribute) is ours:  # someone else's wrapper around ours stays, and ours is now idle
                setattr(module, attribute, original)
        self._replaced.clear()

    def generators(self) -> dict[str, Document]:
        """What is known of every generator whose library is imported.

        Returns:
            For "python", "numpy", "torch", "torch.cuda:0"...: `requested`; `effective`, the integer seed in force, or
            None where no one integer is; `seeded_by` "gitrepro", "user", "nobody" (the operating system's entropy) or
            "unknown"; `calls`, the seeding calls seen; `used`, whether it was drawn from since it was first seen;
            `drawn_unseeded`, whether that was while nobody had seeded it; `start` and `now`, digests of the state after
            the last seeding (None in a program that seeds for every sample) and at present; `restored`, how often a
            saved state was put back, when it was.
            Under "numpy.default_rng" how many were made `seeded` and `unseeded`, and where the unseeded ones.
            Under "hash" what `hash_seed` says.
        """
        return self._document(thorough=True)

    def meet(self, library: str, module: ModuleType, *, fresh: bool) -> None:
        """A library is here: look at its generator, watch its functions, seed it if that is our task."""
        self._quietly(self._look_at, library, module, fresh)
        self._quietly(self._watch_calls, library)
        if self._seed_now and library not in self._seeded:
            self._seeded.add(library)
            self._quietly(self._seed, module)
        else:
            self._quietly(self._emit, {"event": "seeds", "call": None, "library": library})

    def _importing(self, name: str) -> None:
        for generator in list(self._generators.values()) if name in _DRAWING else ():
            self._quietly(generator.note_use)

    def _imported(self, name: str, module: ModuleType, *, fresh: bool) -> None:
        if name in _LIBRARIES:
            self.meet(name, module, fresh=fresh)
        elif generator := self._generators.get("python"):
            self._quietly(generator.pass_over)

    def _look_at(self, library: str, module: Any, fresh: bool) -> None:
        if library == "random":
            generator: _Generator = _PythonGenerator(module)
        elif library == "numpy.random":
            generator = _NumpyGenerator(module)
        else:
            generator = _TorchGenerator("torch", module.default_generator, origins=self._origins)
        generator.begin(fresh=fresh and generator.name not in self._generators)  # importlib.reload comes twice
        self._generators[generator.name] = generator

    def _seed(self, module: Any) -> None:
        with as_gitrepro():
            (module.manual_seed if hasattr(module, "manual_seed") else module.seed)(self.requested)
        if hasattr(module, "manual_seed"):
            settle_functions(module)

    def _watch_calls(self, library: str) -> None:
        for call in _CALLS:
            if call.library == library:
                self._replace(call, [sys.modules[home] for home in call.homes if home in sys.modules])

    def _replace(self, call: _Call, homes: list[ModuleType]) -> None:
        # The homes need not hold one object: torch.compile puts a wrapper of its own over torch.manual_seed alone.
        made: dict[int, Any] = {}
        for home in homes:
            original = vars(home).get(call.attribute)
            if original is None:
                continue
            ours = made.get(id(original))
            if ours is None:
                ours = made[id(original)] = self._observed(call, original)
                shared = original.__module__ if _is_at(original, call) else home.__name__
                _dress(ours, original, home=shared, attribute=call.attribute)
            setattr(home, call.attribute, ours)
            self._replaced.append((home, call.attribute, original, ours))

    def _observed(self, call: _Call, original: Any) -> Any:
        thread = self._thread

        def observed(*args: Any, **kwargs: Any) -> Any:
            # torch.manual_seed calls torch.cuda.manual_seed_all: that is one call, the outer one.
            if not self._watching or getattr(thread, "inside", False):
                return original(*args, **kwargs)
            self._quietly(self._before, call)
            thread.inside = True
            try:
                result = original(*args, **kwargs)
            finally:
                thread.inside = False
            self._quietly(self._after, call, args, kwargs, sys._getframe(1))
            return result

        return observed

    def _before(self, call: _Call) -> None:
        for generator in self._touched(call):
            generator.note_use()

    def _after(self, call: _Call, args: tuple[Any, ...], kwargs: dict[str, Any], caller: FrameType) -> None:
        self._order += 1
        argument = _argument(args, kwargs)
        if call.act == _CREATE:
            self._note_creation(argument, caller)
        elif call.act == _RESTORE:
            self._note_restore(call)
        else:
            self._note_seed(call, argument)

    def _note_creation(self, argument: Any, caller: FrameType) -> None:
        if _is_generator(argument) or _scipy_is_being_imported(caller):
            return  # handed through, not made; or made for examples in scipy's own documentation
        self._created["unseeded" if argument is None else "seeded"] += 1
        place = f"{caller.f_globals.get('__name__', '?')}:{caller.f_lineno}"
        if argument is None and place not in self._places and len(self._places) < _PLACES:
            self._places.append(place)

    def _note_restore(self, call: _Call) -> None:
        for generator in self._touched(call):
            generator.note_restore()
        self._tell(call, None)

    def _note_seed(self, call: _Call, argument: Any) -> None:
        by = getattr(self._thread, "by", "user")
        seed = _integer(argument)
        if call.library == "torch":
            self._cuda_calls += 1
            if seed is not None:
                self._origins[seed] = by  # a device that wakes up later starts from it
        for generator in self._touched(call):
            generator.note_seed(argument, by=by)
        self._tell(call, argument, by=by)

    def _touched(self, call: _Call) -> Iterator[_Generator]:
        """The generators that a call seeds: torch's own functions seed the CUDA devices too."""
        if call.library != "torch":
            name = "python" if call.library == "random" else "numpy"
            if name in self._generators:
                yield self._generators[name]
            return
        self._meet_devices()
        for name, generator in self._generators.items():
            if name.startswith("torch.cuda:") or (name == "torch" and not call.name.startswith("torch.cuda.")):
                yield generator

    def _meet_devices(self) -> None:
        cuda: Any = sys.modules.get("torch.cuda")
        if cuda is None or not cuda.is_initialized():
            return
        for index, generator in enumerate(cuda.default_generators):
            name = f"torch.cuda:{index}"
            if name not in self._generators:
                device = _CudaGenerator(name, generator, origins=self._origins)
                device.calls = self._cuda_calls
                device.begin(fresh=False)
                self._generators[name] = device

    def _tell(self, call: _Call, argument: Any, *, by: str = "user") -> None:
        calls = max((generator.calls + generator.restored for generator in self._touched(call)), default=1)
        if calls <= _LOUD_CALLS or calls & (calls - 1) == 0:
            said = {"argument": _integer(argument), "by": by, "order": self._order}
            self._emit({"event": "seeds", "call": call.name, "library": call.library, **said})

    def _emit(self, event: Document) -> None:
        if self._on_event is not None:
            self._on_event({**event, "generators": self._document(thorough=False)})

    def _document(self, *, thorough: bool) -> dict[str, Document]:
        self._quietly(self._meet_devices)
        document: dict[str, Document] = {"hash": dict(self._hash)}
        for name, generator in list(self._generators.items()):
            row = self._quietly(generator.row, requested=self.requested, thorough=thorough)
            if row is not None:
                document[name] = row
        if any(self._created.values()):
            document["numpy.default_rng"] = {**self._created, "unseeded_at": list(self._places)}
        return document

    def _quietly(self, act: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        try:
            return act(*args, **kwargs)
        except Exception:  # noqa: BLE001 - we are a guest in someone's training run: what we cannot see stays unseen
            return None


def active() -> SeedWatch | None:
    """The watch that was started first in this interpreter and still runs, also one of another copy of this file."""
    watches = [finder.seed_watch for finder in sys.meta_path if hasattr(finder, "seed_watch")]
    return watches[-1] if watches else None


class as_gitrepro:  # noqa: N801 - it reads as a word of the sentence it stands in
    """A block in which seeding calls are ours, not the user's, to every watch of this interpreter."""

    def __enter__(self) -> None:
        watches = [finder.seed_watch for finder in sys.meta_path if hasattr(finder, "seed_watch")]
        self._before = [(watch, getattr(watch._thread, "by", "user")) for watch in watches]
        for watch in watches:
            watch._thread.by = "gitrepro"

    def __exit__(self, *_error: object) -> None:
        for watch, by in self._before:
            watch._thread.by = by


def settle_functions(torch: Any) -> None:
    """Have the CPU's vector functions chosen while one thread runs.

    torch on x86 takes them from MKL, which chooses one for this processor at the first call. Where two threads make
    that call at once, a process in some hundreds gets a square root of three digits from one of them: a first step of
    AdamW that is another one than with the same seed before.
    """
    for dtype in (torch.float32, torch.float64):
        one = torch.ones(1, dtype=dtype, device="cpu")
        for name in _MKL_FUNCTIONS:
            getattr(one, name)()


def _dress(ours: Any, original: Any, *, home: str, attribute: str) -> None:
    """Give our function the looks of the original; functools.wraps would do, but its import costs a millisecond."""
    ours.__dict__.update(getattr(original, "__dict__", {}))
    ours.__name__ = ours.__qualname__ = attribute
    ours.__module__ = home
    ours.__doc__ = original.__doc__
    ours.__annotations__ = getattr(original, "__annotations__", {})
    ours.__wrapped__ = original


def _argument(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return args[0] if args else kwargs.get("seed", kwargs.get("a"))


def _is_at(function: Any, call: _Call) -> bool:
    """Whether a function lies where it says it was defined, so that it can be pickled by that name."""
    home = sys.modules.get(function.__module__)
    return function.__module__ in call.homes and vars(home).get(call.attribute) is function


def _scipy_is_being_imported(frame: Any) -> bool:
    """Whether a module of scipy that is not yet loaded made the call: no result of the program can hang on it."""
    while frame is not None:
        if frame.f_code.co_name == "<module>" and frame.f_globals.get("__name__", "").startswith("scipy."):
            return True
        frame = frame.f_back
    return False


def _is_generator(argument: Any) -> bool:
    return any(kind.__name__ in ("Generator", "BitGenerator", "RandomState") for kind in type(argument).__mro__)


# ---------------------------------------------------------------- right after an import


class Finder:
    """Stands first on sys.meta_path, finds what the others find, and is there when the import is done.

    Args:
        names: the modules that are waited for.
        meet: is called with the name and the module, and `fresh=True`, when one of them stands.
        before: is called with the name before one of them is imported.
    """

    seed_watch: SeedWatch

    def __init__(
        self, names: Iterable[str], meet: Callable[..., None], *, before: Callable[[str], None] = lambda _name: None
    ) -> None:
        self._names = frozenset(names)
        self._meet = meet
        self._before = before
        self._looking = _local()

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name not in self._names or getattr(self._looking, "now", False):
            return None
        self._looking.now = True
        try:
            spec = self._found_by_others(name, path, target)
        finally:
            self._looking.now = False
        if spec is not None and hasattr(spec.loader, "exec_module"):
            self._before(name)
            spec.loader = _Loader(spec.loader, name, self._meet)  # type: ignore[assignment]
        return spec

    def _found_by_others(self, name: str, path: Any, target: Any) -> ModuleSpec | None:
        for finder in list(sys.meta_path):
            find = getattr(finder, "find_spec", None)
            spec: ModuleSpec | None = None if finder is self or find is None else find(name, path, target)
            if spec is not None:
                return spec
        return None


class _Loader:
    """The real loader, except that it says so once the module stands."""

    _real: Any = None

    def __init__(self, real: Any, name: str, meet: Callable[..., None]) -> None:
        self._real = real
        self._name = name
        self._meet = meet

    def __getattr__(self, attribute: str) -> Any:
        return getattr(self._real, attribute)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        create = getattr(self._real, "create_module", None)
        module: ModuleType | None = None if create is None else create(spec)
        return module

    def exec_module(self, module: Any) -> None:
        # First of all step aside: the module, and whoever asks it, sees the loader it would have had.
        module.__spec__.loader = module.__loader__ = self._real
        self._real.exec_module(module)
        self._meet(self._name, module, fresh=True)
