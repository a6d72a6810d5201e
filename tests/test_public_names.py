"""The names that people may lean on, written out. A change here is a change of the public surface."""

from __future__ import annotations

import importlib.metadata
import inspect
import subprocess
import sys

import pytest

import gitrepro
from gitrepro import errors

PUBLIC = [
    "Budget",
    "Divergence",
    "EarlyStopping",
    "NoLearning",
    "NonFinite",
    "Run",
    "__version__",
    "accumulate",
    "dataset",
    "errors",
    "find_batch_size",
    "load_checkpoint",
    "metric",
    "record",
    "runs",
    "sample_generator",
]

# Kind → exit code and the `code` of its JSON form. Scripts lean on both.
ERRORS = {
    "GitreproError": (1, "error"),
    "UsageError": (2, "usage"),
    "NoRepository": (2, "no-repository"),
    "UnsupportedRepository": (2, "unsupported-repository"),
    "ConfigError": (2, "config"),
    "QueryError": (2, "query"),
    "WrongKey": (2, "wrong-key"),
    "Unsafe": (2, "unsafe"),
    "Conflict": (2, "conflict"),
    "NotFound": (3, "not-found"),
    "Ambiguous": (3, "ambiguous"),
    "BlobMissing": (3, "blob-missing"),
    "NotAvailable": (3, "not-available"),
    "Refused": (1, "refused"),
    "Sealed": (1, "sealed"),
    "Damaged": (4, "damaged"),
    "TooNew": (4, "too-new"),
    "StorageError": (4, "storage"),
    "SourceChanged": (4, "source-changed"),
    "RemoteError": (5, "remote"),
    "ChildFailed": (6, "child-failed"),
    "TaskFailed": (6, "task-failed"),
}


def test_the_package_offers_exactly_the_public_names() -> None:
    assert gitrepro.__all__ == PUBLIC
    assert [name for name in sorted(dir(gitrepro)) if name in PUBLIC or not name.startswith("_")] == PUBLIC


def test_a_fresh_interpreter_sees_the_same_names_before_anything_is_used() -> None:
    script = "import gitrepro; print(*sorted(n for n in dir(gitrepro) if n == '__version__' or n[0] != '_'))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.split() == PUBLIC


@pytest.mark.parametrize("name", [name for name in PUBLIC if name != "__version__"])
def test_a_public_name_says_what_it_is(name: str) -> None:
    assert inspect.getdoc(getattr(gitrepro, name))


def test_every_public_method_of_a_run_says_what_it_does() -> None:
    public = [name for name in vars(gitrepro.Run) if not name.startswith("_")]

    assert [name for name in public if not inspect.getdoc(getattr(gitrepro.Run, name))] == []


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        getattr(gitrepro, "no_such_name")  # noqa: B009  (the plain form does not pass mypy)


def test_the_version_is_that_of_the_distribution() -> None:
    assert gitrepro.__version__ == importlib.metadata.version("gitrepro")


def test_errors_have_the_exit_codes_and_codes_that_scripts_lean_on() -> None:
    kinds = [kind for kind in vars(errors).values() if inspect.isclass(kind) and kind.__module__ == errors.__name__]
    found = {kind.__name__: (kind.exit_code, kind.code) for kind in kinds if issubclass(kind, errors.GitreproError)}

    assert found == ERRORS


def test_every_error_and_warning_says_what_it_means() -> None:
    kinds = [kind for kind in vars(errors).values() if inspect.isclass(kind) and kind.__module__ == errors.__name__]

    assert [kind.__name__ for kind in kinds if not kind.__doc__] == []


def test_importing_the_package_warns_of_nothing() -> None:
    script = "import gitrepro; gitrepro.record, gitrepro.runs, gitrepro.Run, gitrepro.errors"
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True)

    assert (done.returncode, done.stderr) == (0, "")
