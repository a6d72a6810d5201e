"""The program's own modules and what stood in them: real interpreters, and Git's own word for each file."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from gitrepro.capture import modules

FILE = Path(modules.__file__)
LOAD = f"""\
import importlib.util, json, sys
spec = importlib.util.spec_from_file_location("described", {str(FILE)!r})
described = importlib.util.module_from_spec(spec)
spec.loader.exec_module(described)
"""


def ran(work: Path, code: str, **more: object) -> str:
    """What a script in the work tree prints; `described` is the module under test, loaded by its path."""
    (work / "train.py").write_text(LOAD + textwrap.dedent(code))
    done = subprocess.run([sys.executable, "train.py"], cwd=work, capture_output=True, text=True, **more)  # type: ignore[call-overload]
    assert done.returncode == 0, done.stderr
    return str(done.stdout)


def git_name(path: Path) -> str:
    return subprocess.run(["git", "hash-object", path], capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A work tree with a module, a module of an environment inside it, and one that lies beside it."""
    files = {
        "work/lib/net.py": "WIDTH = 1\n",
        "work/.venv/lib/site-packages/dep.py": "",
        "beside/shared.py": "SHARED = 1\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(text)
    return tmp_path / "work"


PATHS = 'sys.path[1:1] = ["lib", ".venv/lib/site-packages", "../beside"]\n'
WATCH = PATHS + 'watch = described.ModuleWatch("."); watch.start()\n'


def test_the_programs_own_modules_are_named_and_its_environments_are_not(work):
    printed = ran(work, PATHS + "import net, dep, shared\nprint(described.local_modules('.'))")

    assert printed.strip() == "['lib/net.py', 'train.py']"


def test_each_file_has_the_name_that_git_gives_its_bytes(work):
    printed = json.loads(ran(work, WATCH + "import net, dep, shared, random\nprint(json.dumps(watch.document()))"))

    assert printed["module_digests"] == {
        "lib/net.py": git_name(work / "lib/net.py"),
        "train.py": git_name(work / "train.py"),
    }
    assert printed["outside_modules"] == {"../beside/shared.py": git_name(work / "../beside/shared.py")}


@pytest.mark.parametrize("compiled", [False, True])
def test_a_file_edited_after_its_import_keeps_the_digest_of_what_was_imported(work, compiled):
    before = git_name(work / "lib/net.py")
    if compiled:
        ran(work, PATHS + "import net")
    code = WATCH + "import net\nopen('lib/net.py', 'a').write('WIDTH = 2\\n')\nprint(json.dumps(watch.document()))"
    printed = json.loads(ran(work, code))

    assert printed["module_digests"]["lib/net.py"] == before != git_name(work / "lib/net.py")


def test_what_was_imported_before_the_watch_began_is_taken_in(work):
    printed = json.loads(ran(work, PATHS + "import net\n" + WATCH + "print(json.dumps(watch.document()))"))

    assert printed["module_digests"]["lib/net.py"] == git_name(work / "lib/net.py")


def test_a_module_that_was_removed_since_is_still_told(work):
    code = WATCH + "import net, os\nos.remove('lib/net.py')\nprint(json.dumps(watch.document()))"
    before = git_name(work / "lib/net.py")

    assert json.loads(ran(work, code))["module_digests"]["lib/net.py"] == before


MADE_UP = """
import types
for name, file in {"classes": "_classes.py", "ops": "net.py", "made": os.path.abspath("made.py")}.items():
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__file__ = file
"""


def test_files_that_made_up_modules_name_are_not_told(work):
    (work / "net.py").write_text("not what `ops` was made of\n")
    code = WATCH + "import os\n" + MADE_UP + "print(json.dumps(watch.document()))"
    printed = json.loads(ran(work, code))

    assert printed["local_modules"] == ["train.py"]
    assert list(printed["module_digests"]) == ["train.py"]


def test_a_script_that_moves_away_is_still_told(work):
    code = "import os\nhome = os.getcwd()\nos.chdir('/')\nprint(described.local_modules(home))"

    assert ran(work, code) == "['train.py']\n"


def test_the_importer_is_as_it_was_when_the_watch_stops(work):
    code = """
    from importlib.machinery import SourceFileLoader
    before = SourceFileLoader.path_stats
    watch = described.ModuleWatch("."); watch.start(); watched = SourceFileLoader.path_stats; watch.stop()
    print(watched is before, SourceFileLoader.path_stats is before)
    """

    assert ran(work, code) == "False True\n"


def test_a_file_too_large_for_source_has_no_digest(tmp_path):
    (tmp_path / "big.py").write_bytes(b"#" * (5 << 20))

    assert modules.blob_name(str(tmp_path / "big.py")) is None
    assert modules.blob_name(str(tmp_path / "none.py")) is None
