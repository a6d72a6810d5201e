"""YAML, JSON and TOML files that the program reads: which of them configure it, and what they say.

A file counts when the command line names it, when it lies in a folder for configurations, or when it is the only YAML
file beside the script. Data is JSON as well, so JSON gives values only under a name that says configuration.
"""

# pathlib is an import that the program would pay for.
# ruff: noqa: PTH119, PTH120, PTH202, PTH206, PTH208
from __future__ import annotations

import os
import re
import sys

from .plain import TooLarge, plain
from .watch import command_line, replace

TYPE_CHECKING = False  # as typing has it, without importing typing
if TYPE_CHECKING:
    from typing import Any

    from .watch import ConfigWatch

_YAML = (".yaml", ".yml")
_SUFFIXES = (*_YAML, ".json", ".toml")
_FOLDERS = frozenset({"conf", "config", "configs", "configuration", "configurations", "cfg", "cfgs"})
_NAMED_AS_CONFIG = re.compile(r"conf|cfg|param|setting|option|recipe", re.IGNORECASE)
_FILES_AT_MOST = 32
_LOOKED_AT_MOST = 256
_LARGEST_BYTES = 256 << 10


def watch(config: ConfigWatch, _library: str, module: Any) -> None:
    if config.reading is None:
        config.reading = _Reading(config)
    replace(module, "load", config.reading.observed)


class _Reading:
    """The files one process has read; after a while it is data that it reads, and nobody looks any more."""

    def __init__(self, config: ConfigWatch) -> None:
        self._config = config
        self._looked = 0
        self._words = [(option, os.path.realpath(word)) for option, word in _operands(command_line())]
        self._seen: set[str] = set()

    def observed(self, original: Any) -> Any:
        def load(stream: Any, *args: Any, **kwargs: Any) -> Any:
            found = original(stream, *args, **kwargs)
            if self._looked < _LOOKED_AT_MOST and isinstance(found, dict):
                self._config.quietly(lambda: self._look(stream, found))
            return found

        return load

    def _look(self, stream: Any, found: dict[Any, Any]) -> None:
        path = self._named(stream) if isinstance(stream, str) else getattr(stream, "name", None)
        if not isinstance(path, str) or not path.endswith(_SUFFIXES):
            return
        self._looked += 1
        full = os.path.realpath(path)
        if full not in self._seen and len(self._seen) < _FILES_AT_MOST and self._counts(full):
            self._seen.add(full)
            self._tell(full, found)

    def _named(self, text: str) -> str | None:
        """The file of the command line that holds this text: what was read before it was parsed has no name."""
        for _, full in self._words:
            if full.endswith(_SUFFIXES) and _size(full) == len(text.encode("utf-8", "replace")):
                with open(full, encoding="utf-8", errors="replace") as file:
                    if file.read() == text:
                        return full
        return None

    def _counts(self, full: str) -> bool:
        if any(word == full for _, word in self._words):
            return True
        place = self._config.own.inside(full)
        if not place:
            return False
        return bool(_FOLDERS.intersection(place.lower().split("/")[:-1])) or _only_beside_the_script(full)

    def _tell(self, full: str, found: dict[Any, Any]) -> None:
        place = os.path.relpath(full, self._config.own.root).replace(os.sep, "/")
        try:
            values = plain(found) if _size(full) <= _LARGEST_BYTES and self._is_configuration(full) else {}
        except TooLarge:
            values = {}
        self._config.add_file(place, {"blob": self._config.blob_name(full), "values": values})

    def _is_configuration(self, full: str) -> bool:
        if not full.endswith(".json"):
            return True
        options = [option for option, word in self._words if word == full]
        return any(_NAMED_AS_CONFIG.search(word) for word in (*options, os.path.basename(full), *_folders(full)))


def _folders(full: str) -> list[str]:
    return [part for part in os.path.dirname(full).lower().split(os.sep)[-2:] if part in _FOLDERS]


def _operands(words: list[str]) -> list[tuple[str, str]]:
    """The words of a command line that may name a file, each with the option before it."""
    found = []
    option = ""
    for word in words:
        name, equals, value = word.partition("=")
        operand = value if equals else word
        if not word.startswith("-") or equals:
            found.append((name if equals else option, operand))
        option = "" if equals or not word.startswith("-") else word
    return [(option, word) for option, word in found if 0 < len(word) < 4096 and "\0" not in word]


def _only_beside_the_script(full: str) -> bool:
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    if not full.endswith(_YAML) or not script or os.path.dirname(os.path.realpath(script)) != os.path.dirname(full):
        return False
    return sum(name.endswith(_YAML) for name in os.listdir(os.path.dirname(full))) == 1


def _size(full: str) -> int:
    try:
        return os.path.getsize(full)
    except OSError:
        return 0
