"""What `log` takes, what it refuses, and what then stands on record."""

from __future__ import annotations

import math

import pytest


def test_every_kind_of_number_is_kept_as_it_is(script, rows):
    done = script("""
        import decimal, fractions, numpy as np, torch
        with gitrepro.record() as run:
            run.log({"int": 2**62, "float": 0.1, "bool": True, "fraction": fractions.Fraction(1, 4)})
            run.log({"f16": np.float16(0.5), "i64": np.int64(-7), "zero_d": np.array(3.5), "one": np.array([4])})
            run.log({"t": torch.tensor(1.5), "t1": torch.tensor([2.5]), "g": torch.tensor(3.5, requires_grad=True)})
            run.log({"half": torch.tensor(0.25, dtype=torch.float16), "brain": torch.tensor(2, dtype=torch.bfloat16)})
            run.log({"long": torch.tensor(7), "truth": torch.tensor(True), "decimal": decimal.Decimal("0.125")})
    """)

    assert (done.returncode, done.stderr) == (0, "")
    logged = {
        name: value for row in rows() for name, value in row.items() if value is not None and not name.startswith("_")
    }
    assert logged == {
        "int": 2**62, "float": 0.1, "bool": 1, "fraction": 0.25, "f16": 0.5, "i64": -7, "zero_d": 3.5, "one": 4,
        "t": 1.5, "t1": 2.5, "g": 3.5, "half": 0.25, "brain": 2.0, "long": 7, "truth": 1, "decimal": 0.125,
    }  # fmt: skip


def test_what_is_not_finite_is_a_value_too(script, rows, shown):
    script("with gitrepro.record() as run: run.log({'a': float('nan'), 'b': float('inf'), 'c': -float('inf')})")

    (row,) = rows()
    assert math.isnan(row["a"])
    assert (row["b"], row["c"]) == (math.inf, -math.inf)
    assert shown()["summary"] == {"a": "NaN", "b": "Infinity", "c": "-Infinity"}
    assert shown()["metrics"]["a"]["nonfinite"] == 1


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("None", "NoneType is not a number"),
        ("'0.5'", "str is not a number"),
        ("b'1'", "bytes is not a number"),
        ("1j", "complex is not a number"),
        ("object()", "object is not a number"),
        ("[1.0]", "list is not a number"),
        ("{'loss': 1.0}", "dict is not a number"),
        ("2**63", "beyond 64 bits"),
        ("10**400", "beyond 64 bits"),
        ("np.zeros(3)", "shape (3,) is not one number"),
        ("np.zeros(0)", "shape (0,) is not one number"),
        ("torch.ones(2, 2)", "shape (2, 2) is not one number"),
        ("torch.tensor(1j)", "complex is not a number"),
        ("np.array('x')", "str is not a number"),
        ("Broken()", "RuntimeError: device lost"),
    ],
)
def test_what_is_no_number_warns_once_and_the_rest_is_kept(script, shown, value, why):
    done = script(f"""
        import numpy as np
        torch = None
        if "torch" in {value!r}:
            import torch
        class Broken:
            def __float__(self): raise RuntimeError("device lost")
        with gitrepro.record() as run:
            for i in range(3):
                run.log({{"bad": {value}, "good": i}})
    """)

    assert done.returncode == 0, done.stderr
    assert done.stderr.count("GitreproWarning") == 1
    assert why in done.stderr
    found = shown()
    # What was no number is the program's business: all that could be kept is kept, so the run is finished.
    assert found["status"] == "finished"
    assert found["summary"] == {"good": 2}
    assert [(loss["kind"], loss["what"]) for loss in found["losses"]] == [("rejected", "metric bad: 3 values")]


@pytest.mark.parametrize("name", ["", "_x", "a\nb", "a\x1b[31m", "x" * 257, "x" * 10_000, "\ud800", 3, None, ("a",)])
def test_a_name_that_cannot_be_kept_is_refused_when_it_is_first_seen(script, shown, name):
    done = script(f"with gitrepro.record() as run:\n    run.log({{{name!r}: 0.5, 'good': 1.0}})")

    assert done.returncode == 0, done.stderr
    assert done.stderr.count("GitreproWarning") == 1
    assert "\x1b" not in done.stderr
    assert shown()["summary"] == {"good": 1.0}
    assert shown()["losses"][0]["kind"] == "rejected"


@pytest.mark.parametrize("name", ["../../etc/passwd", "/a//b", "loss 🎉", "a.b", "a:b", " ", "yes", "x" * 256, "損失"])
def test_a_name_may_be_odd(script, shown, name):
    done = script(f"with gitrepro.record() as run: run.log({{{name!r}: 0.5}})")

    assert (done.returncode, done.stderr) == (0, "")
    assert shown()["summary"] == {name: 0.5}


def test_a_flood_of_names_has_an_end_and_a_record(script, shown):
    done = script("""
        from gitrepro.run.values import MAX_NAMES
        with gitrepro.record() as run:
            run.log({f"weights of the layer number {i:06d}": 1.0 for i in range(MAX_NAMES)})
            run.log({"one more": 1.0, "weights of the layer number 000000": 2.0})
    """)

    assert done.returncode == 0, done.stderr
    found = shown()
    assert found["status"] == "finished"
    assert {loss["kind"] for loss in found["losses"]} == {"rejected", "limit"}
    assert found["summary"]["weights of the layer number 000000"] == 2.0
    assert 100 < len(found["metrics"]) < 10_000


def test_steps_may_repeat_and_go_back_and_count_on_by_themselves(script, rows):
    script("""
        import numpy as np
        with gitrepro.record() as run:
            for step in (0, 5, 5, 2, -3, np.int64(9), 2**63 - 1):
                run.log({"a": 1.0}, step=step)
            run.log({"a": 1.0}, step=100)
            run.log({"a": 1.0})
    """)

    assert [row["_step"] for row in rows()] == [0, 5, 5, 2, -3, 9, 2**63 - 1, 100, 101]


@pytest.mark.parametrize("step", ["1.0", "'1'", "2**63", "-2**63 - 1", "object()", "[1]"])
def test_a_step_that_is_no_integer_is_the_callers_mistake(script, shown, step):
    done = script(f"""
        with gitrepro.record() as run:
            try:
                run.log({{"a": 1.0}}, step={step})
            except gitrepro.errors.UsageError as error:
                print("refused:", error)
            run.log({{"a": 2.0}})
    """)

    assert done.stdout.startswith("refused: step ")
    assert shown()["metrics"]["a"]["count"] == 1


@pytest.mark.parametrize("values", ["None", "3", "'loss'", "[('a', 1)]"])
def test_what_is_no_mapping_is_the_callers_mistake(script, values):
    done = script(f"with gitrepro.record() as run: run.log({values})")

    assert done.returncode == 1
    assert "UsageError: log() takes a mapping" in done.stderr


def test_an_empty_row_is_no_trouble(script, shown):
    assert script("with gitrepro.record() as run: run.log({})").returncode == 0
    assert shown()["status"] == "finished"


DEVICE = """
    import threading, time
    class Device:
        type = "cuda"
    class OnDevice:
        device, shape = Device(), ()
        def __init__(self, value): self.value, self.read_by = value, None
        def detach(self): return self
        def clone(self): return OnDevice(self.value)
        def item(self):
            assert threading.current_thread() is not threading.main_thread() or finishing, "the caller waits"
            return self.value
    finishing = False
"""


def test_a_device_is_not_waited_for_and_its_values_join_their_rows(script, rows):
    done = script(
        DEVICE
        + """
    run = gitrepro.record()
    for step in range(3):
        run.log({"loss": OnDevice(step / 2), "lr": 0.1}, step=step)
    run.log({"alone": OnDevice(float("nan"))}, step=3)
    time.sleep(1.5)
    run.log({"loss": OnDevice(9.0)}, step=4)
    finishing = True
    run.finish()
    """
    )

    assert (done.returncode, done.stderr) == (0, "")
    found = rows()
    assert [row["_step"] for row in found] == [0, 1, 2, 3, 4]
    assert [row["loss"] for row in found] == [0.0, 0.5, 1.0, None, 9.0]
    assert [row["lr"] for row in found] == [0.1, 0.1, 0.1, None, None]
    assert math.isnan(found[3]["alone"])


def test_a_value_that_changes_on_its_device_is_kept_as_it_was(script, rows):
    script(
        DEVICE
        + """
    run = gitrepro.record()
    value = OnDevice(1.0)
    run.log({"loss": value})
    value.value = 2.0
    finishing = True
    run.finish()
    """
    )

    assert rows()[0]["loss"] == 1.0


def test_a_large_device_tensor_is_refused_without_a_copy(script, shown):
    done = script(
        DEVICE
        + """
    OnDevice.shape = (1000, 1000)
    OnDevice.clone = None
    with gitrepro.record() as run:
        run.log({"image": OnDevice(1.0), "good": 1.0})
    """
    )

    assert done.returncode == 0, done.stderr
    assert "shape (1000, 1000) is not one number" in done.stderr
    assert shown()["summary"] == {"good": 1.0}


def test_a_device_that_fails_costs_its_value_and_no_other(script, shown):
    done = script(
        DEVICE
        + """
    class Lost(OnDevice):
        def clone(self): return self
        def item(self): raise RuntimeError("CUDA error: device-side assert triggered")
    with gitrepro.record() as run:
        run.log({"bad": Lost(1.0), "good": 1.0})
    """
    )

    assert done.returncode == 0, done.stderr
    assert shown()["summary"] == {"good": 1.0}
    assert "device-side assert" in shown()["losses"][0]["why"]


def test_a_goal_makes_the_best_value_the_one_that_counts(script, shown, cli, repo):
    script("""
        with gitrepro.record() as run:
            run.define_metric("acc", goal="max")
            for value in (0.1, 0.9, 0.5): run.log({"acc": value})
    """)

    assert shown()["summary"]["acc"] == 0.9
    assert shown("@best:acc")["id"] == shown()["id"]


@pytest.mark.parametrize("call", ["define_metric('a', goal='up')", "define_metric('_a', goal='max')"])
def test_a_goal_that_means_nothing_is_the_callers_mistake(script, call):
    assert "UsageError" in script(f"gitrepro.record().{call}").stderr


def test_a_summary_of_ones_own_stands_over_what_is_computed(script, shown):
    script("""
        import numpy as np
        with gitrepro.record() as run:
            run.log({"acc": 0.5})
            run.summary["acc"] = 0.75
            run.summary["verdict"] = "good"
            run.summary["scores"] = np.array([1.0, 2.0])
            run.summary["api_token"] = "sk-0123456789abcdef0123456789abcdef"
    """)

    summary = shown()["summary"]
    assert (summary["acc"], summary["verdict"]) == (0.75, "good")
    assert "0123456789abcdef" not in str(summary)


def test_a_summary_larger_than_a_record_costs_only_itself(script, shown):
    done = script("""
        with gitrepro.record() as run:
            run.log({"acc": 0.5})
            for part in range(4): run.summary[f"text {part}"] = "x" * 500_000
    """)

    assert done.returncode == 0, done.stderr
    assert shown()["summary"]["acc"] == 0.5
    assert any(loss["kind"] == "limit" for loss in shown()["losses"])
