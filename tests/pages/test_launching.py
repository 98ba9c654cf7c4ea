"""A press on Launch makes the groups in the server itself where the form was told of the model, and leaves to the
command what it does not know or takes a while.
"""

import json
import os
import shlex
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from opened import COUNTS, ESTIMATE, MEASURED, opener, ran, texts
from signing_in import AUTH, RESEARCHER, RULES
from small_data import write_folder
from streamlit.testing.v1 import app_test

from colora.cli.main import main
from colora.runs import audit
from colora.runs.audit import recorded
from colora.runs.documents import DATA
from colora.runs.folder import Group
from colora.settings.config import make_config
from colora.system.devices import Gpu, Machine
from colora.system.errors import UserError
from colora.system.files import file_stamp, read_json
from colora.system.installation import ROOT

OF_NOW = ("created", "identity")
SHIPPED = ROOT / "colora" / "networks" / "texturenet.safetensors"


def answers(arguments, timeout=0) -> dict:
    """Of every model, with the file of weights that the question names."""
    if arguments[0] == "preflight":
        return ESTIMATE
    if arguments[0] != "params":
        raise UserError("The command was asked.")
    named = arguments[arguments.index("--weights") + 1]
    path = {"shipped": SHIPPED, "none": None}.get(named, Path(named))
    return COUNTS | {"weights_file": path and {"path": str(path), "stamp": list(file_stamp(path))}}


@pytest.fixture
def begun(monkeypatch) -> list[Path]:
    """The runs folders for which a supervisor was begun; none is."""
    found: list[Path] = []
    monkeypatch.setattr("colora.queue.worked.begin", found.append)
    return found


@pytest.fixture
def form(monkeypatch, tmp_path, command, begun) -> Callable:
    """The Launch page over a runs folder of its own."""
    page_of = opener(monkeypatch, tmp_path / "runs")
    monkeypatch.setattr(command, "run_colora", answers)
    return lambda **query: page_of("launch", **query)


def press(app):
    app.button(key="launch-button").click()
    return ran(app)


def test_the_groups_are_there_and_monitor_shows_their_seeds(form, tmp_path, begun):
    app = press(form())
    (group,) = (Group(path.parent) for path in (tmp_path / "runs").glob("*/group.json"))
    assert app.header[0].value == "Monitor" and group.name == "quick-look"
    assert app.dataframe[0].value["State"].map(lambda state: state[0]).tolist() == ["queued"] * 3
    assert begun == [tmp_path / "runs"]
    lines = recorded(tmp_path / "runs")
    assert [(line["action"], line["group"], line["seeds"]) for line in lines] == [("launch", "quick-look", [0, 1, 2])]


@pytest.mark.parametrize("several", [False, True])
def test_it_makes_what_the_command_beside_it_makes(form, tmp_path, monkeypatch, capsys, several):
    app = form()
    app.text_input(key="launch-max_silence").set_value("600")
    app.text_input(key="launch.lr").set_value("0,003, 0.01" if several else "0,003")
    words = shlex.split(ran(app).code[0].value)
    press(app)
    monkeypatch.setattr("colora.engines.local.ensure_supervisor", lambda runs_dir: 1)
    monkeypatch.setattr("colora.engines.launch.look_ahead", lambda *args, **more: None)
    words[words.index("--runs-dir") + 1] = str(tmp_path / "terminal")
    assert words[:3] == ["python", "-m", "colora"] and main([*words[3:], "--json"]) == 0
    here, there = (sorted((tmp_path / name).glob("*/group.json")) for name in ("runs", "terminal"))
    assert [path.parent.name for path in here] == [path.parent.name for path in there]
    assert len(here) == 1 + several
    for one, other in zip(here, there, strict=True):
        mine, theirs = ({k: v for k, v in read_json(path).items() if k not in OF_NOW} for path in (one, other))
        assert json.dumps(mine) == json.dumps(theirs) and mine["limits"] == {"max_silence": 600}
        assert one.with_name(DATA).read_bytes() == other.with_name(DATA).read_bytes()


def test_what_is_not_told_yet_is_the_commands_to_find_out(form, command, monkeypatch):
    app = form()
    monkeypatch.setattr("pages.components.launch.launching.model_answers", lambda *_: None)
    assert "Not launched. The command was asked." in [error.value for error in press(app).error]


def test_of_weights_that_have_changed_since_the_form_is_told_anew_before(form, tmp_path, command, monkeypatch):
    app, file, asked = form(), tmp_path / "own.safetensors", []
    file.write_bytes(SHIPPED.read_bytes())
    app.selectbox(key="launch.weights").set_value("file")
    ran(app)
    app.text_input(key="launch.weights.path").set_value(str(file))
    ran(app)
    os.utime(file, ns=(1, 1))
    monkeypatch.setattr(command, "run_colora", lambda told, timeout=0: asked.append(told[0]) or answers(told))
    assert press(app).header[0].value == "Monitor" and asked == ["params"]


def test_a_refusal_is_the_commands_own_and_the_form_keeps_what_was_typed(form, tmp_path, monkeypatch, begun):
    app = form()
    app.number_input(key="launch.epochs").set_value(2)
    ran(app)
    monkeypatch.setattr("colora.training.estimate.memory", lambda: (10**6, 10**9))
    app = press(app)
    (said,) = [error.value for error in app.error if error.value.startswith("Not launched.")]
    assert "of memory, but 1.0 MB are free on cpu" in said and app.number_input(key="launch.epochs").value == 2
    assert not list((tmp_path / "runs").glob("*/group.json")) and not begun


def test_what_the_system_refuses_is_a_sentence_and_nothing_is_made(form, tmp_path, monkeypatch, begun):
    def full(*_, **__):
        raise OSError(28, "No space left on device", "/runs/.colora/audit.jsonl")

    app = form()
    monkeypatch.setattr("colora.engines.groups.record", full)
    said = "Not launched. /runs/.colora/audit.jsonl cannot be read or written: No space left on device."
    assert said in texts(press(app)) and not begun and not list((tmp_path / "runs").glob("*/group.json"))


@pytest.fixture
def here(command, monkeypatch, tmp_path, begun):
    """`launched_here` of one group, in a tab that was told all of its model."""
    from pages.components.launch import launching

    monkeypatch.setenv("COLORA_RUNS_DIR", str(tmp_path / "runs"))

    def launched(values: dict, measured: dict | None = None, engine: tuple[str, ...] = ()) -> bool:
        told = COUNTS, ESTIMATE | {"measured": MEASURED | (measured or {})}
        monkeypatch.setattr(launching, "model_answers", lambda *_: [told])
        config = make_config({"weights": "none", "image_size": 32} | values)
        return launching.launched_here({"g": config}, [4], [0], engine, ())

    return launched


def test_a_cluster_and_data_that_take_a_while_are_the_commands(here, tmp_path, monkeypatch):
    assert not here({}, engine=("--engine", "slurm"))
    images = write_folder(tmp_path / "oct")
    monkeypatch.setitem(ESTIMATE, "classes", 3)
    with monkeypatch.context() as small:
        small.setattr("colora.data.counts.FOLDER_LIMIT", 3)
        assert not here({"dataset": f"folder:{images}"})
    assert not list((tmp_path / "runs").glob("*/group.json")) and here({"dataset": f"folder:{images}"})


def test_a_place_that_is_another_one_from_where_the_command_runs_is_the_commands(here, tmp_path, tiny_npz, monkeypatch):
    monkeypatch.chdir(tiny_npz.parent)
    monkeypatch.setitem(ESTIMATE, "classes", 3)
    assert not here({"dataset": f"npz:{tiny_npz.name}"})
    assert here({"dataset": f"npz:{tiny_npz}"}) and (tmp_path / "runs" / "g" / "group.json").exists()


@pytest.mark.parametrize(("used", "launches"), [(11_000_000_000, True), (None, False)])
def test_the_memory_of_a_gpu_is_asked_again(here, monkeypatch, used, launches):
    gpus = () if used is None else (Gpu(0, "NVIDIA L4", 0.0, used, 24_000_000_000),)
    found = Machine(16, 0.0, 0, 16_000_000_000, 0, 270_000_000_000, gpus, None)
    monkeypatch.setattr("pages.components.launch.taken.machine_now", lambda folder: found)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    on_gpu = {"device": "cuda", "gpu_free_bytes": 10, "gpu_bytes": 24_000_000_000}  # as full as it was then
    assert here({}, on_gpu) == launches


def test_a_gpu_that_is_full_by_now_is_refused(here, monkeypatch, tmp_path):
    full = Machine(16, 0.0, 0, 1, 0, 1, (Gpu(0, "NVIDIA L4", 0.0, 23_500_000_000, 24_000_000_000),), None)
    monkeypatch.setattr("pages.components.launch.taken.machine_now", lambda folder: full)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with pytest.raises(UserError, match=r"but 500\.0 MB are free on cuda"):
        here({}, {"device": "cuda", "gpu_free_bytes": 24_000_000_000, "gpu_bytes": 24_000_000_000})
    assert not (tmp_path / "runs" / "g").exists()


def test_who_has_signed_in_has_launched_it_and_who_may_no_more_is_refused(
    installed, monkeypatch, rules, form, tmp_path
):
    from pages.components import doors

    rules(RULES)
    monkeypatch.setattr(audit, "signed_in", audit.signed_in)
    monkeypatch.setattr(doors, "auth_settings", lambda: AUTH)
    seeded = app_test._user_info_for_run
    now = {"is_logged_in": True, "iat": time.time(), "email": RESEARCHER, "email_verified": True}
    monkeypatch.setattr(app_test, "_user_info_for_run", lambda user: seeded(dict(now)))
    assert press(form()).header[0].value == "Monitor"
    assert Group(tmp_path / "runs" / "quick-look").info["launched_by"] == RESEARCHER
    assert [(line["user"], line["action"]) for line in recorded(tmp_path / "runs")] == [(RESEARCHER, "launch")]
