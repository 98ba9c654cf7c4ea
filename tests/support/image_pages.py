"""Groups with images for the Images page, and what the page then shows."""

import json
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fabricate import CLASS_NAMES, COUNTS, damage, fabricate, labels_of, mislabel
from opened import opener
from streamlit.proto.WidgetStates_pb2 import WidgetState

from colora.distillation import verdicts
from colora.distillation.scores import group_scores
from colora.metrics.novelty import Familiar
from colora.runs.features import Kept, write_features
from colora.runs.folder import Group

CHECKSUM = "0" * 64  # of fabricated data
TAB = "f" * 32  # a browser tab's token


def groups_of_each_kind(path: Path) -> Path:
    """Groups of each kind; the first one merged after every second epoch."""
    fabricate(path, "three-done", ["done"] * 3, {"merge_every": 2})
    fabricate(path, "another", ["done"])
    fabricate(path, "one-done", ["done"])
    fabricate(path, "balanced", ["done"] * 2, {"train_set": "balanced"}, with_patients=True)
    mislabel(fabricate(path, "cross-fitted", ["done"] * 3, {"folds": 3}), every=10)
    fabricate(path, "paper-rule", ["done"] * 2, {"selection": "paper"})
    fabricate(path, "no-file", ["done"], {"dataset": "npz:/gone/octmnist_224.npz"})
    fabricate(path, "waiting", ["queued"])
    config = fabricate(path, "other-classes", ["done"]).runs[0].path / "config.json"
    config.write_text(config.read_text().replace("DME", "OEDEMA"))
    damage(fabricate(path, "damaged", ["done"]))
    table = path / "torn" / "seed-00" / "predictions" / "train.parquet"
    fabricate(path, "torn", ["done"])
    table.write_bytes(table.read_bytes()[:1000])
    return path


def group_with_features(path: Path, name: str = "mapped", seeds: int = 2, **settings: Any) -> Group:
    """Of which each seed has kept features, in classes that lie apart; balanced where no settings say otherwise."""
    group = fabricate(path, name, ["done"] * seeds, settings or {"train_set": "balanced"}, with_patients=True)
    for run in group.runs:
        rng = np.random.default_rng(run.seed)
        middles = rng.gamma(1.0, size=(len(CLASS_NAMES), 12))
        features = {
            split: middles[labels_of(split)] + 0.2 * rng.gamma(1.0, size=(sum(counts), 12))
            for split, counts in COUNTS.items()
        }
        distances = {split: np.linspace(1, 3, sum(COUNTS[split])) for split in ("val", "test")}
        write_features(run, Kept(features, Familiar(np.eye(4, 12), np.eye(12)), distances))
    return group


@pytest.fixture
def open_images(monkeypatch, runs, tmp_path):
    """`opened("three-done", sort="margin")`: the page with this in its address, in a tab that has kept a reader's
    `name`; verdicts go with the test."""
    open_page = opener(monkeypatch, runs)

    def opened(
        group: str | None = None, folder: Path = runs, page: str = "images", name: str = "", tab: str = TAB, **query
    ):
        app = open_page(page, group, folder, **query)
        return told_by_browser(app, name, tab) if asks(app) else app

    yield opened
    for file in verdicts.verdicts_folder(runs).glob("*.jsonl"):
        file.unlink()


def shown(app, key: str = "grid") -> dict:
    """What a component was given; {} where it is not on the page."""
    found = [json.loads(e.proto.json) for e in app.get("bidi_component") if key in e.proto.id]
    return found[0] if found else {}


def act(app, event: str, value, key: str = "large", among=None):
    """What a component's script sends when someone presses there: AppTest has no browser to press in. `among` is the
    session that drew the component, if it was another one."""
    value = value if key == "who-browser" else [numbered(value)]
    return send(app, [{"event": event, "value": value}], key, among)


NUMBERS = count(1)


def numbered(value) -> dict:
    """As the scripts of grid and large image number what they send."""
    return {"number": next(NUMBERS), "value": value}


def send(app, sending: list[dict], key: str, among=None):
    """Several events at once, as the component's script sends them."""
    component = next(e for e in (among or app).get("bidi_component") if e.proto.id.endswith(f"-{key}"))
    states = app._tree.get_widget_states()
    sent = json.dumps(sending)
    states.widgets.append(
        WidgetState(id=f"$$STREAMLIT_INTERNAL_KEY_{component.proto.id}__events", json_trigger_value=sent)
    )
    app._run(states)
    assert not app.exception, app.exception
    return app


def asks(app) -> bool:
    """Whether the page waits for its tab to say who reads."""
    return shown(app, "who-browser").get("known") is False


def told_by_browser(app, name: str = "", tab: str = TAB):
    """What a tab answers; without a name the reader is whoever runs the server."""
    return act(app, "said", {"name": name, "tab": tab}, "who-browser")


def judged(app, verdict: str, seen: str | None = None, **other):
    """Press a verdict, or "undo", under the large picture, which was that of `seen`; by default the image's own.
    `other` is what else was on the screen than the page now shows."""
    large = shown(app, "large")
    pressed = {name: large[name] for name in ("data", "reader", "note", "event")} | other
    return act(app, "judge", {"verdict": verdict, "seen": seen or large["id"]} | pressed)


def ids(app, key: str = "grid") -> list[str]:
    return [tile["id"] for tile in shown(app, key)["tiles"]]


def sorted_ids(
    runs: Path, group: str, split: str, whose="best", score: str = "entropy", largest_first=True, among=slice(None)
) -> list:
    table = group_scores(Group(runs / group), split, whose)[among]
    return table.sort_values([score, "image_id"], ascending=[not largest_first, True])["image_id"].tolist()
