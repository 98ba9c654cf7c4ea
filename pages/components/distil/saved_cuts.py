"""The saved cuts: train on one, compare it, take it away and bring it back."""

import pandas as pd
import streamlit as st

from colora.data.cuts import Cut, list_cuts, read_cut, remove_cut
from colora.distillation.comparison import ANOTHER_PREFIX, FULL_LR, Plan, plan_comparison
from colora.runs.folder import Group, open_group
from colora.runs.trash import Entry
from colora.settings.seeds import parse_seeds
from colora.system.errors import UserError
from colora.system.typed import bare
from pages.components import acting, address, command, show, undo
from pages.components.decimals import needed
from pages.components.launch.origin import ask_anew
from pages.components.runs import Shown, runs_dir, summary

CUTS = "cuts"  # where it is said that something was pressed in vain
SHOWN = "shown-cut"
ROLES = {
    "balanced": "Balanced",
    "distilled": "Distilled",
    "random": "Random, same size",
    "full": "Full fine-tuning, distilled",
}


def saved_cuts() -> None:
    acting.say(CUTS)
    undo_removal()
    rows = list_cuts(runs_dir())
    if not rows:
        st.caption("No cut is saved yet.")
        return
    usable = [row for row in rows if row["reason"] is None]
    for row in rows:
        if row["reason"]:
            why = f"cannot be used: {show.literal(row['reason'])}"
            st.error(f"**{show.literal(row['name'])}** {why}", icon=":material/broken_image:")
    if not usable:
        return
    table = pd.DataFrame(
        [
            {
                "Cut": row["name"],
                "Images": row["images"],
                "Rule": row["says"],
                "From": row["made_from"],
                "Data": row["data_source"],
                "Made": f"{show.time_text(row['created'])}, {row['user']}",
                "Hash": row["hash"][:12],
            }
            for row in usable
        ]
    )
    st.dataframe(
        table,
        hide_index=True,
        alt="Saved cuts, newest first",
        column_config={
            "Cut": st.column_config.TextColumn(pinned=True),
            "Hash": st.column_config.TextColumn(help="The same for the same images of the same data, on any machine."),
        },
    )
    show.csv_button(table, "cuts")
    if cut := chosen_cut([row["name"] for row in usable]):
        one_cut(cut)


def chosen_cut(names: list[str]) -> Cut | None:
    """None where the one that was shown has gone, until another is chosen: none takes its place under its buttons."""
    shown = st.session_state.get(SHOWN)
    gone = shown is not None and shown.name not in names
    if gone:
        st.warning(
            f"The cut **{show.literal(shown.name)}** was removed elsewhere meanwhile. Choose another one.",
            icon=":material/warning:",
        )
    key = address.one("cut", names, default=None) if gone else address.one("cut", names)
    name = st.selectbox("Cut", names, None if gone else 0, key=key, placeholder="Choose a cut")
    if name is None:
        return None
    try:
        cut = read_cut(runs_dir(), name)
    except UserError as error:  # removed at this moment
        show.say(error)
        return None
    if shown and shown.name == name and shown.identity != cut.identity:
        st.info(f"The cut **{show.literal(name)}** was replaced: this is the new one.", icon=":material/info:")
    st.session_state[SHOWN] = Shown(name, cut.identity)
    return cut


def one_cut(cut: Cut) -> None:
    kept = ", ".join(f"{name} {n:,}" for name, n in zip(cut.class_names, cut.counts["kept"], strict=True))
    st.markdown(f"**{len(cut.image_ids):,} images**: {show.literal(kept)}")
    st.caption(show.literal(f"Rule: {cut.rule.says()}. {cut.source_says}. Hash {cut.hash}."))
    for note in cut.notes:
        show.say(note, st.warning, ":material/warning:")
    with st.container(horizontal=True):
        about = {"needs": "launch", "type": "primary", "icon": ":material/play_arrow:"}
        if trained := acting.button("Train on this cut", [cut], "train-on-cut", CUTS, **about):
            train_on(*trained)
        st.download_button(
            "Cut as a file",
            lambda: cut.model_dump_json(indent=1),
            file_name=f"{cut.name}.json",
            mime="application/json",
            icon=":material/download:",
            key="download-cut",
            on_click="ignore",
            help="For another machine with the same data: --cut FILE.",
        )
        about = {"needs": "cut-rm", "icon": ":material/delete:", "help": "Groups trained on it keep theirs."}
        if removed := acting.button("Remove", [cut], "remove-cut", CUTS, **about):
            remove(*removed)
    if cut.source.group:
        comparison(cut)


def remove(cut: Cut) -> None:
    try:
        place = remove_cut(runs_dir(), cut.name, cut.identity)
    except UserError as error:
        show.say(error)
        return
    st.session_state["removed-cut"] = Entry(place)
    for known in ("just-saved", SHOWN):
        st.session_state.pop(known, None)
    st.rerun()


def undo_removal() -> None:
    if (entry := undo.removed("removed-cut")) is None:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.info(f"The cut **{show.literal(entry.own_name)}** is in the trash.", icon=":material/delete:")
        pressed = acting.button("Undo", [entry], "undo-cut", CUTS, needs="put-back", icon=":material/undo:")
        if pressed and undo.take_back("removed-cut", entry):
            st.session_state["cut"] = entry.own_name
            st.rerun()


def train_on(cut: Cut) -> None:
    """To the Launch form, filled as the cut's group was launched, or with the data that were checked, with the cut."""
    ask_anew()
    clone = {"clone": cut.source.group} if cut.source.group else {}
    st.switch_page("pages/launch.py", query_params={**clone, "cut": cut.name})


def comparison(cut: Cut) -> None:
    """The groups that credit the distillation; planned only while it is unfolded."""
    unfolded = st.expander("Does the cut help? Compare it", icon=":material/balance:", key="compare", on_change="rerun")
    if not unfolded.open:
        return
    with unfolded:
        st.markdown(
            "A better result after a cut may come from the choice of images, from balancing, from the number of images "
            "or from the method. Four groups tell them apart, each like the cut's group but for one thing."
        )
        left, middle, right = st.columns(3)
        with left:
            label, meaning = "Names of the groups begin with", "The rest of each name says which of the four it is."
            prefix = st.text_input(label, key="compare-prefix", placeholder=cut.name, help=meaning, max_chars=70)
            prefix = bare(prefix) or cut.name
        with middle:
            seeds = st.text_input("Random seeds", key="compare-seeds", placeholder="as the cut's group")
        with right:
            label = "Learning rate of full fine-tuning"
            help_text = "At Adam's default rate, 0.001, full fine-tuning of a small set can collapse."
            typed = st.text_input(label, f"{FULL_LR:g}", key="compare-lr", help=help_text)
        try:
            rate = needed(label, typed, 1e-6, 1)
            with st.spinner("Looking for the groups …"):
                chosen = parse_seeds(seeds) if seeds.strip() else None
                plan = plan_comparison(runs_dir(), cut, prefix, chosen, rate)
                source = open_group(runs_dir() / cut.source.group)
        except UserError as error:
            show.say(in_page_words(error))
            return
        arms(plan)
        missing = [arm for arm in plan.arms if not arm.exists]
        if not missing:
            return
        many = f"{len(missing)} group{'s' * (len(missing) > 1)} × {len(plan.seeds)} seed{'s' * (len(plan.seeds) > 1)}"
        about, icon = [cut, source], ":material/play_arrow:"
        if acting.button(f"Launch {many}", about, "launch-comparison", CUTS, needs="launch", icon=icon):
            launch(cut, prefix, seeds, rate, missing[0].group)


def in_page_words(error: UserError) -> str:
    """Where the command line names its option, the field of the page."""
    return str(error).replace(ANOTHER_PREFIX, "let the names of the groups begin with something else")


def arms(plan: Plan) -> None:
    rows = []
    for arm in plan.arms:
        row = {"": ROLES[arm.role], "Group": arm.group, "What it is": arm.about, "State": "not launched"}
        if arm.exists:
            try:
                about = summary(Group(runs_dir() / arm.group))
                row["State"] = about["state"]
                for metric, title in (("accuracy", "Test accuracy"), ("auc", "Test AUC")):
                    row[title] = show.spread_text(about["over_seeds"]["test"][metric], len(about["seeds"]))
            except UserError as error:
                row["State"] = f"damaged: {error}"
        rows.append(row)
    alt = "The groups of the comparison with their test figures"
    show.table(pd.DataFrame(rows).fillna("–").set_index(""), border="horizontal", alt=alt)
    st.caption(
        "Test figures: median over the finished seeds [middle half]. Distilled against random: does the choice of "
        "images matter, at the same size and balance? Against balanced: does it beat more images? Against full "
        "fine-tuning: the method. A difference smaller than the spread over seeds says nothing."
    )


def launch(cut: Cut, prefix: str, seeds: str, rate: float, first: str) -> None:
    arguments = ["cut", "compare", cut.name, f"--identity={cut.identity}", f"--prefix={prefix}"]
    arguments += ["--full-lr", repr(rate), "--runs-dir", str(runs_dir())]
    if seeds.strip():
        arguments += ["--seeds", seeds.strip()]
    try:
        with st.spinner("Checking data and networks …", show_time=True):
            command.run_colora(arguments, timeout=600)
    except UserError as error:
        show.say(f"Not launched. {in_page_words(error)}")
        return
    st.switch_page("pages/monitor.py", query_params={"group": first})
