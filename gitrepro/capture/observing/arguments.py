"""argparse, and all that is built on it: what each parser made of the command line."""

from __future__ import annotations

import sys
from _thread import _local

from .plain import plain
from .watch import command_line, replace

TYPE_CHECKING = False  # as typing has it, without importing typing
if TYPE_CHECKING:
    from typing import Any

    from .watch import ConfigWatch

_SUPPRESS = "==SUPPRESS=="
# Their parsers read the words of a launcher or a test runner, which configure no training.
_NOT_THE_PROGRAMS = (
    "hydra", "torch.distributed", "torch._inductor", "accelerate.commands", "deepspeed.launcher", "pytest", "_pytest",
    "IPython", "ipykernel", "traitlets", "pip", "setuptools", "coverage",
)  # fmt: skip


def watch(config: ConfigWatch, _library: str, argparse: Any) -> None:
    thread = _local()
    parser = argparse.ArgumentParser

    def entry(original: Any) -> Any:
        def parse(self: Any, args: Any = None, namespace: Any = None) -> Any:
            seen = getattr(thread, "seen", None)
            if seen is not None:  # a parser of a sub-command, or one way of parsing that calls the other
                seen.parsers.append(self)
                return original(self, args, namespace)
            thread.seen = seen = _Parsing(self, args)
            try:
                found, rest = original(self, args, namespace)
            finally:
                thread.seen = None
            frame = sys._getframe(1)
            config.quietly(lambda: _tell(config, seen, found, rest, frame))
            return found, rest

        return parse

    def values(original: Any) -> Any:
        def get_values(self: Any, action: Any, arg_strings: Any) -> Any:
            seen = getattr(thread, "seen", None)
            # A positional argument that may be left out is asked for its value when it was.
            if seen is not None and (action.option_strings or arg_strings):
                seen.given.add(action.dest)
            return original(self, action, arg_strings)

        return get_values

    replace(parser, "_get_values", values)
    replace(parser, "parse_known_args", entry)
    replace(parser, "parse_known_intermixed_args", entry)


class _Parsing:
    """One call from outside: the parsers that took part, and what stood on the command line."""

    def __init__(self, parser: Any, args: Any) -> None:
        self.parsers = [parser]
        self.given: set[str] = set()
        self.of_the_program = args is None or list(args) == command_line()

    def defaults(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for parser in self.parsers:
            for action in parser._actions:
                default = parser._defaults.get(action.dest, action.default)
                if default is not _SUPPRESS and default != _SUPPRESS:
                    found.setdefault(action.dest, _typed(default, action.type))
        return found


def _typed(default: Any, kind: Any) -> Any:
    """A default written as text, as argparse reads it; other types than these are code of the program."""
    if isinstance(default, str) and kind in (int, float):
        try:
            return kind(default)
        except ValueError:
            return default
    return default


def _tell(config: ConfigWatch, seen: _Parsing, namespace: Any, rest: list[str], frame: Any) -> None:
    nearest, beyond = config.caller(frame, (sys.modules["argparse"].__file__ or "",))
    if nearest is None or not _counts(config, seen, nearest, beyond):
        return
    values = plain(dict(vars(namespace)))
    argv = {name: value for name, value in values.items() if name in seen.given}
    default = {name: value for name, value in values.items() if name not in seen.given}
    replaced = {name: value for name, value in plain(seen.defaults()).items() if name in argv and value is not None}
    layers = [("default", {**default, **replaced}), ("argv", argv)]
    left = rest if seen.of_the_program else []
    sighting = config.add("argparse", layers, command_line=seen.of_the_program, rest=left)
    if sighting is not None:
        # Held to the end: programs drop theirs when `main` returns, and what they changed in it would go with it.
        sighting.compare(lambda: plain(dict(vars(namespace))))


def _counts(config: ConfigWatch, seen: _Parsing, nearest: Any, beyond: bool) -> bool:
    if config.is_own(nearest.f_code.co_filename):
        return True
    module = str(nearest.f_globals.get("__name__", ""))
    if module == "__main__":  # of `python -m torch.distributed.run`
        module = str(getattr(nearest.f_globals.get("__spec__"), "name", ""))
    theirs = any(module == name or module.startswith(name + ".") for name in _NOT_THE_PROGRAMS)
    return seen.of_the_program and beyond and not theirs
