"""The Launch form with several values: one group for each combination, what each takes, and the same as a command."""

import json
import shlex
from pathlib import Path

import pytest
from fabricate import fabricate
from opened import COUNTS, ESTIMATE, MEASURED, ran, read, texts

from colora.cli.main import main
from colora.networks.weights import remote_weights
from colora.runs.folder import Group
from colora.settings.presets import PRESETS


def test_launch_makes_a_group_of_each_value_of_one_field(open_page, monkeypatch, runs):
    app = open_page("launch")
    app.text_input(key="launch.lr").set_value("1e-3, 3e-3,0.01")
    said = texts(ran(app))
    assert "**3 groups, 9 runs**: quick-look-lr-0.001, quick-look-lr-0.003, quick-look-lr-0.01." in said
    command = shlex.split(app.code[0].value)
    assert "--vary=lr=0.001,0.003,0.01" in command and "--lr" not in command
    assert "for 4 classes. The same for every group." in said
    assert "- **Learning rate**: here 0.003, 0.01; the paper: Adam with default parameters: 0.001" in said
    assert json.loads(app.code[1].value)["lr"] == [0.001, 0.003, 0.01]
    assert {metric.label: metric.value for metric in app.metric}["Time"] == "29 min"  # of nine runs
    assert app.button(key="launch-button").label == "Launch 3 groups"
    called = []
    monkeypatch.setattr("pages.components.command.run_colora", lambda arguments, timeout=0: called.append(arguments))
    app.button(key="launch-button").click()
    ran(app)
    assert called[-1][:3] == ["launch", "--name", "quick-look"] and "--vary=lr=0.001,0.003,0.01" in called[-1]


def test_launch_says_what_each_of_several_values_trains_and_takes(open_page, monkeypatch):
    from pages.components import command

    def told(arguments, timeout=0):
        rank = int(arguments[arguments.index("--rank") + 1])
        if arguments[0] == "params":
            return COUNTS | {"trainable": 1_000_000 * rank}
        times = dict.fromkeys(("seconds_per_image", "idle_seconds_per_image"), 0.012 * rank)
        return ESTIMATE | {"measured": MEASURED | times | {"memory_bytes": 2_670_000_000 * rank}}

    monkeypatch.setattr("colora.training.estimate.memory", lambda: (8_000_000_000, 16_000_000_000))
    app = open_page("overview")
    monkeypatch.setattr(command, "run_colora", told)
    command._asked.clear()
    app.switch_page("pages/launch.py")
    app.query_params["start"] = "quick-look"
    ran(app)
    app.text_input(key="launch.rank").set_value("1,2,4")
    trained, taken = (table.value for table in ran(app).table)
    assert list(trained.index) == list(taken.index) == ["Rank 1", "Rank 2", "Rank 4"]
    assert trained["Trained"].tolist() == ["1.00 M", "2.00 M", "4.00 M"]
    assert taken["Memory"].tolist() == ["3.1 GB", "6.2 GB", "12.3 GB"]
    # 12 epochs of 776 training images at 0.012 s a rank, and 776 + 320 + 240 evaluated at 0.004 s; 2,960 at the end
    assert taken["Time a seed"].tolist() == ["about 3 min", "about 5 min", "about 9 min"]
    assert [warning.value.partition(":")[0] for warning in app.warning] == [
        "Rank 4 does not fit into the memory that is free now"
    ]
    assert "- **Rank**: here 2, 4; the paper: one depthwise-separable term (rank 1)" in texts(app)
    command._asked.clear()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"lr": "1e-3, 0"}, "Must be greater than 0, but got 0.0."),
        ({"lr": "1e-3, 0.001"}, "0.001 is there twice."),
        ({"lr": "1e-3; much"}, "A number is needed here, or several with semicolons, as 0.001; 0.003."),
        ({"rank": "1.5"}, "A number is needed here, or several with commas."),
        ({"rank": "1,2,3,4,5,6,7,8", "lr": "1;2;3;4;5;6;7"}, "make 56 groups; at most 50 are made at once."),
        ({"merge_every": "13,14"}, "would train alike: leave one of the two out."),  # after 12 epochs
    ],
)
def test_launch_marks_what_is_wrong_with_several_values(open_page, fields, said):
    app = open_page("launch")
    for field, text in fields.items():
        app.text_input(key=f"launch.{field}").set_value(text)
    assert said in texts(ran(app))
    assert app.button(key="launch-button").disabled


def vary(app, field: str, values) -> None:
    """Choose a setting to have several values, and give it these."""
    chosen = app.multiselect(key="launch.several")
    chosen.set_value([*chosen.value, field])
    ran(app)
    place = f"launch.{field}.several"
    (widget,) = [one for kind in ("multiselect", "text_input", "text_area") for one in widgets(app, kind, place)]
    widget.set_value(values)
    ran(app)


def widgets(app, kind: str, key: str) -> list:
    return [widget for widget in app.get(kind) if widget.key == key]


def launched_from(app, folder: Path, monkeypatch) -> dict[str, dict]:
    """What the command that the page shows makes in another runs folder: {group: its config}; nothing is started."""
    monkeypatch.setattr("colora.engines.local.ensure_supervisor", lambda runs_dir: 1)
    monkeypatch.setattr("colora.engines.launch.look_ahead", lambda *args, **more: None)
    monkeypatch.setattr("colora.engines.launch._check_model", lambda *args: None)
    words = shlex.split(app.code[0].value)
    words[words.index("--runs-dir") + 1] = str(folder)
    assert words[:3] == ["python", "-m", "colora"] and main([*words[3:], "--json"]) == 0
    return {group.name: group.config for group in (Group(path) for path in sorted(folder.glob("[a-z]*")))}


def test_launch_makes_every_combination_and_its_command_does_the_same(open_page, tmp_path, monkeypatch, capsys):
    app = open_page("launch", folder=tmp_path / "page")
    app.text_input(key="launch.lr").set_value("1e-3, 3e-3")
    vary(app, "method", ["colora", "head", "full"])
    assert "Only one" not in texts(app)
    assert "lr is varied, but" in texts(app).replace("Lr", "lr")  # the preset's head has a rate of its own
    app.text_input(key="launch.lr_head").set_value("")
    methods = ("colora", "head", "full")
    names = [f"quick-look-method-{method}-lr-{lr}" for method in methods for lr in ("0.001", "0.003")]
    assert f"**6 groups, 18 runs**: {', '.join(names)}. All are made, or none." in texts(ran(app))
    assert app.button(key="launch-button").label == "Launch 6 groups"
    assert [word for word in shlex.split(app.code[0].value) if word.startswith("--vary")] == [
        "--vary=method=colora,head,full",
        "--vary=lr=0.001,0.003",
    ]
    made = launched_from(app, tmp_path / "terminal", monkeypatch)
    assert {name: (config.method, config.lr) for name, config in made.items()} == {
        f"quick-look-method-{method}-lr-{lr:g}": (method, lr) for method in methods for lr in (1e-3, 3e-3)
    }
    assert {config.merge_every for name, config in made.items() if "colora" in name} == {4}
    called = []
    monkeypatch.setattr("pages.components.command.run_colora", lambda arguments, timeout=0: called.append(arguments))
    app.button(key="launch-button").click()
    ran(app)
    assert called[-1][-4:-2] == ["--vary=method=colora,head,full", "--vary=lr=0.001,0.003"]


def test_launch_names_each_group_of_a_product_by_all_that_varies(open_page, monkeypatch):
    from pages.components import command

    def told(arguments, timeout=0):
        rank, size = (int(arguments[arguments.index(flag) + 1]) for flag in ("--rank", "--image-size"))
        if arguments[0] == "params":
            return COUNTS | {"trainable": 1_000_000 * rank + size}
        memory = {"memory_bytes": 1_000_000_000 * rank + 1_000_000 * size}
        return ESTIMATE | {"measured": MEASURED | memory | {"model_bytes": 100_000_000 * rank}}

    app = open_page("overview")
    monkeypatch.setattr(command, "run_colora", told)
    command._asked.clear()
    app.switch_page("pages/launch.py")
    app.query_params["start"] = "quick-look"
    ran(app)
    vary(app, "image_size", "64, 96")
    app.text_input(key="launch.rank").set_value("1,2")
    trained, taken = (table.value for table in ran(app).table)
    labels = [f"Image size {size}, Rank {rank}" for size in (64, 96) for rank in (1, 2)]
    assert list(trained.index) == list(taken.index) == labels
    assert taken["Memory"].tolist() == ["1.2 GB", "2.4 GB", "1.3 GB", "2.4 GB"]
    disk = {metric.label: metric.value for metric in app.metric}["Disk"]
    assert disk == "2.4 GB"  # three seeds of models of 100 + 200 + 100 + 200 MB, each with 50 MB beside it
    command._asked.clear()


@pytest.mark.parametrize(
    ("field", "values", "found"),
    [
        ("backbone", ["texturenet", "resnet18:layer1"], [("texturenet", "shipped"), ("resnet18:layer1", "imagenet")]),
        ("targets", "all\nconv1,layer2.*", ["all", "conv1,layer2.*"]),
        ("batch_size", "8, 16", [8, 16]),
        ("train_set", ["complete", "balanced"], ["complete", "balanced"]),
        ("threads", "none, 2", [None, 2]),
        ("class_names", "A,B,C,D\nnone", [["A", "B", "C", "D"], None]),
        ("dataset", ["phantom", "npz:{}"], ["phantom", "npz:{}"]),
        ("cut", "none\n", None),
    ],
)
def test_launch_varies_settings_of_every_kind(open_page, tmp_path, monkeypatch, tiny_npz, field, values, found):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    file = remote_weights("resnet18").path
    file.parent.mkdir(parents=True)
    file.write_bytes(b"weights")
    app = open_page("launch", folder=tmp_path / "page")
    vary(app, field, [value.format(tiny_npz) for value in values] if isinstance(values, list) else values)
    assert not app.button(key="launch-button").disabled
    made = launched_from(app, tmp_path / "terminal", monkeypatch)
    configs = list(made.values())
    if found is None:  # one value is not several
        assert list(made) == ["quick-look"]
        return
    assert len(made) == len(found)
    for want in found:
        if field == "backbone":
            assert want in [(config.backbone, config.weights) for config in configs]
        else:
            assert (want.format(tiny_npz) if isinstance(want, str) else want) in [getattr(c, field) for c in configs]


def test_launch_begins_several_values_with_the_one_there_was_and_forgets_them(open_page):
    app = open_page("launch")
    app.multiselect(key="launch.several").set_value(["image_size", "schedule"])
    ran(app)
    assert app.text_input(key="launch.image_size.several").value == "64"
    assert app.multiselect(key="launch.schedule.several").value == ["cosine"]
    assert "--vary" not in app.code[0].value and "--schedule cosine" in app.code[0].value
    app.multiselect(key="launch.schedule.several").set_value([])
    assert "At least one value is needed here." in texts(ran(app))
    app.text_input(key="launch.image_size.several").set_value("64; much")
    assert "Numbers are needed here, with commas." in texts(ran(app))
    app.multiselect(key="launch.several").set_value([])
    ran(app)
    assert app.number_input(key="launch.image_size").value == 64 and not app.button(key="launch-button").disabled
    app.selectbox(key="launch-preset").set_value(PRESETS[1].title)
    assert ran(app).multiselect(key="launch.several").value == []


@pytest.mark.parametrize(
    ("field", "values", "said"),
    [
        ("backbone", ["texturenet", "resnet18:"], "'resnet18:' ends in a colon"),
        ("backbone", ["texturenet", "😀"], "There is no backbone '😀'"),
        ("dataset", ["phantom", "folder:"], "Type the path of the folder."),
        ("weights", ["shipped", "a\0b"], "holds a NUL character"),
        ("class_names", "A\nB", "Needs at least two different names"),
        ("image_size", "64, 😀", "Numbers are needed here, with commas."),
    ],
)
def test_launch_marks_what_is_wrong_with_values_of_every_kind(open_page, field, values, said):
    app = open_page("launch")
    vary(app, field, values)
    assert said in texts(app) and app.button(key="launch-button").disabled


def test_launch_hides_what_no_group_uses_and_says_so_of_chosen_settings(open_page):
    app = open_page("launch")
    vary(app, "order", ["inception", "separable"])
    assert [expander.label for expander in app.expander if expander.proto.expanded] == [
        "CoLoRA settings",  # where the field is
        "Several groups at once",
    ]
    app.selectbox(key="launch.method").set_value("head")
    said = texts(ran(app))
    assert "Not used by this launch, and left out: Factor order." in said
    assert "--vary" not in app.code[0].value and not widgets(app, "text_input", "launch.lr")  # lr_head is set
    app.text_input(key="launch.lr_head").set_value("")
    assert widgets(ran(app), "text_input", "launch.lr")
    vary(app, "method", ["head", "colora"])
    assert "Order is varied, but not all groups use it: method head has no adapters." in texts(app)


def test_launch_of_several_is_all_or_nothing(open_page, tmp_path):
    fabricate(tmp_path, "quick-look-merge-every-2", ["done"])
    app = open_page("launch", folder=tmp_path)
    app.text_input(key="launch.merge_every").set_value("1, 2")
    said = texts(ran(app))
    assert "A group named 'quick-look-merge-every-2' exists already; 'quick-look-2' is free." in said
    assert app.button(key="launch-button").disabled


def test_of_several_groups_the_one_that_reaches_least_is_warned_of(open_page, monkeypatch):
    def told(arguments, timeout=0):
        if arguments[0] == "preflight":
            return ESTIMATE
        asked = {"none": 300_000, "4": 100_000, "8": 200_000}
        p = arguments[arguments.index("--pointwise-rank") + 1] if "--pointwise-rank" in arguments else "none"
        return COUNTS | {"adapted": asked[p]}

    from pages.components import command

    app = open_page("overview")
    monkeypatch.setattr(command, "run_colora", told)
    command._asked.clear()
    app.switch_page("pages/launch.py")
    app.query_params["start"] = "quick-look"
    vary(ran(app), "pointwise_rank", "4, 8, none")
    assert "--vary=pointwise_rank=4,8,none" in app.code[0].value
    (warning,) = app.warning
    assert read(warning.value).startswith("Rank of the pointwise factor 4: Only 14.6 % of the frozen weights lie in")
    command._asked.clear()
