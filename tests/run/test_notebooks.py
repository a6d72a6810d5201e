"""Notebooks in a real kernel: the executed cells are the code, and a kernel has no end of a program."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gitrepro.capture.cells import same_sources

nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")
from nbclient.exceptions import DeadKernelError  # noqa: E402 - there only where nbclient is

RECORD = "run = gitrepro.record(config={'lr': 0.1})"


class Kernel:
    """A kernel with its working folder in the repository; `run` executes one cell as a front end does."""

    def __init__(self, repo: Path) -> None:
        notebook = nbformat.v4.new_notebook()
        self.client = nbclient.NotebookClient(
            notebook, timeout=120, allow_errors=True, resources={"metadata": {"path": str(repo)}}
        )

    def run(self, source: str, *, cell: Any = None) -> Any:
        """What the cell printed, or the name of the error it ended with."""
        if cell is None:
            cell = nbformat.v4.new_code_cell(source)
            self.client.nb.cells.append(cell)
        cell.source = source
        self.client.execute_cell(cell, self.client.nb.cells.index(cell), store_history=True)
        self.cell = cell
        texts = [output.get("text", "") + output.get("ename", "") for output in cell.outputs]
        return "".join(texts)

    def restart(self) -> None:
        nbclient.util.run_sync(self.client.km.restart_kernel)(now=False)
        nbclient.util.run_sync(self.client.kc.wait_for_ready)(timeout=60)


@pytest.fixture
def kernel(repo: Path) -> Callable[[], Any]:
    @contextmanager
    def start() -> Iterator[Kernel]:
        one = Kernel(repo)
        with one.client.setup_kernel():
            one.run("import gitrepro")
            yield one

    return start


@pytest.fixture
def cells(repo: Path, git: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """`cells(run)`: the `cells.yaml` of a run on record."""

    def read(run: dict[str, Any]) -> dict[str, Any]:
        from gitrepro.records import yaml
        from gitrepro.records.run import run_path

        data = git(repo, "show", f"refs/gitrepro/runs:{run_path(run['id'])}/cells.yaml")
        return yaml.load(f"{data}\n".encode(), source="cells.yaml")

    return read


def test_the_cells_that_ran_are_on_record_in_their_order(kernel, runs, cells):
    with kernel() as it:
        it.run("lr = 0.1")
        it.run(RECORD)
        it.run("for i in range(3): run.log({'loss': 1.0})")
        it.run("token = 'ghp_0123456789abcdefghijklmnopqrstuvwxyz'")

    [run] = runs()
    assert (run["status"], run["metrics"]["loss"]["count"]) == ("finished", 3)
    told = cells(run)
    assert [(cell["count"], cell["source"]) for cell in told["cells"][:4]] == [
        (1, "import gitrepro"),
        (2, "lr = 0.1"),
        (3, RECORD),
        (4, "for i in range(3): run.log({'loss': 1.0})"),
    ]
    assert "ghp_" not in told["cells"][4]["source"]
    assert told["notebook"] is None


def test_an_interrupt_ends_the_cell_and_not_the_run(kernel, runs):
    with kernel() as it:
        it.run(RECORD)
        assert "KeyboardInterrupt" in it.run(
            "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(30)"
        )
        assert it.run("run.log({'loss': 1.0}); print(run.status)") == "running\n"
        it.run("run.finish()")

    assert [(run["status"], run["metrics"]["loss"]["count"]) for run in runs()] == [("finished", 1)]


def test_a_kernel_whose_last_cell_failed_leaves_a_run_that_failed(kernel, runs):
    with kernel() as it:
        it.run(RECORD)
        assert it.run("raise ValueError('no such layer')") == "ValueError"

    assert [(run["status"], run["reason"]["kind"]) for run in runs()] == [("failed", "ValueError")]


def test_the_cell_run_again_ends_the_run_and_begins_the_next_attempt(kernel, runs):
    with kernel() as it:
        it.run(RECORD)
        record = it.cell
        it.run("run.log({'loss': 1.0})")
        it.run(RECORD, cell=record)
        it.run("run.log({'loss': 0.5})")
        it.run("run.finish()")
        it.run(RECORD, cell=record)

    third, second, first = runs()
    assert [run["status"] for run in (first, second, third)] == ["finished"] * 3
    assert (second["resumes"], second["lineage"]) == (first["id"], first["id"])
    assert second["metrics"]["loss"]["first_step"] == 0
    assert third["resumes"] is None


def test_two_cells_that_record_are_two_runs_side_by_side(kernel, runs):
    with kernel() as it:
        it.run("one = gitrepro.record(name='one')")
        it.run("two = gitrepro.record(name='two')")
        assert it.run("print(one.status, two.status)") == "running running\n"

    assert [(run["name"], run["resumes"]) for run in runs()] == [("two", None), ("one", None)]


def test_a_kernel_that_is_restarted_ends_the_run_and_the_cell_goes_on_with_its_lineage(kernel, runs):
    with kernel() as it:
        it.run(RECORD)
        record = it.cell
        it.run("run.log({'loss': 1.0})")
        it.restart()
        it.run("import gitrepro")
        it.run(RECORD, cell=record)

    second, first = runs()
    assert (first["status"], second["status"]) == ("finished", "finished")
    assert (second["resumes"], second["lineage"]) == (first["id"], first["id"])


def test_a_kernel_that_dies_leaves_a_run_that_recover_finds_with_the_cell_that_killed_it(
    kernel, runs, cells, cli, repo
):
    killer = "import os; os.kill(os.getpid(), 9)"
    with pytest.raises(DeadKernelError), kernel() as it:
        it.run(RECORD)
        it.run("run.log({'loss': 1.0})")
        it.run(killer)

    assert "crashed" in cli("recover", cwd=repo).stdout
    [run] = runs()
    assert (run["status"], run["metrics"]["loss"]["count"]) == ("crashed", 1)
    assert cells(run)["cells"][-1]["source"] == killer


def test_sigterm_preempts_the_run_and_ends_the_kernel_as_it_would_without_us(kernel, runs):
    with pytest.raises(DeadKernelError), kernel() as it:
        pid = int(it.run("import os; print(os.getpid())"))
        it.run(RECORD)
        it.run("import signal\nos.kill(os.getpid(), signal.SIGTERM)\nimport time; time.sleep(30)")
    for _ in range(200):
        if not Path(f"/proc/{pid}").exists():
            break
        time.sleep(0.05)
    else:
        os.kill(pid, signal.SIGKILL)
        raise AssertionError("the kernel lives on")

    assert [run["status"] for run in runs()] == ["preempted"]


def test_the_file_of_the_notebook_is_on_record_where_the_front_end_tells_it(kernel, runs, cells, monkeypatch):
    monkeypatch.setenv("JPY_SESSION_NAME", "/home/ada/study.ipynb")
    with kernel() as it:
        it.run(RECORD)

    [run] = runs()
    assert cells(run)["notebook"] == "/home/ada/study.ipynb"


# -- the file in the work tree


def notebook(source: str, **more: Any) -> str:
    cell = {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": [], "source": source, **more}
    return json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


RAN = {"execution_count": 7, "outputs": [{"output_type": "stream", "name": "stdout", "text": "1\n"}]}


@pytest.mark.parametrize(
    ("now", "dirty"),
    [
        (notebook("print(1)", **RAN), False),
        (notebook(["print(1)"], metadata={"tags": ["x"]}), False),
        (notebook("print(2)", **RAN), True),
        ("{", True),
        ("[" * 100_000, True),
        ('{"cells": [{"cell_type": "code", "source": 3}]}', True),
    ],
    ids=["outputs", "metadata", "another source", "cut short", "nested deeply", "no text"],
)  # fmt: skip
def test_what_a_notebook_puts_out_does_not_dirty_the_code(script, repo, git, runs, now, dirty):
    (repo / "study é.ipynb").write_text(notebook("print(1)"))
    git(repo, "add", ".")
    git(repo, "commit", "-qm", "notebook")
    (repo / "study é.ipynb").write_text(now)
    done = script("with gitrepro.record(): pass")

    assert (done.returncode, done.stderr) == (0, "")
    code = runs()[0]["code"]
    assert code["dirty"] is dirty
    assert code.get("notebooks_with_outputs", []) == ([] if dirty else ["study é.ipynb"])
    assert (code["tree"] == git(repo, "rev-parse", "HEAD^{tree}")) is not dirty


def test_notebooks_are_the_same_when_their_cells_are():
    base = notebook("a\nb")

    assert same_sources(base.encode(), notebook(["a\n", "b"], **RAN).encode())
    assert not same_sources(base.encode(), notebook("a\nb", cell_type="markdown").encode())
    assert not same_sources(b"", b"{}")
    assert not same_sources(base.encode(), b"\xff\xfe")
