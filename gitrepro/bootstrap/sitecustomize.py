"""What `gitrepro record -- python ...` puts first on the child's PYTHONPATH.

Python imports a module of this name at every start, before the user's program. This one seeds the generators and leaves
word of what it sees; then it takes itself off `sys.path` and out of `sys.modules` and imports the `sitecustomize` that
Python would have found without it, so that one runs, fails or is absent as ever.

It works in any Python from 3.8 on, whether or not gitrepro is installed there: its helpers are loaded by their paths.
It prints nothing, raises nothing, and costs a start a few milliseconds; `import json` would cost more.

Without `GITREPRO_LIVE`, the run's live folder, it does nothing, and neither does it in the workers that multiprocessing
or joblib start, nor in pip. It reads `GITREPRO_SEED` (the seed the run was asked to have), `GITREPRO_SEEDING` (`on`:
set it), `GITREPRO_ROOT` (the work tree whose modules count as the user's), `GITREPRO_DETERMINISM` (see
gitrepro.training.determinism) and `GITREPRO_STOP_AFTER_STEPS` (see gitrepro.training.probing).

Each interpreter appends to a file of its own, `observed-<pid>-<monotonic ns>.jsonl`, a line per event:

    python         pid, ppid, argv, executable, version, cwd; launch where it is one of several ranks
    seeds          generators, after each library seen and each seeding call (call, argument, by, order)
    environment    environment, once NumPy or torch comes in, else at the end
    meter          meter: what the training steps cost so far, twice a minute and at the end
    trace_begin    setting: what is in force as the first step is made; with `GITREPRO_TRACE=on`; or trouble: why there
                   is no trace
    trace          rows and weights: see gitrepro.training.tracing
    determinism    determinism: the mode of `GITREPRO_DETERMINISM` and the flags then in force, once torch is there
    opened         opened: the path of an event file of TensorBoard that is opened for writing
    config         config: all that is known by now of the program's configuration, each time it has grown
    end            generators, frameworks, local_modules, module_digests, outside_modules, usage; missing where the
                   process was killed
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # as typing has it, without importing typing
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_HERE = os.path.dirname(os.path.abspath(__file__))
_PACKAGE = os.path.dirname(_HERE)
_SCIENTIFIC = ("numpy.random", "torch")
_INSTALLERS = ("pip", "ensurepip", "venv", "virtualenv")
_INSTALLER_SCRIPTS = ("pip", "pip3", "__pip-runner__.py", "_in_process.py")
_WORKERS = (
    "multiprocessing.spawn",
    "multiprocessing.forkserver",
    "multiprocessing.resource_tracker",
    "loky.backend",
    os.path.join("torch", "_inductor", "compile_worker"),
)
_EVENT_FILES_AT_MOST = 1_000
# Which of several processes this is, as their launcher tells it.
_RANKS = (
    "MASTER_PORT", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "RANK", "SLURM_JOB_ID", "SLURM_NTASKS",
    "SLURM_PROCID", "SLURM_RESTART_COUNT", "SLURM_STEP_ID", "SLURM_STEP_NUM_TASKS", "TORCHELASTIC_RESTART_COUNT",
    "TORCHELASTIC_RUN_ID", "WORLD_SIZE",
)  # fmt: skip
_NOT_FINITE = {"nan": '"NaN"', "inf": '"Infinity"', "-inf": '"-Infinity"'}


def _helper(name: str) -> Any:
    """A file of gitrepro as a module, from its byte code where that is at hand; importlib.util would cost 4 ms."""
    path = os.path.join(_PACKAGE, *name.split(".")) + ".py"
    alias = "_gitrepro_" + name.rpartition(".")[2]
    if alias not in sys.modules:
        module = type(sys)(alias)
        module.__file__ = path
        sys.modules[alias] = module
        try:
            exec(type(__loader__)(alias, path).get_code(alias), module.__dict__)  # type: ignore[name-defined]
        except BaseException:
            del sys.modules[alias]
            raise
    return sys.modules[alias]


def _folder(name: str, module: str) -> Any:
    """A file in a folder of gitrepro whose files import each other, and nothing else of gitrepro."""
    alias = "_gitrepro_" + name.rpartition(".")[2]
    if alias not in sys.modules:
        package = type(sys)(alias)
        package.__path__ = [os.path.join(_PACKAGE, *name.split("."))]
        sys.modules[alias] = package
    return __import__(alias + "." + module, fromlist=[module])


def _quietly(act: Callable[..., Any], *args: Any) -> Any:
    """We are a guest: what we cannot do stays undone, and nobody hears of it."""
    try:
        return act(*args)
    except Exception:
        return None


def _command_line() -> list[str]:
    """The interpreter's own arguments too, which Python before 3.10 keeps to itself."""
    if hasattr(sys, "orig_argv"):
        return list(sys.orig_argv)
    try:
        with open("/proc/self/cmdline", "rb") as stream:
            return [os.fsdecode(word) for word in stream.read().split(b"\0")[:-1]]
    except OSError:
        return [sys.executable, *getattr(sys, "argv", [])]


def _without_secrets(argv: list[str]) -> list[str]:
    """The words as a record may hold them; where they cannot be looked through, those up to the script."""
    if len(argv) <= 2:
        return argv
    clean = _quietly(lambda: _folder("capture.secrets", "tree").redact_argv(argv))
    return argv[:1] if clean is None else list(clean)


def _program(argv: list[str]) -> tuple[str, str]:
    """What Python was told to run: ("c", code), ("m", module) or ("", script)."""
    words = iter(argv[1:])
    for word in words:
        if word == "--check-hash-based-pycs":
            next(words, None)
        elif not word.startswith("-") or word == "-":
            return "", word
        elif not word.startswith("--"):
            for place, letter in enumerate(word[1:], start=2):
                if letter in "cm":
                    return letter, word[place:] or next(words, "")
                if letter in "WX":
                    if not word[place:]:
                        next(words, None)
                    break
    return "", ""


def _is_written_event_file(path: Any, mode: Any = None, flags: Any = 0) -> bool:
    if not isinstance(path, (str, bytes)) or "tfevents" not in os.fsdecode(path):
        return False
    return bool(set("wax+").intersection(mode)) if isinstance(mode, str) else bool(flags & (os.O_WRONLY | os.O_RDWR))


def _is_helper_process(argv: list[str]) -> bool:
    """A worker whose seeds are its parent's business, or an installer that trains nothing."""
    how, what = _program(argv)
    if how == "c":
        return what.startswith("from ") and any(name in what for name in _WORKERS)
    installer = what.partition(".")[0] in _INSTALLERS if how == "m" else os.path.basename(what) in _INSTALLER_SCRIPTS
    return installer or any(name in what for name in _WORKERS)


class _Report:
    """The file of this process: one line an event, each with one write."""

    def __init__(self, live: str) -> None:
        import time

        self._pid = os.getpid()
        self._path = os.path.join(live, f"observed-{self._pid}-{time.monotonic_ns()}.jsonl")
        self._environment_told = False
        self._watch: Any = None
        self._modules: Any = None
        self._config: Any = None
        self._flags: Any = None
        self._tracer: Any = None
        self._meter: Any = None

    def begin(self) -> None:
        import atexit

        argv = _command_line()
        begin = {"pid": self._pid, "ppid": os.getppid(), "argv": _without_secrets(argv), "executable": sys.executable}
        told = {"event": "python", **begin, "version": sys.version.split()[0], "cwd": _quietly(os.getcwd)}
        ranked = {name: os.environ[name] for name in _RANKS if name in os.environ}
        if ranked:
            told["launch"] = ranked
        _quietly(self._write, told)  # seeds are set even where the disk takes no word of it
        atexit.register(_quietly, self._end)
        _quietly(self._watch_seeds)
        _quietly(self._switch_determinism)
        _quietly(self._watch_modules, argv)
        _quietly(self._watch_config)
        _quietly(self._watch_event_files)
        _quietly(self._watch_steps)
        _quietly(self._stop_after_steps)

    def _switch_determinism(self) -> None:
        mode = os.environ.get("GITREPRO_DETERMINISM", "")
        switches = _helper("training.determinism") if mode else None
        if switches is not None and mode in switches.MODES:
            told = lambda seen: self._write({"event": "determinism", "determinism": seen})  # noqa: E731
            switches.arm(mode, _helper("training.seeds").Finder, told)
            self._flags = switches.flags

    def _stop_after_steps(self) -> None:
        count, folder = os.environ.get("GITREPRO_STOP_AFTER_STEPS", ""), os.environ.get("GITREPRO_STEPS", "")
        if count.isdigit() and folder:
            sys.modules["_gitrepro_training.seeds"] = _helper("training.seeds")
            steps = _folder("training", "steps").shared()
            _folder("training", "probing").Probe(steps, stop_after=int(count), folder=folder).start()

    def _watch_seeds(self) -> None:
        asked = os.environ.get("GITREPRO_SEED")
        requested = int(asked) if asked else None
        seed_now = requested is not None and os.environ.get("GITREPRO_SEEDING") == "on"
        watch = _helper("training.seeds").SeedWatch(requested=requested, seed_now=seed_now, on_event=self._seeds)
        watch.start()
        self._watch = watch

    def _watch_modules(self, argv: list[str]) -> None:
        watch = _helper("capture.modules").ModuleWatch(os.environ.get("GITREPRO_ROOT") or os.getcwd())
        watch.start()
        how, script = _program(argv)
        if not how and script.endswith(".py"):
            watch.note(script)  # nobody imports it
        self._modules = watch

    def _watch_config(self) -> None:
        watching = _folder("capture.observing", "watch")
        config = watching.ConfigWatch(
            tell=lambda known: self._write({"event": "config", "config": known}),
            own=self._modules.own,
            blob_name=_helper("capture.modules").blob_name,
            helper=lambda name: _folder("capture.observing", name),
            secrets=lambda: _folder("capture.secrets", "tree"),
        )
        sys.meta_path.insert(0, _helper("training.seeds").Finder(watching.LIBRARIES, config.meet))
        for library in watching.LIBRARIES:
            if library in sys.modules:
                config.meet(library, sys.modules[library])
        self._config = config

    def _watch_steps(self) -> None:
        # Nothing of it is loaded in a program that trains nothing.
        finder = _helper("training.seeds").Finder(("torch.optim.optimizer",), self._measure)
        sys.meta_path.insert(0, finder)

    def _measure(self, *_met: Any, **_more: Any) -> None:
        sys.modules["_gitrepro_training.seeds"] = _helper("training.seeds")
        steps = _folder("training", "steps").shared()
        if os.environ.get("GITREPRO_METERS") != "off":
            meters = _folder("training", "meters")
            self._meter = steps.meter = meters.Meter(steps, tell=self._metered)
            self._meter.start()
        if os.environ.get("GITREPRO_TRACE") == "on":
            _quietly(self._trace, steps)

    def _trace(self, steps: Any) -> None:
        tracer = _folder("training", "tracing").Tracer(steps, begin=self._trace_begun, tell=self._traced)
        try:
            tracer.start()
        except ImportError as error:
            self._write({"event": "trace_begin", "trouble": str(error)})
        else:
            self._tracer = tracer

    def _metered(self, known: dict[str, Any]) -> None:
        self._write({"event": "meter", "meter": known})

    def _trace_begun(self, setting: dict[str, Any]) -> None:
        self._write({"event": "trace_begin", "setting": setting})

    def _traced(self, rows: list[list[Any]]) -> None:
        weights = self._tracer.weights
        told = {row[0]: weights[row[0]] for row in rows if row[0] in weights}
        self._write({"event": "trace", "rows": rows, "weights": told})

    def _watch_event_files(self) -> None:
        told: set[str] = set()

        def opened(event: str, args: tuple[Any, ...]) -> None:
            # For every event of the interpreter, and for ever: what is not ours must leave at the first comparison.
            if event == "open" and _is_written_event_file(*args[:3]):
                path = os.path.abspath(os.fsdecode(args[0]))
                if path not in told and len(told) < _EVENT_FILES_AT_MOST:
                    told.add(path)
                    _quietly(self._write, {"event": "opened", "opened": path})

        sys.addaudithook(opened)

    def _seeds(self, event: dict[str, Any]) -> None:
        self._write(event)
        if event["library"] in _SCIENTIFIC:
            self._environment()  # beside an import this long, nobody sees the scan

    def _environment(self) -> None:
        if not self._environment_told and self._mine():
            self._environment_told = True
            environment = _quietly(lambda: _helper("capture.environment").describe())
            if environment is not None:
                self._write({"event": "environment", "environment": environment})

    def _end(self) -> None:
        if not self._mine():
            return
        self._environment()
        if self._config is not None:
            self._config.end()
        for measuring in (self._tracer, self._meter):
            if measuring is not None:
                _quietly(measuring.stop)
        said = {
            "generators": _quietly(self._watch.generators) if self._watch is not None else None,
            "frameworks": _quietly(lambda: _helper("capture.environment").frameworks()),
            "usage": _quietly(lambda: _helper("capture.hardware").usage()),
            "determinism_end": _quietly(self._flags) if self._flags is not None else None,
        }
        modules = _quietly(lambda: self._modules.document()) or {}
        self._write({"event": "end", **{name: value for name, value in said.items() if value is not None}, **modules})

    def _mine(self) -> bool:
        return os.getpid() == self._pid  # a forked child has our memory, but not our story to tell

    def _write(self, event: dict[str, Any]) -> None:
        if self._mine():
            # Opened anew each time: a program that closes all descriptors would hand our number to its own file.
            line = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                os.write(line, _json(event).encode() + b"\n")
            finally:
                os.close(line)


def _json(value: Any) -> str:
    """JSON, without `json`: the C function that it stands on is there at no cost."""
    if value is None or value is True or value is False:
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return _json_string(value)
    if isinstance(value, int):
        return int.__repr__(value)
    if isinstance(value, float):
        return float.__repr__(value) if value - value == 0 else _NOT_FINITE[str(value)]
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_json(str(key))}: {_json(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple, set, frozenset)):
        return "[" + ", ".join(_json(item) for item in value) + "]"
    return _json(str(value))


def _json_string(text: str) -> str:
    try:
        from _json import encode_basestring_ascii
    except ImportError:
        from json.encoder import encode_basestring_ascii
    return str(encode_basestring_ascii(text))


def _start() -> None:
    live = os.environ.get("GITREPRO_LIVE", "")
    if live and os.path.isdir(live) and not _is_helper_process(_command_line()):
        _Report(live).begin()


if __name__ == "sitecustomize":
    _quietly(_start)
    sys.path[:] = [entry for entry in sys.path if entry != _HERE]
    del sys.modules[__name__]
    # The next of our name. Not caught: a missing or failing one must look to Python as it would without us.
    __import__(__name__)
