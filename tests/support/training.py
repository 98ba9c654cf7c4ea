"""Small runs of one seed that really train, and what is read from them."""

import pytest

from colora.runs.folder import Run, create_group
from colora.settings.config import make_config

TIMES = ("seconds", "eval_seconds", "images_per_s", "peak_memory_mib")

SMALL = {"backbone": "resnet18:layer1", "weights": "none", "image_size": 32, "batch_size": 8, "threads": 1, "epochs": 2}


@pytest.fixture
def new_run(tmp_path, tiny_npz):
    """A function that makes a one-seed group on the tiny data and returns its run."""

    def make(name="g", seed=0, dataset=None, **settings):
        config = make_config({"dataset": dataset or f"npz:{tiny_npz}", **SMALL, **settings})
        return create_group(tmp_path / "runs", name, config, [seed]).runs[0]

    return make


@pytest.fixture(scope="module")
def trained(tmp_path_factory, tiny_npz) -> Run:
    """A finished run of two epochs, as `new_run()` makes them; for reading."""
    from colora.training.run import train_run  # and torch: each process of pytest loads this file

    config = make_config({"dataset": f"npz:{tiny_npz}", **SMALL})
    run = create_group(tmp_path_factory.mktemp("trained"), "g", config, [0]).runs[0]
    assert train_run(run.path) == 0
    return Run(run.path)


def figures(run) -> list[dict]:
    return [{k: v for k, v in row.items() if k not in TIMES} for row in Run(run.path).metrics.to_dict("records")]


def reason(run) -> str:
    return Run(run.path).status["reason"]
