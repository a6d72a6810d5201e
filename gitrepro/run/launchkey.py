"""Which launch a process belongs to: torchrun, SLURM, MPI or a script of one's own start one program many times."""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

# Steps that SLURM numbers from here on are no `srun`: batch scripts, extern, interactive shells.
_FIRST_SPECIAL_STEP: Final = 4_294_967_000
_LOOPBACK: Final = ("localhost", "::1", "")
_DIGITS_AT_MOST: Final = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """One process of a program that was started several times at once, as its launcher tells it.

    Attributes:
        launcher: `torchrun`, `slurm`, `mpi`, or `ranks` for RANK and WORLD_SIZE set by anything else.
        words: what every process of this launch, and of its restarts, has in common.
        rank: from 0.
        world_size: how many processes there are in all.
        restart: how often the launcher has started them all anew.
    """

    launcher: str
    words: tuple[str, ...]
    rank: int
    world_size: int
    restart: int = 0

    @property
    def key(self) -> str:
        """The name of this launch; a restart has another."""
        return self.key_of(self.restart)

    def key_of(self, restart: int) -> str:
        text = "\0".join((self.launcher, *self.words, str(restart)))
        return f"{self.launcher}-{hashlib.sha256(text.encode('utf-8', 'surrogateescape')).hexdigest()[:24]}"

    def document(self) -> dict[str, Any]:
        """What a journal says of the process that writes it."""
        kept = {"launcher": self.launcher, "rank": self.rank, "restart": self.restart, "world_size": self.world_size}
        return {**kept, "key": self.key}


def launch_of(environ: Mapping[str, str]) -> Launch | None:
    """The launch that `environ` tells of; None for a process that stands alone.

    A job of one task is no launch: several programs started one after the other, or side by side, in one SLURM job
    are runs of their own.
    """
    for tells in (_torchrun, _ranks, _slurm, _mpi):
        found = tells(environ)
        if found is not None and found.world_size > 1 and found.rank < found.world_size:
            return found
    return None


def _torchrun(environ: Mapping[str, str]) -> Launch | None:
    rank, world_size = _number(environ, "RANK"), _number(environ, "WORLD_SIZE")
    if "TORCHELASTIC_RUN_ID" not in environ or rank is None or world_size is None:
        return None
    # Without a rendezvous the id is "none": the address is what tells two launches apart. A rendezvous that starts
    # the workers anew gives them another port.
    named = environ["TORCHELASTIC_RUN_ID"]
    words = (named,) if named != "none" else (named, *_address(environ))
    restart = _number(environ, "TORCHELASTIC_RESTART_COUNT") or 0
    return Launch(launcher="torchrun", words=words, rank=rank, world_size=world_size, restart=restart)


def _ranks(environ: Mapping[str, str]) -> Launch | None:
    rank, world_size = _number(environ, "RANK"), _number(environ, "WORLD_SIZE")
    if rank is None or world_size is None:
        return None
    words = _address(environ) if environ.get("MASTER_PORT") else _siblings()
    job = environ.get("SLURM_JOB_ID", "")
    restart = _number(environ, "SLURM_RESTART_COUNT") or 0
    return Launch(launcher="ranks", words=(*words, job), rank=rank, world_size=world_size, restart=restart)


def _slurm(environ: Mapping[str, str]) -> Launch | None:
    job, step = environ.get("SLURM_JOB_ID"), _number(environ, "SLURM_STEP_ID", digits=10)
    rank = _number(environ, "SLURM_PROCID")
    if not job or step is None or step >= _FIRST_SPECIAL_STEP or rank is None:
        return None
    # SLURM_NTASKS is the step's inside a step, and the job's where an older SLURM passes it on.
    world_size = _number(environ, "SLURM_STEP_NUM_TASKS") or _number(environ, "SLURM_NTASKS") or 1
    words = (environ.get("SLURM_CLUSTER_NAME", ""), job, str(step))
    restart = _number(environ, "SLURM_RESTART_COUNT") or 0
    return Launch(launcher="slurm", words=words, rank=rank, world_size=world_size, restart=restart)


def _mpi(environ: Mapping[str, str]) -> Launch | None:
    rank, world_size = _number(environ, "OMPI_COMM_WORLD_RANK"), _number(environ, "OMPI_COMM_WORLD_SIZE")
    if rank is None or world_size is None:
        return None
    names = ("PMIX_NAMESPACE", "OMPI_MCA_ess_base_jobid", "OMPI_MCA_orte_ess_jobid")
    job = next((environ[name] for name in names if environ.get(name)), None)
    return Launch(launcher="mpi", words=(job,) if job else _siblings(), rank=rank, world_size=world_size)


def _address(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Where the processes meet. A loopback address is one on each host."""
    host, port = environ.get("MASTER_ADDR", ""), environ.get("MASTER_PORT", "")
    here = (socket.gethostname(),) if host in _LOOPBACK or host.startswith("127.") else ()
    return (host, port, *here)


def _siblings() -> tuple[str, ...]:
    """Where nothing else is known: the processes of one parent, by its number and the tick it was born in."""
    parent = os.getppid()
    try:
        born = Path(f"/proc/{parent}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        born = ""
    return (socket.gethostname(), str(parent), born)


def _number(environ: Mapping[str, str], name: str, *, digits: int = _DIGITS_AT_MOST) -> int | None:
    text = environ.get(name, "")
    return int(text) if text.isdecimal() and text.isascii() and len(text) <= digits else None
