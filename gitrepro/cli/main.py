"""`gitrepro`: finds the command, runs it, and turns an error into three lines and an exit code.

`--help` and completion read the list below and load no command.
"""

from __future__ import annotations

import os
import sys
import warnings
from importlib import import_module
from typing import Any, Final, NoReturn, final

import click

from ..errors import GitreproError, GitreproWarning, UsageError

FIRST: Final = ("record", "ls", "show", "compare", "watch", "tag", "push", "pull")
GROUPS: Final = ("start", "record", "look", "trust", "data", "team", "again", "keep")

# name: (module, group, one line of help)
COMMANDS: Final[dict[str, tuple[str, str, str]]] = {
    "init": ("init", "start", "Set up this repository: hooks, result tags, settings."),
    "doctor": ("doctor", "start", "Check this repository and its recording, and say how to mend it."),
    "demo": ("demo", "start", "See it all on real data, in a scratch repository."),
    "hooks": ("hooks", "start", "Install, remove or show the Git hooks."),
    "record": ("record", "record", "Run a program and put the run on record."),
    "fold": ("fold", "record", "Commit what waits, here and in spools."),
    "watch": ("watch", "record", "Follow runs that are under way."),
    "recover": ("recover", "record", "Commit runs whose process is gone."),
    "ls": ("ls", "look", "List runs, newest first."),
    "show": ("show", "look", "Show all that is known of a run."),
    "diff": ("diff", "look", "Compare two runs: what went in and what came out."),
    "table": ("table", "look", "Print the table of a paper, or hold a paper's numbers against the record."),
    "sql": ("sql", "look", "Ask the index in SQL."),
    "share": ("share", "look", "Print one line about a run, to be pasted into a chat."),
    "tag": ("tag", "trust", "Audit runs and declare them a result, by a Git tag."),
    "audit": ("audit", "trust", "Judge a result or a run again, from what is on record."),
    "promote": ("promote", "trust", "Commit what a dirty run ran, so that it may stand in a result."),
    "waive": ("waive", "trust", "Lift a rule for a run or a result, with a reason that stays."),
    "verify": ("verify", "trust", "Prove that every byte a run names is there and right."),
    "holdout": ("holdout", "trust", "Log every use of a test set; seal one, and score predictions of it."),
    "check": ("check", "trust", "Measure on your own program what flags only promise."),
    "sign": ("sign", "trust", "Sign runs that are on record without a signature."),
    "data": ("data", "data", "Add data sets, list, show, compare and fetch them."),
    "split": ("split", "data", "Divide a data set into parts: make, import, show, check, ls."),
    "checkpoint": ("checkpoint", "data", "List checkpoints, write one to a file, let go of old ones."),
    "push": ("push", "team", "Send runs to the team, and what they need."),
    "pull": ("pull", "team", "Bring the runs of the team, and what they need."),
    "remote": ("remote", "team", "Name the places where data and checkpoints are kept for the team."),
    "purge": ("purge", "team", "Take a run out of the history for good: a secret, personal data."),
    "checkout": ("checkout", "again", "Lay out the exact code of a run in a folder of its own."),
    "repeat": ("repeat", "again", "Run a recorded command again with other seeds."),
    "label": ("label", "keep", "Put labels on a run, or take them off."),
    "note": ("note", "keep", "Write a note on a run."),
    "index": ("index", "keep", "Show or rebuild the index."),
    "rm": ("rm", "keep", "Take runs off the list, or put them back."),
    "gc": ("gc", "keep", "Let go of stored data that no record names any more."),
}
HIDDEN: Final = {"hook": "hooks", "job": "repeat", "serve-store": "serve"}


@final
class Commands(click.Group):
    """Commands that are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = HIDDEN.get(cmd_name) or (COMMANDS[cmd_name][0] if cmd_name in COMMANDS else None)
        if module is None:
            return None
        command: click.Command = getattr(import_module(f".{module}", __package__), cmd_name.replace("-", "_"))
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        name = args[0]
        if name not in COMMANDS and name not in HIDDEN:
            raise _no_command(name)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        first = [(name, COMMANDS[name][2]) for name in FIRST if name in COMMANDS]
        with formatter.section("Every day"):
            formatter.write_dl(first)
        for group in GROUPS:
            rows = [(name, line) for name, (_, of, line) in COMMANDS.items() if of == group and name not in FIRST]
            if rows:
                with formatter.section(group.capitalize()):
                    formatter.write_dl(rows)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        from click.shell_completion import CompletionItem

        names = [name for name in COMMANDS if name.startswith(incomplete)]
        return [CompletionItem(name, help=COMMANDS[name][2]) for name in names]


def _no_command(name: str) -> UsageError:
    import difflib

    near = difflib.get_close_matches(name, COMMANDS, n=1)
    return UsageError(
        f"there is no command {name!r:.80}",
        why=f"nearest is {near[0]}" if near else "",
        do=f"`gitrepro {near[0]} --help`" if near else "`gitrepro --help` lists them",
    )


def _show_version(ctx: click.Context, _option: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from .. import __version__

        click.echo(f"gitrepro {__version__}")
        ctx.exit()


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-C", "folder", metavar="DIR", help="Work as if started in DIR.")
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version, help="Show the version."
)
def gitrepro(folder: str | None) -> None:
    """Record deep-learning runs into Git, and let a result be declared only when it can be checked.

    Start with: gitrepro record -- python train.py
    """
    if folder is not None:
        try:
            os.chdir(folder)
        except OSError as error:
            raise UsageError(f"cannot change into {folder!r:.200}", why=error.strerror or "") from error


def main(argv: list[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    arguments = sys.argv[1:] if argv is None else argv
    try:
        _open_standard_streams()
        _show_warnings_as_notes()
        code = gitrepro.main(arguments, prog_name="gitrepro", standalone_mode=False)
        sys.stdout.flush()
        sys.exit(code if isinstance(code, int) else 0)
    except GitreproError as error:
        _fail(error, arguments)
    except click.exceptions.Abort:
        _interrupted()
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.UsageError as error:
        _fail(_as_usage(error), arguments)
    except click.ClickException as error:
        _fail(UsageError(error.format_message()), arguments)
    except KeyboardInterrupt:
        _interrupted()
    except BrokenPipeError:
        # Our reader has seen enough, as in `gitrepro ls | head`.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(0)
    except OSError as error:
        _fail(_as_storage(error), arguments)
    except Exception as error:  # noqa: BLE001 - a fault of ours: said in words, and never shown as an answer
        if _was_interrupted(error):
            _interrupted()
        _fail(_as_fault(error), arguments)


def _was_interrupted(error: BaseException | None) -> bool:
    """Whether Ctrl-C lies behind an error: inside a class body or an import Python wraps it into another."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return True
        error = error.__cause__ or error.__context__
    return False


def _open_standard_streams() -> None:
    # With one of them closed, the next file we open would take its number, and what is printed would go there.
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(fd, True)
    os.close(fd)
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115 - for as long as we live
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115


def _show_warnings_as_notes() -> None:
    before = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
        if issubclass(category, GitreproWarning):
            from .present import clean, note

            note(f"gitrepro: {clean(message)}")
        else:
            before(message, category, *place, **more)

    warnings.simplefilter("always", GitreproWarning)
    warnings.showwarning = show


def _interrupted() -> NoReturn:
    try:
        sys.stderr.write("interrupted; run it again to go on\n")
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - half a line of data helps nobody
    finally:
        sys.exit(130)


def _as_storage(error: OSError) -> GitreproError:
    from ..store.fs import storage_error

    return storage_error(error, f"cannot work on {error.filename}" if error.filename else "the disk said no")


def _as_fault(error: Exception) -> GitreproError:
    if os.environ.get("GITREPRO_DEBUG"):
        raise error
    return GitreproError(
        f"gitrepro itself failed: {type(error).__name__}: {error!s:.500}",
        why="this is a fault of gitrepro; what is on record is as it was",
        do="run it again with GITREPRO_DEBUG=1 and report what it prints",
    )


def _as_usage(error: click.UsageError) -> UsageError:
    where = error.ctx.command_path if error.ctx else "gitrepro"
    if isinstance(error, click.exceptions.NoArgsIsHelpError):  # its message is the whole help
        return UsageError(f"`{where}` wants one of its commands", do=f"`{where} --help`")
    return UsageError(error.format_message().rstrip("."), do=f"`{where} --help`")


def _fail(error: GitreproError, arguments: list[str]) -> None:
    from .present import show_error

    own = arguments[: arguments.index("--")] if "--" in arguments else arguments
    try:
        show_error(error, as_json="--json" in own)
    except OSError:
        # It goes to a file on a full disk, maybe: the exit code still tells.
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - for as long as we live
    sys.exit(error.exit_code)
