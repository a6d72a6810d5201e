"""A ref led on under the lock of the fold."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitrepro.errors import StorageError
from gitrepro.store import fs
from gitrepro.store.fold import EMPTY_TREE, commit_text
from gitrepro.store.gitobjects import GitObjects
from gitrepro.store.gitrefs import read_ref
from gitrepro.store.lead import Moved, lead
from tests.recorded_runs import ADA, opened

REF = "refs/gitrepro/code"


@pytest.fixture
def objects(repo: Path) -> Iterator[GitObjects]:
    with GitObjects(opened(repo).common_dir) as found:
        yield found


def commit(objects: GitObjects, *parents: str, message: str = "code\n") -> str:
    text = commit_text(EMPTY_TREE, list(parents), ADA.line(0), message)
    return objects.write([("tree", b""), ("commit", text)])[-1]


def test_a_ref_is_led_on_from_where_it_is(repo: Path, objects: GitObjects) -> None:
    first = lead(opened(repo), REF, lambda _: commit(objects), objects=objects)
    second = lead(opened(repo), REF, lambda tip: commit(objects, str(tip)), objects=objects)

    assert first.before is None and second.before == first.after
    assert read_ref(opened(repo).common_dir, REF) == second.after


@pytest.mark.parametrize("same", [lambda tip: tip, lambda _: None], ids=["the same", "None"])
def test_the_same_leaves_it(repo: Path, objects: GitObjects, same: object) -> None:
    tip = lead(opened(repo), REF, lambda _: commit(objects), objects=objects).after

    assert lead(opened(repo), REF, same, objects=objects) == Moved(tip, tip)  # type: ignore[arg-type]


def test_who_is_overtaken_by_a_stranger_begins_again(repo: Path, objects: GitObjects) -> None:
    stranger = commit(objects, message="of a program that knows no lock\n")
    seen: list[str | None] = []

    def make(tip: str | None) -> str:
        seen.append(tip)
        if tip is None:
            path = repo / ".git" / REF
            path.parent.mkdir(parents=True)
            path.write_text(f"{stranger}\n")
        return commit(objects, *([tip] if tip else []))

    lead(opened(repo), REF, make, objects=objects)

    assert seen == [None, stranger]


def test_many_who_lead_at_once_lose_nothing(repo: Path) -> None:
    def add(number: int) -> None:
        with GitObjects(opened(repo).common_dir) as own:
            text = f"{number}\n"
            lead(opened(repo), REF, lambda tip: commit(own, *([tip] if tip else []), message=text), objects=own)

    threads = [threading.Thread(target=add, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    with GitObjects(opened(repo).common_dir) as objects:
        tip, count = read_ref(opened(repo).common_dir, REF), 0
        while tip:
            count += 1
            head = objects.read(tip, "commit").decode()
            tip = head.split("parent ")[1][:40] if "parent " in head else None
    assert count == 8


def test_who_waits_too_long_for_the_lock_is_told(repo: Path, objects: GitObjects) -> None:
    tip = lead(opened(repo), REF, lambda _: commit(objects), objects=objects).after
    with fs.locked(opened(repo).home / "lock"), pytest.raises(StorageError, match="locked"):
        lead(opened(repo), REF, lambda _: commit(objects), objects=objects, timeout_seconds=0)

    assert read_ref(opened(repo).common_dir, REF) == tip
