"""A store remote in a bucket: S3 and what speaks like it, Google Cloud Storage, Azure Blob Storage.

A bucket shows an object whole or not at all, so a write needs no name of its own. Nothing here relies on conditional
requests: some servers take them and do not keep to them.
"""

from __future__ import annotations

import importlib.util
import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, final
from urllib.parse import urlsplit

from ....errors import GitreproError, RemoteError, UsageError
from ..driver import PIECE_BYTES, KeyMissing, Listed, checked_key, checked_prefix, counted
from .aws import aws_settings

if TYPE_CHECKING:
    from obstore.store import AzureStore, GCSStore, S3Store

    Store = AzureStore | GCSStore | S3Store

_PARALLEL: Final = 8
_BIG_BYTES: Final = 8 << 20
_BIG_AT_ONCE: Final = 3
_PUT_BYTES: Final = 128 << 20  # in one request; above it in several, of which a bucket shows nothing before the last
_STREAMED_BYTES: Final = 1 << 20  # each part costs a way from the library's threads to ours
_PAGE: Final = 1000
_OPTIONS: Final = {
    "s3": {"endpoint", "region", "anonymous", "profile"},
    "gs": {"endpoint", "anonymous"},
    "az": {"endpoint", "account", "anonymous"},
}
_YES: Final = {"1", "true", "yes", "on", ""}
# What stands in the way for a while is asked again by the library. Its time is counted from the begin of a request, and
# a slow line needs minutes for a piece; a place that cannot be reached at all is given up after about 40 seconds.
_RETRIES: Final = {"max_retries": 4, "retry_timeout": timedelta(minutes=4)}
_WAITS: Final = {"connect_timeout": timedelta(seconds=8), "timeout": timedelta(minutes=15)}
# The two hosts are asked for credentials, on the clouds' own machines, where nothing else names any.
_NO_CREDENTIALS: Final = (
    "status code: 401", "status code: 403", "169.254.169.254", "metadata.google", "credential", "Credential",
)  # fmt: skip
_CREDENTIALS: Final = {
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; of a single sign-on: "
    '`eval "$(aws configure export-credentials --format env)"`',
    "gs": "run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS to a key file",
    "az": "set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY, or AZURE_STORAGE_USE_AZURE_CLI=true",
}


def open_url(url: str, options: Mapping[str, str]) -> CloudDriver:
    """The driver for `s3://bucket/prefix`, `gs://bucket/prefix` or `az://container/prefix`; nothing is asked yet.

    Args:
        options: `endpoint`, a URL, for a server of one's own; `region` and `profile` for s3; `account` for az;
            `anonymous`, `true` to sign nothing. All else is found where each system's own programs look.

    Raises:
        UsageError: the URL or an option is none; or the library for clouds is not installed.
    """
    parts = urlsplit(url)
    kind = parts.scheme.lower()
    unknown = sorted(set(options) - _OPTIONS[kind] - {"url"})
    if unknown:
        raise UsageError(
            f"a store remote at {kind}:// has no option {unknown[0]!r:.80}",
            why=f"it has {', '.join(sorted(_OPTIONS[kind]))}",
            do="`gitrepro remote add --help`",
        )
    if importlib.util.find_spec("obstore") is None:
        raise UsageError(
            f"{kind}:// needs a library that is not installed", why="obstore", do="pip install 'gitrepro[cloud]'"
        )
    try:
        return CloudDriver(url, kind, _store(kind, parts.netloc, parts.path.strip("/"), options))
    except GitreproError:
        raise
    except Exception as error:
        raise UsageError(
            f"{url!r:.200} cannot be opened", why=_words(error), do="`gitrepro remote ls` shows its options"
        ) from error


def _store(kind: str, bucket: str, prefix: str, options: Mapping[str, str]) -> Store:
    from obstore.store import AzureStore, GCSStore, S3Store

    settings: dict[str, Any] = {}
    if kind == "s3":
        settings = aws_settings(options)
    if endpoint := options.get("endpoint"):
        settings["base_url" if kind == "gs" else "endpoint"] = endpoint
    if account := options.get("account"):
        settings["account_name"] = account
    if "anonymous" in options and options["anonymous"].lower() in _YES:
        settings["skip_signature"] = True
    is_plain = str(settings.get("endpoint", settings.get("base_url", ""))).startswith("http://")
    kinds: dict[str, Any] = {"s3": S3Store, "gs": GCSStore, "az": AzureStore}
    store: Store = kinds[kind](
        bucket,
        prefix=prefix or None,
        config=settings,
        client_options={**_WAITS, "allow_http": is_plain},
        retry_config=_RETRIES,
    )
    return store


@final
class CloudDriver:
    """Keeps each key as an object below the prefix of the URL."""

    def __init__(self, url: str, kind: str, store: Store) -> None:
        self.url = url
        self.read_only = False
        self.parallel = _PARALLEL
        self._kind = kind
        self._store = store
        self._knows_ranges = True
        # A body is held in memory, so that the library can send it again; not too many big ones at once.
        self._big = threading.BoundedSemaphore(_BIG_AT_ONCE)

    def read(self, key: str, *, start: int = 0, length: int | None = None) -> Iterator[memoryview]:
        checked_key(key)
        if start == 0 and length is None:
            yield from self._whole(key)
        elif length == 0:
            self._ask_size(key)
        elif self._knows_ranges:
            yield from self._range(key, start, length)
        else:
            yield from _cut(self._whole(key), start, length)

    def _whole(self, key: str) -> Iterator[memoryview]:
        import obstore

        with self._explained(f"cannot read {key}", key=key):
            for part in obstore.get(self._store, key).stream(min_chunk_size=_STREAMED_BYTES):
                yield from _pieces(part)

    def _range(self, key: str, start: int, length: int | None) -> Iterator[memoryview]:
        import obstore
        from obstore.exceptions import BaseError

        wanted: Any = {"offset": start} if length is None else (start, start + length)
        with self._explained(f"cannot read {key}", key=key):
            try:
                found = obstore.get(self._store, key, options={"range": wanted})
            except BaseError as error:
                yield from self._without_range(error, key, start, length)
                return
            for part in found.stream(min_chunk_size=_STREAMED_BYTES):
                yield from _pieces(part)

    def _without_range(self, error: Exception, key: str, start: int, length: int | None) -> Iterator[memoryview]:
        """What a range is where it was not given: nothing beyond the end, or cut out of the whole here."""
        if "status code: 416" in str(error):
            self._ask_size(key)
        elif "non-partial" in str(error).lower():
            self._knows_ranges = False
            yield from _cut(self._whole(key), start, length)
        else:
            raise error

    def size(self, key: str) -> int | None:
        try:
            return self._ask_size(checked_key(key))
        except KeyMissing:
            return None

    def _ask_size(self, key: str) -> int:
        import obstore

        with self._explained(f"cannot read {key}", key=key):
            return obstore.head(self._store, key)["size"]

    def write(self, key: str, parts: Iterable[bytes | memoryview], size_bytes: int) -> None:
        import obstore

        checked_key(key)
        with self._big if size_bytes > _BIG_BYTES else nullcontext():
            body = _body(counted(parts, size_bytes, key=key), size_bytes)
            with self._explained(f"cannot write {key}"):
                obstore.put(self._store, key, body, use_multipart=size_bytes > _PUT_BYTES)

    def list(self, prefix: str) -> Iterator[Listed]:
        import obstore

        with self._explained("cannot list what is"):
            for page in obstore.list(self._store, checked_prefix(prefix).rstrip("/") or None, chunk_size=_PAGE):
                for each in page:
                    if _is_key(each["path"]):
                        yield Listed(each["path"], each["size"], each["last_modified"].timestamp())

    def delete(self, keys: Iterable[str]) -> None:
        import obstore

        waiting = [checked_key(key) for key in keys]
        for at in range(0, len(waiting), _PAGE):
            page = list(dict.fromkeys(waiting[at : at + _PAGE]))
            try:
                with self._explained("cannot delete", key=page[0]):
                    obstore.delete(self._store, page)
            except KeyMissing:
                self._delete_each(page)

    def _delete_each(self, keys: Iterable[str]) -> None:
        """One by one: this cloud stops at the first that is not there."""
        import obstore

        for key in keys:
            try:
                with self._explained(f"cannot delete {key}", key=key):
                    obstore.delete(self._store, key)
            except KeyMissing:
                continue

    def close(self) -> None:
        """The library keeps its connections for whoever comes next, and closes them when they are old."""

    @contextmanager
    def _explained(self, what: str, *, key: str | None = None) -> Iterator[None]:
        """Turn the library's errors into ours: KeyMissing where there is no such key, else RemoteError."""
        from obstore.exceptions import BaseError

        try:
            yield
        except GitreproError:
            raise
        except (BaseError, OSError) as error:
            why = _words(error)
            if key is not None and isinstance(error, FileNotFoundError) and "NoSuchBucket" not in why:
                raise KeyMissing(key) from None
            raise RemoteError(
                f"{what} in the store remote {self.url}", why=why, do=self._repair(why, str(error))
            ) from error

    def _repair(self, why: str, all_words: str) -> str:
        if any(sign in all_words for sign in _NO_CREDENTIALS):
            return _CREDENTIALS[self._kind]
        if "NoSuchBucket" in why or "ContainerNotFound" in why:
            return "make the bucket first, or correct the URL: `gitrepro remote ls` shows it"
        if "error sending request" in why:
            return "check the network and the endpoint (`gitrepro remote ls`), then run the command again"
        return "run the command again"


def _body(parts: Iterable[bytes | memoryview], size_bytes: int) -> bytes | memoryview:
    """All parts in one; where it is one already, that one, uncopied."""
    body = bytearray()
    whole: bytes | memoryview = b""
    for part in parts:
        if len(part) == size_bytes:
            whole = part
        else:
            body += part
    return whole or memoryview(body)


def _pieces(part: Any) -> Iterator[memoryview]:
    view = memoryview(part)
    for at in range(0, len(view), PIECE_BYTES):
        yield view[at : at + PIECE_BYTES]


def _cut(parts: Iterator[memoryview], start: int, length: int | None) -> Iterator[memoryview]:
    """A range out of the whole."""
    left = length
    for part in parts:
        kept = part[start : None if left is None else start + left]
        start = max(0, start - len(part))
        if kept:
            yield kept
        if left is not None:
            left -= len(kept)
            if not left:
                return


def _words(error: Exception) -> str:
    """What the library says, without its inner life and without what follows a `?` in a URL: it may be a key."""
    said = str(error).partition("\n\nDebug source")[0]
    code, message = (re.search(rf"<{tag}>(.*?)</{tag}>", said, re.DOTALL) for tag in ("Code", "Message"))
    before = said.partition("<?xml")[0].partition("<Error>")[0]
    told = [
        before.strip(" :\n"),
        *(found[1].removeprefix("<![CDATA[").removesuffix("]]>") for found in (code, message) if found),
    ]
    return re.sub(r"(https?://[^\s?]*)\?\S*", r"\1?…", " ".join(": ".join(told).split()))[:600]


def _is_key(path: str) -> bool:
    try:
        return bool(checked_key(path))
    except UsageError:
        return False
