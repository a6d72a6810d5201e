"""The same with `gitrepro.record()` in every rank."""

import os
import signal
import sys
from pathlib import Path

import torch
import torch.distributed as dist

import gitrepro


def main() -> None:
    how, rank_to_end = sys.argv[1:] if len(sys.argv) > 1 else ("well", "-1")
    rank, world_size = (int(os.environ[name]) for name in ("RANK", "WORLD_SIZE"))
    # A meeting place of its own for each start: in torchrun's, the addresses of a start that failed may still stand.
    place = Path(f".meeting-{os.environ['TORCHELASTIC_RESTART_COUNT']}").absolute()
    dist.init_process_group("gloo", init_method=f"file://{place}", rank=rank, world_size=world_size)
    with gitrepro.record(config={"lr": 0.1}, seed=rank) as run:
        print(f"id {run.id}", flush=True)
        for step in range(3):
            value = torch.tensor(float(rank))
            dist.all_reduce(value)
            run.log({"loss": 1.0 / (step + 1), "rank": rank, "sum": value.item()}, step=step)
            if rank == int(rank_to_end) and step == 1:
                end(how)
    dist.destroy_process_group()


def end(how: str) -> None:
    restarted = int(os.environ["TORCHELASTIC_RESTART_COUNT"]) > 0
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "raises" or (how == "raises-once" and not restarted):
        raise ValueError("no such layer")


if __name__ == "__main__":
    main()
