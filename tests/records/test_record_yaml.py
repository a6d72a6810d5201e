"""Canonical YAML: the same content, the same bytes, and no other bytes accepted."""

from __future__ import annotations

import enum
import math
import random
import subprocess
import sys
from collections import OrderedDict
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import yaml as pyyaml
from hypothesis import given, settings
from hypothesis import strategies as st

from gitrepro.errors import Damaged, UsageError
from gitrepro.records import yaml

TEXT = (
    st.text(st.characters(codec=None, exclude_categories=()), max_size=30)
    | st.sampled_from(["", "no", "1e3", "\ud83d\ude00", "\ude00\ud83d"])
    | st.sampled_from(["\x00\x1b\x7f\x85\xa0\u2028\ufeff\ufffe\uffff", "😀", "a: b", "- a", "{}"])
)
WORDS = st.sampled_from(["<<", "=", "~", "NULL", "On"])
KEYS = TEXT | WORDS | st.from_regex(r"[A-Za-z_][A-Za-z0-9_./-]{0,12}", fullmatch=True)
SCALARS = st.none() | st.booleans() | st.integers() | st.integers(-(10**400), 10**400) | st.floats() | TEXT
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=25,
)
DOCUMENTS = st.dictionaries(KEYS, VALUES, max_size=6)


def exact(value: Any) -> Any:
    """A form in which 1, 1.0 and True differ, and NaN equals itself."""
    if isinstance(value, dict):
        return {key: exact(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [exact(item) for item in value]
    return type(value).__name__, repr(value)


@given(DOCUMENTS)
@settings(max_examples=400)
def test_what_is_written_is_read_back_with_its_types(document):
    assert exact(yaml.load(yaml.dump(document))) == exact(document)


@given(DOCUMENTS)
@settings(max_examples=300)
def test_pyyaml_reads_the_same_values(document):
    assert exact(pyyaml.safe_load(yaml.dump(document))) == exact(document)


@given(DOCUMENTS, st.randoms(use_true_random=False))
@settings(max_examples=300)
def test_whatever_the_reader_accepts_is_canonical(document, chance):
    data = bytearray(yaml.dump(document))
    for _ in range(chance.randint(1, 3)):
        place = chance.randrange(len(data))
        edit = chance.choice(["flip", "cut", "copy", "swap"])
        if edit == "flip":
            data[place] ^= 1 << chance.randrange(8)
        elif edit == "cut" and len(data) > 1:
            del data[place]
        elif edit == "copy":
            data[place:place] = data[place : place + chance.randint(1, 8)]
        else:
            data[place] = chance.choice(b' -:"\\\n{}[]0e.#&*!|>%@`\t\r')
    try:
        document = yaml.load(bytes(data))
    except Damaged:
        return
    assert yaml.dump(document) == bytes(data)


@given(st.binary(max_size=200) | st.text('-: \n"a\\u0{}[]1.e', max_size=80).map(str.encode))
@settings(max_examples=500)
def test_any_bytes_are_read_or_reported(data):
    try:
        document = yaml.load(data)
    except Damaged:
        return
    assert yaml.dump(document) == data


def test_the_order_of_insertion_leaves_no_trace():
    assert yaml.dump({"b": 1, "a": {"d": 2, "c": 3}}) == yaml.dump({"a": {"c": 3, "d": 2}, "b": 1})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (0, "0"),
        (-7, "-7"),
        (1.0, "1.0"),
        (-0.0, "-0.0"),
        (1e-05, "1.0e-05"),
        (1.5e300, "1.5e+300"),
        (5e-324, "5.0e-324"),
        (math.nan, ".nan"),
        (math.inf, ".inf"),
        (-math.inf, "-.inf"),
        ("", '""'),
        ("no", '"no"'),
        ('a"b\\c', '"a\\"b\\\\c"'),
        ("tab\tline\n", '"tab\\tline\\n"'),
        ("\x1b\x7f\x85", '"\\u001b\\u007f\\u0085"'),
        ("\u2028\ufeff\uffff", '"\\u2028\\ufeff\\uffff"'),
        ("café 😀", '"café 😀"'),
        ("\ud800", '"\\ud800"'),
        ("\ud83d\ude00", '"\\ud83d\\ude00"'),
        ({}, "{}"),
        ([], "[]"),
        ((), "[]"),
    ],
)
def test_each_value_has_one_form(value, text):
    assert yaml.dump({"key": value}).decode() == f"key: {text}\n"


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("val/loss", "val/loss"),
        ("_x.y-z", "_x.y-z"),
        ("No", '"No"'),
        ("y", '"y"'),
        ("nULL", '"nULL"'),
        ("1", '"1"'),
        ("", '""'),
        ("a b", '"a b"'),
        ("<<", '"<<"'),
        ("é", '"é"'),
        ("a\n", '"a\\n"'),
    ],
)
def test_a_key_is_plain_only_when_yaml_cannot_mistake_it(key, text):
    assert yaml.dump({key: 1}).decode() == f"{text}: 1\n"


def test_blocks_nest_by_two_spaces():
    document = {"a": {"b": [1, [2, [3]], {"c": 4, "d": [{}]}], "e": {}}, "f": []}

    assert yaml.dump(document).decode() == (
        "a:\n  b:\n    - 1\n    - - 2\n      - - 3\n    - c: 4\n      d:\n        - {}\n  e: {}\nf: []\n"
    )


def test_an_empty_record_has_a_form_too():
    assert yaml.dump({}) == b"{}\n"
    assert yaml.load(b"{}\n") == {}


def test_mappings_and_tuples_are_written_as_plain_maps_and_lists():
    document = {"config": MappingProxyType({"betas": (0.9, 0.999), "more": OrderedDict(b=1, a=2)})}

    assert yaml.load(yaml.dump(document)) == {"config": {"betas": [0.9, 0.999], "more": {"a": 2, "b": 1}}}


class Colour(enum.IntEnum):
    RED = 1


@pytest.mark.parametrize(
    "value",
    [np.float64(1), np.float32(1), np.int64(1), np.bool_(True), np.str_("a"), np.zeros(2), Colour.RED, b"a", {1}],
)
def test_a_foreign_type_is_refused_with_its_place(value):
    with pytest.raises(UsageError, match=r"config\.model\[1\]\.lr"):
        yaml.dump({"config": {"model": [0, {"lr": value}]}})


def test_a_key_that_is_no_string_is_refused():
    with pytest.raises(UsageError, match="config"):
        yaml.dump({"config": {1: 2}})
    with pytest.raises(UsageError):
        yaml.dump({np.str_("a"): 2})


def test_a_record_is_a_mapping():
    with pytest.raises(UsageError, match="list"):
        yaml.dump([1])


def nested(levels: int) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for _ in range(levels - 1):
        document = {"a": document}
    return document


def test_thirty_two_levels_are_written_and_thirty_three_are_not():
    deepest = nested(yaml.MAX_DEPTH)

    assert yaml.load(yaml.dump(deepest)) == deepest
    with pytest.raises(UsageError, match="deeper"):
        yaml.dump(nested(yaml.MAX_DEPTH + 1))
    opening = "".join("  " * level + "a:\n" for level in range(yaml.MAX_DEPTH - 1))
    for entry in ("a: {}\n", "a: []\n", "a:\n" + "  " * yaml.MAX_DEPTH + "b: 1\n"):
        with pytest.raises(Damaged, match="at most 32 levels"):
            yaml.load((opening + "  " * (yaml.MAX_DEPTH - 1) + entry).encode())


def test_a_record_that_contains_itself_is_refused():
    document: dict[str, Any] = {}
    document["again"] = document
    with pytest.raises(UsageError, match="contains itself"):
        yaml.dump(document)


def test_a_small_value_that_unfolds_without_end_is_refused_before_memory_is_full():
    value: list[Any] = ["ha"]
    for _ in range(25):
        value = [value] * 10
    with pytest.raises(UsageError, match="larger"):
        yaml.dump({"value": value})


def test_a_record_of_more_than_a_mebibyte_is_refused():
    fits = {"a": "x" * (yaml.MAX_BYTES - len('a: ""\n'))}

    assert yaml.load(yaml.dump(fits)) == fits
    with pytest.raises(UsageError, match="larger"):
        yaml.dump({"a": fits["a"] + "x"})
    with pytest.raises(UsageError, match="larger"):
        yaml.dump({"a": "é" * (yaml.MAX_BYTES - 10)})
    with pytest.raises(UsageError, match="does not fit"):
        yaml.dump({"a": "x" * (yaml.MAX_BYTES + 1)})


def test_a_gigabyte_is_refused_by_its_length():
    class Huge(bytes):
        def __len__(self) -> int:
            return 1 << 30

    with pytest.raises(Damaged, match=r"1,073,741,824"):
        yaml.load(Huge(b"a: 1\n"))
    with pytest.raises(Damaged, match="at most"):
        yaml.load(b"a" * (yaml.MAX_BYTES + 1))


def test_a_key_may_have_a_thousand_characters_and_pyyaml_still_reads_it():
    plain, quoted = "k" * 1000, "\n" * 499
    document = {plain: 1, quoted: 2, "list": [{plain: 3}]}

    assert yaml.load(yaml.dump(document)) == document == pyyaml.safe_load(yaml.dump(document))
    with pytest.raises(UsageError, match="too long"):
        yaml.dump({plain + "k": 1})
    with pytest.raises(Damaged):
        yaml.load(plain.encode() + b"k: 1\n")
    with pytest.raises(Damaged):
        yaml.load(b'"' + b"\\n" * 500 + b'": 1\n')


def test_an_integer_may_have_4300_digits():
    document = {"a": -(10**4300 - 1)}

    assert yaml.load(yaml.dump(document)) == document
    for too_long in (10**4300, -(10**4300), 10**100_000):
        with pytest.raises(UsageError, match="4300"):
            yaml.dump({"a": too_long})
    with pytest.raises(Damaged):
        yaml.load(b"a: 1" + b"0" * 4300 + b"\n")


def test_a_process_with_a_lower_limit_on_digits_gets_a_report():
    program = (
        "import sys; sys.set_int_max_str_digits(640)\n"
        "from gitrepro.records import yaml; from gitrepro.errors import Damaged, UsageError\n"
        "for call in (lambda: yaml.dump({'a': 10**1000}), lambda: yaml.load(b'a: 1' + b'0' * 1000 + b'\\n')):\n"
        "    try: call()\n"
        "    except (Damaged, UsageError): print('reported')\n"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "reported\n" * 2


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "a: 1",
        "a: 1\n\n",
        "\na: 1\n",
        "a: 1\r\n",
        "a:  1\n",
        "a: 1 \n",
        "a : 1\n",
        "a:\n",
        "a: \n",
        "a:1\n",
        " a: 1\n",
        "a\n",
        "- 1\n",
        "1\n",
        "{}",
        "{}\n{}\n",
        "[]\n",
        "---\na: 1\n",
        "%YAML 1.1\n---\na: 1\n",
        "a: 1\n...\n",
        "# note\na: 1\n",
        "a: 1 # note\n",
        "b: 1\na: 2\n",
        "a: 1\na: 2\n",
        '"a": 1\n',
        "no: 1\n",
        "Y: 1\n",
        '"n\\u006f": 1\n',
        "'a b': 1\n",
        "a b: 1\n",
        "? a\n: 1\n",
        "a: word\n",
        "a: 'x'\n",
        'a: "x\n',
        'a: "x" y\n',
        'a: "\n',
        'a: "a"b"\n',
        'a: "\\"\n',
        'a: "\\x41"\n',
        'a: "\\u0041"\n',
        'a: "\\u000a"\n',
        'a: "\\u00E9"\n',
        'a: "\\/"\n',
        'a: "\\U0001f600"\n',
        "a: True\n",
        "a: yes\n",
        "a: ~\n",
        "a: NULL\n",
        "a: 01\n",
        "a: +1\n",
        "a: -0\n",
        "a: 0x1\n",
        "a: 1_000\n",
        "a: 1:30\n",
        "a: 2026-01-01\n",
        "a: 1e5\n",
        "a: 1.0e5\n",
        "a: 1.0e+05\n",
        "a: 1.0e+999\n",
        "a: 1.\n",
        "a: .5\n",
        "a: 1.50\n",
        "a: 0.1000000000000000055\n",
        "a: .NaN\n",
        "a: inf\n",
        "a: ١\n",
        "a: { }\n",
        "a: {b: 1}\n",
        "a: [1]\n",
        "a: &x 1\n",
        "a: *x\n",
        "a: !!str 1\n",
        "a: !!python/object/apply:os.system [id]\n",
        "<<: 1\n",
        "a: |\n  x\n",
        "a: >\n  x\n",
        "a:\n  1\n",
        "a:\n- 1\n",
        "a:\n   - 1\n",
        "a:\n    b: 1\n",
        "a:\n\tb: 1\n",
        "a: 1\n  b: 2\n",
        "a:\n  -\n",
        "a:\n  - \n",
        "a:\n  -  1\n",
        "a:\n  - 1\n  b: 2\n",
        "a:\n  b: 2\n  - 1\n",
        "a:\n  - - 1\n    b: 2\n",
        "a:\n  - b: 1\n   c: 2\n",
        "a:\n  - b: 1\n    - 2\n",
        "a:\n  - b:\n    - 2\n",
        "a:\n  b:\n",
        "a:\n  b:\nc: 1\n",
        "a:\n  - b:\n",
        "\ufeffa: 1\n",
        'a: "\u2028"\n',
        'a: "\x85"\n',
        'a: "\x7f"\n',
        "\x1b\n",
        "\x00\n",
        "a: \x1b[2J\n",
        "[" * 100_000 + "\n",
        "a: " + "[" * 100_000 + "\n",
        "a: " + "{a: " * 100_000 + "\n",
        "a:\n  " + "- " * 100_000 + "1\n",
        "".join("  " * n + "a:\n" for n in range(600)) + "  " * 600 + "a: 1\n",
    ],
)
def test_what_is_not_canonical_is_damage(text):
    with pytest.raises(Damaged, match=r"^run\.yaml is damaged at line \d+; expected "):
        yaml.load(text.encode(), source="run.yaml")


@pytest.mark.parametrize(
    "data", [b"a: \xff\n", b'a: "\xc0\x80"\n', b'a: "\xed\xa0\x80"\n', b"\xff\xfea\x00", b"a: 1\n\xe2"]
)
def test_bytes_that_are_not_utf8_are_damage(data):
    with pytest.raises(Damaged, match="UTF-8"):
        yaml.load(data)


def test_the_report_names_the_line():
    with pytest.raises(Damaged, match=r"config of 01j is damaged at line 3; expected a quoted string"):
        yaml.load(b"a: 1\nb:\n  - what\n", source="config of 01j")


def test_a_hostile_document_of_full_size_is_refused_in_one_pass():
    for unit in (b'"\\"', b"- ", b"a:\n", b'a: "', b"\\\\", b"  ", b'"":'):
        with pytest.raises(Damaged):
            yaml.load((unit * (yaml.MAX_BYTES // len(unit)))[: yaml.MAX_BYTES])


def test_random_lines_of_yaml_never_raise_anything_but_damage():
    chance = random.Random(20)
    pieces = ["a", '"b c"', ":", ": ", "- ", "  ", "\n", '"x"', "1.0", "{}", "null", " ", "\\", '"', "\n  ", "\n- "]
    for _ in range(5_000):
        data = "".join(chance.choices(pieces, k=chance.randint(1, 14))).encode()
        try:
            assert yaml.dump(yaml.load(data)) == data
        except Damaged:
            pass


def test_reading_records_needs_the_standard_library_only():
    program = "import sys; from gitrepro.records import ids, yaml; print('yaml' in sys.modules, 'numpy' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "False False\n"
