"""The Data page and the downloads that the Launch page offers, over files and downloads that the test lays down."""

import hashlib
import time

import numpy as np
import pytest
from host import download_told
from opened import opener, ran, read, texts
from queueing import PATIENCE_SECONDS
from small_data import write_npz

from colora.data.medmnist import get, remote_file
from colora.networks.weights import remote_weights
from colora.queue.transfers import downloads, transfer_id
from colora.runs.folder import own_process
from colora.system.storage import size_text, state_dir

KEPT = "Cancelled. What has arrived is kept: the next try continues there."


@pytest.fixture
def torch_home(monkeypatch, tmp_path):
    """An empty folder of ImageNet weights."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path / "torch"


@pytest.fixture
def open_page(monkeypatch, tmp_path, medmnist, torch_home):
    """Pages over MedMNIST's sets of the test's own host, which draw a download's progress once."""
    monkeypatch.setattr("pages.components.data.downloads.Shown.follow", lambda self: None)
    return opener(monkeypatch, tmp_path / "runs")


def labels(app) -> list[str]:
    """The buttons of the set's four sizes and of the five backbones, those that can be pressed."""
    return [button.label for button in app.button if not button.disabled]


def target_id(path, size=28, name="octmnist"):
    return transfer_id("data", name, size, path)


def test_a_set_that_is_not_here_can_be_downloaded(open_page, medmnist):
    app = open_page("data")
    said = texts(app)
    assert app.selectbox(key="set").value == "octmnist"
    assert "The OCTMNIST is drawn by a test." in said and "licence CC BY 4.0" in said
    assert "4 classes · 30 + 30 + 30 images" in said
    assert said.count("not here") == 4 + 5
    assert f"{medmnist.root / 'octmnist_224.npz'}  \nMD5 " in said
    assert labels(app) == ["Download"] * 9
    assert "Images of each class are counted as soon as the set is on this computer." in said
    assert "MedMNIST's own splits; it has no patient ids, so they may share patients." in said
    app.button(key=f"start-{target_id(medmnist.root / 'octmnist.npz')}").click()
    ran(app)
    end = time.monotonic() + PATIENCE_SECONDS
    while downloads()[0].active:
        assert time.monotonic() < end
        time.sleep(0.05)
    said = texts(ran(app))
    assert said.count("not here") == 8 and ": ready]" in said
    counted = app.table[0].value
    assert counted.loc["All"].tolist() == ["30", "30", "30", "24"]
    assert f"Counted from the labels in {medmnist.root / 'octmnist'}." in said
    assert "**Balanced**: the first 8 of each class, as many as the smallest has, 24 images." in said
    assert len(app.get("plotly_chart")) == 1


def test_published_counts_stand_in_until_the_set_is_here(monkeypatch, tmp_path, torch_home):
    app = opener(monkeypatch, tmp_path / "runs")("data")
    app.text_input(key="folder").set_value(str(tmp_path / "sets"))
    table = ran(app).table[0].value
    assert table.loc["All"].tolist() == ["97,477", "10,832", "1,000", "31,016"]
    assert table.loc["DRUSEN"].tolist() == ["7,754", "862", "250", "7,754"]
    assert "The paper's table 1 prints 2,708 images for each class of validation; that is 10,832 / 4." in texts(app)
    assert "109,309 valid optical coherence tomography (OCT) images for retinal diseases." in texts(app)
    assert "3,663 of those belong to patients of the test split" in texts(app)


def test_a_cancelled_download_keeps_its_part_and_continues(open_page, medmnist):
    part = medmnist.root / "octmnist_224.npz.part"
    with open(part, "wb") as out:
        out.truncate(1_230_000_000)  # takes no room on the disk
    file = medmnist.root / "octmnist_224.npz"
    facts = {"bytes": 1_230_000_000, "total": 5_470_000_000, "message": KEPT, "process": None}
    download_told("data", "octmnist", 224, file, "cancelled", **facts)
    app = open_page("data")
    said = texts(app)
    assert "partly downloaded" in said and "\n1.2 of 5.5 GB\n" in said
    assert KEPT in [info.value for info in app.info]
    assert labels(app) == ["Download"] * 3 + ["Continue"] + ["Download"] * 5
    part.unlink()
    (medmnist.root / "octmnist_224.npz").write_bytes(b"carried over")  # later than the download
    app = ran(app)
    assert KEPT not in texts(app)
    assert "Check and unpack" in labels(app)


def test_a_download_under_way_shows_bytes_rate_and_time_left(open_page, medmnist):
    facts = {"bytes": 1_230_000_000, "total": 5_470_000_000, "bytes_per_s": 24.3e6}
    file = medmnist.root / "octmnist_224.npz"
    known = download_told("data", "octmnist", 224, file, "downloading", **facts)
    download_told("data", "colourmnist", 28, medmnist.root / "colourmnist.npz", "unpacking", bytes=30, total=200)
    app = open_page("data")
    shown = [bar.proto.text for bar in app.get("progress")]
    assert shown == ["Unpacking: 30 of 200 B", "Downloading: 1.2 of 5.5 GB · 24.3 MB/s · about 3 min left"]
    assert f"**COLOURMNIST at 28 px**, to {medmnist.root}" in texts(app)  # of another set: above, with its own Cancel
    assert labels(app).count("Cancel") == 2
    assert app.button(key=f"cancel-{known}").help.startswith("Stops the download. What has arrived is kept")
    assert app.button(key=f"verify-{known}").disabled


@pytest.mark.parametrize(("state", "message"), [("failed", "octmnist.npz could not be downloaded: 404"), ("gone", "")])
def test_a_download_that_failed_or_died_says_so_and_can_be_tried_again(open_page, medmnist, state, message):
    file = medmnist.root / "octmnist.npz"
    if state == "failed":
        download_told("data", "octmnist", 28, file, "failed", message=message, process=None)
    else:
        message = "The process of this download is gone"
        download_told("data", "octmnist", 28, file, "downloading", process=own_process() | {"pid": 1, "started": 1.0})
    app = open_page("data")
    assert message in app.error[0].value
    assert labels(app) == ["Try again"] + ["Download"] * 8


def test_a_damaged_record_is_a_sentence(open_page):
    (state_dir() / "transfers").mkdir(parents=True)
    (state_dir() / "transfers" / "data-x.json").write_text("{}")
    assert "data-x.json is damaged: delete it" in open_page("data").error[0].value


@pytest.mark.parametrize(
    ("folder", "why"), [("~nobody-at-all", "There is no home folder ~nobody-at-all"), ("/" + "x" * 300, "long")]
)
def test_a_folder_that_cannot_be_looked_into_is_a_sentence(open_page, folder, why):
    app = open_page("data")
    app.text_input(key="folder").set_value(folder)
    assert why in read(ran(app).error[0].value)
    assert "ImageNet weights" in texts(app)
    app = chosen(open_page("launch"), dataset="octmnist")
    app.text_input(key="launch.data_dir").set_value(folder)
    assert why in texts(ran(app))
    assert "To be put right: **Folder of MedMNIST's files**." in texts(app)


def test_verify_compares_what_is_here_with_the_published_checksum(open_page, medmnist):
    get("octmnist", 28)
    known = target_id(medmnist.root / "octmnist.npz")
    app = open_page("data")
    app.button(key=f"verify-{known}").click()
    assert [line.value for line in ran(app).success] == ["As published."]
    with open(medmnist.root / "octmnist.npz", "r+b") as file:
        file.write(b"damage")
    assert not ran(app).success  # as large as before, and another file
    app.button(key=f"verify-{known}").click()
    assert "is damaged or another file" in ran(app).error[0].value


def test_weights_are_listed_with_state_and_place(open_page, torch_home):
    file = remote_weights("resnet18")
    file.path.parent.mkdir(parents=True)
    file.path.write_bytes(b"not the weights")
    app = open_page("data")
    said = texts(app)
    assert said.count("not here") == 4 + 4 and ": ready]" in said
    assert f"{torch_home / 'hub' / 'checkpoints' / 'vgg16-397923af.pth'}  \nSHA-256 397923af..." in said
    assert "takes 553.4 MB" in said and "TextureNet is shipped with the app" in said
    app.button(key=f"verify-{transfer_id('weights', 'resnet18', None, file.path)}").click()
    assert "SHA-256 f37072fd... was expected" in ran(app).error[0].value


def test_offline_the_page_says_how_to_carry_a_file_over(open_page, medmnist, torch_home):
    app = open_page("data")
    app.selectbox(key="offline-size").set_value(64)
    app.selectbox(key="offline-backbone").set_value("squeezenet1_1")
    codes = [code.value for code in ran(app).code]
    md5 = hashlib.md5(medmnist.files["octmnist_64.npz"]).hexdigest()
    assert codes[:3] == [remote_file("octmnist", 64).url, f"{md5}  octmnist_64.npz", str(medmnist.root)]
    weights = remote_weights("squeezenet1_1")
    assert codes[3:] == [weights.url, "b8a52dc0  squeezenet1_1-b8a52dc0.pth", str(torch_home / "hub" / "checkpoints")]
    assert "a file that differs is refused" in texts(app)


def test_generated_images_are_marked_and_need_no_download(open_page):
    app = open_page("data")
    app.selectbox(key="set").set_value("phantom")
    said = texts(ran(app))
    assert "SYNTHETIC: the images are generated" in said and "mean nothing for patients" in said
    assert app.table[0].value.loc["All"].tolist() == ["2,400", "320", "240", "776"]
    assert said.count("not here") == 5


def test_a_folder_of_ones_own_shows_counts_samples_patients_and_size(open_page, tiny_folder, tmp_path):
    app = open_page("data", set="A folder of your own")
    assert "Name a folder with one sub-folder of images a class" in texts(app)
    app.text_input(key="images").set_value(str(tiny_folder))
    said = texts(ran(app))
    assert app.table[0].value.loc["All"].tolist() == ["48", "12", "12", "48"]
    assert app.table[0].value.loc["TWO"].tolist() == ["16", "4", "4", "16"]
    assert "36 patients, by file name CLASS-PATIENT-N." in said
    assert "**Split**: by patient, 70 / 15 / 15 % of the images, split seed 0." in said
    assert "**Not read**: nothing." in said
    (size,) = [c.value for c in app.caption if c.value.endswith(f" in {tiny_folder}.") and "Counted" not in c.value]
    assert size == f"{size_text(sum(p.stat().st_size for p in tiny_folder.rglob('*.png')))} in {tiny_folder}."
    (strips,) = app.get("image")
    assert [strip.alt for strip in strips.proto.imgs] == [
        f"4 images of class {c} of oct" for c in ("ONE", "THREE", "TWO")
    ]
    app.text_input(key="images").set_value(str(tmp_path / "nowhere"))
    assert f"There is no folder {tmp_path / 'nowhere'}" in ran(app).error[0].value and not app.get("image")


def test_a_file_of_ones_own_shows_counts_samples_patients_and_size(open_page, tiny_npz, tmp_path):
    app = open_page("data", set="A file of your own (.npz)", file=str(tiny_npz))
    said = texts(app)
    assert app.table[0].value.loc["All"].tolist() == ["30", "30", "30", "24"]
    assert "The first training images of each class. 45 patients, none of them is in two splits." in said
    assert f"{size_text(tiny_npz.stat().st_size)} in {tiny_npz}." in said
    (strips,) = app.get("image")
    assert [strip.alt for strip in strips.proto.imgs] == [
        f"4 images of class {c} of tiny.npz" for c in ("ONE", "TWO", "THREE")
    ]
    other = tmp_path / "other.npz"
    np.savez(other, images=np.zeros(3))
    app.text_input(key="file").set_value(str(other))
    assert "lacks train_images" in ran(app).error[0].value and not app.get("image")


def chosen(app, **values):
    """The Launch form with these values."""
    for field, value in values.items():
        kind = app.number_input if isinstance(value, int) else app.selectbox
        kind(key=f"launch.{field}").set_value(value)
    return ran(app)


def test_launch_offers_the_set_and_the_weights_that_are_missing(open_page, medmnist, torch_home):
    app = chosen(open_page("launch"), dataset="octmnist", image_size=28, backbone="squeezenet1_1")
    said = texts(app)
    assert f"OCTMNIST at 28 px is not in {medmnist.root} yet (71 kB unpacked)." in said
    assert f"SqueezeNet 1.1's ImageNet file is not in {torch_home / 'hub' / 'checkpoints'} yet (5.0 MB)." in said
    assert "To be put right: **Images**, **Weights to start from**." in said
    assert app.button(key="launch-button").disabled
    assert labels(app) == ["Download it", "Download it"]
    get("octmnist", 28)
    remote_weights("squeezenet1_1").path.parent.mkdir(parents=True)
    remote_weights("squeezenet1_1").path.write_bytes(b"weights")
    app = ran(app)
    assert "Trains on 24 images: CNV 8, DME 8, DRUSEN 8, NORMAL 0 (balanced)." in texts(app)
    assert not app.button(key="launch-button").disabled


def test_launch_shows_a_download_that_runs(open_page, medmnist):
    file = medmnist.root / "octmnist.npz"
    app = open_page("launch")
    known = download_told("data", "octmnist", 28, file, "downloading", bytes=20, total=80)
    app = chosen(app, dataset="octmnist", image_size=28)
    assert [bar.proto.text for bar in app.get("progress")] == ["Downloading: 20 of 80 B"]
    assert app.button(key="launch-button").disabled
    assert app.button(key=f"cancel-{known}").label == "Cancel"


def test_launch_counts_the_training_images_of_a_file(open_page, tmp_path):
    app = open_page("launch")
    assert "Trains on 776 images: 194 of each class (balanced)." in texts(app)
    file = write_npz(tmp_path / "mine.npz")
    app.selectbox(key="launch.dataset").set_value("npz")
    ran(app)
    app.text_input(key="launch.dataset.path").set_value(str(file))
    assert "Trains on 24 images: 8 of each class (balanced)." in texts(ran(app))
    app.selectbox(key="launch.train_set").set_value("complete")
    assert "Trains on 30 images: ONE 12, TWO 10, THREE 8 (complete)." in texts(ran(app))
    app = chosen(app, train_set="balanced")
    app.number_input(key="launch.per_class").set_value(9)
    assert "has 8 training images, fewer than per_class 9" in texts(ran(app))
    assert "To be put right: **Images per class**." in texts(app)
    write_npz(file, train_labels=np.zeros(0))
    assert "To be put right: **File**." in texts(chosen(app, epochs=3))
