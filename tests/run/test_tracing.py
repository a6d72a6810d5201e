"""A trace on record: which rows are kept, what they hold, and that the table comes back exactly or not at all."""

from __future__ import annotations

import os
import struct

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader, TensorDataset

import gitrepro
from gitrepro.analysis.divergence import Side, divergence
from gitrepro.errors import Damaged
from gitrepro.records.trace import FIELDS, Trace, number_of, read_trace, row_of, trace_of
from gitrepro.run.tracing import tables, traced
from gitrepro.store import journal_reader, repository
from gitrepro.store.journal import JournalWriter
from gitrepro.store.runs import RunTree
from gitrepro.training import tracing
from gitrepro.training.fingerprints import weights_digest
from gitrepro.training.tracing import is_kept, is_weighed

INT64 = st.integers(-(2**63), 2**63 - 1)
ROWS = st.lists(st.tuples(*[st.none() | INT64] * (len(FIELDS) - 2), INT64), max_size=8)


def table(repo, run_id: str) -> Trace:
    with RunTree(repository.find(repo, os.environ)) as tree:
        return tables(tree, run_id)[0]


def named(row) -> dict:
    return dict(zip(FIELDS, row, strict=True))


class Loop:
    """A small training in a plain loop."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.net = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Linear(3, 1))
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=0.01)
        self.losses: list[float] = []
        self.weights: list[str] = []

    def step(self, batch) -> None:
        self.weights.append(weights_digest(self.net.named_parameters()))
        self.optimizer.zero_grad()
        loss = self.net(batch).square().mean()
        loss.backward()
        self.losses.append(float(loss.detach()))
        self.optimizer.step()


@settings(max_examples=40)
@given(ROWS)
def test_rows_come_back_bit_by_bit(rows):
    rows = [(step, *row) for step, row in enumerate(rows)] or [(0, *[None] * 12, 0)]

    assert read_trace(Trace(rows=tuple(rows)).dump(), source="it").rows == tuple(rows)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 7))
def test_a_flipped_bit_is_found_wherever_it_lies(place, bit):
    whole = bytearray(trace_of([(step, *[step * 7] * 12, step) for step in range(40)]).dump())
    whole[place % len(whole)] ^= 1 << bit

    with pytest.raises(Damaged):
        read_trace(bytes(whole), source="it")


def test_a_metric_table_is_no_trace():
    from gitrepro.records.metrics import TableBuilder

    builder = TableBuilder()
    builder.add(seq=0, step=0, time_seconds=0.0, values={"loss": 1.0})

    with pytest.raises(Damaged, match="no trace"):
        read_trace(builder.files()["metrics.parquet"], source="it")


@pytest.mark.parametrize(
    "told", [None, [], [1] * 13, [None, *[1] * 13], [-1, *[1] * 13], [1.0, *[1] * 13], [2**63] * 14]
)
def test_what_is_no_row_is_not_taken_for_one(told):
    assert row_of(told) is None


def test_the_rows_of_a_plain_loop_say_what_happened(repo):
    data = torch.randn(30, 4)
    loop = Loop()
    with gitrepro.record(repo=repo) as run:
        run.trace(loop.net, loop.optimizer)
        for (batch,) in DataLoader(TensorDataset(data), batch_size=3):
            loop.step(batch)
    rows = [named(row) for row in table(repo, run.id).rows]

    assert [row["step"] for row in rows] == [*range(10)]
    assert [number_of(row["loss"]) for row in rows] == loop.losses
    assert [place for place, row in enumerate(rows) if row["weights"] is not None] == [0, 1, 2, 4, 8]
    assert all(
        row[name] is not None for row in rows for name in ("ids", "batch", "rng_torch", "gradient_norm", "optimizer")
    )
    assert len({row["ids"] for row in rows}) == len({row["batch"] for row in rows}) == 10
    [record] = [each.metadata for each in gitrepro.runs(repo=repo)]
    assert record["trace"]["weights"]["4"] == loop.weights[4]


def test_a_loop_without_a_loader_may_say_its_batches(repo):
    loop = Loop()
    with gitrepro.record(repo=repo) as run:
        trace = run.trace(loop.net)
        for step in range(4):
            batch = torch.full((2, 4), float(step // 2))
            if step != 3:
                trace.batch(batch, ids=[step, step + 1])
            loop.step(batch)
    rows = [named(row) for row in table(repo, run.id).rows]

    assert rows[0]["batch"] == rows[1]["batch"] != rows[2]["batch"]
    assert rows[0]["ids"] != rows[1]["ids"]
    assert (rows[3]["ids"], rows[3]["batch"]) == (None, None)


def test_an_evaluation_between_two_steps_is_no_part_of_them(repo):
    def rows(*, evaluated: bool):
        loop, train = Loop(), TensorDataset(torch.arange(24.0).view(6, 4))
        with gitrepro.record(repo=repo) as run:
            run.trace(loop.net)
            for _ in range(2):
                for (batch,) in DataLoader(train, batch_size=2, generator=torch.Generator().manual_seed(1)):
                    loop.step(batch)
                for _ in DataLoader(train, batch_size=3) if evaluated else ():
                    pass
        return [(row["ids"], row["batch"]) for row in map(named, table(repo, run.id).rows)]

    assert rows(evaluated=True) == rows(evaluated=False)


def test_a_closure_that_the_optimizer_calls_is_traced_as_a_loop_is(repo):
    def rows(*, closure: bool):
        loop = Loop()

        def act():
            loop.optimizer.zero_grad()
            loss = loop.net(torch.ones(2, 4)).square().mean()
            loss.backward()
            return loss

        with gitrepro.record(repo=repo) as run:
            run.trace(loop.net)
            for _ in range(5):
                if closure:
                    loop.optimizer.step(act)
                else:
                    act()
                    loop.optimizer.step()
        return table(repo, run.id).rows

    assert rows(closure=True) == rows(closure=False)
    assert None not in [named(row)["loss"] for row in rows(closure=True)]


def test_several_batches_of_one_step_are_told_together(repo):
    def batches(*, order):
        loop = Loop()
        with gitrepro.record(repo=repo) as run:
            trace = run.trace(loop.net)
            for part in order:
                trace.batch(torch.full((2,), float(part)))
                loop.net(torch.ones(1, 4)).sum().backward()
            loop.optimizer.step()
        return named(table(repo, run.id).rows[0])

    one, other = batches(order=[1, 2]), batches(order=[2, 1])
    assert one["batch"] != other["batch"]
    assert number_of(one["loss"]) == 2 * number_of(batches(order=[1])["loss"])


def test_all_rows_are_kept_at_first_and_fewer_later():
    kept = [step for step in range(1_000) if is_kept(step)]

    assert kept == [*range(200), *range(200, 1_000, 50)]
    assert sum(map(is_kept, range(1_000_000))) < 5_000
    assert [step for step in range(40) if is_weighed(step)] == [0, 1, 2, 4, 8, 16, 32]


def test_a_kept_row_speaks_for_those_that_are_not(repo):
    def side(*, nudged: bool) -> Side:
        loop = Loop()
        with gitrepro.record(repo=repo) as run:
            trace = run.trace(loop.net)
            for step in range(260):
                trace.batch(torch.zeros(1), ids=[0 if nudged and step == 223 else step])
                loop.step(torch.ones(2, 4))
        return Side(trace=table(repo, run.id))

    found = divergence(side(nudged=False), side(nudged=True))

    assert found is not None
    assert (found.step, found.equal_to, found.exact, found.cause) == (250, 200, False, "between")


@pytest.mark.parametrize(("after", "cause", "step"), [(0, "update", 1), (10, "forward", 11)])
def test_weights_that_change_between_steps_are_an_update_or_show_in_the_loss(repo, after, cause, step):
    def side(*, changed: bool) -> Side:
        loop = Loop()
        with gitrepro.record(repo=repo) as run:
            run.trace(loop.net)
            for number in range(20):
                loop.step(torch.ones(2, 4))
                if changed and number == after:
                    with torch.no_grad():
                        loop.net[0].weight += 1e-3
        return Side(trace=table(repo, run.id))

    found = divergence(side(changed=False), side(changed=True))

    assert found is not None
    assert (found.cause, found.step) == (cause, step)
    assert ("the weights were last compared at step 8" in " ".join(found.hints)) == (cause == "forward")
    assert ("weights" in found.equal) is False


def test_nan_is_equal_to_itself_and_to_no_number(repo):
    bits = struct.unpack("<q", struct.pack("<d", float("nan")))[0]
    sides = [Side(trace=trace_of([(0, *[1] * 10, value, 1, 1)])) for value in (bits, bits, 0)]

    assert divergence(sides[0], sides[1]) is None
    found = divergence(sides[0], sides[2])
    assert found is not None and found.fields == ("loss",)


def test_what_one_run_has_not_measured_decides_nothing(repo):
    whole = Side(trace=trace_of([(step, *[1] * 12, step) for step in range(3)]))
    holes = Side(trace=trace_of([(step, None, *[1] * 11, 99 + step) for step in range(3)]))

    assert divergence(whole, holes) is None


def test_torch_is_as_it_was_when_the_run_has_ended(repo):
    before = torch.autograd.backward
    with gitrepro.record(repo=repo) as run:
        run.trace()
        Loop().step(torch.ones(2, 4))
        assert torch.autograd.backward is not before

    assert torch.autograd.backward is before


def test_fields_have_one_order_everywhere():
    assert tracing.FIELDS == FIELDS


def test_each_rank_has_a_table_and_what_is_damaged_or_missing_is_told(tmp_path):
    for rank, rows in ((0, [[0, *[1] * 13], [1, *[2] * 13]]), (1, [[0, *[1] * 13], ["nonsense"]])):
        writer = JournalWriter(tmp_path, run_id="0" * 26, rank=rank)
        writer.event({"op": "trace_begin", "setting": {"threads": rank}})
        writer.event({"op": "trace", "rows": rows, "weights": {"0": f"b3:{rank}"}})
        writer.close()
    (tmp_path / "observed-7-1.jsonl").write_bytes(
        b'{"event": "trace_begin", "trouble": "No module named blake3"}\n{"event": "trace", "rows": [[0, 1'
    )
    losses: list[dict] = []

    field, files = traced(tmp_path, journal_reader.read(tmp_path), losses)

    assert field is not None
    assert (field["ranks"], field["rows"], field["setting"], field["weights"]) == (
        [0, 1],
        2,
        {"threads": 0},
        {"0": "b3:0"},
    )
    assert {name: len(read_trace(data, source=name).rows) for name, data in files.items()} == {
        "trace.parquet": 2,
        "trace.rank-1.parquet": 1,
    }
    assert [loss["what"] for loss in losses] == ["the trace of a process", "1 rows of the trace of rank 1"]


def test_what_waits_on_a_device_is_fetched_once_in_fifty_steps_and_comes_out_the_same(repo, monkeypatch):
    def rows():
        loop = Loop()
        with gitrepro.record(repo=repo) as run:
            run.trace(loop.net)
            for _ in range(120):
                loop.step(torch.ones(2, 4))
        return table(repo, run.id).rows

    at_once = rows()
    reads: list[int] = []
    fetch = tracing._fetched_values
    monkeypatch.setattr(tracing, "_fetched_values", lambda rows: reads.append(len(rows)) or fetch(rows))
    monkeypatch.setattr(tracing, "_waits", lambda value: value is not None)  # as if it were not on the CPU

    assert rows() == at_once
    assert reads == [50, 50, 20]


@pytest.mark.gpu
def test_on_cuda_the_device_is_read_once_in_fifty_steps(repo, monkeypatch):
    reads = []
    fetch = tracing._fetched_values
    monkeypatch.setattr(tracing, "_fetched_values", lambda rows: reads.append(len(rows)) or fetch(rows))
    loop = Loop()
    loop.net.cuda()
    optimizer = torch.optim.SGD(loop.net.parameters(), lr=0.01)
    with gitrepro.record(repo=repo) as run:
        run.trace(loop.net)
        for _ in range(120):
            optimizer.zero_grad()
            loop.net(torch.ones(2, 4, device="cuda")).square().mean().backward()
            optimizer.step()

    assert reads == [50, 50, 20]
    assert len(table(repo, run.id).rows) == 120
