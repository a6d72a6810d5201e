"""`gitrepro remote`: the places where a team keeps its blobs."""

from __future__ import annotations

from typing import Any, Final

import click

from ..errors import ConfigError, NotFound
from ..store.repository import Repository
from ..sync.remotes import POLICY, Offer, StoreRemote, adopt, find, offered, remotes
from ..sync.remotes import add as follow
from ..sync.remotes import remove as leave
from ..sync.travel import forget
from . import here
from .present import clean, emit, line, note, table
from .remotegc import gc
from .remoterepair import repair

SCHEMA: Final = 1
_EPILOG = """\b
  gitrepro remote add team /mnt/team/gitrepro            a folder, as on NFS
  gitrepro remote add box ada@box.example.org:gitrepro   by ssh
  gitrepro remote add cloud s3://bucket/gitrepro --region eu-central-1
  gitrepro remote add team                               as .gitrepro.yaml names it
\b
Runs travel by Git, to the remotes that `git remote` names; these here hold
data, checkpoints and outputs. No password or key goes into a URL: ssh asks its
agent, and S3, GCS and Azure have their own files and variables.
\b
  gitrepro remote gc team                  what nobody needs: listed now, deleted by a later one
  gitrepro remote repair team @last        wrong bytes written over with right ones
"""


@click.group(epilog=_EPILOG)
def remote() -> None:
    """Name the places where data, checkpoints and outputs are kept for the team."""


remote.add_command(gc)
remote.add_command(repair)


@remote.command("add")
@click.argument("name")
@click.argument("url", required=False)
@click.option("--endpoint", metavar="URL", help="s3, gs, az: the address of a server of your own.")
@click.option("--region", help="s3: the region of the bucket.")
@click.option("--profile", help="s3: which profile of your AWS configuration.")
@click.option("--account", help="az: the storage account.")
@click.option("--anonymous", is_flag=True, help="Ask without credentials.")
@click.option("--helper", metavar="COMMAND", help="ssh: what to run there in place of `gitrepro`, or `none`.")
@click.option("--json", "as_json", is_flag=True, help="Print what was added as JSON.")
def add(
    name: str,
    url: str | None,
    endpoint: str | None,
    region: str | None,
    profile: str | None,
    account: str | None,
    anonymous: bool,
    helper: str | None,
    as_json: bool,
) -> None:
    """Follow the store remote NAME at URL; without URL as the policy file `.gitrepro.yaml` names it.

    URL is a folder, HOST:PATH or ssh://HOST/PATH, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX, or
    http(s):// to read only. It is kept in this clone's Git configuration. Nothing is asked of it yet: the first push
    makes it a store remote.
    """
    found = here.repository()
    told = {
        "endpoint": endpoint,
        "region": region,
        "profile": profile,
        "account": account,
        "anonymous": "true" if anonymous else None,
        "helper": helper,
    }
    options = {option: value for option, value in told.items() if value}
    made = adopt(found, _offer(found, name)) if url is None else follow(found, name, url, options)
    forget(found, made)
    if as_json:
        emit({"schema": SCHEMA, **_document(made)})
        return
    line(f"{made.name}\t{clean(made.url)}")
    note("next: `gitrepro push` sends runs, and what they need there")


def _offer(found: Repository, name: str) -> Offer:
    offers = offered(found)
    for offer in offers:
        if offer.remote.name == name:
            return offer
    names = ", ".join(offer.remote.name for offer in offers)
    raise NotFound(
        f".gitrepro.yaml names no store remote {name!r:.80}",
        why=f"it names {names}" if names else "",
        do=f"`gitrepro remote add {name} URL`",
    )


@remote.command("ls")
@click.option("--json", "as_json", is_flag=True, help="Print them as JSON.")
def ls(as_json: bool) -> None:
    """List the store remotes that this clone follows, and those that `.gitrepro.yaml` offers."""
    found = here.repository()
    known = remotes(found)
    offers = _offers(found)
    new = [offer.remote for offer in offers if offer.followed is None]
    if as_json:
        emit([{"schema": SCHEMA, **_document(each)} for each in (*known, *new)])
    else:
        table([_row(each) for each in (*known, *new)], ("name", "url", "options", "is"), elastic=1)
    for text in changes(offers):
        note(text)
    if not known and not new:
        note("no store remote; `gitrepro remote add NAME URL` names one")


def _offers(found: Repository) -> list[Offer]:
    try:
        return offered(found)
    except ConfigError as error:
        note(f"the policy file is not read: {clean(error)}")
        return []


def changes(offers: list[Offer]) -> list[str]:
    """What is said of remotes that the policy file names, and that this clone does not follow, or not there."""
    said = []
    for offer in offers:
        name, url = offer.remote.name, clean(offer.remote.url)
        if offer.followed is None:
            said.append(f".gitrepro.yaml offers {name} at {url}; `gitrepro remote add {name}` follows it")
        elif not offer.same:
            said.append(
                f".gitrepro.yaml has {name} at {url} now, this clone at {clean(offer.followed)}; "
                f"`gitrepro remote add {name}` takes over the new one"
            )
    return said


def follow_offered(found: Repository) -> list[StoreRemote]:
    """Follow the store remotes that the policy file offers under new names; say so, and what has changed."""
    offers = _offers(found)
    new = [adopt(found, offer) for offer in offers if offer.followed is None]
    for made in new:
        note(f"store remote {made.name}: {clean(made.url)}, as .gitrepro.yaml says; data and checkpoints go there")
    for text in changes([offer for offer in offers if offer.followed is not None]):
        note(text)
    return new


def _row(each: StoreRemote) -> tuple[object, ...]:
    options = ", ".join(f"{name}={value}" for name, value in sorted(each.options.items()))
    return (each.name, each.url, options, "offered" if each.source == POLICY else "followed")


def _document(each: StoreRemote) -> dict[str, Any]:
    return {
        "name": each.name,
        "url": each.url,
        "options": dict(each.options),
        "followed": each.source != POLICY,
    }


@remote.command("rm")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print what was left as JSON.")
def rm(name: str, as_json: bool) -> None:
    """Follow the store remote NAME no more. What lies there is left alone."""
    found = here.repository()
    gone = leave(found, find(found, name).name)
    if as_json:
        emit({"schema": SCHEMA, **_document(gone)})
        return
    line(f"{gone.name}\t{clean(gone.url)}")
    note("what lies there is left alone")
