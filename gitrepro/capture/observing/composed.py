"""OmegaConf, and Hydra on top of it: the configuration as composed, and what of it stood on the command line."""

from __future__ import annotations

import re
import sys

from .plain import plain
from .watch import dress, replace

TYPE_CHECKING = False  # as typing has it, without importing typing
if TYPE_CHECKING:
    from typing import Any

    from .watch import ConfigWatch, Sighting

# To resolve one of another name runs code of the program, which may draw a random number.
_HARMLESS = frozenset({"oc.env", "oc.decode", "oc.select", "oc.create", "oc.deprecated", "hydra", "now"})
_RESOLVER = re.compile(r"\$\{\s*([A-Za-z_][\w.]*)\s*:")
_OVERRIDE = re.compile(r"\+{0,2}(?P<key>[A-Za-z_][\w.\-/]*)(?:@[\w.:]*)?=")


def watch(config: ConfigWatch, library: str, module: Any) -> None:
    if library == "omegaconf":
        _Composing(config).watch(module.OmegaConf)
    else:
        _watch_jobs(config, module)


def values_of(found: Any, *, resolve: bool = True) -> dict[str, Any]:
    """The plain values of an OmegaConf object; interpolations are resolved where that runs no code."""
    omegaconf: Any = sys.modules["omegaconf"].OmegaConf
    raw = omegaconf.to_container(found, resolve=False)
    if resolve and set(_RESOLVER.findall(repr(raw))) <= _HARMLESS:
        try:
            raw = omegaconf.to_container(found, resolve=True)
        except Exception:  # noqa: BLE001 - an interpolation of what is not there yet: as written, then
            pass
    return plain(raw) if isinstance(raw, dict) else {}


class _Composing:
    """Loading, the command line, and merging, called by the program itself: the last merge of them counts.

    A merge that has no part in the one told before is of something else: a file of data, a model's own settings.
    """

    def __init__(self, config: ConfigWatch) -> None:
        self._config = config
        self._told: Sighting | None = None
        self._final: Any = None
        self._argv: list[tuple[Any, dict[str, Any]]] = []
        self._merged = False

    def watch(self, omegaconf: Any) -> None:
        for name in ("load", "from_cli", "merge", "unsafe_merge"):
            replace(omegaconf, name, lambda original, name=name: self._observed(original, name))  # type: ignore[misc]

    def _observed(self, original: Any, name: str) -> Any:
        def observed(*args: Any, **kwargs: Any) -> Any:
            found = original(*args, **kwargs)
            if self._config.is_own(sys._getframe(1).f_code.co_filename):
                self._config.quietly(lambda: self._made(name, found, args))
            return found

        return observed

    def _made(self, name: str, found: Any, parts: tuple[Any, ...]) -> None:
        if name == "from_cli":
            self._argv.append((found, values_of(found, resolve=False)))
        if name in ("merge", "unsafe_merge"):
            if self._merged and not any(part is self._final for part in parts):
                return
            self._merged = True
        elif self._final is not None:
            return
        self._take(found)

    def _take(self, found: Any) -> None:
        if self._told is not None:
            self._config.drop(self._told)
        self._final = found
        values = values_of(found)
        argv: dict[str, Any] = {}
        for _, said in self._argv:
            _graft(argv, _common(said, values))
        layers = [("default", values), ("argv", argv)]
        self._told = self._config.add("omegaconf", layers, command_line=bool(self._argv))
        if self._told is not None:
            self._told.compare(lambda: values_of(found, resolve=False))


def _common(said: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """The part of `values` that `said` speaks of."""
    found: dict[str, Any] = {}
    for key, value in said.items():
        if key in values:
            both = isinstance(value, dict) and isinstance(values[key], dict)
            found[key] = _common(value, values[key]) if both else values[key]
    return found


def _graft(into: dict[str, Any], more: dict[str, Any]) -> None:
    for key, value in more.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _graft(into[key], value)
        else:
            into[key] = value


def _watch_jobs(config: ConfigWatch, utils: Any) -> None:
    """Hydra's jobs. The function that is called is the program's own; ours only looks at what it is given."""
    jobs: list[Any] = []

    def running(original: Any) -> Any:
        def run_job(*args: Any, **kwargs: Any) -> Any:
            task = kwargs.get("task_function", args[0] if args else None)
            if not callable(task):
                return original(*args, **kwargs)

            def job(cfg: Any) -> Any:
                sighting = config.quietly(lambda: _job(config, cfg, jobs))
                try:
                    return task(cfg)
                finally:
                    if sighting is not None:
                        config.quietly(config.end)

            dress(job, task)
            if "task_function" in kwargs:
                return original(*args, **{**kwargs, "task_function": job})
            return original(job, *args[1:], **kwargs)

        return run_job

    replace(utils, "run_job", running)


def _job(config: ConfigWatch, cfg: Any, jobs: list[Any]) -> Any:
    jobs.append(None)
    if len(jobs) > 1:
        config.note("Hydra ran several jobs in this process: the configuration is that of the first")
        return None
    values = values_of(cfg)
    hydra: Any = sys.modules["hydra.core.hydra_config"].HydraConfig.get()
    argv = _overridden([str(each) for each in hydra.overrides.task], dict(hydra.runtime.choices), values)
    sighting = config.add("hydra", [("default", values), ("argv", argv)], command_line=True)
    if sighting is not None:
        sighting.compare(lambda: values_of(cfg, resolve=False))
    return sighting


def _overridden(overrides: list[str], choices: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """The values that an override names. One that chooses a file says nothing of the values in that file."""
    found: dict[str, Any] = {}
    for override in overrides:
        match = _OVERRIDE.match(override)
        if match is None or match["key"] in choices:
            continue
        said: Any = None
        for part in reversed(match["key"].split(".")):
            said = {part: said}
        _graft(found, _common(said, values))
    return found
