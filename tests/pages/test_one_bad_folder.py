"""Pages over a folder of damaged groups: each says what is wrong with its group, none shows a traceback, and the
neighbour is there to be chosen."""

import json
import random
import shutil
from pathlib import Path

import pytest
from fabricate import fabricate, whole_run
from harm import WHOLE, harm, harmed_value
from opened import opener, texts

from colora.runs.listing import list_groups
from colora.system.files import read_json

pytestmark = pytest.mark.usefixtures("stand_ins")
PAGES = ("overview", "monitor", "evaluate", "images", "predict", "distil", "compare", "launch")
DOCUMENTS = ("group.json", "cut.json", "notes.txt", "seed-00/status.json", "seed-00/config.json", "seed-00/log.txt",
             "seed-00/metrics.jsonl", "seed-00/queue.json", "seed-00/process.json",
             "seed-00/predictions/test.parquet", "seed-00/predictions/epochs/epoch-01.safetensors",
             "question.json")  # fmt: skip


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    return whole_run(tmp_path_factory.mktemp("kept")).path


def opened_well(open_page, page: str, name: str, folder: Path) -> str:
    """What a page says about a group that may be damaged; its neighbour can be chosen."""
    app = open_page(page, name, folder=folder) if page != "compare" else open_page(page, groups=f"{name},whole",
                                                                                   folder=folder)  # fmt: skip
    return texts(app)


def test_overview_tells_each_damage_and_lists_the_neighbour(tmp_path, monkeypatch, source):
    """Every document of a group, harmed in every way, all in one folder."""
    folder = tmp_path / "runs"
    fabricate(folder, "whole", ["done"])
    for number, file in enumerate(DOCUMENTS[:7]):
        for other, name in enumerate(WHOLE):
            shutil.copytree(source, folder / f"bad-{number}-{other}")
            WHOLE[name](folder / f"bad-{number}-{other}" / file)
    groups = [group.name for group in list_groups(folder)]
    assert "whole" in groups and len(groups) == 1 + 7 * len(WHOLE) - 1  # without group.json a folder is no group
    app = opener(monkeypatch, folder)("overview")
    assert not app.exception
    said = texts(app)
    assert said.count("is damaged:") > 10 and "Traceback" not in said


@pytest.mark.parametrize("cases", [pytest.param(40, id="some"), pytest.param(600, id="all", marks=pytest.mark.fuzz)])
def test_no_page_falls_over_a_damaged_group(tmp_path, monkeypatch, source, cases):
    folder = tmp_path / "runs"
    fabricate(folder, "whole", ["done"])
    open_page = opener(monkeypatch, folder)
    for case in range(cases):
        chance = random.Random(case)
        bad = folder / f"bad-{case}"
        shutil.copytree(source, bad)
        file = chance.choice(DOCUMENTS)
        what = harm(bad / file, chance)
        page = chance.choice(PAGES)
        try:
            said = opened_well(open_page, page, bad.name, folder)
        except BaseException:
            print(f"case {case}: {page} over {file}, {what}")
            raise
        assert "Research use only. Not a medical device." in said
        shutil.rmtree(bad)
    print(f"{cases} pages over damaged groups")


def test_a_damaged_question_is_said_where_it_is_asked_and_the_figures_stand(tmp_path, monkeypatch, source):
    folder = tmp_path / "runs"
    open_page = opener(monkeypatch, folder)
    for name in ("half", "number", "folder", "link to nowhere"):
        shutil.copytree(source, folder / name.replace(" ", "-"))
        WHOLE[name](folder / name.replace(" ", "-") / "question.json")
        app = open_page("evaluate", name.replace(" ", "-"), folder=folder, part="Operating point")
        said = texts(app)
        assert "The frozen question cannot be answered" in said and "question.json" in said, name
        assert "CNV, DME against the rest, from 0." in said and not app.error, name
        assert not app.button(key="freeze").disabled, name


@pytest.mark.parametrize("case", range(4))
def test_settings_and_what_they_resolved_to_may_be_anything(tmp_path, monkeypatch, source, case):
    """As a version that is older, newer or another program's has them."""
    folder, chance = tmp_path / "runs", random.Random(case)
    shutil.copytree(source, folder / "bad")
    for file in ("group.json", "seed-00/config.json", "seed-01/config.json"):
        document = read_json(folder / "bad" / file)
        for _ in range(2):
            document = document | {"config": harmed_value(document["config"], chance)}
        (folder / "bad" / file).write_text(json.dumps(document))
    for page in PAGES[:-1]:
        opened_well(opener(monkeypatch, folder), page, "bad", folder)
