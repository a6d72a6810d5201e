"""Adding a data set: the order of what is written, what is refused, and where it lies."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitrepro.data import datasets, open_dataset
from gitrepro.data.datasets import Addition, Wish, add_dataset
from gitrepro.data.keeping import keeping
from gitrepro.data.places import Place, forget, places_of, remember
from gitrepro.errors import GitreproError, NotFound, SourceChanged, Unsafe, UsageError
from gitrepro.store import repository as repositories
from gitrepro.store.catalog import Catalog
from gitrepro.store.fold import Identity
from gitrepro.store.place import store_of
from gitrepro.store.repository import RUNS_REF, Repository
from tests.conftest import Git

ADA = Identity(name="Ada Lovelace", email="ada@example.org")
AT = "2026-03-04T05:06:07.000008Z"


@pytest.fixture
def found(repo: Path) -> Repository:
    return repositories.find(repo, {})


@pytest.fixture
def data(repo: Path) -> Path:
    for name in ("a/1.bin", "a/2.bin", "b/3.bin"):
        (repo / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (repo / "data" / name).write_bytes(name.encode() * 50)
    return repo / "data"


def wish(path: Path, name: str = "digits", **options) -> Wish:
    return Wish(path=path, source=path.name, name=name, **options)


def add(found: Repository, path: Path, name: str = "digits", **options) -> Addition:
    at = options.pop("at", AT)
    return add_dataset(found, wish(path, name, **options), identity=ADA, at=at)


def test_the_digest_is_that_of_the_content_and_of_nothing_else(found, data, tmp_path):
    import shutil

    elsewhere = shutil.copytree(data, tmp_path / "copy")
    one = add(found, data, label="folder", note="one")
    two = add(found, elsewhere, "other", at="2027-01-01T00:00:00.000000Z")

    assert one.record.digest == two.record.digest
    assert two.added.new_bytes == 0


def test_what_is_on_record_is_in_the_store(found, data):
    from gitrepro.data.lookup import missing_blobs

    record = add(found, data).record

    assert missing_blobs(found, record) == 0
    assert record.digest in store_of(found)


def test_what_is_linked_is_a_manifest_and_no_more(found, data):
    from gitrepro.data.lookup import missing_blobs

    record = add(found, data, link=True).record

    assert record.linked and record.digest in store_of(found)
    assert missing_blobs(found, record) == 3


def test_a_place_keeps_how_it_was_kept(found, data):
    add(found, data, link=True)
    (data / "more.bin").write_bytes(b"more")

    assert add(found, data).keeping.linked is True
    assert add(found, data, link=False).keeping.linked is False


def test_data_that_are_large_or_far_are_linked_by_themselves(tmp_path, monkeypatch):
    from gitrepro.data import keeping as module

    monkeypatch.setattr(module, "LARGE_BYTES", 1000)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "x").write_bytes(b"x" * 1000)
    store = tmp_path / "store" / "not" / "there" / "yet"

    assert not keeping(tmp_path / "data", store, asked=None).linked
    (tmp_path / "data" / "y").write_bytes(b"y")
    assert keeping(tmp_path / "data", store, asked=None).linked
    assert "larger than" in keeping(tmp_path / "data", store, asked=None).why
    assert not keeping(tmp_path / "data", store, asked=False).linked
    assert not keeping(tmp_path / "data", store, asked=None, before=False).linked


def test_what_is_left_out_does_not_make_data_large(tmp_path, monkeypatch):
    from gitrepro.data import keeping as module

    monkeypatch.setattr(module, "LARGE_BYTES", 1000)
    for name in ("x", ".git/pack", "below/y.tmp"):
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).write_bytes(b"x" * 900)

    assert keeping(tmp_path / "data", tmp_path, asked=None).linked
    for pattern in ("*.tmp", "below/"):
        assert not keeping(tmp_path / "data", tmp_path, asked=None, ignore=[pattern]).linked


def test_an_empty_path_and_the_folder_of_git_are_refused(found, repo, monkeypatch):
    monkeypatch.chdir(repo)
    with pytest.raises(UsageError, match="the path is empty"):
        add_dataset(found, Wish(path=Path(), source="", name="x"), identity=ADA, at=AT)
    for path in (repo / ".git", repo / ".git" / "refs"):
        with pytest.raises(Unsafe, match="Git and gitrepro"):
            add(found, path)
    (found.home / "data" / "x").mkdir(parents=True)
    (found.home / "data" / "x" / "a").write_text("a")
    assert add(found, found.home / "data" / "x").record.files == 1


def test_data_that_change_while_they_are_described_are_not_put_on_record(found, data, monkeypatch):
    real = datasets._described

    def slow(*args):
        (data / "a" / "1.bin").write_bytes(b"written meanwhile")
        return real(*args)

    monkeypatch.setattr(datasets, "_described", slow)
    with pytest.raises(SourceChanged, match="changed while"):
        add(found, data)
    monkeypatch.undo()
    with Catalog(found) as catalog:
        assert catalog.datasets() == []
    assert add(found, data).new


@pytest.mark.parametrize("step", ["remember", "item_names", "_described", "_check_unchanged", "write_records"])
def test_cut_at_any_step_and_repeated_it_ends_the_same(found, data, repo, git: Git, monkeypatch, step):
    real = getattr(datasets, step)

    class Cut(BaseException): ...

    def cut(*args, **options):
        raise Cut

    def cut_after(*args, **options):
        real(*args, **options)
        raise Cut

    for how in (cut, cut_after):
        monkeypatch.setattr(datasets, step, how)
        with pytest.raises(Cut):
            add(found, data)
        monkeypatch.setattr(datasets, step, real)
    # The last one had written its record already.
    assert add(found, data, at="2027-01-01T00:00:00.000000Z").record.version == "v1"
    paths = git(repo, "ls-tree", "-r", "--name-only", RUNS_REF).splitlines()
    assert len([path for path in paths if path.startswith("datasets/")]) == 2
    assert not any("~" in path for path in paths)


def test_two_who_add_at_once_take_two_labels(found, data, tmp_path):
    paths = []
    for number in range(4):
        (tmp_path / f"{number}").write_bytes(b"%d" % number)
        paths.append(tmp_path / f"{number}")
    done: list[Addition | BaseException] = []

    def work(path: Path) -> None:
        try:
            done.append(add(found, path, describe=False))
        except BaseException as error:  # noqa: BLE001 - shown by the test
            done.append(error)

    threads = [threading.Thread(target=work, args=(path,)) for path in paths]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(each.record.version for each in done) == ["v1", "v2", "v3", "v4"]


def test_statistics_that_an_add_left_out_are_caught_up_on(found, data):
    record = add(found, data, describe=False).record
    with Catalog(found) as catalog:
        assert catalog.statistics(record) is None
    assert add(found, data).new is False
    with Catalog(found) as catalog:
        statistics = catalog.statistics(record)

    assert statistics and (statistics["digest"], statistics["n"]) == (record.digest, 3)


def test_names_and_labels_are_judged_before_anything_is_read(found, tmp_path):
    for bad in (wish(tmp_path, "a/b"), replace(wish(tmp_path), version="no label")):
        with pytest.raises(UsageError, match="cannot name"):
            add_dataset(found, bad, identity=ADA, at=AT)
    with pytest.raises(NotFound):
        add(found, tmp_path / "nowhere")
    assert not (found.home / "places").exists()


def test_a_label_of_the_user_does_not_disturb_the_numbers(found, data):
    versions = []
    for label in (None, "final", None, "v9", None):
        (data / "a" / "1.bin").write_bytes(os.urandom(10))
        versions.append(add(found, data, version=label, describe=False).record.version)

    assert versions == ["v1", "final", "v2", "v9", "v10"]


def test_a_file_is_a_data_set_of_one(found, data):
    record = add(found, data / "a" / "1.bin").record

    assert (record.kind, record.items, record.files, record.id) == ("file", 1, 1, "path")
    assert open_dataset(found, "digits").ids() == ["1.bin"]


def test_a_second_clone_adds_its_own_labels_and_the_content_decides(found, data):
    """As after a merge: both have v1, of other content."""
    from gitrepro.store.catalog import write_records

    mine = add(found, data).record
    theirs = replace(mine, digest="b3:" + "7" * 64)
    write_records(found, {theirs.path: theirs.dump()}, subject="digits", line="x", identity=ADA)
    (data / "more.bin").write_bytes(b"more")

    assert add(found, data).record.version == "v2"


# -- places


def test_places_are_told_the_latest_first_and_what_we_laid_out_last(found):
    digest = "b3:" + "1" * 64
    for at, (path, ours) in enumerate([("/one", False), ("/ours", True), ("/two", False), ("/one", False)]):
        remember(found, digest, Place(path=Path(path), at=f"{at}", ours=ours))

    assert [str(place.path) for place in places_of(found, digest)] == ["/one", "/two", "/ours"]
    forget(found, digest, Path("/one"))
    assert [str(place.path) for place in places_of(found, digest)] == ["/two", "/ours"]
    assert places_of(found, "b3:" + "2" * 64) == []


@given(
    name=st.binary(min_size=1, max_size=20).filter(lambda raw: not {0, 47} & {*raw}),
    ignore=st.lists(st.text(max_size=5), max_size=2),
)
def test_a_place_of_any_name_comes_back(tmp_path_factory, name, ignore):
    root = tmp_path_factory.mktemp("home")
    found = Repository(git_dir=root, common_dir=root, work_tree=None)
    place = Place(path=Path("/") / os.fsdecode(name), at=AT, linked=True, follow=True, ignore=tuple(ignore))
    remember(found, "b3:" + "1" * 64, place)

    assert places_of(found, "b3:" + "1" * 64) == [place]


@pytest.mark.parametrize("text", [b"", b"\xff", b"places: []\nx", b'format: 1\nplaces:\n  - path: "relative"\n'])
def test_a_damaged_hint_is_no_hint(found, text):
    digest = "b3:" + "1" * 64
    remember(found, digest, Place(path=Path("/one"), at=AT))
    (found.home / "places" / f"{'1' * 64}.yaml").write_bytes(text)

    assert places_of(found, digest) == []
    remember(found, digest, Place(path=Path("/two"), at=AT))
    assert [place.path for place in places_of(found, digest)] == [Path("/two")]


def test_errors_are_of_the_family(found, data):
    with pytest.raises(GitreproError):
        add(found, data, id="column:x")
    with pytest.raises(GitreproError):
        add(found, data, label="colour")
