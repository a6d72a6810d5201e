"""A store remote on a web server: read with or without ranges, over cut connections, and never led astray."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest

from gitrepro.errors import Damaged, RemoteError
from gitrepro.store import trees
from gitrepro.store.objects import BlobStore
from gitrepro.sync.blobs import fetch, missing_there, send
from gitrepro.sync.blobs.driver import KeyMissing, NoListing
from gitrepro.sync.blobs.drivers.directory import DirectoryDriver
from gitrepro.sync.blobs.drivers.http import HttpDriver
from tests.store.stores import put_pieces, put_tree
from tests.sync.contract import KEY, Filled, ReadingContract, put, read

SERVER: Final = r"""
import http.server, os, re, sys, time

seen = {}

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        if self.path.startswith("http://"):
            return self.proxied()
        _, how, rest = self.path.split("/", 2)
        seen[self.path] = seen.get(self.path, 0) + 1
        with open("requests", "a") as file:
            print(self.command, self.path, self.client_address[1], self.headers.get("Range", "-"), file=file)
        getattr(self, how)(rest)

    def proxied(self):
        self.path = "/" + self.path.split("/", 3)[3]
        with open("proxied", "a") as file:
            print(self.headers.get("Host"), self.headers.get("Proxy-Authorization"), file=file)
        self.do_GET()

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        self.send_header("Content-Length", str(headers.pop("length", len(body))))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def data(self, rest):
        try:
            with open(os.path.join("files", rest), "rb") as file:
                return file.read()
        except OSError:
            self.answer(404, b"nothing of that name")

    def plain(self, rest, *, cut=None):
        data = self.data(rest)
        if data is None:
            return
        found = re.fullmatch("bytes=([0-9]+)-([0-9]*)", self.headers.get("Range", ""))
        if found is None:
            return self.whole(rest, cut=cut)
        begin, end = int(found[1]), min(len(data), int(found[2]) + 1 if found[2] else len(data))
        if begin >= len(data):
            return self.answer(416)
        part = data[begin:end]
        self.answer(206, part[:cut], length=len(part), Content_Range=f"bytes {begin}-{end - 1}/{len(data)}")
        self.close_connection = cut is not None

    def whole(self, rest, *, cut=None):
        data = self.data(rest)
        if data is not None:
            self.answer(200, data[:cut], length=len(data))
            self.close_connection = cut is not None

    def cut(self, rest):
        count, rest = rest.split("/", 1)
        self.plain(rest, cut=int(count))

    def cutwhole(self, rest):
        count, rest = rest.split("/", 1)
        self.whole(rest, cut=int(count) * seen[self.path])

    def head(self, rest):
        count, rest = rest.split("/", 1)
        if seen[self.path] > 1:
            return self.plain(rest)
        text = "HTTP/1.1 200 OK\r\nServer: web\r\nContent-Length: %d\r\nX: y\r\n\r\n" % len(self.data(rest))
        self.wfile.write(text.encode()[: int(count)])
        self.close_connection = True

    def shut(self, rest):
        self.close_connection = True
        if seen[self.path] > 1:
            self.plain(rest)

    def moved(self, rest):
        self.answer(302, b"over there", Location=f"/plain/{rest}")

    def astray(self, rest):
        self.answer(302, Location=f"file://{os.path.abspath('files')}/{rest}")

    def loop(self, rest):
        self.answer(302, Location=f"/loop/{rest}")

    def busy(self, rest):
        self.answer(503, b"later") if seen[self.path] < 3 else self.plain(rest)

    def down(self, rest):
        self.answer(500, b"an error")

    def login(self, rest):
        self.answer(403, b"who are you?")

    def lies(self, rest):
        data = self.data(rest)
        self.answer(206, data[:5], Content_Range=f"bytes 0-4/{len(data)}")

    def encoded(self, rest):
        self.answer(200, b"\x1f\x8b rubbish", Content_Encoding="gzip")

    def page(self, rest):
        self.answer(200, b"<html>welcome</html>")

    def chunked(self, rest):
        data = self.data(rest)
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for at in range(0, len(data) if self.command != "HEAD" else 0, 1000):
            part = data[at : at + 1000]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
        if self.command != "HEAD":
            self.wfile.write(b"0\r\n\r\n")

    def until(self, rest):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.data(rest) if self.command != "HEAD" else b"")
        self.close_connection = True

os.chdir(sys.argv[1])
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
print(server.server_port, flush=True)
server.serve_forever()
"""


class Web:
    """A real web server, in a process of its own; `url(how)` is one of the ways in which it answers."""

    def __init__(self, folder: Path) -> None:
        self.files = folder / "files"
        self.files.mkdir(parents=True)
        self._folder = folder
        command = [sys.executable, "-c", SERVER, folder]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def url(self, how: str) -> str:
        return f"http://127.0.0.1:{self.port}/{how}"

    def requests(self) -> list[list[str]]:
        """The method, the path, the port of the client, and the range of each."""
        return [line.split() for line in (self._folder / "requests").read_text().splitlines()]

    def proxied(self) -> list[str]:
        return (self._folder / "proxied").read_text().splitlines()

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    web = Web(tmp_path_factory.mktemp("web"))
    yield web
    web.stop()


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    web = Web(tmp_path / "web")
    yield web
    web.stop()


def lay(web: Web, contents: Mapping[str, bytes]) -> None:
    for key, data in contents.items():
        (web.files / key).parent.mkdir(parents=True, exist_ok=True)
        (web.files / key).write_bytes(data)


class Reading(ReadingContract):
    HOW: str

    @pytest.fixture
    def filled(self, server: Web) -> Filled:
        def fill(contents: Mapping[str, bytes]) -> HttpDriver:
            lay(server, contents)
            return HttpDriver(server.url(self.HOW))

        return fill


class TestAServerThatKnowsRanges(Reading):
    HOW = "plain"


class TestAServerThatKnowsNone(Reading):
    HOW = "whole"


class TestAServerThatRedirects(Reading):
    HOW = "moved"


class TestAServerThatClosesItsConnections(Reading):
    HOW = "cut/1000000"


DATA = os.urandom(1 << 20)


def driver(web: Web, how: str, *, timeout_seconds: float = 30) -> HttpDriver:
    lay(web, {KEY: DATA})
    return HttpDriver(web.url(how), timeout_seconds=timeout_seconds)


@pytest.mark.parametrize("how", ["cut/100000", "chunked", "until", "busy", "shut"])
def test_all_of_it_comes_however_the_server_behaves(web: Web, how: str) -> None:
    found = driver(web, how)

    assert read(found, KEY) == DATA
    assert read(found, KEY, start=1000, length=5000) == DATA[1000:6000]


@pytest.mark.parametrize("count", [5, 15, 17, 25, 30, 47, 50, 53, 57])
def test_an_answer_that_ends_within_its_head_is_none(web: Web, count: int) -> None:
    found = driver(web, f"head/{count}")

    assert read(found, KEY) == DATA
    assert driver(web, f"head/0{count}").size(KEY) == len(DATA)


@pytest.mark.parametrize("how", ["plain", "chunked", "until", "moved"])
def test_the_size_is_told_however_the_server_tells_it(web: Web, how: str) -> None:
    assert driver(web, how).size(KEY) == len(DATA)


def test_what_was_cut_goes_on_where_it_was_cut(web: Web) -> None:
    read(driver(web, "cut/400000"), KEY)

    assert [each[3] for each in web.requests()] == ["-", "bytes=400000-", "bytes=800000-"]


def test_what_was_cut_and_cannot_go_on_begins_anew(web: Web) -> None:
    assert read(driver(web, "cutwhole/400000"), KEY) == DATA


def test_a_server_that_sends_nothing_more_is_given_up(web: Web) -> None:
    with pytest.raises(RemoteError, match="the connection ended after 0 of 1048576 bytes"):
        read(driver(web, "cut/0"), KEY)


def test_connections_are_kept(web: Web) -> None:
    found = driver(web, "plain")
    for _ in range(5):
        read(found, KEY)
        found.size(KEY)
        found.size("objects/none")
        read(found, KEY, start=5, length=5)

    assert len({each[2] for each in web.requests()}) == 1


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("down", "500 Internal Server Error"),
        ("login", "403 Forbidden"),
        ("loop", "more than 5 redirects"),
        ("astray", "redirects to 'file:///"),
        ("encoded", "it encodes them"),
    ],
)
def test_what_the_server_says_is_told(web: Web, how: str, why: str) -> None:
    with pytest.raises(RemoteError, match=re.escape(why)):
        read(driver(web, how), KEY)


def test_another_range_than_was_asked_for_is_not_taken(web: Web) -> None:
    with pytest.raises(RemoteError, match="for the range 10-"):
        read(driver(web, "lies"), KEY, start=10, length=5)


def test_nobody_there_is_told(web: Web) -> None:
    found = driver(web, "plain")
    web.stop()

    with pytest.raises(RemoteError, match="Connection refused"):
        read(found, KEY)
    with pytest.raises(RemoteError, match="Connection refused"):
        found.size(KEY)


def test_a_host_that_nobody_knows_is_told() -> None:
    with pytest.raises(RemoteError, match="cannot be read"):
        read(HttpDriver("http://no-such-host.invalid/store"), KEY)


def test_it_can_only_be_read_and_not_listed(web: Web) -> None:
    found = driver(web, "plain")

    assert found.read_only is True
    with pytest.raises(NoListing):
        list(found.list("objects/"))
    with pytest.raises(RemoteError, match="can only be read"):
        put(found, KEY, b"x")
    with pytest.raises(RemoteError, match="can only be read"):
        found.delete([KEY])


def test_the_proxy_of_the_environment_is_asked(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    lay(web, {KEY: DATA})
    monkeypatch.setenv("http_proxy", f"http://ada:secret@127.0.0.1:{web.port}")
    monkeypatch.setenv("no_proxy", "127.0.0.1")

    assert read(HttpDriver("http://data.example/plain"), KEY) == DATA
    assert read(HttpDriver(web.url("plain")), KEY) == DATA
    assert web.proxied() == ["data.example Basic YWRhOnNlY3JldA=="]


# -- a store remote


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "mine")


@pytest.fixture
def other(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "other")


def test_a_whole_tree_is_fetched_by_its_name_from_a_server_that_lists_nothing(
    store: BlobStore, other: BlobStore, server: Web
) -> None:
    tree = put_tree(store, {f"{number:04}.txt": b"file %d" % number for number in range(500)})
    large = put_pieces(store, os.urandom(300_000), b"small piece" * 100, os.urandom(400_000))
    needs = [digest for digest in store.names() if digest != tree]
    folder = DirectoryDriver(server.files / "tree")
    send(store, folder, {tree: needs, large: []})
    found = HttpDriver(server.url("plain/tree"))
    fetched = fetch(other, [found], [tree, large])

    assert fetched.missing == fetched.wrong == ()
    assert fetched.requests <= 12
    assert all(other.verify(entry.digest) for entry in trees.entries(other, tree))
    assert other.get(large) == store.get(large)
    assert missing_there(found, needs, roots=[tree]) == set()


def test_a_connection_that_is_cut_again_and_again_brings_it_all(store: BlobStore, other: BlobStore, web: Web) -> None:
    digests = [store.put(os.urandom(300_000 + number)) for number in range(4)]
    send(store, DirectoryDriver(web.files / "cut"), {digests[0]: digests})

    assert fetch(other, [HttpDriver(web.url("cut/70001/cut"))], {digests[0]: digests}).missing == ()
    assert all(other.verify(digest) for digest in digests)


def test_a_server_that_answers_everything_with_a_page_is_no_store_remote(
    store: BlobStore, other: BlobStore, web: Web
) -> None:
    with pytest.raises(Damaged, match=r"gitrepro-store\.yaml"):
        fetch(other, [HttpDriver(web.url("page"))], {store.put(b"x"): []})


def test_a_server_that_is_down_is_told_and_another_one_asked(store: BlobStore, other: BlobStore, web: Web) -> None:
    digest = store.put(b"some bytes")
    send(store, DirectoryDriver(web.files / "up"), {digest: []})
    up, down = HttpDriver(web.url("plain/up")), HttpDriver(web.url("login"))

    assert fetch(other, [down, up], {digest: []}).missing == ()
    with pytest.raises(RemoteError, match="403 Forbidden"):
        fetch(BlobStore(other.root.parent / "third"), [down], {digest: []})


def test_a_missing_key_is_told_by_its_name(web: Web) -> None:
    with pytest.raises(KeyMissing, match="objects/none"):
        read(driver(web, "plain"), "objects/none")
