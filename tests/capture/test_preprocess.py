"""What a preparation of data is described by: the same in every process, another for another preparation."""

from __future__ import annotations

import runpy
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from gitrepro.capture.preprocess import describe

ROOT = Path(__file__).parent.parent.parent
TRANSFORMS = """
import functools, random, threading
import numpy as np
MEAN = 0.5

def center(x):
    return x - MEAN

def scaled(factor):
    def scale(x):
        return x * factor
    return scale

def clip(x, low=0.0, high=1.0):
    return min(max(x, low), high)

class Flip:
    def __init__(self, p):
        self.p = p
        self.random = random.Random()
    def __call__(self, x):
        return center(x)

class Compose:
    def __init__(self, transforms):
        self.transforms = transforms
"""


def canonical(expression: str, transforms: str = TRANSFORMS, *, folder: Path, hash_seed: str = "0") -> str:
    """The description of `expression`, made in a process of its own from a module on disk."""
    (folder / "transforms.py").write_text(transforms)
    script = (
        "import sys; sys.dont_write_bytecode = True\n"
        f"sys.path[:0] = [{str(folder)!r}, {str(ROOT)!r}]\n"
        "from transforms import *\nimport transforms\nfrom gitrepro.capture.preprocess import describe\n"
        f"print('\\n'.join(f'{{part.type}} {{part.canonical}}' for part in describe({expression})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env={"PYTHONHASHSEED": hash_seed}, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


PIPELINES = [
    "Compose([Flip(0.5), center, scaled(2)])",
    "functools.partial(clip, high=np.array([1.0, 2.0]))",
    "[{'b', 'a', 'c'}, {'x': 1, 'y': None}, threading.Lock()]",
    "Flip(0.5).__call__",
]


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_one_pipeline_is_one_text_in_every_process(tmp_path, pipeline):
    first, second = (canonical(pipeline, folder=tmp_path, hash_seed=seed) for seed in ("1", "2"))

    assert first == second
    assert "0x" not in first


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Flip(0.5)", "Flip(0.25)"),
        ("scaled(2)", "scaled(3)"),
        ("functools.partial(clip, high=1)", "functools.partial(clip, high=2)"),
        ("[Flip(0.5), center]", "[center, Flip(0.5)]"),
        ("Compose([center])", "Compose([center, center])"),
        ("np.array([1.0, 2.0])", "np.array([1.0, 2.5])"),
        ("np.array([1.0])", "np.array([1.0], dtype='float32')"),
        ("np.abs", "np.negative"),
        ("1", "1.0"),
        ("[1, 2]", "[12]"),
    ],
)
def test_another_parameter_or_order_is_another_text(tmp_path, one, other):
    (tmp_path / "transforms.py").write_text(TRANSFORMS)
    space = runpy.run_path(str(tmp_path / "transforms.py"))

    assert text_of(eval(one, space)) != text_of(eval(other, space))


@pytest.mark.parametrize(
    ("pipeline", "before", "after"),
    [
        ("center", "x - MEAN", "x + MEAN"),
        ("center", "MEAN = 0.5", "MEAN = 0.6"),
        ("Flip(0.5)", "return center(x)", "return -center(x)"),
        ("Flip(0.5)", "x - MEAN", "x + MEAN"),
        ("scaled(2)", "x * factor", "x / factor"),
        ("clip", "high=1.0", "high=2.0"),
    ],
)
def test_another_source_is_another_text(tmp_path, pipeline, before, after):
    changed = TRANSFORMS.replace(before, after)
    assert changed != TRANSFORMS

    assert canonical(pipeline, folder=tmp_path) != canonical(pipeline, changed, folder=tmp_path)


def test_code_that_the_pipeline_does_not_use_changes_nothing(tmp_path):
    changed = TRANSFORMS + "\ndef unrelated():\n    return 1\n"

    assert canonical("Flip(0.5)", folder=tmp_path) == canonical("Flip(0.5)", changed, folder=tmp_path)


def installed(folder: Path, version: str) -> str:
    """The description of a class of a package that lies in a site-packages folder of its own, in that version."""
    site = folder / "dist-packages"
    (site / "vision").mkdir(parents=True, exist_ok=True)
    (site / "vision" / "__init__.py").write_text(
        f"__version__ = {version!r}\nclass Resize:\n    def __init__(self, size):\n        self.size = size\n"
    )
    script = (
        f"import sys; sys.path[:0] = [{str(site)!r}, {str(ROOT)!r}]; sys.dont_write_bytecode = True\n"
        "import vision\nfrom gitrepro.capture.preprocess import describe\n"
        "[part] = describe(vision.Resize(32)); print(part.source, part.canonical)"
    )
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout


def test_another_version_of_the_library_is_another_text(tmp_path):
    first, again, second = installed(tmp_path, "1.0"), installed(tmp_path, "1.0"), installed(tmp_path, "1.1")

    assert first == again != second
    assert first.startswith("vision 1.0 ")


def text_of(transform: object) -> str:
    return "\n".join(part.canonical for part in describe(transform))


def test_lambdas_count_by_their_code_also_two_on_one_line():
    one, two = (lambda x: x + 1), (lambda x: x * 2)
    three = lambda x: x + 1  # noqa: E731
    four = lambda x: x + 1  # noqa: E731

    assert text_of(one) != text_of(two)
    assert text_of(three) == text_of(four) != text_of(two)


def test_what_a_lambda_closes_over_counts():
    def adds(n: int) -> object:
        return lambda x: x + n

    assert text_of(adds(1)) == text_of(adds(1)) != text_of(adds(2))


def test_a_function_without_source_is_compared_by_its_byte_code_and_says_so():
    space: dict[str, object] = {}
    exec(textwrap.dedent("def one(x): return x + 1\ndef two(x): return x + 2"), space)

    assert text_of(space["one"]) != text_of(space["two"])
    [part] = describe(space["one"])
    assert "byte code is compared" in part.limits[0]


def test_a_pipeline_that_contains_itself_has_an_end():
    pipeline: list[object] = [abs]
    pipeline.append(pipeline)

    assert len(describe(pipeline)) == 2


def test_an_object_that_cannot_be_printed_or_opened_is_named_with_its_limit():
    class Shut:
        __slots__ = ()

        def __repr__(self) -> str:
            raise ValueError

    [part] = describe(Shut())

    assert part.text.startswith("<") and "ValueError" in part.text
    assert any("does not print them" in limit for limit in part.limits)


def test_scikit_learn_counts_by_parameters_and_not_by_what_was_learnt():
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    pipeline = pytest.importorskip("sklearn.pipeline")

    def make(**options: object) -> object:
        return pipeline.Pipeline([("scale", preprocessing.StandardScaler(**options))])

    fitted = make()
    fitted.fit(np.arange(6.0).reshape(3, 2))
    assert text_of(make()) == text_of(fitted) != text_of(make(with_mean=False))
    [part] = describe(fitted)
    assert part.type == "sklearn.preprocessing._data.StandardScaler"
    assert part.source.startswith("sklearn ")


def test_a_torch_module_counts_by_its_settings_and_buffers():
    torch = pytest.importorskip("torch")

    class Normalize(torch.nn.Module):
        def __init__(self, mean: float) -> None:
            super().__init__()
            self.register_buffer("mean", torch.tensor([mean]))

        def forward(self, x):
            return x - self.mean

    assert text_of(Normalize(0.5)) == text_of(Normalize(0.5)) != text_of(Normalize(0.4))


def test_a_generator_that_moves_changes_nothing():
    generator = np.random.default_rng(0)

    class Jitter:
        def __init__(self) -> None:
            self.random = generator

    before = text_of(Jitter())
    generator.random()
    assert text_of(Jitter()) == before
