"""Scans that are dropped into the Data page: what comes of them is said, shown, taken away and brought back."""

import time
from threading import Event

import pytest
from elsewhere import everything
from fabricate import fabricate
from hostile import NAME, markup_on
from opened import opener, ran, texts
from queueing import PATIENCE_SECONDS
from zips import class_files, zip_of

from colora.data.uploads import kept, take
from colora.data.uploads.kept import list_uploads, remove_upload
from colora.runs import audit, trash
from colora.runs.trash import listed

FOLDER = "A folder of your own"


@pytest.fixture
def runs(tmp_path):
    (tmp_path / "runs").mkdir()
    return tmp_path / "runs"


@pytest.fixture
def open_page(monkeypatch, runs, tmp_path):
    """The Data page over an empty folder of runs, which draws what is under way once."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr("pages.components.data.downloads.Shown.follow", lambda self: None)
    return opener(monkeypatch, runs)


def dropped(app, files, kind: str = "zip"):
    """Drop these, and draw the page until all is written."""
    if kind != "zip":
        app.segmented_control(key="data-upload-kind").set_value(kind)
        ran(app)
    app.file_uploader[0].set_value(files)
    return written(ran(app))


def written(app):
    end = time.monotonic() + PATIENCE_SECONDS
    while app.session_state["data-upload-incoming"].under_way:
        assert time.monotonic() < end
        time.sleep(0.02)
    return ran(app)


def eyes(name: str = "eyes.zip", **more: bytes):
    return (name, zip_of(class_files() | more).getvalue(), "application/zip")


def test_a_zip_becomes_a_folder_that_is_looked_at_at_once(open_page, runs):
    app = open_page("data", set=FOLDER)
    assert "Scans brought in" not in texts(app)
    said = texts(dropped(app, eyes(**{"AMD/.1.png": b"", "2.dcm": b""})))
    (upload,) = list_uploads(runs)
    assert upload.place == runs / ".colora" / "uploads" / "eyes"
    assert "**eyes**: 12 images in 3 folders (AMD, DME, NORMAL)" in said
    assert "Left out: 1 .dcm (2.dcm), 1 hidden (AMD/.1.png)." in said
    assert app.text_input(key="images").value == str(upload.place)
    assert app.table[0].value.index.tolist() == ["AMD", "DME", "NORMAL", "All"]
    assert app.query_params["images"] == str(upload.place)
    assert "**Scans brought in**" in said and not app.error
    line = audit.recorded(runs)[-1]
    assert (line["action"], line["detail"]["upload"], line["detail"]["images"]) == ("upload", "eyes", 12)


def test_the_server_forgets_what_it_held_and_a_page_drawn_anew_unpacks_nothing(open_page, runs, monkeypatch):
    app = dropped(open_page("data", set=FOLDER), eyes())
    incoming = app.session_state["data-upload-incoming"]
    before = everything(runs)
    monkeypatch.setattr("pages.components.data.uploading.take_zip", None)
    ran(ran(app))
    assert app.file_uploader[0].value is None and app.session_state["data-upload-incoming"] is incoming
    assert everything(runs) == before


def test_a_folder_keeps_its_sub_folders_and_is_the_same_scans_as_its_zip(open_page, runs):
    files = [(f"eyes/{path}", content, "image/png") for path, content in class_files().items()]
    app = dropped(open_page("data", set=FOLDER), files, "folder")
    assert "**eyes**: 12 images in 3 folders (AMD, DME, NORMAL)" in texts(app)
    app.segmented_control(key="data-upload-kind").set_value("zip")
    app = dropped(ran(app), eyes("other.zip"))
    assert "The same images were here already, so nothing was added." in texts(app)
    assert [upload.name for upload in list_uploads(runs)] == ["eyes"]


def test_a_folder_of_which_the_browser_tells_no_sub_folders_is_refused(open_page, runs):
    files = [(path.rpartition("/")[2], content, "image/png") for path, content in class_files().items()]
    app = dropped(open_page("data", set=FOLDER), files, "folder")
    assert "choose it with the button instead, or pack it as a zip" in app.error[0].value
    assert list_uploads(runs) == []


def test_a_folder_larger_than_the_server_takes_is_refused(open_page, runs, monkeypatch):
    monkeypatch.setattr("pages.components.data.uploading.MOST_MEGABYTES", 1)
    files = [(f"eyes/AMD/{n}.png", bytes(300_000), "image/png") for n in range(4)]
    app = dropped(open_page("data", set=FOLDER), files, "folder")
    assert "The folder holds more than 1 MB: put it onto the computer that runs this app" in app.error[0].value
    assert list_uploads(runs) == []


def test_what_is_no_zip_is_a_sentence_until_something_else_is_dropped(open_page, runs):
    app = dropped(open_page("data", set=FOLDER), ("eyes.zip", b"no zip", "application/zip"))
    assert "eyes.zip is no zip, or not all of it has arrived" in app.error[0].value.replace("\\", "")
    app = dropped(app, eyes())
    assert not app.error and [upload.name for upload in list_uploads(runs)] == ["eyes"]


def test_progress_is_shown_and_it_can_be_cancelled(open_page, runs, monkeypatch):
    begun, go_on = Event(), Event()

    def slow(folder, file, called, on_progress, should_stop):
        on_progress("Unpacking", 1_200_000, 5_500_000)
        begun.set()
        assert go_on.wait(PATIENCE_SECONDS)
        return take.take_zip(folder, file, called, on_progress, should_stop)

    monkeypatch.setattr("pages.components.data.uploading.take_zip", slow)
    app = open_page("data", set=FOLDER)
    app.file_uploader[0].set_value(eyes())
    app = ran(app)
    assert begun.wait(PATIENCE_SECONDS)
    app = ran(app)
    assert [bar.proto.text for bar in app.get("progress")] == ["Unpacking: 1.2 of 5.5 MB"]
    assert app.file_uploader[0].disabled
    app.button(key="stop-upload").click()
    app = ran(app)
    assert app.button(key="stop-upload").disabled
    go_on.set()
    app = written(app)
    assert "Cancelled while eyes.zip was unpacked; nothing of it is kept." in texts(app) and not app.error
    assert list_uploads(runs) == [] and list((runs / ".colora" / "uploads").iterdir()) == []


def test_a_fault_of_the_program_is_not_passed_over(open_page, monkeypatch):
    monkeypatch.setattr("pages.components.data.uploading.take_zip", None)
    app = open_page("data", set=FOLDER)
    app.file_uploader[0].set_value(eyes())
    app.run()
    end = time.monotonic() + PATIENCE_SECONDS
    while app.session_state["data-upload-incoming"].under_way:
        assert time.monotonic() < end
    app.run()
    assert "not callable" in app.exception[0].message


def removing(app, *keys: str):
    for key in keys:
        app.button(key=key).click()
    return ran(app)


def removed(app):
    """With the dialog, which AppTest draws where the button that opens it is pressed too."""
    removing(app, "remove-upload-eyes")
    return ran(removing(app, "remove-upload-eyes", "confirm-remove-upload"))


def test_scans_go_to_the_trash_and_come_back(open_page, runs):
    app = dropped(open_page("data", set=FOLDER), eyes())
    fabricate(runs, "first", ["done"], {"dataset": f"folder:{runs}/.colora/uploads/eyes"})
    fabricate(runs, "second", ["done"])
    app = removing(app, "remove-upload-eyes")
    assert "**eyes** will go to the trash." in texts(app)
    assert "Trained or tested on it: first. Their results stay" in app.warning[0].value
    assert {button.key for button in app.button} >= {"keep-upload", "confirm-remove-upload"}
    removing(app, "remove-upload-eyes", "keep-upload")
    assert [upload.name for upload in list_uploads(runs)] == ["eyes"]
    app = removed(app)
    assert list_uploads(runs) == [] and [entry.title for entry in listed(runs)] == ["the scans eyes"]
    assert "The scans **eyes** are in the trash." in texts(app) and app.text_input(key="images").value == ""
    assert "12 images" not in texts(app)
    app = ran(removing(app, "undo-upload"))
    assert [upload.name for upload in list_uploads(runs)] == ["eyes"] and listed(runs) == []
    assert app.text_input(key="images").value == str(runs / ".colora" / "uploads" / "eyes")
    assert [line["action"] for line in audit.recorded(runs)] == ["upload", "upload-rm", "upload-undo"]


@pytest.mark.parametrize("keys", [("remove-upload-eyes",), ("remove-upload-eyes", "confirm-remove-upload")])
@pytest.mark.parametrize("other", [False, True])
def test_what_has_gone_or_is_another_is_not_removed(open_page, runs, keys, other):
    app = dropped(open_page("data", set=FOLDER), eyes())
    if len(keys) == 2:
        removing(app, keys[0])
    remove_upload(runs, list_uploads(runs)[0])
    says = "The scans eyes were removed elsewhere meanwhile; nothing was done."
    if other:
        take.take_zip(runs, zip_of(class_files(5)), "eyes.zip")
        says = "Other scans are named eyes since; nothing was done."
    before = everything(runs)
    app = removing(app, *keys)
    assert says in texts(app) and everything(runs) == before


def test_undo_says_where_the_scans_were_put_back_elsewhere(open_page, runs):
    app = removed(dropped(open_page("data", set=FOLDER), eyes()))
    trash.put_back(runs, listed(runs)[0])
    app = removing(app, "undo-upload")
    assert "is not in the trash any more: somebody has put it back or deleted it." in texts(app)


def test_hostile_names_in_a_zip_are_no_markup(open_page, runs):
    files = {f"{NAME}{n}/{NAME}.png": content for n, content in enumerate(class_files().values())}
    packed = zip_of(files | {f"{NAME}.dcm": b"x"}).getvalue()
    app = dropped(open_page("data", set=FOLDER), (f"{NAME}.zip", packed, "application/zip"))
    assert len(list_uploads(runs)) == 1 and not markup_on(app)
    app = dropped(app, (f"{NAME}.zip", b"no zip", "application/zip"))
    assert "is no zip" in app.error[0].value and not markup_on(app)


def test_a_damaged_one_is_said_beside_the_others(open_page, runs):
    app = dropped(open_page("data", set=FOLDER), eyes())
    dropped(app, eyes("more.zip", **{"AMD/x.png": b"x"}))
    (runs / ".colora" / "uploads" / "eyes" / kept.FILE).write_text("{}")
    app = open_page("data", set=FOLDER)
    assert "eyes: " in texts(app) and "lacks 'called'" in texts(app)
    assert "13 images in 3 folders" in texts(app)
    app = removed(app)
    assert [upload.name for upload in list_uploads(runs)] == ["more"]
