"""Models in wrappers, and models over several processes: the same files, the same merges."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import several_processes
import torch
import torch.distributed as dist
from safetensors.torch import load_file
from several_processes import STATE, adapted, batch, optimizer_of, sharded_job, small_model, train_step
from torch import nn

import colora
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
)


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


def test_a_sharded_model_merges_as_one_alone(tmp_path, process_group):
    sharded_job(tmp_path, 0)


@pytest.mark.slow
@pytest.mark.processes
def test_two_processes_train_and_merge_as_one(tmp_path):
    """Sharded to the bit, where each process has the same images: the mean of two equal gradients is the gradient."""
    command = [sys.executable, several_processes.__file__, str(tmp_path)]
    there = os.environ | {"PYTHONPATH": str(Path(colora.__file__).parents[1])}
    running = [subprocess.Popen([*command, rank, "2"], stderr=subprocess.PIPE, text=True, env=there) for rank in "01"]
    try:
        errors = [process.communicate(timeout=300)[1] for process in running]
    finally:
        for process in running:
            process.kill()
    assert [process.returncode for process in running] == [0, 0], errors
    one, two = (torch.load(tmp_path / f"{rank}-{STATE}", weights_only=True) for rank in (0, 1))
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
