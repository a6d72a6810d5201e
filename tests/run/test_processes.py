"""One run, several processes and threads: fork, spawn, pools, and a program that joins the run of its command."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest


def test_threads_log_into_one_run(script, shown):
    script("""
        import threading
        with gitrepro.record() as run:
            def work(number):
                for step in range(500): run.log({f"thread {number}": step}, step=step)
            threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
            for thread in threads: thread.start()
            for thread in threads: thread.join()
    """)

    assert {name: facts["count"] for name, facts in shown()["metrics"].items()} == {
        f"thread {n}": 500 for n in range(8)
    }
    assert shown()["journal"]["missing_frames"] == 0


def test_device_values_of_threads_find_their_own_rows(script, rows):
    script("""
        import threading
        class Device: type = "cuda"
        class OnDevice:
            device, shape = Device(), ()
            def __init__(self, value): self.value = value
            def detach(self): return self
            clone = detach
            def item(self): return self.value
        with gitrepro.record() as run:
            def late(): [run.log({"late": OnDevice(float(i)), "i": float(i)}) for i in range(300)]
            def plain(): [run.log({"plain": 1.0}) for i in range(3000)]
            threads = [threading.Thread(target=act) for act in (late, plain, plain)]
            for thread in threads: thread.start()
            for thread in threads: thread.join()
    """)

    late = [row for row in rows() if row["i"] is not None]
    assert len(late) == 300
    assert all(row["late"] == row["i"] and row["plain"] is None for row in late)


def test_a_run_may_begin_and_end_in_a_thread(script, shown):
    done = script("""
        import threading
        def work():
            with gitrepro.record() as run: run.log({"a": 1.0})
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    """)

    assert (done.returncode, done.stderr) == (0, "")
    assert shown()["summary"] == {"a": 1.0}


def test_a_forked_child_logs_and_does_not_end_the_run(script, shown, rows):
    done = script("""
        import os, sys
        with gitrepro.record() as run:
            run.log({"parent": 1.0})
            if os.fork() == 0:
                run.log({"child": 1.0})
                run.config["by child"] = True
                run.finish()
                sys.exit(0)
            os.wait()
            run.log({"parent": 2.0})
            print(run.status)
    """)

    assert (done.returncode, done.stdout, done.stderr) == (0, "running\n", "")
    assert (shown()["status"], shown()["summary"]) == ("finished", {"child": 1.0, "parent": 2.0})
    assert shown()["config"] == {"by child": True}
    assert len(rows()) == 3


def test_a_child_that_ended_well_does_not_finish_a_run_that_was_killed(script, shown, cli, repo):
    script("""
        import os, signal, sys
        with gitrepro.record() as run:
            if os.fork() == 0:
                run.log({"child": 1.0})
                sys.exit(0)
            os.wait()
            os.kill(os.getpid(), signal.SIGKILL)
    """)
    cli("recover", cwd=repo)

    assert (shown()["status"], shown()["summary"]) == ("crashed", {"child": 1.0})


def test_a_fork_while_another_thread_logs_does_not_hang(script, shown):
    done = script("""
        import os, threading
        with gitrepro.record() as run:
            stop = threading.Event()
            def work():
                while not stop.is_set(): run.log({"thread": 1.0})
            thread = threading.Thread(target=work)
            thread.start()
            for i in range(20):
                if (child := os.fork()) == 0:
                    run.log({"child": float(i)})
                    os._exit(0)
                os.waitpid(child, 0)
            stop.set()
            thread.join()
    """)

    assert done.returncode == 0, done.stderr
    assert shown()["metrics"]["child"]["count"] == 20


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_the_workers_of_a_pool_log_into_the_run(script, shown, method):
    done = script(f"""
        import functools, multiprocessing
        def work(run, number):
            run.log({{"worker": float(number)}})
            return run.id
        if __name__ == "__main__":
            with gitrepro.record(config={{"a": 1}}) as run:
                with multiprocessing.get_context({method!r}).Pool(2) as pool:
                    assert set(pool.map(functools.partial(work, run), range(6))) == {{run.id}}
                run.log({{"parent": 1.0}})
    """)

    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    found = shown()
    assert found["status"] == "finished"
    assert found["metrics"]["worker"]["count"] == 6


def test_a_worker_that_is_terminated_dies_as_it_would_without_us(script):
    done = script("""
        import multiprocessing, time
        with gitrepro.record() as run:
            child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
            child.start()
            child.terminate()
            child.join()
            print(child.exitcode)
    """)

    assert done.stdout == "-15\n"


def test_a_copy_of_a_run_is_the_run(script, shown):
    done = script("""
        import copy, pickle
        with gitrepro.record() as run:
            copies = copy.deepcopy([run])[0], copy.copy(run), pickle.loads(pickle.dumps(run))
            print([same is run for same in copies])
    """)

    assert done.stdout == "[True, True, True]\n"
    assert shown()["status"] == "finished"


def test_a_run_sent_to_a_process_after_its_end_warns_there(script):
    done = script("""
        import pickle, subprocess, sys
        run = gitrepro.record()
        sent = pickle.dumps(run)
        run.finish()
        code = "import pickle, sys; pickle.loads(sys.stdin.buffer.read()).log({'a': 1.0}); print('went on')"
        print(subprocess.run([sys.executable, "-c", code], input=sent, capture_output=True))
    """)

    assert "went on" in done.stdout
    assert "cannot log into run" in done.stdout


def test_two_runs_in_one_process_stand_beside_each_other(script, cli, repo):
    done = script("""
        one, two = gitrepro.record(name="one"), gitrepro.record(name="two")
        one.log({"a": 1.0})
        two.log({"a": 2.0})
        one.finish()
        two.finish()
    """)

    assert (done.returncode, done.stderr) == (0, "")
    assert [(run["name"], run["summary"]["a"]) for run in json.loads(cli("ls", "--json", cwd=repo).stdout)] == [
        ("two", 2.0),
        ("one", 1.0),
    ]


# -- inside `gitrepro record -- python ...`


@pytest.fixture
def recorded(repo: Path, cli):
    """Run a script of ours under `gitrepro record`."""

    def run(code: str, *options: str, args: tuple[str, ...] = (), env=None):
        (repo / "train.py").write_text("import gitrepro\n" + code)
        return cli("record", *options, "--", sys.executable, "train.py", *args, cwd=repo, env=env)

    return run


def test_record_inside_a_recorded_command_joins_its_run(recorded, shown, cli, repo):
    code = "with gitrepro.record(config={'lr': 0.5, 'depth': 2}) as run: run.log({'a': 1.0}); print(run.name, run.id)"
    done = recorded(code, "--name", "mine", "--set", "lr=0.1", "--set", "width=3")

    found = shown()
    assert done.stdout == f"mine {found['id']}\n"
    assert len(json.loads(cli("ls", "--json", cwd=repo).stdout)) == 1
    assert found["summary"] == {"a": 1.0}
    assert found["config"] == {"lr": 0.5, "depth": 2, "width": 3}
    assert found["config_sources"] == {"lr": "code", "depth": "code", "width": "set"}


def test_words_of_the_code_describe_the_run_where_the_command_says_nothing(recorded, shown):
    code = "with gitrepro.record(name='inner', group='g', labels=['x'], note='why', kind='eval'): pass"
    recorded(code, "--label", "y", "--group", "outer")

    found = shown()
    assert (found["name"], found["group"], found["labels"], found["kind"]) == ("inner", "outer", ["x", "y"], "eval")


def test_the_cause_that_the_program_knows_stands_beside_its_exit_code(recorded, shown):
    done = recorded("with gitrepro.record(): raise ValueError('no such layer')")

    assert done.returncode == 1
    reason = shown()["reason"]
    assert (reason["kind"], reason["exit_code"]) == ("ValueError", 1)
    assert "no such layer" in reason["traceback"]


def test_a_program_that_ends_its_run_and_fails_later_has_failed(recorded, shown):
    done = recorded("gitrepro.record().finish()\nraise SystemExit(3)")

    assert done.returncode == 3
    assert (shown()["status"], shown()["reason"]["exit_code"]) == ("failed", 3)


def test_the_second_run_in_a_recorded_command_is_one_of_its_own(recorded, cli, repo):
    recorded("gitrepro.record().finish()\nwith gitrepro.record(name='second'): pass", "--name", "first")

    second, first = sorted(json.loads(cli("ls", "--json", cwd=repo).stdout), key=lambda run: run["name"], reverse=True)
    assert (first["name"], second["name"]) == ("first", "second")
    assert json.loads(cli("show", "second", "--json", cwd=repo).stdout)["parents"] == [first["id"]]


def test_a_recorded_command_inside_another_names_its_parent(repo, cli, shown):
    inner = [sys.executable, "-m", "gitrepro", "record", "--name", "inner", "--", "true"]
    done = cli("record", "--name", "outer", "--", *inner, cwd=repo)

    assert done.returncode == 0, done.stderr
    assert shown("inner")["parents"] == [shown("outer")["id"]]
