"""Verdicts on the Images page, and the sheets of figures 11 and 12, over fabricated runs."""

import hashlib
from pathlib import Path

import pandas as pd
import pytest
from fabricate import CLASS_NAMES, labels_of
from image_pages import CHECKSUM, act, groups_of_each_kind, ids, judged, shown, sorted_ids, told_by_browser
from opened import ran, texts
from PIL import Image

from colora import plots
from colora.distillation import verdicts
from colora.distillation.scores import group_scores
from colora.runs import audit
from colora.runs.folder import Group
from pages.components.images.hardest import by_class
from pages.components.images.listed import sorted_rows


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    return groups_of_each_kind(tmp_path_factory.mktemp("runs"))


def test_a_verdict_is_kept_shown_filtered_and_undone(open_images, runs):
    image = sorted_ids(runs, "three-done", "train")[2]
    label = int(labels_of("train")[int(image.removeprefix("train-"))])
    right = CLASS_NAMES[(label + 1) % 4]
    app = open_images("three-done", image=image)
    app.selectbox(key=f"right-class-{image}").set_value(right)
    large = shown(judged(app, "wrong_label", note=" cysts "), "large")
    assert (large["verdict"], large["standing"]) == ("wrong_label", f"Wrong label, rather {right} (“cysts”)")
    row = verdicts.current(runs, CHECKSUM).iloc[0]
    assert row[["image_id", "seen", "verdict"]].tolist() == [image, image, "wrong_label"]
    assert row["label"] == (label + 1) % 4
    app.button(key="back").click()
    ran(app)
    assert shown(app)["tiles"][2]["marks"] == ["Wrong label"]
    app.button_group(key="verdict").set_value(["wrong_label"])
    assert ids(ran(app)) == [image]
    app = open_images("three-done", image=image)
    large = shown(judged(app, "undo"), "large")
    assert (large["verdict"], large["standing"]) == (None, "") and verdicts.current(runs, CHECKSUM).empty


def test_a_verdict_on_another_picture_than_the_named_one_is_refused(open_images, runs):
    first, second = sorted_ids(runs, "three-done", "train")[:2]
    app = open_images("three-done", image=first)
    for verdict in ("hard", "undo"):
        said = judged(app, verdict, seen=second).error[0].value
        assert f"the picture on the screen was {second}" in said and f"gone on to {first}" in said
        assert verdicts.current(runs, CHECKSUM).empty
    judged(app, "hard")
    assert not app.error and verdicts.current(runs, CHECKSUM)["verdict"].tolist() == ["hard"]
    judged(app, "undo", seen=second)
    assert app.error and verdicts.current(runs, CHECKSUM)["verdict"].tolist() == ["hard"]


def test_verdicts_of_an_earlier_version_are_kept_and_want_a_second_look(open_images, runs):
    first, second, third = sorted_ids(runs, "three-done", "train")[:3]
    for image in (first, second):
        verdicts.judge(runs, "ann", CHECKSUM, image, "fine")
    verdicts.judge(runs, "ann", CHECKSUM, third, "hard", seen=third)
    day = verdicts.current(runs)["time"].iloc[0][:10]
    app = open_images("three-done", view="Verdicts")
    assert f"2 verdicts, given on {day}, do not say which picture" in app.warning[0].value
    table = app.dataframe[0].value.set_index("Image")["Second look"]
    assert table[[first, second]].tolist() == ["advised"] * 2 and table[[third]].isna().all()
    for image in (first, second):
        verdicts.judge(runs, "ann", CHECKSUM, image, "fine", seen=image)
    app = open_images("three-done", view="Verdicts")
    assert not app.warning and "Second look" not in app.dataframe[0].value and len(app.dataframe[0].value) == 3


def test_another_readers_verdict_is_shown_apart(open_images, runs):
    image = sorted_ids(runs, "three-done", "train")[0]
    verdicts.judge(runs, "second", CHECKSUM, image, "artefact", note="cut off")
    app = open_images("three-done", image=image)
    assert "second: Artefact (“cut off”)" in texts(app) and shown(app, "large")["verdict"] is None


def test_nothing_is_judged_until_the_tab_has_said_who_reads(open_images, open_page, runs):
    image = sorted_ids(runs, "three-done", "train")[0]
    verdicts.judge(runs, "anna", CHECKSUM, image, "fine", note="round")
    app = open_page("images", "three-done", image=image)  # a new session, as after another server's start
    large = shown(app, "large")
    assert (large["reader"], large["verdict"], large["note"]) == (None, None, "")
    assert "Asking the browser" in texts(app) and "You are" not in texts(app)
    for drawn in (None, "anna", verdicts.own_reader()):
        assert "who reads here is being asked" in judged(app, "hard", reader=drawn).error[0].value
    assert verdicts.readers(runs) == ["anna"]
    large = shown(told_by_browser(app, "anna"), "large")
    assert (large["reader"], large["standing"], large["note"]) == ("anna", "Fine (“round”)", "round")
    assert shown(told_by_browser(app, "ben"), "large")["reader"] == "anna"  # who is known is not told anew
    judged(app, "hard")
    assert verdicts.readers(runs) == ["anna"] and verdicts.current(runs)["verdict"].tolist() == ["hard"]


def test_a_verdict_that_was_drawn_for_another_reader_or_other_data_is_refused(open_images, runs):
    image = sorted_ids(runs, "three-done", "train")[0]
    app = open_images("three-done", name="anna", image=image)
    for drawn, said in (
        ({"reader": "ben"}, "the page was drawn for ben, and it is anna who reads here now"),
        ({"data": "1" * 64}, "the picture on the screen was of other data"),
    ):
        for verdict in ("hard", "undo"):
            assert said in judged(app, verdict, **drawn).error[0].value
    assert verdicts.readers(runs) == []


def test_a_verdict_that_reaches_a_session_before_its_page_is_refused(open_images, runs):
    image = sorted_ids(runs, "three-done", "train")[0]
    drawn = open_images("three-done", name="anna", image=image)
    app = open_images("three-done", name="anna")  # has not drawn the image yet
    app.query_params["image"] = image
    pressed = {name: shown(drawn, "large")[name] for name in ("data", "reader", "note", "event")}
    act(app, "judge", {"verdict": "hard", "seen": image} | pressed, among=drawn)
    assert "The last verdict may not be recorded: the server had lost its page" in app.error[0].value
    assert verdicts.readers(runs) == [] and shown(app, "large")["id"] == image
    judged(told_by_browser(app, "anna"), "hard")
    assert not app.error and verdicts.readers(runs) == ["anna"]


def test_a_readers_name_is_checked_where_it_is_typed_and_kept_by_the_browser(open_images, runs):
    image = sorted_ids(runs, "three-done", "train")[0]
    app = open_images("three-done", name="anna", image=image)
    assert shown(app, "who-browser")["name"] == "anna" and not shown(app, "who-browser")["typed"]
    assert shown(app, "large")["draft"] == hashlib.sha256(f"{CHECKSUM}\n{image}\nanna".encode()).hexdigest()
    for typed in ("not / a name", ""):
        app.text_input(key="reader").set_value(typed)
        ran(app)
        assert f"'{typed}' cannot name a reader" in texts(app) and "Until then you are anna." in texts(app)
        assert shown(app, "large")["reader"] == shown(app, "who-browser")["name"] == "anna"
    app.text_input(key="reader").set_value(" ben ")
    ran(app)
    assert "cannot name a reader" not in texts(app) and shown(app, "large")["reader"] == "ben"
    assert shown(app, "large")["draft"] == hashlib.sha256(f"{CHECKSUM}\n{image}\nben".encode()).hexdigest()
    kept = shown(app, "who-browser")
    assert (kept["name"], kept["typed"]) == ("ben", True)
    judged(app, "fine")
    assert verdicts.readers(runs) == ["ben"]
    odd = open_images("three-done", name="../anna", image=image)  # somebody has written into the browser's storage
    assert shown(odd, "large")["reader"] == verdicts.own_reader() and "'../anna' cannot name a reader" in texts(odd)


def test_what_a_tab_sends_of_an_element_that_has_left_the_page_harms_nothing(open_images, runs):
    image = sorted_ids(runs, "three-done", "train")[0]
    app = open_images("three-done")
    grid = app._tree
    act(app, "open", image, "grid")
    alone = app._tree
    told_by_browser(app, "anna")
    act(app, "open", image, "grid", among=grid)
    app.button(key="back").click()
    ran(app)
    assert shown(app)["tiles"] and not shown(app, "large")
    for key, event, value in (
        ("who-browser", "said", {"name": "ben", "tab": "b" * 32}),  # answered twice, since the first answer took long
        ("large", "step", 1),
        ("large", "back", True),
    ):
        act(app, event, value, key, among=alone)
        assert shown(app)["tiles"] and not app.error


def test_a_verdict_that_comes_when_its_image_has_left_the_page_is_said_to_be_lost(open_images, runs):
    image = sorted_ids(runs, "three-done", "train")[0]
    app = open_images("three-done", name="anna", image=image)
    alone = app._tree
    app.button(key="back").click()
    ran(app)
    act(app, "judge", {"verdict": "hard", "seen": image}, among=alone)
    assert app.error[0].value.startswith("The last verdict may not be recorded: ") and shown(app)["tiles"]
    assert not verdicts.readers(runs)
    assert not ran(app).error  # once
    act(app, "open", image, "grid")
    judged(app, "hard")
    assert not app.error and verdicts.readers(runs) == ["anna"]


def test_undo_is_for_what_this_tab_did(open_images, runs):
    image = sorted_ids(runs, "three-done", "train")[0]
    here = open_images("three-done", name="anna", image=image)
    other = open_images("three-done", name="anna", tab="e" * 32, image=image)
    given = shown(judged(here, "fine"), "large")["event"]
    assert given == verdicts.current(runs)["id"].iloc[0]
    large = shown(ran(other), "large")
    assert (large["verdict"], large["event"]) == ("fine", None)  # it stands there too
    assert "was not given in this tab" in judged(other, "undo").error[0].value
    judged(other, "hard")
    said = judged(here, "undo", event=given).error[0].value  # drawn before the other tab's
    assert "anna has judged this image anew since, truly hard" in said
    assert verdicts.current(runs)["verdict"].tolist() == ["hard"]
    judged(other, "undo")
    assert verdicts.current(runs)["verdict"].tolist() == ["fine"]
    again = open_images("three-done", name="anna", image=image)  # the same tab in a new session
    assert shown(judged(again, "undo"), "large")["verdict"] is None and verdicts.current(runs).empty


def test_the_list_of_verdicts_has_agreement(open_images, runs):
    order = sorted_ids(runs, "three-done", "train")
    for image, first, second in zip(order, ["fine", "fine", "hard"], ["fine", "hard", "hard"], strict=False):
        verdicts.judge(runs, "first", CHECKSUM, image, first)
        verdicts.judge(runs, "second", CHECKSUM, image, second)
    app = open_images("three-done", view="Verdicts")
    said = texts(app)
    assert "first and second agree on 2 of 3 images both judged; Cohen's kappa 0.40" in said
    assert app.table[0].value.loc["first"].to_dict() == {"Wrong label": 0, "Artefact": 0, "Truly hard": 1, "Fine": 2}
    assert len(app.dataframe[0].value) == 6


def test_a_right_class_that_the_data_do_not_have_is_shown_by_its_number(open_images, runs):
    image = sorted_ids(runs, "three-done", "train")[0]
    verdicts.judge(runs, "second", CHECKSUM, image, "wrong_label", label=4)
    assert "second: Wrong label, rather class 4, unknown" in texts(open_images("three-done", image=image))
    table = open_images("three-done", view="Verdicts").dataframe[0].value
    assert table["Right class"].tolist() == ["class 4, unknown"]


@pytest.mark.parametrize("who", [None, "bob@clinic"])
def test_a_file_of_verdicts_is_imported_and_who_signs_in_imports_for_no_one_else(open_images, runs, monkeypatch, who):
    monkeypatch.setattr(audit, "signed_in", audit.signed_in)  # app.py sets it: taken back with the test
    monkeypatch.setattr("pages.components.sign_in.who", lambda: who)
    app = open_images("three-done", view="Verdicts")
    head = "reader,image_id,verdict,label,data_checksum\n"
    for label, said in (("4", "Line 2 of the file: There is no class 4"), ("3", "1 verdicts added, 0 stood already.")):
        content = f"{head}ann,train-0001,wrong_label,{label},{CHECKSUM}\n".encode()
        app.file_uploader(key="verdict-file").set_value(("in.csv", content, "text/csv"))
        ran(app)
        app.button(key="verdict-import").click()
        assert said in texts(ran(app))
    assert verdicts.current(runs)["reader"].tolist() == ["bob-clinic" if who else "ann"]
    assert ("verdict-mine" in {box.key for box in app.checkbox}) == (who is None)


def test_a_file_is_imported_as_verdicts_of_who_reads_at_the_tab(open_images, open_page, runs):
    content = f"reader,image_id,verdict,data_checksum\nann,train-0001,fine,{CHECKSUM}\n".encode()
    app = open_page("images", "three-done", view="Verdicts")
    app.file_uploader(key="verdict-file").set_value(("in.csv", content, "text/csv"))
    ran(app)
    assert app.button(key="verdict-import").disabled and "You are" not in texts(app)
    told_by_browser(app, "anna")
    assert app.checkbox(key="verdict-mine").label == "As verdicts of anna, whoever the file names"
    app.checkbox(key="verdict-mine").check()
    app.button(key="verdict-import").click()
    ran(app)
    assert verdicts.readers(runs) == ["anna"]


def test_figures_11_and_12_are_pictures_to_keep(open_images, runs):
    app = open_images("three-done", view="Figures 11 and 12")
    said = texts(app)
    assert "The 25 least certain images of each class (figure 11)" in said and "From rank 16 of each class" in said
    assert [button.label for button in app.get("download_button")] == ["Download as PNG"] * 2
    assert len(app.get("image")) == 2


def test_the_sheets_hold_25_of_each_class_by_score_and_equal_scores_by_image_id(open_images, runs, monkeypatch):
    drawn, blank = [], Image.new("RGB", (8, 8))  # a sheet itself takes a second to draw
    monkeypatch.setattr(plots, "contact_sheet", lambda blocks, *rest: drawn.append(blocks) or blank)
    app = open_images("balanced", view="Figures 11 and 12", **{"sheet-rank": "4"})
    table = group_scores(Group(runs / "balanced"), "train")
    for pool, among in (("used", table["used"]), ("whole", slice(None))):
        app.segmented_control(key="sheet-pool").set_value(pool)
        drawn.clear()
        ran(app)
        for c, class_name in enumerate(CLASS_NAMES):
            order = table[among].query("label == @c").sort_values("entropy", ascending=False)
            for blocks, first in zip(drawn, (0, 3), strict=True):
                assert [cell.score for cell in blocks[c]] == order["entropy"].tolist()[first : first + 25], class_name
    level = pd.DataFrame({"label": [0, 1, 0, 0, 1], "entropy": [1.0, 1.0, 2.0, 1.0, 1.0], "image_id": list("dcbaa")})
    orders = by_class(level["label"].to_numpy(), sorted_rows(level, "entropy", "hardest"))
    assert {c: rows.tolist() for c, rows in orders.items()} == {0: [2, 3, 0], 1: [4, 1]}


def test_a_rank_beyond_every_class_shows_the_usual_one(open_images, runs):
    app = open_images("three-done", view="Figures 11 and 12", **{"sheet-rank": "5000"})
    assert "From rank 16 of each class" in texts(app)
    app.number_input(key="sheet-rank").set_value(190)
    ran(app)
    app.segmented_control(key="part").set_value("test")  # which has 50 of each class
    assert "From rank 25 of each class" in texts(ran(app))
