"""What credits a distillation: which groups are needed, with which configs, and which are there already."""

import pytest
from fabricate import fabricate

from colora.data.cuts import PINNED, read_cut, save_cut
from colora.data.rules import make_rule
from colora.distillation.comparison import plan_comparison
from colora.distillation.distil import distil
from colora.distillation.scores import read_predictions
from colora.runs.folder import create_group
from colora.system.errors import UserError


def made_cut(group, name="d", **rule):
    cut = distil(read_predictions(group, "train"), name, make_rule(**(rule or {"drop": 2, "keep": 20})))
    save_cut(group.path.parent, cut)
    return cut


def by_role(plan):
    return {arm.role: arm for arm in plan.arms}


def test_four_arms_that_differ_in_one_thing_each(tmp_path):
    source = fabricate(
        tmp_path, "source", ["done", "done"], {"lr": 0.01, "lr_head": 0.003, "merge_every": 4, "rank": 2}
    )
    plan = plan_comparison(tmp_path, made_cut(source), "d")
    arms = by_role(plan)
    assert plan.seeds == [0, 1]
    assert [arm.group for arm in plan.arms] == ["d-balanced", "d-distilled", "d-random", "d-full"]
    assert not any(arm.exists for arm in plan.arms)
    assert arms["balanced"].config.changes() == source.config.changes() | {"train_set": "balanced"}
    assert arms["distilled"].config.changes() == source.config.changes() | {"cut": "d"}
    assert arms["random"].config.changes() == source.config.changes() | {"cut": "d-random"}
    full = arms["full"].config
    assert (full.method, full.cut, full.lr, full.lr_head) == ("full", "d", 1e-4, 0.003)
    assert (full.merge_every, full.rank) == (1, 1)  # CoLoRA's settings mean nothing to it
    assert plan.random_cut.counts["kept"] == [20] * 4
    assert plan.random_cut.rule.kind == "random"
    assert plan.random_cut.hash != read_cut(tmp_path, "d").hash
    assert plan_comparison(tmp_path, made_cut(source), "d").random_cut.hash == plan.random_cut.hash


def test_what_is_compared_is_trained_on_all_of_its_images(tmp_path):
    source = fabricate(tmp_path, "source", ["done"] * 3, {"folds": 3})
    arms = by_role(plan_comparison(tmp_path, made_cut(source, kind="labels"), "d"))
    assert {arm.config.folds for arm in arms.values()} == {None}


def test_the_source_group_is_the_balanced_arm_where_it_was_balanced(tmp_path):
    source = fabricate(tmp_path, "source", ["done", "done"], {"train_set": "balanced", "per_class": 30})
    arm = by_role(plan_comparison(tmp_path, made_cut(source), "d"))["balanced"]
    assert (arm.group, arm.exists) == ("source", True)
    more = by_role(plan_comparison(tmp_path, made_cut(source), "d", seeds=[0, 1, 2]))["balanced"]
    assert (more.group, more.exists, more.config.per_class) == ("d-balanced", False, 30)


def test_a_full_source_needs_no_second_full_arm(tmp_path):
    source = fabricate(tmp_path, "source", ["done"], {"method": "full", "lr": 1e-4})
    assert "full" not in by_role(plan_comparison(tmp_path, made_cut(source), "d"))


def test_unequal_classes_are_drawn_as_unequal(tmp_path):
    source = fabricate(tmp_path, "source", ["done"])
    cut = made_cut(source, kind="share", drop_share=0.25)
    plan = plan_comparison(tmp_path, cut, "d")
    assert plan.random_cut.counts["kept"] == cut.counts["kept"] == [102, 30, 24, 144]


def test_what_was_launched_before_is_not_launched_again_and_a_taken_name_is_said(tmp_path):
    source = fabricate(tmp_path, "source", ["done"])
    cut = made_cut(source)
    arms = by_role(plan_comparison(tmp_path, cut, "d"))
    create_group(tmp_path, "d-distilled", arms["distilled"].config, [0], documents={PINNED: cut.model_dump()})
    assert [arm.exists for arm in plan_comparison(tmp_path, cut, "d").arms] == [False, True, False, False]
    with pytest.raises(UserError, match="A group named d-distilled exists and is something else"):
        plan_comparison(tmp_path, made_cut(source, "e", keep=9), "d")


def test_what_cannot_be_compared(tmp_path):
    source = fabricate(tmp_path, "source", ["done"])
    drawn = made_cut(source, kind="random", keep=9)
    with pytest.raises(UserError, match="was drawn at random"):
        plan_comparison(tmp_path, drawn, "d")
    cut = made_cut(source, "gone", keep=9)
    with pytest.raises(UserError, match=r"gone\) is not a group|is not a group of runs"):
        plan_comparison(tmp_path / "elsewhere", cut, "d")
