"""Distil: cut the training set by how unsure the models are of its images, see what goes, train on the rest."""

import streamlit as st

from colora.data.cuts import Cut, identity_of, same_cut, save_cut
from colora.data.rules import Rule
from colora.distillation.distil import Pool, distil
from colora.distillation.scores import SeedPredictions, Whose, whose_says
from colora.plots import SPLIT_NAMES
from colora.runs.folder import Group
from colora.system.errors import UserError
from pages.components import acting, leaks, show
from pages.components.distil import cut_preview, cut_rule
from pages.components.distil.saved_cuts import SHOWN, saved_cuts, train_on
from pages.components.frame import inside_app
from pages.components.images import listed, scored
from pages.components.images.in_address import IMAGE, code
from pages.components.runs import Shown, found_group, runs_dir, show_damage, show_damaged_seeds, summary

REPLACED = "would-replace"  # the name in the field, and the identity of the cut that has it
WHY = (
    "The paper's second half: sort the training images of each class by how unsure the best model is (entropy of its "
    "prediction), discard the few it is least sure of, which may be mislabelled or spoilt, keep the next so many, "
    "and train again."
)


def smallest_class(found: SeedPredictions, pool: Pool) -> int:
    labels = found.images["label"][found.images["used"]] if pool == "run" else found.images["label"]
    return int(labels.value_counts().min())


def choose(group: Group, found: SeedPredictions) -> tuple[Whose, Pool, Rule]:
    """Whose scores of which images, and the rule. Raises UserError for what does not go together."""
    kind = cut_rule.choose_kind()
    score = "entropy"
    if kind in ("rank", "share", "threshold"):
        score = listed.choose_score(found)
    whose = listed.choose_whose(found)
    pool = cut_rule.choose_pool(bool(found.images["used"].all()))
    smallest = smallest_class(found, pool)
    cut_rule.begin_anew((group.name, pool), smallest)
    readers = sorted(scored.verdicts(found.data_checksum)["reader"].unique())
    return whose, pool, cut_rule.choose_rule(kind, score, smallest, readers)


def save(found: SeedPredictions, whose: Whose, pool: Pool, rule: Rule) -> None:
    """Keep the cut under a name."""
    with st.container(border=True, key="save-box"):
        with st.container(horizontal=True, vertical_alignment="bottom"):
            usual = f"{found.group.name}-{rule.kind}"[:80]
            name = st.text_input("Name of the cut", usual, key=f"cut-name-{usual}", max_chars=80)
            replace = st.checkbox("Replace", key="replace-cut", help="Replace another cut of this name.")
            drawn, there = st.session_state.get(REPLACED), (name.strip(), identity_of(runs_dir(), name.strip()))
            st.session_state[REPLACED] = there
            about = {"needs": "cut", "type": "primary", "icon": ":material/save:"}
            pressed = acting.button("Save the cut", [found.group], "save-cut", **about)
        if pressed:
            _, instead_of = drawn if drawn and drawn[0] == name.strip() else there
            try:
                cut = distil(found, name.strip(), rule, whose, pool)
                save_cut(runs_dir(), cut, replace, instead_of)
            except UserError as error:
                show.say(error)
            else:
                st.session_state["cut"], st.session_state["just-saved"] = cut.name, cut
                st.session_state[REPLACED] = cut.name, cut.identity
                st.session_state[SHOWN] = Shown(cut.name, cut.identity)
        saved = st.session_state.get("just-saved")
        if saved and saved.name == name.strip():
            offer(saved)


def offer(saved: Cut) -> None:
    """The cut that was just saved, as long as it is there."""
    try:
        same_cut(runs_dir(), saved.name, saved.identity)
    except UserError:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.success(f"Saved as **{show.literal(saved.name)}**.", icon=":material/check:")
        if trained := acting.button("Train on it", [saved], "train-now", icon=":material/play_arrow:"):
            train_on(*trained)


def preview(group: Group, about: dict, found: SeedPredictions) -> None:
    left, right = st.columns([2, 3], gap="large")
    with left:
        try:
            whose, pool, rule = choose(group, found)
        except UserError as error:
            show.say(error, icon=":material/edit:")
            return
    source_line = (
        f"{SPLIT_NAMES['train']} split of {show.data_title(about)}, {cut_rule.POOLS[pool].lower()} · scores of "
        f"{whose_says(found, whose, rule.score if rule.uses_score else None)} of {group.name}"
    )
    with right:
        try:
            divided = cut_preview.division(found, whose, pool, rule)
        except UserError as error:
            show.say(error, icon=":material/edit:")
            return
        said = rule.says()
        st.markdown(f"**{show.literal(said[0].upper() + said[1:])}.**")
        cut_preview.counts(divided, source_line)
        cut_preview.cut_curve(divided, rule, group.name, source_line)
    save(found, whose, pool, rule)
    cut_preview.seeds_agree(found, rule, pool)
    st.subheader("What goes and what stays")
    judged = scored.verdicts(found.data_checksum)
    image_id = cut_preview.galleries(divided, rule, scored.pictures_of(found), judged)
    if image_id:
        asked = {"group": group.name, "part": SPLIT_NAMES["train"], IMAGE: code(found.data_checksum, image_id)}
        st.switch_page("pages/images.py", query_params=asked)


def divide(group: Group) -> None:
    """What the chosen group's scores say about its training images."""
    try:
        about = summary(group)
    except UserError as error:
        show_damage(group, error)
        return
    show.about_line(about)
    leaks.line_and_banner(group, about["data"])
    show_damaged_seeds(about)
    show.not_counted(about)
    st.caption(WHY)
    try:
        found = scored.predictions(group, "train")
    except UserError as error:
        scored.say_why_not(group, about, "train", error)
        return
    try:
        preview(group, about, found)
    except UserError as error:  # of what it says: the group's files, or a reader's verdicts
        show.say(error)
    show.picture_format()


inside_app()
st.header("Distil")
if group := found_group("distil"):
    divide(group)
st.subheader("Saved cuts")
saved_cuts()
