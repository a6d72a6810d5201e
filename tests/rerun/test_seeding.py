"""Other seeds in a recorded command: what gives the seed is replaced, and nothing else."""

from __future__ import annotations

import pytest

from gitrepro.errors import UsageError
from gitrepro.rerun.seeding import draw, layers, parse_seeds, reseed_argv, reseed_config, seed_words


@pytest.mark.parametrize(
    ("text", "seeds"),
    [
        ("0..4", (0, 1, 2, 3, 4)),
        ("1,2,3", (1, 2, 3)),
        ("7", (7,)),
        ("0..1, 17", (0, 1, 17)),
        ("4294967295", (2**32 - 1,)),
    ],
)
def test_lists_and_ranges_are_seeds(text: str, seeds: tuple[int, ...]) -> None:
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize(
    "text",
    [
        "",
        ",",
        "a",
        "-1",
        "1..",
        "..3",
        "4..0",
        "1,1",
        "0..3,2",
        "4294967296",
        "0..100000000",
        "1.5",
        "٣",
        "1..2..3",
        "0x3",
    ],
)
def test_what_is_no_list_of_seeds_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_seeds(text)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("python t.py --seed 3 --lr 3", "python t.py --seed 9 --lr 3"),
        ("python t.py --seed=3", "python t.py --seed=9"),
        ("python t.py seed=3 lr=3", "python t.py seed=9 lr=3"),
        ("python t.py train.seed=3", "python t.py train.seed=9"),
        ("python t.py +seed=3", "python t.py +seed=9"),
        ("python t.py --random-seed 3", "python t.py --random-seed 9"),
        ("python t.py --trainer.seed=3", "python t.py --trainer.seed=9"),
        ("python t.py --seed 3 --data-seed 5", "python t.py --seed 9 --data-seed 5"),
        ("python t.py --data_seed 3", "python t.py --data_seed 9"),
        ("python t.py --seed 4", "python t.py --seed 9"),
        ("python t.py seed", "python t.py seed"),
        ("python t.py --seed", "python t.py --seed"),
        ("python t.py --seed auto", "python t.py --seed auto"),
        ("python t.py --seeds 1,2,3", "python t.py --seeds 1,2,3"),
        ("python t.py --seedling 3", "python t.py --seedling 3"),
        ("python seed=3.py 3", "python seed=3.py 3"),
        ("python t.py --reseed 3 3", "python t.py --reseed 3 3"),
    ],
)
def test_the_seed_of_a_command_is_replaced_and_nothing_else(before: str, after: str) -> None:
    assert reseed_argv(before.split(), {3}, 9) == tuple(after.split())
    assert bool(seed_words(before.split(), {3})) == (before != after)


def test_the_seed_of_a_config_is_replaced_and_nothing_else() -> None:
    config = {
        "seed": 3,
        "lr": 3,
        "data": {"data_seed": 5, "seed": 3},
        "seeds": [3],
        "use_seed": True,
        "n": {"seed": None},
    }

    assert reseed_config(config, {3}, 9) == {**config, "seed": 9, "data": {"data_seed": 5, "seed": 9}}


def test_drawn_seeds_are_new_and_distinct() -> None:
    given = iter([b"\x01\0\0\0", b"\x02\0\0\0", b"\x02\0\0\0", b"\x03\0\0\0"])

    assert draw(2, taken={1}, random=lambda _: next(given)) == (2, 3)


def test_only_what_came_from_files_and_assignments_is_given_again() -> None:
    document = {
        "values": {"lr": 0.1, "net": {"depth": 3, "a.b": 1}, "seed": 4, "x": 1},
        "sources": {"lr": "set", "net.depth": "file:c.yaml", "net.a\\.b": "set", "seed": "argv", "x": "code"},
    }

    assert list(layers(document)) == [
        ("file:c.yaml", {"net": {"depth": 3}}),
        ("set", {"lr": 0.1, "net": {"a.b": 1}}),
    ]
