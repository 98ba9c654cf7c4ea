"""Many answers as one table, and a volume's own answer of those to its B-scans."""

import numpy as np
import pandas as pd
import pytest
from scan_answers import NAMES, documents, told

from colora.prediction.table import prediction_table
from colora.prediction.volume import volume_answer
from colora.system.spreadsheet import csv_bytes

COLUMNS = ["image", "prediction", *(f"p_{name}" for name in NAMES), "entropy", "more_unsure_than", "seeds_agree"]
COLUMNS += ["positive", "do_not_rely", "distance", "disagreement", "nearest", "seen_before", "note"]


def asked(*images, refused=()) -> dict:
    about, image = documents()
    return about | {"images": [image | changed for changed in images], "refused": list(refused)}


def test_a_line_has_what_is_said_of_an_image():
    table = prediction_table(asked({}))
    assert list(table) == COLUMNS
    assert table.loc[0].to_dict() == {
        "image": "/scans/left eye.png",
        "prediction": "CNV",
        "p_CNV": 0.8683,
        "p_DME": 0.1305,
        "p_DRUSEN": 0.0006,
        "p_NORMAL": 0.0006,
        "entropy": 0.391,
        "more_unsure_than": 0.638,
        "seeds_agree": "4 of 5",
        "positive": True,
        "do_not_rely": False,
        "distance": 0.147,
        "disagreement": 0.843,
        "nearest": "CNV, CNV, CNV, CNV, CNV",
        "seen_before": "",
        "note": "colours were taken for grey.",
    }


def test_what_is_not_known_is_empty_and_what_was_refused_stands_last():
    blank = {"value": 2.0, "limit": 8.0, "high": True}
    doubt = {"high": True, "says": "x", "reasons": ["Far."], "disagreement": None, "distance": None, "blank": blank}
    met = {"split": "test", "image_id": "test/7", "says": "is among the test images"}
    plain = {"path": "b.png", "operating_point": None, "nearest": None, "doubt": doubt, "met": met, "agreement": {}}
    table = prediction_table(
        asked(plain, {"path": "a.tif", "page": 0}, refused=[{"path": "z.png", "reason": "No image."}])
    )
    assert list(table) == [COLUMNS[0], "page", *COLUMNS[1:]]
    assert table["image"].tolist() == ["b.png", "a.tif", "z.png"]
    unknown = table.loc[0, ["page", "positive", "distance", "disagreement"]]
    assert unknown.isna().all() and table.loc[0, "nearest"] == ""
    assert table.loc[0, ["seeds_agree", "do_not_rely", "seen_before"]].tolist() == ["0 of 0", True, met["says"]]
    assert table.loc[2].dropna().to_dict() == {"image": "z.png", "note": "No image."}
    rows = csv_bytes(table).decode().split("\r\n")
    assert [row.split(",")[:2] for row in rows[1:4]] == [["b.png", ""], ["a.tif", "1"], ["z.png", ""]]


def test_without_an_image_there_is_a_table_of_what_was_refused():
    table = prediction_table(asked(refused=[{"path": "z.png", "reason": "No image."}]))
    assert table.to_dict("records") == [{"image": "z.png", "note": "No image."}]
    assert len(prediction_table(asked())) == 0 and isinstance(prediction_table(asked()), pd.DataFrame)


def frames(p: np.ndarray, high: list[bool]) -> list[dict]:
    return [{"mean": told(row, ["A", "B"]), "doubt": {"high": doubted}} for row, doubted in zip(p, high, strict=True)]


P = np.array([[0.9, 0.1], [0.3, 0.7], [0.2, 0.8], [0.6, 0.4], [0.95, 0.05]])


MEANS = [(5, 3, 3, 2.45 / 3, 1.9 / 3), (5, 1, 1, 0.95, 0.8), (2, 3, 2, 0.6, 0.4), (1, 3, 1, 0.9, 0.1)]


@pytest.mark.parametrize(("count", "top", "k", "a", "b"), MEANS)
def test_a_volume_has_of_each_class_the_mean_of_its_largest(count, top, k, a, b):
    found = volume_answer(frames(P[:count], [False, True, True, False, False][:count]), top)
    assert found["by_class"] == pytest.approx({"A": a, "B": b})
    assert (found["frames"], found["top"]) == (count, k)
    assert found["rule"] == f"of each class the {f'mean of its {k} largest probabilities' if k > 1 else 'largest'}"
    calls = P[:count].argmax(1)
    assert found["called"] == {name: int(np.sum(calls == c)) for c, name in enumerate("AB") if c in calls}
    assert found["doubted"] == min(2, count - 1)


def test_the_order_of_the_scans_changes_nothing_and_none_has_no_answer():
    assert volume_answer(frames(P[::-1], [False] * 5)) == volume_answer(frames(P, [False] * 5))
    with pytest.raises(ValueError, match="a volume without B-scans has no answer"):
        volume_answer([])
