"""What a model makes of images in one pass: probabilities, what its last layer reads, and the maps of some of them."""

import numpy as np
import pytest
import torch

from colora.networks.backbones import build
from colora.training.images import DeviceImages, eval_batch_size, outputs, probabilities

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def model():
    return build("resnet18:layer1", 3, 32, seed=2).eval()


@pytest.fixture(scope="module")
def images() -> DeviceImages:
    pixels = np.random.default_rng(0).integers(0, 256, (30, 32, 32), dtype=np.uint8)
    return DeviceImages(pixels, np.zeros(30, np.int64), CPU)


@torch.inference_mode()
def test_probabilities_features_and_maps_are_those_of_the_layers(model, images):
    """Each reckoned directly: what the head reads, and what its last layer does."""
    found = outputs(model, images, 8, "fp32")
    assert np.array_equal(found.probabilities, probabilities(model, images, 8, "fp32"))
    *first, (_, head) = model.named_children()
    seen = images.inputs(torch.arange(30))
    for _, block in first:
        seen = block(seen)  # (30, 64, 8, 8)
    assert found.maps == pytest.approx(seen.mean((2, 3)).numpy(), abs=1e-5)
    last = head[-1]
    assert isinstance(last, torch.nn.Linear) and found.features.shape == (30, last.in_features)
    logits = torch.from_numpy(found.features) @ last.weight.T + last.bias
    assert logits.softmax(1).numpy() == pytest.approx(found.probabilities, abs=1e-5)
    assert {rows.dtype for rows in vars(found).values()} == {np.dtype("f4")}


AT = [range(30), range(0, 30, 3), range(0, 30, 11), [29], [0], [7, 8], [3, 4, 5, 21, 22]]


@pytest.mark.parametrize("at", AT, ids=range(len(AT)))
def test_the_maps_of_some_images_are_found_in_all_batches(model, images, at):
    """Batches of 8, and of 4, which some steps leap over."""
    for size in (8, 4):
        whole = outputs(model, images, size, "fp32").maps
        at = np.array(at)
        assert np.array_equal(outputs(model, images, size, "fp32", maps_at=at).maps, whole[at])


def test_nothing_is_left_on_the_model_also_where_a_stop_ends_the_pass(model, images):
    class Stop(Exception):
        pass

    def stop():
        raise Stop

    outputs(model, images, 16, "fp32")
    with pytest.raises(Stop):
        outputs(model, images, 16, "fp32", stop)
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_a_cpu_evaluates_as_many_at_once_as_single_images_are_predicted(trained):
    from colora.prediction.predict import AT_ONCE

    assert eval_batch_size(trained.config, CPU) == AT_ONCE
