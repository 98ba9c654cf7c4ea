"""Pages of the app as AppTest runs them, without torch and without a browser."""

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from fabricate import damage, fabricate
from queueing import PATIENCE_SECONDS
from streamlit.components.v2 import manifest_scanner
from streamlit.runtime.pages_manager import PagesManager
from streamlit.runtime.scriptrunner.script_cache import ScriptCache
from streamlit.testing.v1 import AppTest

from colora.system.installation import ROOT

# Each AppTest reads what is written of every installed package, in search of components: the same at every time.
manifest_scanner.scan_component_manifests = cache(manifest_scanner.scan_component_manifests)
COMPILED = ScriptCache()  # of app.py and the pages: a server keeps one, AppTest makes two for each run

COUNTS = {
    "features": 683_072,
    "head": 820_612,
    "adapter": 92_288,
    "adapted": 681_152,
    "trainable": 912_900,
    "deployed": 1_503_684,
    "layers": 10,
    "adapter_by_pointwise_rank": {"none": 92_288, "8": 23_680},
    "weights_file": None,
}
MEASURED = {
    "device": "cpu",
    "memory_bytes": 1_000_000_000,
    "image_bytes": 1_000_000,
    "built_bytes": 900_000_000,
    "checkpoint_bytes": 20_000_000,
    "moments_bytes": 1_000_000,
    "model_bytes": 10_000_000,
    "familiar_bytes": 1_048_576,
    "features_bytes": 256,
    "maps_bytes": 2_048,
    "epoch_bytes": 2_000_000,
    "factor_bytes": 400_000,
    "seconds_per_image": 0.012,
    "eval_seconds_per_image": 0.004,
    "idle_seconds_per_image": 0.012,
    "idle_eval_seconds_per_image": 0.004,
    "others": 0.0,
}
ESTIMATE = {"slots": 1, "busy": None, "measured": MEASURED, "classes": 4, "at_once": 1}


def told(arguments, timeout: float = 0) -> dict:
    """In place of `run_colora`: the same counts and the same estimate for every model."""
    return ESTIMATE if arguments[0] == "preflight" else COUNTS


def every_kind(path: Path) -> Path:
    """A runs folder with one group of each kind."""
    fabricate(path, "three-done", ["done"] * 3)
    fabricate(path, "one-done", ["done"])
    fabricate(path, "paper-rule", ["done"] * 2, {"selection": "paper"}, warnings=["A warning of the run."])
    fabricate(path, "real-file", ["done"], {"dataset": "npz:/data/octmnist_224.npz"})
    fabricate(path, "failed", ["done", "failed"])
    fabricate(path, "lost", ["lost"])
    fabricate(path, "running", ["done", "running", "queued"], {"epochs": 8})
    fabricate(path, "waiting", ["starting", "queued"])
    damage(fabricate(path, "damaged", ["stopped"]))
    return path


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """`every_kind`, for a file of tests; only looked at."""
    return every_kind(tmp_path_factory.mktemp("runs"))


@pytest.fixture
def open_page(monkeypatch, runs, stand_ins) -> Callable[..., AppTest]:
    """`opener` over the file's own `runs`; what predicts is a stand-in."""
    return opener(monkeypatch, runs)


@pytest.fixture
def command(monkeypatch):
    """pages.components.command with no answers so far, before a page's tests put something else in its place."""
    monkeypatch.syspath_prepend(str(ROOT))
    from pages.components import command

    command._asked.clear()
    yield command
    command._asked.clear()


def opener(monkeypatch: pytest.MonkeyPatch, runs: Path) -> Callable[..., AppTest]:
    """`opened("monitor", "failed")` runs a page on a group; on another runs folder than `runs` with `folder`, with more
    in its address with `query`. Launch is opened with the quick look and all settings, where `query` is empty."""
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.setattr("pages.components.command.run_colora", told)
    for place in ("app_test", "local_script_runner"):
        monkeypatch.setattr(f"streamlit.testing.v1.{place}.ScriptCache", lambda: COMPILED)
    monkeypatch.setattr("pages.components.overview.live.follow", lambda *_: None)  # which ends with the test's patience
    new_manager = PagesManager.__init__

    def manager_of_a_server_that_knows_the_pages(self, *args, **kwargs):
        new_manager(self, *args, **kwargs)
        PagesManager.uses_pages_directory = False

    def opened(
        page: str, group: str | None = None, folder: Path = runs, fresh_server: bool = False, **query: str
    ) -> AppTest:
        monkeypatch.setenv("COLORA_RUNS_DIR", str(runs.parent / "none"))  # the first run tells the pages, no more
        if not fresh_server:  # AppTest's own server is one that has never run app.py, before each run
            monkeypatch.setattr(PagesManager, "__init__", manager_of_a_server_that_knows_the_pages)
        app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=PATIENCE_SECONDS).run()
        monkeypatch.setenv("COLORA_RUNS_DIR", str(folder))
        app.switch_page(f"pages/{page}.py")
        query = ({"start": "quick-look"} if page == "launch" and not query else {}) | query
        for name, value in (({"group": group} if group else {}) | query).items():
            app.query_params[name] = value
        return ran(app)

    return opened


def ran(app: AppTest) -> AppTest:
    app.run()
    assert not app.exception, app.exception
    return app


def texts(app: AppTest) -> str:
    """Everything the page says, one element a line, without the backslashes that keep names from being markup."""
    kinds = ("title", "header", "subheader", "markdown", "caption", "info", "success", "warning", "error")
    said = [read(str(element.value)) for kind in kinds for element in app.get(kind)]
    return "\n".join(said + [element.value for element in app.get("code")])


def read(markdown: str) -> str:
    """Markdown without the backslashes of `show.literal`."""
    return re.sub(r"\\([^\w\s])", r"\1", markdown)
