"""What a run keeps of its model: a file that was deleted, cut off, or is of another network is a sentence."""

import copy
import json

import numpy as np
import pytest
import torch
from commands import mistake
from PIL import Image
from safetensors.numpy import load, save
from torch import nn
from training import reason

from colora.adapters.model import CoLoRAConfig, adapt, plain_state
from colora.adapters.walk import adapter_parameters
from colora.runs.folder import Run
from colora.training.checkpoint import load_plain, saved_model_epoch
from colora.training.run import train_run


def test_a_model_that_was_deleted_or_is_another_networks_is_a_sentence(new_run, capsys, tmp_path):
    run = new_run(epochs=1)
    assert train_run(run.path) == 0
    capsys.readouterr()
    model = run.path / "model.safetensors"
    again = "restore the file from a copy, or train this seed again in a new group"
    Image.new("L", (32, 32)).save(tmp_path / "a.png")
    content = model.read_bytes()
    commands = ["predict", tmp_path / "a.png"], ["evaluate", "--dataset", run.config.dataset]
    model.unlink()
    for command in commands:
        said = mistake(capsys, command[0], run.path.parent, *command[1:])
        assert said == f"colora {command[0]}: {model} is missing, or no file: {again}.\n"
    other = {"conv1.weight": np.zeros((2, 3), np.float32)}
    for bad, why in (
        (content[:-1], "incomplete metadata"),
        (save(other, {"about": "{}"}), "Error(s) in loading state_dict"),
        (save(other, {"about": "[]"}), "it does not say what it is"),
        (save(other, {}), "'about'"),
        (save(other), "'NoneType' object is not subscriptable"),
        (save(other, {"about": "[" * 100_000}), "it is nested too deeply"),
    ):
        model.write_bytes(bad)
        for command in commands:
            said = mistake(capsys, command[0], run.path.parent, *command[1:])
            assert said.startswith(f"colora {command[0]}: {model} is damaged (") and why in said
            assert said.endswith(f"): {again}.\n")
        assert saved_model_epoch(Run(run.path)) is None
    model.write_bytes(save(other, {"about": '{"epoch": 3}'}))
    assert saved_model_epoch(Run(run.path)) == 3


def test_a_plain_state_gives_layers_the_bias_that_an_adapter_added():
    """Convolutions and linear layers; where their lengths differ the file is of another network."""
    plain = nn.Sequential(nn.Conv2d(2, 3, 1, bias=False), nn.Flatten(), nn.Linear(12, 5, bias=False))
    adapted = adapt(copy.deepcopy(plain), CoLoRAConfig(bias="all", pointwise_rank=2, layers="conv+linear"), ())
    with torch.no_grad():
        for p in adapter_parameters(adapted):
            p.normal_()
    state = plain_state(adapted)
    load_plain(plain, state)
    assert set(plain.state_dict()) == {"0.weight", "0.bias", "2.weight", "2.bias"}
    assert all(torch.equal(value, state[name]) for name, value in plain.state_dict().items())
    with pytest.raises(RuntimeError, match=r"size mismatch for 2\.bias"):
        load_plain(plain, state | {"2.bias": torch.zeros(4)})


def test_a_checkpoint_of_another_network_is_a_sentence(new_run):
    run = new_run()
    assert train_run(run.path, lambda: len(Run(run.path).metrics) == 1) == 0
    path = run.path / "checkpoint" / "last.safetensors"
    content, progress = load(path.read_bytes()), {"epoch": 1, "merges": 1, "step": 4, "metrics": None}
    about = {"about": json.dumps(progress)}
    shorter = content | {"model/conv1.weight": content["model/conv1.weight"][:1]}
    for tensors, metadata in (
        ({"model/x": np.zeros(1, np.float32)}, about),
        (shorter, about),
        (content | {"optimizer/nobody/step": np.zeros(1, np.float32)}, about),
        (content, {"about": '{"epoch": 1}'}),
    ):
        path.write_bytes(save(tensors, metadata))
        assert train_run(run.path) == 2
        assert reason(run).startswith(f"{path} is damaged (") and "with colora retry or on Monitor" in reason(run)
