"""Files that must not enter a code snapshot."""

from __future__ import annotations

import re
from functools import cache
from os import PathLike, fspath

from .text import shape_hint, shapes

_SECRET_SUFFIXES = (".pem", ".key", ".p12", ".pfx", ".jks", ".keystore", ".ppk", ".kdbx", ".p8", ".ovpn", ".tfstate")
_SECRET_FILES = frozenset(
    ".netrc _netrc .pypirc .pgpass .my.cnf .htpasswd .git-credentials .dockercfg .s3cfg .boto .vault-token kubeconfig "
    "kaggle.json".split()
)
_KEY_FILE = re.compile(r"id_(?:rsa|dsa|ecdsa|ed25519|xmss)(?:_sk)?(?:[._-].*)?")
_ENV_FILE = re.compile(r"\.env(?:rc)?(?:\..+)?|.+\.env")
_SAMPLE = (".example", ".sample", ".template", ".dist", ".pub", ".tmpl")
_NAMED_FILE = re.compile(
    r"\.?(?:credentials?|secrets?)(?:[._-].*)?|.*(?:service|svc)[_-]?account.*\.json|.*client[_-]secret.*\.json"
)
# `secrets.py` is code about secrets, judged by what it holds.
_CODE_SUFFIXES = (".py", ".pyi", ".md", ".rst", ".ipynb", ".js", ".ts", ".go", ".rs", ".c", ".cc", ".cpp", ".h")


def secret_file(path: str | PathLike[str], head: bytes) -> str | None:
    """Why a file must stay out of a code snapshot, or None.

    Args:
        path: its path; only the last component is judged.
        head: its first bytes, as many as the caller is willing to read.
    """
    name = fspath(path).replace("\\", "/").rsplit("/", 1)[-1].lower()
    return _reason_by_name(name) or _reason_by_content(head)


def _reason_by_name(name: str) -> str | None:
    if name.endswith(_SAMPLE):
        return None
    if _ENV_FILE.fullmatch(name):
        return "an environment file"
    if name.endswith(_SECRET_SUFFIXES) or _KEY_FILE.fullmatch(name):
        return "a key file"
    if name in _SECRET_FILES or (_NAMED_FILE.fullmatch(name) and not name.endswith(_CODE_SUFFIXES)):
        return "a credentials file"
    return None


@cache
def _key_body() -> re.Pattern[str]:
    """A private key with a body: code that only names the header is no key."""
    header = r"-----BEGIN (?:[A-Z0-9]{1,20} ){0,4}PRIVATE KEY(?: BLOCK)?-----"
    return re.compile(header + r"(?:\s|\\[rn]|[\"'+,\\]){0,64}[A-Za-z0-9+/:]{16}")


def _reason_by_content(head: bytes) -> str | None:
    text = head.decode("latin-1")
    if "PRIVATE KEY" in text and _key_body().search(text):
        return "it holds a private key"
    if not shape_hint().search(text.lower()):
        return None
    # A bearer header in code is mostly a variable; what a provider issues is not.
    kind = next((match.lastgroup for match in shapes().finditer(text) if match.lastgroup != "bearer"), None)
    return None if kind is None else f"it holds what looks like a secret ({kind.replace('_', ' ')})"
