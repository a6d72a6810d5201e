"""Real servers on loopback for the cases of cut lines. Each ends with who started it, however that one ends."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.sync import servers
from tests.sync.proxy import Proxy
from tests.sync.servers import S3, SSHD, Sshd

_UNTIL_WE_END: Final = '"$@" & server=$!; read -r _; kill $server; wait $server'
WEB: Final = r"""
import http.server, os, re, sys

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        try:
            with open(self.path, "rb") as file:
                data = file.read()
        except OSError:
            return self.answer(404, b"", {})
        asked = re.fullmatch("bytes=([0-9]+)-([0-9]*)", self.headers.get("Range", ""))
        if asked is None:
            return self.answer(200, data, {})
        begin, end = int(asked[1]), min(len(data), int(asked[2] or len(data)) + 1)
        if begin >= len(data):
            return self.answer(416, b"", {})
        self.answer(206, data[begin:end], {"Content-Range": f"bytes {begin}-{end - 1}/{len(data)}"})

    def answer(self, status, body, headers):
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


@contextmanager
def git_daemon(folder: Path) -> Iterator[int]:
    """`git daemon` for every repository of this machine, to be fetched from and pushed to; its port."""
    (port,) = servers._free_ports(1)
    options = ["--base-path=/", "--export-all", "--enable=receive-pack", "--reuseaddr", "--listen=127.0.0.1"]
    with _running(["git", "daemon", *options, f"--port={port}"], [port], folder / "daemon.log"):
        yield port


@contextmanager
def web(folder: Path) -> Iterator[int]:
    """A static web server that knows ranges, for every file of this machine; its port."""
    (port,) = servers._free_ports(1)
    with _running([sys.executable, "-c", WEB, str(port)], [port], folder / "web.log"):
        yield port


@contextmanager
def moto(folder: Path) -> Iterator[S3]:
    """The S3 of `moto`, with one bucket."""
    (port,) = servers._free_ports(1)
    argv = [sys.executable, "-c", "from moto.server import main; main()", "-H", "127.0.0.1", "-p", str(port)]
    with _running(argv, [port], folder / "moto.log", environment={"MOTO_IAM_AUTH": "no"}):
        place = S3(endpoint=f"http://127.0.0.1:{port}", bucket="weights")
        servers._client(place).create_bucket(Bucket=place.bucket)
        yield place


@contextmanager
def sshd(folder: Path) -> Iterator[Sshd]:
    """The sshd of `tests.sync.servers`: on `box` is gitrepro, on `bare` is not. What serves there notes its number."""
    assert SSHD
    folder.chmod(0o700)
    ports = dict(zip(servers._HOSTS, servers._free_ports(len(servers._HOSTS)), strict=True))
    servers._make_keys(folder)
    (folder / "sshd_config").write_text(servers._server_config(folder, ports))
    far = folder / "far" / "gitrepro"
    far.write_text(far.read_text().replace("#!/bin/sh\n", f"#!/bin/sh\necho $$ >>{folder}/serving\n"))
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    argv = [SSHD, "-D", "-e", "-f", str(folder / "sshd_config")]
    with _running(argv, list(ports.values()), folder / "sshd.log"):
        config = servers._client_config(folder, ports)
        programs = servers._programs(folder, "bin")
        yield Sshd(ports=ports, programs=programs, config=config, shared_config=config, forced=folder / "forced")


def through(sshd: Sshd, proxy: Proxy, config: Path) -> dict[str, str]:
    """The environment in which `ssh` goes through a proxy."""
    config.write_text(f"Port {proxy.port}\n{sshd.config.read_text()}\n    CheckHostIP no\n")
    programs = [str(sshd.programs), str(Path(sys.executable).parent), os.environ["PATH"]]
    return {"TEST_SSH_CONFIG": str(config), "PATH": os.pathsep.join(programs)}


@contextmanager
def _running(
    argv: Sequence[str], ports: list[int], log: Path, *, environment: Mapping[str, str] | None = None
) -> Iterator[None]:
    env = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", **(environment or {})}
    with log.open("wb") as words:
        # Where we are killed, our end of the pipe closes, and the shell ends what it has started.
        shell = subprocess.Popen(
            ["sh", "-c", _UNTIL_WE_END, "sh", *argv], stdin=subprocess.PIPE, stdout=words, stderr=words, env=env
        )
    try:
        servers._wait_for(shell, ports, log)
        yield
    finally:
        assert shell.stdin
        shell.stdin.close()
        shell.wait()
