"""A store remote in a bucket, of two servers that speak S3: one that keeps to it closely, and one that does not."""

from __future__ import annotations

import importlib.util
import itertools
import random
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gitrepro.errors import RemoteError, UsageError
from gitrepro.sync.blobs.driver import KeyMissing
from gitrepro.sync.blobs.drivers import cloud
from gitrepro.sync.blobs.drivers.aws import aws_settings
from tests.sync.contract import KEY, MANY_PARTS, Place, WritingContract, in_threads, keys, put, read
from tests.sync.proxy import Proxy
from tests.sync.servers import S3, moto, objects_in, rclone
from tests.sync.there_and_back import assert_blobs_go_and_come_back

pytest.importorskip("obstore", reason="obstore is not installed (pip install 'gitrepro[cloud]')")

__all__ = ["moto", "rclone"]
_NUMBERS = itertools.count()
CUTS = 10


def driver_of(server: S3, prefix: str, **options: str) -> cloud.CloudDriver:
    return cloud.open_url(f"s3://{server.bucket}/{prefix}", {"endpoint": server.endpoint, **options})


@pytest.fixture
def keyed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The keys that the servers know, where AWS's programs look for them."""
    for name, value in S3.environment().items():
        monkeypatch.setenv(name, value)


class Buckets(WritingContract):
    @pytest.fixture
    def place(self, server: S3, keyed: None) -> Place:
        prefix = f"team/{next(_NUMBERS)}"
        return lambda: driver_of(server, prefix)


class TestMoto(Buckets):
    @pytest.fixture
    def server(self, moto: S3) -> S3:
        return moto


class TestRclone(Buckets):
    @pytest.fixture
    def server(self, rclone: S3) -> S3:
        return rclone


@pytest.fixture(params=["moto", "rclone"])
def server(request: pytest.FixtureRequest, keyed: None) -> S3:
    found: S3 = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def prefix() -> str:
    return f"team/{next(_NUMBERS)}"


# -- what lies in the bucket


def test_a_key_is_an_object_below_the_prefix(server: S3, prefix: str) -> None:
    put(driver_of(server, prefix), KEY, b"some bytes")
    put(driver_of(server, ""), f"{prefix.replace('/', '-')}", b"at the top")

    assert {f"{prefix}/{KEY}", prefix.replace("/", "-")} <= objects_in(server)


def test_what_others_keep_there_is_not_listed_as_ours(server: S3, prefix: str) -> None:
    put(driver_of(server, f"{prefix}/a"), "index/1", b"x")
    put(driver_of(server, f"{prefix}/ab"), "index/2", b"x")
    objects_in(server, put=f"{prefix}/a/a name with spaces")

    assert keys(driver_of(server, f"{prefix}/a")) == {"index/1"}


def test_more_than_a_page_is_listed_and_deleted(moto: S3, keyed: None, prefix: str) -> None:
    driver = driver_of(moto, prefix)
    names = [f"index/{number:04}" for number in range(1003)]
    in_threads(driver, [(name, b"") for name in names])

    assert keys(driver) == set(names)
    driver.delete(names[1:])
    assert keys(driver) == {names[0]}


def test_a_large_body_goes_in_several_requests_and_is_there_as_a_whole(
    server: S3, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cloud, "_PUT_BYTES", 6 << 20)
    driver, data = driver_of(server, prefix), MANY_PARTS * 7
    driver.write(KEY, (MANY_PARTS for _ in range(7)), len(data))

    assert read(driver, KEY) == data


def test_a_server_that_answers_ranges_with_the_whole_is_read_all_the_same(rclone: S3, keyed: None, prefix: str) -> None:
    driver = driver_of(rclone, prefix)
    put(driver, KEY, MANY_PARTS)

    for start, length in ((5, 10), (300_000, 600_000), (len(MANY_PARTS) - 5, 99), (7, None)):
        end = None if length is None else start + length
        assert read(driver, KEY, start=start, length=length) == MANY_PARTS[start:end]


def test_blobs_go_there_and_come_back(server: S3, prefix: str, tmp_path: Path) -> None:
    assert_blobs_go_and_come_back(lambda: driver_of(server, prefix), tmp_path)


# -- who may


def test_wrong_keys_are_refused_in_the_words_of_the_server(
    rclone: S3, keyed: None, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    with pytest.raises(RemoteError) as error:
        put(driver_of(rclone, prefix), KEY, b"x")

    assert "403" in error.value.why
    assert "AWS_ACCESS_KEY_ID" in error.value.do
    assert "another" not in str(error.value)


def test_keys_are_found_in_the_files_of_aws(
    rclone: S3, prefix: str, hermetic: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, secret, region = S3.environment().values()
    (hermetic / ".aws").mkdir()
    (hermetic / ".aws/credentials").write_text(
        f"[default]\naws_access_key_id = no\naws_secret_access_key = no\n"
        f"[team]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n"
    )
    (hermetic / ".aws/config").write_text(f"[profile team]\nregion = {region}\n")
    monkeypatch.setenv("AWS_PROFILE", "team")
    put(driver_of(rclone, prefix), KEY, b"x")

    monkeypatch.delenv("AWS_PROFILE")
    assert read(driver_of(rclone, prefix, profile="team"), KEY) == b"x"
    with pytest.raises(RemoteError):
        read(driver_of(rclone, prefix), KEY)


def test_anonymous_signs_nothing(rclone: S3, keyed: None, prefix: str) -> None:
    put(driver_of(rclone, prefix), KEY, b"x")

    with pytest.raises(RemoteError, match="UnsupportedAlgorithm"):  # rclone's words for no signature at all
        read(driver_of(rclone, prefix, anonymous="true"), KEY)


def test_an_option_wins_over_the_environment_and_that_over_the_files(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("[default]\nregion = filed\nendpoint_url = http://filed\n")
    files = {"AWS_CONFIG_FILE": str(tmp_path / "config"), "HOME": str(tmp_path)}

    assert aws_settings({}, files) == {"region": "filed", "endpoint": "http://filed"}
    assert aws_settings({}, {**files, "AWS_REGION": "said"})["region"] == "said"
    assert aws_settings({"region": "asked"}, {**files, "AWS_REGION": "said"})["region"] == "asked"


@pytest.mark.parametrize(
    ("config", "what"),
    [
        ("", "no profile"), ("[profile team]\nsso_session = x\n", "holds no keys"), ("no = section", "cannot read"),
        ("\udcff", "cannot read"),
    ],
)  # fmt: skip
def test_a_profile_that_gives_no_keys_is_said_so(tmp_path: Path, config: str, what: str) -> None:
    (tmp_path / "config").write_bytes(config.encode(errors="surrogateescape"))

    with pytest.raises(UsageError, match=what):
        aws_settings({"profile": "team"}, {"AWS_CONFIG_FILE": str(tmp_path / "config"), "HOME": str(tmp_path)})


# -- what can be wrong


def test_a_bucket_that_is_not_there_is_said_so(moto: S3, keyed: None) -> None:
    driver = cloud.open_url("s3://no-such-bucket/x", {"endpoint": moto.endpoint})
    for act in (lambda: put(driver, KEY, b"x"), lambda: keys(driver), lambda: read(driver, KEY)):
        with pytest.raises(RemoteError, match="NoSuchBucket") as error:
            act()

        assert "make the bucket" in error.value.do


def test_a_server_that_does_not_answer_is_said_so(keyed: None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(RemoteError) as error:
        put(cloud.open_url("s3://weights", {"endpoint": f"http://127.0.0.1:{port}"}), KEY, b"x")

    assert "error sending request" in error.value.why
    assert "Debug" not in error.value.why
    assert "network" in error.value.do


@pytest.mark.parametrize("url", ["s3://b/p", "gs://b/p", "az://c/p"])
def test_an_option_that_there_is_not_is_named(url: str) -> None:
    with pytest.raises(UsageError, match="'sekret_key'"):
        cloud.open_url(url, {"sekret_key": "x"})


def test_without_the_library_the_line_for_pip_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)

    with pytest.raises(UsageError, match=r"pip install 'gitrepro\[cloud\]'"):
        cloud.open_url("s3://b/p", {})


@pytest.mark.parametrize("url", ["gs://bucket/prefix", "az://container/prefix"])
def test_the_other_clouds_are_opened_without_asking_anybody(url: str) -> None:
    options = {"account": "team"} if url.startswith("az") else {}

    assert cloud.open_url(url, {"anonymous": "true", **options}).url == url


def test_a_key_in_the_address_of_a_request_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setenv("AZURE_STORAGE_SAS_KEY", "sv=2022&sig=hunter2")
    driver = cloud.open_url("az://container/p", {"endpoint": f"http://127.0.0.1:{port}", "account": "team"})
    with pytest.raises(RemoteError) as error:
        put(driver, KEY, b"x")

    assert "hunter2" not in str(error.value)


# -- cut lines


@pytest.fixture
def proxy(server: S3) -> Iterator[Proxy]:
    proxy = Proxy(server.port)
    yield proxy
    proxy.close()


def through(proxy: Proxy, server: S3, prefix: str) -> cloud.CloudDriver:
    return cloud.open_url(f"s3://{server.bucket}/{prefix}", {"endpoint": f"http://127.0.0.1:{proxy.port}"})


def test_a_cut_line_leaves_nothing_partial_and_the_next_try_finishes(
    server: S3, proxy: Proxy, prefix: str, seed: int
) -> None:
    draw, data = random.Random(seed), random.Random(seed).randbytes(400_000)
    direct, cut = driver_of(server, prefix), through(proxy, server, prefix)
    for number in range(CUTS):
        key = f"objects/ab/{number}"
        proxy.cut_after(draw.randrange(400_000))
        assert_whole_or_not_at_all(direct, key, data, lambda key=key: put(cut, key, data))  # type: ignore[misc]
        put(cut, key, data)
        assert read(direct, key) == data

    assert proxy.cuts == CUTS


def test_a_line_cut_while_reading_costs_at_most_a_try(server: S3, proxy: Proxy, prefix: str, seed: int) -> None:
    draw, data = random.Random(seed), random.Random(seed).randbytes(400_000)
    put(driver_of(server, prefix), KEY, data)
    cut = through(proxy, server, prefix)
    for _ in range(CUTS):
        proxy.cut_after(draw.randrange(400_000))
        try:
            assert read(cut, KEY) == data  # the library asks for the rest
        except RemoteError:
            assert read(cut, KEY) == data

    assert proxy.cuts == CUTS


def assert_whole_or_not_at_all(driver: cloud.CloudDriver, key: str, data: bytes, act: Callable[[], None]) -> None:
    try:
        act()
    except RemoteError:
        pass
    try:
        assert read(driver, key) == data
    except KeyMissing:
        assert driver.size(key) is None
