"""The large image in a real browser, hurried: many images of two shapes, pictures that arrive late, a busy processor.

After every step the canvas must have the pixels of the image that is named, and of no other, and keep them.
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from browsing import PATIENCE_SECONDS, STORY, idle, served
from fabricate import fabricate
from PIL import Image

from colora.data.encoded import lossless
from colora.data.prepare import image_checksum
from colora.data.thumbnails import Files, Place
from colora.distillation.scores import group_scores
from colora.distillation.verdicts import current
from colora.runs.folder import Group

pytestmark = STORY
STEPS = 40
SIZE = 64  # pixels a side, as the network sees them
SHAPES = ((150, 200), (180, 120))  # of the files
WINDOWS = ((1280, 900), (1000, 700), (700, 900))
GAPS = (0, 30, 90)  # milliseconds between a verdict and the keys after it
LATEST = 400  # milliseconds that a decoded picture is kept back at most

WATCH = f"""
  window.watched = {{ keys: 0, stages: 0, made: 0 }};
  for (const [name, by] of [["addEventListener", 1], ["removeEventListener", -1]]) {{
    const own = document[name].bind(document);
    document[name] = (type, ...rest) => {{
      if (type === "keydown" && new Error().stack.includes("st-bidi-colora")) watched.keys += by; // the app's own
      own(type, ...rest);
    }};
  }}
  const Observer = window.ResizeObserver;
  window.ResizeObserver = class extends Observer {{
    observe(element, ...rest) {{
      if (element.classList.contains("stage")) {{
        watched.stages += this.stage = 1;
        watched.made += 1;
      }}
      super.observe(element, ...rest);
    }}
    disconnect() {{
      watched.stages -= this.stage ?? 0;
      super.disconnect();
    }}
  }};
  let turn = 0;
  Object.defineProperty(HTMLImageElement.prototype, "onload", {{
    set(call) {{
      const late = (137 * ++turn) % {LATEST};
      this.addEventListener("load", (event) => setTimeout(() => call.call(this, event), late));
    }},
  }});
"""
DIFFERENCE = """
async ([uri, zoom, inverted]) => {
  const canvas = [...document.querySelectorAll("[data-testid=stBidiComponentIsolated]")]
    .map((host) => host.shadowRoot?.querySelector("canvas")).find(Boolean);
  if (!canvas) return [null, 255]; // the page is being drawn
  const picture = await createImageBitmap(await (await fetch(uri)).blob());
  const wanted = new OffscreenCanvas(canvas.width, canvas.height), context = wanted.getContext("2d");
  const scale = Math.min(canvas.width / picture.width, canvas.height / picture.height) * zoom;
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingEnabled = scale < 4;
  context.imageSmoothingQuality = "high";
  context.filter = inverted ? "invert(1)" : "none";
  context.drawImage(picture, (canvas.width - picture.width * scale) / 2, (canvas.height - picture.height * scale) / 2,
    picture.width * scale, picture.height * scale);
  const [a, b] = [context, canvas.getContext("2d")].map((c) => c.getImageData(0, 0, canvas.width, canvas.height).data);
  let sum = 0;
  for (let i = 0; i < a.length; i += 4) sum += Math.abs(a[i] - b[i]);
  return [canvas.dataset.ready ?? null, (4 * sum) / a.length];
}
"""


def predict_files(group: Group, files: Files, image_ids: list[str]) -> None:
    """Let the train images of a fabricated group be these files."""
    for run in group.runs:
        path = run.path / "predictions" / "train.parquet"
        table = pd.read_parquet(path)
        table["image_id"] = image_ids[: len(table)]
        images = files.read([Place("train", index, name) for index, name in enumerate(table["image_id"])])
        table["checksum"] = np.array([image_checksum(image) for image in images], dtype=np.uint64)
        table.to_parquet(path)


def write_scans(root: Path, count: int) -> list[str]:
    """Files of two shapes, each with blocks of grey of its own."""
    root.mkdir()
    rng = np.random.default_rng(0)
    for i in range(count):
        height, width = SHAPES[i % 2]
        blocks = rng.integers(0, 256, (6, 6), dtype=np.uint8)
        Image.fromarray(blocks).resize((width, height), Image.Resampling.NEAREST).save(root / f"{i:03d}.png")
    return sorted(path.name for path in root.iterdir())


@pytest.fixture(params=["generated", pytest.param("real", marks=pytest.mark.real)])
def scans(request, tmp_path) -> Iterator[tuple[str, Path, Files]]:
    """A server's address, its runs folder, and the images of its group `two-shapes`."""
    if request.param == "real":
        root = request.getfixturevalue("shared") / "data" / "oct2017-sample"
        names = sorted(f"{path.parent.name}/{path.name}" for path in root.glob("*/*.jpeg"))
        names = np.random.default_rng(0).permutation(names).tolist()
    else:
        root = tmp_path / "scans"
        names = write_scans(root, 400)
    runs_dir = tmp_path / "runs"
    group = fabricate(runs_dir, "two-shapes", ["done"], {"dataset": f"folder:{root}", "image_size": SIZE})
    files = Files(root, SIZE)
    predict_files(group, files, names)
    with served(runs_dir) as address:
        yield address, runs_dir, files


@contextmanager
def busy() -> Iterator[None]:
    """Keep two processors at work meanwhile."""
    workers = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
    try:
        yield
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()


class Reader:
    """Someone at the large image, and what they should see: the image, its layer, the zoom, the inversion."""

    def __init__(self, tab, images: Files, order: list[str], position: int):
        self.tab, self.images, self.order, self.position = tab, images, order, position
        self.layer, self.zoom, self.inverted = 0, 1.0, False
        self.verdicts: dict[str, str] = {}

    @property
    def image_id(self) -> str:
        return self.order[self.position]

    def key(self, name: str) -> None:
        self.tab.keyboard.press(name)
        if name == "+":
            self.zoom = min(self.zoom * 1.5, 16)
        elif name == "-":
            self.zoom = max(self.zoom / 1.5, 1)
        elif name == "i":
            self.inverted = not self.inverted
        else:
            self.go(1 if name == "ArrowRight" else -1)

    def go(self, by: int) -> None:
        self.position += by
        self.layer, self.zoom = 0, 1.0

    def choose_layer(self) -> None:
        self.layer, self.zoom = 1 - self.layer, 1.0
        self.tab.locator(".layers button").nth(self.layer).click()

    def resize(self, number: int) -> None:
        width, height = WINDOWS[number % len(WINDOWS)]
        self.tab.set_viewport_size({"width": width, "height": height})

    def judge(self, number: int) -> None:
        title = ("Artefact", "Truly hard", "Fine")[number % 3]
        self.tab.locator(".verdicts").get_by_role("button", name=title).click()
        self.tab.locator(".standing", has_text=f"Your verdict: {title}").wait_for()
        self.verdicts[self.image_id] = title

    def undo(self) -> None:
        if self.verdicts.pop(self.image_id, None):
            self.tab.locator(".undo").click()
            self.tab.locator(".standing", has_text="Your verdict: none yet").wait_for()

    def judge_and_hurry_on(self, number: int) -> None:
        """Press a verdict and two arrows, while the picture is still there or before the page is drawn; none is lost,
        whatever comes after it."""
        at_that_time = self.tab.evaluate(
            """async (gap) => {
              const root = [...document.querySelectorAll("[data-testid=stBidiComponentIsolated]")]
                .map((host) => host.shadowRoot).find((root) => root?.querySelector("canvas"));
              const key = () => document.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight" }));
              root.querySelector("canvas").focus();
              const painted = root.querySelector("canvas").dataset.ready;
              root.querySelector(".verdicts button:last-child").click();
              if (gap) await new Promise((done) => setTimeout(done, gap));
              key();
              if (gap) await new Promise((done) => setTimeout(done, gap));
              key();
              return painted;
            }""",
            GAPS[number % len(GAPS)],
        )
        assert at_that_time == self.image_id
        self.verdicts[self.image_id] = "Fine"
        self.go(2)

    def expected(self) -> str:
        """The picture as a data URI."""
        place = Place("train", 0, self.image_id)
        return lossless(self.images.large(place)[1 - self.layer])

    def seen(self) -> tuple[str | None, float]:
        """The id of the picture on the canvas, and the mean difference from the picture that is named, in greys."""
        ready, difference = self.tab.evaluate(DIFFERENCE, [self.expected(), self.zoom, self.inverted])
        return ready, difference

    def reading(self) -> str:
        """What the viewer says of size and zoom."""
        return self.tab.locator(".reading").inner_text()

    def check(self, what: str) -> None:
        end = time.monotonic() + PATIENCE_SECONDS
        while (found := self.seen())[0] != self.image_id or found[1] > 1:
            assert time.monotonic() < end, (what, self.image_id, found, self.reading(), self.layer, self.zoom)
            self.tab.wait_for_timeout(50)
        idle(self.tab)
        self.tab.wait_for_timeout(LATEST + 100)  # whatever was kept back has come by now
        ready, difference = self.seen()
        assert ready == self.image_id and difference < 1, (what, self.image_id, ready, difference)
        assert self.tab.locator(".name .about").inner_text().startswith(f"{self.image_id} ·"), what
        assert f" · {round(100 * self.zoom)} %" in self.reading(), what
        assert self.tab.locator(".invert").get_attribute("aria-pressed") == str(self.inverted).lower(), what


def walk(reader: Reader) -> None:
    rng = np.random.default_rng(3)
    watched = reader.tab.evaluate("watched")
    assert (watched["stages"], watched["made"]) == (1, 1)  # and stays so: an element made anew would jump
    moves = {
        "on": lambda n: reader.key("ArrowRight"),
        "back": lambda n: reader.key("ArrowLeft"),
        "zoom": lambda n: reader.key("+"),
        "invert": lambda n: reader.key("i"),
        "layer": lambda n: reader.choose_layer(),
        "resize": reader.resize,
        "judge": reader.judge,
        "undo": lambda n: reader.undo(),
        "hurry": reader.judge_and_hurry_on,
    }
    shares = [0.26, 0.1, 0.1, 0.1, 0.1, 0.08, 0.12, 0.06, 0.08]
    for number, name in enumerate(rng.choice(list(moves), STEPS, p=shares)):
        moves[name](number)
        reader.check(f"step {number}, {name}")
        assert reader.tab.evaluate("watched") == watched, (number, name)


@pytest.mark.timeout(1200)  # on a busy machine
def test_forty_steps_in_a_hurry_never_show_or_judge_another_image(page, scans):
    address, runs_dir, images = scans
    order = group_scores(Group(runs_dir / "two-shapes"), "train")
    order = order.sort_values(["entropy", "image_id"], ascending=[False, True])["image_id"].tolist()
    page.add_init_script(WATCH)
    reader = Reader(page, images, order, position=20)
    page.goto(f"{address}/images?group=two-shapes&image={reader.image_id}")
    reader.check("opened")
    page.locator("canvas").focus()
    with busy():
        walk(reader)
    found = current(runs_dir)
    assert (found["seen"] == found["image_id"]).all()
    assert set(found["image_id"]) == reader.verdicts.keys()
