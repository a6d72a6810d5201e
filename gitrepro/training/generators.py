"""The global generators of a process: seeding them for a moment, and putting them back to the bit.

A loader seeds them for every sample, so each act here takes microseconds where the libraries' own take up to fifty:
whether a Mersenne Twister has moved is seen from its place and two of its words, which are read where they lie.
"""

from __future__ import annotations

import ctypes
import random
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol, final

_WORDS: Final = 624
_WORD_BYTES: Final = 4
_LOW: Final = 0xFFFFFFFF
_FLAG_BEFORE_BYTES: Final = 8


class Shared(Protocol):
    """One global generator. Whoever shares it expects to find it as it was."""

    def mark(self) -> Any:
        """Where it stands."""

    def moved(self, mark: Any) -> bool:
        """Whether it stands somewhere else than at the mark."""

    def restore(self, mark: Any) -> None:
        """Put it back to the mark."""

    def seed(self, seed: int) -> None:
        """Seed it with an integer below 2**63; seeding calls that are watched for do not see it."""


@dataclass(frozen=True, slots=True)
class _Mark:
    """A whole state of a Mersenne Twister, and what is seen of it at a glance."""

    glance: tuple[int, int, bool]
    state: Any


@final
class Twister:
    """Python's or NumPy's generator.

    Args:
        state, set_state: its whole state, as the library has it. They are called seldom.
        seed: takes an integer below 2**63.
        words: the address of its 624 words, in memory that lives as long as the process.
        place: the address of the C int that says which word is next.
        carried: whether a second normal number lies ready: it is handed out without a move.
    """

    def __init__(
        self,
        *,
        state: Callable[[], Any],
        set_state: Callable[[Any], None],
        seed: Callable[[int], object],
        words: int,
        place: int,
        carried: Callable[[], bool],
    ) -> None:
        self._state, self._set_state, self._seed, self._carried = state, set_state, seed, carried
        self._place = ctypes.c_int.from_address(place)
        # Not the first words, which are the same after every seeding, or the seed itself.
        self._pair = ctypes.c_uint64.from_address(words + 2 * _WORD_BYTES)
        self._last: _Mark | None = None

    def mark(self) -> _Mark:
        glance = self._glance()
        if self._last is None or self._last.glance != glance:
            self._last = _Mark(glance, self._state())
        return self._last

    def moved(self, mark: _Mark) -> bool:
        return self._glance() != mark.glance

    def _glance(self) -> tuple[int, int, bool]:
        return self._place.value, self._pair.value, self._carried()

    def restore(self, mark: _Mark) -> None:
        self._set_state(mark.state)
        self._last = mark

    def seed(self, seed: int) -> None:
        self._seed(seed)


@final
class Whole:
    """A generator of which nothing is known but its state: the same, slower."""

    def __init__(
        self, state: Callable[[], Any], set_state: Callable[[Any], None], seed: Callable[[int], object]
    ) -> None:
        self._state, self._set_state, self._seed = state, set_state, seed

    def mark(self) -> Any:
        return self._state()

    def moved(self, mark: Any) -> bool:
        return bool(self._state() != mark)

    def restore(self, mark: Any) -> None:
        self._set_state(mark)

    def seed(self, seed: int) -> None:
        self._seed(seed)


@final
class Torch:
    """torch's default generator on the CPU."""

    def __init__(self, generator: Any) -> None:
        self._generator = generator

    def mark(self) -> Any:
        return self._generator.get_state()

    def moved(self, mark: Any) -> bool:
        # torch.equal would take longer than all the rest.
        now = self._generator.get_state()
        return bool(_compare(now.data_ptr(), mark.data_ptr(), mark.numel()))

    def restore(self, mark: Any) -> None:
        self._generator.set_state(mark)

    def seed(self, seed: int) -> None:
        self._generator.manual_seed(seed)


_compare: Final = ctypes.CDLL(None).memcmp
_compare.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)

_found: dict[str, Shared] = {}
_numpy_owner: Any = None
"""What holds the words that are read in memory: kept, so that they stay whatever the program puts in its place."""


def present() -> dict[str, Shared]:
    """The global generators whose libraries are imported by now: `python`, `numpy`, `torch`."""
    if "numpy" in _found and sys.modules["numpy.random"].mtrand._rand._bit_generator is not _numpy_owner:
        del _found["numpy"]
    for name, (library, make) in _MAKERS.items():
        if name not in _found and library in sys.modules and (made := make(sys.modules[library])):
            _found[name] = made
    return _found


def _python(module: Any) -> Shared:
    # The functions of the module may be watched; the methods of its one instance are not.
    one: random.Random = module._inst
    *words, place = one.getstate()[1]
    place_at = id(one) + object.__basicsize__
    if sys.implementation.name == "cpython" and _lie_there(words, place, place_at + _WORD_BYTES, place_at):
        return Twister(
            state=one.getstate, set_state=one.setstate, seed=one.seed, words=place_at + _WORD_BYTES, place=place_at,
            carried=lambda: one.gauss_next is not None,  # type: ignore[attr-defined]
        )  # fmt: skip
    return Whole(one.getstate, one.setstate, one.seed)


def _numpy(module: Any) -> Shared | None:
    global _numpy_owner
    one = module.mtrand._rand
    if type(one._bit_generator).__name__ != "MT19937":
        return None  # the program put another one in place, which takes no seed
    _numpy_owner = one._bit_generator
    _, words, place, *_ = one.get_state()

    def seed(number: int) -> None:
        one.seed(number & _LOW)

    words_at = _numpy_owner.ctypes.state_address
    place_at = words_at + _WORDS * _WORD_BYTES
    if _lie_there(words.tolist(), place, words_at, place_at):
        return Twister(
            state=one.get_state, set_state=one.set_state, seed=seed, words=words_at, place=place_at,
            carried=_carried_in(one),
        )  # fmt: skip
    return Whole(lambda: _Plain(one.get_state()), lambda plain: one.set_state(plain.state), seed)


def _carried_in(one: Any) -> Callable[[], bool]:
    """Whether a RandomState has a second normal number ready: an int in it, right before that number."""
    other = type(one)(0)
    other.standard_normal()
    lies = ctypes.string_at(id(other), type(other).__basicsize__)
    flag_at = lies.find(struct.pack("=d", other.get_state()[4])) - _FLAG_BEFORE_BYTES
    if flag_at > object.__basicsize__ and struct.unpack_from("=i", lies, flag_at) == (1,):
        flag = ctypes.c_int.from_address(id(one) + flag_at)
        if flag.value == one.get_state()[3]:
            return lambda: bool(flag.value)
    return lambda: bool(one.get_state()[3])


class _Plain:
    """NumPy's state, which holds an array, so that two of them can be compared."""

    def __init__(self, state: Any) -> None:
        self.state = state

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Plain) and str(self._key()) == str(other._key())

    __hash__ = None  # type: ignore[assignment]

    def _key(self) -> tuple[Any, ...]:
        return (self.state[1].tobytes(), *self.state[2:])


def _torch(module: Any) -> Shared | None:
    return Torch(module.default_generator) if hasattr(module, "default_generator") else None


def _lie_there(words: Any, place: int, words_at: int, place_at: int) -> bool:
    """Whether the state lies in memory where this version of the library is expected to keep it."""
    seen = (ctypes.c_uint32 * _WORDS).from_address(words_at)
    return list(seen) == list(words) and ctypes.c_int.from_address(place_at).value == place


_MAKERS: Final[dict[str, tuple[str, Callable[[Any], Shared | None]]]] = {
    "python": ("random", _python),
    "numpy": ("numpy.random", _numpy),
    "torch": ("torch", _torch),
}
