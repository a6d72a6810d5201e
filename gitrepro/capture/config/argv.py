"""Words of a command line as values."""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Sequence
from pathlib import PurePath

from gitrepro.errors import ConfigError

from .values import MAX_DEPTH, MAX_DIGITS, MAX_KEY_CHARACTERS, MAX_TEXT_CHARACTERS, Plain, Value, key_text, split_key

_INTEGER = re.compile(r"[+-]?(?:0|[1-9]\d*)")
_FLOAT = re.compile(r"[+-]?(?:(?:0|[1-9]\d*)\.\d*|\.\d+|(?:0|[1-9]\d*)(?=[eE]))(?:[eE][+-]?\d+)?|[+-]?\.?(?:inf|nan)")
_CONSTANTS: dict[str, Value] = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("null", "Null", "NULL", "None"), None),
}
_OVERRIDE = re.compile(r"\+{0,2}(?P<key>[A-Za-z_][\w./@:\-]*)=(?P<value>.*)", re.DOTALL)
_FLAG = re.compile(r"--?(?P<key>[A-Za-z_][\w.\-]*)(?:=(?P<value>.*))?", re.DOTALL)
_SCRIPTS = (".py", ".sh", ".bash", ".ipynb", ".R", ".jl")
_INTERPRETERS = re.compile(r"(?:python|pypy|ipython)[\d.]*(?:t|d|w)?(?:\.exe)?")
_LAUNCHERS = frozenset(
    "accelerate apptainer bash conda coverage deepspeed docker env horovodrun julia micromamba mpiexec mpirun nice "
    "nohup pipenv poetry Rscript sh singularity srun stdbuf taskset time timeout torchrun uv xvfb-run zsh".split()
)
_LAUNCHER_MODULES = frozenset(
    "accelerate.commands.launch coverage deepspeed.launcher.runner pdb torch.distributed.launch "
    "torch.distributed.run".split()
)
# Options of the interpreter that take the next word.
_INTERPRETER_OPTIONS = frozenset({"-W", "-X", "--check-hash-based-pycs"})


def parse_scalar(text: str) -> Value:
    """The value that a word on a command line stands for.

    Numbers, `true`, `false`, `null` and `None` are what they look like; so are JSON lists and objects. `yes`, `no`,
    `none` and `007` stay text: programs use the first three as names, and the last would lose its zeros.
    """
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INTEGER.fullmatch(text):
        return int(text) if len(text) <= MAX_DIGITS else text
    if _FLOAT.fullmatch(text):
        return float(text.replace(".inf", "inf").replace(".nan", "nan"))
    if text[:1] in ("[", "{") and len(text) <= MAX_TEXT_CHARACTERS:
        return _json_or_text(text)
    return text


def _json_or_text(text: str) -> Value:
    try:
        return Plain().value(json.loads(text), ())
    except (ValueError, RecursionError):  # UsageError is a ValueError: what is too deep to keep stays text
        return text


def parse_assignment(text: str) -> tuple[tuple[str, ...], Value]:
    """The path and value of `model.depth=3`.

    Raises:
        ConfigError: there is no `=`, or nothing before it.
    """
    key, equals, value = text.partition("=")
    path = split_key(key.strip())
    if not equals or not all(path):
        why = "nothing is assigned" if not equals else "a part of the name is empty"
        raise ConfigError(f"{text!r} is not an assignment", why=why, do="write NAME=VALUE, such as model.depth=3")
    return tuple(key_text(part, ()) for part in path), parse_scalar(value)


def from_argv(argv: Sequence[str]) -> dict[str, Value]:
    """What a program's command line says about its configuration, for a program that says nothing itself.

    Flags (`--lr 0.1`, `--lr=0.1`, `-b 32`, `--verbose`) and overrides (`model.depth=3`, `+trainer.gpus=2`) are taken;
    dots nest, dashes become underscores, a flag without a value is true under the name as written (`--no-amp` is
    `no_amp: true`), several numbers after a flag are a list, and a repeated flag keeps its last value. Words that
    belong to neither, and all after `--`, are left out: the whole command line is on record elsewhere.

    Args:
        argv: the words as executed; an interpreter, launcher and script at its head are passed over.
    """
    found: dict[str, Value] = {}
    words = deque(_arguments(list(argv)))
    while words:
        word = words.popleft()
        if word == "--":
            break
        if (override := _OVERRIDE.fullmatch(word)) is not None:
            _put(found, override["key"], parse_scalar(override["value"]))
        elif (flag := _FLAG.fullmatch(word)) is not None:
            value = _operand(words) if flag["value"] is None else parse_scalar(flag["value"])
            _put(found, flag["key"].replace("-", "_"), value)
    return found


def _operand(words: deque[str]) -> Value:
    """The value of a flag that came without `=`, taken from the words after it."""
    if not words or not _is_operand(words[0]):
        return True
    first = parse_scalar(words.popleft())
    values = [first]
    while _is_number(first) and words and _is_number(parse_scalar(words[0])):
        values.append(parse_scalar(words.popleft()))
    return first if len(values) == 1 else values


def _is_operand(word: str) -> bool:
    if word == "--" or _OVERRIDE.fullmatch(word):
        return False
    return not word.startswith("-") or word == "-" or _is_number(parse_scalar(word))


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _put(values: dict[str, Value], key: str, value: Value) -> None:
    path = tuple(part for part in key.split(".") if part)
    if not path or len(path) > MAX_DEPTH or any(len(part) > MAX_KEY_CHARACTERS for part in path):
        return
    for part in path[:-1]:
        inner = values.get(part)
        if not isinstance(inner, dict):
            inner = values[part] = {}
        values = inner
    values[path[-1]] = value


def _arguments(words: list[str]) -> list[str]:
    """The words that the program itself sees as arguments."""
    head = PurePath(words[0]).name if words else ""
    if _INTERPRETERS.fullmatch(head):
        return _after_interpreter(words[1:])
    if head in _LAUNCHERS:
        return _after_launcher(words[1:])
    return words[1:]


def _after_interpreter(words: list[str]) -> list[str]:
    index = 0
    while index < len(words) and words[index].startswith("-"):
        if words[index] == "-m":
            return _after_module(words[index + 1 :])
        if words[index] in ("-c", "-"):
            return words[index + 1 + (words[index] == "-c") :]
        index += 2 if words[index] in _INTERPRETER_OPTIONS else 1
    return words[index + 1 :]


def _after_module(words: list[str]) -> list[str]:
    return _after_launcher(words[1:]) if words and words[0] in _LAUNCHER_MODULES else words[1:]


def _after_launcher(words: list[str]) -> list[str]:
    """What follows the first script, module or interpreter; all of it when there is none to be seen."""
    for index, word in enumerate(words):
        if word.endswith(_SCRIPTS) and not word.startswith("-"):
            return words[index + 1 :]
        if _INTERPRETERS.fullmatch(PurePath(word).name):
            return _after_interpreter(words[index + 1 :])
        if word in ("-m", "--module"):
            return _after_module(words[index + 1 :])
    return words
