"""From the URL of a store remote to its driver."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import SplitResult, unquote, urlsplit

from ...errors import UsageError
from .driver import Driver

DIRECTORY: Final = "directory"
SSH: Final = "ssh"
CLOUD: Final = "cloud"
HTTP: Final = "http"
_KINDS: Final = {
    "file": DIRECTORY,
    "ssh": SSH,
    "s3": CLOUD,
    "gs": CLOUD,
    "az": CLOUD,
    "http": HTTP,
    "https": HTTP,
}
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_HELPER: Final = re.compile(r"[A-Za-z0-9+.-]+::")
_FORMS: Final = "a folder, file://, ssh://HOST/PATH, HOST:PATH, s3://, gs://, az://, or http(s):// to read only"


class Remote(Protocol):
    """What is asked of a store remote to open it."""

    @property
    def name(self) -> str: ...
    @property
    def url(self) -> str: ...
    @property
    def options(self) -> Mapping[str, str]: ...


def open_driver(remote: Remote) -> Driver:
    """The driver of a store remote; nothing is asked of the place yet.

    Raises:
        UsageError: the URL is none that gitrepro knows, or one that could do harm.
    """
    kind = kind_of(remote.url)
    if kind == DIRECTORY:
        from .drivers.directory import DirectoryDriver

        return DirectoryDriver(folder_of(remote.url))
    if kind == HTTP:
        from .drivers.http import HttpDriver

        return HttpDriver(remote.url)
    if kind == SSH:
        from .drivers.ssh import open_url as open_ssh

        return open_ssh(remote.url, remote.options)
    from .drivers.cloud import open_url as open_cloud

    return open_cloud(remote.url, remote.options)


def kind_of(url: str) -> str:
    """`directory`, `ssh`, `cloud` or `http`, for a URL that may be used and kept.

    Raises:
        UsageError: it is of an unknown form, looks like an option, or holds a password.
    """
    if not url or url.startswith("-") or not url.isprintable():
        raise _refused(url, "it looks like an option, or has no letters one can see")
    if _HELPER.match(url):
        raise _refused(url, "it names a program to run, not a place")
    scheme = _SCHEME.match(url)
    if scheme is None:
        return _kind_of_plain(url)
    kind = _KINDS.get(scheme[1].lower())
    if kind is None:
        raise _refused(url, f"{scheme[1]}:// is not known here")
    _check_parts(url, kind)
    return kind


def folder_of(url: str) -> Path:
    """The folder that a URL of the kind `directory` means; a relative one is seen from here.

    Raises:
        UsageError: it names another machine.
    """
    if not url.lower().startswith("file://"):
        return Path(os.path.abspath(os.path.expanduser(url)))  # noqa: PTH100, PTH111 - a Path would lose `a/..`
    parts = urlsplit(url)
    if parts.netloc not in ("", "localhost"):
        raise _refused(url, f"file:// names a folder of this machine, and {parts.netloc!r} is another")
    return Path(unquote(parts.path))


def _kind_of_plain(url: str) -> str:
    host, colon, path = url.partition(":")
    if not colon or "/" in host:
        return DIRECTORY
    if not host or not path or host.rpartition("@")[2].startswith("-"):
        raise _refused(url, "before the colon stands no name of a machine, or nothing stands behind it")
    return SSH


def _check_parts(url: str, kind: str) -> None:
    parts = _split(url)
    if "?" in url or ("#" in url and kind != DIRECTORY):
        raise _refused(url, "it has a `?` or `#`: such parts hold keys of access, and are kept nowhere")
    if parts.password is not None or (parts.username is not None and kind != SSH):
        raise _refused(
            _without_secret(url),
            "it holds a password or a key, which would be kept and shown",
            "leave it out: ssh asks its agent, and clouds have their own files and variables",
        )
    if kind != DIRECTORY and (not parts.hostname or parts.netloc.rpartition("@")[2].startswith("-")):
        raise _refused(url, "it names no host, or one that looks like an option")


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise _refused(_without_secret(url), str(error)) from None
    return parts


def _without_secret(url: str) -> str:
    return re.sub(r"//[^/]*@", "//…@", url)


def _refused(url: str, why: str, do: str = f"give {_FORMS}") -> UsageError:
    return UsageError(f"{url!r:.200} cannot be a store remote", why=why, do=do)
