"""Runs and images whose every text is written as markup, and what a page makes of them: nothing."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
from fabricate import CLASS_NAMES, fabricate
from figures import markup
from google.protobuf.message import Message
from small_data import write_folder, write_npz

from colora.data.cuts import save_cut
from colora.data.rules import make_rule
from colora.distillation import verdicts
from colora.distillation.distil import distil
from colora.distillation.scores import read_predictions
from colora.metrics.operating_point import Choice
from colora.results.operating_point import Question
from colora.results.question import freeze
from colora.runs.folder import Group, read_json, write_json
from colora.runs.trash import remove

FILLED = "%{q}"  # by which Plotly would put a number
MARKUP = (
    "[x](javascript:alert(1)) <img src=x onerror=alert(1)> $x^2$ :red[warm] :material/home: `a` **b** _c_ "
    f"![y](http://evil.example/y) <a href=\"http://evil.example\">z</a> {FILLED}"
)
NAME = MARKUP.replace("/", "∕")  # of a file or folder, which has no slash
UNESCAPED = re.compile(
    r"(?<!\\)(\]\(javascript|\]\(http://evil|<img|<a href|\$x|:red\[warm|:material/home|`a|_c_)|(?<![*\\])\*\*b\*\*"
)
READ = {"label", "help", "body", "title", "text", "caption", "captions", "content", "delta"}  # as Markdown
AS_IT_IS = {"Text", "Code", "BidiComponent", "PlotlyChart"}
OPTIONS_READ = {"Radio", "Slider"}


def hostile_runs(path: Path) -> Path:
    """`one` under a hostile name with a seed that failed, `two`, whose data and weights are hostile files, and one that
    runs on a hostile host; cuts, verdicts, notes, people and the trash."""
    said = {"reason": f"{MARKUP} failed.\n{MARKUP}", "warnings": [MARKUP]}
    group = fabricate(path, "one", ["done", "done", "failed"], with_patients=True, **said)
    for run in group.runs:
        _resolved(run.path, class_names=[f"{name} {MARKUP}" for name in CLASS_NAMES], data_source=MARKUP)
        _resolved(run.path, split_rule=MARKUP, preparation=MARKUP, data_checksum=MARKUP)
        (run.path / "log.txt").write_text(f"{MARKUP}\n")
        for file in (run.path / "predictions").glob("*.parquet"):
            table = pd.read_parquet(file)
            table["image_id"] += f" {MARKUP}"
            table["patient_id"] += f" {MARKUP}"
            table.to_parquet(file)
    found = read_predictions(Group(group.path), "train")
    save_cut(path, distil(found, "mine", make_rule(drop=1, keep=9)))
    _cut(path / ".colora" / "cuts" / "mine.json")
    (path / ".colora" / "cuts" / f"{NAME[:200]}.json").write_text('{"name": "' + MARKUP)
    for reader, verdict, label in (("ann", "wrong_label", 1), ("bob", "hard", None)):
        image_id = f"train-0000 {MARKUP}"
        event = verdicts.judge(path, reader, MARKUP, image_id, verdict, label, note=MARKUP)
        file = verdicts.verdicts_folder(path) / f"{reader}.jsonl"
        file.write_text(json.dumps(event | {"user": MARKUP, "imported": {"by": MARKUP, "time": MARKUP}}) + "\n{torn")
    _told(group.path)
    (group.path / "notes.txt").write_text(MARKUP)
    kept = freeze(Group(group.path), Question((f"CNV {MARKUP}",), Choice("cost", 3.0)))
    write_json(group.path / "question.json", kept | {"frozen_by": MARKUP, "seeds": [0]})
    group.path.rename(path / NAME)

    two = fabricate(path, "two", ["done"])
    other = {"dataset": f"npz:/data/{NAME}.npz", "weights": f"/data/{NAME}.pth"}
    for file in (two.path / "group.json", two.runs[0].path / "config.json"):
        document = read_json(file)
        write_json(file, document | {"config": document["config"] | other})
    _resolved(two.runs[0].path, data_source=f"npz:/data/{NAME}.npz", synthetic=False)
    _told(two.path)

    gone = fabricate(path, "gone", ["done"]).path
    remove(Group(gone.rename(path / f"gone {NAME[:150]}")))

    far = fabricate(path, "far", ["running", "queued"])
    status = read_json(far.runs[0].path / "status.json")
    elsewhere = status["process"] | {"host": MARKUP, "boot": MARKUP}
    write_json(far.runs[0].path / "status.json", status | {"process": elsewhere})
    _told(far.path)
    return path


def _resolved(run: Path, **values: Any) -> None:
    document = read_json(run / "config.json")
    write_json(run / "config.json", document | {"resolved": (document["resolved"] or {}) | values})


def _told(group: Path) -> None:
    write_json(group / "group.json", read_json(group / "group.json") | {"launched_by": MARKUP})


def _cut(file: Path) -> None:
    """All but what its hash is of."""
    cut = read_json(file)
    source = cut["source"] | {"group": NAME, "whose_says": MARKUP}
    write_json(file, cut | {"user": MARKUP, "data_source": MARKUP, "notes": [MARKUP], "source": source})


def hostile_folder(path: Path) -> Path:
    """A folder of images whose own name, classes and files are markup."""
    root = write_folder(path / NAME, patients=2)
    for folder in sorted(root.iterdir()):
        for file in sorted(folder.iterdir()):
            file.rename(folder / f"{file.stem[:20]} {NAME[:180]}.png")
        folder.rename(root / f"{folder.name} {NAME}")
    return root


def hostile_file(path: Path) -> Path:
    """The same as an .npz, whose classes are named inside."""
    return write_npz(path / f"{NAME}.npz", class_names=[f"{n} {MARKUP}" for n in "abc"])


def markup_on(app) -> list[str]:
    """Every text of a page, as AppTest has it, in which something of MARKUP would become markup: wherever Streamlit
    reads Markdown, in columns and cells, and in figures."""
    found = [text for element in _elements(app._tree) for text in _read(element.proto) if UNESCAPED.search(text)]
    for element in app.table:
        frame = element.value
        cells = [str(text) for text in (*frame.columns, *frame.index, *frame.to_numpy().ravel())]
        found += filter(UNESCAPED.search, cells)
    for element in app.dataframe:
        helps = [column.get("help") or "" for column in json.loads(element.proto.columns or "{}").values() if column]
        found += filter(UNESCAPED.search, helps)
    for chart in app.get("plotly_chart"):
        found += markup(json.loads(chart.proto.spec), FILLED)
    return found


def _elements(node: Any) -> Iterator[Any]:
    if getattr(node, "proto", None) is not None:
        yield node
    for child in getattr(node, "children", {}).values():
        yield from _elements(child)


def _read(message: Message) -> Iterator[str]:
    """What is read as Markdown of an element, and of what is in it; of its HTML all."""
    kind = message.DESCRIPTOR.name
    if kind in AS_IT_IS:
        return
    for field, value in message.ListFields():
        several = value if field.is_repeated else [value]
        if field.message_type is not None:
            if not field.message_type.GetOptions().map_entry:
                for inner in several:
                    yield from _read(inner)
        elif field.name in READ or (field.name == "options" and kind in OPTIONS_READ):
            yield from (text for text in several if isinstance(text, str))
