"""Secrets in free text: by their own shape, and behind a name."""

from __future__ import annotations

import re
from functools import lru_cache

from .names import MARK, REFERENCE, Tier, hides, mark, tier_of

# (kind, hints, pattern): the patterns are tried when a hint stands in the lower-cased text. Hints are literals: one
# regular expression finds those several times faster than classes of characters. A pattern starts where no word is
# under way, so that `mask-rcnn` is no key; repetitions are bounded, so that no line costs more than its length.
_SHAPES: tuple[tuple[str, str, str], ...] = (
    ("aws_key_id", "akia asia abia acca", r"(?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{16}(?![0-9A-Za-z])"),
    ("github_token", "ghp_ gho_ ghu_ ghs_ ghr_", r"gh[pousr]_[A-Za-z0-9]{20,255}"),
    ("github_pat", "github_pat_", r"github_pat_[A-Za-z0-9_]{20,255}"),
    ("gitlab_token", "glpat- gldt- glrt- glptt- glsoat- glcbt-", r"gl(?:pat|dt|rt|ptt|soat|cbt)-[\w\-]{16,255}"),
    ("huggingface_token", "hf_ api_org_", r"(?:hf|api_org)_[A-Za-z0-9]{20,255}"),
    ("api_key", "sk- pk- rk-", r"(?:sk|pk|rk)-(?=[\w\-]{0,255}\d)(?=[\w\-]{0,255}[A-Z])[\w\-]{20,255}"),
    ("slack_token", "xox", r"xox[a-z](?:\.xox[a-z])?-[\w\-]{10,255}"),
    ("slack_token_app", "xapp-", r"xapp-[\w\-]{10,255}"),
    ("google_key", "aiza", r"AIza[\w\-]{30,60}"),
    ("google_token", "ya29.", r"ya29\.[\w\-]{20,512}"),
    ("google_secret", "gocspx-", r"GOCSPX-[\w\-]{20,64}"),
    ("npm_token", "npm_", r"npm_[A-Za-z0-9]{30,64}"),
    ("pypi_token", "pypi-", r"pypi-(?=[\w\-]{0,255}\d)(?=[\w\-]{0,255}[A-Z])[\w\-]{32,512}"),
    ("stripe_key", "k_live_ k_test_ whsec_", r"(?:[srp]k_(?:live|test)|whsec)_[0-9A-Za-z]{16,255}"),
    ("sendgrid_key", "sg.", r"SG\.[\w\-]{16,64}\.[\w\-]{16,64}"),
    ("telegram_token", ":aa", r"\d{8,10}:AA[\w\-]{30,40}"),
    ("replicate_token", "r8_", r"r8_[A-Za-z0-9]{30,64}"),
    ("groq_key", "gsk_", r"gsk_[A-Za-z0-9]{30,128}"),
    ("xai_key", "xai-", r"xai-[A-Za-z0-9]{40,128}"),
    ("nvidia_key", "nvapi-", r"nvapi-[\w\-]{40,128}"),
    ("databricks_token", "dapi", r"dapi[0-9a-f]{32}(?:-\d)?"),
    ("digitalocean_token", "doo_v1 dop_v1 dor_v1", r"do[opr]_v1_[0-9a-f]{40,64}"),
    ("age_key", "age-secret", r"AGE-SECRET-KEY-1[0-9A-Z]{40,80}"),
    ("vault_token", "hvs. hvb. hvr.", r"hv[sbr]\.[\w\-]{20,255}"),
    ("neptune_token", "eyjhcglf", r"eyJhcGlf[\w+/=\-]{40,1024}"),
    ("jwt", "eyj", r"eyJ[\w\-]{8,4096}\.[\w\-]{8,8192}(?:\.[\w\-]{0,8192}){0,3}"),
    ("bearer", "bearer", r"(?i:bearer)\s{1,4}(?!<redacted:)(?=[\w.~+/\-]{0,64}\d)[\w.~+/\-]{16,8192}={0,2}"),
    ("webhook", "webhooks/", r"https://(?:\w{1,20}\.)?discord(?:app)?\.com/api/webhooks/\d{1,24}/[\w\-]{20,128}"),
    ("webhook_slack", "hooks.slack", r"https://hooks\.slack(?:-gov)?\.com/(?:services|workflows|triggers)/[\w/\-]{20,128}"),
    ("webhook_teams", "webhook", r"https://[\w\-]{1,63}\.webhook\.office\.com/webhookb2/[\w@/\-]{20,255}"),
)  # fmt: skip
_BLOCK = (
    r"-----BEGIN (?:[A-Z0-9]{1,20} ){0,4}PRIVATE KEY(?: BLOCK)?-----.*?"
    r"(?:-----END (?:[A-Z0-9]{1,20} ){0,4}PRIVATE KEY(?: BLOCK)?-----|\Z)"
)
_NAME_HINTS = (
    "passw", "passphrase", "passcode", "_pass", "-pass", "pwd", "pw", "secret", "token", "key", "cred", "auth",
    "cookie", "bearer", "dsn", "connection", "connstr", "sig=", "signature", "login",
)  # fmt: skip


@lru_cache(maxsize=None)  # noqa: UP033 - of Python 3.8
def shape_hint() -> re.Pattern[str]:
    """One pass over a line; on most of them it finds nothing and the line is done."""
    hints = {re.escape(hint) for _, hints, _ in _SHAPES for hint in hints.split()}
    return re.compile("|".join([*sorted(hints), "private key", r"://\S{0,800}@"]))


@lru_cache(maxsize=None)  # noqa: UP033 - of Python 3.8
def _name_hint() -> re.Pattern[str]:
    return re.compile("|".join(re.escape(hint) for hint in _NAME_HINTS))


@lru_cache(maxsize=None)  # noqa: UP033 - of Python 3.8
def shapes() -> re.Pattern[str]:
    return re.compile(r"(?<![\w\-])(?:" + "|".join(f"(?P<{kind}>{pattern})" for kind, _, pattern in _SHAPES) + ")")


@lru_cache(maxsize=None)  # noqa: UP033 - of Python 3.8
def _block() -> re.Pattern[str]:
    return re.compile(_BLOCK, re.DOTALL)


@lru_cache(maxsize=None)  # noqa: UP033 - of Python 3.8
def _userinfo() -> re.Pattern[str]:
    # A port is not a password: `http://host:8080/@page`. A password may itself hold `@`, or a slash left unencoded.
    password = r"""(?!\d{1,5}(?:[/?#\s"'`]|$))(?:[^\s"'`/?#]{1,512}|[^\s"'`@]{1,512})"""
    return re.compile(rf"""://(?P<info>[^\s/@:"'`\[]{{0,256}}(?P<password>:{password})?)@(?=[\w\[%{{$<.\-])""")


_NAME = r"(?P<name>[A-Za-z_][\w.\-]{0,79}(?: (?:key|token|secret|string|password|cookie))?)"


@lru_cache(maxsize=None)  # noqa: UP033 - of Python 3.8
def _pair() -> re.Pattern[str]:
    """The start of `name=value`, `"name": "value"`, `name: Type = "value"` or `--name value`, up to the value."""
    annotated = r"""\s{0,4}:\s{0,4}[A-Za-z_][\w.\[\]| ]{0,40}=\s{0,4}(?=["'])"""
    plain = r"""\\?["'`]?\]?\s{0,4}(?:=>|:=|[=:])(?!=)\s{0,4}"""
    # The condition reads: after dashes a space will do, `--name value`; without them it will not.
    spaced = r"(?(flag)\s{1,4}|(?!))"
    quote = r"""(?:[rbuf]{0,2}(?P<quote>\\?["']))?"""
    return re.compile(rf"(?<![\w.])(?P<flag>--?)?{_NAME}(?:{annotated}|{plain}|{spaced}){quote}")


# What ends a value, by the quote that opened it.
_INSIDE = {
    '\\"': r'[^"\\]',
    "\\'": r"[^'\\]",
    '"': r'(?:[^"\\\n]|\\.)',
    "'": r"(?:[^'\\\n]|\\.)",
    "": r"""[^\s,;&"'`(){}\[\]<>\\]""",
}


@lru_cache(maxsize=None)  # noqa: UP033 - of Python 3.8
def _value(quote: str, *, whole: bool) -> re.Pattern[str]:
    """A value after its opening quote; the first characters suffice to judge it."""
    return re.compile(_INSIDE[quote] + ("+" if whole else "{1,512}"))


@lru_cache(maxsize=None)  # noqa: UP033 - of Python 3.8
def _whole_line() -> re.Pattern[str]:
    """A line that is one assignment: the value runs to its end, whatever characters it holds."""
    start = r"^[+\- \t]{0,16}(?:export |set |declare -x |ENV )?"
    lead = rf"(?P<lead>{start}{_NAME}[ \t]{{0,4}}[=:][ \t]{{0,4}})"
    return re.compile(lead + r"(?P<value>[^\s\"'`=]\S{0,4095})[ \t\r]*$", re.MULTILINE)


@lru_cache(maxsize=None)  # noqa: UP033 - of Python 3.8
def _header() -> re.Pattern[str]:
    """An authorization or cookie header: the rest of the line, up to a quote."""
    names = r"(?P<name>(?:proxy-)?authorization|(?:set-)?cookie2?)"
    lead = rf"""(?<![\w\-])(?P<lead>{names}\\?["']?\s{{0,4}}[:=]\s{{0,4}}[bfu]?\\?["']?)"""
    return re.compile(lead + r"""(?P<value>[^\s"'\\][^\n"'\\]{0,8192})""", re.IGNORECASE)


@lru_cache(maxsize=None)  # noqa: UP033 - of Python 3.8
def _spoken() -> re.Pattern[str]:
    """`password is X`, `set the token to 'X'`, and a name with a key-like word right after it."""
    joined = r"""\s{1,4}(?:(?:is|was|to|as)\s{1,4}["'`]?|["'`]?(?=[\w+/\-]{20}))"""
    return re.compile(rf"""(?<![\w.\-])(?P<lead>{_NAME}{joined})(?P<value>[^\s"'`<>(){{}}]{{6,512}})""")


@lru_cache(maxsize=None)  # noqa: UP033 - of Python 3.8
def _login() -> re.Pattern[str]:
    """`wandb login KEY`: the key is 40 hex digits, as is every Git name, so only the words before it tell."""
    return re.compile(r"(?P<lead>wandb\s{1,4}login\s{1,4}(?:--[\w\-]{1,40}\s{1,4}){0,4})[0-9a-f]{40,128}")


def redact_text(text: str) -> str:
    """Free text with every recognised secret replaced; text without one comes back unchanged.

    Args:
        text: a log line, a diff, an error message, a URL, or many lines of them.
    """
    lowered = text.lower()
    if shape_hint().search(lowered):
        text = _redact_shapes(text)
    if _name_hint().search(lowered):
        text = _redact_named(text)
    return text


def _redact_shapes(text: str) -> str:
    if "PRIVATE KEY" in text:
        text = _block().sub(mark("private-key"), text)
    if "@" in text:
        text = _userinfo().sub(_hide_userinfo, text)
    return shapes().sub(_hide_shape, text)


def _hide_shape(match: re.Match[str]) -> str:
    kind = (match.lastgroup or "value").replace("_", "-")
    return f"Bearer {mark('bearer')}" if kind == "bearer" else mark(kind)


def _hide_userinfo(match: re.Match[str]) -> str:
    info = match["info"]
    if info.startswith(MARK) or not (match["password"] or _could_be_token(info)):
        return match[0]
    password = (match["password"] or "")[1:]
    return match[0] if REFERENCE.fullmatch(password) else f"://{mark('userinfo')}@"


def _could_be_token(user: str) -> bool:
    return len(user) >= 16 and any(char.isdigit() for char in user)


def _redact_named(text: str) -> str:
    text = _header().sub(_hide_header, text)
    text = _whole_line().sub(_hide_line, text)
    text = _redact_pairs(text)
    text = _login().sub(_hide_login, text)
    return _spoken().sub(_hide_spoken, text)


def _hide_header(match: re.Match[str]) -> str:
    value = match["value"].strip()
    # `authorization: required` is prose; a credential is long, or holds a digit, a `=` or a scheme before it.
    if MARK in value or not re.search(r"\d|=|\S\s+\S{8}|\S{24}", value) or _is_code(match["name"], value):
        return match[0]
    return match["lead"] + mark(match["name"])


def _hide_line(match: re.Match[str]) -> str:
    tier = tier_of(match["name"])
    if not _hides_bare(match["name"], tier, match["value"]):
        return match[0]
    return match["lead"] + mark(match["name"])


def _redact_pairs(text: str) -> str:
    """Every `name=value`; a value that stays is read again, since it may hold a pair itself."""
    kept: list[str] = []
    start = position = 0
    while match := _pair().search(text, position):
        position = match.end()
        end = _end_of_secret(text, match)
        if end:
            kept += [text[start:position], mark(match["name"])]
            start = position = end
    return "".join(kept) + text[start:]


def _end_of_secret(text: str, match: re.Match[str]) -> int:
    """Where the secret that a pair starts ends; 0 when it is none."""
    name, quote = match["name"], match["quote"] or ""
    tier = tier_of(name)
    value = _value(quote, whole=False).match(text, match.end()) if tier else None
    if value is None or not (hides(tier, value[0]) if quote else _hides_bare(name, tier, value[0])):
        return 0
    whole = _value(quote, whole=True).match(text, match.end()) or value
    called = not quote and text[whole.end() : whole.end() + 1] in ("(", "[") and _DOTTED.fullmatch(whole[0])
    return 0 if called else whole.end()


def _hide_login(match: re.Match[str]) -> str:
    return match["lead"] + mark("api-key")


def _hide_spoken(match: re.Match[str]) -> str:
    tier, value = tier_of(match["name"]), match["value"]
    if tier < Tier.WEAK or not _hides_bare(match["name"], tier, value) or not re.search(r"\d", value):
        return match[0]
    return match["lead"] + mark(match["name"])


_TYPE_WORDS = frozenset("any bytes bool float int object optional required secretstr str string union".split())
_DOTTED = re.compile(r"[A-Za-z_][\w.]*")
_CODE = re.compile(
    r"[A-Za-z_][\w.]*[(\[].*|(?:self|cls|os|args|cfg|config|settings|env|opt|opts|options|params)\.[\w.]+"
)


def _hides_bare(name: str, tier: Tier, value: str) -> bool:
    """Unquoted text after a name may also be code, a type or prose: a weak name needs a digit or a long value."""
    if tier is Tier.NONE or MARK in value or not hides(tier, value) or _is_code(name, value):
        return False
    return tier is not Tier.WEAK or len(value) >= 24 or any(char.isdigit() for char in value)


def _is_code(name: str, value: str) -> bool:
    word = value.rstrip(",;:")
    return word.lower() in _TYPE_WORDS or word == name or _CODE.fullmatch(word) is not None


class LineRedactor:
    """`redact_text` for output that arrives line by line: a private key block is hidden across lines."""

    __slots__ = ("_inside",)

    def __init__(self) -> None:
        self._inside = False

    def feed(self, line: str) -> str:
        """The clean form of the next line; its ending is kept."""
        if self._inside:
            self._inside = "-----END" not in line
            return self._hidden(line)
        if "PRIVATE KEY" in line and "-----BEGIN" in line and "-----END" not in line:
            self._inside = True
        return redact_text(line) if not self._inside else redact_text(line.rstrip("\r\n")) + self._ending(line)

    @staticmethod
    def _ending(line: str) -> str:
        return line[len(line.rstrip("\r\n")) :]

    def _hidden(self, line: str) -> str:
        return mark("private-key") + self._ending(line)
