"""Evaluate over fabricated run folders: the figures of all seeds, of one, of any epoch, and the images behind them."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from fabricate import PARAMETERS, fabricate, labels_of, probabilities, train_on
from image_pages import act, shown
from opened import ran, texts

from colora.data.cuts import PINNED
from colora.data.rules import make_rule
from colora.distillation.distil import distil
from colora.distillation.scores import read_predictions
from colora.metrics.classification import confusion_matrix, macro_auc, micro_auc, per_class
from colora.metrics.estimates import wilson
from colora.metrics.over_seeds import Spread
from colora.results.predictions import mistakes
from colora.results.summary import best_run, run_summary
from colora.runs.folder import Group, read_json_lines, write_json

CLASS_NAMES = ["CNV", "DME", "DRUSEN", "NORMAL"]


def predicted(seed: int, epoch: int) -> tuple[np.ndarray, np.ndarray]:
    return labels_of("test"), probabilities("test", seed, epoch)


def class_table(app):
    return next(t.value for t in app.table if "Recall" in t.value.columns)


def test_figures_over_seeds_are_exact(open_page, runs):
    app = open_page("evaluate", "three-done")
    seeds = Group(runs / "three-done").runs
    rows = [run_summary(run)["test"] for run in seeds]
    accuracy, auc = (Spread.of([row[metric] for row in rows]) for metric in ("accuracy", "auc"))
    pooled = Spread.of([micro_auc(*predicted(run.seed, run_summary(run)["selected_epoch"])) for run in seeds])
    assert [m.value for m in app.metric] == [f"{s.median:.3f}" for s in (accuracy, auc, pooled)]
    said = f"Median over 3 seeds · middle half (IQR) {accuracy.q1:.3f} to {accuracy.q3:.3f} · range "
    assert said + f"{accuracy.low:.3f} to {accuracy.high:.3f}" in texts(app)
    origin = "Test split of phantom (SYNTHETIC), 200 images · each seed's selected epoch, chosen on validation"
    assert origin in texts(app)
    assert any(c.value.startswith("Train, validation and test were separated so: ") for c in app.caption)


def test_class_table_over_seeds_has_median_and_middle_half(open_page, runs):
    seeds = Group(runs / "three-done").runs
    matrices = [confusion_matrix(*predicted(run.seed, run_summary(run)["selected_epoch"])) for run in seeds]
    shown = class_table(open_page("evaluate", "three-done"))
    for c, name in enumerate(CLASS_NAMES):
        spread = Spread.of([per_class(matrix)[c]["specificity"] for matrix in matrices])
        assert shown.loc[name, "Specificity"] == f"{spread.median:.3f} [{spread.q1:.3f}–{spread.q3:.3f}]"
    average = Spread.of([np.mean([row["recall"] for row in per_class(matrix)]) for matrix in matrices])
    assert shown.loc["Average", "Recall"] == f"{average.median:.3f} [{average.q1:.3f}–{average.q3:.3f}]"


def test_one_model_stands_with_the_intervals_of_its_shares(open_page):
    app = open_page("evaluate", "one-done")
    matrix = confusion_matrix(*predicted(0, 6))
    shown = class_table(app)
    for c, (name, expected) in enumerate(zip(CLASS_NAMES, per_class(matrix), strict=True)):
        low, high = wilson(int(matrix[c, c]), 50)
        assert shown.loc[name, "Images"] == expected["n"] == 50
        assert shown.loc[name, "Recall"] == f"{expected['recall']:.3f} [{low:.3f}, {high:.3f}]"
        others = 150 - (int(matrix[:, c].sum()) - int(matrix[c, c]))
        low, high = wilson(others, 150)
        assert shown.loc[name, "Specificity"] == f"{expected['specificity']:.3f} [{low:.3f}, {high:.3f}]"
    low, high = wilson(int(matrix.trace()), 200)
    assert f"95 % interval {low:.3f} to {high:.3f} (Wilson)" in texts(app)
    assert "Figures of seed 0 on 200 images." in texts(app) and "wider in truth" in texts(app), "patients are unknown"
    assert "One seed only: nothing can be said about the spread" in texts(app)


def test_a_seed_and_an_epoch_of_its_history_can_be_chosen(open_page):
    app = open_page("evaluate", "three-done")
    app.selectbox(key="seed").set_value("Seed 1")
    app.select_slider(key="epoch").set_value("2")
    ran(app)
    labels, p = predicted(1, 2)
    assert app.metric[0].value == f"{np.mean(p.argmax(1) == labels):.3f}"
    assert app.metric[1].value == f"{macro_auc(labels, p):.3f}"
    assert "200 images · seed 1 at epoch 2, chosen by hand" in texts(app)
    app.selectbox(key="group").set_value("one-done")  # which has no seed 1
    assert "seed 0 at epoch 2, chosen by hand" in texts(ran(app))


def test_another_split_counts_that_splits_images(open_page):
    app = open_page("evaluate", "one-done")
    app.button_group(key="split").set_value("val")
    shown = class_table(ran(app))
    assert shown["Images"].tolist() == [*np.bincount(labels_of("val")), 100]
    assert "Validation split of phantom (SYNTHETIC), 100 images · seed 0" in texts(app)


def selected(runs: Path, name: str) -> list[np.ndarray]:
    """(S, N, C) what the seeds of a group predict of the test images."""
    return [predicted(run.seed, run_summary(run)["selected_epoch"])[1] for run in Group(runs / name).runs]


def matrix_on(app) -> tuple[np.ndarray, list[str]]:
    """(C, C) bold numbers of the confusion matrix on the page, and the small line below each."""
    figures = [json.loads(chart.proto.spec)["layout"] for chart in app.get("plotly_chart")]
    (cells,) = (layout["annotations"] for layout in figures if layout.get("annotations"))
    bold = {(cell["y"], cell["x"]): int(re.match("<b>([0-9]+)</b>", cell["text"])[1]) for cell in cells}
    matrix = np.array([[bold[true, called] for called in CLASS_NAMES] for true in CLASS_NAMES])
    return matrix, [re.sub("<[^>]*>", " ", cell["text"]).split()[-1] for cell in cells]


def test_the_matrix_over_seeds_is_the_ensembles_and_each_cell_lists_as_many_images(open_page, runs):
    app = open_page("evaluate", "three-done")
    seeds = selected(runs, "three-done")
    own = np.array([confusion_matrix(labels_of("test"), p) for p in seeds])
    assert (np.median(own, axis=0).sum(axis=1) != 50).any(), "medians of cells do not add up here"
    matrix, below = matrix_on(app)
    assert matrix.tolist() == confusion_matrix(labels_of("test"), np.mean(seeds, axis=0, dtype=float)).tolist()
    assert matrix.sum(axis=1).tolist() == [50, 50, 50, 50]
    low, high = own.min(axis=0).ravel(), own.max(axis=0).ravel()
    assert below == [f"{a}" if a == b else f"{a}–{b}" for a, b in zip(low, high, strict=True)]
    assert "**Confusion matrix of the ensemble of 3 seeds**" in texts(app)
    assert f"{200 - matrix.trace()} of 200 images, as the ensemble of 3 seeds calls them, the worst first" in texts(app)
    for true, called in ((2, 2), (2, 0), (1, 3)):
        app.selectbox(key="show").set_value(f"{CLASS_NAMES[true]} called {CLASS_NAMES[called]}")
        assert f"{matrix[true, called]} of 200 images, as the ensemble of 3 seeds calls them" in texts(ran(app))


def test_the_ensembles_own_figures_stand_beside_the_medians(open_page, runs):
    mean = np.mean(selected(runs, "three-done"), axis=0, dtype=float)
    right, area = np.mean(mean.argmax(1) == labels_of("test")), macro_auc(labels_of("test"), mean)
    said = texts(open_page("evaluate", "three-done"))
    assert (
        "As one model, the ensemble of 3 seeds (the mean of their probabilities): accuracy "
        f"**{right:.3f}**, AUC (macro) **{area:.3f}**."
    ) in said
    assert "ensemble" not in texts(open_page("evaluate", "one-done"))


def test_at_an_epoch_chosen_by_hand_the_ensemble_is_of_that_epoch(open_page):
    app = open_page("evaluate", "three-done")
    app.select_slider(key="epoch").set_value("2")
    mean = np.mean([probabilities("test", seed, 2) for seed in range(3)], axis=0, dtype=float)
    assert matrix_on(ran(app))[0].tolist() == confusion_matrix(labels_of("test"), mean).tolist()


def test_the_papers_rule_has_one_model_and_the_matrix_is_its(open_page, runs):
    app = open_page("evaluate", "paper-rule")
    best = best_run(Group(runs / "paper-rule"))
    labels, p = predicted(best.seed, run_summary(best)["selected_epoch"])
    assert matrix_on(app)[0].tolist() == confusion_matrix(labels, p).tolist()
    whose = f"seed {best.seed}, the one model that the rule takes"
    assert f"**Confusion matrix of {whose}**" in texts(app) and "ensemble" not in texts(app)
    assert f"{int((p.argmax(1) != labels).sum())} of 200 images, as {whose} calls them" in texts(app)


def test_the_matrix_of_one_seed_is_its_own(open_page):
    app = open_page("evaluate", "three-done")
    app.selectbox(key="seed").set_value("Seed 1")
    app.select_slider(key="epoch").set_value("2")
    matrix, below = matrix_on(ran(app))
    assert matrix.tolist() == confusion_matrix(*predicted(1, 2)).tolist()
    low, high = (50 * end for end in wilson(matrix[0, 0], 50))
    assert below[0] == f"{low:.0f}–{high:.0f}" and "**Confusion matrix**" in texts(app)
    assert f"{200 - matrix.trace()} of 200 images, the worst first: most confident." in texts(app)


def test_a_cell_shows_its_images_and_all_mistakes_are_the_default(open_page):
    app = open_page("evaluate", "three-done", epoch="1")
    seeds = [probabilities("test", seed, 1) for seed in range(3)]
    every = mistakes(labels_of("test"), seeds)
    assert f"{len(every)} of 200 images, as the ensemble of 3 seeds calls them, the worst first" in texts(app)
    tiles = shown(app, "behind")["tiles"]
    assert len(tiles) == 6 and all(tile["image"] for tile in tiles)
    worst = every.to_dict("records")[0]
    assert tiles[0]["true"]["name"] == CLASS_NAMES[worst["true"]]
    assert tiles[0]["predicted"]["name"] == CLASS_NAMES[worst["called"]] and not tiles[0]["right"]
    assert tiles[0]["score"] == f"{worst['confidence']:.0%} sure"
    assert tiles[0]["notes"] == [f"{worst['seeds']} of 3 seeds", f"test-{worst['position']:04d}"]
    app.pagination[0].set_value(2)
    assert len(shown(ran(app), "behind")["tiles"]) == min(6, len(every) - 6) > 0

    cell = mistakes(labels_of("test"), seeds, (1, 3))
    app.selectbox(key="show").set_value("DME called NORMAL")
    assert f"{len(cell)} of 200 images, as the ensemble" in texts(ran(app))
    assert len(shown(app, "behind")["tiles"]) == min(6, len(cell)) > 0, "the first ones, whatever page was open before"
    app.selectbox(key="show").set_value("NORMAL called NORMAL")
    assert "the least sure first" in texts(ran(app))


def test_images_that_are_not_here_are_a_sentence_and_the_list_is_still_shown(open_page):
    app = open_page("evaluate", "real-file")
    assert "The images cannot be shown: There is no file /data/octmnist_224.npz." in texts(app).replace("\\", "")
    tiles = shown(app, "behind")["tiles"]
    assert len(tiles) == 6 and all(not tile["image"] and "/data/octmnist_224.npz" in tile["problem"] for tile in tiles)


def test_an_image_behind_a_figure_opens_large(open_page):
    app = open_page("evaluate", "three-done")
    first = shown(app, "behind")["tiles"][0]["id"]
    act(app, "open", first, "behind")
    assert app.header[0].value == "Images" and shown(app, "large")["id"] == first


def test_figures_of_the_papers_rule_are_marked_wherever_they_appear(open_page):
    app = open_page("evaluate", "paper-rule")
    assert "**Optimistic figures.**" in app.warning[0].value and "A warning of the run." in app.warning[0].value
    origins = [caption.value for caption in app.caption if "split of phantom" in caption.value]
    assert len(origins) == 2 and all(o.endswith("chosen on TEST, so optimistic") for o in origins)
    figures = [json.loads(chart.proto.spec)["layout"] for chart in app.get("plotly_chart")]
    said = [re.sub("<[^>]*>", "", layout["xaxis"]["title"]["text"].replace("<br>", " ")) for layout in figures]
    assert len(said) == 5 and all("chosen on TEST, so optimistic Research use only." in text for text in said)


@pytest.mark.parametrize("present", [[0], [0, 2]])
def test_where_the_test_split_lacks_classes(open_page, tmp_path, present):
    """AUC and recall of such a class are not defined; everything else is shown."""
    group = fabricate(tmp_path, "lacks", ["done"])
    run = group.runs[0]
    table = run.predictions("test")
    table[table["label"].isin(present)].reset_index(drop=True).to_parquet(run.path / "predictions" / "test.parquet")
    if len(present) == 1:
        rows = [row | {"test_auc": None} for row in read_json_lines(run.path / "metrics.jsonl")]
        (run.path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for page in ("evaluate", "monitor", "overview", "compare"):
        app = open_page(page, "lacks", folder=tmp_path)
        assert not app.error
    app = open_page("evaluate", "lacks", folder=tmp_path)
    classes = class_table(app)
    average = classes.loc["Average"]
    classes = classes.drop("Average")
    for figure in ("Recall", "Precision"):
        assert classes[figure].tolist().count("–") == 4 - len(present)
    assert classes["AUC"].tolist().count("–") == (4 if len(present) == 1 else 2)
    absent = [name for c, name in enumerate(classes.index) if c not in present]
    assert f"No image here is of {', '.join(absent)}: recall, precision and AUC are not defined there" in texts(app)
    if len(present) == 1:
        assert average["Specificity"] == average["AUC"] == "–"
    else:
        for figure in ("Specificity", "Precision"):  # in brackets: the interval
            there = [float(text.split()[0]) for text in classes.iloc[present][figure]]
            assert float(average[figure].split()[0]) == pytest.approx(np.mean(there), abs=1e-3)


def test_a_seed_that_is_not_done_is_evaluated_with_the_labels_of_one_that_is(open_page, runs):
    app = open_page("evaluate", "failed")
    assert "1 of 2 seeds is finished, and only it counts in figures over seeds." in texts(app)
    labels, p = predicted(0, run_summary(Group(runs / "failed").runs[0])["selected_epoch"])
    assert app.metric[0].value == f"{np.mean(p.argmax(1) == labels):.3f}" and "Median over" not in texts(app)
    assert "seed 0, epoch 6, chosen on validation" in texts(app)
    states = app.dataframe[0].value.set_index("seed")["state"]
    assert states.tolist() == ["done", "failed at epoch 3 of 6, so far"]
    app.selectbox(key="seed").set_value("Seed 1")
    labels, p = predicted(1, 3)
    assert ran(app).metric[0].value == f"{np.mean(p.argmax(1) == labels):.3f}"
    assert "seed 1, epoch 3, chosen on validation · under way, failed at epoch 3 of 6" in texts(app)
    app.select_slider(key="epoch").set_value("6")
    assert "Seed 1 has no predictions of epoch 6: choose another one." in texts(ran(app))


def test_before_any_seed_is_done_it_says_when_the_figures_come(open_page):
    app = open_page("evaluate", "lost")
    assert "No seed has finished yet, so there are no figures over seeds." in texts(app) and not app.metric
    assert "What can be evaluated comes with the first seed that is done." in texts(app)
    so_far = app.dataframe[0].value
    assert so_far[["seed", "state", "epoch"]].values.tolist() == [[0, "lost at epoch 3 of 6, so far", 3]]
    figures = [json.loads(chart.proto.spec)["data"] for chart in app.get("plotly_chart")]
    assert len(figures) == 2 and {trace["type"] for traces in figures for trace in traces} == {"scatter"}
    assert "median" not in texts(app).lower()


def test_a_finished_run_without_a_test_split_is_not_said_to_be_under_way(open_page, tmp_path):
    run = fabricate(tmp_path, "untested", ["done"]).runs[0]
    (run.path / "predictions" / "test.parquet").unlink()
    app = open_page("evaluate", "untested", folder=tmp_path)
    assert "No finished seed of untested has predictions of the test images" in app.info[0].value
    assert not app.error and "come with the first seed" not in texts(app)
    app.button_group(key="split").set_value("val")
    assert len(ran(app).metric) == 3


def test_damaged_predictions_are_a_sentence(open_page, tmp_path):
    run = fabricate(tmp_path, "torn", ["done"]).runs[0]
    (run.path / "predictions" / "test.parquet").write_bytes(b"PAR1 and no more")
    app = open_page("evaluate", "torn", folder=tmp_path)
    assert "cannot be read as predictions" in app.error[0].value


def test_the_cut_is_named(open_page, tmp_path):
    source = fabricate(tmp_path, "source", ["done"])
    cut = distil(read_predictions(source, "train"), "mine", make_rule(drop=1, keep=9))
    group = fabricate(tmp_path, "on-cut", ["done"], {"cut": "mine"})
    write_json(group.path / PINNED, cut.model_dump())
    said = texts(open_page("evaluate", folder=tmp_path, group="on-cut"))
    assert f"trained on the cut mine ({cut.short_hash})" in said
    assert "Trained on the cut **mine** of source: of each class, discard the 1 of highest entropy" in said


def test_what_the_adapters_reach_stands_beside_the_weights_that_were_trained(open_page, tmp_path):
    said = "932,740 weights trained, 1,519,300 in the network"
    reach = ". Adapters on 10 layers, which hold 99.7 % of the frozen weights, train 96,512: 14.1 % of these; the head"
    assert said + reach in texts(open_page("evaluate", "three-done"))
    group = fabricate(tmp_path, "older", ["done"])
    older = {name: count for name, count in PARAMETERS.items() if name not in ("adapted", "layers")}
    train_on(group.runs[0], parameters=older)
    assert said in (told := texts(open_page("evaluate", "older", folder=tmp_path))) and "Adapters on" not in told
