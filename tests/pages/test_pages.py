"""Every page over fabricated run folders: what is said and offered, without torch and without a traceback."""

import json
import subprocess
import sys

import pytest
from opened import COUNTS, ESTIMATE, ran, texts

from colora.settings.catalog import NOTICE
from colora.system.installation import ROOT

PAGES = ("overview", "launch", "data", "monitor", "compare", "evaluate", "images", "predict", "distil")


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("kind", ["three-done", "waiting", "damaged", "empty"])
def test_whole_job_carries_the_notice_whatever_there_is_to_show(open_page, tmp_path, page, kind):
    app = open_page(page, folder=tmp_path) if kind == "empty" else open_page(page, kind)
    assert NOTICE in texts(app)


@pytest.mark.parametrize("page", PAGES)
def test_an_address_opened_on_a_fresh_server_is_shown_inside_the_app(open_page, page):
    assert NOTICE in texts(open_page(page, "three-done", fresh_server=True))


@pytest.mark.parametrize("page", ["monitor", "evaluate"])
def test_without_runs_a_page_leads_to_launch(open_page, tmp_path, page):
    assert "no run has been launched" in texts(open_page(page, folder=tmp_path))


@pytest.mark.parametrize("page", ["monitor", "evaluate"])
def test_damaged_group_is_a_sentence_on_its_own_pages(open_page, page):
    app = open_page(page, "damaged")
    assert "status.json cannot be read" in app.error[0].value
    app.selectbox(key="group").set_value("one-done")
    assert not ran(app).error


def test_unknown_group_in_the_address_is_said(open_page):
    app = open_page("monitor", "deleted-long-ago")
    assert "There is no group named 'deleted-long-ago'" in app.warning[0].value


@pytest.mark.parametrize("page", [page for page in PAGES if page not in ("launch", "predict")])
def test_what_is_drawn_has_an_alternative_text_and_figures_are_saved_in_the_chosen_format(open_page, page):
    app = open_page(page, "three-done", set="Generated images (SYNTHETIC)", groups="three-done,failed")
    charts = app.get("plotly_chart")
    drawn = [element.proto for kind in ("plotly_chart", "table", "dataframe") for element in app.get(kind)]
    drawn += [image for element in app.get("image") for image in element.proto.imgs]
    assert drawn and all(element.alt for element in drawn), [type(e).__name__ for e in drawn if not e.alt]
    assert bool(charts) is (page != "overview")
    if charts:
        app.button_group(key="picture-format").set_value("svg")
        saved = [json.loads(chart.proto.config)["toImageButtonOptions"] for chart in ran(app).get("plotly_chart")]
        assert {options["format"] for options in saved} == {"svg"} and all(options["filename"] for options in saved)


def test_the_server_never_imports_torch(runs):
    script = f"""
import os, sys
os.environ["COLORA_RUNS_DIR"] = {str(runs)!r}
import pages.components.command, pages.components.overview.live, pages.components.workers
pages.components.workers.command_of = lambda *_, **__: ([sys.executable, "-c", ""], {{}})
pages.components.command.run_colora = lambda arguments: {COUNTS | ESTIMATE!r}
pages.components.overview.live.follow = lambda *_: None
from streamlit.testing.v1 import AppTest
app = AppTest.from_file({str(ROOT / "app.py")!r}, default_timeout=60).run()
for page in {PAGES!r}:
    app.switch_page(f"pages/{{page}}.py")
    app.query_params["group"] = "three-done"
    app.run()
    assert not app.exception, app.exception
print(sorted(name for name in ("torch", "torchvision") if name in sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
