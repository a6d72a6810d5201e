"""A store remote behind a real sshd: with gitrepro on the far side, and without."""

from __future__ import annotations

import os
import pwd
import random
import socket
import stat
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from gitrepro.errors import Damaged, RemoteError, UsageError
from gitrepro.sync.blobs import frames
from gitrepro.sync.blobs.drivers import ssh
from tests.sync.contract import KEY, MANY_PARTS, Place, WritingContract, in_threads, keys, put, read
from tests.sync.proxy import Proxy
from tests.sync.servers import Sshd, sshd
from tests.sync.there_and_back import assert_blobs_go_and_come_back

__all__ = ["sshd"]
BOTH = pytest.mark.parametrize("host", ["box", "bare"])
CUTS = 10


@pytest.fixture(autouse=True)
def programs(sshd: Sshd, hermetic: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{sshd.programs}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture
def shared(sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_SSH_CONFIG", str(sshd.shared_config))


def driver_of(host: str, folder: Path, **options: str) -> ssh.SshDriver:
    return ssh.open_url(f"ssh://{host}{folder}", options, may_ask=False)


class TestGitreproThere(WritingContract):
    @pytest.fixture
    def place(self, tmp_path: Path, shared: None) -> Place:
        return lambda: driver_of("box", tmp_path / "remote")


class TestOnlySftpThere(WritingContract):
    @pytest.fixture
    def place(self, tmp_path: Path, shared: None) -> Place:
        return lambda: driver_of("bare", tmp_path / "remote", helper="none")


# -- who is asked there


@pytest.fixture
def open_to(tmp_path: Path, shared: None) -> Iterator[Callable[..., ssh.SshDriver]]:
    opened: list[ssh.SshDriver] = []

    def open_it(host: str, **options: str) -> ssh.SshDriver:
        opened.append(driver_of(host, tmp_path / "remote", **options))
        return opened[-1]

    yield open_it
    for each in opened:
        each.close()


@pytest.mark.parametrize(("host", "via"), [("box", "gitrepro"), ("bare", "sftp"), ("only-sftp", "sftp")])
def test_gitrepro_is_asked_where_it_is_and_sftp_elsewhere(
    open_to: Callable[..., ssh.SshDriver], host: str, via: str
) -> None:
    driver = open_to(host)
    put(driver, KEY, MANY_PARTS)

    assert read(driver, KEY) == MANY_PARTS
    assert driver.via == via


def test_what_is_written_by_one_way_is_read_by_the_other(open_to: Callable[..., ssh.SshDriver]) -> None:
    put(open_to("box"), "objects/ab/1", b"by gitrepro")
    put(open_to("bare"), "objects/ab/2", b"by sftp")

    assert read(open_to("bare"), "objects/ab/1") == b"by gitrepro"
    assert read(open_to("box"), "objects/ab/2") == b"by sftp"
    assert keys(open_to("box")) == keys(open_to("bare")) == {"objects/ab/1", "objects/ab/2"}


def test_a_shell_that_talks_first_is_let_talk(open_to: Callable[..., ssh.SshDriver]) -> None:
    driver = open_to("box", helper="echo Welcome; echo; gitrepro")
    put(driver, KEY, b"x")

    assert driver.via == "gitrepro"


def test_a_far_gitrepro_that_knows_no_store_remotes_is_passed_over(open_to: Callable[..., ssh.SshDriver]) -> None:
    driver = open_to("box", helper="gitrepro --version; false")
    put(driver, KEY, b"x")

    assert (read(driver, KEY), driver.via) == (b"x", "sftp")


def test_a_far_side_that_serves_one_folder_only_serves_that(
    open_to: Callable[..., ssh.SshDriver], sshd: Sshd, tmp_path: Path
) -> None:
    put(open_to("forced"), KEY, b"x")

    assert (sshd.forced / KEY).read_bytes() == b"x"
    assert not (tmp_path / "remote").exists()


def test_one_line_is_kept_for_one_thread(sshd: Sshd, tmp_path: Path) -> None:
    proxy = Proxy(sshd.ports["box"])
    with through(sshd, proxy, tmp_path):
        driver = driver_of("box", tmp_path / "remote")
        for number in range(20):
            put(driver, f"objects/ab/{number}", b"x")
        driver.close()

    assert proxy.connections == 1
    proxy.close()


# -- the folder there


@BOTH
def test_a_file_there_is_written_to_by_nobody_and_readable_as_the_folder_is(
    open_to: Callable[..., ssh.SshDriver], tmp_path: Path, host: str
) -> None:
    (tmp_path / "remote").mkdir()
    (tmp_path / "remote").chmod(0o2775)
    put(open_to(host), KEY, b"x")

    file = tmp_path / "remote" / KEY
    assert stat.S_IMODE(file.stat().st_mode) == 0o444
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o2775


@BOTH
def test_nothing_is_left_beside_the_keys(open_to: Callable[..., ssh.SshDriver], tmp_path: Path, host: str) -> None:
    put(open_to(host), KEY, b"x")

    assert [path.name for path in (tmp_path / "remote").rglob("*") if path.is_file()] == ["c" * 62]


@BOTH
def test_what_died_there_a_day_ago_is_swept(open_to: Callable[..., ssh.SshDriver], tmp_path: Path, host: str) -> None:
    incoming = tmp_path / "remote/incoming"
    incoming.mkdir(parents=True)
    for name, days in ((".tmp-old", 2), (".tmp-young", 0), ("mine", 2)):
        (incoming / name).touch()
        os.utime(incoming / name, (time.time() - days * 86_400,) * 2)
    put(open_to(host), KEY, b"x")

    assert sorted(path.name for path in incoming.iterdir()) == [".tmp-young", "mine"]


@BOTH
def test_a_place_that_is_not_there_is_said_so(tmp_path: Path, shared: None, host: str) -> None:
    driver = driver_of(host, tmp_path / "no/such/remote")
    with pytest.raises(RemoteError) as error:
        put(driver, KEY, b"x")

    assert "is not there" in error.value.what
    assert error.value.do
    driver.close()


@BOTH
def test_a_folder_in_the_place_of_a_key_is_named(
    open_to: Callable[..., ssh.SshDriver], tmp_path: Path, host: str
) -> None:
    (tmp_path / "remote" / KEY).mkdir(parents=True)

    with pytest.raises(Damaged, match="no plain file"):
        open_to(host).size(KEY)


def test_a_link_in_the_place_of_a_key_is_not_followed(open_to: Callable[..., ssh.SshDriver], tmp_path: Path) -> None:
    (tmp_path / "remote/objects").mkdir(parents=True)
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "remote/objects/link").symlink_to(tmp_path / "secret")
    for host in ("box", "bare"):
        with pytest.raises(Damaged, match="no plain file"):
            read(open_to(host), "objects/link")


@BOTH
def test_a_place_that_may_not_be_written_says_so_and_the_line_lives_on(
    open_to: Callable[..., ssh.SshDriver], tmp_path: Path, host: str
) -> None:
    (tmp_path / "remote").mkdir()
    (tmp_path / "remote/objects").write_bytes(b"a file where a folder should be")
    driver = open_to(host)
    with pytest.raises(RemoteError) as error:
        put(driver, KEY, MANY_PARTS)
    put(driver, "index/1", b"x")

    assert error.value.why and error.value.do
    assert keys(driver, "index/") == {"index/1"}


def test_a_full_disk_there_stops_the_sending_at_once(open_to: Callable[..., ssh.SshDriver], tmp_path: Path) -> None:
    driver, sent = open_to("box", helper="ulimit -f 1000; gitrepro"), 0

    def parts() -> Iterator[bytes]:
        nonlocal sent
        while sent < 200 << 20:
            sent += len(MANY_PARTS)
            yield MANY_PARTS

    with pytest.raises(RemoteError, match="File too large"):
        driver.write(KEY, parts(), 200 << 20)

    assert sent < 100 << 20
    assert driver.size(KEY) is None
    put(driver, KEY, b"small enough")


# -- what ssh says


def test_a_key_that_is_not_known_there_is_refused_in_the_words_of_ssh(tmp_path: Path) -> None:
    with pytest.raises(RemoteError) as error:
        driver_of("nobody", tmp_path / "remote").size(KEY)

    assert "Permission denied" in error.value.why
    assert "ssh nobody true" in error.value.do
    assert error.value.exit_code == 5


def test_a_machine_that_does_not_answer_is_said_in_the_words_of_ssh(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    driver = ssh.open_url(f"ssh://box:{port}{tmp_path}/remote", {}, may_ask=False)
    with pytest.raises(RemoteError, match="Connection refused") as error:
        driver.size(KEY)

    assert f"ssh -p {port} box true" in error.value.do


def test_another_key_of_the_machine_than_before_is_refused(sshd: Sshd, tmp_path: Path) -> None:
    other = sshd.config.parent / "stranger.pub"
    (tmp_path / "known").write_text(f"[127.0.0.1]:{sshd.ports['box']} {other.read_text()}")
    config = tmp_path / "config"
    config.write_text(f"UserKnownHostsFile {tmp_path}/known\n{sshd.config.read_text()}")
    os.environ["TEST_SSH_CONFIG"] = str(config)
    try:
        with pytest.raises(RemoteError, match="Host key verification failed"):
            driver_of("box", tmp_path / "remote").size(KEY)
    finally:
        del os.environ["TEST_SSH_CONFIG"]


@pytest.mark.parametrize(
    "url",
    [
        "ssh://-oProxyCommand=touch/x", "ssh://a;b/x", "ssh://$(touch x)/x", "a`b`:x", "-F/x:y", "u;v@h:x",
        "h:~other/x", "h:a\nb", "ssh://h", "h:",
    ],
)  # fmt: skip
def test_what_ssh_could_take_for_something_else_is_refused(url: str) -> None:
    with pytest.raises(UsageError):
        ssh.open_url(url, {})


@pytest.mark.parametrize("form", ["box:{}", "box:./{}", "box:~/{}", "ssh://box/~/{}"])
@pytest.mark.parametrize("helper", ["gitrepro", "none"])
def test_a_folder_may_lie_in_the_home_there(shared: None, form: str, helper: str) -> None:
    name = f".gitrepro-test-{os.getpid()}-{random.randrange(10**9)}"
    driver = ssh.open_url(form.format(name), {"helper": helper}, may_ask=False)
    home = Path(pwd.getpwuid(os.getuid()).pw_dir)  # sshd asks the same; HOME is another in tests
    try:
        put(driver, KEY, b"x")
        assert (home / name / KEY).read_bytes() == b"x"
    finally:
        driver.close()
        subprocess.run(["rm", "-rf", str(home / name)], check=True)


def test_spaces_and_quotes_in_the_path_are_the_path(tmp_path: Path, shared: None) -> None:
    folder = tmp_path / "it's a $HOME; `x`"
    folder.mkdir()
    for helper in ("gitrepro", "none"):
        driver = ssh.open_url(f"box:{folder}/remote", {"helper": helper}, may_ask=False)
        put(driver, f"index/{helper}", b"x")
        driver.close()

    assert sorted(path.name for path in (folder / "remote/index").iterdir()) == ["gitrepro", "none"]


# -- with what moves blobs


@BOTH
def test_blobs_go_there_and_come_back(open_to: Callable[..., ssh.SshDriver], tmp_path: Path, host: str) -> None:
    assert_blobs_go_and_come_back(lambda: open_to(host), tmp_path)


# -- cut lines


class through:
    """Let ssh go through a proxy."""

    def __init__(self, sshd: Sshd, proxy: Proxy, folder: Path) -> None:
        self._config = folder / "config-of-the-proxy"
        self._config.write_text(f"Port {proxy.port}\n{sshd.config.read_text()}\n    CheckHostIP no\n")

    def __enter__(self) -> None:
        os.environ["TEST_SSH_CONFIG"] = str(self._config)

    def __exit__(self, *_: object) -> None:
        del os.environ["TEST_SSH_CONFIG"]


@BOTH
def test_a_cut_line_leaves_nothing_partial_and_the_next_try_finishes(
    sshd: Sshd,
    tmp_path: Path,
    seed: int,
    host: str,
) -> None:
    data = random.Random(seed).randbytes(400_000)
    draw = random.Random(seed)
    proxy = Proxy(sshd.ports[host])
    with through(sshd, proxy, tmp_path):
        driver = driver_of(host, tmp_path / "remote", helper="gitrepro" if host == "box" else "none")
        for number in range(CUTS):
            key = f"objects/ab/{number}"
            proxy.cut_after(draw.randrange(400_000))
            with pytest.raises(RemoteError):
                put(driver, key, data)
            found = tmp_path / "remote" / key
            assert not found.exists() or found.read_bytes() == data
            put(driver, key, data)
            assert read(driver, key) == data
        driver.close()
    cuts = proxy.cuts
    proxy.close()

    assert cuts == CUTS
    assert keys(driver_of(host, tmp_path / "remote")) == {f"objects/ab/{number}" for number in range(CUTS)}


@BOTH
def test_a_line_cut_while_reading_is_said_so_and_the_next_try_reads_all(
    sshd: Sshd,
    tmp_path: Path,
    seed: int,
    host: str,
) -> None:
    data, draw = random.Random(seed).randbytes(400_000), random.Random(seed)
    put(driver_of(host, tmp_path / "remote"), KEY, data)
    proxy = Proxy(sshd.ports[host])
    with through(sshd, proxy, tmp_path):
        driver = driver_of(host, tmp_path / "remote", helper="gitrepro" if host == "box" else "none")
        for _ in range(CUTS):
            proxy.cut_after(draw.randrange(400_000))
            with pytest.raises(RemoteError):
                read(driver, KEY)
            assert read(driver, KEY) == data
        driver.close()
    proxy.close()


@BOTH
def test_a_line_that_died_while_nobody_used_it_is_replaced_by_the_next_try_at_the_latest(
    sshd: Sshd, tmp_path: Path, host: str
) -> None:
    proxy = Proxy(sshd.ports[host])
    with through(sshd, proxy, tmp_path):
        driver = driver_of(host, tmp_path / "remote")
        put(driver, KEY, b"x")
        proxy.cut()
        with suppress(RemoteError):  # ssh may not have seen it yet
            driver.size(KEY)

        assert driver.size(KEY) == 1
        driver.close()
    proxy.close()


def test_where_there_is_one_line_only_all_threads_share_it(sshd: Sshd, tmp_path: Path) -> None:
    proxy = Proxy(sshd.ports["bare"], most=1)
    contents = {f"objects/ab/{number}": b"%d" % number for number in range(20)}
    with through(sshd, proxy, tmp_path):
        driver = driver_of("bare", tmp_path / "remote", helper="none")
        in_threads(driver, contents.items())

        assert keys(driver) == set(contents)
        driver.close()
    proxy.close()


# -- the far side, face to face


@pytest.fixture
def far(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    argv = [sys.executable, "-m", "gitrepro", "serve-store", str(tmp_path / "remote")]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout
        assert child.stdout.read(len(frames.GREETING)) == frames.GREETING
        yield child
        child.kill()


def said(far: subprocess.Popen[bytes], data: bytes) -> bytes:
    """What the far side answers to these bytes, until it ends."""
    return far.communicate(frames.HELLO + data, timeout=60)[0]


def frame(kind: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">cI", kind, len(data)) + data


@pytest.mark.parametrize(
    "request_",
    [
        frame(b"R", b'{"key": "../x", "start": 0, "length": null}'), frame(b"R", b"no json"), frame(b"R", b"[]"),
        frame(b"R", b'{"key": "x", "start": "a", "length": 1}'), frame(b"S", b"/etc/passwd"), frame(b"S", b"\xff"),
        frame(b"L", b"../"), frame(b"X", b"../../x"), frame(b"W", b'{"key": "../x", "size_bytes": 1}') + frame(b"A"),
        frame(b"W", b"{}") + frame(b"D", b"x") + frame(b"E"),
    ],
)  # fmt: skip
def test_a_request_that_makes_no_sense_is_refused_and_the_next_is_answered(
    far: subprocess.Popen[bytes], tmp_path: Path, request_: bytes
) -> None:
    (tmp_path / "x").write_bytes(b"outside")
    answer = said(far, request_ + frame(b"L"))

    assert answer.startswith(b"F")
    assert answer.endswith(frame(b"E"))
    assert (tmp_path / "x").read_bytes() == b"outside"


@pytest.mark.parametrize("data", [b"D\xff\xff\xff\xff", frame(b"?"), frame(b"E")])
def test_what_is_no_request_ends_the_far_side(far: subprocess.Popen[bytes], data: bytes) -> None:
    said(far, data)

    assert far.returncode == 4


def test_a_write_that_ends_in_the_middle_leaves_nothing(far: subprocess.Popen[bytes], tmp_path: Path) -> None:
    said(far, frame(b"W", b'{"key": "a/b", "size_bytes": 3}') + frame(b"D", b"abc"))

    assert far.returncode == 0
    assert [path for path in (tmp_path / "remote").rglob("*") if path.is_file()] == []
