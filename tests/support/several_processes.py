"""What the tests of wrapped models do in one process or in several: `python several_processes.py FOLDER RANK SIZE`."""

import os
import socket
import sys
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import nn

from colora import (
    CoLoRAConfig,
    adapt,
    add_adapter,
    merge_,
    plain_state,
    save_adapter,
    save_epoch,
    strip,
    undo_,
)

STATE = "state.pt"


def small_model() -> nn.Sequential:
    torch.manual_seed(1)
    features = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 5, 1, bias=False)
    )
    return nn.Sequential(OrderedDict(features=features, head=nn.Sequential(nn.Flatten(), nn.Linear(5 * 16, 3))))


def adapted(seed: int = 0) -> nn.Module:
    model = adapt(small_model(), CoLoRAConfig(pointwise_rank=2, bias="all"), seed=seed)
    with torch.no_grad():
        for p in model.parameters():
            if p.requires_grad:
                p.normal_(generator=torch.Generator().manual_seed(p.numel()))
    model.features[1].running_mean.fill_(2)
    return model


def optimizer_of(model):
    return torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=0.01)


def train_step(model, optimizer, x, labels) -> None:
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(x), labels).backward()
    optimizer.step()


def batch(dtype=torch.float32):
    return torch.randn(4, 3, 4, 4, generator=torch.Generator().manual_seed(2), dtype=dtype), torch.tensor([0, 1, 2, 0])


def sharded_job(folder: Path, rank: int) -> None:
    from torch.distributed.fsdp import fully_shard
    from torch.distributed.tensor import DTensor

    alone, model = adapted(), adapted()
    fully_shard(model.features[0])
    fully_shard(model)
    layer = model.features[0]
    assert isinstance(layer.pointwise_a, DTensor)
    assert isinstance(layer.weight, DTensor)
    kept = list(model.parameters())
    optimizers = [optimizer_of(alone), optimizer_of(model)]
    merges = []
    for step in (1, 2):
        for one, optimizer in zip((alone, model), optimizers, strict=True):
            train_step(one.train(), optimizer, *batch())
        with torch.no_grad():  # leaves the outer module's parameters whole, which a merge has to give up
            assert torch.equal(model.eval()(batch()[0]), alone.eval()(batch()[0]))
        factors = merge_(model, seed=3, step=step, safe=True)
        expected = merge_(alone, seed=3, step=step, safe=True)
        for name, named in expected.items():
            assert all(torch.equal(value, factors[name][kind]) for kind, value in named.items())
        merges.append((factors, expected))
        state, plain = plain_state(model), plain_state(alone)
        assert state.keys() == plain.keys()
        assert all(torch.equal(value, plain[name]) for name, value in state.items())
    assert all(one is other for one, other in zip(model.parameters(), kept, strict=True))
    assert layer.base.weight is layer.base_weight  # no whole kernel is left
    save_epoch(folder / f"history-{rank}", model, 1, {1: merges[0][0], 2: merges[1][0]})
    save_epoch(folder / f"expected-{rank}", alone, 1, {1: merges[0][1], 2: merges[1][1]})
    history = (folder / f"history-{rank}" / "epoch-01.safetensors").read_bytes()
    assert history == (folder / f"expected-{rank}" / "epoch-01.safetensors").read_bytes()
    for factors, expected in reversed(merges):
        undo_(model, factors)
        undo_(alone, expected)
    state = plain_state(model)
    assert all(torch.equal(value, state[name]) for name, value in plain_state(alone).items())
    for change, why in (
        (lambda: strip(model), "load plain_state"),
        (lambda: adapt(model), "adapt the model before fully_shard"),
        (lambda: add_adapter(model, "b"), "sharded by FSDP2"),
    ):
        with pytest.raises(ValueError, match=why):
            change()
    strip(alone).load_state_dict(state)

    fresh, other = adapted(), adapted()
    fully_shard(fresh)
    save_adapter(fresh, folder / f"adapter-{rank}")
    save_adapter(other, folder / f"bare-{rank}")
    for path in (folder / f"bare-{rank}").iterdir():
        assert path.read_bytes() == (folder / f"adapter-{rank}" / path.name).read_bytes()


def parallel_job(folder: Path, rank: int) -> None:
    model = adapted().double()
    model.features[1].eval()  # its statistics would be those of a process's own images
    held = nn.parallel.DistributedDataParallel(model)
    optimizer = optimizer_of(held)
    x, labels = batch(torch.float64)
    mine = slice(2 * rank, 2 * rank + 2)
    for step in (1, 2):
        train_step(held, optimizer, x[mine], labels[mine])
        merge_(held, seed=3, step=step)
    torch.save(plain_state(held) | {f"factor.{n}": p for n, p in model.named_parameters()}, folder / f"{rank}-{STATE}")


def main(folder: str, rank: str, size: str) -> None:
    torch.set_num_threads(1)
    loopback = [name for _, name in socket.if_nameindex() if name.startswith("lo")]
    os.environ.setdefault("GLOO_SOCKET_IFNAME", loopback[0])  # not by the host's name, which a machine may not resolve
    dist.init_process_group("gloo", init_method=f"file://{folder}/group", rank=int(rank), world_size=int(size))
    sharded_job(Path(folder), int(rank))
    parallel_job(Path(folder), int(rank))
    dist.barrier()  # who leaves first would cut the connection of who has not finished
    dist.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
