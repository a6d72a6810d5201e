"""Bytes that nobody wrote, for one reader: `python -m tests.torture.fuzz journal --seconds 60`.

A reader may refuse with an error of ours, and may do nothing else: any other exception, and any run beyond the limit
of memory, is a problem. With atheris the coverage of the reader steers the bytes; without it the seeds are changed at
random. Seeds are the golden files, so that bytes begin as something that was once written.

What is read is imported when it is read: atheris sees only what is imported under its eyes.
"""

from __future__ import annotations

import argparse
import datetime
import random
import struct
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from . import readers

GOLDEN = Path(__file__).parents[1] / "golden" / "v1"
MOST_BYTES = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One reader: what reads bytes, and bytes to begin with."""

    read: Callable[[bytes], object]
    seeds: Callable[[], list[bytes]]
    module: str


def _journal(data: bytes) -> None:
    from gitrepro.store import journal_reader

    found = journal_reader.parse([data])
    if found.torn_bytes + found.damaged_bytes > len(data):
        raise AssertionError(f"more is damaged than there is: {found.torn_bytes}, {found.damaged_bytes}")


def _yaml(data: bytes) -> None:
    from gitrepro.records import yaml

    if yaml.dump(yaml.load(data)) != data:
        raise AssertionError("what was read is written differently")


def _metrics(data: bytes) -> None:
    from gitrepro.records import metrics

    metrics.read({"metrics.parquet": data})


def _tree(data: bytes) -> None:
    from gitrepro.store import gitobjects

    gitobjects.decode_tree(data)


class AnyName:
    """Every metric and every config key is known."""

    def has(self, kind: str, key: str) -> bool:
        return True

    def all(self, kind: str) -> Iterable[str]:
        return ("val/accuracy", "lr")


def _query(data: bytes) -> None:
    from gitrepro import query

    now = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    query.parse(data.decode("utf-8", "replace"), names=AnyName(), now=now)


def _tensorboard(data: bytes) -> None:
    from gitrepro.capture.written.tensorboard import EventFile

    EventFile().take(data)


def _files(*patterns: str) -> Callable[[], list[bytes]]:
    return lambda: [path.read_bytes() for pattern in patterns for path in sorted(GOLDEN.rglob(pattern))]


def _events() -> list[bytes]:
    """An event file of TensorBoard with two records."""
    from gitrepro.capture.written.crc32c import masked

    value = b"\x0a\x04loss" + b"\x15" + struct.pack("<f", 0.5)
    summary = b"\x0a" + bytes([len(value)]) + value
    records = [
        b"\x09" + struct.pack("<d", 1.0e9 + step) + bytes([0x10, step, 0x2A, len(summary)]) + summary for step in (1, 2)
    ]
    heads = [struct.pack("<Q", len(record)) for record in records]
    return [
        b"".join(
            head + struct.pack("<I", masked(head)) + record + struct.pack("<I", masked(record))
            for head, record in zip(heads, records, strict=True)
        )
    ]


TARGETS = {
    "journal": Target(read=_journal, seeds=_files("journal.*"), module="gitrepro.store.journal_reader"),
    "yaml": Target(read=_yaml, seeds=_files("*.yaml"), module="gitrepro.records.yaml"),
    "metrics": Target(read=_metrics, seeds=_files("*.parquet"), module="gitrepro.records.metrics"),
    "tree": Target(
        read=_tree,
        seeds=lambda: [b"100644 a\0" + bytes(20) + b"40000 b\0" + b"\xff" * 20],
        module="gitrepro.store.gitobjects",
    ),
    "query": Target(
        read=_query,
        seeds=lambda: [b"val/accuracy > 0.9 and seed in 0..4", b"not (name ~ 'a*' or status = failed)", b"lr == 1e-3"],
        module="gitrepro.query",
    ),
    "tensorboard": Target(read=_tensorboard, seeds=_events, module="gitrepro.capture.written.tensorboard"),
    "recipe": Target(read=readers.recipe, seeds=readers.recipes, module="gitrepro.records.recipe"),
    "tree root": Target(read=readers.root, seeds=readers.roots, module="gitrepro.records.manifest"),
    "tree shard": Target(read=readers.shard, seeds=readers.shards, module="gitrepro.records.manifest"),
    "split": Target(read=readers.partition, seeds=readers.partitions, module="gitrepro.records.partition"),
    "split record": Target(read=readers.split, seeds=readers.splits, module="gitrepro.records.split"),
    "dataset record": Target(read=readers.dataset, seeds=readers.datasets, module="gitrepro.records.dataset"),
    "statistics": Target(read=readers.statistics, seeds=readers.all_statistics, module="gitrepro.data.compare"),
    "pack": Target(read=readers.pack, seeds=readers.packs, module="gitrepro.store.objects.packfile"),
    "pins": Target(read=readers.pins, seeds=readers.all_pins, module="gitrepro.store.pins"),
    "cuts of a zip file": Target(read=readers.cuts, seeds=readers.archives, module="gitrepro.store.splitters"),
    "cuts of a tensor file": Target(read=readers.cuts, seeds=readers.tensor_files, module="gitrepro.store.splitters"),
    "tensor file": Target(read=readers.tensors, seeds=readers.tensor_files, module="gitrepro.checkpoints.tensorfile"),
    "checkpoint": Target(read=readers.checkpoint, seeds=readers.checkpoints, module="gitrepro.checkpoints.reading"),
}


def check(target: Target, data: bytes) -> str:
    """What is wrong with how the reader took these bytes; empty when nothing is."""
    from gitrepro.errors import GitreproError

    try:
        target.read(data)
    except GitreproError:
        return ""
    except Exception as error:  # noqa: BLE001 - any other exception is what is looked for
        return f"{type(error).__name__}: {error!s:.200}"
    return ""


def mutated(seed: bytes, rng: random.Random) -> bytes:
    """The seed after a few changes: flipped bits, cuts, repeats, noise, numbers at their limits."""
    data = bytearray(seed[:MOST_BYTES])
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(6):
            case 0 if data:
                data[at % len(data)] ^= 1 << rng.randrange(8)
            case 1:
                del data[at : at + rng.choice((1, 4, 100))]
            case 2:
                data[at:at] = data[at : at + rng.randrange(1, 40)]
            case 3:
                data[at:at] = rng.randbytes(rng.randrange(1, 9))
            case 4:
                data[at : at + 4] = rng.choice((b"\0\0\0\0", b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"gRj1"))
            case _:
                data[at:] = b""
    return bytes(data)


def by_chance(target: Target, *, rng: random.Random, count: int = 0, seconds: float = 0) -> tuple[int, list[str]]:
    """How many inputs were tried, and the first problem with the bytes that show it."""
    seeds = target.seeds()
    deadline = time.monotonic() + seconds if seconds else float("inf")
    done = 0
    while (not count or done < count) and time.monotonic() < deadline:
        data = mutated(rng.choice(seeds), rng)
        done += 1
        if problem := check(target, data):
            return done, [f"{problem}; the bytes: {data.hex()}"]
    return done, []


def by_coverage(name: str, seconds: float, corpus: Path) -> int:
    """With atheris. It ends the process by itself; a problem is a crash, with the bytes in a file."""
    import atheris  # type: ignore[import-untyped]

    target = TARGETS[name]
    with atheris.instrument_imports(include=["gitrepro"]):
        import_module(target.module)
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds()):
        (corpus / f"seed-{number}").write_bytes(seed)

    def one(data: bytes) -> None:
        if problem := check(target, data):
            raise AssertionError(problem)

    atheris.Setup([sys.argv[0], str(corpus), f"-max_total_time={int(seconds)}", f"-max_len={MOST_BYTES}"], one)
    atheris.Fuzz()
    return 0


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.torture.fuzz", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--corpus", help="where atheris keeps its inputs; without it, bytes by chance")
    options = parser.parse_args(argv)
    if options.corpus and find_spec("atheris"):
        return by_coverage(options.target, options.seconds, Path(options.corpus))
    done, problems = by_chance(TARGETS[options.target], rng=random.Random(options.seed), seconds=options.seconds)
    print(f"{options.target}: {done:,} inputs, {len(problems)} problems", *problems, sep="\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
