"""The corpora of the secret rules: real shapes with synthetic values.

Values are drawn from a fixed seed when a test runs, and provider prefixes are put together from parts, so that no file
of this repository holds anything a scanner would take for a live token.
"""

from __future__ import annotations

import base64
import json
import random
import re
import string
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ALNUM = string.ascii_letters + string.digits
HEX = "0123456789abcdef"
WORDS = ("harbor", "violet", "Cactus", "tundra", "mango", "Saturn", "pebble", "winter", "Falcon", "copper")


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """One place where a secret stands, and every secret in it."""

    form: str
    text: str
    secrets: tuple[str, ...]


def planted(*, rounds: int = 2) -> list[Planted]:
    """Every template of `planted_secrets.txt`, filled `rounds` times."""
    rng = random.Random(20260301)
    return [_filled(line, rng) for _ in range(rounds) for line in _lines("planted_secrets.txt")]


def ordinary_config() -> dict[str, Any]:
    pairs = (line.split(" = ", 1) for line in _lines("ordinary_config.txt"))
    return {key: json.loads(value) for key, value in pairs}


def ordinary_lines() -> list[str]:
    return (HERE / "ordinary_lines.txt").read_text("utf-8").splitlines()


def _lines(name: str) -> list[str]:
    return [line for line in (HERE / name).read_text("utf-8").splitlines() if line and not line.startswith("# ")]


def _filled(line: str, rng: random.Random) -> Planted:
    form, template = line.split("\t", 1)
    secrets: list[str] = []

    def fill(match: re.Match[str]) -> str:
        if match[1] not in KINDS and match[1] not in ("upper8", "b64_24"):
            return match[0]
        value = draw(match[1], rng)
        if match[1] != "upper8":
            secrets.append(value)
        return value

    text = re.sub(r"\{([a-z]\w*)\}", fill, template)
    return Planted(form=form, text=text, secrets=tuple(secrets))


def draw(kind: str, rng: random.Random) -> str:
    """One synthetic value of a kind."""
    if kind in KINDS:
        return KINDS[kind](rng)
    if kind.startswith("upper"):
        return _chars(rng, string.ascii_uppercase + string.digits, int(kind[5:]))
    return _base64(rng, int(kind[4:]))


def _chars(rng: random.Random, alphabet: str, count: int) -> str:
    return "".join(rng.choices(alphabet, k=count))


def _base64(rng: random.Random, count: int) -> str:
    return base64.b64encode(rng.randbytes(count * 3 // 4)).decode()


def _url64(rng: random.Random, count: int) -> str:
    return base64.urlsafe_b64encode(rng.randbytes(count)).decode().rstrip("=")


def _human(rng: random.Random) -> str:
    first, second = rng.sample(WORDS, 2)
    join = rng.choice(["-", "_", ".", "!", "", "#"])
    return f"{first}{join}{second}{rng.randrange(1, 100)}{rng.choice(['', '!', '$'])}"


def _pem(rng: random.Random) -> str:
    kind = rng.choice(["RSA ", "", "EC ", "OPENSSH "])
    body = "\n".join(_base64(rng, 64) for _ in range(4))
    return f"-----{'BEGIN'} {kind}PRIVATE KEY-----\n{body}\n-----{'END'} {kind}PRIVATE KEY-----"


def _jwt(rng: random.Random) -> str:
    def part(value: dict[str, object]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    claims: dict[str, object] = {"sub": _chars(rng, string.digits, 10), "iat": 1772366400}
    return f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part(claims)}.{_url64(rng, 32)}"


def _neptune(rng: random.Random) -> str:
    value = {"api_address": "https://app.neptune.ai", "api_key": _chars(rng, HEX, 36)}
    return base64.b64encode(json.dumps(value).encode()).decode()


def _prefixed(*parts: str, count: int, alphabet: str = ALNUM) -> Callable[[random.Random], str]:
    return lambda rng: "".join(parts) + _chars(rng, alphabet, count)


KINDS: dict[str, Callable[[random.Random], str]] = {
    "hf": _prefixed("h", "f_", count=34),
    "ghp": _prefixed("g", "hp_", count=36),
    "pat": _prefixed("github", "_pat_", count=82),
    "glpat": _prefixed("gl", "pat-", count=20),
    "openai": _prefixed("s", "k-", count=48),
    "openai_proj": _prefixed("s", "k-", "proj-", count=60, alphabet=ALNUM + "_-"),
    "anthropic": _prefixed("s", "k-", "ant-api03-", count=90, alphabet=ALNUM + "_-"),
    "aws_id": _prefixed("AK", "IA", count=16, alphabet=string.ascii_uppercase + "234567"),
    "aws_id2": _prefixed("AS", "IA", count=16, alphabet=string.ascii_uppercase + "234567"),
    "aws_secret": lambda rng: _base64(rng, 40),
    "slack": lambda rng: "-".join(
        ["xo" + "xb", _chars(rng, string.digits, 12), _chars(rng, string.digits, 12), _chars(rng, ALNUM, 24)]
    ),
    "google": _prefixed("AI", "za", count=35, alphabet=ALNUM + "_-"),
    "npm": _prefixed("n", "pm_", count=36),
    "pypi": lambda rng: "py" + "pi-AgEIcHlwaS5vcmc" + _url64(rng, 90),
    "stripe": _prefixed("s", "k_", "live_", count=24),
    "sendgrid": lambda rng: "S" + f"G.{_url64(rng, 16)}.{_url64(rng, 32)}",
    "telegram": lambda rng: f"{_chars(rng, string.digits, 10)}:AA{_chars(rng, ALNUM + '_-', 33)}",
    "jwt": _jwt,
    "neptune": _neptune,
    "human": _human,
    "human2": _human,
    "pem": _pem,
    "pem_json": lambda rng: _pem(rng).replace("\n", "\\n"),
    **{f"hex{count}": _prefixed(count=count, alphabet=HEX) for count in (32, 40, 64)},
    **{f"alnum{count}": _prefixed(count=count) for count in (20, 24, 25, 32, 36, 40, 50, 60)},
    **{f"b64_{count}": (lambda rng, count=count: _base64(rng, count)) for count in (24, 44, 88)},
}
