"""`run.watch`: real models, optimizers and schedulers, and what the record says of them."""

from __future__ import annotations

import gc
import warnings
import weakref

import pytest
import torch
import yaml
from torch import nn

import gitrepro
from gitrepro.errors import GitreproWarning
from gitrepro.training.watching import Watched


def net() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))


def shapes(model: nn.Module) -> str:
    return Watched([model]).describe()["model"]["shapes"]


@pytest.fixture
def recorded(repo, git):
    """`recorded(act)`: the record of a run in which `act(run)` was called."""

    def record(act, **more):
        with gitrepro.record(repo=repo, **more) as run:
            act(run)
        [path] = [name for name in git(repo, "ls-tree", "-r", "--name-only", "refs/gitrepro/runs").splitlines()
                  if name.endswith(f"{run.id}/run.yaml")]  # fmt: skip
        return yaml.safe_load(git(repo, "cat-file", "blob", f"refs/gitrepro/runs:{path}"))

    return record


def test_a_model_is_on_record_by_its_parameters(recorded):
    model = net()
    model[0].bias.requires_grad_(False)
    [watched] = recorded(lambda run: run.watch(model))["watched"]

    assert watched["name"] == "model"
    described = watched["model"]
    assert described["type"] == "torch.nn.modules.container.Sequential"
    assert (described["elements"], described["trainable_elements"], described["tensors"]) == (58, 50, 4)
    assert (described["bytes"], described["dtypes"]) == (232, {"torch.float32": 58})
    assert described["modules"]["torch.nn.modules.linear.Linear"] == 2
    assert described["digest"].startswith("b3:")


def test_the_shapes_tell_two_architectures_apart_and_not_two_weights():
    assert shapes(net()) == shapes(net())
    assert shapes(net()) != shapes(nn.Sequential(nn.Linear(4, 9), nn.ReLU(), nn.Linear(9, 2)))
    assert shapes(net()) != shapes(net().double())


def test_a_compiled_or_wrapped_model_has_the_shapes_of_the_model_inside():
    assert shapes(torch.compile(net())) == shapes(nn.DataParallel(net())) == shapes(net())


def test_the_groups_of_an_optimizer_have_the_values_in_force_at_start_and_end(recorded):
    model = net()
    decayed = [model[0].weight, model[2].weight]
    others = [model[0].bias, model[2].bias]
    groups = [{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0, "lr": 0.5}]
    optimizer = torch.optim.AdamW(groups, lr=0.1, betas=(0.8, 0.9))
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.1)

    def train(run):
        run.watch(model, optimizer, scheduler)
        for _ in range(2):
            optimizer.step()
            scheduler.step()

    [watched] = recorded(train)["watched"]
    first, second = watched["optimizers"][0]["groups"]
    assert watched["optimizers"][0]["type"] == "torch.optim.adamw.AdamW"
    assert (first["values"]["lr"], first["values"]["weight_decay"], first["values"]["betas"]) == (0.1, 0.1, [0.8, 0.9])
    assert (second["values"]["lr"], second["values"]["weight_decay"]) == (0.5, 0.0)
    assert (first["tensors"], first["elements"], second["elements"]) == (2, 48, 10)
    end = watched["end"]
    assert end["optimizers"][0]["groups"][0]["values"]["lr"] == pytest.approx(0.001)
    assert end["schedulers"][0]["type"].endswith("StepLR")
    assert (watched["schedulers"][0]["state"]["last_epoch"], end["schedulers"][0]["state"]["last_epoch"]) == (0, 2)


def test_parameters_that_no_optimizer_moves_warn_and_are_on_record(recorded):
    model = net()
    optimizer = torch.optim.SGD(model[0].parameters(), lr=0.1)

    with pytest.warns(
        GitreproWarning, match=r"2 parameters want a gradient and are in no optimizer: 2\.weight, 2\.bias"
    ):
        [watched] = recorded(lambda run: run.watch(model, optimizer))["watched"]
    assert watched["uncovered"] == {"count": 2, "names": ["2.weight", "2.bias"]}


def test_a_frozen_parameter_and_one_in_a_second_optimizer_are_covered(recorded):
    model = net()
    model[2].requires_grad_(False)
    optimizers = [torch.optim.SGD([model[0].weight], lr=0.1), torch.optim.SGD([model[0].bias], lr=0.1)]

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        [watched] = recorded(lambda run: run.watch(model, *optimizers))["watched"]
    assert "uncovered" not in watched and "twice" not in watched


def test_a_parameter_in_two_optimizers_and_one_of_another_model_are_told(recorded):
    model, old = net(), net()
    one = torch.optim.SGD(model.parameters(), lr=0.1)
    two = torch.optim.SGD([model[0].weight, old[0].weight], lr=0.1)

    with pytest.warns(GitreproWarning, match="in the optimizers more than once: 0.weight"):
        [watched] = recorded(lambda run: run.watch(model, one, two))["watched"]
    assert watched["twice"] == {"count": 1, "names": ["0.weight"]}
    assert watched["strangers"] == 1


def test_nothing_is_kept_alive_and_nothing_is_hooked(repo):
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    run = gitrepro.record(repo=repo)
    run.watch(model, optimizer)
    assert not model._forward_hooks and not optimizer._optimizer_step_post_hooks
    gone = weakref.ref(model), weakref.ref(optimizer)
    del model, optimizer
    gc.collect()

    assert [each() for each in gone] == [None, None]
    run.finish()


def test_several_models_have_names_of_their_own(recorded):
    def watch(run):
        run.watch(net(), name="generator")
        run.watch(net())
        run.watch(net(), name="generator")

    assert [each["name"] for each in recorded(watch)["watched"]] == ["generator", "model-2"]


def test_an_estimator_is_on_record_by_its_parameters(recorded):
    linear_model = pytest.importorskip("sklearn.linear_model")
    [watched] = recorded(lambda run: run.watch(linear_model.Ridge(alpha=0.3)))["watched"]

    assert watched["model"]["type"] == "sklearn.linear_model._ridge.Ridge"
    assert watched["model"]["parameters"]["alpha"] == 0.3


class Hostile:
    def named_parameters(self):
        raise RuntimeError("sharded away")


@pytest.mark.parametrize(
    "thing", [Hostile(), 5, object(), {"w": [1.0]}, nn.LazyLinear(3), nn.Linear(2, 2, device="meta")]
)
def test_odd_objects_never_raise(recorded, thing):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GitreproWarning)
        [watched] = recorded(lambda run: run.watch(thing))["watched"]

    assert watched["model"]["type"] == f"{type(thing).__module__}.{type(thing).__qualname__}"


def test_what_cannot_be_described_is_told(recorded):
    with pytest.warns(GitreproWarning, match="RuntimeError: sharded away"):
        [watched] = recorded(lambda run: run.watch(Hostile()))["watched"]

    assert watched["troubles"] == ["it cannot be described: RuntimeError: sharded away"]


def test_a_run_that_watches_nothing_has_no_such_field(recorded):
    assert "watched" not in recorded(lambda run: run.log({"x": 1}))
