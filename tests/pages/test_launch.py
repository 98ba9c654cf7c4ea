"""The Launch form: presets, copies, series, mistakes at their fields, what a launch will take, and its command."""

import shlex
import zipfile

import pytest
from fabricate import fabricate
from opened import COUNTS, ESTIMATE, MEASURED, ran, read, texts

from colora.data.counts import ClassCounts, phantom_counts
from colora.data.cuts import save_cut
from colora.data.rules import make_rule
from colora.distillation.distil import distil
from colora.distillation.scores import read_predictions
from colora.metrics.differences import resolves
from colora.networks.weights import remote_weights
from colora.runs.folder import Group
from colora.settings.config import launch_arguments, make_config
from colora.settings.presets import PRESETS, QUICK_LOOK
from colora.settings.seeds import parse_seeds
from colora.system.errors import UserError


def test_launch_shows_parameters_and_the_command_of_the_preset(open_page, runs):
    app = open_page("launch")
    command = app.code[0].value
    assert command.startswith("python -m colora launch --name quick-look --seeds 0-2 --train-set balanced --image-size")
    assert command.endswith(f"--runs-dir {runs}")
    assert [metric.value for metric in app.metric][:2] == ["0.91 M", "1.50 M"]


def test_launch_marks_each_mistake_at_its_field_and_waits(open_page):
    app = open_page("launch")
    app.text_input(key="launch-name").set_value("three-done")
    app.text_input(key="launch-seeds").set_value("3-1")
    app.number_input(key="launch.image_size").set_value(5000)
    app.selectbox(key="launch.dataset").set_value("folder")
    said = texts(ran(app))
    assert "A group named 'three-done' exists already; 'three-done-2' is free." in said
    assert "The range '3-1' runs backwards" in said
    assert "Must be less than or equal to 1024, but got 5000." in said
    assert "Type the path of the folder." in said and "error: Type the path" not in said  # which is no mistake yet
    assert "Still to be said: **Folder**. To be put right: **Name**, **Random seeds**, **Image size**." in said
    assert app.button(key="launch-button").disabled


def test_launch_asks_for_seeds_that_leave_out_every_fold(open_page):
    app = open_page("launch")
    app.number_input(key="launch.folds").set_value(4)
    said = texts(ran(app))
    assert "Each seed leaves out one of the 4 folds, and seeds 0-2 do not leave out each of them: ask for 4" in said
    assert app.button(key="launch-button").disabled
    app.text_input(key="launch-seeds").set_value("0-3")
    words = shlex.split(ran(app).code[0].value)
    assert words[words.index("--folds") + 1] == "4"
    assert not app.button(key="launch-button").disabled
    app.number_input(key="launch.folds").set_value(99)
    said = texts(ran(app))
    assert "less than or equal to 20, but got 99" in said and "one of the 99 folds" not in said


def test_launch_takes_limits_of_a_seed_into_the_command(open_page):
    app = open_page("launch")
    assert "--max" not in app.code[0].value
    app.text_input(key="launch-max_silence").set_value(" 600 ")
    app.text_input(key="launch-max_hours").set_value("1,5")
    words = shlex.split(ran(app).code[0].value)
    assert words[words.index("--max-silence") :][:4] == ["--max-silence", "600", "--max-hours", "1,5"]
    assert not app.button(key="launch-button").disabled
    app.text_input(key="launch-max_silence").set_value("5")
    assert "--max-silence takes a number of seconds of at least 30; got 5." in texts(ran(app))
    assert app.button(key="launch-button").disabled
    app.text_input(key="launch-max_silence").set_value("soon")
    assert "A limit is a number: 'soon' is no number." in texts(ran(app))


def test_launch_opens_a_folded_section_that_holds_a_mistake(open_page):
    app = open_page("launch")
    assert not any(expander.proto.expanded for expander in app.expander)
    app.text_input(key="launch.rank").set_value("0")
    opened = [expander.label for expander in ran(app).expander if expander.proto.expanded]
    assert opened == ["CoLoRA settings :red[:material/error:]"]
    app.text_input(key="launch.rank").set_value("2")
    opened = [expander.label for expander in ran(app).expander if expander.proto.expanded]
    assert opened == ["CoLoRA settings"]  # what was just typed stays in sight


def test_another_kind_of_backbone_has_no_block_to_cut_after(open_page):
    app = open_page("launch")
    app.selectbox(key="launch.backbone").set_value("resnet18")
    ran(app)
    app.text_input(key="launch.backbone.cut").set_value("layer3")
    ran(app)
    app.selectbox(key="launch.backbone").set_value("resnet50")
    assert ran(app).text_input(key="launch.backbone.cut").value == "layer3"
    app.selectbox(key="launch.backbone").set_value("mobilenet_v2")
    assert ran(app).text_input(key="launch.backbone.cut").value == ""


def test_launch_says_the_commands_refusal_and_keeps_what_was_typed(open_page, monkeypatch):
    called = []

    def refuse(arguments, timeout=0):
        called.append(arguments)
        raise UserError("The weights file is not one.")

    app = open_page("launch")
    app.text_input(key="launch-name").set_value("mine")
    app.number_input(key="launch.epochs").set_value(2)
    monkeypatch.setattr("pages.components.command.run_colora", refuse)
    app.button(key="launch-button").click()
    ran(app)
    assert "Not launched. The weights file is not one." in [error.value for error in app.error]
    launched = next(arguments for arguments in called if arguments[0] == "launch")
    assert launched[:5] == ["launch", "--name", "mine", "--seeds", "0-2"]
    assert app.text_input(key="launch-name").value == "mine"
    assert app.number_input(key="launch.epochs").value == 2


def test_launch_form_turns_each_preset_into_its_own_command(open_page, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    for name in ("vgg16", "resnet18", "resnet50"):
        file = remote_weights(name).path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"weights")
    for preset in PRESETS:
        app = open_page("launch", folder=tmp_path)
        app.selectbox(key="launch-preset").set_value(preset.title)
        ran(app)
        values = dict(preset.values)
        if "dataset" in values and ":" in values["dataset"]:  # its file is not here; the form waits for one
            kind = values["dataset"].partition(":")[0]
            place = tmp_path / f"images-{kind}"
            for scan in (f"{name}/{name}-{patient}-1.png" for name in ("CNV", "DME") for patient in range(10)):
                (place / scan).parent.mkdir(parents=True, exist_ok=True)
                (place / scan).touch()
            values["dataset"] = f"{kind}:{place}"
            app.text_input(key="launch.dataset.path").set_value(str(place))
            assert "Trains on 12 images: 6 of each class (complete)." in texts(ran(app))
        elif values.get("dataset") == "octmnist":  # nor is the set, until its download lies in the folder
            values["data_dir"] = str(tmp_path / "sets")
            app.text_input(key="launch.data_dir").set_value(values["data_dir"])
            (tmp_path / "sets" / "octmnist_224.npz").unlink(missing_ok=True)
            ran(app)
            assert "OCTMNIST at 224 px is not in" in texts(app)
            balanced = values.get("train_set") == "balanced"
            trains = "31,016 images: 7,754 of each class (balanced)" if balanced else "97,477 images: CNV 33,484"
            assert f"Trains on {trains}" in texts(app)
            (tmp_path / "sets").mkdir(exist_ok=True)
            zipfile.ZipFile(tmp_path / "sets" / "octmnist_224.npz", "w").close()
            ran(app)
        if preset.distilled:
            assert "There is no distilled cut yet: train the balanced set first" in texts(app)
            assert app.button(key="launch-button").disabled
            continue
        arguments = launch_arguments(preset.name, make_config(values), parse_seeds(preset.seeds))
        expected = ["python", "-m", "colora", *arguments, "--runs-dir", str(tmp_path)]
        assert shlex.split(app.code[0].value) == expected


def test_launch_copies_a_group_named_in_the_address(open_page, tmp_path):
    values = {"backbone": "resnet18:layer2", "method": "head", "lr": 3e-4, "image_size": 96, "selection": "paper"}
    fabricate(tmp_path, "old", ["done"] * 2, values)
    app = open_page("launch", folder=tmp_path)
    app.query_params["clone"] = "old"
    command = shlex.split(ran(app).code[0].value)
    expected = launch_arguments("old-2", make_config({"weights": "none", "epochs": 6} | values), [0, 1])
    assert command == ["python", "-m", "colora", *expected, "--runs-dir", str(tmp_path)]
    app.number_input(key="launch.image_size").set_value(64)  # what is changed then stays
    assert "--image-size 64" in ran(app).code[0].value
    app.selectbox(key="launch-preset").set_value(QUICK_LOOK.title)
    assert "--backbone texturenet" in ran(app).code[0].value and "clone" not in app.query_params


@pytest.mark.parametrize("asked", ["gone", "../../etc", ""])
def test_launch_says_when_there_is_nothing_to_copy(open_page, asked):
    app = open_page("launch")
    app.query_params["clone"] = asked
    errors = [error.value for error in ran(app).error]
    assert len(errors) == bool(asked) and all(error.startswith("No copy. ") for error in errors)
    assert app.text_input(key="launch-name").value == "quick-look"


def test_launch_says_what_it_will_take(open_page):
    app = open_page("launch")
    metrics = {metric.label: metric.value for metric in app.metric}
    # three seeds, each: 6 s, 12 epochs of 776 training images at 0.012 s, and 776 + 320 + 240 evaluated at 0.004 s,
    # at the end all 2,960 of them
    assert metrics["Time"] == "10 min"
    # 12 epochs of 2.4 MB and 0.02 MB of predictions, on top of checkpoint, model and tables
    assert (metrics["Memory"], metrics["Disk"]) == ("1.2 GB", "183.1 MB")
    assert "Rough: from a few training steps on this computer." in texts(app)


def test_launch_says_a_range_of_time_where_the_computer_was_busy(open_page, monkeypatch):
    from pages.components import command

    command._asked.clear()
    busy = {"seconds_per_image": 0.048, "eval_seconds_per_image": 0.016, "others": 0.75}
    told, answer = command.run_colora, ESTIMATE | {"busy": "2 trainings run", "measured": MEASURED | busy}
    app = open_page("overview")
    monkeypatch.setattr(command, "run_colora", lambda a, timeout=0: answer if a[0] == "preflight" else told(a))
    app.switch_page("pages/launch.py")
    app.query_params["start"] = "quick-look"
    metrics = {metric.label: metric.value for metric in ran(app).metric}
    assert metrics["Time"] == "10 to 38 min"
    assert "because the computer was busy when it was tried (2 trainings run)" in texts(app)
    command._asked.clear()


def test_launch_measures_again_only_what_changes_the_work(open_page, monkeypatch):
    from pages.components import command

    command._asked.clear()
    asked, told = [], command.run_colora
    app = open_page("overview")

    def answer(arguments, timeout=0):
        asked.append(arguments[0])
        return told(arguments)

    monkeypatch.setattr(command, "run_colora", answer)
    app.switch_page("pages/launch.py")
    app.query_params["start"] = "quick-look"
    before = {metric.label: metric.value for metric in ran(app).metric}
    assert asked == ["params", "preflight"]
    app.text_input(key="launch.lr").set_value("1e-4")
    app.text_input(key="launch-name").set_value("another")
    app.text_input(key="launch-seeds").set_value("0-5")
    app.number_input(key="launch.epochs").set_value(24)
    after = {metric.label: metric.value for metric in ran(app).metric}
    assert asked == ["params", "preflight"]
    assert (before["Disk"], after["Disk"]) == ("183.1 MB", "540.8 MB")  # six seeds of 24 epochs, not three of 12
    assert (before["Time"], after["Time"]) == ("10 min", "37 min")
    app.number_input(key="launch.batch_size").set_value(8)
    ran(app)
    assert asked == ["params", "preflight", "preflight"]
    command._asked.clear()


def test_launch_warns_where_it_does_not_fit(open_page, monkeypatch):
    from pages.components import command

    command._asked.clear()
    large = {"memory_bytes": 9_000_000_000, "image_bytes": 200_000_000}
    told, full = command.run_colora, ESTIMATE | {"measured": MEASURED | large}
    app = open_page("overview")
    monkeypatch.setattr(command, "run_colora", lambda a, timeout=0: full if a[0] == "preflight" else told(a))
    monkeypatch.setattr("colora.training.estimate.memory", lambda: (8_000_000_000, 16_000_000_000))
    app.switch_page("pages/launch.py")
    app.query_params["start"] = "quick-look"
    # 10.4 GB with the margin and 12 MB of images are needed for 16; 11 fewer, at 0.23 GB, fit
    assert "lower the batch size to 5 or less" in ran(app).warning[0].value
    monkeypatch.setattr("colora.training.estimate.memory", lambda: (11_000_000_000, 16_000_000_000))
    assert not [warning for warning in ran(app).warning if "does not fit" in warning.value]
    command._asked.clear()


def test_launch_names_the_differences_from_the_papers_protocol(open_page, tmp_path):
    app = open_page("launch", folder=tmp_path)
    titles = [expander.label for expander in app.expander]
    assert "Against the paper's protocol: 9 differences" in titles
    assert "- **Images**: here phantom; the paper: OCTMNIST" in texts(app)
    assert "- **Seeds**: here 3; the paper: 10 independent runs" in texts(app)


def test_a_folder_takes_the_time_of_its_share_of_training_images():
    from pages.components.launch.taken import taken

    folder = ClassCounts(("A", "B"), {"train": (42, 28), "val": (9, 6), "test": (9, 6)}, "")
    config = make_config({"epochs": 2, "dataset": "folder:/scans"})
    answer = ESTIMATE | {"measured": MEASURED | {"seconds_per_image": 0.3, "eval_seconds_per_image": 0.1}}
    assert taken(answer, config, folder, None).seconds == pytest.approx(6 + 2 * (0.3 * 70 + 0.1 * 100) + 0.1 * 100)
    fewer = config.model_copy(update={"train_figures": "pass"})
    assert taken(answer, fewer, folder, None).seconds == pytest.approx(6 + 2 * (0.3 * 70 + 0.1 * 30) + 0.1 * 100)
    assert taken(answer, config, None, None).seconds is None
    phantom = taken(answer, make_config({"epochs": 1}), phantom_counts(), None)
    assert phantom.seconds == pytest.approx(6 + 0.3 * 2400 + 2 * 0.1 * 2960)


def test_launch_says_what_the_test_images_will_tell_apart(open_page, tmp_path):
    app = open_page("launch", folder=tmp_path)
    (told,) = [caption for caption in app.caption if "apart" in caption.value]
    images = phantom_counts().total("test")
    assert told.value == f"{images} test images tell {100 * resolves(images):.1f} points of accuracy apart."
    assert "four of five studies" in told.help
    app.selectbox(key="launch.train_set").set_value("complete")
    app.text_input(key="launch.cut").set_value("gone")
    assert told.value in texts(ran(app)), "the test images are those of the data, whatever is trained on"


def test_launch_on_a_cut_counts_its_images_and_says_what_is_wrong_with_it(open_page, tmp_path):
    source = fabricate(tmp_path, "source", ["done"])
    save_cut(tmp_path, distil(read_predictions(Group(source.path), "train"), "mine", make_rule(drop=1, keep=9)))
    app = open_page("launch", folder=tmp_path)
    app.selectbox(key="launch.train_set").set_value("complete")
    app.text_input(key="launch.cut").set_value("mine")
    said = texts(ran(app))
    assert "Trains on 36 images: 9 of each class, of the cut mine" in said
    assert "discard the 1 of highest entropy and keep the next 9." in said
    assert " --cut mine " in app.code[0].value
    app.number_input(key="launch.image_size").set_value(96)
    assert "The cut mine is of images at 64 px." in texts(ran(app))
    app.text_input(key="launch.cut").set_value("yours")
    assert "There is no cut yours" in texts(ran(app))
    assert app.button(key="launch-button").disabled


def test_the_form_says_what_the_adapters_reach_and_what_their_rank_does(open_page):
    """And, where the setting `layers` asks nothing, which kinds of layers the network has."""
    app = open_page("launch")
    said = texts(app)
    assert (
        "Adapters on 10 layers, which hold 99.7 % of the frozen weights, train 92,288: 13.5 % of these; the head trains"
        " 0.82 million beside them. Weights of the adapters by the rank of the pointwise factor: 92,288 where it is"
        " whole, 23,680 with rank 8."
    ) in said
    own = "TextureNet (small, shipped): convolutions alone are adapted. It has no linear layers but the head's"
    assert own in said and "Only" not in said
    field = app.number_input(key="launch.pointwise_rank")
    assert (field.label, field.placeholder) == ("Rank of the pointwise factor", "a whole factor")
    assert field.value is None
    assert "launch.layers" not in {box.key for box in app.selectbox}
    field.set_value(8)
    app.selectbox(key="launch.backbone").set_value("vgg16")
    app.selectbox(key="launch.weights").set_value("none")
    said = texts(ran(app))
    assert "--pointwise-rank 8" in app.code[0].value and "VGG16: convolutions alone are adapted." in said
    assert "- **Rank of the pointwise factor**: here 8; the paper: a whole pointwise factor" in said
    app.number_input(key="launch.pointwise_rank").set_value(0)
    assert "Must be greater than or equal to 1, but got 0." in texts(ran(app))
    app.selectbox(key="launch.method").set_value("head")
    assert "convolutions alone" not in texts(ran(app))


def test_little_that_is_reached_is_a_warning_before_the_launch(open_page, monkeypatch):
    from pages.components import command

    app = open_page("overview")
    few = COUNTS | {"adapted": 100_000}
    monkeypatch.setattr(command, "run_colora", lambda asked, *_: ESTIMATE if asked[0] == "preflight" else few)
    command._asked.clear()
    app.switch_page("pages/launch.py")
    app.query_params["start"] = "quick-look"
    (warning,) = ran(app).warning
    assert read(warning.value).startswith("Only 14.6 % of the frozen weights lie in layers with an adapter: most of ")
    command._asked.clear()
