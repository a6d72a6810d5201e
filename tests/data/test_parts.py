"""Parts: their ids and positions, what is taken by them, and the count of what was read."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader, TensorDataset

from gitrepro.data.counting import Reads
from gitrepro.data.splitting.dividing import Wish
from gitrepro.errors import Damaged, NotFound, UsageError
from gitrepro.store.objects import digest_of
from tests.data.in_memory import Table, split_of
from tests.data.torch_sets import InBatches, OneByOne, Stream, read_all

COUNT = 200
ROWS = Table(columns={"x": list(range(COUNT))})


@pytest.fixture
def part() -> Any:
    return split_of(ROWS).part("val")


# -- ids and positions


@given(st.lists(st.text(max_size=5), unique=True, min_size=8, max_size=40))
def test_ids_stand_in_the_order_of_the_data_set_and_positions_lead_to_them(names: list[str]) -> None:
    dataset = Table(names=names)
    split = split_of(dataset, Wish(exact=True, fractions={"a": 0.5, "b": 0.5}))

    for part in (split.part("a"), split.part("b")):
        assert [names[at] for at in part.indices] == list(part.ids)
        assert (np.diff(part.indices) > 0).all()
        assert part.indices.dtype == np.int64
        assert len(part) == len(part.ids) == split.parts[part.name]


def test_the_digest_of_the_ids_is_that_of_their_lines_in_the_blob() -> None:
    split = split_of(Table(names=["b", "a\\", "c\n", "d"]), Wish(column=None, exact=True, fractions={"all": 1.0}))

    assert split.part("all").ids_digest == digest_of([b"a\\\\\nb\nc\\x0a\nd\n"])
    assert split_of(ROWS, Wish(exact=True, fractions={"a": 1.0})).part("a").ids_digest == digest_of(
        ["".join(f"{row}\n" for row in range(COUNT)).encode()]
    )


def test_asking_for_a_part_again_gives_the_same_one() -> None:
    split = split_of(ROWS)

    assert split.part("train") is split.part("train")
    assert split.reads == {"train": 0}


def test_a_part_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(NotFound, match="no part 'trian'") as caught:
        split_of(ROWS).part("trian")
    assert caught.value.why == "its parts are test, train, val"


def test_positions_may_not_be_written_to(part: Any) -> None:
    with pytest.raises(ValueError, match="read-only"):
        part.indices[0] = 5


def test_ids_that_the_data_have_not_are_damage() -> None:
    split = split_of(Table(names=list("abcd")), Wish(exact=True, fractions={"a": 0.5, "b": 0.5}))
    split.dataset = Table(names=list("abxy"))

    with pytest.raises(Damaged, match="which is not in things@v1"):
        split.part("a").indices + split.part("b").indices

    rows = split_of(ROWS)
    rows.dataset = Table(columns={"x": [1, 2]})
    with pytest.raises(Damaged):
        _ = rows.part("train").indices


# -- folds


def test_train_of_a_fold_is_all_other_folds_and_nothing_beside_them() -> None:
    split = split_of(ROWS, Wish(folds=4, fractions={"test": 0.2}, exact=True))

    train, held_out = split.part("train", fold=2), split.part("val", fold=2)
    others = [set(split.part(f"fold-{at}").ids) for at in (0, 1, 3)]

    assert set(train.ids) == set.union(*others)
    assert held_out is split.part("fold-2")
    assert not {*train.ids} & ({*held_out.ids} | {*split.part("test").ids})
    assert (np.diff(train.indices) > 0).all()
    assert set(split.reads) == {"not-fold-2", "fold-0", "fold-1", "fold-2", "fold-3", "test"}


def test_a_fold_that_is_not_there_is_told() -> None:
    with pytest.raises(NotFound, match="no part 'fold-4'"):
        split_of(ROWS, Wish(folds=4)).part("train", fold=4)
    with pytest.raises(NotFound, match="no part 'train'") as caught:
        split_of(ROWS, Wish(folds=4)).part("train")
    assert "fold=0" in caught.value.do


# -- taking


def test_a_part_is_taken_from_whatever_holds_all_items(part: Any) -> None:
    values = np.arange(COUNT) * 10
    wanted = (part.indices * 10).tolist()

    assert part.take(values).tolist() == wanted
    assert part.take(torch.from_numpy(values)).tolist() == wanted
    assert part.take(values.tolist()) == wanted
    assert part.take(tuple(values.tolist())) == tuple(wanted)
    assert part.take(pd.Series(values, index=range(7, 7 + COUNT))).tolist() == wanted
    assert part.take(pd.DataFrame({"x": values}))["x"].tolist() == wanted
    assert part.take(pa.array(values)).to_pylist() == wanted
    assert part.take(pa.table({"x": values}))["x"].to_pylist() == wanted


@pytest.mark.parametrize("length", [0, COUNT - 1, COUNT + 1])
def test_a_part_is_not_taken_from_another_number_of_items(part: Any, length: int) -> None:
    with pytest.raises(UsageError, match=f"{length} entries, and things@v1 has 200 items"):
        part.take(np.zeros(length))
    assert part.reads == 0


def test_files_of_a_part_are_those_of_its_items_and_rows_have_none(part: Any) -> None:
    split = split_of(Table(names=["b/x", "a"], kind="folder"), Wish(exact=True, fractions={"all": 1.0}))

    assert split.part("all").files() == [Path("/data/b/x"), Path("/data/a")]
    assert split.reads == {"all": 2}
    with pytest.raises(UsageError, match="are no files"):
        part.files()


# -- what was read is counted


def test_only_what_was_not_touched_has_no_reads(part: Any) -> None:
    length = len(part)
    assert part.ids_digest
    assert repr(part)
    assert part.reads == 0

    part.take(np.zeros(COUNT))
    assert part.reads == length
    assert len(list(part)) == length
    assert part.reads == 2 * length
    next(iter(part))
    assert part.reads == 2 * length + 1


def test_who_is_handed_ids_or_positions_may_read_all_of_them_and_that_counts_once(part: Any) -> None:
    for _ in range(3):
        assert len(part.ids) == len(part.indices)

    assert part.reads == len(part)


def test_items_of_a_subset_are_those_of_the_part_and_each_read_counts(part: Any) -> None:
    subset = part.subset(OneByOne(COUNT))
    assert part.reads == 0

    read = [subset[at] for at in range(len(subset))]

    assert part.reads == len(part)
    assert read == part.indices.tolist()
    assert subset[-1] == read[-1]


def test_a_failed_read_is_no_read(part: Any) -> None:
    subset = part.subset(OneByOne(COUNT))

    with pytest.raises(IndexError):
        subset[len(part)]
    assert part.reads == 0


def test_a_batch_goes_through_as_one_where_the_data_set_takes_batches(part: Any) -> None:
    inner = InBatches(COUNT)

    read = [each for batch in DataLoader(part.subset(inner), batch_size=8, collate_fn=list) for each in batch]

    assert read == part.indices.tolist()
    assert part.reads == 2 * len(part)
    assert int(inner.batches) == -(-len(part) // 8)


@pytest.mark.parametrize("context", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("inner", [OneByOne, InBatches])
def test_reads_of_workers_are_counted(context: str, inner: type[OneByOne]) -> None:
    part = split_of(ROWS).part("train")
    loader = DataLoader(
        part.subset(inner(COUNT)), batch_size=16, num_workers=2, multiprocessing_context=context, shuffle=True
    )

    read = [each for batch in loader for each in batch.tolist()]

    assert part.reads == len(part)
    assert sorted(read) == part.indices.tolist()


def test_reads_of_several_epochs_and_loaders_add_up() -> None:
    part = split_of(ROWS).part("train")
    subset = part.subset(TensorDataset(torch.arange(COUNT)))
    lasting = DataLoader(subset, batch_size=16, num_workers=2, persistent_workers=True, multiprocessing_context="fork")
    passing = DataLoader(subset, batch_size=16, num_workers=2, multiprocessing_context="fork")

    for _ in range(2):
        assert sum(len(batch) for (batch,) in lasting) == sum(len(batch) for (batch,) in passing) == len(part)

    assert part.reads == 4 * len(part)


def test_two_subsets_of_one_part_count_together_and_two_parts_apart() -> None:
    split = split_of(ROWS)
    first, second = (split.part("train").subset(OneByOne(COUNT)) for _ in range(2))
    split.part("test").subset(OneByOne(COUNT))

    first[0], second[0], second[1]

    assert split.reads == {"test": 0, "train": 3}


def test_a_part_may_be_handed_to_a_spawned_process_and_its_reads_count() -> None:
    part = split_of(ROWS).part("train")

    torch.multiprocessing.spawn(read_all, args=(part,), nprocs=2)

    assert part.reads == 2 * len(part)


def test_what_a_forked_child_reads_without_torch_is_counted() -> None:
    reads = Reads()
    reads.add(5)
    child = os.fork()
    if child == 0:
        reads.add(7)
        os._exit(0)
    os.waitpid(child, 0)

    assert reads.total == 12
    reads.share()
    reads.add(1)
    assert reads.total == 13


def test_a_pickled_subset_reads_the_same_items(part: Any) -> None:
    copy = pickle.loads(pickle.dumps(part.subset(OneByOne(COUNT))))

    assert [copy[at] for at in range(len(copy))] == part.indices.tolist()


@pytest.mark.parametrize(
    ("dataset", "says"), [(OneByOne(COUNT - 1), "199 entries"), (Stream(), "has no positions"), ([], "0 entries")]
)
def test_a_torch_data_set_that_does_not_fit_is_refused(part: Any, dataset: Any, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        part.subset(dataset)
