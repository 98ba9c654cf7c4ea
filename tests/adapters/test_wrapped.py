"""Models in wrappers, and models over several processes: the same files, the same merges."""

import os
import sys
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from safetensors.torch import load_file
from torch import multiprocessing, nn

from colora import (
    CoLoRAConfig,
    adapt,
    adapted_layers,
    add_adapter,
    load_adapter,
    merge_,
    plain_state,
    rebuild,
    save_adapter,
    save_epoch,
    set_adapter,
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


@pytest.fixture
def process_group(tmp_path):
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/rendezvous", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def nested(model):
    model.features = torch.compile(model.features)
    return model


def one_layer(model):
    model.features[3] = torch.compile(model.features[3])
    return model


WRAPPERS = {
    "compiled": torch.compile,
    "a compiled part": nested,
    "a compiled layer": one_layer,
    "both": lambda model: torch.compile(nested(model)),
    "DataParallel": nn.DataParallel,
    "DistributedDataParallel": nn.parallel.DistributedDataParallel,
}


@pytest.mark.parametrize("kind", WRAPPERS)
def test_files_are_the_same_whatever_wraps_the_model(kind, tmp_path, process_group):
    bare, model = adapted(), adapted()
    model = WRAPPERS[kind](model)
    for name, one in (("bare", bare), ("wrapped", model)):
        save_adapter(one, tmp_path / name)
        save_epoch(tmp_path / f"{name}-history", one, 1, {1: merge_(one, step=1)})
    for folder in ("", "-history"):
        there = sorted((tmp_path / f"bare{folder}").iterdir())
        for path in there:
            assert path.read_bytes() == (tmp_path / f"wrapped{folder}" / path.name).read_bytes()
    names = load_file(tmp_path / "wrapped" / "adapter_model.safetensors")
    assert {"features.1.running_mean", "features.3.depthwise", "features.3.bias_update", "head.1.weight"} < names.keys()


@pytest.mark.parametrize(
    "kind", [kind for kind in WRAPPERS if kind not in ("DistributedDataParallel", "a compiled layer")]
)
def test_files_go_onto_wrapped_models(kind, tmp_path):
    bare = adapted()
    expected = {name: value.clone() for name, value in plain_state(bare).items()}
    save_adapter(bare, tmp_path / "adapter")
    save_epoch(tmp_path / "history", bare, 1, {1: merge_(bare, step=1)})
    model = WRAPPERS[kind](small_model())
    assert load_adapter(model, tmp_path / "adapter") is model
    assert list(adapted_layers(model)) == ["features.0", "features.3"]
    state = plain_state(model)
    assert state.keys() == expected.keys()
    assert all(torch.equal(value, expected[name]) for name, value in state.items())
    rebuilt = plain_state(rebuild(WRAPPERS[kind](small_model()), tmp_path / "history", 1))
    assert all(torch.equal(value, expected[name]) for name, value in rebuilt.items())


def test_wrapped_models_have_several_adapters_too():
    model = torch.compile(nested(adapted()))
    model.head = torch.compile(model.head)
    add_adapter(model, "b", CoLoRAConfig(targets="features.0"), modules={"head.1": nn.Linear(80, 5)})
    set_adapter(model, "b")
    assert list(adapted_layers(model)) == ["features.0"]
    assert model.head._orig_mod[1].out_features == 5
    set_adapter(model, "default")
    assert list(adapted_layers(model)) == ["features.0", "features.3"]
    assert model.head._orig_mod[1].out_features == 3


def test_what_distributed_data_parallel_holds_is_not_changed_under_it(tmp_path, process_group):
    save_adapter(adapted(), tmp_path / "adapter")
    with pytest.raises(ValueError, match="adapt the model before DistributedDataParallel"):
        load_adapter(nn.parallel.DistributedDataParallel(small_model()), tmp_path / "adapter")
    model = adapted()
    add_adapter(model, "b")
    with pytest.raises(ValueError, match="set the adapter before DistributedDataParallel"):
        set_adapter(nn.parallel.DistributedDataParallel(model), "b")
    assert list(adapted_layers(model)) == ["features.0", "features.3"]


def test_a_layer_that_is_compiled_by_itself_is_not_exchanged():
    """Its wrapper would go on calling the layer that it took."""
    why = r"^features\.3 is one layer, to which torch\.compile holds: compile what it is a part of"
    model = one_layer(small_model())
    with pytest.raises(ValueError, match=why):
        adapt(model)
    assert all(p.requires_grad for p in model.parameters())
    assert list(adapted_layers(adapt(model, CoLoRAConfig(targets="features.0")))) == ["features.0"]
    model = add_adapter(adapted(), "b", CoLoRAConfig(targets="features.0"))
    one_layer(model)
    for change in (lambda: strip(model), lambda: set_adapter(model, "b")):
        with pytest.raises(ValueError, match=why):
            change()
    assert list(adapted_layers(model)) == ["features.0", "features.3"]


def in_processes(job, world_size: int, folder: Path) -> None:
    """`job(folder, rank)` in processes of one group; an error in one of them is raised here."""
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_work, args=(job, rank, world_size, folder)) for rank in range(world_size)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0] * world_size


def _work(job, rank: int, world_size: int, folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=world_size)
    try:
        job(folder, rank)
    except BaseException:
        import traceback

        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    dist.destroy_process_group()
    os._exit(0)


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


@pytest.mark.parametrize("world_size", [1, 2])
def test_a_sharded_model_merges_as_one_alone(tmp_path, world_size):
    """To the bit, where each process has the same images: the mean of two equal gradients is the gradient."""
    in_processes(sharded_job, world_size, tmp_path)


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


def test_two_processes_train_and_merge_as_one(tmp_path):
    in_processes(parallel_job, 2, tmp_path)
    one, two = (torch.load(tmp_path / f"{rank}-{STATE}") for rank in (0, 1))
    assert all(torch.equal(value, two[name]) for name, value in one.items())
    model = adapted().double()
    model.features[1].eval()
    optimizer = optimizer_of(model)
    for step in (1, 2):
        train_step(model, optimizer, *batch(torch.float64))
        merge_(model, seed=3, step=step)
    start = plain_state(adapted().double())
    alone = plain_state(model)
    assert max((alone[name] - start[name]).abs().max().item() for name in alone) > 0.01
    for name, value in alone.items():
        assert torch.allclose(one[name], value, rtol=0, atol=1e-9)
