"""Configurations of every kind become plain values, and the record says where each came from."""

from __future__ import annotations

import argparse
import copy
import dataclasses
import datetime
import enum
import json
import math
import pickle
import re
import types
from collections import OrderedDict, namedtuple
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gitrepro.capture.config import (
    Layer,
    LiveConfig,
    dotted,
    flatten,
    from_argv,
    from_file,
    from_object,
    merge,
    parse_assignment,
    parse_scalar,
    split_key,
)
from gitrepro.errors import ConfigError, NotFound, UsageError


@dataclasses.dataclass
class Optimizer:
    name: str = "adamw"
    betas: tuple[float, float] = (0.9, 0.999)


@dataclasses.dataclass
class Training:
    lr: float = 0.1
    optimizer: Optimizer = dataclasses.field(default_factory=Optimizer)


class Mode(enum.Enum):
    FAST = "fast"
    SLOW = 2


class Opaque:
    """An object whose repr holds its address."""


# --- objects


@pytest.mark.parametrize(
    "obj",
    [
        {"lr": 0.1, "optimizer": {"name": "adamw", "betas": [0.9, 0.999]}},
        OrderedDict(lr=0.1, optimizer=OrderedDict(name="adamw", betas=(0.9, 0.999))),
        types.MappingProxyType({"lr": 0.1, "optimizer": Optimizer()}),
        Training(),
        argparse.Namespace(lr=0.1, optimizer=Optimizer()),
        types.SimpleNamespace(lr=0.1, optimizer=types.SimpleNamespace(name="adamw", betas=[0.9, 0.999])),
        namedtuple("Training", "lr optimizer")(0.1, Optimizer()),
    ],
)
def test_every_kind_of_configuration_gives_the_same_plain_values(obj):
    assert from_object(obj) == {"lr": 0.1, "optimizer": {"name": "adamw", "betas": [0.9, 0.999]}}


def test_a_pydantic_like_object_is_dumped():
    class Model:
        def model_dump(self) -> dict[str, object]:
            return {"depth": 3}

    assert from_object({"model": Model()}) == {"model": {"depth": 3}}


def test_no_configuration_is_an_empty_one():
    assert from_object(None) == {}


@pytest.mark.parametrize("obj", [3, "lr=0.1", [1, 2], Training, object()])
def test_what_has_no_named_values_is_refused(obj):
    with pytest.raises(UsageError, match="cannot be"):
        from_object(obj)


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (True, True), (3, 3), (0.5, 0.5), (None, None), ("x", "x"),
        (np.int64(3), 3), (np.float32(0.5), 0.5), (np.float64(0.5), 0.5), (np.bool_(True), True), (np.array(7), 7),
        (np.str_("x"), "x"), (np.dtype("float32"), "float32"), (np.float32, "numpy.float32"),
        (Path("a/b"), "a/b"), (Mode.FAST, "fast"), (Mode.SLOW, "Mode.SLOW"), (datetime.date(2026, 3, 1), "2026-03-01"),
        (Optimizer, f"{__name__}.Optimizer"), (math.sqrt, "math.sqrt"),
        ({3, 1, 2}, [1, 2, 3]), (frozenset({"b", "a"}), ["a", "b"]), ((1, (2, 3)), [1, [2, 3]]), (range(3), [0, 1, 2]),
        (b"ab", "b'ab'"), (1 + 2j, "(1+2j)"),
    ],
)  # fmt: skip
def test_a_leaf_becomes_plain(value, plain):
    result = from_object({"x": value})["x"]

    assert result == plain
    assert type(result) is type(plain)


def test_torch_names_become_text():
    torch = pytest.importorskip("torch")

    values = {"dtype": torch.bfloat16, "device": torch.device("cpu"), "scale": torch.tensor(2.0)}
    assert from_object(values) == {"dtype": "torch.bfloat16", "device": "cpu", "scale": 2.0}


def test_equal_objects_have_equal_text_whatever_their_address():
    assert from_object({"x": Opaque()}) == from_object({"x": Opaque()})


def test_a_long_repr_is_cut():
    assert len(from_object({"x": b"a" * 1000})["x"]) == 200


def test_a_lone_surrogate_is_written_as_its_escape():
    assert from_object({"x": "a\udcff"}) == {"x": "a\\udcff"}


def test_a_configuration_that_contains_itself_is_refused():
    values: dict[str, object] = {"a": {}}
    values["a"]["b"] = values

    with pytest.raises(UsageError, match="contains itself"):
        from_object(values)


def test_one_object_in_two_places_is_no_cycle():
    shared = {"x": 1}

    assert from_object({"a": shared, "b": shared}) == {"a": {"x": 1}, "b": {"x": 1}}


def nested(depth: int) -> dict[str, object]:
    values: dict[str, object] = {"leaf": 1}
    for _ in range(depth - 1):
        values = {"a": values}
    return values


def test_24_levels_are_kept_and_25_refused():
    assert from_object(nested(24)) == nested(24)
    with pytest.raises(UsageError, match="deeper than 24"):
        from_object(nested(25))


def test_a_thousand_levels_are_refused_without_a_recursion_error():
    with pytest.raises(UsageError, match="deeper"):
        from_object(nested(1000))


def test_keys_that_are_not_text_become_text():
    assert from_object({1: "a", None: "b", Mode.FAST: "c", (2, 3): "d"}) == {
        "1": "a",
        "None": "b",
        "fast": "c",
        "(2, 3)": "d",
    }


def test_two_keys_with_one_text_are_refused_naming_both():
    with pytest.raises(UsageError) as caught:
        from_object({"x": {1: "a", "1": "b"}})

    assert "'x.1'" in caught.value.what
    assert "1 and '1'" in caught.value.why


@pytest.mark.parametrize("key", ["a" * 257, "a\nb", "a\x00", "\x7f", "a\udcff"])
def test_a_key_that_no_table_can_show_is_refused(key):
    with pytest.raises(UsageError, match="a configuration key"):
        from_object({key: 1})


def test_a_number_of_more_than_4300_digits_is_refused():
    assert from_object({"x": 10**4299}) == {"x": 10**4299}
    with pytest.raises(UsageError, match="4300 digits"):
        from_object({"x": 10**4301})


@pytest.mark.parametrize("values", [{"x": "a" * (2 << 20)}, {"x": list(range(100_001))}])
def test_data_in_a_configuration_is_refused(values):
    with pytest.raises(UsageError, match="too large"):
        from_object(values)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("ab.\\ é", max_size=5), inner, max_size=4),
    max_leaves=12,
)
DOCUMENT = st.dictionaries(st.text("ab.\\ é", max_size=5), PLAIN, max_size=5)


@given(DOCUMENT)
def test_plain_values_come_back_as_they_are(values):
    assert from_object(values) == values


# --- dotted keys


@given(st.lists(st.text("ab.\\", max_size=4), min_size=1, max_size=4))
def test_a_dotted_key_names_exactly_one_path(path):
    assert split_key(dotted(path)) == tuple(path)


def test_a_list_and_an_empty_mapping_are_leaves():
    assert flatten({"a": {"b": [1, 2], "c": {}}, "d.e": 1}) == {"a.b": [1, 2], "a.c": {}, "d\\.e": 1}


# --- files


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.yaml", "lr: 1e-3\nmodel:\n  depth: 3\n  widths: [1, 2]\nname: none\n"),
        ("a.yml", "\ufefflr: 0.001\r\nmodel: {depth: 3, widths: [1, 2]}\r\nname: none\r\n"),
        ("a.json", '{"lr": 1e-3, "model": {"depth": 3, "widths": [1, 2]}, "name": "none"}'),
        ("a.toml", 'lr = 1e-3\r\nname = "none"\r\n[model]\r\ndepth = 3\r\nwidths = [1, 2]\r\n'),
    ],
)
def test_a_file_of_any_format_gives_the_same_values(tmp_path, name, content):
    values = {"lr": 0.001, "model": {"depth": 3, "widths": [1, 2]}, "name": "none"}

    assert from_file(written(tmp_path, name, content)) == values


def test_an_empty_file_is_an_empty_configuration(tmp_path):
    assert from_file(written(tmp_path, "a.yaml", "# nothing yet\n")) == {}
    assert from_file(written(tmp_path, "a.json", "")) == {}


def test_anchors_and_merge_keys_mean_what_they_mean_in_yaml(tmp_path):
    text = "base: &base {lr: 0.1, wd: 0}\nbig:\n  <<: *base\n  wd: 1\nlist: [*base, *base]\n"

    assert from_file(written(tmp_path, "a.yaml", text)) == {
        "base": {"lr": 0.1, "wd": 0},
        "big": {"wd": 1, "lr": 0.1},
        "list": [{"lr": 0.1, "wd": 0}, {"lr": 0.1, "wd": 0}],
    }


def test_dates_and_keys_stay_as_written(tmp_path):
    text = "on: 2026-03-01\n1: yes\n"

    assert from_file(written(tmp_path, "a.yaml", text)) == {"on": "2026-03-01", "1": True}


@given(st.dictionaries(st.from_regex(r"[a-z]{1,5}", fullmatch=True), PLAIN, max_size=4))
def test_a_file_that_pyyaml_wrote_reads_back_as_the_same_values(tmp_path_factory, values):
    import yaml

    text = yaml.safe_dump(values, allow_unicode=True)
    assume("\x85" not in text)  # PyYAML itself reads this line separator back as a space
    assume(not re.search(r"\d[eE]\d", text))  # and a plain 1e5 as text, where we read a number
    path = tmp_path_factory.mktemp("conf") / "a.yaml"
    path.write_text(text, encoding="utf-8")

    assert from_file(path) == values


@pytest.mark.parametrize(
    ("name", "content", "place", "why"),
    [
        ("a.yaml", "a: 1\n\tb: 2\n", ":2:1:", "cannot start any token"),
        ("a.yaml", "a: 1\nb: 2\na: 3\n", ":3:1:", "twice"),
        ("a.yaml", "a:\n  b: !!python/object:os.system x\n", ":2:6:", "tag"),
        ("a.yaml", "a: !mine 3\n", ":1:4:", "tag"),
        ("a.yaml", "a: [1, 2\nb: 3\n", ":2:", "expected"),
        ("a.yaml", "a: 1\n---\nb: 2\n", ":2:1:", "second document"),
        ("a.yaml", "- 1\n- 2\n", ":1:1:", "pairs"),
        ("a.yaml", "? [1, 2]\n: 3\n", ":1:3:", "key is a list"),
        ("a.yaml", "a: *nowhere\n", ":1:4:", "anchor"),
        ("a.yaml", "a: &a [*a]\n", ":1:8:", "anchor"),
        ("a.yaml", "a: " + "[" * 65 + "]" * 65, ":1:67:", "deeper than 64"),
        ("a.yaml", "a: 'x\x07'\n", ":1:6:", "not allowed"),
        ("a.yaml", "a: 1\nb: caf\xe9\n".encode("latin-1"), ":2:7:", "not UTF-8"),
        ("a.yaml", "a: " + "9" * 5000 + "\n", ":1:4:", "limit"),
        ("a.json", '{"a": 1,\n "a": 2}', ":2:2:", "twice"),
        ("a.json", '{"a": 1,\n "b" 2}', ":2:6:", "delimiter"),
        ("a.json", "[1]", ":1:1:", "pairs"),
        ("a.json", '{"a":' * 100_000, ":1:1:", "deeper"),
        ("a.toml", "a = 1\na = 2\n", ":2:", "overwrite"),
        ("a.toml", "a = \n", ":1:", "Invalid value"),
    ],
)
def test_a_broken_file_is_refused_with_its_line_and_column(tmp_path, name, content, place, why):
    path = written(tmp_path, name, content)

    with pytest.raises(ConfigError) as caught:
        from_file(path)
    assert caught.value.what.startswith(f"{path}{place}")
    assert why in caught.value.why


def test_a_yaml_bomb_is_refused_before_it_unfolds(tmp_path):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]

    with pytest.raises(ConfigError) as caught:
        from_file(written(tmp_path, "bomb.yaml", "\n".join(lines)))
    assert "unfolds" in caught.value.why


def test_a_file_over_one_mebibyte_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="larger than"):
        from_file(written(tmp_path, "a.yaml", "# " + "x" * (1 << 20)))


def test_a_file_that_is_not_there_is_not_found(tmp_path):
    with pytest.raises(NotFound, match=r"missing\.yaml"):
        from_file(tmp_path / "missing.yaml")


# --- words of a command line


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3), ("-3", -3), ("+3", 3), ("0", 0), ("0.1", 0.1), ("1e-3", 0.001), (".5", 0.5), ("5.", 5.0),
        ("1E5", 1e5),
        ("inf", math.inf), ("-.inf", -math.inf), ("true", True), ("False", False), ("null", None), ("None", None),
        ("yes", "yes"), ("no", "no"), ("none", "none"), ("007", "007"), ("1:30", "1:30"), ("1_000", "1_000"), ("", ""),
        ("v1.2.3", "v1.2.3"), ("1e", "1e"), ("0x10", "0x10"), ("[1, 2]", [1, 2]), ('{"a": 1}', {"a": 1}),
        ("[a,b]", "[a,b]"), ("9" * 5000, "9" * 5000),
    ],
)  # fmt: skip
def test_a_word_stands_for_a_value(text, value):
    result = parse_scalar(text)

    assert result == value
    assert type(result) is type(value)


def test_an_assignment_has_a_path_and_a_value():
    assert parse_assignment("model.depth=3") == (("model", "depth"), 3)
    assert parse_assignment("url=a=b") == (("url",), "a=b")
    assert parse_assignment("a\\.b=1") == (("a.b",), 1)


@pytest.mark.parametrize("text", ["model.depth", "=3", "a..b=3", ""])
def test_what_is_no_assignment_is_refused(text):
    with pytest.raises(ConfigError, match="not an assignment"):
        parse_assignment(text)


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("python train.py --lr 0.1 --epochs=3", {"lr": 0.1, "epochs": 3}),
        ("python train.py -b 32 --amp --no-bar", {"b": 32, "amp": True, "no_bar": True}),
        ("python train.py --weight-decay -0.1 --offset -5", {"weight_decay": -0.1, "offset": -5}),
        ("python train.py model.depth=3 +trainer.gpus=2", {"model": {"depth": 3}, "trainer": {"gpus": 2}}),
        ("python train.py --model.depth 3 --model.act relu", {"model": {"depth": 3, "act": "relu"}}),
        ("python train.py --gpus 0 1 2 --name a data", {"gpus": [0, 1, 2], "name": "a"}),
        ("python train.py --lr 0.1 --lr 0.2", {"lr": 0.2}),
        ("python train.py --lr 0.1 -- --lr 0.3", {"lr": 0.1}),
        ("python train.py --override lr=0.1", {"override": True, "lr": 0.1}),
        ("python train.py data/ --seed 007", {"seed": "007"}),
        ("python train.py --empty= --last", {"empty": "", "last": True}),
        ("/usr/bin/python3.11 -u -X dev -W ignore train.py --lr 1", {"lr": 1}),
        ("python -m pkg.train --lr 1", {"lr": 1}),
        ("python -c code --lr 1", {"lr": 1}),
        ("python -m torch.distributed.run --nproc_per_node 4 train.py --lr 1", {"lr": 1}),
        ("torchrun --nproc_per_node=4 --rdzv_id 7 train.py --lr 1", {"lr": 1}),
        ("torchrun --nproc_per_node 4 -m pkg.train --lr 1", {"lr": 1}),
        ("accelerate launch --config_file a.yaml train.py --lr 1", {"lr": 1}),
        ("env A=1 python train.py --lr 1", {"lr": 1}),
        ("uv run python -m train --lr 1", {"lr": 1}),
        ("srun -n 4 python train.py --lr 1", {"lr": 1}),
        ("bash run.sh --lr 1", {"lr": 1}),
        ("./train --lr 1", {"lr": 1}),
        ("train.py --lr 1", {"lr": 1}),
        ("python", {}),
        ("", {}),
    ],
)  # fmt: skip
def test_a_command_line_says_what_it_configures(line, values):
    assert from_argv(line.split()) == values


@given(st.lists(st.text(max_size=12), max_size=8))
def test_no_command_line_is_an_error(argv):
    assert from_object(from_argv([word for word in argv if word.isprintable()])) is not None


# --- layers


def test_a_later_layer_wins_and_what_it_replaced_is_kept():
    config = merge(
        [
            Layer(source="default", values={"lr": 0.1, "model": {"depth": 2, "act": "relu"}}),
            Layer(source="file:a.yaml", values={"lr": 0.2, "model": {"depth": 3}}),
            Layer(source="cli", values={"lr": 0.3}),
        ]
    )

    assert config.values == {"lr": 0.3, "model": {"depth": 3, "act": "relu"}}
    assert config.sources == {"lr": "cli", "model.depth": "file:a.yaml", "model.act": "default"}
    assert config.overridden == {
        "lr": [{"source": "default", "value": 0.1}, {"source": "file:a.yaml", "value": 0.2}],
        "model.depth": [{"source": "default", "value": 2}],
    }
    assert config.document() == {
        "format": 1,
        "values": config.values,
        "sources": config.sources,
        "overridden": config.overridden,
    }


def test_an_equal_value_is_no_override_but_one_of_another_type_is():
    layers = [Layer(source="a", values={"x": 1, "y": 1}), Layer(source="b", values={"x": 1, "y": True})]

    assert merge(layers).overridden == {"y": [{"source": "a", "value": 1}]}


def test_a_scalar_replaces_a_mapping_whole_and_the_other_way_round():
    down = [Layer(source="a", values={"m": {"x": 1, "y": 2}}), Layer(source="b", values={"m": "off"})]
    up = [Layer(source="a", values={"m": "off"}), Layer(source="b", values={"m": {"x": 1}})]

    assert merge(down).values == {"m": "off"}
    assert list(merge(down).overridden) == ["m.x", "m.y"]
    assert merge(up).values == {"m": {"x": 1}}
    assert merge(up).overridden == {"m": [{"source": "a", "value": "off"}]}


@given(st.lists(DOCUMENT, max_size=3))
def test_every_leaf_has_a_source_and_merging_again_changes_nothing(documents):
    config = merge(Layer(source=str(index), values=values) for index, values in enumerate(documents))
    leaves = {key for key, value in flatten(config.values).items() if value != {}}

    assert set(config.sources) == leaves
    assert merge([Layer(source="again", values=config.values)]).values == config.values


# --- what the program reads


def test_items_are_attributes_too():
    config = LiveConfig({"lr": 0.1, "model": {"depth": 3}})

    assert config.lr == config["lr"] == 0.1
    assert config.model.depth == config["model"]["depth"] == 3
    assert not hasattr(config, "missing")
    with pytest.raises(KeyError):
        config["missing"]


def test_each_assignment_is_converted_and_reported():
    changes: list[tuple[str, object]] = []
    config = LiveConfig({"model": {"depth": 3}}, on_change=lambda key, value: changes.append((key, value)))
    config.lr = np.float32(0.5)
    config["model"]["path"] = Path("a/b")
    config.model.update(depth=4)
    config["a.b"] = {"c": (1, 2)}

    assert changes == [("lr", 0.5), ("model.path", "a/b"), ("model.depth", 4), ("a\\.b", {"c": [1, 2]})]
    assert config.as_dict() == {"lr": 0.5, "model": {"depth": 4, "path": "a/b"}, "a.b": {"c": [1, 2]}}


def test_a_refused_assignment_changes_nothing():
    config = LiveConfig({"x": 1}, on_change=lambda key, value: pytest.fail("reported"))

    with pytest.raises(UsageError):
        config.y = 10**5000
    with pytest.raises(AttributeError):
        config.items = 3
    assert config.as_dict() == {"x": 1}


def test_a_deleted_key_is_gone_from_the_view_and_reported_to_nobody():
    config = LiveConfig({"x": 1, "y": 2}, on_change=lambda key, value: pytest.fail("reported"))
    del config.x

    assert config.pop("y") == 2
    assert dict(config) == {}


def test_it_can_be_used_like_any_mapping():
    config = LiveConfig({"lr": 0.1, "wd": 0.0})

    assert dict(**config) == dict(config) == {"lr": 0.1, "wd": 0.0}
    assert config == {"lr": 0.1, "wd": 0.0}
    assert config != {"lr": 0.2}
    assert json.loads(json.dumps(config.as_dict())) == {"lr": 0.1, "wd": 0.0}
    assert repr(config) == "LiveConfig({'lr': 0.1, 'wd': 0.0})"
    assert {"lr", "wd"} <= set(dir(config))
    assert "lr" in config
    assert 3 not in config


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda config: pickle.loads(pickle.dumps(config))])
def test_a_copy_is_on_its_own(duplicate):
    config = LiveConfig({"model": {"depth": 3}}, on_change=lambda key, value: pytest.fail("reported"))
    twin = duplicate(config)
    twin.model.depth = 4

    assert (config.model.depth, twin.model.depth) == (3, 4)


def test_it_can_be_a_configuration_itself():
    assert from_object(LiveConfig({"model": {"depth": 3}})) == {"model": {"depth": 3}}


def test_settings_that_nobody_read_are_named():
    config = LiveConfig({"lr": 0.1, "model": {"depth": 3, "width": 8}, "typo": 1})
    assert config.lr + config.model.depth

    assert config.unread() == ["model.width", "typo"]
    assert config.model.unread() == ["model.width"]
    assert repr(config.snapshot()) and config.unread() == ["model.width", "typo"]
    assert config.as_dict() and config.unread() == []
