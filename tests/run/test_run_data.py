"""`run.dataset`, `run.split`, `run.fit_statistics`: what a run used is on record by content, and its reads counted."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gitrepro
from gitrepro.data.fitted import load_fitted
from gitrepro.errors import Damaged, GitreproWarning, NotFound, UsageError
from gitrepro.records.run import RunRecord
from gitrepro.records.seedset import seed_set_key
from gitrepro.run.named import NamedData
from gitrepro.store.place import store_of
from gitrepro.store.runs import RunTree
from tests.audit.test_rules import check
from tests.recorded_data import ROWS, add_data, add_split, digits, write_table
from tests.recorded_runs import opened


@pytest.fixture
def here(repo: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(repo)
    return repo


def newest(repo: Path) -> RunRecord:
    with RunTree(opened(repo)) as tree:
        return tree.run(tree.run_ids()[-1])


def only_split(repo: Path) -> dict[str, Any]:
    [entry] = newest(repo).data
    [split] = entry["splits"]
    return dict(split)


# -- opening


def test_a_data_set_is_opened_and_on_record_by_its_content(here: Path) -> None:
    record, _ = digits(here)
    with gitrepro.record() as run:
        found = run.dataset("digits@v1")
        assert np.load(found.path)["y"].shape == (ROWS,)

    [entry] = newest(here).data
    assert entry == {
        "checked": "stat", "digest": record.digest, "items": ROWS, "kind": "npz", "linked": False, "name": "digits",
        "size_bytes": record.size_bytes, "splits": [], "version": "v1",
    }  # fmt: skip


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_data_of_a_repository_that_can_only_be_read_are_opened_and_on_record(repo: Path, cli: Any) -> None:
    if subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode:
        pytest.skip("mounting is not permitted here")
    record, split = digits(repo)
    script = repo.parent / "script.py"
    script.write_text(
        "import gitrepro\n"
        "with gitrepro.record(dataset='digits', split='default') as run:\n"
        "    print(len(run.split('train')), len(gitrepro.dataset('digits').ids()))\n"
    )
    read_only = f"mount --bind {repo} {repo} && mount -o remount,ro,bind {repo} && cd {repo} && "
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", f"{read_only}{sys.executable} {script}"], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, f"{split.parts['train']} {ROWS}\n"), done.stderr
    assert cli("recover", "--into", str(repo), "--all", cwd=repo).returncode == 0
    [entry] = newest(repo).data
    assert (entry["digest"], entry["splits"][0]["digest"]) == (record.digest, split.digest)


def test_how_it_was_checked_is_on_record(here: Path) -> None:
    digits(here)
    with gitrepro.record() as run:
        run.dataset("digits", check="full")

    assert newest(here).data[0]["checked"] == "full"


def test_a_split_of_the_data_set_that_was_opened_needs_no_more_names(here: Path) -> None:
    _, split = digits(here)
    with gitrepro.record() as run:
        run.dataset("digits")
        train = run.split("train")

    assert len(train) == split.parts["train"]
    assert (only_split(here)["digest"], only_split(here)["parts"]) == (split.digest, dict(split.parts))


def test_what_record_names_is_on_record_though_nothing_opens_it(here: Path) -> None:
    digits(here)
    with gitrepro.record(dataset="digits@v1", split="default"):
        pass

    assert newest(here).data[0]["name"] == "digits"
    assert only_split(here)["reads"] == {}


def test_a_name_without_a_version_means_the_one_that_record_named(here: Path) -> None:
    digits(here)
    add_data(here, write_table(here.parent / "newer.npz", seed=1))
    with gitrepro.record(dataset="digits@v1") as run:
        assert run.dataset("digits").version == "v1"
        assert run.dataset().version == "v1"
        assert run.dataset("digits@v2").version == "v2"


def test_a_version_that_comes_while_the_run_goes_on_is_not_taken_for_the_one_it_named(here: Path) -> None:
    digits(here)
    with gitrepro.record(dataset="digits", split="default") as run:
        add_data(here, write_table(here.parent / "newer.npz", seed=1))
        assert run.dataset().version == "v1"


@pytest.mark.parametrize(
    ("dataset", "split", "error"),
    [
        ("nosuch", None, NotFound),
        ("digits@v9", None, NotFound),
        ("digits", "nosuch", NotFound),
        (None, "default", UsageError),
        ("dig its", None, UsageError),
        (3, None, UsageError),
    ],
)
def test_data_that_is_not_there_ends_record_before_a_run_begins(
    here: Path, dataset: Any, split: Any, error: type[Exception]
) -> None:
    digits(here)
    with pytest.raises(error):
        gitrepro.record(dataset=dataset, split=split)

    assert not list((here / ".git" / "gitrepro").glob("live/*"))


def test_data_that_is_not_there_is_an_error_in_the_run_and_the_run_is_recorded(here: Path) -> None:
    with pytest.raises(NotFound), gitrepro.record() as run:
        run.dataset("nosuch")

    assert newest(here).status == "failed"


def test_which_data_is_meant_has_to_be_said(here: Path) -> None:
    digits(here)
    add_data(here, write_table(here.parent / "more.npz", seed=1), "more")
    with gitrepro.record() as run:
        with pytest.raises(UsageError, match="is not said"):
            run.split("train")
        run.dataset("digits")
        run.dataset("more")
        with pytest.raises(UsageError):
            run.split("train")
        assert len(run.split("train", dataset="digits")) > 0


def test_linked_data_that_changed_ends_record_before_a_run_begins(here: Path) -> None:
    path = write_table(here.parent / "linked.npz")
    add_data(here, path, link=True)
    path.write_bytes(b"other")
    with pytest.raises(Damaged):
        gitrepro.record(dataset="digits")


@pytest.mark.filterwarnings("ignore:.*(has no repository|waits in)")
def test_without_a_repository_the_run_begins_and_says_what_is_not_on_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.warns(GitreproWarning, match="data of this run is not on record"), gitrepro.record(dataset="digits"):
        pass


def test_with_recording_off_the_data_is_there_all_the_same(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digits(here)
    monkeypatch.setenv("GITREPRO_MODE", "disabled")
    with gitrepro.record(dataset="digits", split="default") as run:
        assert len(run.split("train").take(np.arange(ROWS))) == len(run.split("train"))


def test_a_program_that_goes_to_another_folder_keeps_its_data(here: Path, tmp_path: Path) -> None:
    digits(here)
    with gitrepro.record() as run:
        os.chdir(tmp_path)
        assert run.dataset("digits").version == "v1"
        os.chdir(here)


def test_the_door_opens_data_without_a_run_and_tells_a_run_that_is_under_way(here: Path) -> None:
    record, _ = digits(here)
    assert gitrepro.dataset("digits").digest == record.digest
    with gitrepro.record():
        gitrepro.dataset("digits").split("default").part("val").take(np.arange(ROWS))

    assert only_split(here)["reads"] == {"val": only_split(here)["parts"]["val"]}


# -- reading


def test_what_is_read_of_each_part_is_counted(here: Path) -> None:
    digits(here)
    with gitrepro.record(dataset="digits", split="default") as run:
        train, test = run.split("train"), run.split("test")
        for _ in range(3):
            train.take(np.arange(ROWS))
        next(iter(test))

    found = only_split(here)
    assert found["reads"] == {"train": 3 * found["parts"]["train"], "test": 1}


def test_a_split_that_is_opened_at_the_data_set_itself_is_counted_too(here: Path) -> None:
    digits(here)
    with gitrepro.record() as run:
        run.dataset("digits").split("default").part("train").take(np.arange(ROWS))
        run.split("train").take(np.arange(ROWS))

    found = only_split(here)
    assert found["reads"] == {"train": 2 * found["parts"]["train"]}


def test_reads_of_a_loader_with_workers_are_counted_once(here: Path) -> None:
    torch = pytest.importorskip("torch")
    digits(here)
    with gitrepro.record(dataset="digits", split="default") as run:
        whole = torch.utils.data.TensorDataset(torch.arange(ROWS))
        loader = torch.utils.data.DataLoader(run.split("train").subset(whole), batch_size=8, num_workers=2)
        seen = sum(len(batch[0]) for batch in loader)

    found = only_split(here)
    assert seen == found["parts"]["train"]
    assert found["reads"] == {"train": seen}


def test_reads_of_several_ranks_are_summed(here: Path) -> None:
    digits(here)
    program = (
        "import gitrepro, numpy as np, os, pathlib, time\n"
        "with gitrepro.record(dataset='digits', split='default') as run:\n"
        "    rank = int(os.environ['RANK'])\n"
        "    pathlib.Path(f'../seen-{rank}').touch()\n"
        "    while not pathlib.Path(f'../seen-{1 - rank}').exists(): time.sleep(0.01)\n"
        "    run.split('train').take(np.arange(100))\n"
    )
    env = {**os.environ, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29511"}
    ranks = [
        subprocess.Popen([sys.executable, "-c", program], cwd=here, env={**env, "RANK": str(rank)}) for rank in range(2)
    ]
    assert [rank.wait(timeout=120) for rank in ranks] == [0, 0]

    found = only_split(here)
    assert (newest(here).ranks or {})["world_size"] == 2
    assert found["reads"] == {"train": 2 * found["parts"]["train"]}


def test_what_a_killed_run_had_opened_is_on_record(here: Path, cli: Any) -> None:
    digits(here)
    program = (
        "import gitrepro, os\n"
        "run = gitrepro.record(dataset='digits', split='default')\n"
        "run.split('train')\n"
        "os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=here)
    cli("recover", cwd=here)

    assert newest(here).status == "crashed"
    assert only_split(here)["name"] == "default"


def test_the_count_of_reads_is_told_now_and_then_for_a_kill_may_come(here: Path) -> None:
    digits(here)
    with gitrepro.record(dataset="digits", split="default") as run:
        run.split("train").take(np.arange(ROWS))
        for _ in range(60):
            run._data.beat()
        journal = b"".join(path.read_bytes() for path in (here / ".git/gitrepro/live").glob("*/journal.*"))
        assert journal.count(b'"reads"') == 2  # the op, and the field of it


# -- fitting


def test_what_was_fitted_is_kept_with_the_ids_it_was_fitted_on(here: Path) -> None:
    digits(here)
    values = np.load(here.parent / "digits.npz")["x"]
    with gitrepro.record(dataset="digits", split="default") as run:
        train = run.split("train")
        fitted = run.fit_statistics("mean_std", values, split="train", name="pixels")
        run.fit_statistics("min_max", train.take(values), split=train)

    assert np.allclose(fitted.apply(train.take(values)).mean(axis=0), 0)
    pixels, min_max = newest(here).fitted
    assert (pixels["name"], pixels["method"], pixels["part"]) == ("pixels", "mean_std", "train")
    assert (pixels["ids"], pixels["count"]) == (train.ids_digest, len(train))
    assert min_max["name"] == "min_max"
    kept = load_fitted(store_of(opened(here)).get(pixels["blob"]), source="pixels")
    assert np.array_equal(kept.params["mean"], fitted.params["mean"])


def test_values_that_fit_no_part_are_an_error(here: Path) -> None:
    digits(here)
    with gitrepro.record(dataset="digits", split="default") as run:
        with pytest.raises(UsageError):
            run.fit_statistics("mean_std", np.zeros((7, 2)))
        with pytest.raises(UsageError):
            run.fit_statistics("magic", np.zeros((ROWS, 2)))


# -- what it is good for


def test_runs_of_one_version_and_split_are_one_seed_set_and_others_are_not(here: Path) -> None:
    digits(here)
    add_split(here, "digits@v1", "other")
    keys = []
    for split, reads in (("default", 1), ("default", 3), ("other", 1)):
        with gitrepro.record(config={"lr": 0.1}, dataset="digits@v1", split=split) as run:
            for _ in range(reads):
                run.split("train").take(np.arange(ROWS))
        keys.append(seed_set_key(newest(here), {"lr": 0.1}))
    with gitrepro.record(config={"lr": 0.1}):
        pass
    keys.append(seed_set_key(newest(here), {"lr": 0.1}))

    assert keys[0] == keys[1]
    assert len({*keys}) == 3


def test_a_real_run_passes_the_rule_on_data(here: Path) -> None:
    from gitrepro.audit.evidence import gather

    digits(here)
    with gitrepro.record(dataset="digits", split="default") as run:
        run.split("train").take(np.arange(ROWS))
    with RunTree(opened(here)) as tree:
        [evidence] = gather(tree, [newest(here).id]).runs
    found = check("data", evidence)

    assert str(found.verdict) == "PASS"
    assert "items read: train" in found.why


@pytest.mark.parametrize(
    ("datasets", "splits", "dataset", "split"),
    [
        (("a",), ("x",), "a", "x"),
        (("a", "b"), ("a/x", "b/y"), "b", "y"),
        (("a", "b"), ("x", "b/y"), "a", "x"),
        (("a",), (), "a", None),
    ],
)
def test_the_split_of_a_data_set_is_the_one_that_was_named_for_it(
    datasets: tuple[str, ...], splits: tuple[str, ...], dataset: str, split: str | None
) -> None:
    assert NamedData(datasets=datasets, splits=splits).split_of(dataset) == split


def test_of_two_splits_for_one_data_set_none_is_meant() -> None:
    with pytest.raises(UsageError, match="2 splits"):
        NamedData(datasets=("a",), splits=("x", "y")).split_of("a")
