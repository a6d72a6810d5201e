"""The one place that sees optimizer steps and batches: whatever the optimizer, and nothing is changed by looking."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from gitrepro.training.steps import Steps, shared


@pytest.fixture
def steps():
    made = Steps()
    made.start()
    yield made
    made.stop()


def net_and(kind=torch.optim.SGD, **options):
    net = torch.nn.Linear(3, 1)
    return net, kind(net.parameters(), **{"lr": 0.1, **options})


def advance(net, optimizer) -> None:
    optimizer.zero_grad()
    net(torch.ones(2, 3)).sum().backward()
    optimizer.step()


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.AdamW, torch.optim.RMSprop, torch.optim.Adagrad])
def test_steps_of_every_optimizer_are_seen_before_and_after(steps, kind):
    net, optimizer = net_and(kind)
    seen = []
    steps.subscribe(
        lambda step: seen.append(("after", step.number, net.weight[0, 0].item())),
        before=lambda step: seen.append(("before", step.number, net.weight[0, 0].item())),
    )
    old = net.weight[0, 0].item()

    advance(net, optimizer)
    advance(net, optimizer)

    assert [each[:2] for each in seen] == [("before", 0), ("after", 0), ("before", 1), ("after", 1)]
    assert seen[0][2] == old != seen[1][2]
    assert steps.count == 2


def test_an_optimizer_of_the_users_own_and_one_with_a_closure_are_seen(steps):
    class Own(torch.optim.Optimizer):
        def __init__(self, parameters):
            super().__init__(parameters, {})

        def step(self, closure=None):
            return None

    net = torch.nn.Linear(3, 1)
    own = Own(net.parameters())
    own.step()
    lbfgs = torch.optim.LBFGS(net.parameters(), max_iter=2)

    def closure():
        lbfgs.zero_grad()
        loss = net(torch.ones(2, 3)).square().sum()
        loss.backward()
        return loss

    seen = []
    steps.subscribe(lambda step: seen.append(step.lead))
    lbfgs.step(closure)

    assert seen == [False]  # the one that came first is the one that counts


def test_of_two_optimizers_the_first_one_counts_the_steps(steps):
    first, second = net_and(), net_and()
    seen = []
    steps.subscribe(lambda step: seen.append((step.number, step.lead)))
    for _ in range(2):
        advance(*first)
        advance(*second)

    assert seen == [(0, True), (1, False), (1, True), (2, False)]


def test_when_the_first_optimizer_is_done_for_good_another_one_counts(steps):
    first, second = net_and(), net_and()
    advance(*first)
    for _ in range(110):
        advance(*second)

    assert steps.count == 1 + 110 - 100


def test_an_error_of_a_listener_ends_there_and_an_exit_passes(steps):
    net, optimizer = net_and()

    def fail(step):
        raise ValueError("of our own making")

    end = steps.subscribe(fail)
    advance(net, optimizer)
    end()

    def leave(step):
        raise SystemExit(3)

    steps.subscribe(leave)
    with pytest.raises(SystemExit):
        advance(net, optimizer)


def test_who_has_left_hears_nothing_more_and_pauses_are_silent(steps):
    net, optimizer = net_and()
    seen = []
    end = steps.subscribe(lambda step: seen.append(step.number))
    advance(net, optimizer)
    steps.paused = True
    advance(net, optimizer)
    steps.paused = False
    advance(net, optimizer)
    end()
    advance(net, optimizer)

    assert seen == [0, 1]


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_seen_with_the_ids_that_the_sampler_drew(steps, workers):
    data = TensorDataset(torch.arange(10.0))
    ids, seen, ends = [], [], []
    steps.subscribe(
        fetched=lambda fetch: ends.append(fetch.ended) if fetch.ended else seen.append(fetch.batch[0].tolist()),
        indexed=lambda iterator, index: ids.append([float(each) for each in index]),
    )

    given = [batch[0].tolist() for batch in DataLoader(data, batch_size=4, shuffle=True, num_workers=workers)]

    assert seen == given == ids
    assert ends == [True]


def test_looking_changes_neither_the_order_nor_the_generators():
    data = TensorDataset(torch.arange(20.0))

    def order():
        torch.manual_seed(4)
        told = [batch[0].tolist() for batch in DataLoader(data, batch_size=3, shuffle=True)]
        return told, torch.rand(1).item()

    without = order()
    watched = Steps()
    watched.start()
    watched.subscribe(lambda step: None, fetched=lambda fetch: None, indexed=lambda iterator, index: None)
    try:
        assert order() == without
    finally:
        watched.stop()


def test_after_stop_torch_is_as_it_was():
    from torch.optim import optimizer as home
    from torch.utils.data.dataloader import _BaseDataLoaderIter as kind

    before = (kind.__next__, kind._next_index, len(home._global_optimizer_post_hooks))
    watched = Steps()
    watched.start()
    assert kind.__next__ is not before[0]
    watched.stop()

    assert (kind.__next__, kind._next_index, len(home._global_optimizer_post_hooks)) == before


def test_torch_is_waited_for_and_never_imported(tmp_path: Path):
    program = """
        import sys
        from gitrepro.training.steps import shared
        steps = shared()
        assert shared() is steps and "torch" not in sys.modules
        import torch
        net = torch.nn.Linear(1, 1)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        optimizer.step()
        print(steps.count)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, cwd=tmp_path
    )

    assert done.stdout == "1\n", done.stderr


def test_a_forked_child_begins_anew_and_tells_its_parent_nothing():
    steps = shared()
    net, optimizer = net_and()
    seen = []
    end = steps.subscribe(lambda step: seen.append(step.number))

    if (child := os.fork()) == 0:
        advance(net, optimizer)
        silent = not seen
        fresh = shared().count
        os._exit(0 if silent and fresh == 0 else 1)
    ended = os.waitpid(child, 0)[1]
    end()

    assert ended == 0


def test_a_step_that_is_compiled_is_seen_and_nobody_is_warned(steps):
    net, optimizer = net_and(torch.optim.AdamW)
    compiled = torch.compile(optimizer.step, backend="eager")
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*perf_counter.*")
        for _ in range(3):
            optimizer.zero_grad()
            net(torch.ones(2, 3)).sum().backward()
            compiled()

    assert steps.count == 3
