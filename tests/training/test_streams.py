"""Streams of one seed: the bytes, their independence, and what a run says of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

import gitrepro
from gitrepro.errors import UsageError
from gitrepro.training import streams

# FORMAT.md has the same: run seed, stream, numbers, the first 8 bytes of the digest, the seed.
VECTORS = [
    (0, "init", (), "812e5b8063e4470e", 514521077941901120),
    (0, "order", (0,), "532c079f52c37c96", 5421878381212046889),
    (0, "order", (1,), "17d367ee4dfad36c", 3920943294400686475),
    (7, "dropout", (3,), "d657ffe07ac49cea", 8452801566640942059),
    (4294967295, "augmentation", (), "7059c716e1939aed", 8560579764180724920),
    (1, "größe", (), "b69dd55a2b604316", 802115815798918875),
]
NAMES = st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=20)
SEEDS = st.integers(0, 2**32 - 1)


@pytest.mark.parametrize(("run_seed", "stream", "numbers", "head", "seed"), VECTORS)
def test_a_seed_is_the_one_in_the_format(
    run_seed: int, stream: str, numbers: tuple[int, ...], head: str, seed: int
) -> None:
    assert streams.derive(run_seed, stream, *numbers)[:8].hex() == head
    assert streams.seed_for(run_seed, stream, *numbers) == seed


def test_the_derivation_is_blake3_of_the_words() -> None:
    said = b"7\x00dropout\x003"

    assert streams.derive(7, "dropout", 3) == blake3(said, derive_key_context="gitrepro seed v1").digest()


@given(SEEDS, NAMES, st.lists(st.integers(0, 2**40), max_size=3), SEEDS, NAMES, st.lists(st.integers(0, 9), max_size=3))
def test_two_uses_have_one_seed_only_if_they_are_one(
    seed: int, name: str, numbers: list[int], other_seed: int, other_name: str, other_numbers: list[int]
) -> None:
    same = (seed, name, numbers) == (other_seed, other_name, other_numbers)

    assert (streams.derive(seed, name, *numbers) == streams.derive(other_seed, other_name, *other_numbers)) is same


@given(SEEDS, NAMES)
def test_a_seed_fits_every_library(seed: int, name: str) -> None:
    assert 0 <= streams.seed_for(seed, name) < 2**63


@pytest.mark.parametrize("name", ["", "a\0b", "x" * 101, 3, None])
def test_what_is_no_name_of_a_stream_is_refused(name: object) -> None:
    with pytest.raises(UsageError, match="stream"):
        streams.check_stream(name)


# -- what a run gives out


@pytest.fixture
def run(repo: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(repo)
    with gitrepro.record(seed=11) as run:
        yield run


def record_of(repo: Path) -> dict[str, Any]:
    from gitrepro.store import repository
    from gitrepro.store.runs import RunTree

    with RunTree(repository.find(repo, os.environ)) as tree:
        return tree.run(max(tree.run_ids())).document()


def test_a_run_gives_out_the_seeds_of_its_streams_and_says_which(run: Any, repo: Path) -> None:
    init, dropout = run.seed_for("init"), run.seed_for("dropout")
    run.finish()

    assert (init, dropout) == (streams.seed_for(11, "init"), streams.seed_for(11, "dropout", 0))
    assert record_of(repo)["streams"] == {
        "loaders": [],
        "names": {"dropout.rank-0": f"{dropout:016x}", "init": f"{init:016x}"},
        "seed": 11,
    }


def test_a_run_that_asked_for_no_stream_says_nothing_of_them(run: Any, repo: Path) -> None:
    run.finish()

    assert "streams" not in record_of(repo)


def test_a_generator_draws_the_numbers_of_its_stream_and_no_others_are_moved(run: Any) -> None:
    import torch

    before = torch.get_rng_state()
    drawn = [torch.rand(3, generator=run.generator("split")).tolist() for _ in range(2)]

    assert drawn[0] == drawn[1]
    assert drawn[0] != torch.rand(3, generator=run.generator("search")).tolist()
    assert torch.equal(before, torch.get_rng_state())


def test_only_dropout_differs_from_rank_to_rank(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seeds = {}
    for rank in ("0", "1"):
        monkeypatch.setenv("RANK", rank)
        monkeypatch.setenv("WORLD_SIZE", "2")
        seeds[rank] = (run.seed_for("init"), run.seed_for("order"), run.seed_for("dropout"))

    assert seeds["0"][:2] == seeds["1"][:2]
    assert seeds["0"][2] != seeds["1"][2]


@pytest.mark.parametrize("rank", [-1, True, "0"])
def test_what_is_no_rank_is_refused(run: Any, rank: Any) -> None:
    with pytest.raises(UsageError, match="rank"):
        run.seed_for("dropout", rank=rank)


def test_without_a_seed_one_is_drawn_told_and_put_on_record(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repo)
    with pytest.warns(gitrepro.errors.GitreproWarning, match="has no seed"), gitrepro.record() as run:
        seed = run.seed_for("init")

    told = record_of(repo)["streams"]
    assert told["source"] == "drawn"
    assert seed == streams.seed_for(told["seed"], "init")


def test_ranks_without_a_seed_are_refused(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repo)
    with gitrepro.record() as run:
        monkeypatch.setenv("RANK", "1")
        monkeypatch.setenv("WORLD_SIZE", "2")
        with pytest.raises(UsageError, match="needs a seed"):
            run.seed_for("order")


def test_the_seed_that_a_command_gives_is_that_of_the_streams(repo: Path) -> None:
    script = repo / "train.py"
    script.write_text("import gitrepro\nwith gitrepro.record() as run: print(run.seed_for('init'))")
    done = subprocess.run(
        [sys.executable, "-m", "gitrepro", "record", "--seed", "5", "--", sys.executable, str(script)],
        cwd=repo, capture_output=True, text=True,
    )  # fmt: skip

    assert int(done.stdout) == streams.seed_for(5, "init"), done.stderr


def test_a_copy_of_a_run_in_another_process_has_the_same_seed(run: Any) -> None:
    import pickle

    code = "import pickle, sys; print(pickle.load(sys.stdin.buffer).seed_for('init'))"
    done = subprocess.run([sys.executable, "-c", code], input=pickle.dumps(run), capture_output=True)

    assert int(done.stdout) == run.seed_for("init"), done.stderr.decode()


# -- several processes, one run

DDP = """
import json, sys, torch, gitrepro
from torch import nn
import torch.distributed as dist

dist.init_process_group("gloo")
with gitrepro.record(seed=4) as run:
    model = nn.Linear(8, 8)
    run.seed_ranks_apart()
    dropped = nn.Dropout(0.5)(torch.ones(64)).tolist()
    data = list(range(103))
    loader = run.loader(data, batch_size=5, shuffle=True)
    seen = [index for batch in loader for index in batch.tolist()]
    run.log({"x": 1.0})
    told = {"init": model.weight.flatten().tolist(), "dropped": dropped, "seen": seen, "id": run.id}
    every = [None] * dist.get_world_size()
    dist.all_gather_object(every, told)
    dist.barrier()
if dist.get_rank() == 0:
    json.dump(every, open(sys.argv[1], "w"))
dist.destroy_process_group()
"""


@pytest.mark.parametrize("world_size", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_ranks_begin_alike_drop_differently_share_the_data_and_are_one_run(
    repo: Path, tmp_path: Path, cli: Any, world_size: int
) -> None:
    (tmp_path / "ddp.py").write_text(DDP)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(world_size)]
    done = subprocess.run(
        [*launch, str(tmp_path / "ddp.py"), str(tmp_path / "told.json")],
        cwd=repo, env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads((tmp_path / "told.json").read_text())

    assert all(rank["init"] == told[0]["init"] for rank in told)
    assert len({tuple(rank["dropped"]) for rank in told}) == world_size
    seen = [index for rank in told for index in rank["seen"]]
    assert len(seen) == len(set(seen)) == 103 - 103 % world_size
    assert len({len(rank["seen"]) for rank in told}) == 1
    assert len({rank["id"] for rank in told}) == 1
    record = record_of(repo)
    assert record["ranks"]["seen"] == list(range(world_size))
    assert {rank["torch"]["seeded_by"] for rank in record["seeds"]["processes"]} == {"gitrepro"}
    checks = json.loads(cli("audit", "@last", "--json", cwd=repo).stdout)["checks"]
    assert [check["verdict"] for check in checks if check["rule"] == "seeds"] == ["PASS"]
    assert record["streams"]["loaders"][0]["left_out"] == 103 % world_size
