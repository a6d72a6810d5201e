"""Who seeded what: found, watched and set."""

from __future__ import annotations

import inspect
import json
import os
import pickle
import random
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from gitrepro.training import seeds
from gitrepro.training.seeds import SeedWatch, mersenne_origin, settle_functions

SOURCE = Path(seeds.__file__)
Document = dict[str, Any]
Watch = Callable[..., SeedWatch]


@pytest.fixture
def watch() -> Iterator[Watch]:
    """Start watches that all end with the test."""
    started: list[SeedWatch] = []

    def start(**options: Any) -> SeedWatch:
        started.append(SeedWatch(**options))
        started[-1].start()
        return started[-1]

    yield start
    for each in reversed(started):
        each.stop()


def in_a_new_python(script: str, *flags: str, **variables: str) -> Any:
    """Run a script that has the watch at hand as `seeds`, and read the JSON it prints last."""
    prelude = f"import sys, json; sys.path.insert(0, {str(SOURCE.parent)!r}); import seeds\n"
    done = subprocess.run(
        [sys.executable, *flags, "-c", prelude + textwrap.dedent(script)],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def numpy_words(generator: np.random.RandomState) -> list[int]:
    words: list[int] = generator.get_state(legacy=False)["state"]["key"].tolist()
    return words


def as_integer(key: list[int]) -> int:
    return sum(word << 32 * place for place, word in enumerate(key))


# From a state back to its seed


@given(seed=st.integers(0, 2**256 - 1), drawn=st.integers(0, 4_000))
@example(seed=0, drawn=0)
@example(seed=2**32, drawn=312)
def test_the_seed_of_python_is_found_in_its_state(seed: int, drawn: int) -> None:
    generator = random.Random(seed)
    for _ in range(drawn):
        generator.random()

    kind, key = mersenne_origin(generator.getstate()[1][:624])

    assert kind == "array"
    assert random.Random(as_integer(key)).getstate() == random.Random(seed).getstate()


@given(seed=st.integers(0, 2**32 - 1), drawn=st.integers(0, 8_000))
@example(seed=0, drawn=0)
@example(seed=2**32 - 1, drawn=624)
def test_the_integer_seed_of_numpy_is_found_in_its_state(seed: int, drawn: int) -> None:
    generator = np.random.RandomState(seed)
    generator.tomaxint(drawn // 2)

    assert mersenne_origin(numpy_words(generator)) == ("integer", [seed])


def test_an_array_that_numpy_was_seeded_with_is_found() -> None:
    generator = np.random.RandomState([5, 2**32 - 1, 0])
    generator.rand(100)

    assert mersenne_origin(numpy_words(generator)) == ("array", [5, 2**32 - 1, 0])


def test_a_state_from_the_system_is_known_as_such_until_it_is_drawn_from() -> None:
    generator = random.Random()
    assert mersenne_origin(generator.getstate()[1][:624]) == ("entropy", [])

    generator.random()
    assert mersenne_origin(generator.getstate()[1][:624]) == ("unknown", [])


@given(word=st.integers(2, 623), bit=st.integers(0, 31))
def test_one_wrong_bit_is_no_seed(word: int, bit: int) -> None:
    words = numpy_words(np.random.RandomState(7))
    words[word] ^= 1 << bit

    assert mersenne_origin(words)[0] in ("entropy", "unknown")


def test_a_seed_drawn_from_too_often_is_not_guessed() -> None:
    generator = np.random.RandomState(7)
    generator.rand(100_000)

    assert mersenne_origin(numpy_words(generator)) == ("unknown", [])


# Calls, observed


def test_a_users_seeding_calls_are_seen_with_argument_and_order(watch: Watch) -> None:
    events: list[Document] = []
    watch(on_event=events.append)
    events.clear()

    torch.manual_seed(3)
    random.seed(a=4)
    np.random.seed(seed=5)

    assert [(event["call"], event["argument"], event["by"], event["order"]) for event in events] == [
        ("torch.manual_seed", 3, "user", 1),
        ("random.seed", 4, "user", 2),
        ("numpy.random.seed", 5, "user", 3),
    ]


def test_the_last_seed_is_the_effective_one(watch: Watch) -> None:
    looking = watch(requested=7, seed_now=True)
    torch.manual_seed(3)
    torch.random.manual_seed(4)

    row = looking.generators()["torch"]
    assert (row["requested"], row["effective"], row["seeded_by"], row["calls"]) == (7, 4, "user", 3)


def test_every_library_present_is_seeded_at_once(watch: Watch) -> None:
    looking = watch(requested=7, seed_now=True)

    drawn = random.random(), np.random.rand(), torch.rand(1).item()
    assert drawn[0] == random.Random(7).random()
    assert drawn[1] == np.random.RandomState(7).rand()
    assert drawn[2] == torch.rand(1, generator=torch.Generator().manual_seed(7)).item()
    rows = looking.generators()
    assert {(rows[name]["effective"], rows[name]["seeded_by"]) for name in ("python", "numpy", "torch")} == {
        (7, "gitrepro")
    }


def test_with_the_seed_torch_chooses_its_functions_while_one_thread_runs(watch: Watch, monkeypatch: Any) -> None:
    chosen: list[object] = []
    monkeypatch.setattr("gitrepro.training.seeds.settle_functions", chosen.append)
    watch()
    assert chosen == []
    watch(requested=7, seed_now=True)
    assert chosen == [torch]


def test_choosing_the_functions_draws_nothing_and_leaves_nothing() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    with torch.device("meta"):
        settle_functions(torch)
    assert torch.equal(torch.get_rng_state(), before)


def test_without_seed_now_no_state_is_touched(watch: Watch) -> None:
    before = random.getstate(), np.random.get_state(legacy=False), torch.get_rng_state()
    watch(requested=7).generators()

    after = random.getstate(), np.random.get_state(legacy=False), torch.get_rng_state()
    assert before[0] == after[0]
    np.testing.assert_equal(before[1], after[1])
    assert torch.equal(before[2], after[2])


def test_looking_at_the_generators_draws_nothing(watch: Watch) -> None:
    looking = watch(requested=1, seed_now=True)
    looking.generators()
    undisturbed = random.random(), np.random.rand(), torch.rand(1).item()
    watch(requested=1, seed_now=True)

    assert undisturbed == (random.random(), np.random.rand(), torch.rand(1).item())


def test_torch_seeding_cuda_inside_counts_as_one_call(watch: Watch) -> None:
    events: list[Document] = []
    watch(on_event=events.append)
    events.clear()
    torch.manual_seed(1)

    assert [event["call"] for event in events] == ["torch.manual_seed"]


def test_looking_does_not_start_cuda(watch: Watch) -> None:
    cuda: Any = torch.cuda
    started = cuda.is_initialized()
    looking = watch(requested=1, seed_now=True)
    looking.generators()

    assert cuda.is_initialized() == started


def test_an_error_in_the_observer_never_reaches_the_user(watch: Watch) -> None:
    def broken(event: Document) -> None:
        raise RuntimeError("the disk is full")

    looking = watch(requested=1, seed_now=True, on_event=broken)
    np.random.seed(5)

    assert looking.generators()["numpy"]["effective"] == 5


def test_a_users_own_mistake_reaches_the_user_and_is_no_seeding(watch: Watch) -> None:
    looking = watch(requested=1, seed_now=True)
    with pytest.raises(ValueError, match="between 0 and"):
        np.random.seed(-1)
    np.random.default_rng(3)

    assert looking.generators()["numpy"]["effective"] == 1
    assert looking.generators()["numpy"]["calls"] == 1


def test_seeding_from_the_system_is_seeding_by_nobody(watch: Watch) -> None:
    looking = watch(requested=1, seed_now=True)
    random.seed()
    np.random.seed(None)
    torch.seed()
    random.random(), np.random.rand(), torch.rand(1)

    rows = looking.generators()
    for name in ("python", "numpy", "torch"):
        assert (rows[name]["effective"], rows[name]["seeded_by"], rows[name]["used"]) == (None, "nobody", True)
        assert rows[name]["drawn_unseeded"]


def test_a_seed_that_is_no_integer_is_the_users_and_has_no_number(watch: Watch) -> None:
    looking = watch()
    random.seed("a string")
    np.random.seed([1, 2])

    rows = looking.generators()
    assert (rows["python"]["effective"], rows["python"]["seeded_by"]) == (None, "user")
    assert (rows["numpy"]["effective"], rows["numpy"]["seeded_by"]) == (None, "user")


def test_numpy_integers_and_tensors_count_as_the_integers_they_are(watch: Watch) -> None:
    looking = watch()
    np.random.seed(np.int64(11))
    torch.manual_seed(torch.tensor(12))

    assert looking.generators()["numpy"]["effective"] == 11
    assert looking.generators()["torch"]["effective"] == 12


def test_seeding_past_the_watched_functions_is_found_in_the_state(watch: Watch) -> None:
    looking = watch(requested=1, seed_now=True)
    random._inst.seed(21)
    np.random.mtrand._rand.seed(22)
    torch.default_generator.manual_seed(23)
    random.random(), np.random.rand(), torch.rand(1)

    rows = looking.generators()
    assert [rows[name]["effective"] for name in ("python", "numpy", "torch")] == [21, 22, 23]
    assert {rows[name]["seeded_by"] for name in ("python", "numpy", "torch")} == {"user"}


def test_a_fork_of_the_torch_generator_leaves_the_seed_in_force_as_it_was(watch: Watch) -> None:
    looking = watch(requested=7, seed_now=True)
    with torch.random.fork_rng():
        torch.manual_seed(99)
        assert looking.generators()["torch"]["effective"] == 99

    row = looking.generators()["torch"]
    assert (row["effective"], row["seeded_by"]) == (7, "gitrepro")


def test_a_state_put_back_is_counted_and_its_origin_left_open(watch: Watch) -> None:
    looking = watch()
    random.seed()
    saved = random.getstate()
    random.random()
    random.setstate(saved)

    row = looking.generators()["python"]
    assert (row["restored"], row["seeded_by"]) == (1, "unknown")


def test_a_generator_is_used_once_it_was_drawn_from(watch: Watch) -> None:
    looking = watch(requested=7, seed_now=True)
    fresh = looking.generators()["numpy"]
    assert not fresh["used"]
    assert fresh["start"] == fresh["now"]

    np.random.rand()
    drawn = looking.generators()["numpy"]
    assert drawn["used"]
    assert drawn["start"] == fresh["start"] != drawn["now"]


def test_drawing_before_seeding_is_not_taken_back_by_seeding(watch: Watch) -> None:
    looking = watch()
    np.random.seed(None)
    np.random.rand()
    np.random.seed(1)

    row = looking.generators()["numpy"]
    assert (row["effective"], row["seeded_by"], row["used"], row["drawn_unseeded"]) == (1, "user", True, True)


def test_drawing_after_seeding_is_not_unseeded(watch: Watch) -> None:
    looking = watch(requested=1, seed_now=True)
    np.random.rand()

    assert not looking.generators()["numpy"]["drawn_unseeded"]


def test_generators_made_with_and_without_a_seed_are_counted(watch: Watch) -> None:
    looking = watch()
    made = np.random.default_rng(1)
    np.random.default_rng(made)  # handed through
    np.random.default_rng(seed=np.random.SeedSequence(3))
    for _ in range(3):
        np.random.default_rng()

    row = looking.generators()["numpy.default_rng"]
    assert (row["seeded"], row["unseeded"]) == (2, 3)
    assert len(row["unseeded_at"]) == 1
    assert row["unseeded_at"][0].startswith(f"{__name__}:")


def test_generators_that_scipy_makes_while_it_is_imported_are_not_the_programs() -> None:
    rows = in_a_new_python("""
        watch = seeds.SeedWatch()
        watch.start()
        import scipy.stats
        imported = watch.generators()
        scipy.stats.Normal().sample()
        print(json.dumps([imported, watch.generators()]))
    """)

    assert "numpy.default_rng" not in rows[0]
    assert rows[1]["numpy.default_rng"]["unseeded"] >= 1


def test_no_row_for_generators_that_nobody_made(watch: Watch) -> None:
    assert "numpy.default_rng" not in watch().generators()


def test_a_loop_that_seeds_for_every_sample_does_not_flood(watch: Watch) -> None:
    events: list[Document] = []
    looking = watch(on_event=events.append)
    events.clear()
    for sample in range(1_000):
        random.seed(sample)
        random.random()

    assert len(events) < 30
    row = looking.generators()["python"]
    assert (row["calls"], row["effective"], row["start"]) == (1_000, 999, None)


def test_threads_are_told_apart(watch: Watch) -> None:
    looking = watch(requested=1, seed_now=True)
    threads = [threading.Thread(target=np.random.seed, args=(5,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert looking.generators()["numpy"]["calls"] == 9


@pytest.mark.parametrize("seed", [None, -1, 2**32])
def test_a_seed_that_not_every_library_takes_is_refused(seed: int | None) -> None:
    with pytest.raises(ValueError, match="from 0 to"):
        SeedWatch(requested=seed, seed_now=True)


# Functions keep their looks

WATCHED = ("random.seed", "np.random.seed", "np.random.default_rng", "torch.manual_seed", "torch.cuda.manual_seed_all")


def looks(function: Any) -> dict[str, Any]:
    return {
        "name": function.__name__,
        "doc": function.__doc__,
        "module": function.__module__,
        "signature": str(inspect.signature(function)),
        "annotations": getattr(function, "__annotations__", {}),
    }


@pytest.mark.parametrize("name", WATCHED)
def test_a_watched_function_looks_as_it_did(watch: Watch, name: str) -> None:
    before = eval(name)
    expected = looks(before)
    watch()

    assert eval(name) is not before
    after = looks(eval(name))
    # torch.compile's own wrapper says that it lies in torch.random, where it cannot be found; ours says where it lies.
    assert after == expected or ({**after, "module": expected["module"]} == expected and hasattr(before, "__wrapped__"))


def test_a_call_is_seen_through_the_wrapper_of_torch_compile(watch: Watch) -> None:
    torch.use_deterministic_algorithms(True)  # brings in the compiler, which wraps torch.manual_seed
    torch.use_deterministic_algorithms(False)
    assert torch.manual_seed is not torch.random.manual_seed
    looking = watch()
    torch.manual_seed(5)

    assert looking.generators()["torch"]["effective"] == 5
    assert looking.generators()["torch"]["calls"] == 1


@pytest.mark.parametrize("name", WATCHED)
def test_a_watched_function_pickles_by_reference(watch: Watch, name: str) -> None:
    watch()
    assert pickle.loads(pickle.dumps(eval(name))) is eval(name)


def test_what_was_pickled_while_watched_is_read_without_a_watch(watch: Watch) -> None:
    looking = watch()
    pickled = pickle.dumps(torch.manual_seed)
    looking.stop()

    assert pickle.loads(pickled) is torch.manual_seed


@pytest.mark.parametrize("name", WATCHED)
def test_stop_puts_the_originals_back(watch: Watch, name: str) -> None:
    before = eval(name)
    looking = watch()
    looking.stop()

    assert eval(name) == before  # random.seed is a bound method: equal, and the very one that the module holds


def test_stop_leaves_a_wrapper_that_someone_put_around_ours(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    looking = watch()
    ours = np.random.seed
    monkeypatch.setattr(np.random, "seed", lambda *args: ours(*args))
    theirs = np.random.seed
    looking.stop()

    np.random.seed(5)
    assert np.random.seed is theirs
    assert looking.generators()["numpy"]["calls"] == 0
    monkeypatch.undo()
    np.random.seed = np.random.mtrand.seed


def test_the_first_watch_is_found_while_it_runs(watch: Watch) -> None:
    before = seeds.active()
    first = watch()
    second = watch()
    assert seeds.active() is (before or first)
    first.stop()
    assert seeds.active() is (before or second)


# What was before the watch


def test_seeds_that_a_program_set_before_are_found() -> None:
    rows = in_a_new_python("""
        import random, numpy as np, torch
        random.seed(42); np.random.seed(43); torch.manual_seed(44)
        random.shuffle(list(range(100))); np.random.rand(500); torch.rand(5)
        watch = seeds.SeedWatch(); watch.start()
        print(json.dumps(watch.generators()))
    """)

    assert [rows[name]["effective"] for name in ("python", "numpy", "torch")] == [42, 43, 44]
    assert {rows[name]["seeded_by"] for name in ("python", "numpy", "torch")} == {"user"}
    assert {rows[name]["used"] for name in ("python", "numpy", "torch")} == {False}


def test_generators_that_nobody_seeded_are_known_as_such() -> None:
    rows = in_a_new_python("""
        import random, numpy as np, torch
        watch = seeds.SeedWatch(); watch.start()
        random.random(), np.random.rand(), torch.rand(5)
        print(json.dumps(watch.generators()))
    """)

    for name in ("python", "numpy", "torch"):
        assert (rows[name]["effective"], rows[name]["seeded_by"], rows[name]["used"]) == (None, "nobody", True)


def test_what_was_drawn_before_the_watch_without_a_seed_is_unknown() -> None:
    rows = in_a_new_python("""
        import random
        random.random()
        watch = seeds.SeedWatch(); watch.start()
        print(json.dumps(watch.generators()))
    """)

    assert (rows["python"]["effective"], rows["python"]["seeded_by"]) == (None, "unknown")


def test_another_algorithm_behind_numpy_is_unknown_and_no_error() -> None:
    rows = in_a_new_python("""
        import numpy as np
        np.random.set_bit_generator(np.random.PCG64(3))
        watch = seeds.SeedWatch(); watch.start()
        np.random.rand()
        print(json.dumps(watch.generators()))
    """)

    assert (rows["numpy"]["seeded_by"], rows["numpy"]["used"]) == ("unknown", True)


# Right after an import


def test_libraries_are_seeded_right_after_their_import() -> None:
    drawn = in_a_new_python("""
        seeds.SeedWatch(requested=7, seed_now=True).start()
        import torch, random, numpy as np
        print(json.dumps([random.random(), np.random.rand(), torch.rand(1).item()]))
    """)

    assert drawn == [
        random.Random(7).random(),
        np.random.RandomState(7).rand(),
        torch.rand(1, generator=torch.Generator().manual_seed(7)).item(),
    ]


def test_seeding_happens_once_however_often_a_library_is_imported() -> None:
    calls = in_a_new_python("""
        import importlib
        watch = seeds.SeedWatch(requested=7, seed_now=True); watch.start()
        import numpy.random
        numpy.random.seed(3)
        importlib.reload(numpy.random)
        print(json.dumps(watch.generators()["numpy"]["effective"]))
    """)

    assert calls == 3


def test_importing_a_library_moves_no_generator() -> None:
    rows = in_a_new_python("""
        watch = seeds.SeedWatch(); watch.start()
        import random, numpy.random, torch, torch.utils.data, scipy.stats, sklearn.ensemble, tempfile, PIL.Image
        tempfile.TemporaryDirectory().cleanup()
        print(json.dumps(watch.generators()))
    """)

    assert [rows[name]["used"] for name in ("python", "numpy", "torch")] == [False, False, False]


@pytest.mark.parametrize(("before", "after"), [("random.random()", ""), ("", "random.random()")])
def test_a_draw_beside_an_import_that_draws_is_the_program_s(before: str, after: str) -> None:
    pytest.importorskip("rich")
    rows = in_a_new_python(f"""
        import random
        watch = seeds.SeedWatch(); watch.start()
        {before}
        import rich.style
        {after}
        print(json.dumps(watch.generators()))
    """)

    assert rows["python"]["used"] is True


def test_libraries_that_were_not_imported_do_not_appear() -> None:
    rows = in_a_new_python("""
        watch = seeds.SeedWatch(requested=7, seed_now=True); watch.start()
        rows = watch.generators()
        assert "random" not in sys.modules and "numpy" not in sys.modules
        print(json.dumps(rows))
    """)

    assert list(rows) == ["hash"]


def test_a_module_found_through_the_watch_has_its_own_loader() -> None:
    seen = in_a_new_python("""
        import importlib.machinery, importlib.util
        def loaders():
            import numpy.random
            return [type(numpy.random.__loader__).__name__, type(numpy.random.__spec__.loader).__name__]
        watch = seeds.SeedWatch(); watch.start()
        specified = importlib.util.find_spec("random")
        print(json.dumps([loaders(), specified.origin, specified.loader.get_filename("random")]))
    """)

    assert seen == [["SourceFileLoader"] * 2, random.__file__, random.__file__]


def test_a_library_that_is_missing_is_missing_as_ever() -> None:
    said = in_a_new_python("""
        watch = seeds.SeedWatch(requested=7, seed_now=True); watch.start()
        sys.path[:] = [entry for entry in sys.path if "site-packages" not in entry]
        try:
            import torch
        except ModuleNotFoundError as error:
            print(json.dumps([error.name, str(error)]))
    """)

    assert said == ["torch", "No module named 'torch'"]


# Hashes


@pytest.mark.parametrize(
    ("value", "flags", "expected"),
    [
        ("0", (), {"PYTHONHASHSEED": "0", "randomised": False}),
        ("5", (), {"PYTHONHASHSEED": "5", "randomised": False}),
        ("random", (), {"PYTHONHASHSEED": "random", "randomised": True}),
        ("5", ("-E",), {"PYTHONHASHSEED": "5", "randomised": True}),
    ],
)
def test_the_hash_seed_is_the_one_in_force(value: str, flags: tuple[str, ...], expected: Document) -> None:
    assert in_a_new_python("print(json.dumps(seeds.hash_seed()))", *flags, PYTHONHASHSEED=value) == expected


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="this system does not tell")
def test_a_hash_seed_set_after_the_start_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONHASHSEED", raising=False)
    said = in_a_new_python("""
        import os
        os.environ["PYTHONHASHSEED"] = "5"
        print(json.dumps(seeds.hash_seed()))
    """)

    assert said == {"PYTHONHASHSEED": None, "randomised": True}


@pytest.mark.gpu
def test_cuda_devices_appear_once_they_are_in_use() -> None:
    rows = in_a_new_python("""
        import torch
        watch = seeds.SeedWatch(requested=7, seed_now=True); watch.start()
        before = list(watch.generators())
        torch.rand(1, device="cuda")
        torch.cuda.manual_seed(3)
        print(json.dumps([before, watch.generators()["torch.cuda:0"]]))
    """)

    before, row = rows
    assert "torch.cuda:0" not in before
    assert (row["effective"], row["seeded_by"], row["used"]) == (3, "user", True)
