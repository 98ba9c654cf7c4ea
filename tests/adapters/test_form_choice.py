"""Which form each layer takes: by rule and the size of its maps, by timing, and within the memory there is."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from colora import CoLoRAConfig, adapt
from colora.adapters import form_choice, forms
from colora.adapters.conv import CoLoRAConv
from colora.adapters.form_choice import Call, calibrate_forms_, calls, fastest, fit_forms_
from colora.adapters.forms import choose_form
from colora.adapters.walk import adapted_layers

ROOT = Path(__file__).parents[2]


def test_forms_follow_the_size_of_the_maps():
    convolutions = [nn.Conv2d(3, 64, 3, padding=1), nn.Conv2d(64, 64, 3, padding=1), nn.Conv2d(64, 128, 3, padding=1)]
    convolutions += [nn.MaxPool2d(4), nn.Conv2d(128, 128, 3, padding=1), nn.Conv2d(128, 64, 3, padding=1)]
    convolutions += [nn.Conv2d(64, 128, 1), nn.Conv2d(128, 128, 3, stride=2)]
    unreached = nn.Conv2d(128, 128, 3)
    model = adapt(nn.ModuleDict({"way": nn.Sequential(*convolutions), "unreached": unreached}))
    model["way"][0].eval()
    mode = [module.training for module in model.modules()]

    def letters(batch_size: int) -> str:
        fit_forms_(model["way"], torch.zeros(1, 3, 40, 40), batch_size)
        return "".join(layer.form[1] for layer in adapted_layers(model).values())  # p"l"ain, f"u"sed or f"a"ctored

    assert letters(24) == "lllallua"  # 38,400 pixels, and a sixteenth of them after the pool
    assert letters(25) == "laaallua"  # 40,000
    assert letters(400) == "laaaalua"
    assert [module.training for module in model.modules()] == mode
    assert all(p.grad is None for p in model.parameters())


def test_the_thin_form_pays_where_the_layer_is_much_wider_and_its_work_is_large():
    """R = r p channels against the narrow side: four times as many, eight times in a 1x1 layer."""

    def form(geometry, p=8, positions=None, rank=1, device="cpu"):
        with torch.device("meta"):
            base = nn.Conv2d(*geometry[:3], **geometry[3] if geometry[3:] else {})
            layer = CoLoRAConv(base, "inception", rank, pointwise_rank=p)
        assert layer.pointwise_rank == p
        return choose_form(layer.base, positions, device, layer.thin_channels)

    assert form((64, 256, 1)) == "plain"  # 16,384 weights
    assert [form((64, 256, 1), positions=n) for n in (6103, 6104)] == ["plain", "factored"]  # 100 million products
    assert [form((512, 256, 1), p) for p in (32, 33)] == ["factored", "fused"]
    assert [form((256, 512, 1), 8, rank=r) for r in (4, 5)] == ["factored", "fused"]
    assert [form((128, 128, 3), p) for p in (32, 33)] == ["factored", "fused"]
    assert form((512, 512, 3, {"stride": 2})) == "factored"
    assert form((512, 512, 3, {"groups": 2})) == "fused"
    assert form((512, 512, 3), device="cuda") == "fused"  # not measured there
    assert form((32, 64, 3), device="cuda", positions=10**9) == "plain"


def test_the_rule_follows_the_committed_table():
    """Of each layer measured with p = 8: the chosen form takes at most 0.06 of the trainable layer's time too much."""
    table = json.loads((ROOT / "benchmarks" / "results" / "layer_forms_p8.json").read_text())
    assert table["pointwise_rank"] == 8
    assert len(table["rows"]) > 40
    for row in table["rows"]:
        with torch.device("meta"):
            base = nn.Conv2d(row["in_channels"], row["out_channels"], row["kernel"], row["stride"], row["kernel"] // 2)
        side = (row["pixels"] - 1) // row["stride"] + 1
        form = choose_form(base, row["batch"] * side**2, "cpu", 8)
        assert row[form] <= min(row["plain"], row["factored"]) + 0.06, row


def small_model() -> nn.Sequential:
    torch.manual_seed(0)
    same = [layer for _ in range(2) for layer in (nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(inplace=True))]
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), *same, nn.ConvTranspose2d(8, 4, 2), nn.Conv2d(4, 4, 1))


def test_calls_are_those_of_a_training_step():
    model = adapt(small_model())
    found = calls(model, torch.zeros(1, 3, 6, 6), 5)
    assert {name: (tuple(c.inputs), tuple(c.outputs), c.wants_gradient) for name, c in found.items()} == {
        "0": ((5, 3, 6, 6), (5, 8, 6, 6), False),
        "1": ((5, 8, 6, 6), (5, 8, 6, 6), True),
        "3": ((5, 8, 6, 6), (5, 8, 6, 6), True),
        "5": ((5, 8, 6, 6), (5, 4, 7, 7), True),
        "6": ((5, 4, 7, 7), (5, 4, 7, 7), True),
    }


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_calibration_takes_the_fastest_form_and_leaves_the_rest(precision):
    """For real, on this device; the whole of it but for the choice among times that are not the same twice."""
    model = adapt(small_model()).to(memory_format=torch.channels_last)
    before, stream = {n: p.clone() for n, p in model.state_dict().items()}, torch.get_rng_state()
    seconds = calibrate_forms_(model, torch.zeros(1, 3, 6, 6), 2, precision, torch.channels_last, rounds=1)
    assert list(seconds) == ["0", "1", "3", "6"]  # of the transposed layer there is one form
    assert seconds["1"] is seconds["3"]
    assert all(set(times) == {"plain", "fused", "factored"} and min(times.values()) > 0 for times in seconds.values())
    layers = adapted_layers(model)
    chosen = fastest(layers, calls(model, torch.zeros(1, 3, 6, 6), 2), seconds, precision)
    assert {name: layers[name].form for name in seconds} == chosen
    assert all(torch.equal(p, before[n]) for n, p in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    assert torch.equal(torch.get_rng_state(), stream)


def choice(model, seconds, batch_size=2, precision="fp32"):
    reached = calls(model, torch.zeros(1, model[0].base.in_channels, 8, 8), batch_size)
    return list(fastest(adapted_layers(model), reached, dict.fromkeys(reached, seconds), precision).values())


def test_the_fastest_form_has_to_fit_into_what_is_saved():
    """3 x 4 bytes a weight that full fine-tuning trains and CoLoRA does not, 2 maps of 4 bytes an entry."""
    model = adapt(nn.Sequential(nn.Conv2d(16, 16, 3, padding=1)))
    spare = 12 * (16 * 16 * 9 - (16 * 16 + 16 * 9))  # 22,848 bytes
    maps = 2 * 4 * 16 * 64  # of one image: 8,192 bytes
    factored_first = {"plain": 2.0, "fused": 3.0, "factored": 1.0}
    assert 2 * maps < spare < 3 * maps
    assert choice(model, factored_first, batch_size=2) == ["factored"]
    assert choice(model, factored_first, batch_size=3) == ["plain"]
    assert choice(model, factored_first, batch_size=3, precision="bf16") == ["factored"]  # maps of half the size
    assert choice(model, {"plain": 2.0, "fused": 1.0, "factored": 3.0}) == ["fused"]


@pytest.mark.parametrize(("order", "sides"), [("inception", 64), ("separable", 16)])
def test_thin_maps_are_those_of_the_whole_batch(order, sides, monkeypatch):
    """Two maps of R = 2 * 3 channels in each of 2 groups, before the stride or, separable, after it."""
    monkeypatch.setattr(forms, "CPU_MAP_BYTES", 1)  # that would be one image at a time
    layer = CoLoRAConv(nn.Conv2d(16, 16, 3, 2, 1, groups=2), order, 2, pointwise_rank=3)
    assert layer.thin_channels == 12
    spare = 12 * (16 * 8 * 9 - 2 * (3 * (16 + 8) + 16 * 9))
    maps = 2 * 4 * 12 * sides  # of one image
    images = spare // maps
    factored_first = {"plain": 2.0, "fused": 3.0, "factored": 1.0}
    for batch, expected in ((images, "factored"), (images + 1, "plain")):
        reached = {"0": Call(torch.Size((batch, 16, 8, 8)), torch.Size((batch, 16, 4, 4)), True)}
        assert fastest({"0": layer}, reached, {"0": factored_first}, "fp32") == {"0": expected}


def test_linear_layers_have_one_form_and_are_left_out():
    both = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(8 * 16, 8))
    model = adapt(both, CoLoRAConfig(layers="conv+linear"))
    assert list(calls(model, torch.zeros(1, 3, 6, 6), 2)) == ["0"]
    assert list(calibrate_forms_(model, torch.zeros(1, 3, 6, 6), 2, rounds=1)) == ["0"]
    fit_forms_(model, torch.zeros(1, 3, 6, 6), 2)


def test_what_plain_layers_keep_adds_up():
    """A 1x1 layer's adapter is as large as the layer: it saves nothing, and its W is the first that fits."""
    convolutions = [nn.Conv2d(16, 16, 3, padding=1), nn.Conv2d(16, 240, 1), nn.Conv2d(240, 16, 1), nn.Conv2d(16, 18, 1)]
    model = adapt(nn.Sequential(*convolutions))
    spare = 12 * (16 * 16 * 9 - (16 * 16 + 16 * 9) - (240 + 16 + 18))
    assert 4 * (16 * 18 + 16 * 16 * 9) < spare < 4 * (16 * 18 + 16 * 16 * 9 + 16 * 240)
    plain_first = {"plain": 1.0, "fused": 2.0, "factored": 3.0}
    by_size = [16 * 18, 16 * 16 * 9, 16 * 240, 16 * 240]
    assert sorted(m.weight.numel() for m in model) == by_size
    assert choice(model, plain_first) == ["plain", "plain", "fused", "fused"]
    assert choice(model, plain_first, precision="bf16") == ["plain"] * 4  # full fine-tuning keeps such copies too


def test_off_the_cpu_nothing_is_factored_until_it_was_timed(monkeypatch):
    """The meta device stands for a GPU: a layer that moves to another kind of device is chosen anew."""
    wide = nn.Conv2d(128, 128, 3)
    layer = CoLoRAConv(wide)
    assert layer.form == "factored"
    assert layer.double().form == "factored"
    assert layer.to("meta").form == "fused"
    assert CoLoRAConv(nn.Conv2d(128, 128, 3, device="meta")).form == "fused"
    assert CoLoRAConv(nn.Conv2d(64, 64, 3), form="factored").to("meta").form == "factored"  # as it was told
    model = adapt(nn.Sequential(nn.Conv2d(3, 128, 3), nn.Conv2d(128, 128, 3)).to("meta"), CoLoRAConfig())
    fit_forms_(model, torch.zeros(1, 3, 64, 64), 32)
    assert [m.form for m in model] == ["plain", "fused"]
    monkeypatch.setattr(form_choice, "seconds_of_forms", lambda *_: {"plain": 3.0, "fused": 2.0, "factored": 1.0})
    calibrate_forms_(model, torch.zeros(1, 3, 8, 8), 2)
    assert [m.form for m in model] == ["factored", "factored"]
