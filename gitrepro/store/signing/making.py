"""Make a signature, with the key and the program that Git would use."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final

from ...errors import ChildFailed, UsageError
from ..fold import Identity
from ..repository import Repository
from . import programs
from .programs import Settings
from .text import OPENPGP, SSH

UNATTENDED_SECONDS: Final = 10.0
ASKING_SECONDS: Final = 120.0
_LITERAL: Final = ("key::", "ssh-", "ecdsa-", "sk-")


def sign(repository: Repository, payload: bytes, *, identity: Identity, prompts: bool = False) -> bytes:
    """The armoured signature of `payload`, by the user's own key.

    Args:
        identity: whose OpenPGP key it is where `user.signingKey` names none.
        prompts: somebody is there to be asked for a passphrase.

    Raises:
        UsageError: no key is named, or there is no program.
        ChildFailed: the program does not sign, or does not answer in time.
    """
    settings = programs.read(repository)
    if settings.kind == SSH:
        return _by_ssh(repository, settings, payload, prompts=prompts)
    if settings.kind == OPENPGP:
        return _by_gpg(settings, payload, identity, prompts=prompts)
    raise UsageError(
        f"gpg.format is {settings.kind!r:.40}",
        why="gitrepro signs with ssh and openpgp",
        do="`git config gpg.format ssh`",
    )


def _seconds(*, prompts: bool) -> float:
    return ASKING_SECONDS if prompts else UNATTENDED_SECONDS


def _by_ssh(repository: Repository, settings: Settings, payload: bytes, *, prompts: bool) -> bytes:
    key = settings.values.get("user.signingkey", "")
    if not key:
        raise UsageError(
            "there is no key to sign with",
            why="user.signingKey is not set",
            do="`git config --global user.signingKey ~/.ssh/id_ed25519.pub`",
        )
    if not key.startswith(_LITERAL):
        path = (repository.work_tree or repository.git_dir) / Path(os.path.expanduser(key))
        return _ssh_signature(settings, ["-f", str(path)], payload, prompts=prompts)
    with NamedTemporaryFile(prefix="gitrepro-", suffix=".pub") as named:
        named.write(key.removeprefix("key::").encode() + b"\n")
        named.flush()
        return _ssh_signature(settings, ["-f", named.name, "-U"], payload, prompts=prompts)


def _ssh_signature(settings: Settings, key: list[str], payload: bytes, *, prompts: bool) -> bytes:
    argv = [settings.program(SSH), "-Y", "sign", "-n", "git", *key]
    done = programs.ask(argv, said=payload, timeout_seconds=_seconds(prompts=prompts), prompts=prompts)
    return _taken(done, b"-----BEGIN SSH SIGNATURE-----", "ssh-keygen did not sign", "`ssh-add` the key")


def _by_gpg(settings: Settings, payload: bytes, identity: Identity, *, prompts: bool) -> bytes:
    key = settings.values.get("user.signingkey") or f"{identity.name} <{identity.email}>"
    quiet = [] if prompts else ["--batch", "--no-tty", "--pinentry-mode", "error"]
    argv = [settings.program(OPENPGP), *quiet, "-bsa", "-u", key]
    done = programs.ask(argv, said=payload, timeout_seconds=_seconds(prompts=prompts), prompts=prompts)
    return _taken(done, b"-----BEGIN PGP SIGNATURE-----", "gpg did not sign", "unlock the key, as `gpg -s` does")


def _taken(done: programs.Answer, begins: bytes, what: str, do: str) -> bytes:
    if done.code or not done.out.startswith(begins):
        raise ChildFailed(what, why=done.last_words, do=f"{do}, then try again")
    return done.out
