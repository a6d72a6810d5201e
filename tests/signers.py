"""Real keys to sign with: of ssh-keygen, and of gpg in a home of its own."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

import pytest


@dataclass(frozen=True)
class Person:
    """Somebody with an SSH key, and the line by which a list names it."""

    email: str
    key: Path

    @property
    def public(self) -> str:
        return self.key.with_suffix(".pub").read_text().strip()

    def line(self, options: str = "") -> str:
        return f"{self.email} {options}{options and ' '}{self.public}\n"

    @property
    def fingerprint(self) -> str:
        return _run("ssh-keygen", "-l", "-f", str(self.key)).split()[1]


def person(folder: Path, email: str, *, passphrase: str = "") -> Person:
    if shutil.which("ssh-keygen") is None:
        pytest.skip("ssh-keygen is not installed")
    key = folder / email.partition("@")[0]
    _run("ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", email, "-f", str(key))
    return Person(email, key)


def let_git_sign(key: str | Path, *, kind: str = "ssh", on: bool = True) -> None:
    """Set in the user's own configuration what Git signs with, and that gitrepro signs."""
    for name, value in (("gpg.format", kind), ("user.signingKey", str(key)), ("gitrepro.sign", str(on).lower())):
        _run("git", "config", "--global", name, value)


@contextmanager
def gpg_home() -> Iterator[Path]:
    """A new GNUPGHOME; its path is short, since that of an agent's socket has to be."""
    if shutil.which("gpg") is None:
        pytest.skip("gpg is not installed")
    home = Path(mkdtemp(prefix="g"))
    try:
        yield home
    finally:
        subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], capture_output=True)
        shutil.rmtree(home, ignore_errors=True)


def gpg_key(name: str, *, passphrase: str = "") -> str:
    """Make a key in the GNUPGHOME of the environment; its fingerprint."""
    make = ["--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", passphrase]
    _run("gpg", *make, "--quick-gen-key", name, "ed25519", "sign", "never")
    listed = _run("gpg", "--batch", "--with-colons", "--list-keys", name)
    return next(line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr:"))


def _run(*args: str) -> str:
    done = subprocess.run(args, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    return done.stdout
