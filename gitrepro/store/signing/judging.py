"""Judge a signature: whose it is, by a list of those who may sign."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, final

from ...errors import ChildFailed, UsageError
from . import programs
from .programs import Settings
from .text import OPENPGP, SSH, Parted

SIGNED: Final = "signed"
UNSIGNED: Final = "unsigned"
FOREIGN: Final = "not-allowed"
BAD: Final = "bad"
_SECONDS: Final = 60.0
_LIST_BYTES_AT_MOST: Final = 4 << 20
_KEY: Final = re.compile(r"with (\S+ key \S+)")
_FINGERPRINT: Final = re.compile(r"[0-9A-F]{40}|[0-9A-F]{64}")
_NOT_NOW: Final = re.compile(r"key (has expired|is not yet valid)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What there is to say of one signature.

    Attributes:
        state: `signed`, `unsigned`, `not-allowed` or `bad`.
        signer: the name that the list gives to the key; empty unless signed.
        key: the fingerprint of the key, as far as one was seen.
        why: the reason of any other state than signed.
    """

    state: str
    signer: str = ""
    key: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signers:
    """Who may sign: lines for `ssh-keygen`, and OpenPGP fingerprints with the names of their owners."""

    ssh: bytes = b""
    openpgp: dict[str, str] | None = None


def load_signers(path: Path) -> Signers:
    """Read a list of those who may sign: the allowed-signers file of ssh-keygen, and lines `NAME openpgp FINGERPRINT`.

    Raises:
        UsageError: it cannot be read, or a fingerprint in it is not whole.
    """
    if path.exists() and not path.is_file():
        raise UsageError(f"the list of signers {path} is no file", do="`--signers FILE`")
    try:
        with open(path, "rb") as reader:
            data = reader.read(_LIST_BYTES_AT_MOST)
    except OSError as error:
        raise UsageError(f"cannot read the list of signers {path}", why=error.strerror or str(error)) from error
    ssh: list[bytes] = []
    openpgp: dict[str, str] = {}
    for line in data.splitlines():
        words = line.decode(errors="replace").split()
        if len(words) < 3 or words[1] != OPENPGP or words[0].startswith("#"):
            ssh.append(line)
            continue
        fingerprint = "".join(words[2:]).upper()
        if not _FINGERPRINT.fullmatch(fingerprint):
            raise UsageError(f"{path} names no whole fingerprint for {words[0]!r:.80}", do="`gpg --fingerprint NAME`")
        openpgp[fingerprint] = words[0]
    return Signers(ssh=b"\n".join(ssh) + b"\n", openpgp=openpgp)


@final
class Judge:
    """Judges signatures by one list; each signature is looked at once."""

    def __init__(self, settings: Settings, signers: Signers) -> None:
        self._settings = settings
        self._signers = signers
        self._known: dict[tuple[bytes, bytes | None], Verdict] = {}

    def judge(self, parted: Parted) -> Verdict:
        """The verdict on what a commit or a tag carries. What cannot be judged is never `signed`."""
        known = (parted.payload, parted.signature)
        if known not in self._known:
            self._known[known] = self._judged(parted)
        return self._known[known]

    def _judged(self, parted: Parted) -> Verdict:
        if parted.signature is None:
            return Verdict(state=UNSIGNED, why="it carries no signature")
        if parted.fault:
            return Verdict(state=BAD, why=parted.fault)
        if parted.seconds is None:
            return Verdict(state=BAD, why="it does not say when it was made")
        try:
            if parted.kind == SSH:
                return self._by_ssh(parted)
            if parted.kind == OPENPGP:
                return self._by_gpg(parted)
        except (UsageError, ChildFailed) as error:
            return Verdict(state=FOREIGN, why=f"it could not be verified: {error.what}")
        return Verdict(state=BAD, why="its signature is of a kind that gitrepro does not know")

    # -- ssh

    def _by_ssh(self, parted: Parted) -> Verdict:
        with TemporaryDirectory(prefix="gitrepro-") as folder:
            signature, signers = Path(folder) / "signature", Path(folder) / "signers"
            signature.write_bytes(parted.signature or b"")
            signers.write_bytes(self._signers.ssh)
            # In local time, as `git verify-commit` says it.
            date = time.strftime("%Y%m%d%H%M%S", time.localtime(parted.seconds or 0))
            when = [f"-Overify-time={date}", "-s", str(signature)]
            listed = self._ssh("find-principals", "-f", str(signers), *when, said=b"")
            names = listed.out.decode(errors="replace").splitlines() if listed.code == 0 else []
            for name in filter(None, (name.strip() for name in names)):
                asked = ["verify", "-n", "git", "-I", name, "-f", str(signers), *when]
                if (done := self._ssh(*asked, said=parted.payload)).code == 0:
                    return Verdict(state=SIGNED, signer=name, key=_key(done))
            anyone = self._ssh("check-novalidate", "-n", "git", "-s", str(signature), said=parted.payload)
        if anyone.code:
            return Verdict(state=BAD, why="it was not made over these bytes")
        late = _NOT_NOW.search(listed.err.decode(errors="replace"))
        why = f"by the list the {late[0]}" if late else "the list does not name its key for this"
        return Verdict(state=FOREIGN, key=_key(anyone), why=why)

    def _ssh(self, *args: str, said: bytes) -> programs.Answer:
        argv = [self._settings.program(SSH), "-Y", *args]
        return programs.ask(argv, said=said, timeout_seconds=_SECONDS)

    # -- OpenPGP

    def _by_gpg(self, parted: Parted) -> Verdict:
        with TemporaryDirectory(prefix="gitrepro-") as folder:
            signature = Path(folder) / "signature"
            signature.write_bytes(parted.signature or b"")
            # Nothing is fetched, whatever the user's own settings: who sends a signature must not make us call anybody.
            quiet = ["--batch", "--no-tty", "--no-auto-key-retrieve", "--status-fd", "1", "--verify"]
            argv = [self._settings.program(OPENPGP), *quiet, str(signature), "-"]
            done = programs.ask(argv, said=parted.payload, timeout_seconds=_SECONDS)
        told = [
            line[9:].split() for line in done.out.decode(errors="replace").splitlines() if line.startswith("[GNUPG:] ")
        ]
        return self._by_status({words[0]: words[1:] for words in told if words}, [words[0] for words in told if words])

    def _by_status(self, said: dict[str, list[str]], order: list[str]) -> Verdict:
        if order.count("NEWSIG") > 1 or "BADSIG" in said:
            return Verdict(state=BAD, why="it was not made over these bytes")
        if "ERRSIG" in said:
            return Verdict(state=FOREIGN, key=_first(said["ERRSIG"]), why="its key is not in your keyring")
        valid = said.get("VALIDSIG", [])
        if not valid:
            return Verdict(state=BAD, why="it is no signature")
        for state, why in (("REVKEYSIG", "was revoked"), ("EXPKEYSIG", "has expired"), ("EXPSIG", "has expired")):
            if state in said:
                what = "it" if state == "EXPSIG" else "its key"
                return Verdict(state=FOREIGN, key=valid[0], why=f"{what} {why}")
        # The key that signed, or the one that it belongs to.
        known = self._signers.openpgp or {}
        name = known.get(valid[0]) or known.get(valid[-1])
        if name is None or "GOODSIG" not in said:
            return Verdict(state=FOREIGN, key=valid[0], why="the list does not name its key")
        return Verdict(state=SIGNED, signer=name, key=valid[0])


def _key(done: programs.Answer) -> str:
    found = _KEY.search(done.out.decode(errors="replace"))
    return found[1].replace(" key ", " ") if found else ""


def _first(words: list[str]) -> str:
    return words[0] if words else ""
