"""Real scans in the layouts that people bring: the same images in the same splits, and runs equal to the bit."""

import csv
import os
import shutil
from pathlib import Path

import pytest
from training import figures

from colora.data.check import look
from colora.data.sources import SPLITS, load_dataset
from colora.runs.folder import create_group
from colora.settings.config import make_config
from colora.training.run import train_run

SMALL = {"backbone": "texturenet", "weights": "shipped", "image_size": 64, "epochs": 1, "batch_size": 64, "threads": 1}


def config(dataset: str, **more):
    return make_config(SMALL | {"dataset": dataset, "device": "cpu"} | more)


@pytest.fixture(scope="module")
def arranged(shared, tmp_path_factory) -> dict[str, str]:
    """{layout: spec}: as it is, as OCT2017's zip, as folders of patients, and as a table of files in no order."""
    scans = shared / "data" / "oct2017-sample"
    root = tmp_path_factory.mktemp("arranged")
    data = load_dataset(config(f"folder:{scans}"))
    rows = []
    for split in SPLITS:
        for image, patient in zip(data.splits[split].image_ids, data.splits[split].patient_ids, strict=True):
            name = image.rpartition("/")[0]
            _, _, number = Path(image).stem.rpartition("-")
            for place in (
                root / "zip" / "OCT2017" / split / image,
                root / "patients" / name / patient / f"{number}.jpeg",
                root / "table" / "scans" / os.path.basename(image),
            ):
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(scans / image, place)
            rows.append([f"scans/{os.path.basename(image)}", name, split.upper(), f"{patient}", "left"])
    with open(root / "table" / "scans.csv", "w", newline="") as file:
        writer = csv.writer(file, delimiter=";")
        writer.writerow(["Image Path", "Diagnosis", "Set", "Patient ID", "Eye"])
        writer.writerows(sorted(rows, key=lambda row: row[0][::-1]))
    return {
        "as it is": f"folder:{scans}",
        "OCT2017's zip": f"folder:{root / 'zip'}",
        "patient folders": f"folder:{root / 'patients'}",
        "table": f"table:{root / 'table' / 'scans.csv'}",
    }


@pytest.mark.real
def test_the_same_images_are_in_the_same_splits_and_train_the_same_bits(arranged, tmp_path):
    checksums, runs = {}, {}
    for layout, spec in arranged.items():
        asked = config(spec)
        found = look(asked)
        assert found["classes"] == ["CNV", "DME", "DRUSEN", "NORMAL"], layout
        assert found["patients"]["n"] == 439 and found["patients"]["in_several_splits"] == 0, layout
        assert found["not_read"]["n"] == 0 and found["warnings"] == [], layout
        checksums[layout] = load_dataset(asked).checksum()
        group = create_group(tmp_path / "runs", layout.replace(" ", "-").replace("'", ""), asked, [0])
        assert train_run(group.runs[0].path) == 0
        runs[layout] = figures(group.runs[0])
    assert len(set(checksums.values())) == 1, checksums
    assert all(row == runs["as it is"] for row in runs.values()), runs
