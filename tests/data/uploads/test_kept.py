"""What came in: who may bring and take it away, that it may be named as data, and the trash and back."""

import shutil

import pytest
from fabricate import fabricate
from zips import class_files, image_bytes, zip_of

from colora.cli.main import main
from colora.data.uploads.kept import FILE, groups_on, list_uploads, remove_upload
from colora.data.uploads.take import take_files, take_zip
from colora.runs import access, audit, trash
from colora.runs.access import Person, Refused
from colora.system.errors import UserError

EVE, ANN = "eve@lab.example", "ann@lab.example"


@pytest.fixture
def act_as(monkeypatch, runs):
    def become(name: str, role: str | None) -> None:
        monkeypatch.setattr(access, "acting", lambda: Person(name, role, runs))
        monkeypatch.setattr(audit, "signed_in", lambda: name)

    return become


@pytest.fixture
def eyes(runs):
    return take_zip(runs, zip_of(class_files()), "eyes.zip")[0]


def test_a_reader_brings_nothing_in_and_others_take_away_their_own(runs, act_as):
    act_as(EVE, "reader")
    for bring in (
        lambda: take_zip(runs, zip_of(class_files()), "eyes.zip"),
        lambda: take_files(runs, [("eyes/A/1.png", zip_of({}))]),
    ):
        with pytest.raises(Refused, match="may not bring in images of their own: that is for a researcher"):
            bring()
    assert list_uploads(runs) == [] and audit.recorded(runs)[-1]["detail"]["refused"] == "upload"
    act_as(EVE, "researcher")
    upload, _ = take_zip(runs, zip_of(class_files()), "eyes.zip")
    assert upload.by == EVE
    for name, role in ((ANN, "researcher"), (EVE, "reader")):
        act_as(name, role)
        with pytest.raises(Refused, match="may not remove images that were brought in"):
            remove_upload(runs, upload)
    act_as(EVE, "researcher")
    remove_upload(runs, upload)
    (entry,) = trash.listed(runs)
    act_as(ANN, "researcher")
    with pytest.raises(Refused):
        trash.put_back(runs, entry)
    act_as(EVE, "reader")
    assert trash.put_back(runs, entry) == upload.place
    act_as(ANN, "admin")
    remove_upload(runs, upload)
    assert [line["user"] for line in audit.recorded(runs) if line["action"] == "upload-rm"] == [EVE, ANN]


@pytest.fixture
def bounded(monkeypatch, tmp_path, runs):
    """Data lie elsewhere, by the rules; a function writes them."""
    monkeypatch.setenv("COLORA_ACCESS", str(tmp_path / "access.toml"))
    monkeypatch.setenv("COLORA_RUNS_DIR", str(runs))
    (tmp_path / "oct").mkdir()

    def write(roots: str) -> None:
        (tmp_path / "access.toml").write_text(f'admins = ["x@y.example"]\ndata_roots = {roots}\n')

    write(f'["{tmp_path}/oct"]')
    return write


@pytest.mark.parametrize("roots", [None, "[]"])
def test_what_came_in_may_be_named_whatever_the_data_roots_are(runs, eyes, bounded, roots):
    if roots is not None:
        bounded(roots)
    assert access.named_place(eyes.place) == eyes.place
    assert access.named_place(eyes.place / "AMD" / "AMD-0-1.png").name == "AMD-0-1.png"
    for other in (runs, runs / ".colora", runs / ".colora" / "trash" / "x", eyes.place / ".." / ".." / "audit.jsonl"):
        with pytest.raises(Refused, match="This place may not be named"):
            access.named_place(other)
    assert main(["data", "check", eyes.dataset, "--quick"]) == 0


def test_a_link_among_them_that_leads_out_may_not_be_named(tmp_path, eyes, bounded):
    (tmp_path / "secret").mkdir()
    (eyes.place / "out").symlink_to(tmp_path / "secret")
    with pytest.raises(Refused, match="This place may not be named"):
        access.named_place(eyes.place / "out")


def test_another_runs_folder_may_not_be_named(tmp_path, bounded, monkeypatch):
    other, _ = take_zip(tmp_path / "other", zip_of(class_files()), "eyes.zip")
    with pytest.raises(Refused):
        access.named_place(other.place)
    monkeypatch.setattr(access, "runs_dir", lambda: None)
    with pytest.raises(Refused):
        access.named_place(other.place)


def test_groups_that_rest_on_it_are_named(runs, eyes, tmp_path):
    more, _ = take_zip(runs, zip_of({"A/1.png": image_bytes()}), "eyes-more.zip")
    (tmp_path / "link").symlink_to(eyes.place)
    for name, dataset in {
        "itself": eyes.dataset,
        "below": f"folder:{eyes.place}/AMD",
        "table": f"table:{eyes.place}/labels.csv",
        "linked": f"folder:{tmp_path}/link",
        "beside": more.dataset,
        "other": "phantom",
    }.items():
        fabricate(runs, name, ["done"], {"dataset": dataset})
    (fabricate(runs, "damaged", ["done"]).path / "group.json").write_text("[1]")
    assert groups_on(runs, eyes) == ["below", "itself", "linked", "table"]
    assert groups_on(runs, more) == ["beside"]


def test_the_trash_lists_it_and_gives_it_back_under_a_free_name(runs, eyes):
    content = {path.relative_to(eyes.place): path.read_bytes() for path in eyes.place.rglob("*.*") if path.is_file()}
    place = remove_upload(runs, eyes)
    (entry,) = trash.listed(runs)
    assert (entry.kind, entry.own_name, entry.title) == ("upload", "eyes", "the scans eyes")
    assert trash.removers(runs)[place.name] == audit.acting_user()
    assert trash.size_of(entry) == sum(map(len, content.values()))
    with pytest.raises(UserError, match="The scans eyes were removed elsewhere meanwhile"):
        remove_upload(runs, eyes)
    take_zip(runs, zip_of(class_files(5)), "eyes.zip")
    with pytest.raises(UserError, match="it has taken the name of the removed folder of scans"):
        trash.put_back(runs, entry)
    back = trash.put_back(runs, entry, trash.free_name(runs, entry))
    assert back.name == "eyes-2"
    assert {path.relative_to(back): path.read_bytes() for path in back.rglob("*.*") if path.is_file()} == content
    assert [upload.name for upload in list_uploads(runs)] == ["eyes", "eyes-2"]


def test_the_commands_of_the_trash_know_it(runs, eyes, capsys):
    remove_upload(runs, eyes)
    assert main(["trash", "list", "--runs-dir", str(runs)]) == 0 and "the scans eyes" in capsys.readouterr().out
    assert main(["trash", "put-back", "eyes.upload", "--runs-dir", str(runs)]) == 0
    assert [upload.name for upload in list_uploads(runs)] == ["eyes"]
    remove_upload(runs, eyes)
    assert main(["trash", "delete", "eyes.upload", "--runs-dir", str(runs)]) == 0
    assert trash.listed(runs) == [] and list_uploads(runs) == []


def test_a_link_to_one_goes_and_comes_back_as_a_link(runs, eyes, tmp_path):
    eyes.place.rename(tmp_path / "elsewhere")
    eyes.place.symlink_to(tmp_path / "elsewhere")
    (upload,) = list_uploads(runs)
    place = remove_upload(runs, upload)
    (entry,) = trash.listed(runs)
    assert place.is_symlink() and entry.kind == "upload"
    trash.delete(runs, entry)
    assert (tmp_path / "elsewhere" / FILE).exists()


def test_a_damaged_one_and_what_is_none_are_told_apart(runs, eyes):
    folder = eyes.place.parent
    (folder / "note.txt").write_text("mine")
    (folder / ".eyes.1234.new").mkdir()
    (folder / "empty").mkdir()
    shutil.copytree(eyes.place, folder / "wrong")
    (folder / "wrong" / FILE).write_text((eyes.place / FILE).read_text().replace('"images": 12', '"images": "12"'))
    found = {upload.name: upload.problem for upload in list_uploads(runs)}
    assert found.keys() == {"eyes", "empty", "wrong"} and found["eyes"] is None
    assert "does not exist" in found["empty"] and "says 'images' wrongly" in found["wrong"]
    again, was_there = take_zip(runs, zip_of(class_files()), "eyes.zip")
    assert was_there and again == eyes
