"""The program's own configuration object at the end, and the settings that nobody read."""

from __future__ import annotations

import argparse
import dataclasses
import pickle

import numpy as np
import pytest

from gitrepro.capture.config import Given, LiveConfig


@dataclasses.dataclass
class Options:
    lr: float = 0.1
    sizes: tuple[int, ...] = (1, 2)


@pytest.mark.parametrize("make", [dict, argparse.Namespace, lambda **values: Options(**values)])
def test_a_changed_leaf_is_told_and_an_unchanged_object_is_not(make):
    given = make(lr=0.1)
    seen = Given(given)
    assert seen.changes() == {}

    if isinstance(given, dict):
        given["lr"] = 0.2
    else:
        given.lr = 0.2
    assert seen.changes() == {"lr": 0.2}


def test_a_new_leaf_is_told_by_its_dotted_key_and_a_deleted_one_is_not():
    config = {"model": {"depth": 2}, "gone": 1}
    seen = Given(config)
    config["model"]["width"] = 8
    del config["gone"]

    assert seen.changes() == {"model.width": 8}


@pytest.mark.parametrize("value", [float("nan"), np.float32(0.1), {3, 1, 2}, (1, 2), [1.0, None], np.arange(3)])
def test_equal_values_are_no_change(value):
    config = {"x": value}
    seen = Given(config)
    config["x"] = pickle.loads(pickle.dumps(value))

    assert seen.changes() == {}


def test_objects_that_move_by_themselves_are_no_change():
    config = {"generator": np.random.default_rng(0), "rows": iter([1, 2])}
    seen = Given(config)
    config["generator"].random()
    next(config["rows"])
    config["model"] = object()

    assert seen.changes() == {}


def test_an_object_that_cannot_be_read_at_the_end_has_no_changes():
    class Config(dict):
        broken = False

        def __getitem__(self, key):
            if self.broken:
                raise RuntimeError("closed")
            return super().__getitem__(key)

    config = Config(lr=0.1)
    seen = Given(config)
    Config.broken = True

    assert seen.changes() == {}


def test_an_omegaconf_is_compared_as_written(monkeypatch):
    omegaconf = pytest.importorskip("omegaconf").OmegaConf
    drawn: list[int] = []
    omegaconf.register_new_resolver("drawn", lambda: drawn.append(1) or len(drawn), replace=True)
    config = omegaconf.create({"run": "${drawn:}", "lr": 0.1})
    seen = Given(config)
    assert seen.changes() == {} and drawn == []

    config.lr = 0.2
    assert seen.changes() == {"lr": 0.2}


def test_settings_that_were_not_read_are_named_once_any_was():
    config = LiveConfig({"lr": 0.1, "model": {"depth": 2, "widht": 3}})
    assert config.never_read() == []

    assert config.model.depth == 2
    assert config.never_read() == ["lr", "model.widht"]


def test_a_setting_that_the_program_made_itself_is_not_dead():
    config = LiveConfig({"lr": 0.1, "dead": 1})
    assert config.lr == 0.1
    config["device"] = "cpu"
    config["model"] = {"depth": 1}

    assert config.never_read() == ["dead"]


def test_what_was_sent_to_another_process_may_be_read_there():
    config = LiveConfig({"lr": 0.1, "workers": 2})
    assert config.lr == 0.1
    pickle.dumps(config)

    assert config.never_read() == []
