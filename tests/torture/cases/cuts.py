"""Lines that are cut at any byte: of `git push` and `pull`, and of each driver of store remotes; bundles cut short.

A real server, a proxy before it, and cuts at random bytes of what an exchange without a cut takes, in both directions
together: by a reset, by an end, after a silence. Then the same once more without a cut.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.sync.proxy import HOW, Proxy
from tests.sync.servers import S3, SSHD, _client

from .. import oracle, remotes, servers, stores
from ..case import Case, Trial, scene
from ..world import SCENARIOS, Place, World
from .stores import home, promised

CUTS_AT_MOST = 3
AGAIN = 6
"""So often some are cut who try again by themselves."""
TRIALS = 110
BUNDLES = 8
"""Cuts of a bundle in one repository."""
SECONDS = 240.0
REFUSED = (0, 5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One thing that is done over a line: where, the nursery's job, and what must hold after it."""

    template: str
    job: str
    args: tuple[str, ...]
    judge: Callable[[Place, Far, bool], list[str]]
    after: Callable[[World, Place, Far], list[str]]
    options: dict[str, object] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Far:
    """The far side: the port that a proxy stands before, and what the exchange over it needs, made for each place."""

    port: int
    contents: Callable[[Place], dict[str, bytes]] = field(default=lambda place: remotes.contents_of(place.remote))


Open = Callable[[World], Far]
Tell = Callable[[World, Place, Proxy], tuple[Exchange, Far]]


# -- Git


def _runs(repo: Place, *, there: bool, all_of_them: bool) -> list[str]:
    acks = oracle.acknowledged(repo.acks)
    where = repo.hub if there else repo.repo
    problems = oracle.judge(where, acks, sent=3, excused=() if all_of_them else acks.runs, strays=0)
    return [f"{'there' if there else 'here'}: {problem}" for problem in problems]


def _pushed(place: Place, _far: Far, is_done: bool) -> list[str]:
    return _runs(place, there=True, all_of_them=is_done) + _runs(place, there=False, all_of_them=True)


def _pulled(place: Place, _far: Far, is_done: bool) -> list[str]:
    # The one that was recorded here last was never pushed.
    acks = oracle.acknowledged(place.acks)
    there = oracle.judge(place.hub, acks, sent=3, excused=acks.runs[-1:], strays=0)
    return there + _runs(place, there=False, all_of_them=is_done)


def _synced(world: World, place: Place, _far: Far) -> list[str]:
    """All is everywhere, and saying it again changes nothing."""
    _say(world, place, "push")
    trees = {oracle.git(where, "rev-parse", f"{oracle.RUNS}^{{tree}}") for where in (place.repo, place.hub)}
    refs = oracle.git(place.hub, "for-each-ref")
    again = [_say(world, place, "push"), _say(world, place, "pull")]
    problems = [f"once more it ends with {code}: {place.said[-300:]}" for code in again if code != 0]
    if len(trees) != 1:
        problems.append("the trees differ")
    if oracle.git(place.hub, "for-each-ref") != refs or b"refs/gitrepro/inbox" in refs:
        problems.append("once more it changes the remote, or leaves an inbox")
    return problems + _runs(place, there=True, all_of_them=True)


def _say(world: World, place: Place, verb: str) -> int | None:
    return world.run(place, "command", verb, "--quiet", seconds=SECONDS)


def git_exchange(verb: str, template: str, judge: Callable[[Place, Far, bool], list[str]]) -> Tell:
    def tell(world: World, place: Place, proxy: Proxy) -> tuple[Exchange, Far]:
        url = f"git://127.0.0.1:{proxy.port}{place.hub}"
        oracle.git(place.repo, "config", "remote.origin.url", url)
        exchange = Exchange(
            template=template, job="command", args=(verb, "--quiet"), judge=judge, after=_synced, env={}
        )
        return exchange, Far(port=0)

    return tell


# -- store remotes


def _sent(place: Place, far: Far, is_done: bool) -> list[str]:
    return remotes.judge(far.contents(place), promised(place) if is_done else ())


def _fetched(place: Place, _far: Far, is_done: bool) -> list[str]:
    # A run of ours that was not killed leaves nothing behind, cut or not.
    return stores.judge(home(place), promised(place) if is_done else (), strays=0)


def _told(place: Place) -> list[int]:
    path = place.root / "told"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def _nothing_twice(world: World, place: Place, exchange: Exchange, far: Far) -> list[str]:
    before = far.contents(place)
    if _do(world, place, exchange) != 0:
        return [f"once more it fails: {place.said[-300:]}"]
    problems = [] if _told(place)[-1] == 0 else [f"once more {_told(place)[-1]} blobs travel"]
    return problems + (["once more it changes what is there"] if far.contents(place).keys() != before.keys() else [])


def blob_exchange(job: str, kind: str) -> Tell:
    def tell(world: World, place: Place, proxy: Proxy) -> tuple[Exchange, Far]:
        url, options, env, far = KINDS[kind](world, place, proxy)
        exchange = Exchange(
            template="stored" if job == "send" else "remote",
            job=job,
            args=(str(place.root / "told"), url),
            judge=_sent if job == "send" else _fetched,
            after=lambda world, place, far: _nothing_twice(world, place, exchange, far),
            options={"options": options},
            env=env,
        )
        return exchange, far

    return tell


Opened = tuple[str, dict[str, str], dict[str, str], Far]


def _ssh(world: World, place: Place, proxy: Proxy, *, host: str, helper: str) -> Opened:
    sshd = world.server(servers.sshd)
    env = servers.through(sshd, proxy, place.root / "ssh_config")
    return f"ssh://{host}{place.remote}", {"helper": helper}, env, Far(port=sshd.ports[host])


def _s3(world: World, place: Place, proxy: Proxy) -> Opened:
    s3 = world.server(servers.moto)
    url = f"s3://{s3.bucket}/{place.root.name}"
    return url, {"endpoint": f"http://127.0.0.1:{proxy.port}"}, s3.environment(), Far(port=s3.port, contents=_in_s3(s3))


def _in_s3(s3: S3) -> Callable[[Place], dict[str, bytes]]:
    def contents(place: Place) -> dict[str, bytes]:
        client, prefix = _client(s3), f"{place.root.name}/"
        listed = client.list_objects_v2(Bucket=s3.bucket, Prefix=prefix).get("Contents", ())
        keys = [each["Key"] for each in listed]
        found = {key: client.get_object(Bucket=s3.bucket, Key=key)["Body"].read() for key in keys}
        return {key.removeprefix(prefix): data for key, data in found.items()}

    return contents


def _http(world: World, place: Place, proxy: Proxy) -> Opened:
    return f"http://127.0.0.1:{proxy.port}{place.remote}", {}, {}, Far(port=world.server(servers.web))


KINDS: dict[str, Callable[[World, Place, Proxy], Opened]] = {
    "ssh, gitrepro there": partial(_ssh, host="box", helper="gitrepro"),
    "ssh, sftp only": partial(_ssh, host="bare", helper="none"),
    "s3": _s3,
    "http": _http,
}


def _port(world: World, kind: str) -> int:
    if kind == "git":
        return world.server(servers.git_daemon)
    if kind == "s3":
        return world.server(servers.moto).port
    if kind == "http":
        return world.server(servers.web)
    return world.server(servers.sshd).ports["box" if "there" in kind else "bare"]


def _fill_s3(world: World, place: Place) -> None:
    """Put what a folder has into the bucket."""
    s3 = world.server(servers.moto)
    client = _client(s3)
    for key, data in remotes.contents_of(place.remote).items():
        client.put_object(Bucket=s3.bucket, Key=f"{place.root.name}/{key}", Body=data)


# -- a trial


@contextmanager
def _before(world: World, kind: str, template: str) -> Iterator[tuple[Place, Proxy]]:
    with scene(world, template) as place:
        if kind == "s3" and template == "remote":
            _fill_s3(world, place)
        proxy = Proxy(_port(world, kind))
        try:
            yield place, proxy
        finally:
            proxy.close()


def _do(world: World, place: Place, exchange: Exchange, *, mutant: str = "") -> int | None:
    planted = {"mutant": mutant} if mutant else {}
    return world.run(
        place, exchange.job, *exchange.args, seconds=SECONDS, env=exchange.env, **exchange.options, **planted
    )


def span_bytes(world: World, kind: str, template: str, tell: Tell, name: str) -> int:
    """How many bytes pass when nothing is cut."""

    def measure(into: Path) -> None:
        with _before(world, kind, template) as (place, proxy):
            exchange, _ = tell(world, place, proxy)
            assert _do(world, place, exchange) == 0, place.said
            (into / "bytes").write_text(str(proxy.passed_bytes))

    return int((world.common(f"span-{name.replace(' ', '-')}", measure) / "bytes").read_text())


def cut(kind: str, ways: Mapping[str, tuple[str, Tell]]) -> Callable[..., Trial]:
    """Cut one to three times, judge after each, then do it without a cut, and judge again."""

    def trial(world: World, number: int, rng: random.Random, *, mutant: str = "") -> Trial:
        name = list(ways)[number % len(ways)]
        template, tell = ways[name]
        span = span_bytes(world, kind, template, tell, f"{kind} {name}")
        trial = Trial()
        with _before(world, kind, template) as (place, proxy):
            exchange, far = tell(world, place, proxy)
            for _ in range(rng.randint(1, CUTS_AT_MOST)):
                # Some libraries try again by themselves: they are cut again while they do.
                later = [rng.randrange(1, 2 + span // 20) for _ in range(rng.choice((0, 0, AGAIN)))]
                proxy.cut_after(rng.randrange(1, span), *later, how=rng.choice(HOW))
                code = _do(world, place, exchange, mutant=mutant)
                proxy.cut_after(None)
                trial.problems += _judged(exchange, place, far, code)
                trial.facts["tries that failed by a cut"] += code == 5
            trial.facts["cuts"] = proxy.cuts
            trial.facts[f"cuts of a {name}"] = proxy.cuts
            code = _do(world, place, exchange)
            trial.problems += [] if code == 0 else [f"without a cut it ends with {code}: {place.said[-400:]}"]
            trial.problems += exchange.judge(place, far, True)
            trial.problems += exchange.after(world, place, far)
            if "Traceback" in place.said:
                trial.problems.append(f"a traceback: {place.said[-400:]}")
        return trial

    return trial


def _judged(exchange: Exchange, place: Place, far: Far, code: int | None) -> list[str]:
    problems = [] if code in REFUSED else [f"cut, it ends with {code}: {place.said[-400:]}"]
    try:
        return problems + exchange.judge(place, far, code == 0)
    except AssertionError as error:
        return [*problems, str(error)]


# -- bundles


def short_bundles(world: World, number: int, rng: random.Random, *, mutant: str = "") -> Trial:
    """A bundle that ends anywhere before its end is refused, and nothing changes; whole, all of it comes."""
    trial = Trial()
    with scene(world, "bundled") as place:
        data, short = (place.root / "bundle").read_bytes(), place.root / "short"
        refs = oracle.git(place.repo, "for-each-ref")
        for at in range(BUNDLES):
            # Spread over the trials, so that all of them together meet each part of the file.
            end = int(len(data) * ((number * BUNDLES + at) * 0.618034 % 1)) if at else rng.randrange(len(data))
            short.write_bytes(data[:end])
            code = world.run(place, "command", "pull", "--quiet", str(short), seconds=SECONDS, mutant=mutant)
            if code not in (2, 3, 4, 5) or "Traceback" in place.said:
                trial.problems.append(f"cut to {end} of {len(data)} bytes it ends with {code}: {place.said[-300:]}")
            if oracle.git(place.repo, "for-each-ref") != refs:
                trial.problems.append(f"cut to {end} of {len(data)} bytes it changes the refs")
        trial.problems += oracle.broken(place.repo)
        if world.run(place, "command", "pull", "--quiet", "../bundle", seconds=SECONDS) != 0:
            trial.problems.append(f"whole it is refused: {place.said[-300:]}")
        trial.problems += _runs(place, there=False, all_of_them=True)
        trial.facts["bundles refused"] = BUNDLES
        return trial


# -- the cases


def first(trial: Callable[..., Trial], mutant: str, *, tries: int = 12) -> Callable[[World, random.Random], list[str]]:
    """What is said of the first trial that finds the planted fault."""

    def control(world: World, rng: random.Random) -> list[str]:
        for number in range(tries):
            try:
                problems = trial(world, number, rng, mutant=mutant).problems
            except oracle.Unreadable as error:
                problems = [str(error)]
            if problems:
                return problems
        return []

    return control


def _needs(kind: str) -> str:
    import importlib.util

    if kind.startswith("ssh") and SSHD is None:
        return "sshd is not installed"
    lacking = [name for name in ("moto", "flask_cors", "obstore") if not importlib.util.find_spec(name)]
    return f"{', '.join(lacking)} not installed" if kind == "s3" and lacking else ""


def _both(kind: str) -> dict[str, tuple[str, Tell]]:
    send = {"send": ("stored", blob_exchange("send", kind))}
    return {**({} if kind == "http" else send), "fetch": ("remote", blob_exchange("fetch", kind))}


GIT = {
    "push": (SCENARIOS["push"].template, git_exchange("push", "ahead", _pushed)),
    "pull": (SCENARIOS["pull"].template, git_exchange("pull", "behind", _pulled)),
}
CUT = "cut anywhere there are whole things or none; the next try finishes, nothing twice"


def _case(name: str, kind: str, ways: dict[str, tuple[str, Tell]], full: int, ci: int) -> Case:
    trial = cut(kind, ways)
    return Case(
        name=f"cut lines: {name}",
        promise=CUT,
        full=lambda _: full,
        ci=ci,
        trial=trial,
        control=first(trial, "cut taken for the end"),
        needs=lambda _: _needs(kind),
    )


over_git = cut("git", GIT)
sending_by_sftp = cut("ssh, sftp only", {"send": _both("ssh, sftp only")["send"]})

CASES = (
    _case("git push", "git", {"push": GIT["push"]}, TRIALS, 1),
    _case("git pull", "git", {"pull": GIT["pull"]}, TRIALS, 1),
    *(_case(f"blobs by {kind}", kind, _both(kind), TRIALS, 1) for kind in KINDS),
    Case(
        name="bundles that end too early",
        promise="refused, and nothing changes; or whole",
        full=lambda _: 50,
        ci=1,
        each=BUNDLES,
        trial=short_bundles,
        control=first(short_bundles, "cut taken for the end"),
    ),
)
