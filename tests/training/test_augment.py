"""Augmentation: what may change in a training image, and that the draws alone decide."""

import pytest
import torch

from colora.training.augment import augmented


def draws(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def inputs():
    return torch.randn(64, 3, 32, 32, generator=draws(1)).to(memory_format=torch.channels_last)


def test_none_changes_nothing(inputs):
    assert augmented(inputs, "none", draws()) is inputs


def test_flip_mirrors_about_half_and_leaves_the_rest(inputs):
    out = augmented(inputs, "flip", draws())
    mirrored = (out == inputs.flip(3)).flatten(1).all(1)
    same = (out == inputs).flatten(1).all(1)
    assert (mirrored ^ same).all()
    assert 16 < mirrored.sum() < 48


def test_shift_moves_each_image_by_its_own_few_pixels_and_repeats_the_border(inputs):
    flipped, moved = augmented(inputs, "flip", draws()), augmented(inputs, "flip+shift", draws())
    assert moved.shape == inputs.shape
    assert moved.is_contiguous(memory_format=torch.channels_last)
    found = []
    for before, after in zip(flipped, moved, strict=True):
        hits = [
            (dy, dx)
            for dy in range(-2, 3)
            for dx in range(-2, 3)
            if torch.equal(after[:, 2:-2, 2:-2], before[:, 2 + dy : 30 + dy, 2 + dx : 30 + dx])
        ]
        assert len(hits) == 1  # 1/16 of 32 pixels is 2
        dy, _ = found.append(hits[0]) or hits[0]
        if dy > 0:  # rows below the image repeat its last one
            assert torch.equal(after[:, -1], after[:, -1 - dy])
    assert len(set(found)) > 15


def test_the_same_draws_change_the_same(inputs):
    one, same = augmented(inputs, "flip+shift", draws(5)), augmented(inputs, "flip+shift", draws(5))
    assert torch.equal(one, same)
    assert not torch.equal(one, augmented(inputs, "flip+shift", draws(6)))
