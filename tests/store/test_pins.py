"""Pins: what each clone needs of a store that several share."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from gitrepro.errors import Damaged
from gitrepro.records import yaml
from gitrepro.store import pins, roots
from gitrepro.store.place import store_of
from gitrepro.store.repository import Repository
from tests.conftest import Cli, Git
from tests.recorded_runs import opened, record_run

NAMES = [bytes([number]) * 32 for number in range(5)]


def digest(name: bytes) -> str:
    return f"b3:{name.hex()}"


@pytest.fixture
def clone(repo: Path, cli: Cli, tmp_path: Path) -> Repository:
    """A clone whose store others may share."""
    done = cli("init", "--no-hooks", "--store", str(tmp_path / "team"), cwd=repo)
    assert done.returncode == 0, done.stderr
    return opened(repo)


def pinned(clone: Repository) -> set[bytes]:
    return set(pins.read(store_of(clone).root, pins.clone_id(clone)))


def own_file(clone: Repository) -> Path:
    return pins.path_of(store_of(clone).root, pins.clone_id(clone))


def test_what_is_pinned_is_read_back(clone: Repository) -> None:
    roots.pin(clone, map(digest, NAMES[:2]))
    roots.pin(clone, map(digest, NAMES[1:3]))
    assert pinned(clone) == {*NAMES[:3]}
    assert own_file(clone).stat().st_size == 4 * 76


def test_in_a_store_of_its_own_nothing_is_pinned(repo: Path) -> None:
    roots.pin(opened(repo), map(digest, NAMES))
    assert not (repo / ".git" / "gitrepro").exists()


def test_whose_pins_they_are_is_said(clone: Repository) -> None:
    told = yaml.load(own_file(clone).with_suffix(".yaml").read_bytes())
    assert told["git_dir"] == str(clone.common_dir)
    assert told["clone"] == pins.clone_id(clone)
    assert told["format"] == 1
    assert pins.owner(store_of(clone).root, pins.clone_id(clone)).host == told["host"] != ""


def test_the_blobs_that_a_record_names_are_pinned_from_its_bytes(clone: Repository) -> None:
    roots.pin_text(clone, [b"a: " + digest(NAMES[0]).encode(), b'"' + digest(NAMES[1]).encode() + b'"'])
    assert pinned(clone) == {*NAMES[:2]}


def test_who_pins_for_the_first_time_pins_all_it_has(repo: Path, cli: Cli, git: Git, tmp_path: Path) -> None:
    cli("init", "--no-hooks", "--store", str(tmp_path / "team"), cwd=repo)
    git(tmp_path, "clone", "--quiet", str(repo), "other")
    other = tmp_path / "other"
    git(other, "config", "user.name", "Grace")
    git(other, "config", "user.email", "grace@example.org")
    record_run(other, artifacts=({"blob": digest(NAMES[0]), "kind": "artifact"},))
    git(other, "config", "gitrepro.store", str(tmp_path / "team"))
    roots.pin(opened(other), [digest(NAMES[1])])
    assert pinned(opened(other)) >= {NAMES[0], NAMES[1]}


def test_a_line_that_was_cut_is_no_pin_and_does_not_harm_the_next_one(clone: Repository) -> None:
    roots.pin(clone, [digest(NAMES[0])])
    os.truncate(own_file(clone), 76 + 30)
    assert pinned(clone) == {NAMES[0]}
    roots.pin(clone, [digest(NAMES[2])])
    assert pinned(clone) == {NAMES[0], NAMES[2]}


def test_pins_that_were_changed_are_not_taken_for_fewer(clone: Repository) -> None:
    roots.pin(clone, map(digest, NAMES))
    with open(own_file(clone), "r+b") as file:
        file.seek(76)
        file.write(b"\0" * 76)
    with pytest.raises(Damaged, match="cannot be read") as raised:
        pinned(clone)
    assert str(clone.common_dir) in raised.value.what
    assert "gc --dry-run" in raised.value.do


def test_written_anew_they_hold_what_is_needed_and_what_was_pinned_just_now(clone: Repository) -> None:
    root, now = store_of(clone).root, time.time()
    pins.append(clone, root, [NAMES[0]], now=now - 1000)
    pins.append(clone, root, [NAMES[1]], now=now)
    pins.rewrite(clone, root, [NAMES[2]], now=now, since=now - 500)
    assert pinned(clone) == {NAMES[1], NAMES[2]}


def test_many_threads_pin_at_once_and_nothing_is_lost(clone: Repository) -> None:
    many = [bytes([number, other]) * 16 for number in range(8) for other in range(20)]

    def act(number: int) -> None:
        for name in many[number * 20 : number * 20 + 20]:
            roots.pin(clone, [digest(name)])

    threads = [threading.Thread(target=act, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert pinned(clone) == {*many}


def test_a_damaged_name_of_a_clone_is_said(clone: Repository) -> None:
    (clone.home / "clone-id").write_text("nonsense\n")
    with pytest.raises(Damaged, match="no name of a clone"):
        pins.clone_id(clone)
