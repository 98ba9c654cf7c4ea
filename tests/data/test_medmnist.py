"""MedMNIST's sets by name: found, downloaded, unpacked once, memory-mapped, trained on. The sets are small ones in the
same format, on a host on this machine, named by a medmnist package of the tests' own."""

import json
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from host import small_disk
from queueing import PATIENCE_SECONDS
from small_data import write_npz

from colora.data.medmnist import class_counts, damages, get, on_disk, read_medmnist
from colora.data.prepare import prepare_array
from colora.data.sources import SPLITS, load_dataset, load_outside, outline
from colora.settings import medmnist_info
from colora.settings.config import absolute_paths, config_problems, make_config
from colora.settings.medmnist_info import file_name, info, names, stored_size
from colora.system.errors import Cancelled, UserError
from colora.system.installation import ROOT

PAPER_CLASSES = ("CNV", "DME", "DRUSEN", "NORMAL")


def load(image_size=28, **settings):
    return load_dataset(make_config({"dataset": "octmnist", "image_size": image_size, **settings}))


def test_the_real_table_has_eleven_sets():
    assert len(names()) == 11
    oct_set = info("octmnist")
    assert (oct_set.class_names, oct_set.colour) == (PAPER_CLASSES, False)
    assert oct_set.images == {"train": 97_477, "val": 10_832, "test": 1_000}
    assert oct_set.md5[28] == "c68d92d5b585d8d81f7112f81e2d0842"
    assert oct_set.md5[224] == "abc493b6d529d5de7569faaef2773ba3"
    assert info("pathmnist").colour
    assert len(info("pathmnist").class_names) == 9
    assert all(info(name).urls[size].startswith("https://") for name in names() for size in medmnist_info.SIZES)


def test_the_table_is_read_without_torch():
    script = "import sys, colora.data.sources, colora.queue.transfers\n"
    script += "print(colora.settings.medmnist_info.names()[2], 'torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_SECONDS
    )
    assert done.stdout.split() == ["octmnist", "False"], done.stderr


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("octmnst", "dataset: there is no data source 'octmnst': did you mean 'octmnist'?"),
        ("chestmnist", "dataset: 'chestmnist' has several labels an image: only sets with one label an image can be "),
        ("organmnist3d", "dataset: 'organmnist3d' holds volumes: only MedMNIST's 2-D sets can be trained on."),
        ("octmnist:224", "dataset: 'octmnist' takes nothing after it."),
    ],
)
def test_names_that_are_no_set_say_why(name, sentence):
    assert config_problems({"dataset": name})["dataset"].startswith(sentence)


def test_files_are_named_as_medmnist_names_them():
    assert [file_name("octmnist", size) for size in (28, 224)] == ["octmnist.npz", "octmnist_224.npz"]
    assert [stored_size(size) for size in (16, 28, 29, 128, 200, 299)] == [28, 28, 64, 128, 224, 224]


def test_data_dir_becomes_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = absolute_paths(make_config({"dataset": "octmnist", "data_dir": "sets"}))
    assert (config.dataset, config.data_dir) == ("octmnist", str(tmp_path / "sets"))


def test_a_set_is_downloaded_checked_and_unpacked(medmnist):
    told = []
    found = get("octmnist", 28, on_progress=lambda state, *_: told.append(state))
    assert list(dict.fromkeys(told)) == ["downloading", "verifying", "unpacking"]
    assert (found.state, found.npz, found.folder) == (
        "unpacked", medmnist.root / "octmnist.npz", medmnist.root / "octmnist",
    )  # fmt: skip
    assert {p.name for p in medmnist.root.iterdir()} == {"octmnist.npz", "octmnist"}
    with np.load(found.npz) as file:
        for split in SPLITS:
            assert np.array_equal(np.load(found.folder / f"{split}_images.npy"), file[f"{split}_images"])
            assert np.array_equal(np.load(found.folder / f"{split}_labels.npy"), file[f"{split}_labels"].ravel())
    assert class_counts("octmnist", 28) == {split: [12, 10, 8, 0] for split in SPLITS}
    assert class_counts("octmnist", 64) is None
    get("octmnist", 28)
    assert len(medmnist.asked) == 1


def test_the_set_is_mapped_and_knows_its_checksum(medmnist):
    folder = get("octmnist", 28).folder
    data = load()
    images = data.splits["train"].images
    assert isinstance(images, np.memmap)
    assert not images.flags.writeable
    assert Path(images.filename) == folder / "train_images.npy"
    assert data.class_names == PAPER_CLASSES
    assert data.class_names_given
    assert data.counts("val") == [12, 10, 8, 0]
    assert data.splits["test"].image_ids[3] == "test/000003"
    assert "no patient ids" in data.split_rule
    assert "3,663" in data.warnings[0]
    plain = load_dataset(make_config({"dataset": f"npz:{medmnist.root / 'octmnist.npz'}", "image_size": 28}))
    assert data.known_checksum == data.checksum() == plain.checksum()


def test_another_image_size_is_prepared_from_the_next_larger(medmnist):
    get("octmnist", 64)
    data = load(image_size=40)
    assert data.source == "OCTMNIST (64 px)"
    with np.load(medmnist.root / "octmnist_64.npz") as file:
        assert np.array_equal(data.splits["val"].images, prepare_array(file["val_images"], 40))
    assert data.known_checksum is None
    assert data.checksum() != load(image_size=64).checksum()


def test_colour_becomes_grey_and_says_so(medmnist):
    folder = get("colourmnist", 28).folder
    data = read_medmnist("colourmnist", 28)
    assert data.warnings == ("COLOURMNIST is in colour; its images were converted to grey.",)
    with np.load(folder.with_suffix(".npz")) as file:
        assert file["train_images"].shape == (30, 28, 28, 3)
        assert np.array_equal(data.splits["train"].images, prepare_array(file["train_images"], 28))
    assert json.loads((folder / "set.json").read_text())["colour"] is True


def test_the_npz_may_go_once_it_is_unpacked(medmnist):
    before = (get("octmnist", 28), load().checksum())[1]
    (medmnist.root / "octmnist.npz").unlink()
    assert load().checksum() == before
    assert get("octmnist", 28).state == "unpacked"
    assert len(medmnist.asked) == 1


def test_a_download_of_medmnists_own_is_used(medmnist, tmp_path):
    """Put there by the medmnist package, or carried over by hand; in its folder or in another."""
    for folder, settings in ((medmnist.root, {}), (tmp_path / "else", {"data_dir": str(tmp_path / "else")})):
        folder.mkdir(exist_ok=True)
        (folder / "octmnist.npz").write_bytes(medmnist.files["octmnist.npz"])
        config = make_config({"dataset": "octmnist", "image_size": 28, **settings})
        outline(config)
        assert not (folder / "octmnist").exists()  # a launch must not wait for it; the first run unpacks
        assert isinstance(load_dataset(config).splits["train"].images, np.memmap)
    assert medmnist.asked == []


def test_a_missing_set_says_how_to_get_it(medmnist, tmp_path):
    with pytest.raises(UserError) as caught:
        outline(make_config({"dataset": "octmnist", "image_size": 128}))
    said = str(caught.value)
    assert f"OCTMNIST at 128 px is not in {medmnist.root}: run `colora data get octmnist --size 128`, or fetch" in said
    assert f"{medmnist.url('octmnist_128.npz')}?download=1 on a machine with a network (MD5 " in said
    assert said.endswith(f"and put it at {medmnist.root / 'octmnist_128.npz'}.")
    (medmnist.root / "octmnist.npz.part").write_bytes(b"PK")
    with pytest.raises(UserError, match=r"not in .* yet, its download is not complete: run"):
        load()
    assert on_disk("octmnist", 28).state == "partial"
    with pytest.raises(UserError, match=f"--size 28 --data-dir {tmp_path}`"):
        load(data_dir=str(tmp_path))
    with pytest.raises(UserError, match="published at 28, 64, 128, 224 px, not at 65"):
        get("octmnist", 65)


def test_a_damaged_file_is_never_unpacked(medmnist):
    path = medmnist.root / "octmnist.npz"
    path.write_bytes(medmnist.files["octmnist.npz"][:-500])
    with pytest.raises(UserError, match=r"octmnist\.npz is not complete: delete it, then run `colora data get"):
        outline(make_config({"dataset": "octmnist", "image_size": 28}))
    write_npz(path, 28, named=False, train_labels=np.zeros((30, 1), np.uint8))  # whole, but another file
    for unpacking in (load, lambda: get("octmnist", 28)):
        with pytest.raises(UserError, match=r"is damaged or another file: MD5 \w+ was expected, \w+ was found"):
            unpacking()
    assert {p.name for p in medmnist.root.iterdir()} == {"octmnist.npz"}
    assert list(damages("octmnist", 28)) == [str(path)]


def test_damage_to_the_unpacked_copy_is_found(medmnist):
    folder = get("octmnist", 28).folder
    assert damages("octmnist", 28) == {str(folder.with_suffix(".npz")): None, str(folder): None}
    images = np.load(folder / "test_images.npy", mmap_mode="r+")
    images[0, 0, 0] ^= 1
    images.flush()
    assert "have changed since they were unpacked" in damages("octmnist", 28)[str(folder)]
    with open(folder / "val_images.npy", "r+b") as file:
        file.truncate(1000)
    with pytest.raises(UserError, match=r"octmnist is not complete \(val: .*delete the folder .* and get the set"):
        outline(make_config({"dataset": "octmnist", "image_size": 28}))
    (folder / "set.json").write_text("{}")
    shutil.copy(folder / "test_images.npy", folder / "val_images.npy")
    with pytest.raises(UserError, match=r"set\.json cannot be read"):
        load()


def test_cancelled_and_failed_unpacking_leave_nothing_half(medmnist, monkeypatch):
    monkeypatch.setattr("colora.data.unpack.CHUNK_BYTES", 28 * 28)
    told = []

    def stop_in_the_middle():
        return told.count("unpacking") == 40  # of 90 images

    with pytest.raises(Cancelled, match=r"while octmnist\.npz was unpacked; the file itself is kept"):
        get("octmnist", 28, on_progress=lambda state, *_: told.append(state), should_stop=stop_in_the_middle)
    assert {p.name for p in medmnist.root.iterdir()} == {"octmnist.npz"}
    (medmnist.root / "octmnist").mkdir()
    with pytest.raises(UserError, match="octmnist is in the way and holds no unpacked set: rename or delete it"):
        get("octmnist", 28)


@pytest.mark.parametrize(
    ("replaced", "sentence"),
    [
        ({"val_images": None}, r"octmnist\.npz lacks val_images"),
        ({"val_images": np.zeros((30, 28, 28), np.float32)}, r"val_images is float32 \(30, 28, 28\); expected uint8"),
        ({"val_images": np.zeros((30, 28, 20), np.uint8)}, r"val_images is uint8 \(30, 28, 20\); expected uint8"),
        ({"test_labels": np.full((30, 1), 9)}, "test_labels is int64 .* expected one label from 0 to 3"),
        ({"test_labels": np.zeros((4, 1), int)}, "for each of 30 images"),
    ],
)
def test_a_published_file_of_another_format_is_refused(medmnist, replaced, sentence, monkeypatch):
    path = write_npz(medmnist.root / "octmnist.npz", 28, named=False, **replaced)
    monkeypatch.setattr("colora.data.medmnist.fetch", lambda *_, **__: path)
    with pytest.raises(UserError, match=sentence):
        get("octmnist", 28)
    assert {p.name for p in medmnist.root.iterdir()} == {"octmnist.npz"}


def test_a_member_that_ends_early_is_refused(medmnist, monkeypatch):
    path = medmnist.root / "octmnist.npz"
    with zipfile.ZipFile(write_npz(path, 28, named=False)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content[:-100] if name == "test_images.npy" else content)
    monkeypatch.setattr("colora.data.medmnist.fetch", lambda *_, **__: path)
    with pytest.raises(UserError, match=r"cannot be unpacked \(test_images ends early\): delete it and get it again"):
        get("octmnist", 28)


def test_a_disk_too_small_to_unpack_keeps_the_download(medmnist, tmp_path, monkeypatch):
    with small_disk(tmp_path / "small", 112) as small:  # the file has 73 kB, its images as many
        monkeypatch.setattr("colora.data.medmnist.info", _without_images)
        with pytest.raises(UserError, match=r"Unpacking octmnist\.npz needs 7. kB, but the disk of .* free some space"):
            get("octmnist", 28, small)
        monkeypatch.setattr("colora.data.unpack.check_room", lambda *_: None)  # room that goes while it is unpacked
        with pytest.raises(UserError, match=r"The disk is full: .*small/octmnist could not be written\. Free"):
            get("octmnist", 28, small)
        assert [p.name for p in small.iterdir()] == ["octmnist.npz"]
        assert len(medmnist.asked) == 1


def _without_images(name):
    """The facts of a set whose unpacked size nobody knows beforehand."""
    facts = info(name)
    return type(facts)(**{**facts.__dict__, "images": {}})


UNPACK = """
import sys, time, colora.data.unpack as unpack
from colora.data.medmnist import read_medmnist
unpack.CHUNK_BYTES = 28 * 28
copy = unpack._copy_images
def slowly(*arguments):
    for count in copy(*arguments):
        time.sleep(float(sys.argv[1]))
        yield count
unpack._copy_images = slowly
data = read_medmnist("octmnist", 28)
print(data.checksum(), flush=True)
"""


def test_two_processes_unpack_once(medmnist):
    (medmnist.root / "octmnist.npz").write_bytes(medmnist.files["octmnist.npz"])
    both = [
        subprocess.Popen([sys.executable, "-c", UNPACK, "0.005"], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    one, other = (process.communicate(timeout=PATIENCE_SECONDS)[0].strip() for process in both)
    assert one == other == load().checksum()
    assert {p.name for p in medmnist.root.iterdir()} == {"octmnist.npz", "octmnist"}


def test_what_a_killed_process_left_is_cleared(medmnist):
    (medmnist.root / "octmnist.npz").write_bytes(medmnist.files["octmnist.npz"])
    with subprocess.Popen([sys.executable, "-c", UNPACK, "0.1"], cwd=ROOT) as process:
        end = time.monotonic() + PATIENCE_SECONDS
        while not list(medmnist.root.glob(".octmnist.*/train_images.npy")):
            assert time.monotonic() < end
            time.sleep(0.02)
        process.kill()
    assert on_disk("octmnist", 28).state == "downloaded"
    load()
    assert {p.name for p in medmnist.root.iterdir()} == {"octmnist.npz", "octmnist"}


def test_outside_data_by_name(medmnist, tmp_path):
    get("octmnist", 28, tmp_path / "sets")
    settings = {"dataset": "octmnist", "image_size": 28, "data_dir": str(tmp_path / "sets")}
    found = load_outside(settings, "val")
    assert (found.split, len(found.images)) == ("val", 30)


@pytest.mark.filterwarnings("error:.*not writable")
def test_a_run_trains_on_the_mapped_files_without_a_copy(medmnist, tmp_path, monkeypatch):
    """What the network draws from are the file's own pages; only the balanced subset is copied."""
    import colora.training.run
    from colora.prediction.outside import evaluate_group
    from colora.runs.folder import Group, Run, create_group

    get("octmnist", 28)
    mapped = []

    class Watching(colora.training.run.DeviceImages):
        def __init__(self, images, labels, device):
            super().__init__(images, labels, device)
            mapped.append(isinstance(images, np.memmap) and np.shares_memory(images, self.images.numpy()))

    monkeypatch.setattr(colora.training.run, "DeviceImages", Watching)
    small = {"backbone": "resnet18:layer1", "weights": "none", "image_size": 28, "batch_size": 16, "threads": 1}
    for train_set, used in (("complete", [12, 10, 8, 0]), ("balanced", [8, 8, 8, 0])):
        config = make_config({"dataset": "octmnist", "epochs": 1, "train_set": train_set, **small})
        run = create_group(tmp_path / "runs", train_set, config, [0]).runs[0]
        mapped.clear()
        assert colora.training.run.train_run(run.path) == 0
        assert mapped == [True] * 3
        resolved = Run(run.path).resolved
        assert resolved.class_counts["used"] == used
        assert resolved.data_checksum == load().checksum()
        assert resolved.warnings == list(load().warnings)
    told = []
    group = Group(run.path.parent)
    outside = evaluate_group(group, {"dataset": "octmnist"}, on_progress=lambda *step: told.append(step))
    assert outside["n"] == 30
    assert told[-1] == ("predicting with seeds", 0, 1)
    assert outside["seeds"][0]["accuracy"] == Run(run.path).metrics["test_accuracy"].iloc[-1]
