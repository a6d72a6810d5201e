"""Digests are equal where every bit is equal, and only there."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import gitrepro
from gitrepro.training import fingerprints
from gitrepro.training.fingerprints import batch_digest, ids_digest, weights_digest


def net() -> torch.nn.Module:
    torch.manual_seed(3)
    return torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.Linear(8, 2))


def test_equal_weights_have_one_digest_and_one_ulp_has_another():
    one, other = net(), net()
    assert weights_digest(one.state_dict()) == weights_digest(other.state_dict())

    with torch.no_grad():
        flat = other[2].weight.view(-1)
        flat[5] = torch.nextafter(flat[5], torch.tensor(torch.inf))

    assert weights_digest(one.state_dict()) != weights_digest(other.state_dict())


def test_names_shapes_and_types_are_part_of_the_digest():
    zeros = torch.zeros(4)
    digests = {
        weights_digest({"a": zeros}),
        weights_digest({"b": zeros}),
        weights_digest({"a": zeros.view(2, 2)}),
        weights_digest({"a": zeros.int()}),
        weights_digest({"a": zeros, "b": torch.zeros(0)}),
    }

    assert len(digests) == 5


def test_the_order_of_the_names_and_how_a_tensor_lies_do_not_matter():
    tensor = torch.randn(4, 6)

    assert weights_digest({"a": tensor, "b": tensor + 1}) == weights_digest([("b", tensor + 1), ("a", tensor)])
    assert weights_digest({"a": tensor.t()}) == weights_digest({"a": tensor.t().contiguous()})


def test_arrays_and_tensors_of_the_same_bytes_have_one_digest():
    array = np.arange(12, dtype=np.float32).reshape(3, 4)

    assert weights_digest({"a": array}) == weights_digest({"a": torch.from_numpy(array)})
    assert weights_digest({"a": array.T}) == weights_digest({"a": torch.from_numpy(array).t()})


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.complex64, torch.bool, torch.float8_e4m3fn])
def test_types_that_numpy_does_not_know_have_a_digest_too(dtype):
    tensor = torch.tensor([0.0, 1.0, 2.0]).to(dtype)

    assert weights_digest({"a": tensor}) != weights_digest({"a": torch.zeros(3).to(dtype)})


def test_what_has_no_bytes_is_refused():
    for tensor in (torch.zeros(3, device="meta"), torch.zeros(3).to_sparse(), np.array([object()])):
        with pytest.raises(ValueError):
            weights_digest({"a": tensor})


def test_the_digest_is_that_of_a_checkpoint_which_holds_the_same_model(repo):
    model = net()
    tied = torch.nn.ModuleDict({"one": model, "same": model})
    with gitrepro.record(repo=repo) as run:
        run.checkpoint(model=tied, step=1)
    [checkpoint] = gitrepro.runs(repo=repo)[0].metadata["checkpoints"]

    assert checkpoint["weights"] == weights_digest(tied.state_dict())


@settings(max_examples=50)
@given(st.lists(st.integers(0, 5), max_size=6), st.lists(st.integers(0, 5), max_size=6))
def test_ids_have_one_digest_exactly_where_they_are_equal_in_order(one, other):
    assert (ids_digest(one) == ids_digest(other)) == (one == other)


@settings(max_examples=50)
@given(st.lists(st.lists(st.floats(width=32), min_size=1, max_size=4), min_size=1, max_size=3))
def test_a_batch_is_its_bytes_however_it_is_nested(rows):
    tensors = [torch.tensor(row) for row in rows]
    assert batch_digest([tensors]) == batch_digest([[each.clone() for each in tensors]])
    assert batch_digest([{"x": tensors}]) == batch_digest([{"x": [each.clone() for each in tensors]}])
    assert batch_digest([tensors]) != batch_digest([[*tensors, tensors[0]]])


def test_a_batch_that_nobody_can_read_has_no_digest():
    assert batch_digest([[torch.zeros(2), object()]]) is None
    assert batch_digest([torch.zeros(2, device="meta")]) is None
    assert ids_digest([None, None]) is None


def test_each_generator_is_told_by_itself_and_looking_draws_nothing():
    def states():
        return dict(zip(fingerprints.GENERATORS, fingerprints.generator_digests(), strict=True))

    for name, draw in (("python", random.random), ("numpy", np.random.rand), ("torch", lambda: torch.rand(1))):
        before = states()
        assert states() == before
        draw()
        after = states()
        assert [each for each in before if before[each] != after[each]] == [name]


def test_a_learning_rate_changes_the_digest_of_an_optimizer_and_a_step_does_not():
    model = net()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    before = fingerprints.optimizer_digest(optimizer)
    model(torch.ones(3, 4)).sum().backward()
    optimizer.step()
    assert fingerprints.optimizer_digest(optimizer) == before

    optimizer.param_groups[0]["lr"] = 2e-3
    assert fingerprints.optimizer_digest(optimizer) != before
    assert fingerprints.optimizer_digest(torch.optim.Adam(model.parameters(), lr=1e-3)) != before


@pytest.mark.gpu
def test_the_digest_does_not_depend_on_where_a_tensor_lies():
    tensor = torch.randn(3, 4)

    assert weights_digest({"a": tensor.cuda()}) == weights_digest({"a": tensor})
