"""A state goes through JSON and comes back exactly, or is refused by the name of what cannot be kept."""

from __future__ import annotations

import json
import math
import struct
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitrepro.checkpoints.skeleton import decode, encode
from gitrepro.errors import Damaged, UsageError


def refuse(name: str, value: Any) -> Any:
    raise UsageError(f"{name} is {value!r}")


def there_and_back(value: Any) -> Any:
    return decode(json.loads(json.dumps(encode(value, path="extra", take=refuse))), give=refuse)


floats = st.integers(0, 2**64 - 1).map(lambda bits: struct.unpack(">d", struct.pack(">Q", bits))[0])
keys = st.one_of(st.text(), st.integers(), st.booleans(), st.none(), st.tuples(st.integers(), st.text()))
leaves = st.one_of(
    st.none(), st.booleans(), st.integers(), floats, st.text(), st.binary(), st.binary().map(bytearray),
    st.complex_numbers(), st.frozensets(st.integers()), st.sets(st.text()), st.just("$tensor"),
)  # fmt: skip
states = st.recursive(
    leaves,
    lambda below: st.one_of(
        st.lists(below),
        st.lists(below).map(tuple),
        st.dictionaries(keys, below),
        st.dictionaries(st.sampled_from(["$tuple", "$float", "$dict", "a"]), below),
        st.lists(st.tuples(st.text(), below)).map(OrderedDict),
    ),
    max_leaves=20,
)


def same(one: Any, other: Any) -> bool:
    """Equal in type, in order, and floats in every bit."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return struct.pack(">d", one) == struct.pack(">d", other)
    if isinstance(one, complex):
        return same(one.real, other.real) and same(one.imag, other.imag)
    if isinstance(one, dict):
        return same(list(one), list(other)) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


@given(states)
def test_a_state_comes_back_exactly(value: Any) -> None:
    assert same(there_and_back(value), value)


def test_the_sign_of_zero_and_the_bits_of_nan_are_kept() -> None:
    odd = struct.unpack(">d", bytes.fromhex("7ff8000000000123"))[0]

    assert math.copysign(1, there_and_back(-0.0)) == -1
    assert struct.pack(">d", there_and_back(odd)).hex() == "7ff8000000000123"


@given(states)
def test_the_same_state_makes_the_same_json(value: Any) -> None:
    assert json.dumps(encode(value, path="", take=refuse)) == json.dumps(encode(value, path="", take=refuse))


def test_what_cannot_be_kept_is_named_by_where_it_is() -> None:
    with pytest.raises(UsageError, match=r"extra/epochs/3/callback is <object"):
        encode({"epochs": {3: {"callback": object()}}}, path="extra", take=refuse)


def test_a_state_that_holds_itself_is_refused() -> None:
    own: list[Any] = []
    own.append(own)

    with pytest.raises(UsageError, match="may hold itself"):
        encode(own, path="extra", take=refuse)


def test_a_subclass_of_a_plain_type_is_not_taken_for_plain() -> None:
    with pytest.raises(UsageError):
        encode(np.float64(1.0), path="extra", take=refuse)


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text()),
    lambda below: st.one_of(
        st.lists(below, max_size=3),
        st.dictionaries(
            st.sampled_from("$float $tuple $dict $ordered $set $bytes $complex $frozenset a".split()), below, max_size=2
        ),
    ),
    max_leaves=12,
)


@given(json_values)
def test_json_that_we_did_not_write_is_a_value_or_damage_and_nothing_else(value: Any) -> None:
    def give(tag: str, _value: Any) -> Any:
        raise ValueError(tag)

    def outcome() -> str:
        try:
            return repr(decode(value, give=give))
        except Damaged as error:
            return str(error)

    assert outcome() == outcome() != ""
