"""A launch of models that were looked at before makes the same groups as one that looks at them itself, is refused in
the same words, and trusts no answer that does not hold any more.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from commands import document
from safetensors.torch import save_file
from small_data import cut_of, load

import colora.training.rehearsal
from colora.data.cuts import save_cut
from colora.engines.known import Known, NotKnown, launch_known
from colora.engines.launch import launch_groups
from colora.networks.backbones import build
from colora.networks.weights import remote_weights
from colora.queue.slots import keep_asked
from colora.runs.audit import recorded
from colora.runs.limits import Limits
from colora.settings.config import RunConfig, make_config, setting_flags
from colora.settings.work import MODEL, WEIGHTS, WORK
from colora.system.errors import UserError
from colora.system.installation import ROOT
from colora.training.estimate import Trial

BACKBONE = "resnet18:layer1"
SMALL = {"backbone": BACKBONE, "weights": "none", "image_size": 32, "batch_size": 8, "threads": 1, "device": "cpu"}
OF_NOW = {"created", "identity", "queued", "heartbeat"}  # of what a launch writes


@pytest.fixture(scope="module")
def tried() -> Trial:
    """What one rehearsal found; other settings are not tried anew here."""
    return colora.training.rehearsal.rehearse(make_config(SMALL), 3)


@pytest.fixture
def asked(tmp_path, capsys, monkeypatch, tried) -> Callable[..., Known]:
    """What the two commands say of a config with three classes, as the form asks them."""
    monkeypatch.setattr("colora.training.rehearsal.rehearse", lambda *_: tried)

    def ask(config: RunConfig) -> Known:
        def flags(fields: tuple[str, ...]) -> list[str]:
            values = {field: getattr(config, field) for field in fields}
            return setting_flags({f: v for f, v in values.items() if v is not None and v is not False})

        params = document(capsys, "params", "--classes", 3, *flags((*MODEL, *WEIGHTS)))
        here = ("--weights", "none", "--runs-dir", tmp_path / "asked")
        return Known.of(params, document(capsys, "preflight", *here, "--classes", 3, *flags(WORK)))

    return ask


@pytest.fixture
def weights(tmp_path) -> Path:
    """A file that fits the backbone."""
    return write_weights(tmp_path / "fits.safetensors", BACKBONE)


def write_weights(path: Path, backbone: str) -> Path:
    state = build(backbone, 3, 32).state_dict()
    save_file({name: value for name, value in state.items() if not name.startswith("head.")}, path)
    return path


def written(runs_dir: Path) -> dict[str, Any]:
    """Every file below a runs folder, by its name; of JSON without the moment and what names no other group."""
    found = {}
    for path in sorted(path for path in runs_dir.rglob("*") if path.is_file()):
        if ".colora" in path.parts:  # of no group
            continue
        text = path.read_text()
        if path.suffix == ".json" and isinstance(values := json.loads(text), dict):
            text = json.dumps({name: value for name, value in values.items() if name not in OF_NOW}, indent=1)
        found[str(path.relative_to(runs_dir))] = text
    return found


def acts(runs_dir: Path) -> list[dict[str, Any]]:
    return [{name: value for name, value in line.items() if name != "time"} for line in recorded(runs_dir)]


def both_ways(tmp_path: Path, configs: dict[str, RunConfig], asked, prepare=lambda runs_dir: None, **options) -> list:
    """What the long way and the short one leave, or refuse with, each in a runs folder of its own."""
    known = {name: asked(config) for name, config in configs.items()}
    results = []
    for way in ("long", "known"):
        runs_dir = tmp_path / way / "runs"
        runs_dir.mkdir(parents=True)
        prepare(runs_dir)
        seeds = options.get("seeds", [0, 3])
        more = {name: value for name, value in options.items() if name != "seeds"}
        said = None
        try:
            if way == "long":
                launch_groups(runs_dir, configs, seeds, **more)
            else:
                launch_known(runs_dir, configs, seeds, known, **more)
        except UserError as error:
            said = str(error).replace(str(runs_dir), "RUNS"), error.field
        results.append((said, written(runs_dir), acts(runs_dir)))
    return results


CASES: dict[str, dict[str, dict[str, Any]]] = {
    "random weights": {"g": {}},
    "a file": {"g": {"weights": "FILE"}},
    "ImageNet's": {"g": {"weights": "imagenet"}},
    "folds": {"g": {"folds": 2, "merge_every": 2}},
    "a cut": {"g": {"cut": "part"}},
    "several": {f"g-rank-{rank}": {"rank": rank, "weights": "FILE"} for rank in (1, 2)},
    "several of one work": {f"g-lr-{lr}": {"lr": lr} for lr in (0.1, 0.01)},
}


@pytest.fixture
def configs_of(tmp_path, tiny_npz, weights, monkeypatch) -> Callable[[str], dict[str, RunConfig]]:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    file = remote_weights(BACKBONE).path
    file.parent.mkdir(parents=True)
    torch.save(build(BACKBONE, 3, 32).state_dict(), file)

    def configs(case: str) -> dict[str, RunConfig]:
        common = SMALL | {"dataset": f"npz:{tiny_npz}"}
        files = {"FILE": str(weights)}
        each = {name: common | own for name, own in CASES[case].items()}
        return {n: make_config(own | {"weights": files.get(own["weights"], own["weights"])}) for n, own in each.items()}

    return configs


@pytest.fixture
def with_cut(tiny_npz) -> Callable[[Path], None]:
    """Saves the cut `part` of the data into a runs folder."""
    data = load(f"npz:{tiny_npz}")
    cut = cut_of(data, data.splits["train"].image_ids[:20].tolist()).model_copy(update={"name": "part"})
    return lambda runs_dir: save_cut(runs_dir, cut) and None


@pytest.mark.parametrize("case", CASES)
def test_known_makes_what_the_long_way_makes(tmp_path, configs_of, asked, with_cut, case):
    configs = configs_of(case)
    long, known = both_ways(tmp_path, configs, asked, with_cut, limits=Limits(max_silence=60), priority=1)
    assert long[0] is None and known == long
    assert set(configs) == {path.split("/")[0] for path in known[1]}
    launched = [line for line in known[2] if line["action"] == "launch"]
    assert [line["group"] for line in launched] == list(configs) and launched[0]["seeds"] == [0, 3]


def a_group(runs_dir: Path) -> None:
    (runs_dir / "g").mkdir()
    (runs_dir / "g" / "group.json").write_text("{}")


def test_a_name_that_is_taken_meanwhile_is_refused_alike(tmp_path, configs_of, asked):
    long, known = both_ways(tmp_path, configs_of("random weights"), asked, a_group)
    assert long[0] == ("A group named 'g' exists already in RUNS: choose another name.", "name") and known == long


def test_data_that_have_gone_meanwhile_are_refused_alike(tmp_path, configs_of, asked, tiny_npz):
    file = tmp_path / "own.npz"
    file.write_bytes(tiny_npz.read_bytes())
    configs = {"g": configs_of("random weights")["g"].model_copy(update={"dataset": f"npz:{file}"})}
    long, known = both_ways(tmp_path, configs, asked, lambda runs_dir: file.unlink(missing_ok=True))
    assert str(file) in long[0][0] and known == long and not list((tmp_path / "known" / "runs").glob("g*"))


def test_seeds_that_leave_out_no_fold_and_a_cut_that_is_not_there_are_refused_alike(tmp_path, configs_of, asked):
    long, known = both_ways(tmp_path / "folds", configs_of("folds"), asked, seeds=[0, 2])
    assert "leaves out one of the 2 folds" in long[0][0] and known == long
    long, known = both_ways(tmp_path / "cut", configs_of("a cut"), asked)
    assert "There is no cut part" in long[0][0] and known == long


def test_memory_and_disk_are_those_of_now(tmp_path, configs_of, asked, monkeypatch):
    with monkeypatch.context() as short:
        short.setattr("colora.training.estimate.memory", lambda: (10**6, 10**9))
        long, known = both_ways(tmp_path / "memory", configs_of("several"), asked)
    assert long[0][0].startswith("g-rank-1: Batch size 8 at 32 px needs about") and long[0][1] == "batch_size"
    assert known == long and not known[1]

    class Usage:
        free = 1000

    monkeypatch.setattr("shutil.disk_usage", lambda path: Usage)
    long, known = both_ways(tmp_path / "disk", configs_of("random weights"), asked)
    assert "The 2 runs need" in long[0][0] and known == long and not known[1]


def test_whoever_may_not_launch_or_name_the_weights_is_refused_alike(tmp_path, configs_of, asked, monkeypatch):
    configs = configs_of("a file")
    answers = {name: asked(config) for name, config in configs.items()}
    rules = tmp_path / "access.toml"
    rules.write_text(f'data_roots = ["{Path(configs["g"].dataset.removeprefix("npz:")).parent}"]\n')
    monkeypatch.setenv("COLORA_ACCESS", str(rules))
    long, known = both_ways(tmp_path / "place", configs, lambda config: answers["g"])
    assert "This place may not be named" in long[0][0] and long[0][1] == "weights" and known == long
    monkeypatch.setenv("COLORA_ROLE", "reader")
    monkeypatch.setenv("COLORA_USER", "ann@clinic.example")
    long, known = both_ways(tmp_path / "role", configs, lambda config: answers["g"])
    assert "ann@clinic.example, here as a reader, may not launch" in long[0][0] and known == long
    assert [line["action"] for line in known[2]] == ["refused"]


def changed(path: Path) -> None:
    write_weights(path.with_name("new"), "resnet18:layer2").rename(path)


@pytest.mark.parametrize("happens", [changed, Path.unlink, lambda path: os.utime(path, (1, 1))])
def test_a_file_of_weights_that_has_changed_is_known_no_more(tmp_path, configs_of, asked, weights, happens):
    configs = configs_of("several")
    known = {name: asked(config) for name, config in configs.items()}
    happens(weights)
    with pytest.raises(NotKnown):
        launch_known(tmp_path / "runs", configs, [0], known)
    assert not written(tmp_path / "runs")


@pytest.mark.parametrize("other", [{"classes": 4}, {"at_once": 2}, {"weights": None}])
def test_what_was_tried_otherwise_is_not_known(tmp_path, configs_of, asked, other):
    configs = configs_of("a file")
    known = {"g": replace(asked(configs["g"]), **other)}
    with pytest.raises(NotKnown):
        launch_known(tmp_path / "runs", configs, [0], known)
    assert not written(tmp_path / "runs")


def test_more_runs_at_once_than_were_asked_for_are_not_known(tmp_path, configs_of, asked):
    configs = configs_of("random weights")
    known = {"g": asked(configs["g"])}
    assert known["g"].at_once == 1
    keep_asked(tmp_path / "runs", {"cpu_slots": 2})
    with pytest.raises(NotKnown):
        launch_known(tmp_path / "runs", configs, [0, 1], known)
    launch_known(tmp_path / "runs", configs, [0], known)  # one seed shares with nobody


def test_nothing_of_it_imports_torch(tmp_path, configs_of, asked):
    config = configs_of("a file")["g"]
    known = asked(config)
    file, stamp = known.weights
    documents = {"weights_file": {"path": str(file), "stamp": stamp}}, asdict(known) | {"measured": asdict(known.tried)}
    code = f"""
import json, sys
from pathlib import Path
from colora.engines.known import Known, launch_known
from colora.settings.config import RunConfig
params, preflight, config = map(json.loads, sys.argv[1:])
launch_known(Path({str(tmp_path / "runs")!r}), {{"g": RunConfig(**config)}}, [0], {{"g": Known.of(params, preflight)}})
print(sorted({{"torch", "torchvision"}} & set(sys.modules)))
"""
    values = [json.dumps(one, default=str) for one in (*documents, config.model_dump())]
    done = subprocess.run([sys.executable, "-c", code, *values], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n" and (tmp_path / "runs" / "g" / "group.json").exists()
