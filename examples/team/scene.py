"""Five people, one server, one question: which code made the best number? Told with the real commands.

python examples/team/scene.py [FOLDER]

It needs nothing but this machine: a bare repository stands for the Git host, a folder for the disk that the team
shares. Every line that begins with `$` is a command that is run; what it checks by itself it says with `ok`.
"""

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
POLICY = """\
version: 1
results:
  "result/*": minimal
metrics:
  val/accuracy: {{goal: max}}
store:
  remotes:
    box: {box}
"""
TEAM = {  # who trains with what
    "ada": {"lr": 0.02, "epochs": 6},
    "ben": {"lr": 0.03, "epochs": 4},
    "cleo": {"lr": 0.02, "epochs": 8},
    "dan": {"lr": 0.04, "epochs": 8},
    "eve": {"lr": 0.03, "epochs": 6},
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, help="an empty folder; a temporary one when left out")
    top = parser.parse_args().folder or Path(tempfile.mkdtemp(prefix="gitrepro-team-"))
    top.mkdir(parents=True, exist_ok=True)
    if any(top.iterdir()):
        sys.exit(f"{top} is not empty")
    Scene(top.resolve()).play()


class Scene:
    def __init__(self, top):
        self.top = top
        self.server = Place(top / "server.git", "server")
        self.people = {name: Place(top / name, name) for name in TEAM}

    def play(self):
        self.a_server_and_a_disk()
        self.a_project()
        self.five_clones()
        runs = self.five_runs()
        self.all_push_at_once()
        self.all_see_all(runs)
        winner, best = self.who_won(runs)
        self.a_number_nobody_can_stand_behind()
        self.the_result(winner, best)
        self.a_sixth_clone(winner, best)
        say(f"\nAll of it lies in {self.top}")

    # -- set up

    def a_server_and_a_disk(self):
        say("The server is a bare repository with gitrepro's hook; the disk is a folder.")
        run(["git", "init", "--quiet", "--bare", "--initial-branch=main", self.server.folder.name], cwd=self.top)
        self.server.run("gitrepro hooks install --server")

    def a_project(self):
        say("\nAda writes the training and the policy, which names the disk for everybody.")
        ada = self.people["ada"]
        run(["git", "clone", "--quiet", "server.git", "ada"], cwd=self.top)
        ada.introduce()
        ada.run("git switch --quiet --create main")
        shutil.copy(HERE / "train.py", ada.folder)
        (ada.folder / ".gitrepro.yaml").write_text(POLICY.format(box=json.dumps(str(self.top / "box"))))
        ada.run("git add train.py .gitrepro.yaml")
        ada.run("git commit --quiet --message 'softmax regression'")
        ada.run("git push --quiet origin main")

    def five_clones(self):
        say("\nEverybody clones and runs `gitrepro init` once: hooks, runs and the team's disk are known then.")
        for name, place in self.people.items():
            if name != "ada":
                run(["git", "clone", "--quiet", "server.git", name], cwd=self.top)
                place.introduce()
            place.run("gitrepro init")

    # -- five numbers

    def five_runs(self):
        say("\nEach changes the defaults on a branch of their own, commits, and trains.")
        runs = {}
        for name, place in self.people.items():
            place.edit("train.py", **TEAM[name])
            place.run(f"git switch --quiet --create {name}")
            place.run("git commit --quiet --all --message '{lr} for {epochs} epochs'".format(**TEAM[name]))
            place.run("python train.py")
            place.run(f"git push --quiet origin {name}")
            runs[name] = place.ask("gitrepro ls --json")[0]
            place.ok(0.88 <= score(runs[name]) <= 0.91, f"{name} reports {score(runs[name]):.4f}")
        return runs

    def all_push_at_once(self):
        say("\nAll push at the same moment.")
        started = [place.start("gitrepro push") for place in self.people.values()]
        for place, child in zip(self.people.values(), started, strict=True):
            _, errors = child.communicate()
            place.ok(child.returncode == 0, f"the push of {place.name} went through", errors)

    def all_see_all(self, runs):
        say("\nAll see all.")
        wanted = {each["id"] for each in runs.values()}
        for place in self.people.values():
            place.run("gitrepro pull")
            seen = {each["id"] for each in place.ask("gitrepro ls --json")}
            place.ok(seen == wanted, f"{place.name} sees {len(seen)} runs")

    def who_won(self, runs):
        say("\nWhich code made the best number? One line says it: the config, and the commit.")
        ben = self.people["ben"]
        ben.run("gitrepro ls --sort=-val/accuracy --columns name,val/accuracy,lr,epochs,commit")
        best = ben.ask("gitrepro ls --sort=-val/accuracy --json")[0]
        winner = max(runs, key=lambda name: score(runs[name]))
        ben.ok(best["id"] == runs[winner]["id"], f"it is the run of {winner}")
        ben.ok(best["config"] == TEAM[winner], f"its config is {best['config']}")
        commit = self.people[winner].words("git rev-parse HEAD")
        ben.ok(best["code"]["commit"] == commit and not best["code"]["dirty"], f"its code is commit {commit[:12]}")
        return winner, best

    # -- what is refused, and what arrives

    def a_number_nobody_can_stand_behind(self):
        say("\nBen gets 93 %, with a change that he has not committed, and calls it the result.")
        ben = self.people["ben"]
        ben.run("git commit --quiet --allow-empty --message 'one more idea'")
        ben.edit("train.py", lr=0.1, epochs=10)
        ben.run("python train.py")
        ben.refused("git tag result/best", "uncommitted changes")
        say("He goes around the hook that refused the tag; then the one that refuses the push.")
        ben.run("git -c core.hooksPath=/dev/null tag result/best")
        ben.refused("git push origin result/best", "no result is on record for the tag result/best")
        ben.run("gitrepro push")
        ben.refused("git push --no-verify origin result/best", "remote: gitrepro: tag result/best is refused")
        there = self.server.words("git tag --list")
        ben.ok(there == "", "no such tag is on the server")
        ben.run("git tag --delete result/best")

    def the_result(self, winner, best):
        say(f"\n{winner.title()} has the best number that stands. It is declared, and goes out with all behind it.")
        place = self.people[winner]
        place.run(f"gitrepro tag result/best {best['id'][-8:]}")
        place.refused("git push origin result/best", "`gitrepro push origin`")
        place.run("gitrepro push")
        place.run("git push origin result/best")
        place.ok(self.server.words("git tag --list") == "result/best", "the server has the tag")

    def a_sixth_clone(self, winner, best):
        say("\nFran is new. She clones, and asks for the checkpoint by the name of the result.")
        fran = Place(self.top / "fran", "fran")
        run(["git", "clone", "--quiet", "server.git", "fran"], cwd=self.top)
        fran.run("gitrepro init")
        fran.run("gitrepro audit --stage server result/best")
        fran.run("gitrepro checkpoint get result/best best.safetensors")
        place = self.people[winner]
        place.run("gitrepro checkpoint get result/best ../winner.safetensors")
        hers = (fran.folder / "best.safetensors").read_bytes()
        fran.ok(
            hers == (self.top / "winner.safetensors").read_bytes(), f"her {len(hers):,} bytes are those of {winner}"
        )
        shown = fran.ask(f"gitrepro show {best['id']} --json")
        fran.ok(shown["config"] == TEAM[winner], "and she knows what made them")


# -- the stage


class Place:
    """A clone, and the person who sits before it."""

    def __init__(self, folder, name):
        self.folder = folder
        self.name = name

    def introduce(self):
        run(["git", "config", "user.name", self.name.title()], cwd=self.folder)
        run(["git", "config", "user.email", f"{self.name}@example.org"], cwd=self.folder)

    def edit(self, file, **defaults):
        """Change the defaults of arguments in a script."""
        lines = (self.folder / file).read_text().splitlines(keepends=True)
        for number, line in enumerate(lines):
            for name, value in defaults.items():
                if f'"--{name}"' in line:
                    lines[number] = f"{line.partition('default=')[0]}default={value})\n"
        (self.folder / file).write_text("".join(lines))

    def run(self, command):
        """Run a command that must succeed, and show it with what it prints."""
        self._show(command)
        done = run(shlex.split(command), cwd=self.folder)
        for line in done.splitlines():
            say(f"    {line}")

    def start(self, command):
        self._show(f"{command} &")
        return subprocess.Popen(
            shlex.split(command), cwd=self.folder, env=environment(), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def words(self, command):
        """What a command prints, without showing it."""
        return run(shlex.split(command), cwd=self.folder, errors=False).strip()

    def ask(self, command):
        """What a command prints as JSON."""
        return json.loads(self.words(command))

    def refused(self, command, reason):
        """Run a command that must fail, with this reason among its words."""
        self._show(command)
        done = attempt(shlex.split(command), cwd=self.folder)
        for line in done.stderr.splitlines()[:6]:
            say(f"    {line.rstrip()}")
        self.ok(done.returncode != 0, "it is refused", f"it went through: {command}")
        self.ok(reason in done.stderr, f"it says why: {reason}", done.stderr)

    def ok(self, true, words, trouble=""):
        if not true:
            sys.exit(f"not so: {words}\n{trouble}")
        say(f"  ok  {words}")

    def _show(self, command):
        say(f"{self.name} $ {command}")


def score(run):
    return run["summary"]["val/accuracy"]


def run(argv, *, cwd, errors=True):
    done = attempt(argv, cwd=cwd)
    if done.returncode:
        sys.exit(f"{shlex.join(argv)} in {cwd} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout + (done.stderr if errors else "")


def attempt(argv, *, cwd):
    return subprocess.run(
        argv, cwd=cwd, env=environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace"
    )


def environment():
    """No settings of this machine or of a surrounding run; `python` and `gitrepro` are those that tell the scene."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "GITREPRO_"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', os.defpath)}"
    return {**kept, "PATH": path, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "LC_ALL": "C.UTF-8"}


def say(text):
    print(text, flush=True)


if __name__ == "__main__":
    main()
