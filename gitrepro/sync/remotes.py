"""Store remotes: where a team keeps its blobs. A clone follows those that its own Git configuration names.

The policy file may offer others; they are followed once somebody has taken them over. No credential stands in either:
each system has places of its own for them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from .. import policy
from ..errors import ChildFailed, ConfigError, NotFound, UsageError
from ..store import git
from ..store.repository import Repository
from .blobs import opening

SECTION: Final = "gitrepro-remote"
CONFIG: Final = "config"
POLICY: Final = "policy"
OPTIONS: Final[Mapping[str, str]] = {
    "account": "of az",
    "anonymous": "true: ask without credentials",
    "endpoint": "the address of a server of your own",
    "helper": "of ssh: what to run there in place of `gitrepro`, or `none`",
    "profile": "of s3: which one of your AWS configuration",
    "region": "of s3",
}
"""What a remote may be told besides its URL. Nothing of it is a secret."""
_OF_A_PERSON: Final = ("helper", "profile")
"""Nobody else may choose these: the one runs a program over there, the other picks credentials."""

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreRemote:
    """A place where blobs are kept, and who says so: this clone's configuration, or the policy file."""

    name: str
    url: str
    options: Mapping[str, str] = field(default_factory=dict)
    source: str = CONFIG


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A remote that the policy file names.

    Attributes:
        followed: the URL that this clone follows under that name; None where it follows none.
        same: whether this clone follows just what the file says.
    """

    remote: StoreRemote
    followed: str | None
    same: bool


# -- those that are followed


def remotes(repository: Repository) -> list[StoreRemote]:
    """The store remotes that this clone follows, in the order of its configuration.

    Raises:
        UsageError: a URL there is none that is ever used.
    """
    found: dict[str, dict[str, str]] = {}
    for key, value in _settings(repository):
        name, _, option = key.removeprefix(f"{SECTION}.").rpartition(".")
        found.setdefault(name, {})[option] = value
    return [
        StoreRemote(name=name, url=check_url(told["url"], at=_top(repository)), options=_without_url(told))
        for name, told in found.items()
        if told.get("url")
    ]


def find(repository: Repository, name: str) -> StoreRemote:
    """The store remote of that name.

    Raises:
        NotFound: this clone follows none of that name.
    """
    known = remotes(repository)
    for remote in known:
        if remote.name == name:
            return remote
    names = ", ".join(remote.name for remote in known)
    raise NotFound(
        f"there is no store remote {name!r:.80}",
        why=f"there are {names}" if names else "this clone has none",
        do="`gitrepro remote add NAME URL` adds one",
    )


def add(repository: Repository, name: str, url: str, options: Mapping[str, str] | None = None) -> StoreRemote:
    """Follow a store remote from now on; one of that name gives way to it.

    Args:
        url: a folder, `host:path`, or a URL that `blobs.opening` knows. A relative folder is seen from the current one.
        options: those of `OPTIONS`.

    Raises:
        UsageError: the name, the URL or an option is none, or there is a secret in it.
    """
    check_name(name)
    made = StoreRemote(name=name, url=check_url(url, at=Path.cwd()), options=check_options(options or {}))
    _forget(repository, name)
    # The URL last: without one there is no remote yet.
    for option, value in (*sorted(made.options.items()), ("url", made.url)):
        repository.git("config", "--local", f"{SECTION}.{name}.{option}", value)
    return made


def remove(repository: Repository, name: str) -> StoreRemote:
    """Follow a store remote no more. What lies there is left alone.

    Raises:
        NotFound: this clone's own configuration names none of that name.
    """
    gone = find(repository, name)
    if not _forget(repository, name):
        raise NotFound(
            f"the store remote {name} is not of this clone alone",
            why="a configuration of the user or of the system names it",
            do=f"`git config --global --remove-section {SECTION}.{name}`",
        )
    return gone


def _forget(repository: Repository, name: str) -> bool:
    try:
        repository.git("config", "--local", "--remove-section", f"{SECTION}.{name}")
    except ChildFailed:
        return False
    return True


def _settings(repository: Repository) -> list[tuple[str, str]]:
    told = git.config(["-z", "--get-regexp", rf"^{SECTION}\."], cwd=_top(repository), git_dir=repository.git_dir)
    pairs = (entry.partition("\n") for entry in told.decode(errors="surrogateescape").split("\0") if entry)
    return [(key, value) for key, _, value in pairs]


def _without_url(told: Mapping[str, str]) -> dict[str, str]:
    return {option: value for option, value in told.items() if option != "url"}


def _top(repository: Repository) -> Path:
    return repository.work_tree or repository.git_dir


# -- those that the policy file offers


def offered(repository: Repository) -> list[Offer]:
    """The store remotes that the policy file of the work tree names, each beside what this clone follows.

    Raises:
        ConfigError: the file cannot be read, or names what is no remote.
    """
    if repository.work_tree is None:
        return []
    try:
        data = (repository.work_tree / policy.FILE).read_bytes()
    except OSError:
        return []
    if b"remotes" not in data:
        return []
    told = policy.parse(data).store.get("remotes") or {}
    followed = {remote.name: remote for remote in remotes(repository)}
    return [_offer(repository, name, value, followed.get(name)) for name, value in told.items()]


def _offer(repository: Repository, name: str, value: Any, followed: StoreRemote | None) -> Offer:
    told = {"url": value} if isinstance(value, str) else dict(value)
    try:
        check_name(name)
        url = check_url(str(told.get("url", "")), at=_top(repository))
        options = check_options({key: _text(each) for key, each in _without_url(told).items()})
        if own := next((option for option in _OF_A_PERSON if option in options), None):
            raise UsageError(f"the option {own} is for each clone to choose", do=f"`gitrepro remote add {name} ...`")
    except UsageError as error:
        raise ConfigError(f"{policy.FILE}: store.remotes.{name}: {error.what}", why=error.why, do=error.do) from error
    remote = StoreRemote(name=name, url=url, options=options, source=POLICY)
    same = followed is not None and (followed.url, dict(followed.options)) == (url, dict(options))
    return Offer(remote=remote, followed=followed.url if followed else None, same=same)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def adopt(repository: Repository, offer: Offer) -> StoreRemote:
    """Follow what the policy file offers."""
    return add(repository, offer.remote.name, offer.remote.url, offer.remote.options)


# -- what may stand there


def check_name(name: str) -> None:
    """Raises UsageError where `name` cannot name a store remote."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r:.80} cannot name a store remote", why="a name has letters, digits and . _ -", do="as in `team`"
        )


def check_options(options: Mapping[str, str]) -> dict[str, str]:
    """`options`, when a remote may be told them. Raises UsageError."""
    for name, value in options.items():
        if name not in OPTIONS:
            known = policy.one_of(f"{each} ({what})" for each, what in OPTIONS.items())
            raise UsageError(f"a store remote has no option {name!r:.60}", why=policy.nearest(name, OPTIONS), do=known)
        if not value or value.startswith("-") or not value.isprintable():
            raise UsageError(f"{value!r:.80} is nothing for the option {name}")
        if name == "endpoint":
            _check_endpoint(value)
    return dict(options)


def _check_endpoint(value: str) -> None:
    if opening.kind_of(value) != opening.HTTP:
        raise UsageError(f"the endpoint {value!r:.120} is no address", do="write https://HOST or http://HOST:PORT")


def check_url(url: str, *, at: Path) -> str:
    """`url`, when blobs may be kept there; that of a plain folder as an absolute path.

    Args:
        at: where a relative folder is seen from.

    Raises:
        UsageError: it is of an unknown kind, would run a program, or has a secret in it.
    """
    if opening.kind_of(url) != opening.DIRECTORY or url.lower().startswith("file://"):
        return url
    return os.path.normpath(at / Path(url).expanduser())
