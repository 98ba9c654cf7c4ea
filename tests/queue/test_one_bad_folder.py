"""One bad folder harms nobody: whatever is done to any file of a group, its neighbours are listed, opened, launched and
trained, and of the group itself there is a sentence."""

import json
import random
import shutil
import time
from pathlib import Path

import pytest
from fabricate import fabricate, whole_run
from harm import WHOLE, harm
from queueing import busy

from colora.cli.main import main
from colora.engines import view
from colora.queue import order
from colora.queue.slots import make_slots
from colora.queue.supervisor import Supervisor, finds_work
from colora.results.overview import Line, lines
from colora.results.summary import group_summary
from colora.runs.folder import Group
from colora.runs.listing import list_groups, listing, trainings
from colora.system.errors import UserError
from colora.system.files import write_json

LONGEST_SECONDS = 5
NEIGHBOURS = {"whole", "waits", "bad"}


class Started(Supervisor):
    """Notes whom it would start."""

    def _start(self, folder, slot) -> None:
        self.begun = [*getattr(self, "begun", []), folder.parent.name]


def look(runs_dir: Path, whole: dict, capsys: pytest.CaptureFixture[str]) -> str:
    """Everyone who goes through the folder, once; returns the bad group's state."""
    rows = {row["name"]: row for row in listing(runs_dir)}
    assert rows.keys() | {"bad"} == NEIGHBOURS
    assert (rows["whole"]["state"], rows["waits"]["state"]) == ("done", "queued")
    assert {line.name for line in lines(runs_dir, sort="accuracy")} == rows.keys()
    supervisor = Started(runs_dir, make_slots(cpu_slots=4), tell=lambda said: None)
    assert finds_work(runs_dir) and supervisor.turn() and "waits" in supervisor.begun
    assert not supervisor.trouble, supervisor.trouble
    assert [row for row in view.rows(runs_dir) if row["group"] == "waits"]
    assert order.last_place(runs_dir)["order"] > order.place(runs_dir / "waits" / "seed-00")["order"]
    assert trainings(runs_dir) == []
    assert group_summary(Group(runs_dir / "whole")) == whole
    for arguments in (["list"], ["list", "--json"], ["queue"], ["show", "whole"]):
        assert main([*arguments, "--runs-dir", str(runs_dir)]) == 0
    capsys.readouterr()
    code = main(["show", "bad", "--runs-dir", str(runs_dir)])
    said = capsys.readouterr()
    assert code in (0, 2) and said.err.count("\n") == (1 if code else 0), said.err
    bad = next((group for group in list_groups(runs_dir) if group.name == "bad"), None)
    if bad is None:
        return "gone"
    damage = Line(bad).damage
    assert (rows["bad"]["state"] == "damaged") <= bool(damage), (rows["bad"], damage)
    try:
        group_summary(Group(bad.path))
    except UserError as error:
        assert str(bad.path) in str(error)
    return rows["bad"]["state"]


@pytest.mark.parametrize("cases", [pytest.param(60, id="some"), pytest.param(2500, id="all", marks=pytest.mark.fuzz)])
def test_whatever_is_done_to_any_file_the_neighbours_are_well(tmp_path, cases, capsys):
    source, runs_dir = whole_run(tmp_path / "kept").path, tmp_path / "runs"
    whole = group_summary(fabricate(runs_dir, "whole", ["done"]))
    waits = fabricate(runs_dir, "waits", ["queued"])
    order_of = order.last_place(runs_dir)
    (waits.runs[0].path / "queue.json").write_text(json.dumps(order_of))
    files = [path.relative_to(source) for path in sorted(source.rglob("*")) if path.is_file()]
    alike = {"epochs": "epoch-01", "clinic-b": "external"}
    files = [path for path in files if path.stem == alike.get(path.parent.name, path.stem)]  # one of many
    bad, slowest = runs_dir / "bad", 0.0
    states: dict[str, int] = {}
    for case in range(cases):
        chance = random.Random(case)
        shutil.rmtree(bad, ignore_errors=True)
        shutil.copytree(source, bad)
        done = []
        for file in chance.sample(files, chance.choice((1, 1, 1, 2, 4))):
            done.append((file.as_posix(), harm(bad / file, chance)))
        begin = time.monotonic()
        try:
            state = look(runs_dir, whole, capsys)
        except BaseException:
            print(f"case {case}: {done}")
            raise
        slowest = max(slowest, time.monotonic() - begin)
        states[state] = states.get(state, 0) + 1
        assert slowest < LONGEST_SECONDS * busy(), (case, done, slowest)
    assert states["damaged"] > cases / 10 and states["done"] > cases / 10, states
    print(f"{cases} cases over run folders, slowest {slowest:.2f} s, {states}")


def test_among_a_hundred_bad_folders_a_real_supervisor_trains_the_good_one(tmp_path, lab):
    """What is launched, resumed and retried beside them ends as ever, under one supervisor that nothing stops."""
    source = whole_run(tmp_path / "kept").path
    write_json(source / "plan.json", {"epochs": 1, "seconds": 0})
    for file in ("group.json", "seed-00/status.json", "seed-00/config.json", "seed-00/queue.json", "seed-00/stop",
                 "seed-00/process.json", "seed-00/log.txt"):  # fmt: skip
        for what, harming in WHOLE.items():
            folder = lab.runs_dir / f"bad-{Path(file).stem}-{what.replace(' ', '-')}"
            shutil.copytree(source, folder)
            status = folder / "seed-00" / "status.json"
            waits = what == ("pipe" if file.endswith("log.txt") else "folder")
            status.write_text(status.read_text().replace('"done"', '"queued"' if waits else '"running"'))
            if what != "gone":
                (folder / file).touch()
                harming(folder / file)
    good = lab.group("good", 2, epochs=1, seconds=0.05)
    supervisor = lab.supervise(slots=2)
    lab.until(good, "done", "done")
    late = lab.group("late", epochs=1, seconds=0.05)
    lab.until(late, "done")
    assert supervisor.poll() is None, lab.log()
    assert "Traceback" not in lab.log()
