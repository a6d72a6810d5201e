"""From a URL to a driver: known forms alone, nothing that runs a program, and no password in what is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gitrepro.errors import UsageError
from gitrepro.sync.blobs.drivers.directory import DirectoryDriver
from gitrepro.sync.blobs.drivers.http import HttpDriver
from gitrepro.sync.blobs.opening import folder_of, kind_of, open_driver


@dataclass(frozen=True)
class Named:
    url: str
    name: str = "team"
    options: Mapping[str, str] = field(default_factory=dict)


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("/mnt/team/store", "directory"),
        ("~/store", "directory"),
        ("./odd:name", "directory"),
        ("/mnt/odd:name", "directory"),
        ("file:///mnt/team%20store", "directory"),
        ("FILE:///mnt/team", "directory"),
        ("ssh://ada@gpu-box:2222/data/store", "ssh"),
        ("ssh://gpu-box/data/store", "ssh"),
        ("gpu-box:store", "ssh"),
        ("ada@gpu-box:/data/store", "ssh"),
        ("s3://bucket/some/prefix", "cloud"),
        ("gs://bucket", "cloud"),
        ("az://container/prefix", "cloud"),
        ("https://data.example/store", "http"),
        ("http://[::1]:8080/store", "http"),
    ],
)
def test_a_known_form_is_known(url: str, kind: str) -> None:
    assert kind_of(url) == kind


@pytest.mark.parametrize(
    "url",
    [
        "",
        "-oProxyCommand=touch canary",
        "--upload-pack=touch canary",
        "ext::sh -c touch% canary",
        "fd::17",
        "ext::sh",
        "ftp://host/store",
        "javascript://host/store",
        "ssh://-oProxyCommand=canary/store",
        "ssh://ada@-oProxyCommand=canary/store",
        "-oProxyCommand=canary:store",
        "ada@-oProxyCommand=canary:store",
        "ssh:///store",
        ":store",
        "gpu-box:",
        "https:///store",
        "s3://",
        "https://host:port/store",
        "https://host/store?X-Amz-Signature=123",
        "s3://bucket/store#part",
        "/mnt/team\n/store",
        "/mnt/\x1b[31mred",
        "file://elsewhere/mnt/store",
    ],
)
def test_what_could_do_harm_or_is_unknown_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="cannot be a store remote"):
        open_driver(Named(url))


@pytest.mark.parametrize(
    "url", ["https://ada:pa55word@host/store", "https://pa55word@host/store", "s3://key:pa55word@bucket/store"]
)
def test_a_password_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        kind_of(url)

    assert "pa55word" not in str(caught.value)
    assert "password" in caught.value.why


def test_a_password_for_ssh_is_refused_and_a_user_is_not() -> None:
    assert kind_of("ssh://ada@host/store") == "ssh"
    with pytest.raises(UsageError) as caught:
        kind_of("ssh://ada:pa55word@host/store")

    assert "pa55word" not in str(caught.value)


def test_a_folder_is_opened_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/ada")

    assert isinstance(open_driver(Named(str(tmp_path))), DirectoryDriver)
    assert folder_of("file:///mnt/team%20store") == Path("/mnt/team store")
    assert folder_of("store") == tmp_path / "store"
    assert folder_of("~/store") == Path("/home/ada/store")


def test_a_web_server_is_opened_as_one() -> None:
    assert isinstance(open_driver(Named("https://data.example/store")), HttpDriver)
