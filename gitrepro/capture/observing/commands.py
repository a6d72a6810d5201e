"""click, and typer which carries its own copy of it: the parameters of the command that is invoked."""

from __future__ import annotations

from .plain import plain
from .watch import replace

TYPE_CHECKING = False  # as typing has it, without importing typing
if TYPE_CHECKING:
    from typing import Any

    from .watch import ConfigWatch

# By the names of click's own ParameterSource; what a person typed at a prompt stood on no command line, but is theirs.
_SOURCES = {"COMMANDLINE": "argv", "PROMPT": "argv", "ENVIRONMENT": "env", "DEFAULT_MAP": "file"}


def watch(config: ConfigWatch, _library: str, core: Any) -> None:
    def invoking(original: Any) -> Any:
        def invoke(self: Any, ctx: Any) -> Any:
            config.quietly(lambda: _tell(config, self, ctx))
            return original(self, ctx)

        return invoke

    replace(core.Command, "invoke", invoking)


def _tell(config: ConfigWatch, command: Any, ctx: Any) -> None:
    function = command.callback
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    code = getattr(function, "__code__", None)
    if code is None or not config.is_own(code.co_filename):
        return
    by_source: dict[str, dict[str, Any]] = {"default": {}, "file": {}, "env": {}, "argv": {}}
    for name, value in plain(dict(ctx.params)).items():
        source = getattr(ctx.get_parameter_source(name), "name", "DEFAULT")
        by_source[_SOURCES.get(source, "default")][name] = value
    defaults = {each.name: each.default for each in command.params if _is_known(each.default)}
    for name, value in plain(defaults).items():
        by_source["default"].setdefault(name, value)
    config.add("click", list(by_source.items()), command_line=True)


def _is_known(default: Any) -> bool:
    return isinstance(default, (bool, int, float, str)) and not hasattr(type(default), "__members__")
