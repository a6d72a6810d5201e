"""Keys of age and of SSH: who may open a seal, and who can. The bytes are those of age (age-encryption.org/v1)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

from ...errors import Damaged, NotFound, UsageError, WrongKey

_AGE: Final = re.compile("age1[0-9a-z]{58}")
_AGE_SECRET: Final = re.compile("AGE-SECRET-KEY-1[0-9A-Z]{58}")
_SSH: Final = re.compile("(ssh-ed25519|ssh-rsa) ([A-Za-z0-9+/]+=*)(?: .*)?")
_SSH_OTHER: Final = re.compile("(ecdsa-|sk-|ssh-dss)")
_KEY_BYTES_AT_MOST: Final = 64 << 10
_NOT_OURS: Final = "No matching keys found"
_HOW: Final = "give an age key (`age-keygen`) or an SSH key of type ed25519 or rsa"


@final
@dataclass(frozen=True, slots=True, order=True)
class Recipient:
    """A public key: `age1...`, or `ssh-ed25519 ...` without its comment."""

    text: str

    @property
    def shown(self) -> str:
        """As people know it: an age key as it is, an SSH key by its fingerprint, as `ssh-keygen -l` prints it."""
        kind, _, body = self.text.partition(" ")
        if not body:
            return self.text
        return f"{kind} SHA256:{base64.b64encode(hashlib.sha256(base64.b64decode(body)).digest()).decode().rstrip('=')}"


def recipients(asked: Iterable[str]) -> tuple[Recipient, ...]:
    """The public keys that are meant, each once.

    Args:
        asked: each a key as text, or a file with keys, one a line: `id_ed25519.pub`, `authorized_keys`, age keys.

    Raises:
        NotFound: it is no key, and no file either.
        UsageError: it is a private key, or of a type that age cannot encrypt to; or there is none at all.
    """
    found = dict.fromkeys(key for each in asked for key in _of(each))
    if not found:
        raise UsageError("there is no key to seal to", why="nobody could ever open it", do=_HOW)
    return tuple(sorted(found))


def _of(asked: str) -> Iterator[Recipient]:
    if _AGE.fullmatch(asked.strip()) or _SSH.fullmatch(asked.strip()):
        yield _recipient(asked.strip(), "--to")
        return
    _refuse_private(asked, "what was given")
    path = Path(asked)
    for line in _read(path, "a public key").splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            yield _recipient(line.strip(), asked)


def _recipient(line: str, source: str) -> Recipient:
    _refuse_private(line, source)
    ssh = _SSH.fullmatch(line)
    text = f"{ssh[1]} {ssh[2]}" if ssh else line
    if not (ssh or _AGE.fullmatch(line)):
        why = "age cannot encrypt to keys of this type" if _SSH_OTHER.match(line) else f"it says {line!r:.60}"
        raise UsageError(f"{source} holds no public key that can be sealed to", why=why, do=_HOW)
    try:
        _public(text)
    except load_pyrage().RecipientError as error:
        raise UsageError(f"{source} holds a public key that is not whole", why=str(error)[:200], do=_HOW) from error
    return Recipient(text)


def _public(text: str) -> Any:
    pyrage = load_pyrage()
    return (pyrage.ssh if text.startswith("ssh-") else pyrage.x25519).Recipient.from_str(text)


def _refuse_private(text: str, source: str) -> None:
    if "PRIVATE KEY" in text or "AGE-SECRET-KEY-" in text:
        raise UsageError(
            f"{source} is a private key", why="a seal is made with public keys", do="give the .pub file beside it"
        )


# -- identities


def identities(files: Sequence[Path], *, text: str | None = None) -> list[Any]:
    """The private keys in files, and in `text`, as pyrage has them. They stay in memory.

    Raises:
        NotFound: a file is not there.
        UsageError: one holds no private key, or one that a passphrase locks.
    """
    found = [key for path in files for key in _identities(_read(path, "a private key"), str(path))]
    return [*found, *(_identities(text, "the environment") if text else [])]


def _identities(text: str, source: str) -> list[Any]:
    pyrage = load_pyrage()
    try:
        if "PRIVATE KEY-----" in text:
            return [pyrage.ssh.Identity.from_buffer(text.encode())]
        found = [pyrage.x25519.Identity.from_str(each) for each in _AGE_SECRET.findall(text)]
    except pyrage.IdentityError as error:
        raise _unusable(source, str(error)) from error
    if not found:
        raise _unusable(source, _why_none(text))
    return found


def _why_none(text: str) -> str:
    if text.startswith("age-encryption.org"):
        return "it is encrypted with a passphrase"
    if _SSH.match(text) or _SSH_OTHER.match(text) or _AGE.search(text):
        return "it is a public key"
    return "it holds neither AGE-SECRET-KEY-1... nor an SSH key"


def _unusable(source: str, why: str) -> UsageError:
    locked = "decrypted first" in why or "passphrase" in why
    return UsageError(
        f"{source} holds no private key that can be used",
        why="a passphrase locks it" if locked else why,
        do="give an age key (`age-keygen -o key.txt`), or a copy of the SSH key that `ssh-keygen -p` took the "
        "passphrase off"
        if locked
        else "give the private key of one of the recipients",
    )


def _read(path: Path, what: str) -> str:
    try:
        # Not to wait for a writer, should a pipe stand there.
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as reader:
            data = reader.read(_KEY_BYTES_AT_MOST + 1) or b""
    except FileNotFoundError:
        raise NotFound(f"there is no file {str(path)!r:.200}", why=f"it is no {what[2:]} either", do=_HOW) from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{str(path)!r:.200} cannot be read", why=str(error)) from error
    if len(data) > _KEY_BYTES_AT_MOST:
        raise UsageError(f"{path} is not {what}", why=f"it has more than {_KEY_BYTES_AT_MOST:,} bytes", do=_HOW)
    return data.decode("utf-8", "replace")


# -- both


def encrypt(data: bytes, to: Sequence[Recipient]) -> bytes:
    """`data` for these recipients; each can open it alone. Never the same bytes twice."""
    sealed: bytes = load_pyrage().encrypt(data, [_public(each.text) for each in to])
    return sealed


def decrypt(data: bytes, keys: Sequence[Any], *, to: Sequence[Recipient], source: str) -> bytes:
    """What was encrypted.

    Args:
        to: who can open it, for the message.

    Raises:
        WrongKey: none of the keys opens it.
        Damaged: it is not what was encrypted.
    """
    pyrage = load_pyrage()
    with _told(pyrage, to, source):
        if not keys:
            raise pyrage.DecryptError(_NOT_OURS)
        opened: bytes = pyrage.decrypt(data, list(keys))
    return opened


@contextmanager
def _told(pyrage: Any, to: Sequence[Recipient], source: str) -> Iterator[None]:
    try:
        yield
    except pyrage.DecryptError as error:
        if str(error) == _NOT_OURS:
            raise wrong_key(to, source) from error
        raise Damaged(
            f"{source} is damaged, or was changed",
            why=f"age says: {error}",
            do="fetch the blob from a clone that has it whole",
        ) from error


def wrong_key(to: Sequence[Recipient], source: str) -> WrongKey:
    """The error of who has none of the keys."""
    return WrongKey(
        f"no key here opens {source}",
        why=f"it is sealed to {', '.join(each.shown for each in to)}",
        do="give the private key of one of these with --identity FILE; if all of them are lost, `gitrepro holdout seal "
        "--anew` from where the labels are kept",
    )


def recorded(texts: object, *, source: str) -> tuple[Recipient, ...]:
    """The recipients that an entry of the log names.

    Raises:
        Damaged: they are no public keys.
    """
    try:
        found = [Recipient(str(each)) for each in texts] if isinstance(texts, list) else []
        if not found or any(not each.shown for each in found):
            raise ValueError("there are none")
        return tuple(found)
    except (ValueError, binascii.Error) as error:
        raise Damaged(f"{source} names no recipients", why=str(error)[:200]) from error


def load_pyrage() -> Any:
    """The library of age.

    Raises:
        UsageError: it is not installed.
    """
    try:
        import pyrage
    except ImportError as error:
        raise UsageError(
            "a test set is sealed with pyrage, which is not installed",
            why=str(error),
            do="pip install 'gitrepro[holdout]'",
        ) from error
    return pyrage
