"""The rank of updates, where theory says what it must be."""

import copy
from collections import OrderedDict

import pytest
import torch
from torch import nn

from colora import CoLoRAConfig, CoLoRAConv, adapt, merge_, strip
from colora.adapters.history import rebuild, save_epoch
from colora.adapters.layer import keyed_generator
from colora.adapters.rank import Spectrum, model_spectra, rank_table, update_spectra
from colora.adapters.walk import adapted_layers


def merged(kind, order, merges, rank=1, groups=1, dtype=torch.float64):
    """(K0, K) of a layer with 16 channels in and 12 out after so many merges of random factors."""
    torch.manual_seed(0)
    layer = CoLoRAConv(kind(16, 12, 3, groups=groups, dtype=dtype), order, rank, generator=keyed_generator(0))
    before = layer.base_weight.clone()
    for number in range(1, merges + 1):  # another draw of Kp each
        with torch.no_grad():
            layer.depthwise.normal_()
        layer.merge_(keyed_generator(number))
    return before, layer.base_weight


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", [nn.Conv2d, nn.ConvTranspose2d])
@pytest.mark.parametrize(("merges", "rank"), [(0, 1), (1, 1), (3, 1), (2, 2), (9, 1), (12, 1)])
@pytest.mark.parametrize("groups", [1, 4])
def test_each_merge_adds_its_rank_until_the_slice_is_full(kind, groups, merges, rank, dtype):
    """Inception per filter (Cin/G x 9), separable per input channel (Cout/G x 9)."""
    spectra = update_spectra(*merged(kind, "inception", merges, rank, groups, dtype), groups, kind is not nn.Conv2d)
    assert spectra.per_filter.values.shape == (12, min(16 // groups, 9))
    assert spectra.per_filter.rank().tolist() == [min(merges * rank, 16 // groups, 9)] * 12
    spectra = update_spectra(*merged(kind, "separable", merges, rank, groups, dtype), groups, kind is not nn.Conv2d)
    assert spectra.per_input.values.shape == (16, min(12 // groups, 9))
    assert spectra.per_input.rank().tolist() == [min(merges * rank, 12 // groups, 9)] * 16


def test_one_merge_is_not_low_rank_in_the_other_cuts():
    inception = update_spectra(*merged(nn.Conv2d, "inception", 1))
    separable = update_spectra(*merged(nn.Conv2d, "separable", 1))
    assert inception.per_input.rank().tolist() == [9] * 16
    assert separable.per_filter.rank().tolist() == [9] * 12
    assert inception.layer.rank() == separable.layer.rank() == 12


def test_singular_values_are_those_of_the_slices():
    torch.manual_seed(0)
    before, after = torch.randn(2, 4, 3, 2, 2, dtype=torch.float64)
    spectra = update_spectra(before, after)
    delta = after - before
    for o in range(4):
        expected = torch.linalg.svdvals(delta[o].reshape(3, 4))
        assert torch.allclose(spectra.per_filter.values[o], expected, rtol=0, atol=1e-12)
    for c in range(3):
        expected = torch.linalg.svdvals(delta[:, c].reshape(4, 4))
        assert torch.allclose(spectra.per_input.values[c], expected, rtol=0, atol=1e-12)
    assert torch.allclose(spectra.layer.values, torch.linalg.svdvals(delta.reshape(4, 12)), rtol=0, atol=1e-12)


def test_rounding_alone_has_rank_zero():
    """A kernel taken away and added again twenty times in float32 is not the same, and its difference has full rank."""
    torch.manual_seed(0)
    before = torch.randn(8, 32, 3, 3)
    after = before.clone()
    for _ in range(20):
        step = torch.randn_like(before)
        after = after + step - step
    assert not torch.equal(after, before)
    spectra = update_spectra(before, after)
    assert (spectra.per_filter.values[:, -1] > 0).all()
    assert spectra.per_filter.rank().tolist() == [0] * 8
    assert spectra.layer.rank() == 0


def test_effective_rank_of_known_spectra():
    values = torch.tensor([[1.0, 1, 1, 0], [5, 0, 0, 0], [0, 0, 0, 0], [2, 1, 1, 0]], dtype=torch.float64)
    spectrum = Spectrum(values, noise=0)
    assert spectrum.rank().tolist() == [3, 1, 0, 3]
    assert spectrum.effective_rank().tolist() == pytest.approx([3, 1, 0, 2**1.5])


def small_model():
    torch.manual_seed(1)
    layers = [nn.Conv2d(3, 8, 3), nn.ReLU(), nn.ConvTranspose2d(8, 6, 2), nn.ReLU(), nn.Conv2d(6, 4, 1)]
    return nn.Sequential(OrderedDict(features=nn.Sequential(*layers), head=nn.Linear(4, 2)))


def test_a_run_can_be_looked_at_epoch_by_epoch(tmp_path):
    base = small_model()
    model = adapt(copy.deepcopy(base), CoLoRAConfig(targets="spatial"))
    for epoch in (1, 2, 3):
        for layer in adapted_layers(model).values():
            with torch.no_grad():
                layer.depthwise.normal_()
        adapted = rank_table(base, model)
        save_epoch(tmp_path, model, epoch, {epoch: merge_(model, step=epoch)})
        rows = {row["layer"]: row for row in rank_table(base, rebuild(base, tmp_path, epoch))}
        assert list(rows) == ["features.0", "features.2", "features.4"]
        assert rows["features.0"]["filter_rank"] == min(epoch, 3)  # Cin/G = 3 fills first
        assert rows["features.0"]["filter_limit"] == 3
        assert rows["features.2"]["filter_rank"] == min(epoch, 4)  # kh kw = 4
        assert 1 <= rows["features.2"]["filter_effective"] <= min(epoch, 4) + 1e-3
        assert rows["features.4"]["filter_rank"] == rows["features.4"]["layer_rank"] == 0  # 1x1, not adapted
        assert [row["filter_rank"] for row in adapted] == [row["filter_rank"] for row in rows.values()]
    assert rank_table(base, strip(model)) == list(rows.values())
    assert all(row["filter_rank"] == 0 for row in rank_table(model, model))


def test_models_that_do_not_fit_are_named():
    base = small_model()
    with pytest.raises(ValueError, match=r"the second model has no layer 'features\.0'"):
        model_spectra(base, nn.Sequential(nn.Conv2d(3, 8, 3)))
    other = small_model()
    other.features[2] = nn.ConvTranspose2d(8, 6, 3)
    with pytest.raises(ValueError, match=r"features\.2: the kernels have shapes \(8, 6, 2, 2\) and \(8, 6, 3, 3\)"):
        model_spectra(base, other)
