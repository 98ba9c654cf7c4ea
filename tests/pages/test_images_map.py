"""The map on the Images page: what is coloured, what selects, and what the grid then shows."""

import json
from pathlib import Path

import numpy as np
import pytest
from fabricate import CLASS_NAMES, fabricate, fabricate_external, labels_of
from image_pages import CHECKSUM, act, group_with_features, ids, shown, sorted_ids
from opened import ran, texts
from streamlit.proto.WidgetStates_pb2 import WidgetState

from colora.distillation import verdicts
from colora.distillation.scores import group_scores, read_predictions
from colora.metrics.image_map import inside
from colora.results.image_map import ImageMap, image_map, most_alike
from colora.runs.features import features_path
from colora.runs.folder import Group
from pages.components.images import map_view
from pages.components.images.in_address import code

TRIANGLE = np.array([(-3, -3), (0.4, 3), (3, -3)], dtype=float)


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("runs")
    fabricate_external(group_with_features(path))
    fabricate(path, "before", ["done"])
    return path


def map_of(runs: Path, split: str = "train", seed: int | None = None) -> ImageMap:
    group = Group(runs / "mapped")
    found = read_predictions(group, split)
    run = next(run for run in group.runs if run.seed == (found.best_seed if seed is None else seed))
    used = read_predictions(group, "train").images["used"].to_numpy()
    return image_map(run, used, split, len(found.images))


def best(runs: Path) -> int:
    return read_predictions(Group(runs / "mapped"), "train").best_seed


def charts(app) -> list:
    return [chart.proto for chart in app.get("plotly_chart") if "-map-" in chart.proto.id]


def figure(app) -> dict:
    (chart,) = charts(app)
    return json.loads(chart.spec)


def drawn_ids(app) -> list[str]:
    """Of the coloured points."""
    return [says.partition("<br>")[0] for trace in figure(app)["data"] for says in trace.get("text", [])]


def draw(app, lasso=(), box=(), points=()):
    """What the figure's script sends when a person draws on it, or clicks."""
    (chart,) = charts(app)
    shapes = {"lasso": [{"xref": "x", "yref": "y", "x": list(c[:, 0]), "y": list(c[:, 1])} for c in lasso]}
    shapes |= {"box": [{"xref": "x", "yref": "y", "x": list(c[0]), "y": list(c[1])} for c in box]}
    state = {"selection": {"points": list(points), "point_indices": [], **shapes}}
    states = app._tree.get_widget_states()
    states.widgets.append(WidgetState(id=chart.id, string_value=json.dumps(state)))
    app._run(states)
    assert not app.exception, app.exception
    return app


def sorted_inside(runs: Path, within: np.ndarray, split: str = "train", **how) -> list[str]:
    return sorted_ids(runs, "mapped", split, among=within, **how)


def test_every_image_is_a_point_in_its_class_s_colour_and_nothing_is_selected(open_images, runs):
    app = open_images("mapped", view="Map")
    traces, places, labels = figure(app)["data"], map_of(runs), labels_of("train")
    assert [trace["name"] for trace in traces] == CLASS_NAMES
    rows = {row for trace in traces for row in np.atleast_1d(values(trace["customdata"])).tolist()}
    assert rows == set(range(400))
    for c, trace in enumerate(traces):
        own = values(trace["customdata"]).astype(int)
        assert (labels[own] == c).all() and np.array_equal(values(trace["x"]), places.places[own, 0])
    said, share = texts(app), 100 * places.shares.sum()
    assert f"The two axes hold **{share:.0f} %** of the variance of the 120 images" in said
    assert f"seed {best(runs)}" in said and not shown(app) and "selections" not in figure(app)["layout"]


def values(sent) -> np.ndarray:
    """Of an array as Plotly sends it."""
    import base64

    return np.frombuffer(base64.b64decode(sent["bdata"]), sent["dtype"]) if isinstance(sent, dict) else np.array(sent)


def test_a_lasso_shows_exactly_the_images_inside_sorted_and_the_address_keeps_it(open_images, runs):
    app = draw(open_images("mapped", view="Map"), [TRIANGLE])
    expected = sorted_inside(runs, inside(map_of(runs).places, TRIANGLE))
    assert 25 < len(expected) < 390 and ids(app) == expected[:25]
    assert f"**{len(expected)} images** inside the outline" in texts(app)
    address = app.query_params["outline"]
    assert address == f"{best(runs)}.-3000_-3000~400_3000~3000_-3000"
    again = open_images("mapped", view="Map", outline=address, direction="Most certain first")
    assert ids(again) == sorted_inside(runs, inside(map_of(runs).places, TRIANGLE), largest_first=False)[:25]
    assert len(figure(again)["layout"]["selections"]) == 1
    assert sum(len(np.atleast_1d(values(t["selectedpoints"]))) for t in figure(again)["data"]) == len(expected)


def test_the_figure_stays_as_it_is_for_what_was_drawn_on_it_and_is_new_for_all_else(open_images, runs):
    app = open_images("mapped", view="Map")
    first = charts(app)[0].id
    draw(app, [TRIANGLE])
    assert charts(app)[0].id == first  # so that it keeps the zoom
    app.selectbox(key="colour").set_value("score")
    assert charts(ran(app))[0].id != first and len(figure(app)["layout"]["selections"]) == 1
    app.button(key="clear-map").click()
    ran(app)
    assert "selections" not in figure(app)["layout"] and "outline" not in app.query_params and not shown(app)


def test_boxes_and_several_outlines_select_together_and_a_double_click_ends_it(open_images, runs):
    app = draw(open_images("mapped", view="Map"), [TRIANGLE + 5], [((0.5, -1), (2, 0.2))])
    x, y = map_of(runs).places.T
    expected = inside(map_of(runs).places, TRIANGLE + 5) | ((x >= -1) & (x <= 0.5) & (y >= 0.2) & (y <= 2))
    assert "inside the outlines" in texts(app) and ids(app) == sorted_inside(runs, expected)[:25]
    assert not shown(draw(app)) and "outline" not in app.query_params


def test_an_opened_image_has_the_selection_as_its_list_and_back_leads_to_it(open_images, runs):
    app = draw(open_images("mapped", view="Map"), [TRIANGLE])
    expected = sorted_inside(runs, inside(map_of(runs).places, TRIANGLE))
    act(app, "open", expected[1], "grid")
    assert shown(app, "large")["id"] == expected[1] and ids(app, "neighbours") == expected[:7]
    assert f"**Rank 2** of {len(expected)}" in texts(app)
    app.button(key="back").click()
    assert ids(ran(app)) == expected[:25] and len(figure(app)["layout"]["selections"]) == 1


def test_the_same_told_again_closes_no_image(open_images, runs):
    app = draw(open_images("mapped", view="Map"), [TRIANGLE])
    opened = sorted_inside(runs, inside(map_of(runs).places, TRIANGLE))[0]
    app.query_params["image"] = code(CHECKSUM, opened)
    draw(app, [TRIANGLE])
    assert shown(app, "large")["id"] == opened


def test_filters_hold_for_what_is_selected_and_what_they_leave_out_is_faint(open_images, runs):
    app = draw(open_images("mapped", view="Map", true="DME"), [TRIANGLE])
    within = inside(map_of(runs).places, TRIANGLE)
    expected = sorted_inside(runs, within & (labels_of("train") == 1))
    assert sorted(ids(app)) == sorted(expected[:25]) and len(drawn_ids(app)) == (labels_of("train") == 1).sum()
    assert f"{within.sum() - len(expected)} more are what the filters leave out" in texts(app)
    assert figure(app)["data"][0]["hoverinfo"] == "skip" and "what the filters leave out" in texts(app)


def test_bounds_select_as_a_box_does_without_a_mouse(open_images, runs):
    app = open_images("mapped", view="Map")
    app.text_input(key="left").set_value("0,5")
    app.text_input(key="top").set_value("nothing")
    ran(app)
    x = map_of(runs).places[:, 0]
    assert ids(app) == sorted_inside(runs, x >= 0.5)[:25] and "no number; write it as 0.01" in texts(app)
    app.text_input(key="top").set_value("0.1")
    within = (x >= 0.5) & (map_of(runs).places[:, 1] <= 0.1)
    assert ids(ran(app)) == sorted_inside(runs, within)[:25] and "between the bounds" in texts(app)
    draw(app, [TRIANGLE])
    assert app.text_input(key="left").value == "" and "left" not in app.query_params
    assert ids(app) == sorted_inside(runs, inside(map_of(runs).places, TRIANGLE))[:25]


def test_images_like_one_are_the_nearest_by_all_features(open_images, runs):
    app = open_images("mapped", view="Map", part="Test")
    app.text_input(key="like").set_value("test-0007")
    ran(app)
    run = Group(runs / "mapped").runs[best(runs)]
    within = np.zeros(200, dtype=bool)
    within[most_alike(run, "test", 200, 7, 25)] = True
    assert ids(app) == sorted_inside(runs, within, "test") and "**25 images** most like test-0007" in texts(app)
    assert app.query_params["like"] == code(CHECKSUM, "test-0007")  # no name in an address
    app.number_input(key="many").set_value(3)
    assert len(ids(ran(app))) == 3
    app.text_input(key="like").set_value("test-9999")
    assert "There is no such image in this split" in texts(ran(app)) and not shown(app)


def test_a_click_selects_the_one_image(open_images, runs):
    app = draw(open_images("mapped", view="Map"), points=[{"customdata": 42, "point_index": 0, "curve_number": 0}])
    assert ids(app) == ["train-0042"] and "**1 image** chosen: train-0042" in texts(app)
    assert app.text_input(key="like").value == "train-0042" and app.number_input(key="many").value == 1


def test_an_open_image_leads_to_those_like_it(open_images, runs):
    app = open_images("mapped", image="train-0042")
    app.button(key="like-this").click()
    ran(app)
    run = Group(runs / "mapped").runs[best(runs)]
    within = np.zeros(400, dtype=bool)
    within[most_alike(run, "train", 400, 42, 25)] = True
    assert ids(app) == sorted_inside(runs, within) and app.query_params["view"] == "Map"
    assert not any(button.key == "like-this" for button in open_images("before", image="train-0042").button)


def test_colours_by_prediction_answer_score_and_verdict(open_images, runs):
    table = group_scores(Group(runs / "mapped"), "train")
    app = open_images("mapped", view="Map", colour="Right or wrong")
    right, wrong = figure(app)["data"]
    assert (right["name"], wrong["name"]) == ("Right", "Wrong") and len(wrong["text"]) == (~table["right"]).sum()
    app.selectbox(key="colour").set_value("predicted")
    assert [len(trace["text"]) for trace in figure(ran(app))["data"]] == np.bincount(table["predicted"]).tolist()
    app.selectbox(key="colour").set_value("score")
    (trace,) = figure(ran(app))["data"]
    assert trace["marker"]["colorbar"]["title"]["text"] == "Entropy (nats)"
    order = values(trace["customdata"]).astype(int)
    assert np.allclose(values(trace["marker"]["color"]), table["entropy"].to_numpy()[order])
    assert app.selectbox(key="colour").options == ["True class", "Predicted class", "Right or wrong", "Score"]
    verdicts.judge(runs, "one", CHECKSUM, "train-0001", "hard")
    verdicts.judge(runs, "one", CHECKSUM, "train-0002", "fine")
    verdicts.judge(runs, "two", CHECKSUM, "train-0002", "hard")
    app = open_images("mapped", view="Map", colour="Verdict")
    points = {trace["name"]: trace["text"] for trace in figure(app)["data"]}
    assert {name: len(own) for name, own in points.items() if len(own)} == {
        "No verdict": 398, "Truly hard": 1, "Readers differ": 1
    }  # fmt: skip
    assert points["Readers differ"][0].startswith("train-0002")


def test_another_seed_has_its_own_map_on_which_the_outline_means_nothing(open_images, runs):
    other = 1 - best(runs)
    outline = f"{best(runs)}.-3000_-3000~400_3000~3000_-3000"
    app = open_images("mapped", view="Map", outline=outline, model=f"Seed {other}")
    assert f"drawn on the map of seed {best(runs)}, and this is the map of seed {other}" in texts(app)
    assert not shown(app)
    rows = values(figure(app)["data"][0]["customdata"]).astype(int)
    assert np.array_equal(values(figure(app)["data"][0]["x"]), map_of(runs, "train", other).places[rows, 0])


LONG, HUGE = "0." + "~".join(["1_1"] * 61), f"0.{9**400}_2"


@pytest.mark.parametrize("outline", ["", "x", "0", "0.1_2~x", "0.1~2~3", LONG, HUGE, "0.1_2_3~4_5_6", "0.1_2~3_4~"])
def test_an_address_that_nobody_wrote_selects_nothing(open_images, outline):
    app = open_images("mapped", view="Map", outline=outline)
    assert not shown(app) and ("no outline that can be read" in texts(app)) == bool(outline)


def test_where_there_is_no_map_it_says_so_and_what_to_do(open_images):
    said = texts(open_images("before", view="Map"))
    assert "was trained before" in said and "Make it known" in said
    app = open_images("mapped", view="Map", part="external/clinic-b")
    assert "of other data only their distance is kept. Choose Train" in texts(app) and not charts(app)


def test_a_damaged_file_of_features_is_a_sentence_and_the_grid_still_works(open_images, tmp_path):
    group = group_with_features(tmp_path / "runs", seeds=1)
    features_path(group.runs[0]).write_bytes(b"nothing")
    app = open_images("mapped", tmp_path / "runs", view="Map")
    assert "features.safetensors cannot be read" in app.error[0].value and not charts(app)
    app.segmented_control(key="view").set_value("browse")
    assert len(ids(ran(app))) == 25


def test_of_very_many_images_a_part_is_drawn_and_all_can_be_selected(open_images, runs, monkeypatch):
    monkeypatch.setattr(map_view, "DRAWN", 150)
    app = open_images("mapped", view="Map")
    assert len(drawn_ids(app)) == 134 and "134 of 400 images are drawn, evenly" in texts(app)
    draw(app, [TRIANGLE])
    expected = inside(map_of(runs).places, TRIANGLE).sum()
    assert f"**{expected} images** inside the outline" in texts(app)


def test_a_click_after_an_outline_takes_its_place_in_a_new_figure(open_images):
    app = draw(open_images("mapped", view="Map"), [TRIANGLE])
    before = charts(app)[0].id
    draw(app, [TRIANGLE], points=[{"customdata": 42}])  # the outline is in the figure still
    assert ids(app) == ["train-0042"] and "outline" not in app.query_params
    assert charts(app)[0].id != before and "selections" not in figure(app)["layout"]
    app.button(key="clear-map").click()
    assert "many" not in ran(app).query_params
    app.text_input(key="like").set_value(" train-0042 ")  # pasted
    assert "**25 images** most like train-0042" in texts(ran(app))


def test_bounds_the_wrong_way_round_are_said(open_images):
    app = open_images("mapped", view="Map", left="1", right="-1")
    assert "Nothing lies between these bounds" in texts(app) and "selections" not in figure(app)["layout"]


def test_of_a_cross_fitted_group_the_axes_are_of_what_the_seed_has_learned_from(open_images, tmp_path):
    group = group_with_features(tmp_path / "folds", "mapped", 3, folds=3)
    found = read_predictions(group, "train")
    best = next(run for run in group.runs if run.seed == found.best_seed)
    learned = found.learned[found.seeds.index(best.seed)]
    app = open_images("mapped", tmp_path / "folds", view="Map")
    assert "images it was trained on" in texts(app) and f"the {learned.sum()} images" in texts(app)
    own = image_map(best, learned, "train", 400).places
    trace = figure(app)["data"][0]
    assert np.array_equal(values(trace["x"]), own[values(trace["customdata"]).astype(int), 0])


def test_images_without_the_score_are_not_said_to_be_filtered(open_images):
    app = open_images("mapped", view="Map", sort="Label doubt")
    assert "Small and grey: what the filters leave out, or what has no Label doubt." in texts(app)


def test_another_group_begins_without_the_selection(open_images, runs):
    app = draw(open_images("mapped", view="Map"), [TRIANGLE])
    app.selectbox(key="group").set_value("before")
    assert "outline" not in ran(app).query_params


@pytest.mark.parametrize(
    "address",
    [
        {"left": "inf"},
        {"top": "nan"},
        {"left": "1e308", "right": "-1e308"},
        {"like": "0" * 16, "many": "9" * 5000},
        {"many": "-1", "like": "train-0001"},
    ],
)
def test_numbers_that_nobody_means_harm_nothing(open_images, address):
    assert len(charts(open_images("mapped", view="Map", **address))) == 1


def test_fields_that_left_the_page_with_the_map_close_no_image_when_they_are_told_of_again(open_images, runs):
    app = draw(open_images("mapped", view="Map"), [TRIANGLE])
    fields = [app.text_input(key=key).proto.id for key in ("left", "like")]
    opened = sorted_inside(runs, inside(map_of(runs).places, TRIANGLE))[0]
    outline = app.query_params["outline"]
    act(app, "open", opened, "grid")
    states = app._tree.get_widget_states()
    for field in fields:
        states.widgets.append(WidgetState(id=field, string_value=""))
    app._run(states)
    assert shown(app, "large")["id"] == opened and app.query_params["outline"] == outline
