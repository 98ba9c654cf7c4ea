"""The page Predict as AppTest runs it: scans dropped, keys pressed, and what is shown of each."""

import base64
import io
import json
import time

import numpy as np
import pytest
import streamlit as st
from fabricate import COUNTS
from image_pages import act
from opened import ran
from PIL import Image
from stand_in_worker import SIDE, SMALL, WIDTH, mark, probability

from colora.metrics.novelty import Familiar
from colora.runs.features import Kept, write_features
from colora.runs.folder import Group

PATIENCE_SECONDS = 60
LEFT, RIGHT = b"left eye", b"right eye"  # of two scans


def make_known(group: Group) -> np.ndarray:
    """Let a fabricated group have kept what its seeds see; (N, WIDTH) of the train images is returned."""
    rng = np.random.default_rng(0)
    seen = {split: rng.normal(size=(sum(COUNTS[split]), WIDTH)).astype(np.float16) for split in COUNTS}
    familiar = Familiar(np.eye(4, WIDTH), np.eye(WIDTH))
    for run in group.runs:
        distances = {split: rng.gamma(3, size=sum(COUNTS[split])) for split in ("val", "test")}
        write_features(run, Kept(seen, familiar, distances))
    return seen["train"].astype(np.float64)


@pytest.fixture
def asked(monkeypatch) -> list[tuple[str, int]]:
    """(name, page) of each question to a worker, in order."""
    from pages.components.predict import scans

    questions, ask = [], scans.ask

    def recorded(group, request, data=b""):
        questions.append((request["name"], request["page"]))
        return ask(group, request, data)

    monkeypatch.setattr(scans, "ask", recorded)
    return questions


@pytest.fixture
def asked_of_workers(monkeypatch) -> list[dict]:
    """Each question where models look, in order."""
    from pages.components.explain import explainer

    questions, asks = [], explainer.asks

    def recorded(group):
        ask = asks(group)

        def answer(request, data):
            questions.append(request)
            return ask(request, data)

        return answer

    monkeypatch.setattr(explainer, "asks", recorded)
    return questions


@pytest.fixture
def files(monkeypatch) -> dict:
    """{name: what it holds} of every file that the page offers, as far as it is drawn."""
    offered, offer = {}, st.download_button

    def download_button(label, data, file_name, **options):
        offered[file_name] = data
        return offer(label, b"", file_name, **options)

    monkeypatch.setattr(st, "download_button", download_button)
    return offered


def drop(app, *scans: tuple[str, bytes]):
    app.file_uploader[0].set_value([(name, data, "image/png") for name, data in scans])
    return ran(app)


def component(app, key: str) -> dict:
    found = [json.loads(e.proto.json) for e in app.get("bidi_component") if e.proto.id.endswith(f"-{key}")]
    return found[0] if found else {}


def tiles(app, key: str = "scan-tiles") -> dict[str, dict]:
    """By what is written under each."""
    return {"".join(tile["notes"]) or tile["rank"]: tile for tile in component(app, key).get("tiles", [])}


def at_rest(inquiries) -> None:
    """Until everything that models are asked beside a page is answered."""
    end = time.monotonic() + PATIENCE_SECONDS
    while any(one.under_way for one in inquiries._known.values()):
        assert time.monotonic() < end
        time.sleep(0.005)


def step(app, by: int):
    """An arrow key on the large picture."""
    return act(app, "step", by, "scan")


def shows(app, name: str, data: bytes, page: int = 0) -> None:
    """The large picture, its title and the table are all of this scan."""
    large, grey = component(app, "scan"), mark(data, page) % 256
    assert f"probability {probability(data, page):.2f}" in large["name"]["says"]
    assert large["name"]["about"].startswith(name) and large["alt"].startswith(name)
    for layer, side in zip(large["layers"], (SIDE, SMALL), strict=True):
        assert pixels(layer["image"]).tolist() == np.full((side, side), grey).tolist()
    (classes,) = [table.value for table in app.table if table.value.index.name == "Class"]
    assert classes.loc["CNV", "Probability"] == f"{probability(data, page):.3f}"


def facts(app) -> dict[str, str]:
    (found,) = [table.value for table in app.table if table.value.index.name == "Fact"]
    return dict(found["Value"])


def pixels(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))


def keys(app) -> set[str]:
    return {button.key for button in app.button}
