"""What a reader decides about one image: a verdict with a note, and the way back."""

import streamlit as st

from colora import verdicts
from colora.catalog import VERDICTS
from colora.errors import UserError
from pages.components import scored, show
from pages.components.command import signed_in
from pages.components.runs import runs_dir

ICONS = {
    "wrong_label": ":material/label_off:",
    "artefact": ":material/broken_image:",
    "hard": ":material/psychology_alt:",
    "fine": ":material/check:",
}
MEANING = {
    "wrong_label": "The given class is not what the image shows.",
    "artefact": "The recording is at fault: cut off, blurred, mirrored.",
    "hard": "Rightly labelled, and difficult for a person too.",
    "fine": "Nothing is wrong with it.",
}
UNKNOWN = "Not sure which"
UNDONE = "undone-verdict"


def reader() -> str:
    """Whose verdicts these are: the person signed in, else a name that can be changed for the session."""
    if signed_in():
        return verdicts.own_reader()
    if "reader" not in st.session_state:
        st.session_state["reader"] = verdicts.own_reader()
    return st.session_state["reader"]


def verdict_buttons(checksum: str, image_id: str, class_names: list[str], label: int, seen: bool) -> None:
    """`seen`: the image that the verdict would name is on the page; without it nothing is judged."""
    who = reader()
    judged = scored.verdicts(checksum)
    here = judged[judged["image_id"] == image_id]
    own = here[here["reader"] == who]
    standing = own.iloc[0].to_dict() if len(own) else None
    with st.container(border=True, key="verdict-box"):
        st.markdown("**Your verdict**" + (f": {show.literal(in_words(standing, class_names))}" if standing else ""))
        with st.container(horizontal=True):
            for verdict, title in VERDICTS.items():
                chosen = standing is not None and standing["verdict"] == verdict
                st.button(
                    title,
                    icon=ICONS[verdict],
                    type="primary" if chosen else "secondary",
                    disabled=not seen,
                    help=MEANING[verdict],
                    key=f"verdict-{verdict}",
                    on_click=_judge,
                    args=(who, checksum, image_id, verdict, class_names, label),
                )
            st.button(
                "Undo",
                icon=":material/undo:",
                type="tertiary",
                disabled=standing is None,
                help="Takes back your last verdict on this image; the one before stands again.",
                key="verdict-undo",
                on_click=_undo,
                args=(who, checksum, image_id),
            )
        st.caption(
            "A verdict holds for these data at this image size, in every group that was trained on them."
            if seen
            else "Nothing can be judged here while the images cannot be shown."
        )
        left, right = st.columns(2)
        others = [UNKNOWN, *(name for c, name in enumerate(class_names) if c != label)]
        with left:
            st.selectbox("The right class, of a wrong label", others, key=f"right-class-{image_id}")
        with right:
            st.text_input("Note", key=f"note-{image_id}", placeholder="optional", help="Write it before the verdict.")
        if problem := st.session_state.pop("verdict-problem", None):
            show.say(problem)
        for _, row in here[here["reader"] != who].iterrows():
            st.caption(show.literal(f"{row['reader']}: {in_words(row.to_dict(), class_names)}"))
        if not signed_in():
            with st.popover(f"You are {show.brief(who)}", icon=":material/person:", type="tertiary"):
                st.text_input(
                    "Reader",
                    key="reader",
                    persist_state="session",
                    help="Each reader's verdicts are kept apart. Letters, digits, dots, dashes and underscores.",
                )


def in_words(row: dict, class_names: list[str]) -> str:
    """`Wrong label, rather DME ("cyst")`."""
    text = VERDICTS[row["verdict"]]
    if row["label"] is not None and row["label"] == row["label"]:  # a missing number is not itself
        text += f", rather {verdicts.class_title(int(row['label']), class_names)}"
    return text + (f" (“{row['note']}”)" if row["note"] else "")


def _judge(who: str, checksum: str, image_id: str, verdict: str, class_names: list[str], label: int) -> None:
    right = st.session_state.get(f"right-class-{image_id}", UNKNOWN)
    other = class_names.index(right) if verdict == "wrong_label" and right != UNKNOWN else None
    note = st.session_state.get(f"note-{image_id}", "").strip()
    try:
        verdicts.judge(runs_dir(), who, checksum, image_id, verdict, other, note)
    except UserError as error:
        st.session_state["verdict-problem"] = str(error)


def _undo(who: str, checksum: str, image_id: str) -> None:
    try:
        verdicts.undo(runs_dir(), who, checksum, image_id)
    except UserError as error:
        st.session_state["verdict-problem"] = str(error)
