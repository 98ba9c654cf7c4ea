"""What a reader decides about one image: a verdict with a note, and the way back.

The buttons stand under the picture, in its own element; here is what they do, and what goes with a verdict.
"""

import hashlib

import streamlit as st

from colora.distillation import verdicts
from colora.settings.catalog import VERDICTS
from colora.system.errors import UserError
from pages.components import show
from pages.components.elements.viewer import Pressed, Verdicts
from pages.components.images import scored
from pages.components.images.who import reader, tab, who_reads
from pages.components.runs import runs_dir

MEANING = {
    "wrong_label": "The given class is not what the image shows.",
    "artefact": "The recording is at fault: cut off, blurred, mirrored.",
    "hard": "Rightly labelled, and difficult for a person too.",
    "fine": "Nothing is wrong with it.",
}
UNKNOWN = "Not sure which"
NOT_GIVEN_HERE = "Nothing was taken back: the verdict that stands was not given in this tab. Give another one instead."


def choices(checksum: str, image_id: str, class_names: list[str]) -> Verdicts:
    """What the reader can decide about an image, and what they have decided."""
    who, judged = reader(), scored.verdicts(checksum)
    own = judged[(judged["image_id"] == image_id) & (judged["reader"] == who)]
    titles = {verdict: (title, MEANING[verdict]) for verdict, title in VERDICTS.items()}
    draft = hashlib.sha256("\n".join((checksum, image_id, who or "")).encode()).hexdigest()
    if own.empty:
        return Verdicts(titles, checksum, who, draft)
    standing = own.iloc[0].to_dict()
    here = standing["id"] if standing["tab"] == tab() else None
    return Verdicts(
        titles, checksum, who, draft, standing["verdict"], in_words(standing, class_names), standing["note"], here
    )


def with_a_verdict(checksum: str, image_id: str, class_names: list[str], label: int, there: bool) -> None:
    """What can be said along with a verdict, what others said, and who decides here. `there`: the image can be shown;
    without its picture nothing is judged."""
    who = reader()
    judged = scored.verdicts(checksum)
    with st.container(border=True, key="verdict-box"):
        st.markdown("**With your verdict**")
        others = [UNKNOWN, *(name for c, name in enumerate(class_names) if c != label)]
        st.selectbox("The right class, of a wrong label", others, key=f"right-class-{image_id}")
        st.caption(
            "A verdict holds for these data at this image size, in every group that was trained or tested on them."
            if there
            else "Nothing can be judged here while the image cannot be shown."
        )
        say_problem()
        said = judged[(judged["image_id"] == image_id) & (judged["reader"] != who)]
        for _, row in said.iterrows() if who else ():
            st.caption(show.literal(f"{row['reader']}: {in_words(row.to_dict(), class_names)}"))
        who_reads()


def in_words(row: dict, class_names: list[str]) -> str:
    """`Wrong label, rather DME ("cyst")`."""
    text = VERDICTS[row["verdict"]]
    if row["label"] is not None and row["label"] == row["label"]:  # a missing number is not itself
        text += f", rather {verdicts.class_title(int(row['label']), class_names)}"
    return text + (f" (“{row['note']}”)" if row["note"] else "")


def judge(checksum: str, image_id: str, class_names: list[str], pressed: Pressed) -> None:
    """Record a verdict on an image, or take the last one back ("undo"); refused where who or what was on the screen is
    not who reads and what is named here."""
    right = st.session_state.get(f"right-class-{image_id}", UNKNOWN)
    other = class_names.index(right) if pressed.verdict == "wrong_label" and right != UNKNOWN else None
    try:
        who = check_drawn(checksum, image_id, pressed)
        if pressed.verdict == "undo":
            verdicts.undo(runs_dir(), who, checksum, image_id, pressed.seen, check_own(pressed))
        else:
            note = pressed.note.strip()
            given = (pressed.verdict, other, note, pressed.seen, tab(), len(class_names))
            verdicts.judge(runs_dir(), who, checksum, image_id, *given)
    except UserError as error:
        st.session_state["verdict-problem"] = str(error)


def unheard() -> None:
    """A verdict reached a session that knew nothing, yet or any more, of the page it was given on."""
    st.session_state["verdict-problem"] = (
        "The last verdict may not be recorded: the server had lost its page, or was drawing another. Look at the "
        "image, and press again where no verdict stands."
    )


def say_problem() -> None:
    """Why the last verdict was not recorded, once, wherever its reader is by then."""
    if problem := st.session_state.pop("verdict-problem", None):
        show.say(problem)


def check_drawn(checksum: str, image_id: str, pressed: Pressed) -> str:
    """Who reads. Raises UserError where another reader, another image, or one of other data was on the screen."""
    who = reader()
    if who is None or pressed.reader != who:
        now = f"it is {who} who reads here now" if who else "who reads here is being asked"
        raise UserError(
            f"Nothing was recorded: the page was drawn for {pressed.reader or 'nobody'}, and {now}. Press again if it "
            "is your name that stands there.",
            field="reader",
        )
    if pressed.data != checksum:
        raise UserError(
            "Nothing was recorded: the picture on the screen was of other data. Look at the picture that is there now "
            "and press again.",
            field="data_checksum",
        )
    verdicts.check_seen(image_id, pressed.seen)
    return who


def check_own(pressed: Pressed) -> str:
    """The event that this tab takes back. Raises UserError where what stands was not given here."""
    if pressed.event is None:
        raise UserError(NOT_GIVEN_HERE, field="event_id")
    return pressed.event
