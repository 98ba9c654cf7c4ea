"""What a reader decides about one image: a verdict with a note, and the way back.

The buttons stand under the picture, in its own element; here is what they do, and what goes with a verdict.
"""

import streamlit as st

from colora import verdicts
from colora.catalog import VERDICTS
from colora.errors import UserError
from pages.components import scored, show
from pages.components.command import signed_in
from pages.components.runs import runs_dir
from pages.components.viewer import Verdicts

MEANING = {
    "wrong_label": "The given class is not what the image shows.",
    "artefact": "The recording is at fault: cut off, blurred, mirrored.",
    "hard": "Rightly labelled, and difficult for a person too.",
    "fine": "Nothing is wrong with it.",
}
UNKNOWN = "Not sure which"


def reader() -> str:
    """Whose verdicts these are: the person signed in, else a name that can be changed for the session."""
    if signed_in():
        return verdicts.own_reader()
    if "reader" not in st.session_state:
        st.session_state["reader"] = verdicts.own_reader()
    return st.session_state["reader"]


def choices(checksum: str, image_id: str, class_names: list[str]) -> Verdicts:
    """What the reader can decide about an image, and what they have decided."""
    judged = scored.verdicts(checksum)
    own = judged[(judged["image_id"] == image_id) & (judged["reader"] == reader())]
    standing = own.iloc[0].to_dict() if len(own) else None
    titles = {verdict: (title, MEANING[verdict]) for verdict, title in VERDICTS.items()}
    if standing is None:
        return Verdicts(titles, None, "")
    return Verdicts(titles, standing["verdict"], in_words(standing, class_names))


def with_a_verdict(checksum: str, image_id: str, class_names: list[str], label: int, there: bool) -> None:
    """What can be said along with a verdict, what others said, and who decides here. `there`: the image can be shown;
    without its picture nothing is judged."""
    who = reader()
    judged = scored.verdicts(checksum)
    with st.container(border=True, key="verdict-box"):
        st.markdown("**With your verdict**")
        others = [UNKNOWN, *(name for c, name in enumerate(class_names) if c != label)]
        left, right = st.columns(2)
        with left:
            st.selectbox("The right class, of a wrong label", others, key=f"right-class-{image_id}")
        with right:
            st.text_input("Note", key=f"note-{image_id}", placeholder="optional", help="Write it before the verdict.")
        st.caption(
            "A verdict holds for these data at this image size, in every group that was trained on them."
            if there
            else "Nothing can be judged here while the image cannot be shown."
        )
        if problem := st.session_state.pop("verdict-problem", None):
            show.say(problem)
        for _, row in judged[(judged["image_id"] == image_id) & (judged["reader"] != who)].iterrows():
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


def judge(checksum: str, image_id: str, class_names: list[str], label: int, verdict: str, seen: str) -> None:
    """Record a verdict on an image, or take the last one back ("undo"); refused where the picture that was `seen` is
    another image's."""
    right = st.session_state.get(f"right-class-{image_id}", UNKNOWN)
    other = class_names.index(right) if verdict == "wrong_label" and right != UNKNOWN else None
    note = st.session_state.get(f"note-{image_id}", "").strip()
    try:
        if verdict == "undo":
            verdicts.undo(runs_dir(), reader(), checksum, image_id, seen)
        else:
            verdicts.judge(runs_dir(), reader(), checksum, image_id, verdict, other, note, seen)
    except UserError as error:
        st.session_state["verdict-problem"] = str(error)
