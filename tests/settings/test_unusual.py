"""Values that hardly anybody means: a sentence for each, and none for what the presets and the paper have."""

import pytest

from colora.settings.config import RunConfig, make_config
from colora.settings.presets import PRESETS
from colora.settings.seeds import parse_seeds
from colora.settings.unusual import USUAL, unusual


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"lr": 5}, {"lr": "5 is far from usual (0.000001 to 0.1): it ruins most trainings."}),
        ({"lr": 1e-9}, {"lr": "0.000000001 is far from usual (0.000001 to 0.1): it hardly learns."}),
        ({"epochs": 5000}, {"epochs": "5000 is far from usual (1 to 300): it takes very long and learns the"}),
        ({"image_size": 16, "batch_size": 2}, {"image_size": "16 is far", "batch_size": "2 is far from usual (4 to"}),
    ],
)
def test_what_is_far_from_usual_is_said(values, said):
    found = unusual(make_config({"dataset": "phantom", **values}))
    assert found.keys() == said.keys() and all(found[field].startswith(said[field]) for field in said)


def test_many_seeds_are_said_and_the_papers_ten_are_not():
    config = make_config({"dataset": "phantom"})
    assert unusual(config, 10) == {} and unusual(config, 31)["seeds"].startswith("31 seeds train one after another")


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_no_preset_is_unusual(preset):
    assert unusual(make_config(preset.values), len(parse_seeds(preset.seeds))) == {}


def test_every_bound_lies_within_what_the_setting_allows():
    for field, usual in USUAL.items():
        for value in (usual.low, usual.high):
            whole = int if RunConfig.model_fields[field].annotation is int else float
            assert unusual(make_config({"dataset": "phantom", field: whole(value)})) == {}
