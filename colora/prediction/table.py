"""Answers to many images as one table, a line an image: for a spreadsheet, and for a page. No torch."""

from typing import Any

import pandas as pd

from colora.data.listing import plain


def prediction_table(found: dict[str, Any]) -> pd.DataFrame:
    """Of `predict.predict_images`: image, page (from 1, of a file with several), prediction, p_CLASS for each class,
    entropy (nats), more_unsure_than (share of the test images), seeds_agree, positive (the answer to the group's
    question) and do_not_rely, true or false, distance and disagreement (their places among the validation images, in
    [0, 1]), nearest (labels of training images), seen_before, note; last what was refused. Bytes of a path that are no
    text are written as codes, which every file and page takes."""
    rows = [_row(image) for image in found["images"]]
    rows += [{"image": plain(row["path"]), "note": plain(row["reason"])} for row in found["refused"]]
    columns = dict.fromkeys(["image", "page", *(name for row in rows for name in row)])
    if not any("page" in row for row in rows):
        del columns["page"]
    table = pd.DataFrame(rows, columns=list(columns))
    return table.astype({"page": "Int64"}) if "page" in table else table  # whole also where some files have no pages


def _row(image: dict[str, Any]) -> dict[str, Any]:
    mean, votes, doubt = image["mean"], image["agreement"], image["doubt"]
    return {
        "image": plain(image["path"]),
        **({"page": image["page"] + 1} if "page" in image else {}),
        "prediction": mean["prediction"],
        **{f"p_{name}": p for name, p in mean["probabilities"].items()},
        "entropy": mean["entropy"],
        "more_unsure_than": image["unsure"]["share"],
        "seeds_agree": f"{votes.get(mean['prediction'], 0)} of {sum(votes.values())}",
        "positive": point["positive"] if (point := image["operating_point"]) else None,
        "do_not_rely": doubt["high"],
        **{part: doubt[part]["share"] if doubt[part] else None for part in ("distance", "disagreement")},
        "nearest": ", ".join(row["label"] for row in image["nearest"] or []),
        "seen_before": image["met"]["says"] if image["met"] else "",
        "note": " ".join([*(f"{said}." for said in image["conversions"]), *doubt["reasons"]]),
    }
