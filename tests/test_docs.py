"""What the documents show works, and what the program may say is explained.

The README's command lines are run in order, in one shell, in a fresh copy of this repository with an `origin` to push
to. A command line stands in a block tagged `sh`, or behind `$ ` in any other block. Where the output shown below it
begins with `error:`, the command has to fail.
"""

from __future__ import annotations

import inspect
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gitrepro import errors

if TYPE_CHECKING:
    from conftest import Git

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
DOCUMENTS = (README, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", ROOT / "gitrepro" / "FORMAT.md")

# Command lines that are shown and not run, each with the reason.
SKIPPED = {
    r"git clone\b": "needs a network; the test has made a copy already",
    r"cd gitrepro\b": "enters that clone",
    r"(python3? -m )?pip install\b": "would change the environment that the tests run in",
    r"python3? -m venv\b": "would build an environment beside the one that is tested",
    r"(source|\.) \S*activate\b": "enters that environment",
    r"make\b": "sets up .venv, or runs these very tests",
    r"gitrepro (ui|watch)\b": "stays until it is interrupted",
}

# The program of a reader who has one already.
TRAIN = 'import random\n\nprint(f"val/accuracy {random.random():.3f}")\n'


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command line of a document."""

    line: int
    text: str
    fails: bool = False


def commands_of(markdown: str) -> list[Command]:
    """Every command line that `markdown` shows, in order."""
    found: list[Command] = []
    for block in re.finditer(r"^```(\w*)[^\n]*\n(.*?)^```", markdown, re.MULTILINE | re.DOTALL):
        first = markdown[: block.start(2)].count("\n") + 1
        lines = block[2].splitlines()
        found += _script(lines, first) if block[1] in ("sh", "bash") else _transcript(lines, first)
    return found


def _script(lines: Sequence[str], first: int) -> list[Command]:
    found: list[Command] = []
    number = 0
    while number < len(lines):
        end = _end(lines, number)
        text = "\n".join(lines[number:end]).strip().removeprefix("$ ")
        if text and not text.startswith("#"):
            found.append(Command(line=first + number, text=text))
        number = end
    return found


def _end(lines: Sequence[str], start: int) -> int:
    """The line after the command that begins at `start`: past continuations and past a here-document."""
    end = start + 1
    while lines[end - 1].endswith("\\") and end < len(lines):
        end += 1
    here = re.search(r"<<-?\s*(['\"]?)(\w+)\1", lines[start])
    while here and end < len(lines) and lines[end - 1].strip() != here[2]:
        end += 1
    return end


def _transcript(lines: Sequence[str], first: int) -> list[Command]:
    starts = [number for number, line in enumerate(lines) if line.startswith("$ ")]
    found = []
    for start, following in zip(starts, [*starts[1:], len(lines)], strict=False):  # no command, no rounds
        end = _end(lines, start)
        output = lines[end:following]
        text = "\n".join(line.removeprefix("> ") for line in lines[start:end]).removeprefix("$ ")
        found.append(Command(line=first + start, text=text, fails=any(line.startswith("error:") for line in output)))
    return found


def _is_skipped(command: Command) -> bool:
    return any(re.match(pattern, command.text) for pattern in SKIPPED)


def run_in_order(commands: Iterable[Command], *, cwd: Path) -> str:
    """Run `commands` in one shell. Return "" when all did as shown, else what went wrong and at which line."""
    script = "set -e\n" + "\n".join(_as_shown(command) for command in commands)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=cwd,
        env={**os.environ, "PATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if done.returncode == 0:
        return ""
    _, _, last = done.stderr.rpartition("::line ")
    return f"line {last.strip()}\nended with {done.returncode} after printing\n{done.stdout[-2000:]}"


def _as_shown(command: Command) -> str:
    marker = f"echo '::line {command.line}' >&2"
    if command.fails:
        return f"{marker}\nif (\n{command.text}\n); then echo 'succeeded, and is shown to fail' >&2; exit 1; fi"
    return f"{marker}\n{command.text}"


def section(markdown: str, title: str) -> str:
    """The text under the heading `title`, up to the next heading of its level or above; "" without one."""
    heading = re.search(rf"^(#+) {re.escape(title)}\s*$", markdown, re.MULTILINE)
    if heading is None:
        return ""
    return re.split(rf"^#{{1,{len(heading[1])}}} ", markdown[heading.end() :], maxsplit=1, flags=re.MULTILINE)[0]


def unexplained(names: Iterable[str], documents: Iterable[str]) -> list[str]:
    """The names with no table row or list item of their own: the name in backticks, then a few words on it."""
    text = "\n".join(documents)
    return [name for name in names if not re.search(rf"^\s*[|*-]\s*`{re.escape(name)}`\W+(\w+\W+){{3}}", text, re.M)]


def dead_links(document: Path) -> list[str]:
    """The relative links of `document` that lead to no file."""
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", document.read_text())
    return [each for each in targets if "://" not in each and not (document.parent / each).exists()]


@pytest.fixture
def clone(tmp_path: Path, git: Git) -> Path:
    """A fresh copy of this repository, committed, with an empty `origin` that takes pushes."""
    root = tmp_path / "gitrepro"
    made_here = shutil.ignore_patterns(".git", ".venv", ".*_cache", "__pycache__", ".hypothesis", "build", "dist")
    shutil.copytree(ROOT, root, ignore=made_here)
    if not (root / "train.py").exists():
        (root / "train.py").write_text(TRAIN)
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", "origin.git")
    git(root, "init", "--quiet", "--initial-branch=main")
    git(root, "config", "user.name", "Ada Lovelace")
    git(root, "config", "user.email", "ada@example.org")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message=a fresh copy")
    git(root, "remote", "add", "origin", str(tmp_path / "origin.git"))
    git(root, "push", "--quiet", "--set-upstream", "origin", "main")
    return root


def test_every_command_of_the_readme_does_what_is_shown(clone: Path) -> None:
    commands = [command for command in commands_of(README.read_text()) if not _is_skipped(command)]

    assert commands, "README.md shows no command"
    assert run_in_order(commands, cwd=clone) == ""


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {name for path in DOCUMENTS for name in re.findall(r"(?:^|[`$] ?)make ([a-z]+)", path.read_text(), re.M)}

    assert named - targets == set()


def test_every_error_is_named_under_exit_codes_and_errors() -> None:
    kinds = [kind for kind in vars(errors).values() if inspect.isclass(kind) and issubclass(kind, errors.GitreproError)]
    text = section(README.read_text(), "Exit codes and errors")

    unnamed = [kind.__name__ for kind in kinds if f"`{kind.__name__}`" not in text]

    assert [name for name in unnamed if name != "GitreproError"] == []


def test_every_audit_rule_is_explained() -> None:
    from gitrepro.policy import RULES

    assert len(tuple(RULES)) == 16
    assert unexplained(RULES, [path.read_text() for path in DOCUMENTS]) == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_relative_link_leads_somewhere(path: Path) -> None:
    assert dead_links(path) == []


def test_scripts_and_transcripts_give_their_commands_in_order() -> None:
    markdown = """
```sh
# a comment
git init  # in place
cat > a.py <<'END'
print(1)

END
gitrepro record \\
  -- python a.py
```
```python
import gitrepro
```
```console
$ gitrepro ls
a1b2  done
$ gitrepro tag result/x
error: refused
```
"""
    assert [(each.line, each.text, each.fails) for each in commands_of(markdown)] == [
        (4, "git init  # in place", False),
        (5, "cat > a.py <<'END'\nprint(1)\n\nEND", False),
        (9, "gitrepro record \\\n  -- python a.py", False),
        (16, "gitrepro ls", False),
        (18, "gitrepro tag result/x", True),
    ]


def test_commands_share_one_shell(tmp_path: Path) -> None:
    commands = [Command(line=1, text="mkdir a && cd a"), Command(line=2, text="test $(basename $PWD) = a")]

    assert run_in_order(commands, cwd=tmp_path) == ""


def test_a_command_that_fails_is_found_with_its_line(tmp_path: Path) -> None:
    commands = [Command(line=3, text="true"), Command(line=7, text="ls no-such-file"), Command(line=9, text="true")]

    assert run_in_order(commands, cwd=tmp_path).startswith("line 7\n")


def test_a_command_that_is_shown_to_fail_and_does_not_is_found(tmp_path: Path) -> None:
    assert run_in_order([Command(line=1, text="false", fails=True)], cwd=tmp_path) == ""
    assert "shown to fail" in run_in_order([Command(line=1, text="true", fails=True)], cwd=tmp_path)


def test_only_listed_commands_are_skipped() -> None:
    assert _is_skipped(Command(line=1, text="make demo"))
    assert _is_skipped(Command(line=1, text="pip install gitrepro"))
    assert not _is_skipped(Command(line=1, text="gitrepro ls"))
    assert not _is_skipped(Command(line=1, text="cd examples"))


def test_a_section_ends_at_the_next_heading_of_its_level() -> None:
    assert section("# A\n## B\none\n### C\ntwo\n## D\nthree\n", "B").split() == ["one", "###", "C", "two"]
    assert section("# A\n", "B") == ""


def test_a_name_without_a_row_of_its_own_is_unexplained() -> None:
    documents = ["| `seeds` | every generator in use was seeded |", "the rule `data` is only mentioned here, at length"]

    assert unexplained(["seeds", "data"], documents) == ["data"]


def test_a_link_to_a_missing_file_is_found(tmp_path: Path) -> None:
    document = tmp_path / "a.md"
    document.write_text("[a](a.md) [b](b.md#part) [c](https://example.org/c) [d](#here)")

    assert dead_links(document) == ["b.md"]


def example(beginning: str) -> bytes:
    """The example in FORMAT.md that begins so."""
    page = (ROOT / "gitrepro" / "FORMAT.md").read_text()
    return page[page.index(f"\n```\n{beginning}") :].split("```\n")[1].encode()


def test_the_examples_of_the_content_store_are_what_its_readers_take() -> None:
    from gitrepro.records.partition import load_partition
    from gitrepro.records.recipe import load_recipe
    from gitrepro.store.objects import digest_of

    pieces = {digest_of([piece]): piece for piece in (b"the header\n", b"weights " * 4)}
    recipe = load_recipe(example("gitrepro recipe 1"))
    split = load_partition(example("gitrepro split 1").replace("5f5f…".encode(), b"5f" * 32), source="FORMAT.md")

    assert digest_of(pieces[segment.digest] for segment in recipe.segments) == recipe.digest
    assert {name: len(ids) for name, ids in split.parts.items()} == {"test": 1, "train": 3}


def unshown(names: Iterable[str], markdown: str) -> list[str]:
    """The commands, such as `data add`, that `markdown` does not show in code."""
    return [name for name in names if not re.search(rf"(`|^|\$ |gitrepro ){re.escape(name)}\b", markdown, re.MULTILINE)]


def command_names() -> list[str]:
    """Every command that does something, as `ls` and `data add`."""
    import click

    from gitrepro.cli.main import gitrepro

    def names(group: click.Command, before: str) -> list[str]:
        if not isinstance(group, click.Group):
            return [before.strip()]
        context = click.Context(group)
        found = ((name, group.get_command(context, name)) for name in group.list_commands(context))
        return [each for name, command in found if command for each in names(command, f"{before} {name}")]

    return names(gitrepro, "")


def test_every_command_is_shown_in_the_readme() -> None:
    assert unshown(command_names(), README.read_text()) == []


def test_a_command_that_is_not_shown_is_found() -> None:
    assert unshown(["data add", "data ls"], "`gitrepro data add PATH` and data ls in plain words") == ["data ls"]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_nothing_is_said_twice(document: Path) -> None:
    paragraphs = [part.strip() for part in re.split(r"\n\s*\n", document.read_text()) if len(part.strip()) > 120]
    assert [part for part in dict.fromkeys(paragraphs) if paragraphs.count(part) > 1] == []
