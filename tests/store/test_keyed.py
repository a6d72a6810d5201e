"""Keyed hashes: numbers that a key and an item decide."""

from __future__ import annotations

from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from gitrepro.store.keyed import keyed_hashes


def test_a_number_is_the_first_eight_bytes_of_keyed_blake3() -> None:
    key = blake3(b"default:0", derive_key_context="gitrepro 2026-11 keyed hashes of items").digest()
    digest = blake3(b"id 17", key=key).digest()

    assert keyed_hashes(b"default:0", [b"id 17"]) == [int.from_bytes(digest[:8], "big")]


def test_the_numbers_of_a_release_stay_what_they_are() -> None:
    # Splits on record were made with them: another number here would be another split everywhere.
    assert keyed_hashes(b"default:0", [b"id 0", b"id 1", b""]) == [
        3593321864107856481,
        9679089268158587469,
        12001623428111329243,
    ]


@given(st.binary(), st.lists(st.binary(max_size=40), max_size=30))
def test_an_item_has_its_number_whatever_stands_beside_it(key: bytes, items: list[bytes]) -> None:
    together = keyed_hashes(key, items)

    assert together == [keyed_hashes(key, [each])[0] for each in items]
    assert all(0 <= each < 2**64 for each in together)


def test_another_key_gives_other_numbers() -> None:
    items = [str(number).encode() for number in range(100)]

    assert not {*keyed_hashes(b"a", items)} & {*keyed_hashes(b"b", items)}
