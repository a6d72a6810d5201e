"""Hydra apps: each job is a run, with the composed config."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("hydra")

from tests.integrations.conftest import Done, known

CALLBACK = "+hydra.callbacks.gitrepro._target_=gitrepro.integrations.hydra.GitreproCallback"
APP = """
import hydra
from hydra.core.config_store import ConfigStore
from gitrepro.integrations.hydra import running

NODE = {"lr": 0.1, "net": {"depth": 2, "twice": "${double:${lr}}"}, "seed": "???", "lost": {"at": "${nowhere}"}}
ConfigStore.instance().store(name="config", node=NODE)
from omegaconf import OmegaConf
OmegaConf.register_new_resolver("double", lambda value: 2 * value)

@hydra.main(version_base=None, config_name="config")
def main(cfg):
    if run := running():
        run.log({"loss": cfg.lr}, step=0)
    if cfg.lr > 1:
        raise ValueError("too fast")

main()
"""
Script = Callable[..., Done]


def test_each_job_of_a_multirun_is_a_run_of_one_group(script: Script, repo: Path) -> None:
    done = script(APP, "-m", "lr=0.2,0.4", CALLBACK, f"hydra.sweep.dir={repo.parent}/out")
    assert done.code == 0, done.err
    found = known(repo)

    assert [each.config for each in found] == [
        {"lr": lr, "net": {"depth": 2, "twice": 2 * lr}, "seed": "???", "lost": {"at": "${nowhere}"}}
        for lr in (0.2, 0.4)
    ]
    assert [each.curve("loss") for each in found] == [[(0, 0.2)], [(0, 0.4)]]
    assert {each.record["group"] for each in found} == {"script"}
    assert {each.record["status"] for each in found} == {"finished"}


def test_a_job_that_fails_is_a_failed_run(script: Script, repo: Path) -> None:
    done = script(APP, "lr=2", CALLBACK, "+hydra.callbacks.gitrepro.seed=3", f"hydra.run.dir={repo.parent}/out")
    [found] = known(repo)

    assert done.code == 1
    assert (found.record["status"], found.record["reason"]["message"]) == ("failed", "too fast")
    assert found.record["seeds"]["requested"] == 3


def test_without_the_callback_an_app_goes_on_and_has_no_run(script: Script, repo: Path) -> None:
    done = script(APP, f"hydra.run.dir={repo.parent}/out")

    assert (done.code, known(repo)) == (0, []), done.err
