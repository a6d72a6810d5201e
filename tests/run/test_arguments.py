"""The arguments of `record`, right and wrong, and the config it puts on record."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("name=3", "run name 3 is not text"),
        ("name=''", "the run name is empty"),
        ("name='a\\nb'", "has control characters"),
        ("name='x' * 201", "has 201 characters"),
        ("group=['a']", "group ['a'] is not text"),
        ("labels='word'", "labels 'word' is not a list of words"),
        ("labels=5", "labels 5 is not a list of words"),
        ("labels=[None]", "label None is not text"),
        ("note=5", "note 5 is not text"),
        ("note='x' * 100_001", "the note has 100001 characters"),
        ("seed=1.5", "seed 1.5 is not an integer"),
        ("seed=True", "seed True is not an integer"),
        ("seed='7'", "seed '7' is not an integer"),
        ("seed=-1", "seed -1 is out of range"),
        ("seed=2**32", "out of range"),
        ("kind='trane'", "there is no kind 'trane'"),
        ("kind=['train']", "there is no kind"),
        ("repo=5", "repo 5 is not a path"),
        ("repo='a\\0b'", "is not a path"),
        ("config=5", "config"),
        ("config=cycle", "config"),
        ("config={'x': 'y' * (2 << 20)}", "config"),
        ("config={str(i): 'y' * 1000 for i in range(1200)}", "config"),
        ("config={'k' * 10_000: 1}", "config"),
    ],
)
def test_a_wrong_argument_is_said_before_anything_is_done(script, cli, repo, call, message):
    done = script(f"""
        cycle = {{}}
        cycle["self"] = cycle
        try:
            gitrepro.record({call})
        except gitrepro.errors.UsageError as error:
            print(error)
    """)

    assert done.returncode == 0, done.stderr
    assert message in done.stdout
    assert cli("ls", "--json", cwd=repo).stdout.strip() == "[]"


def test_words_about_a_run_are_on_record(script, shown):
    script("""
        with gitrepro.record(name="first 🎉", group="g", labels=["b", "a", "a"], note="two\\nlines", kind="eval"): pass
    """)

    found = shown()
    assert (found["name"], found["group"], found["labels"], found["kind"]) == ("first 🎉", "g", ["a", "b"], "eval")


def test_configs_of_all_kinds_are_understood(script, shown):
    script("""
        import argparse, dataclasses, pathlib
        @dataclasses.dataclass
        class Model:
            depth: int = 3
        @dataclasses.dataclass
        class Config:
            model: Model = dataclasses.field(default_factory=Model)
            where: pathlib.Path = pathlib.Path("data")
        space = argparse.Namespace(inner=Config(), no="yes", e="1e5", tilde="~", time="1:30", nothing=None)
        with gitrepro.record(config=vars(space)): pass
    """)

    assert shown()["config"] == {
        "inner": {"model": {"depth": 3}, "where": "data"},
        "no": "yes",
        "e": "1e5",
        "tilde": "~",
        "time": "1:30",
        "nothing": None,
    }
    assert shown()["config_sources"]["inner.model.depth"] == "code"


def test_a_secret_in_the_config_is_not_on_record(script, shown, repo):
    script("with gitrepro.record(config={'api_key': 'hunter2hunter2', 'lr': 0.1}) as run: print(run.config.api_key)")

    assert shown()["config"]["lr"] == 0.1
    assert "hunter2hunter2" not in str(shown())


def test_a_config_changed_on_the_way_keeps_what_it_was(script, shown, cli, repo):
    script("""
        with gitrepro.record(config={"lr": 0.1, "model": {"depth": 2}}) as run:
            for step in range(1000): run.config.lr = 0.1 / (step + 2)
            run.config.model.depth = 3
    """)

    assert shown()["config"] == {"lr": 0.1 / 1001, "model": {"depth": 3}}
    document = cli("show", "--config", cwd=repo).stdout
    assert "model.depth:" in document
    assert document.count("source:") < 30


def test_a_config_that_outgrows_its_record_costs_only_the_change(script, shown):
    done = script("""
        with gitrepro.record(config={"lr": 0.1}) as run:
            run.config.lr = 0.2
            run.config.table = "x" * 600_000
            run.config.other = "y" * 600_000
    """)

    assert done.returncode == 0, done.stderr
    found = shown()
    assert found["config"]["lr"] == 0.2
    assert found["status"] == "incomplete"
    assert "changes of the config value" in found["losses"][0]["what"]


def test_a_long_command_is_cut_on_record_and_says_so(script, shown):
    done = script("with gitrepro.record(): pass", args=("x" * 100_000, "y" * 100_000))

    assert done.returncode == 0, done.stderr
    assert shown()["losses"][0]["what"] == "the end of the command"
    assert shown()["status"] == "finished"


def test_thousands_of_files_beside_the_code_do_not_stop_a_run(script, shown, repo):
    (repo / "notes.py").write_text("x = 1\n")
    (repo / "data").mkdir()
    for number in range(3000):
        (repo / "data" / f"a rather long name for a file of settings {number}.yaml").write_bytes(b"x" * 10_000)

    done = script("with gitrepro.record(): pass")

    assert (done.returncode, done.stderr) == (0, "")
    code = shown()["code"]
    assert code["left_out_count"] > len(code["left_out"])


def test_a_seed_in_the_code_is_set_and_on_record(script, shown):
    first, second = (
        script("import random\nimport numpy as np\ngitrepro.record(seed=7)\nprint(random.random(), np.random.rand())")
        for _ in range(2)
    )

    assert first.stdout == second.stdout != ""
    assert shown()["seeds"]["requested"] == 7
    assert shown()["seeds"]["effective"]["python"] == 7


def test_without_a_seed_nothing_is_touched_and_the_users_own_is_seen(script, shown):
    plain = script("import random\nrandom.seed(5)\nprint(random.random())")
    recorded = script("import random\nwith gitrepro.record():\n    random.seed(5)\n    print(random.random())")

    assert recorded.stdout == plain.stdout
    assert shown()["seeds"]["requested"] is None
    assert shown()["seeds"]["effective"]["python"] == 5


@pytest.mark.parametrize("seed", ["np.int64(3)", "np.uint32(3)", "torch.tensor(3)"])
def test_an_integer_of_another_library_is_a_seed(script, shown, seed):
    library = "torch" if "torch" in seed else "numpy as np"
    script(f"import {library}\nwith gitrepro.record(seed={seed}): pass")

    assert shown()["seeds"]["requested"] == 3


def test_recording_can_be_turned_off_and_seeds_hold_all_the_same(script, cli, repo):
    code = """
        import pickle, random
        with gitrepro.record(config={"a": 1}, seed=7) as run:
            run.log({"loss": 1.0})
            run.define_metric("loss", goal="min")
            run.summary["x"] = 1
            run.config["b"] = 2
            print(random.random(), run.config.a, pickle.loads(pickle.dumps(run)).name == run.name)
    """
    off, on = script(code, env={"GITREPRO_MODE": "disabled"}), script(code)

    assert (off.returncode, off.stderr) == (0, "")
    assert off.stdout == on.stdout
    assert len(__import__("json").loads(cli("ls", "--json", cwd=repo).stdout)) == 1


def test_a_mode_that_means_nothing_is_said_and_the_run_is_kept(script, shown):
    done = script("with gitrepro.record(): pass", env={"GITREPRO_MODE": "offline"})

    assert "GITREPRO_MODE" in done.stderr
    assert shown()["status"] == "finished"
