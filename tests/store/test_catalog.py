"""The catalog: what is typed finds one version, nothing else does, and what is damaged is never called absent."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from gitrepro.errors import Ambiguous, Damaged, NotFound, UsageError
from gitrepro.records.dataset import DatasetRecord, statistics_path
from gitrepro.records.split import SplitRecord
from gitrepro.store import repository as repositories
from gitrepro.store.catalog import Catalog, write_records, writing
from gitrepro.store.fold import Identity, Pending, enqueue, queued
from gitrepro.store.repository import RUNS_REF, Repository
from tests.conftest import Git

ADA = Identity(name="Ada Lovelace", email="ada@example.org")


@pytest.fixture
def found(repo: Path) -> Repository:
    return repositories.find(repo, {})


def digest(text: str) -> str:
    return f"b3:{hashlib.sha256(text.encode()).hexdigest()}"


def version(name: str, label: str, *, of: str = "", at: str = "") -> DatasetRecord:
    return DatasetRecord(
        name=name,
        version=label,
        digest=of or digest(name + label),
        kind="folder",
        items=3,
        files=3,
        size_bytes=30,
        linked=False,
        source="data",
        id="path",
        created_at=at or f"2026-01-01T00:00:{int(label[1:]):02}.000000Z",
    )


def split(of: DatasetRecord, name: str, label: str = "v1") -> SplitRecord:
    return SplitRecord(
        name=name,
        version=label,
        digest=digest(of.ref + name + label),
        dataset={"name": of.name, "version": of.version, "digest": of.digest},
        rule={"by": "hash"},
        parts={"train": 2, "test": 1},
        created_at=f"2026-01-02T00:00:{int(label[1:]):02}.000000Z",
    )


def write(found: Repository, *records: DatasetRecord | SplitRecord) -> None:
    for record in records:
        write_records(
            found, {record.path: record.dump()}, subject=record.name, line=f"data {record.name}", identity=ADA
        )


def test_a_name_means_its_newest_version_and_a_label_that_one(found):
    versions = [version("digits", label) for label in ("v1", "v2", "v10")]
    write(found, *versions, version("birds", "v1"))

    with Catalog(found) as catalog:
        assert catalog.names() == ["birds", "digits"]
        assert [record.ref for record in catalog.datasets()] == ["birds@v1", "digits@v1", "digits@v2", "digits@v10"]
        assert catalog.dataset("digits") == versions[2]
        assert catalog.dataset("digits@v1") == versions[0]


def test_a_digest_may_be_cut_as_long_as_it_means_one_version(found):
    one, two = (
        version("digits", "v1", of="b3:" + "a" * 63 + "1"),
        version("digits", "v2", of="b3:" + "a" * 63 + "2"),
    )
    write(found, one, two, version("birds", "v1", of="b3:" + "b" * 64))

    with Catalog(found) as catalog:
        assert catalog.dataset(f"digits@{two.digest}") == two
        assert catalog.dataset("b3:bbbb").name == "birds"
        with pytest.raises(Ambiguous, match="means 2 things"):
            catalog.dataset("digits@b3:aaaa")
        with pytest.raises(Ambiguous):
            catalog.dataset("b3:aaaa")
        with pytest.raises(NotFound):
            catalog.dataset("digits@b3:bbbb")


def test_an_unknown_name_is_answered_with_the_nearest(found):
    write(found, version("digits", "v1"), version("birds", "v1"))

    with Catalog(found) as catalog:
        with pytest.raises(NotFound, match="nearest: digits"):
            catalog.dataset("digit")
        with pytest.raises(NotFound, match="on record: v1"):
            catalog.dataset("digits@v7")
        with pytest.raises(UsageError):
            catalog.dataset("no such name")


def test_an_empty_repository_has_an_empty_catalog(found):
    with Catalog(found) as catalog:
        assert catalog.datasets() == []
        with pytest.raises(NotFound, match="none is on record yet"):
            catalog.dataset("digits")


def test_a_label_that_two_clones_gave_to_two_contents_is_ambiguous(found):
    one, two = version("digits", "v1", of=digest("mine")), version("digits", "v1", of=digest("theirs"))
    write(found, one, two)

    with Catalog(found) as catalog:
        with pytest.raises(Ambiguous, match=one.digest[:15]):
            catalog.dataset("digits@v1")
        assert catalog.dataset(f"digits@{one.digest[:15]}") == one


def test_a_content_that_two_clones_described_is_one_version_and_the_older_description_stands(found):
    older = version("digits", "v1", at="2026-01-01T00:00:00.000000Z")
    newer = replace(older, version="v2", created_at="2026-02-01T00:00:00.000000Z")
    write(found, newer)
    write(found, older)

    with Catalog(found) as catalog:
        assert catalog.datasets() == [older]


def test_one_damaged_record_is_told_and_the_others_are_read(found):
    good, bad = version("digits", "v1"), version("digits", "v2")
    write(found, good)
    write_records(found, {bad.path: b"format: 1\n"}, subject="x", line="x", identity=ADA)

    with Catalog(found) as catalog:
        assert catalog.datasets() == [good]
        assert [trouble.path for trouble in catalog.troubles] == [bad.path]
        assert catalog.dataset("digits@v1") == good
        with pytest.raises(Damaged, match="digits@v2"):
            catalog.dataset("digits@v2")
        with pytest.raises(NotFound, match="there is no data set 'birds'"):
            catalog.dataset("birds")


def test_a_record_under_the_path_of_another_is_damage(found):
    record = version("digits", "v1")
    misplaced = {version("birds", "v1").path: record.dump()}
    write_records(found, misplaced, subject="x", line="x", identity=ADA)

    with Catalog(found) as catalog:
        assert catalog.datasets() == []
        assert "its path says otherwise" in str(catalog.troubles[0].error)


def test_statistics_are_those_of_the_newest_algorithm(found):
    record = version("digits", "v1")
    write(found, record)
    files = {statistics_path("digits", record.digest, n): f"algorithm: {n}\n".encode() for n in (2, 10)}
    with Catalog(found) as catalog:
        assert catalog.statistics(record) is None
    write_records(found, files, subject="x", line="x", identity=ADA)

    with Catalog(found) as catalog:
        assert catalog.statistics(record) == {"algorithm": 10}
        assert set(catalog.algorithms(record)) == {2, 10}
        assert catalog.datasets() == [record]


def test_splits_belong_to_a_version_of_their_data(found):
    old, new = version("digits", "v1"), version("digits", "v2")
    splits = [split(old, "default"), split(old, "default", "v2"), split(new, "other")]
    write(found, old, new, *splits)

    with Catalog(found) as catalog:
        assert catalog.splits("digits") == splits
        assert catalog.splits(old) == splits[:2]
        assert catalog.split(old, "default") == splits[1]
        assert catalog.split(old, "default@v1") == splits[0]
        assert catalog.split(old, splits[0].digest[:12]) == splits[0]
        with pytest.raises(NotFound, match="nearest: default"):
            catalog.split(old, "defualt")
        with pytest.raises(NotFound, match="nearest: other"):
            catalog.split(new, "default")


def test_records_are_written_in_one_commit_and_once(found, repo: Path, git: Git):
    record = version("digits", "v1")
    files = {record.path: record.dump(), statistics_path("digits", record.digest, 1): b"algorithm: 1\n"}
    for _ in range(2):
        write_records(found, files, subject="digits", line="data digits@v1", identity=ADA)

    assert git(repo, "log", "--format=%s", RUNS_REF) == "data digits@v1"
    assert set(git(repo, "ls-tree", "-r", "--name-only", RUNS_REF).splitlines()) == {"format.yaml", *files}


def test_files_that_fill_the_queue_are_still_one_commit(found, repo: Path, git: Git):
    files = {f"datasets/digits/{number}.yaml": b'"\n' * 180_000 for number in range(3)}
    write_records(found, files, subject="digits", line="many", identity=ADA)

    assert git(repo, "log", "--format=%s", RUNS_REF) == "gitrepro: 3 records"
    assert queued(found) == []


def test_what_an_interrupted_command_queued_is_there_for_the_next(found):
    record = version("digits", "v1")
    enqueue(found, Pending(kind="record", subject="digits", line="cut", files={record.path: record.dump().decode()}))

    with writing(found, identity=ADA), Catalog(found) as catalog:
        assert catalog.datasets() == [record]


def test_bytes_that_are_no_text_are_refused_before_anything_is_queued(found):
    with pytest.raises(UsageError, match="is no text"):
        write_records(found, {"datasets/x": b"\xff"}, subject="x", line="x", identity=ADA)

    assert queued(found) == []
