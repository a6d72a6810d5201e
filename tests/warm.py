"""Processes without the seconds that imports take: each is forked off one that has imported and done nothing else.

Apart from that they are processes as any other: with an environment and a folder of their own, and they can be killed.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, final

import gitrepro

_SERVER: Final = """
import contextlib, gc, importlib, json, os, random, runpy, sys

for name in sys.argv[1:]:
    with contextlib.suppress(ImportError):
        importlib.import_module(name)

# What is shared with the children stays so: nobody counts in it.
gc.freeze()

for line in sys.stdin:
    if (child := os.fork()) == 0:
        break
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
else:
    sys.exit()

wish = json.loads(line)
for number, (path, flags) in enumerate(zip(wish["files"], [os.O_RDONLY, os.O_WRONLY, os.O_WRONLY])):
    os.dup2(os.open(path, flags), number)
sys.stdin = open(0, encoding="utf-8", errors="surrogateescape", closefd=False)
os.environ.clear()
os.environ.update(wish["environ"])
os.chdir(wish["folder"])
random.seed()
sys.argv = wish["argv"]
sys.orig_argv = [sys.executable, *sys.argv]
if wish["module"]:
    sys.path.insert(0, os.getcwd())
    runpy.run_module(wish["module"], run_name="__main__", alter_sys=True)
else:
    sys.path.insert(0, os.path.dirname(os.path.abspath(sys.argv[0])))
    runpy.run_path(sys.argv[0], run_name="__main__")
"""


@final
class Warm:
    """The process from which others are forked, one at a time.

    Args:
        modules: what it imports, as far as it is there.
    """

    def __init__(self, *modules: str) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="warm-"))
        self._server = subprocess.Popen(
            [sys.executable, "-c", _SERVER, *modules],
            cwd=Path(gitrepro.__file__).parent.parent,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def start(
        self,
        argv: Sequence[str],
        *,
        folder: Path,
        environ: Mapping[str, str] | None = None,
        module: str | None = None,
        input: str = "",
    ) -> int:
        """Start a program, by the path in `argv[0]` or as `python -m MODULE`. Its process id; it is ours to kill."""
        for name, text in (("in", input), ("out", ""), ("err", "")):
            (self._folder / name).write_bytes(text.encode(errors="surrogateescape"))
        wish = {
            "argv": list(argv),
            "environ": dict(os.environ if environ is None else environ),
            "files": [str(self._folder / name) for name in ("in", "out", "err")],
            "folder": str(folder),
            "module": module,
        }
        assert self._server.stdin is not None
        self._server.stdin.write(json.dumps(wish) + "\n")
        return int(self._line())

    def is_running(self, *, for_seconds: float = 0.0) -> bool:
        """Whether the program runs, now or at the end of some seconds."""
        return not select.select([self._server.stdout], [], [], for_seconds)[0]

    def wait(self) -> int:
        """The exit code of the program, once it has ended; of one that was killed the signal, negative."""
        return int(self._line())

    def printed(self, where: str) -> str:
        """What it printed, `out` or `err`."""
        return (self._folder / where).read_bytes().decode(errors="surrogateescape")

    def close(self) -> None:
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait(60)
        for path in self._folder.iterdir():
            path.unlink()
        self._folder.rmdir()

    def _line(self) -> bytes:
        # Not through a buffer: whether there is more to read is asked of the pipe itself.
        assert self._server.stdout is not None
        found = b""
        while not found.endswith(b"\n"):
            if not (byte := os.read(self._server.stdout.fileno(), 1)):
                raise AssertionError(f"the process that starts others has ended: {self._server.wait(10)}")
            found += byte
        return found


@final
class WarmCli:
    """As the fixture `cli`: the real command, each time in a process of its own."""

    def __init__(self) -> None:
        self._warm = Warm(
            "gitrepro.cli.main", "gitrepro.cli.data", "gitrepro.cli.split", "gitrepro.data.handle",
            "gitrepro.data.reading.csv", "gitrepro.data.reading.jsonl", "gitrepro.data.splits",
            "gitrepro.data.statistics", "gitrepro.store.catalog", "gitrepro.store.fold", "gitrepro.store.ingest",
            "gitrepro.store.objects.index", "gitrepro.store.restore", "blake3", "numpy.random", "pandas",
            "pyarrow.compute", "pyarrow.csv", "pyarrow.parquet", "subprocess",
        )  # fmt: skip

    def __call__(
        self,
        *args: str,
        cwd: Path,
        env: Mapping[str, str | None] | None = None,
        input: str | None = None,
        timeout_seconds: float = 120,
    ) -> subprocess.CompletedProcess[str]:
        merged = {**os.environ, **(env or {})}
        argv = [str(Path(gitrepro.__file__).parent / "__main__.py"), *args]
        child = self._warm.start(
            argv,
            folder=cwd,
            environ={name: value for name, value in merged.items() if value is not None},
            module="gitrepro",
            input=input or "",
        )
        if self._warm.is_running(for_seconds=timeout_seconds):
            os.kill(child, signal.SIGKILL)
            self._warm.wait()
            raise subprocess.TimeoutExpired(argv, timeout_seconds)
        done = self._warm.wait()
        return subprocess.CompletedProcess(argv, done, self._warm.printed("out"), self._warm.printed("err"))

    def close(self) -> None:
        self._warm.close()
