"""Small tables of images with the files that they name, which are empty: no image is opened."""

import pytest

from colora.data.tables.table import table_catalogue
from colora.system.errors import UserError

OCTDL = "file_name,disease,subcategory,condition,patient_id,eye,sex,year,image_width,image_height"


def put(root, *paths):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()


def written(root, text, name="labels.csv"):
    (root / name).write_text(text)
    return root / name


def flat(root, n=8, header="image,label\n", folder="images"):
    """n images in a folder beside the table, of two classes."""
    put(root, *(f"{folder}/{i:03d}.png" for i in range(n)))
    return written(root, header + "".join(f"{i:03d}.png,{('NORMAL', 'CNV')[i % 2]}\n" for i in range(n)))


def refused(path, sentence, field="dataset", **options):
    with pytest.raises(UserError, match=sentence) as error:
        table_catalogue(path, **options)
    assert error.value.field == field
    return str(error.value)


def octdl(root):
    rows = [OCTDL]
    for c, name in enumerate(("AMD", "DME", "NO")):
        for i in range(6):
            file = f"{name.lower()}_{1000000 + c * 5000 + i * 31}_{i + 1}"
            put(root, f"OCTDL/{name}/{file}.jpg")
            rows.append(f"{file},{name},,,{c * 10 + i // 2},{('OS', 'OD')[i % 2]},{('F', 'M')[i % 2]},2020,48,48")
    return written(root, "\n".join(rows) + "\n", "OCTDL_labels.csv")
