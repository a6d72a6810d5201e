"""The story: what is run, in which order, and what has to come of it."""

from __future__ import annotations

import importlib.util
import re
import shutil
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ..errors import UsageError
from ..records.run import run_path
from .stage import Say, Stage, end_group, environment

SEEDS: Final = (0, 1, 2)
METRIC: Final = "test/accuracy"
NEEDS: Final = {"torch": "torch", "sklearn": "scikit-learn"}

_SCRIPTS: Final = Path(__file__).parent / "scripts"
_FILES: Final = ("train.py", "baseline.py", "prepare.py", "config.json")
_ACKNOWLEDGED_BEFORE_THE_KILL: Final = 200
_ROW: Final = re.compile(r"epoch (\d+)  train/loss (\S+)  val/accuracy (\S+)")


def require_parts(*, path: str | None) -> None:
    """Look for what the story needs, before anything is made.

    Args:
        path: where programs are looked for, as the variable PATH has it.

    Raises:
        UsageError: Git, torch or scikit-learn is missing.
    """
    if shutil.which("git", path=path) is None:
        raise UsageError("git is not on PATH", do="install Git 2.30 or newer")
    missing = [name for module, name in NEEDS.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise UsageError(
            f"the demo trains with {' and '.join(missing)}, not installed here",
            do="`pip install 'gitrepro[torch,checks]'`",
        )


def play(folder: Path, *, python: str, environ: Mapping[str, str], say: Say, terminal: tuple[int, int] | None) -> None:
    """Tell the whole story in an empty folder, by running real commands in it.

    Args:
        folder: an empty folder; it is a repository with everything in it afterwards.
        python: the interpreter that has gitrepro, torch and scikit-learn.
        environ: your environment variables; those that would take part are left out.
        say: is given each line.
        terminal: rows and columns of the terminal that commands shall see; None lets them write to a pipe.

    Raises:
        GitreproError: something did not come out as promised.
    """
    stage = Stage(folder=folder, python=python, environ=environment(environ, python=python), say=say, terminal=terminal)
    name = "python" if (Path(python).parent / "python").exists() else Path(python).name
    story = _Story(stage, python=name)
    story.begin()
    story.name_the_data()
    runs = [story.record_seed(seed) for seed in SEEDS]
    story.record_baseline()
    story.kill()
    story.refuse_and_mend()
    story.declare(runs)
    story.prove(runs)
    story.read_with_plain_git(runs[-1])
    story.end(runs)


@dataclass(frozen=True, slots=True)
class _Story:
    stage: Stage
    python: str

    # -- 1

    def begin(self) -> None:
        stage = self.stage
        for name in _FILES:
            shutil.copyfile(_SCRIPTS / name, stage.folder / name)
        (stage.folder / ".gitignore").write_text("data/\n")
        stage.title("A repository")
        stage.tell("A training script, a baseline and a config file, committed. One more command sets gitrepro up.")
        stage.run("git", "init", "--quiet", "--initial-branch=main")
        stage.run("git", "config", "user.name", "Demo")
        stage.run("git", "config", "user.email", "demo@example.org")
        stage.run("git", "add", ".gitignore", *_FILES)
        stage.run("git", "commit", "--quiet", "--message", "a small network on digits")
        stage.run("gitrepro", "init")

    # -- 2

    def name_the_data(self) -> None:
        stage = self.stage
        stage.title("The data, by its content")
        stage.tell(
            "scikit-learn's digits, 1,797 real images, in a file of ours. A version of a data set is the hash of its "
            "bytes, and a split is a list of its rows that never changes."
        )
        stage.run(self.python, "prepare.py")
        stage.run("gitrepro", "data", "add", "data/digits.npz", "digits", "--label", "labels")
        parts = ("--train", "0.6", "--val", "0.2", "--test", "0.2", "--stratify")
        stage.run("gitrepro", "split", "make", "digits", "default", *parts)
        [data] = stage.ask("data", "ls")
        stage.expect(data["items"] == 1797, "all 1,797 images are in the data set")

    # -- 3

    def record_seed(self, seed: int) -> str:
        """Record one run, say what is on record of it, and return its id."""
        stage = self.stage
        if seed == SEEDS[0]:
            stage.title(f"One network, {len(SEEDS)} seeds")
            stage.tell(
                "train.py sets no seed: `gitrepro record` seeds Python, NumPy and torch before its first line. "
                "Every fifth epoch it saves a checkpoint, chosen by validation accuracy."
            )
        run = self._record("--group", "digits", "--seed", str(seed), "--", self.python, "train.py", lines=3)
        shown = () if seed == SEEDS[0] else ("seeds", "metrics", "result", "cost")
        stage.plain(f"Now on record of seed {seed}:", *_captured(run, only=shown))
        stage.expect(run["status"] == "finished" and METRIC in run["summary"], "the run finished, with its result")
        stage.expect(run["code"]["dirty"] is False, "the run is on record with clean code")
        stage.expect(run["seeds"]["effective"].get("torch") == seed, f"torch ran with seed {seed}")
        if seed == SEEDS[0]:
            stage.plain("", "`gitrepro show` prints all of it, `gitrepro show --env` every package.")
        stage.plain("")
        return str(run["id"])

    # -- 4

    def record_baseline(self) -> None:
        self.stage.title("What it has to beat")
        self.stage.tell("Logistic regression on the same images, recorded as a run of kind baseline.")
        options = ("--group", "digits", "--kind", "baseline", "--seed", "0")
        run = self._record(*options, "--", self.python, "baseline.py")
        self.stage.expect(run["kind"] == "baseline" and METRIC in run["summary"], "the baseline is on record")

    # -- 5

    def kill(self) -> None:
        stage = self.stage
        stage.title("kill -9")
        stage.tell(
            "train.py prints a line after each log() that returned: a promise that this row is safe. In the middle "
            "of it the recorder and the training are killed together; neither can tidy up."
        )
        process = stage.begin("gitrepro", "record", "--seed", "7", "--", self.python, "train.py", "--epochs", "1000000")
        try:
            printed = self._watch(process)
            stage.run("sh", "-c", f"kill -9 -{process.pid}", shown=f"kill -9 -{process.pid}")
            assert process.stdout is not None
            printed += process.stdout.read().splitlines()
        finally:
            end_group(process)
        acknowledged = {int(found[1]): found.groups()[1:] for line in printed if (found := _ROW.fullmatch(line))}
        stage.run("gitrepro", "recover")
        self._compare(acknowledged, stage.ask("show", "@last"))

    def _watch(self, process: subprocess.Popen[str]) -> list[str]:
        """Read what it prints until enough is acknowledged; show the beginning."""
        assert process.stdout is not None
        printed: list[str] = []
        for line in process.stdout:
            printed.append(line.rstrip("\n"))
            if len(printed) <= 4:
                self.stage.show(printed[-1])
            if len(printed) >= _ACKNOWLEDGED_BEFORE_THE_KILL:
                break
        self.stage.show(f"... {len(printed)} lines so far")
        return printed

    def _compare(self, acknowledged: Mapping[int, Sequence[str]], run: Mapping[str, Any]) -> None:
        stage = self.stage
        table = stage.read("gitrepro", "show", "--metrics", run["id"]).splitlines()
        names = table[0].split("\t")
        rows = [dict(zip(names, line.split("\t"), strict=True)) for line in table[1:]]
        recovered = {
            int(row["_step"]): (f"{float(row['train/loss']):.4f}", f"{float(row['val/accuracy']):.4f}") for row in rows
        }
        lost = [step for step, values in acknowledged.items() if recovered.get(step) != tuple(values)]
        count, kept = len(acknowledged), len(recovered)
        stage.tell(f"Acknowledged before the kill: {count}. On record: {kept}. Lost: {len(lost)}.")
        if kept > count:
            stage.tell("Those beyond were logged, and their line was not printed any more.")
        stage.expect(run["status"] == "crashed", "the killed run is on record as crashed")
        stage.expect(len(acknowledged) >= _ACKNOWLEDGED_BEFORE_THE_KILL // 2, "the kill came in the middle")
        stage.expect(not lost, "every acknowledged row is on record, value by value")

    # -- 6

    def refuse_and_mend(self) -> None:
        stage = self.stage
        stage.title("What may not be called a result")
        stage.tell(
            "A tag named result/... is a claim, and a Git hook judges it. Work goes on: 64 hidden units, committed; "
            "then a lower learning rate, recorded before it is committed."
        )
        self._change_config('{"hidden": 64, "lr": 0.3}')
        stage.run("git", "commit", "--quiet", "--all", "--message", "64 hidden units")
        self._change_config('{"hidden": 64, "lr": 0.1}')
        dirty = self._record("--seed", "0", "--", self.python, "train.py", lines=2)
        self._refused("uncommitted")
        stage.tell("Refused: no commit holds what ran. So commit it and run again; this time without a seed.")
        stage.run("git", "commit", "--quiet", "--all", "--message", "a lower learning rate")
        self._record("--no-seed", "--", self.python, "train.py", lines=2)
        self._refused("seeds FAIL")
        stage.tell("Refused again: nobody could repeat that run. Mended, and the run named:")
        run = self._record("--seed", "0", "--", self.python, "train.py", lines=2)
        stage.run("gitrepro", "tag", "result/wide", run["id"][-8:])
        stage.expect("result/wide" in stage.read("git", "tag", "--list"), "the tag result/wide is there")
        stage.tell(
            "Granted. (Ordinary tags are never asked anything.) And the same code with the same seed gave the same "
            "numbers as before the commit, to the last bit."
        )
        stage.expect(run["summary"] == dirty["summary"], "two runs of one code and one seed agree to the last bit")

    def _change_config(self, text: str) -> None:
        self.stage.run("sh", "-c", f"echo '{text}' > config.json", shown=f"echo '{text}' > config.json")

    def _refused(self, reason: str) -> None:
        said = self.stage.run("git", "tag", "result/wide", fails=True)
        self.stage.expect(reason in said, f"the refusal says {reason!r}")
        self.stage.expect("result/wide" not in self.stage.read("git", "tag", "--list"), "no tag result/wide was made")

    # -- 7

    def declare(self, runs: Sequence[str]) -> None:
        stage = self.stage
        stage.title("A result of three runs")
        stage.tell("`gitrepro tag` names the runs that stand behind the claim.")
        stage.run("gitrepro", "tag", "result/digits", *(run[-8:] for run in runs))
        stage.tell(
            "Anyone may judge a result again from what is on record; here the one of a single run. INCONCLUSIVE says "
            "that there is no evidence of the kind. It never counts as a pass."
        )
        stage.run("gitrepro", "audit", "result/wide")

    # -- 8

    def prove(self, runs: Sequence[str]) -> None:
        """Verify the best of the runs: every byte that its record names."""
        stage = self.stage
        stage.title("Every byte of the winner")
        winner = max(runs, key=lambda run: float(stage.ask("show", run)["summary"][METRIC]))
        stage.tell(
            "The record of the best run names its data, split, checkpoints and output by their BLAKE3. `verify` reads "
            "all of them again; one flipped bit would be found."
        )
        stage.run("gitrepro", "checkpoint", "ls", winner[-8:])
        stage.run("gitrepro", "verify", winner[-8:])
        proofs = stage.ask("verify", winner)
        states = {proof["state"] for proof in (proofs["proofs"] if isinstance(proofs, dict) else proofs)}
        stage.expect(states == {"ok"}, "every byte that the record names is here and right")

    # -- 9

    def read_with_plain_git(self, run: str) -> None:
        stage = self.stage
        stage.title("Plain Git reads it")
        stage.tell("Every run is a few files in one grow-only ref. No server, no database to trust.")
        newest = ("refs/gitrepro/runs", "--format=%<(76,trunc)%s")
        stage.run("git", "log", *newest, shown=f"git log {newest[0]} '{newest[1]}'")
        stage.run("git", "show", f"refs/gitrepro/runs:{run_path(run)}/run.yaml", lines=24)

    # -- 10

    def end(self, runs: Sequence[str]) -> None:
        stage = self.stage
        stage.title("The table")
        stage.run("gitrepro", "ls", "--group", "digits")
        listed = stage.ask("ls", "--group", "digits")
        network = [run["summary"][METRIC] for run in listed if run["id"] in runs]
        baseline = [run["summary"][METRIC] for run in listed if run["kind"] == "baseline"]
        stage.expect(len(network) == len(SEEDS) and len(baseline) == 1, "all four runs are in the table")
        seeds = " ".join(map(str, SEEDS))
        stage.plain(*_comparison({f"network, seeds {seeds}": network, "baseline": baseline}), "")
        ahead = statistics.mean(network) < baseline[0]
        stage.tell(
            "The ± is the sample standard deviation over the seeds; one run has none. One of the 360 test images "
            "is 0.0028." + " The baseline is ahead: that is what a baseline is for." * ahead
        )

    def _record(self, *words: str, lines: int | None = None) -> dict[str, Any]:
        """Record a run, and return what `gitrepro show --json` says of it."""
        self.stage.run("gitrepro", "record", *words, lines=lines)
        known: dict[str, Any] = self.stage.ask("show", "@last")
        return known


def _captured(run: Mapping[str, Any], *, only: Sequence[str] = ()) -> list[str]:
    """One line for each thing that is on record of a run."""
    env, cost, code = run["env"], run["cost"], run["code"]
    config = ", ".join(f"{name} {value}" for name, value in run["config"].items())
    seeds = ", ".join(f"{name} {value}" for name, value in run["seeds"]["effective"].items())
    torch_version = env["frameworks"].get("torch", {}).get("version", "")
    cpu_seconds = cost["cpu_user_seconds"] + cost["cpu_system_seconds"]
    memory_mib = cost["peak_memory_bytes"] / 2**20
    rows = {
        "config": config,
        "seeds": f"{seeds} (in force, as observed)",
        "code": f"commit {code['commit'][:12]}, {'uncommitted changes' if code['dirty'] else 'clean'}",
        "environment": f"Python {env['python']['version']}, torch {torch_version}, {len(env['packages'])} packages",
        "metrics": ", ".join(f"{name} ({facts['count']} values)" for name, facts in run["metrics"].items()),
        "result": f"{METRIC} {run['summary'][METRIC]:.4f}",
        "cost": f"{run['duration_seconds']:.1f} s, {cpu_seconds:.1f} s of CPU, {memory_mib:.0f} MiB of memory at most",
    }
    return [f"  {name:<11}  {text}" for name, text in rows.items() if not only or name in only]


def _comparison(scores: Mapping[str, Sequence[float]]) -> list[str]:
    """Means with their sample standard deviation, and how many runs each stands on."""
    width = max(map(len, [*scores, METRIC]))
    lines = [f"  {METRIC:<{width}}   n  mean ± standard deviation"]
    for name, values in scores.items():
        spread = f" ± {statistics.stdev(values):.4f}" if len(values) > 1 else ""
        lines.append(f"  {name:<{width}}  {len(values):>2}  {statistics.mean(values):.4f}{spread}")
    return lines
