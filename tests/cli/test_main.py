"""The command line: its JSON, its exit codes, its mistakes."""

import json
import shutil

import numpy as np
import pytest
from commands import SMALL, document, mistake
from fabricate import fabricate
from PIL import Image
from small_data import write_folder, write_npz

from colora.cli.asked import asked_config
from colora.cli.main import _parser, main
from colora.networks import texturenet
from colora.runs.folder import Run, create_group, read_json, write_json
from colora.settings.config import make_config
from colora.settings.presets import QUICK_LOOK
from colora.settings.relevance import config_checksum
from colora.system.files import file_stamp
from colora.training.run import train_run


@pytest.fixture(scope="module")
def trained(tmp_path_factory, tiny_npz):
    """A finished group of two seeds."""
    config = asked_config(
        _parser().parse_args(["launch", "--name", "x", "--dataset", f"npz:{tiny_npz}", *SMALL, "--epochs", "2"])
    )
    group = create_group(tmp_path_factory.mktemp("runs"), "tiny", config, [0, 2])
    for run in group.runs:
        assert train_run(run.path) == 0
    return group.path


def test_params_without_weights(capsys):
    got = document(capsys, "params", "--backbone", "vgg16", "--method", "colora", "--image-size", 224)
    expected = {"adapter": 1676736, "head": 869124, "trainable": 2545860, "deployed": 15583812}
    assert {k: got[k] for k in expected} == expected
    small = document(capsys, "params", "--backbone", "texturenet", "--image-size", 64)
    assert (small["adapter"], small["deployed"]) == (35_488, 1_099_268)
    assert small["adapter_by_pointwise_rank"] == {"none": 35_488, "8": 10_144}


def test_params_say_which_file_of_weights_fits(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    small = ["params", "--backbone", "texturenet", "--image-size", "64"]
    assert document(capsys, *small)["weights_file"] is None
    file = tmp_path / "own.safetensors"
    file.write_bytes(texturenet.WEIGHTS.read_bytes())
    found = document(capsys, *small, "--weights", file)["weights_file"]
    assert found == {"path": str(file), "stamp": list(file_stamp(file))}
    assert document(capsys, *small, "--weights", "shipped")["weights_file"]["path"] == str(texturenet.WEIGHTS)
    said = mistake(capsys, "params", "--backbone", "resnet18", "--weights", file)
    assert said == f"colora params: {file} has no weight of resnet18: is it for another network?\n"
    missing = document(capsys, "params", "--backbone", "resnet18", "--weights", "imagenet")
    assert missing["weights_file"] is None and not list(tmp_path.rglob("*.pth"))  # nothing is fetched to count


def test_params_say_what_the_adapters_reach_and_what_the_rank_does(capsys):
    assert main(["params", "--backbone", "resnet50", "--pointwise-rank", "8"]) == 0
    written = capsys.readouterr()
    assert written.out.splitlines()[-2:] == [
        "Adapters on 53 layers, which hold 99.8 % of the frozen weights, train 0.45 million: 1.9 % of these; the head "
        "trains 1.07 million beside them.",
        "Weights of the adapters by the rank of the pointwise factor: 13.45 million where it is whole, 0.45 million "
        "with rank 8.",
    ]
    assert written.err == ""
    few = document(capsys, "params", "--backbone", "resnet50", "--targets", "layer1.*")
    assert few["warning"].startswith("Only 0.9 % of the frozen weights lie in layers with an adapter: most of the ")
    assert capsys.readouterr().err == ""
    head = document(capsys, "params", "--backbone", "resnet50", "--method", "head")
    assert (head["says"], head["warning"], head["adapter_by_pointwise_rank"]) == (None, None, {})


def test_what_a_network_takes_says_which_settings_do_nothing(capsys):
    small = ["--backbone", "texturenet", "--image-size", "32", "--layers", "conv+linear"]
    assert main(["params", *small, "--method", "head", "--pointwise-rank", "8"]) == 0
    assert capsys.readouterr().err.splitlines() == [
        "pointwise_rank is not used: method head has no adapters.",
        "layers is not used: method head has no adapters.",
    ]
    linear = "layers is not used: texturenet has convolutions alone outside the head."
    for command in (["bench", "--methods", "colora", "--repeats", "1", "--batch-size", "2"], ["preflight"]):
        own = ["--dataset", "phantom", "--weights", "none"] if command == ["preflight"] else []
        assert main([*command, *small, *own, "--pointwise-rank", "8"]) == 0
        assert capsys.readouterr().err.splitlines() == [linear]


def test_preflight_tells_what_a_seed_takes(capsys):
    shape = ["--backbone", "resnet18:layer1", "--image-size", 32, "--device", "cpu"]
    one = document(capsys, "preflight", *shape, "--batch-size", 1)
    more = document(capsys, "preflight", *shape, "--batch-size", 401, "--epochs", 40)
    assert one["device"] == "cpu" and one["memory_free_bytes"] > one["memory_bytes"] > 0
    assert more["memory_bytes"] > one["memory_bytes"] and more["disk_bytes"] > one["disk_bytes"]
    assert one["seconds_per_image"] > 0


def test_a_note_is_written_and_read(tmp_path, capsys):
    group = fabricate(tmp_path, "g", ["queued"]).path
    assert document(capsys, "note", group) == {"name": "g", "notes": ""}
    assert document(capsys, "note", group, "--text=- first try")["notes"] == "- first try"
    assert main(["note", str(group)]) == 0 and capsys.readouterr().out == "- first try\n"


def test_a_preset_is_where_the_flags_start_from():
    args = _parser().parse_args(["launch", "--name", "g", "--preset", "quick-look", "--epochs", "2"])
    config = asked_config(args)
    assert (config.backbone, config.weights, config.image_size, config.epochs) == ("texturenet", "shipped", 64, 2)
    assert config.changes() == make_config(QUICK_LOOK.values | {"epochs": 2}).changes()


def test_show_gives_each_seed_and_the_spread(trained, capsys):
    shown = document(capsys, "show", trained)
    assert [s["seed"] for s in shown["seeds"]] == [0, 2]
    for seed in shown["seeds"]:
        table = Run(trained / f"seed-{seed['seed']:02d}").metrics
        row = table[table["epoch"] == seed["selected_epoch"]].iloc[0]
        assert seed["test"]["accuracy"] == row["test_accuracy"]
    values = sorted(s["test"]["accuracy"] for s in shown["seeds"])
    spread = shown["over_seeds"]["test"]["accuracy"]
    assert spread["range"] == values
    assert spread["median"] == pytest.approx(np.mean(values))
    assert shown["notice"] == "Research use only. Not a medical device."
    assert shown["data"]["check"]["patients"]["n"] == 45 and shown["data"]["leak"] is None


def test_show_for_people(trained, capsys):
    assert main(["show", str(trained)]) == 0
    text = capsys.readouterr().out
    assert "tiny: done; colora on resnet18:layer1, npz:tiny.npz" in text
    reach = "  Adapters on 5 layers, which hold 99.6 % of the frozen weights, train 22,016: 14.0 % of these; the head "
    assert reach + "trains 0.81 million beside them." in text.splitlines()
    patients = "45, by the file's train_patients, val_patients, test_patients; none of them in several splits."
    checked = f"  Split the file's own splits. Patients: {patients} Duplicates: none across splits or classes."
    assert checked in text.splitlines() and "These data leak" not in text
    assert "Selection: each seed's epoch is the one of best accuracy on validation" in text
    assert "Research use only" in text


def test_show_says_which_settings_are_used(tmp_path, capsys):
    group = fabricate(tmp_path, "h", ["queued"], {"method": "head", "lr_head": 1e-3, "lr": 0.5, "epochs": 20})
    shown = document(capsys, "show", group.path)
    assert shown["config_checksum"] == config_checksum(group.config)
    assert shown["settings"]["lr_head"] == 1e-3 and not {"lr", "rank", "merge_every"} & shown["settings"].keys()
    assert shown["not_used"] == {"lr": "method head with lr_head trains the head alone, at that rate"}
    assert main(["show", str(group.path)]) == 0
    line = capsys.readouterr().out.splitlines()[1]
    assert line == (
        f"  settings {shown['config_checksum'][:12]}: image_size 64, backbone resnet18:layer2, weights none, "
        "method head, lr_head 0.001; not used: lr (method head with lr_head trains the head alone, at that rate)"
    )


def test_list(trained, capsys):
    assert [g["name"] for g in document(capsys, "list", "--runs-dir", trained.parent)] == ["tiny"]


def test_evaluate_on_the_same_file_repeats_the_test_figures(trained, tiny_npz, capsys):
    shown = document(capsys, "show", trained)
    got = document(capsys, "evaluate", trained, "--dataset", f"npz:{tiny_npz}")
    assert got["n"] == 30
    assert [s["accuracy"] for s in got["seeds"]] == [s["test"]["accuracy"] for s in shown["seeds"]]
    for seed in got["seeds"]:
        matrix = np.array(seed["confusion_matrix"])
        assert matrix.sum(1).tolist() == [12, 10, 8]
        assert seed["accuracy"] == pytest.approx(np.trace(matrix) / 30)
        assert seed["per_class"]["ONE"]["recall"] == pytest.approx(matrix[0, 0] / 12)
        others = np.delete(np.arange(3), 0)
        negatives = matrix[others]
        assert seed["per_class"]["ONE"]["specificity"] == pytest.approx(negatives[:, 1:].sum() / negatives.sum())
    assert got["warnings"] == []


def test_evaluate_has_the_ensemble_as_one_model_and_says_which_seeds_count(trained, tiny_npz, capsys):
    arguments = ["evaluate", trained, "--dataset", f"npz:{tiny_npz}"]
    got = document(capsys, *arguments)
    tables = [Run(trained / f"seed-{seed:02d}").predictions("test") for seed in (0, 2)]
    mean = np.mean([table[["p_0", "p_1", "p_2"]].to_numpy() for table in tables], axis=0, dtype=float)
    matrix = np.array(got["ensemble"]["confusion_matrix"])
    assert matrix.sum(1).tolist() == [12, 10, 8]
    assert got["ensemble"]["accuracy"] == pytest.approx(np.trace(matrix) / 30)
    assert got["ensemble"]["accuracy"] == pytest.approx(np.mean(mean.argmax(1) == tables[0]["label"]))
    assert got["finished"] == 2 and got["under_way"] == []
    status = read_json(trained / "seed-02" / "status.json")
    try:
        write_json(trained / "seed-02" / "status.json", status | {"state": "stopped"})
        alone = document(capsys, *arguments)
        assert [row["seed"] for row in alone["seeds"]] == [0] and alone["ensemble"] is None
        assert main([str(a) for a in arguments]) == 0
        said = capsys.readouterr().out
    finally:
        write_json(trained / "seed-02" / "status.json", status)
    assert "1 of 2 seeds is finished" in said and "seed 2 stopped at epoch 2 of 2" in said
    assert f"  accuracy, 1 of 2 seeds: {alone['seeds'][0]['accuracy']:.3f}" in said and "median" not in said


def test_evaluate_meets_a_folder_by_class_name(trained, tiny_folder, capsys):
    got = document(capsys, "evaluate", trained, "--dataset", f"folder:{tiny_folder}")
    assert got["n"] == 72
    assert got["class_names"] == ["ONE", "TWO", "THREE"]  # the model's order, though the folder sorts THREE before TWO
    by_class = {name: np.sum(got["seeds"][0]["confusion_matrix"][c]) for c, name in enumerate(got["class_names"])}
    assert by_class == {"ONE": 24, "TWO": 24, "THREE": 24}
    assert got["data"]["split"] == "all"


def test_evaluate_warns_of_patients_seen_in_training(trained, tmp_path, capsys):
    root = write_folder(
        tmp_path / "oct", patients=2, scans=1
    )  # patients 0, 1, 100, 101, 200, 201; 0 and 1 are in training
    got = document(capsys, "evaluate", trained, "--dataset", f"folder:{root}")
    assert got["warnings"] == [
        "2 of 6 images are of patients the models were trained on (the same ids): these figures are no estimate for "
        "new patients."
    ]


def test_evaluate_without_names_matches_by_order_and_says_so(trained, tmp_path, capsys):
    path = write_npz(tmp_path / "a.npz", named=False)
    got = document(capsys, "evaluate", trained, "--dataset", f"npz:{path}")
    assert any("matched by sorted order: 0 as ONE, 1 as TWO, 2 as THREE" in w for w in got["warnings"])
    named = document(
        capsys, "evaluate", trained, "--dataset", f"npz:{path}", "--class-names", "one,two,three"
    )
    assert not any("sorted order" in w for w in named["warnings"])
    line = mistake(capsys, "evaluate", trained, "--dataset", f"npz:{path}", "--class-names", "ONE,TWO,SIX", "--json")
    assert "has the class SIX (8 images), unknown to the models; they know ONE, TWO, THREE" in line


def test_evaluate_with_classes_of_which_none_is_known_is_a_mistake(trained, capsys, few_phantoms):
    line = mistake(capsys, "evaluate", trained, "--dataset", "phantom", "--json")
    assert "phantom (synthetic) has no image of a class that the models know: it has CNV, DME, DRUSEN, NORMAL" in line


def test_evaluate_takes_the_settings_of_data_and_says_which_do_nothing(trained, tiny_npz, capsys):
    arguments = ["evaluate", trained, "--dataset", f"npz:{tiny_npz}", "--split", "all", "--json"]
    arguments += ["--layout", "classes", "--columns", "path=a", "--ignore-splits", "--data-roots", "/a,/b"]
    assert main([str(a) for a in arguments]) == 0
    out, err = capsys.readouterr()
    got = json.loads(out)
    assert got["n"] == 90 and got["overlap"]["images_trained_on"] == 30 and got["overlap"]["patients_trained_on"] == 15
    lines = [line for line in err.splitlines() if "is not used" in line]
    assert [line.split()[0] for line in lines] == ["layout", "columns", "ignore_splits", "data_roots"]
    assert lines[1] == "columns is not used: it is about a table, and npz is none."
    line = mistake(capsys, "evaluate", trained, "--dataset", f"npz:{tiny_npz}", "--layout", "other")
    assert "layout: input should be 'auto', 'classes' or 'class-number'" in line


def test_evaluate_for_people_says_what_is_not_defined(trained, tmp_path, capsys):
    kept = write_npz(tmp_path / "a.npz", counts=(12, 10), named=False)
    arguments = ["evaluate", trained, "--dataset", f"npz:{kept}", "--class-names", "two,six", "--leave-out-unknown"]
    seed = document(capsys, *arguments)["seeds"][0]
    assert main([str(a) for a in arguments]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[:3] == [
        "tiny on npz:a.npz (test), 12 images",
        "  Classes of the data: 0, named two, is TWO: 12 images; 1, named six, is unknown to the models: 10 images",
        f"  seed  0  accuracy {seed['accuracy']:.3f}  AUC not defined",
    ]
    assert said[3] == (
        "    ONE          n     0  recall not defined  precision not defined  "
        f"specificity {seed['per_class']['ONE']['specificity']:.3f}  AUC not defined  "
        f"called so {seed['called_absent']['ONE']}"
    )
    assert said[4].startswith(f"    TWO          n    12  recall {seed['per_class']['TWO']['recall']:.3f}  precision ")
    assert said[4].endswith("  specificity not defined  AUC not defined")
    assert any(line.startswith("  Note: No image is of the classes ONE, THREE: their sens") for line in said)
    assert any("Left out, since the models do not know the class: six (10 images)." in line for line in said)


def test_predict(trained, tiny_folder, capsys):
    paths = sorted((tiny_folder / "ONE").glob("*.png"))[:2]
    got = document(capsys, "predict", trained, *paths)
    assert [i["path"] for i in got["images"]] == [str(p) for p in paths]
    image = got["images"][0]
    for answer in (image["mean"], *image["seeds"]):
        p = np.array(list(answer["probabilities"].values()))
        assert p.sum() == pytest.approx(1, abs=1e-5)
        assert answer["entropy"] == pytest.approx(-(p * np.log(p)).sum(), abs=1e-5)
        assert answer["prediction"] == max(answer["probabilities"], key=answer["probabilities"].get)
    mean = np.mean([list(s["probabilities"].values()) for s in image["seeds"]], axis=0)
    assert list(image["mean"]["probabilities"].values()) == pytest.approx(mean, abs=1e-6)


def test_predict_says_what_the_models_were_trained_on(trained, tiny_folder, tmp_path, capsys):
    """A model that has only met synthetic images must say so beside its answer on a real one."""
    said = "These images are synthetic: generated, of no patient."
    folder = tmp_path / "tiny"
    shutil.copytree(trained, folder)
    for seed in folder.glob("seed-*"):
        written = read_json(seed / "config.json")
        write_json(seed / "config.json", written | {"resolved": written["resolved"] | {"warnings": [said]}})
    path = next((tiny_folder / "ONE").glob("*.png"))
    assert document(capsys, "predict", folder, path)["warnings"] == [said]
    assert main(["predict", str(folder), str(path)]) == 0
    assert f"Note on the training: {said}" in capsys.readouterr().out


def test_predict_says_what_it_converted(trained, tmp_path, capsys):
    Image.new("RGB", (40, 40), "red").save(tmp_path / "a.png")
    said = f"In colour, made grey: 1 of 1 images; the first: {tmp_path / 'a.png'}."
    assert document(capsys, "predict", trained, tmp_path / "a.png")["image_warnings"] == [said]
    assert main(["predict", str(trained), str(tmp_path / "a.png")]) == 0
    assert f"Note: {said}" in capsys.readouterr().out


def test_show_says_how_many_images_are_prepared(tmp_path, capsys):
    group = fabricate(tmp_path, "g", ["starting"])
    status = group.runs[0].path / "status.json"
    write_json(status, read_json(status) | {"preparing": [1_200, 100_000]})
    assert main(["show", str(group.path)]) == 0
    assert "starting epoch 0/6  preparing images 1,200 of 100,000" in capsys.readouterr().out


def test_predict_on_what_is_no_image(trained, tmp_path, capsys):
    (tmp_path / "a.png").write_text("x")
    assert "does not open as an image" in mistake(capsys, "predict", trained, tmp_path / "a.png", "--json")
    assert "There is no image" in mistake(capsys, "predict", trained, tmp_path / "b.png", "--json")


def test_launch_mistakes_leave_no_folder(tmp_path, tiny_npz, capsys, trained):
    one_class = write_npz(tmp_path / "one.npz", train_labels=np.zeros((30, 1), int))
    (tmp_path / "empty").mkdir()
    for sentence, dataset, *more in (
        ("There is no file", "npz:/nowhere.npz"),
        ("lacks val_labels", f"npz:{write_npz(tmp_path / 'bad.npz', val_labels=None)}"),
        ("only one class to train on (ONE)", f"npz:{one_class}"),
        ("no sub-folder with images", f"folder:{tmp_path / 'empty'}"),
        ("did you mean 'resnet18'?", f"npz:{tiny_npz}", "--backbone", "resnet81"),
        ("no block 'layer7'", f"npz:{tiny_npz}", "--backbone", "resnet18:layer7"),
        ("There is no weights file", f"npz:{tiny_npz}", "--weights", "/nowhere.pth"),
        ("Targets 'layer9.*' matches no layer", f"npz:{tiny_npz}", "--targets", "layer9.*"),
        ("Targets 'layer9' matches no layer to adapt; the", f"npz:{tiny_npz}", "--targets", "conv1,layer9"),
        ("pointwise_rank: input should be greater than", f"npz:{tiny_npz}", "--pointwise-rank", "0"),
        ("epochs: input should be a valid integer", f"npz:{tiny_npz}", "--epochs", "many"),
        ("unrecognized arguments: --epocs 3", f"npz:{tiny_npz}", "--epocs", "3"),
        ("Seeds are whole numbers", f"npz:{tiny_npz}", "--seeds", "a"),
    ):
        small = [part for pair in zip(SMALL[::2], SMALL[1::2], strict=True) if pair[0] not in more for part in pair]
        arguments = ["launch", "--name", "x", "--dataset", dataset, "--runs-dir", tmp_path / "runs", *small, *more]
        assert sentence in mistake(capsys, *arguments, "--json")
    assert not (tmp_path / "runs").exists()
    taken = ["launch", "--name", "tiny", "--dataset", f"npz:{tiny_npz}", "--runs-dir", trained.parent, *SMALL]
    assert "A group named 'tiny' exists already" in mistake(capsys, *taken)
    assert "is not a group of runs" in mistake(capsys, "show", tmp_path)
