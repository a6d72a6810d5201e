"""How suspicious a name makes its value."""

from __future__ import annotations

import re
from enum import IntEnum
from functools import lru_cache

MARK = "<redacted:"


class Tier(IntEnum):
    """How much a name alone says about its value."""

    NONE = 0
    AMBIGUOUS = 1
    WEAK = 2
    STRONG = 3


_PART = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+")
_STRONG = frozenset(
    "password passwords passwd passphrase passphrases passcode pwd secret secrets credential credentials creds apikey "
    "apikeys dsn".split()
)
_STRONG_ENDINGS = (
    "password", "passwd", "passphrase", "apikey", "secretkey", "accesskey", "privatekey", "clientsecret",
)  # fmt: skip
_STRONG_LAST = frozenset("cookie cookies authorization bearer".split())
_WEAK_ENDINGS = ("authtoken", "accesstoken", "apitoken", "connectionstring", "connstr")
_STRONG_PAIRS = frozenset(
    {("api", "key"), ("access", "key"), ("private", "key"), ("secret", "key"), ("encryption", "key")}
    | {("connection", "string"), ("conn", "str"), ("pass", "phrase"), ("pass", "word")}
)
_WEAK_KEYS = frozenset(
    "account admin ai app application auth deploy gpg hmac jwt license master rsa service shared signing ssh "
    "subscription".split()
)
_AUTH = frozenset(
    "access api auth authentication bearer bot ci csrf deploy id jwt login oauth personal private refresh secret "
    "security service session sso user vault xsrf".split()
)
_PROVIDERS = frozenset(
    "anthropic aws azure bitbucket clearml cohere comet databricks discord dockerhub gcp gh git github gitlab google "
    "groq hf hub huggingface huggingfacehub jenkins kaggle mistral mlflow neptune npm nvidia openai openrouter pypi "
    "replicate roboflow sendgrid sentry slack stripe telegram together twilio wandb".split()
)
_LOGINS = frozenset(
    "admin database db docker email ftp http imap ldap login mail mongo mongodb mysql pg pop postgres postgresql proxy "
    "rabbitmq redis registry root smtp sql ssh sudo svc user".split()
)
# Words that make `…_token` a piece of text or a position in a model rather than a credential.
_MODEL_TOKENS = frozenset(
    "action added additional audio begin bos by byte class cls code context current decoder default delimiter dist "
    "document each empty end eod eoi eol eom eos eot every false fill fim final first frame global image img "
    "initializer input instance label language lang last latent learnable mask masked max memory middle min modifier "
    "newline next no num object of out output pad padding patch per placeholder point pooled pos prefix prompt prev "
    "query reg register response role scene sentinel sep separator sink soft space special speech start state stop "
    "sub subject suffix sys system tag target task text think thinking to tool trigger true turn type unk unknown use "
    "video vision visual vocab word yes".split()
)
_SIGNERS = frozenset({"amz", "goog"})
# `password_file` says where a secret is and `password_length` what it is like; neither is one.
_ABOUT = frozenset(
    "age column count dim dir directory enabled endpoint expiration expires expiry field file filename header index "
    "kind len length location max method min mode name names num path policy prefix provider ratio required size "
    "source template timeout ttl type uri url var variable weight".split()
)
_TRAILING = frozenset(
    "backup base current default dev encoded id main new old prev previous prod production raw staging str string test "
    "text value".split()
)
_AMBIGUOUS_LAST = frozenset(
    "auth hmac key keys nonce oauth pass pat pin pw session sid sig signature token tokens".split()
)
# The shell's working directories, which only share three letters with a password.
_SHELL_NAMES = frozenset({"PWD", "OLDPWD"})


def secret_name(name: str) -> bool:
    """Whether `name` is the name of a secret, judged by its whole parts.

    Args:
        name: a variable, flag, or (dotted) configuration key, in any of the usual spellings.
    """
    return tier_of(name) >= Tier.WEAK


@lru_cache(maxsize=4096)
def tier_of(name: str) -> Tier:
    if name in _SHELL_NAMES or len(name) > 1000:
        return Tier.NONE
    parts = _parts(name)
    if not parts:
        return Tier.NONE
    tier = max(_tier_of_words(parts), _tier_of_token(parts), _tier_of_key(parts))
    if parts[-1] in _ABOUT:
        return min(tier, Tier.AMBIGUOUS)
    return tier


def _parts(name: str) -> list[str]:
    parts = [part.lower() for part in _PART.findall(name)]
    while len(parts) > 1 and parts[-1] in _TRAILING and tuple(parts[-2:]) not in _STRONG_PAIRS:
        parts.pop()
    return parts


def _tier_of_words(parts: list[str]) -> Tier:
    last = parts[-1]
    if last in _STRONG or last in _STRONG_LAST or last.endswith(_STRONG_ENDINGS):
        return Tier.STRONG
    if last in ("pass", "pw") and len(parts) > 1 and parts[-2] in _LOGINS:
        return Tier.STRONG
    if last in ("signature", "sig") and not _SIGNERS.isdisjoint(parts):
        return Tier.WEAK
    if last.endswith(_WEAK_ENDINGS) or any(part in _STRONG or part.endswith(_STRONG_ENDINGS) for part in parts):
        return Tier.WEAK
    return Tier.AMBIGUOUS if last in _AMBIGUOUS_LAST else Tier.NONE


def _tier_of_key(parts: list[str]) -> Tier:
    pairs = [(before, _singular(after)) for before, after in zip(parts, parts[1:])]  # noqa: B905, RUF007 - of Python 3.8
    if pairs and pairs[-1] in _STRONG_PAIRS:
        return Tier.STRONG
    if any(pair in _STRONG_PAIRS for pair in pairs):
        return Tier.WEAK
    if pairs and pairs[-1][1] in ("key", "pat") and (pairs[-1][0] in _WEAK_KEYS or _PROVIDERS.intersection(parts)):
        return Tier.WEAK
    return Tier.NONE


def _tier_of_token(parts: list[str]) -> Tier:
    if parts == ["token"]:
        return Tier.WEAK
    known = _PROVIDERS.intersection(parts)
    if _singular(parts[-1]) != "token":
        return Tier.WEAK if known and "token" in parts else Tier.NONE
    before = parts[-2] if len(parts) > 1 else ""
    if before in _AUTH or known:
        return Tier.WEAK
    return Tier.WEAK if parts[-1] == "token" and before not in _MODEL_TOKENS else Tier.AMBIGUOUS


def _singular(part: str) -> str:
    return part[:-1] if part in ("keys", "tokens") else part


_NO_VALUE = frozenset({"", "true", "false", "none", "null", "nil", "yes", "no", "on", "off", "auto", "default"})
REFERENCE = re.compile(r"\$\{[A-Za-z_][\w.:]*\}|\$[A-Z_][A-Z0-9_]*|\$\(.*\)|%[A-Za-z_]\w*%|\{\{.*\}\}|[*x.]{3,}|\.\.\.")
_NUMBER = re.compile(r"[+-]?[\d_,]*\.?\d+(?:[eE][+-]?\d+)?[A-Za-z%]?")
_DIGEST = re.compile(r"(?:b3:|sha\d*:|md5:)?(?:[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64})")
_RUN = re.compile(r"[A-Za-z0-9+]{16,}")
_TURN = re.compile(r"(?<=[A-Za-z])\d|(?<=\d)[A-Za-z]")


def hides(tier: Tier, value: str) -> bool:
    """Whether a string under a name of this tier is taken for a secret."""
    text = value.strip()
    if tier is Tier.NONE or text.lower() in _NO_VALUE or text.startswith(MARK) or REFERENCE.fullmatch(text):
        return False
    if tier is Tier.STRONG:
        return True
    if tier is Tier.WEAK:
        return len(text) >= 6 and not re.search(r"\s", text) and text[0] not in "<[{|" and not _NUMBER.fullmatch(text)
    return _looks_random(text)


def _looks_random(text: str) -> bool:
    """A long run of mixed letters and digits that is neither words nor a plain digest."""
    if re.search(r"\s", text) or _DIGEST.fullmatch(text):
        return False
    return any(_mixed(run) for run in _RUN.findall(text))


def _mixed(run: str) -> bool:
    cased = any(char.islower() for char in run) and any(char.isupper() for char in run)
    return cased and len(_TURN.findall(run)) >= 4


def mark(name: str) -> str:
    label = re.sub(r"[^\w.\-]+", "-", name).strip("-")[:64]
    return f"{MARK}{label or 'value'}>"
