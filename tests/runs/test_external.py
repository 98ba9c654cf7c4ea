"""Tests on other data that a group keeps: named like splits, whole or not at all, and of the seeds as they were."""

import numpy as np
import pytest
from fabricate import fabricate, fabricate_external, whole_run

from colora.runs import access, trash
from colora.runs.external import (
    about_external,
    counting,
    data_of,
    external_splits,
    external_test,
    remove_external,
    says_untested,
)
from colora.runs.folder import Group, Run, read_json, write_json
from colora.runs.names import external_folder, external_name
from colora.system.errors import UserError

SPLIT = "external/clinic-b"


@pytest.fixture
def group(tmp_path):
    found = fabricate(tmp_path / "runs", "g", ["done", "done", "stopped"], {"dataset": "phantom"})
    fabricate_external(found)
    return Group(found.path)


def test_a_test_stands_beside_the_splits_of_each_seed(group):
    assert external_splits(group) == [SPLIT]
    first, second, stopped = group.runs
    assert first.has_predictions(SPLIT) and not stopped.has_predictions(SPLIT)
    table = second.predictions(SPLIT)
    assert len(table) == 200 and set(table["source_split"]) == {"test"} and table["distance"].dtype == np.float32
    assert table["image_id"].iloc[3] == "test-0003" and table["checksum"].dtype == np.uint64
    found = data_of(first, SPLIT)
    assert (found.config.dataset, found.config.image_size, found.checksum) == ("phantom", 64, "e" * 64)
    assert data_of(first, "test").checksum == first.resolved.data_checksum
    assert [run.seed for run in counting(group, SPLIT)] == [run.seed for run in counting(group, "test")] == [0, 1]


def test_a_seed_that_was_trained_anew_or_finished_later_has_to_be_tested_again(group):
    path = group.runs[1].path / "status.json"
    write_json(path, read_json(path) | {"finished": 1.0})
    fresh = Group(group.path)
    assert [run.seed for run in counting(fresh, SPLIT)] == [0]
    assert says_untested(fresh, SPLIT) == (
        "Seed 1 was finished, or trained anew, after the test on clinic-b, and counts in no figure here: test again, "
        "under another name."
    )
    assert says_untested(fresh, "test") is None
    external_folder(group.path, SPLIT).joinpath("seed-00.parquet").unlink()
    assert counting(Group(group.path), SPLIT) == []
    assert says_untested(Group(group.path), SPLIT).startswith("Seeds 0, 1 were finished")


@pytest.mark.parametrize("name", ["Test", "VALIDATION", "train", "all"])
def test_no_test_is_named_as_a_split(group, name):
    with pytest.raises(UserError, match="would pass for a split of the group's own"):
        fabricate_external(group, name)
    (group.path / "external" / "clinic-b").rename(group.path / "external" / name)
    assert external_splits(group) == []


def test_readers_verdicts_are_shared_only_where_the_classes_have_the_same_numbers(group):
    assert data_of(group.runs[0], SPLIT).verdicts == "e" * 64
    names = ["CNV", "DME", "DRUSEN", "NORMAL"]
    turned = [{"own": c, "given": None, "model": c, "images": 50} for c in names[::-1]]
    fabricate_external(group, "turned", classes=turned)
    fabricate_external(group, "fewer", classes=turned[:2])
    keys = {data_of(group.runs[0], f"external/{name}").verdicts for name in ("clinic-b", "turned", "fewer")}
    assert len(keys) == 3 and data_of(group.runs[0], "external/turned").checksum == "e" * 64


def test_what_would_be_damaged_from_the_first_is_not_kept(group):
    with pytest.raises(UserError, match="says 'images' wrongly"):
        fabricate_external(group, "bad", images=None)
    assert [path.name for path in (group.path / "external").iterdir()] == ["clinic-b"]
    (group.path / "external" / "half").mkdir()
    with pytest.raises(UserError, match="has a test named 'half' already"):
        fabricate_external(group, "half")


@pytest.mark.parametrize("name", ["", "../../g", "a/b", ".hidden", "a  b", "x" * 81])
def test_no_other_name_leads_out_of_the_folder(group, name):
    with pytest.raises(UserError, match="cannot name a test on other data"):
        external_name(f"external/{name}")
    with pytest.raises(UserError, match="cannot name a test on other data"):
        group.runs[0].predictions_file(f"external/{name}")
    with pytest.raises(UserError, match="cannot name a test on other data"):
        fabricate_external(group, name)
    assert external_splits(group) == [SPLIT]


def test_a_name_is_taken_once_and_what_was_kept_stays(group):
    before = about_external(group, SPLIT)
    with pytest.raises(UserError, match="g has a test named 'clinic-b' already"):
        fabricate_external(group)
    assert about_external(group, SPLIT) == before
    fabricate_external(group, "clinic-c")
    assert external_splits(group) == [SPLIT, "external/clinic-c"]


def test_another_group_of_the_name_gets_nothing(group, tmp_path):
    seen = Group(group.path)
    _ = seen.identity, seen.runs[0].status
    trash.remove(group)
    fabricate(tmp_path / "runs", "g", ["done", "done", "stopped"])
    with pytest.raises(UserError, match="another group has its name now"):
        fabricate_external(seen, "clinic-c")
    assert external_splits(Group(group.path)) == []


def test_a_test_that_was_removed_comes_back_to_its_group_alone(group, tmp_path):
    runs_dir = tmp_path / "runs"
    place = remove_external(external_test(group, SPLIT))
    assert external_splits(group) == [] and not group.runs[0].has_predictions(SPLIT)
    (entry,) = trash.listed(runs_dir)
    assert (entry.path, entry.kind, entry.own_name) == (place, "external", "clinic-b")
    assert entry.title == "the test of g on clinic-b"
    assert trash.remover(runs_dir, entry)
    gone = trash.remove(group)
    with pytest.raises(UserError, match=r"there is no group g\. Put that one back first"):
        trash.put_back(runs_dir, entry)
    other = fabricate(runs_dir, "g", ["done"])
    with pytest.raises(UserError, match="another group is named g now"):
        trash.put_back(runs_dir, entry)
    trash.remove(other)
    back = Group(trash.put_back(runs_dir, trash.Entry(gone), "renamed"))
    assert trash.put_back(runs_dir, entry) == back.path / "external" / "clinic-b"
    assert external_splits(back) == [SPLIT] and len(back.runs[1].predictions(SPLIT)) == 200


def test_one_that_was_tested_anew_meanwhile_is_not_removed(group):
    seen = external_test(group, SPLIT)
    remove_external(seen)
    fabricate_external(group)
    with pytest.raises(UserError, match="clinic-b was tested anew elsewhere meanwhile; nothing was done"):
        remove_external(seen)
    assert external_splits(group) == [SPLIT]


def test_a_damaged_test_names_its_file_and_can_be_removed(group):
    path = external_folder(group.path, SPLIT) / "external.json"
    path.write_text('{"group": "g"')
    with pytest.raises(UserError, match=r"external\.json"):
        about_external(group, SPLIT)
    assert external_splits(group) == [SPLIT]
    place = remove_external(external_test(group, SPLIT))
    assert external_splits(group) == []
    trash.put_back(group.path.parent, trash.Entry(place))  # as damaged as it was
    remove_external(external_test(group, SPLIT))
    with pytest.raises(UserError, match="g was not tested on data named clinic-b"):
        external_test(group, SPLIT)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"source_split": "../../etc"}, "source_split is not all of all, test, train, val"),
        ({"distance": np.float32(np.inf)}, "distance is not all numbers of at least 0"),
        ({"distance": np.float32(-1)}, "distance is not all numbers of at least 0"),
        ({"distance": "far"}, "distance is not all numbers of at least 0"),
        ({"label": 4}, "label holds 4 to 4"),
    ],
)
def test_a_table_that_anybody_can_have_written_is_held_to_what_readers_rely_on(group, change, said):
    path = group.runs[0].predictions_file(SPLIT)
    group.runs[0].predictions(SPLIT).assign(**change).to_parquet(path)
    with pytest.raises(UserError, match=said):
        Run(group.runs[0].path).predictions(SPLIT)


def test_who_may_test_and_who_may_take_a_test_away(group, monkeypatch):
    def as_(name, role):
        monkeypatch.setattr(access, "acting", lambda: access.Person(name, role, group.path.parent))
        monkeypatch.setattr("colora.runs.external.acting_user", lambda: name)

    as_("rea@clinic.example", "reader")
    with pytest.raises(access.Refused, match="may not test models on other data"):
        fabricate_external(group, "of-rea")
    as_("eve@lab.example", "researcher")
    fabricate_external(group, "of-eve")
    as_("bob@lab.example", "researcher")
    with pytest.raises(access.Refused, match="may not remove tests on other data that are not their own"):
        remove_external(external_test(group, "external/of-eve"))
    as_("eve@lab.example", "researcher")
    remove_external(external_test(group, "external/of-eve"))
    assert external_splits(group) == [SPLIT]


def test_whole_run_has_one(tmp_path):
    assert external_splits(whole_run(tmp_path / "runs")) == [SPLIT]
