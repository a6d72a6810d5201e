"""Two ranks, traced and guarded: what the second one finds stops both."""

import math

import torch
import torch.distributed as dist
from torch import nn

import gitrepro
from gitrepro import NonFinite

dist.init_process_group("gloo")
rank = dist.get_rank()
with gitrepro.record(seed=0) as run:
    torch.manual_seed(0)
    model = nn.parallel.DistributedDataParallel(nn.Linear(4, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    run.trace(model, optimizer)
    data = torch.utils.data.TensorDataset(torch.randn(64, 4, generator=torch.Generator().manual_seed(1)))
    guard = run.guard(NonFinite(gradients=False, weights=False))
    guard.watch(model, optimizer)
    loader = run.loader(data, batch_size=2, shuffle=True)
    for step, (batch,) in enumerate(loader):
        loss = model(batch).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        run.log({"train/loss": math.nan if rank == 1 and step == 6 else loss.item()}, step=step)
        if guard.should_stop(across_ranks=True):
            print("rank", rank, "stops at", step, flush=True)
            break
dist.destroy_process_group()
