"""The one look at data before training, on the Data page and on the Launch form: what is in them, in sentences, and
what has to be answered first, by a click."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd
import streamlit as st

from colora.data.check import look as look_at
from colora.data.counts import too_large
from colora.data.medmnist import on_disk
from colora.data.tables.beside import offered_in
from colora.runs.access import named_place
from colora.runs.data_said import leak, says_duplicates, says_not_read, says_patients
from colora.settings.config import DATA_FIELDS, WITH_PATH, RunConfig, make_config
from colora.settings.medmnist_info import known, stored_size
from colora.system.errors import UserError
from colora.system.typed import is_file
from pages.components import show
from pages.components.beside import Job, answered
from pages.components.data import beside, carried
from pages.components.runs import place_stamps

FOLDER_SECONDS = 60  # after which a folder is looked at anew; files deep inside it leave no mark at its top
FOLDED_FROM, FOLDED_LETTERS = 3, 400  # warnings that are folded away beside the Launch form: so many, or so long
ANSWERS = {  # what a sentence may ask for by its flag: {flag: (field, value, the button's words)}
    "--layout class-number": ("layout", "class-number", "Patients: the word is their class"),
    "--layout classes": ("layout", "classes", "Every sub-folder is a class"),
    "--leave-out-unknown": ("leave_out_unknown", True, "Leave these images out"),
    "--ignore-splits": ("ignore_splits", True, "Ignore these splits and split all images anew"),
}
FLAG = re.compile(r"--([a-z][a-z-]+)")
Found = dict[str, Any]


@dataclass(frozen=True)
class Looked:
    """found: `runs.documents.DataCheck` of the data, as reading every image told it where somebody has asked for that;
    None while a `process` is at it, and of a MedMNIST set that is not here. stamps: the state of the files; large: a
    folder or table that a process looks at."""

    found: Found | None
    stamps: Any
    large: bool = False
    process: Job | None = None


def at(config: RunConfig) -> Looked:
    """Kept until the files change. Raises UserError for bad input, and for what has to be answered."""
    stamps = stamps_of(config)
    if known(config.dataset) and not _here(config):
        return Looked(None, stamps)
    found = _look(config, _key(config), stamps)
    if found is not None:
        return Looked(_with_check(found, config, stamps), stamps)
    names = beside.names_of(config, stamps)
    if names.under_way:
        return Looked(None, stamps, True, names)
    return Looked(_with_check(answered(names), config, stamps), stamps, True)


def stamps_of(config: RunConfig) -> Any:
    """The state of the files at the top of the data."""
    kind, _, place = config.dataset.partition(":")
    if known(kind):
        found = on_disk(kind, stored_size(config.image_size), config.data_dir)
        return [place_stamps(path) for path in (found.npz, found.folder / "set.json")]
    return place_stamps(named_place(place, "dataset")) if place else None


def _here(config: RunConfig) -> bool:
    found = on_disk(config.dataset, stored_size(config.image_size), config.data_dir)
    return found.state in ("unpacked", "downloaded")


def _key(config: RunConfig) -> str:
    """What a look depends on: not on the size of the images, which it does not read."""
    size = {"image_size"} if config.dataset.partition(":")[0] in WITH_PATH else set()
    return config.model_dump_json(include=set(DATA_FIELDS) - size)


@st.cache_data(show_spinner=False, max_entries=64, ttl=FOLDER_SECONDS)
def _look(_config: RunConfig, key: str, stamps: Any) -> Found | None:
    """None of what is too large to be looked at here."""
    return None if too_large(_config) else look_at(_config)


def _with_check(found: Found, config: RunConfig, stamps: Any) -> Found:
    """With what reading every image told, as long as that is of the same files, as far as their numbers tell."""
    check = beside.check_of(config, stamps)
    if check is None or check.under_way or check.answer.exception():
        return found
    whole = answered(check)
    return whole if _images(whole) == _images(found) else found


def _images(found: Found) -> int:
    """Files that are named as images of the set, those included that were found out to be none."""
    read = sum(sum(own.values()) for own in found["counts"].values())
    return read + found["not_read"]["n"]


def field_of(error: UserError) -> str:
    """The setting that a sentence is about: its own; of one about the data as a whole, that whose flag it names."""
    if error.field not in (None, "dataset"):
        return error.field
    named = (flag.replace("-", "_") for flag in FLAG.findall(str(error)))
    return next((field for field in named if field in DATA_FIELDS), "dataset")


def answers(problem: str, now: dict[str, Any]) -> list[tuple[str, Any, str]]:
    """(field, value, words) of each answer that a sentence asks for, as far as it is not given already."""
    found = [answer for flag, answer in ANSWERS.items() if re.search(rf"{flag}(?![\w-])", problem)]
    return [answer for answer in found if now.get(answer[0]) != answer[1]]


def answer_buttons(problem: str, now: dict[str, Any], key: Callable[[str], str]) -> None:
    """A click gives the answer to the field whose widget has the `key`."""
    if found := answers(problem, now):
        with st.container(horizontal=True):
            for field, value, words in found:
                st.button(
                    words,
                    icon=":material/check:",
                    key=f"answer-{field}-{value}",
                    on_click=_answer,
                    args=(key(field), value),
                )


def _answer(key: str, value: Any) -> None:
    st.session_state[key] = value


def mark_with_answers(problem: str | None, now: dict[str, Any], key: Callable[[str], str]) -> None:
    """Under a field of a form: what is wrong with it, and what it can be answered with."""
    show.mark(problem)
    if problem:
        answer_buttons(problem, now, key)
        table_link([problem], "pages/launch.py", carried.for_launch)


def table_link(sentences: list[str], page: str, query: Callable[[RunConfig], dict[str, str]]) -> None:
    """To the same page with the table that one of the sentences offers, where one does; else an empty place."""
    path = next(filter(None, map(offered_in, sentences)), None)
    if path and is_file(path):
        table = query(make_config({"dataset": f"table:{path}"}))
        st.page_link(page, label="Take that table", icon=":material/table:", query_params=table)
    else:
        st.empty()


def show_details(found: Found) -> None:
    """How the data are split, whose they are, what leaks, what is not read, and all warnings; each in its own place."""
    nothing = "" if found["not_read"]["n"] else "  \n**Not read**: nothing."
    st.markdown(
        f"**Split**: {show.literal(found['split_rule'])}.  \n"
        f"**Patients**: {show.literal(says_patients(found).partition(': ')[2])}{nothing}"
    )
    st.empty() if nothing else show_not_read(found)
    show_warnings(leak(found), found["warnings"])
    table_link(found["warnings"], "pages/data.py", carried.for_data_page)


def show_warnings(leaks: str | None, warnings: list[str]) -> None:
    """In two places."""
    show.say(leaks, st.warning, ":material/content_copy:") if leaks else st.empty()
    if warnings:
        st.warning("\n\n".join(map(show.literal, warnings)), icon=":material/warning:")
    else:
        st.empty()


def show_not_read(found: Found) -> None:
    """Files that are no images of the set: a line a reason, with its classes and the first of them."""
    left_out = found["not_read"]
    files = "1 file" if left_out["n"] == 1 else f"{left_out['n']:,} files"
    with st.expander(f"Not read: {files}", icon=":material/visibility_off:", expanded=True):
        rows = [
            {
                "What": reason,
                "Files": f"{n:,}",
                "In": ", ".join(f"{name} {count:,}" for name, count in left_out["by_class"][reason].items()),
                "Such as": ", ".join(left_out["examples"][reason]),
            }
            for reason, n in left_out["by_reason"].items()
        ]
        show.table(pd.DataFrame(rows).set_index("What"), alt="Files that are not read, by reason", border="horizontal")


def show_briefly(found: Found, config: RunConfig) -> None:
    """The same beside the Launch form, as far as it is something to know."""
    lines = [f"Split {found['split_rule']}.", says_patients(found)]
    lines += [says_duplicates(found)] if found["duplicates"] else []
    lines += [says_not_read(found)] if found["not_read"]["n"] else []
    st.caption("  \n".join(map(show.literal, lines)))
    asked = tuple(doubt["said"].removesuffix(".") for doubt in found.get("doubts", ()))  # at the field
    warnings = [said for said in found["warnings"] if not (asked and said.startswith(asked))]
    folded = len(warnings) >= FOLDED_FROM or sum(map(len, warnings)) >= FOLDED_LETTERS
    show_warnings(leak(found), [] if folded else warnings)
    if not folded:
        st.empty()  # each part in its own place: the page waits after this, and what moves would be there twice
    else:
        many = "1 warning" if len(warnings) == 1 else f"{len(warnings)} warnings"
        with st.expander(f"{many} about these data", icon=":material/warning:"):
            st.markdown("\n".join(f"- {show.literal(said)}" for said in warnings))
    table_link(found["warnings"], "pages/launch.py", carried.for_launch)
    st.page_link(
        "pages/data.py",
        label="More of these data, and duplicates",
        icon=":material/database:",
        query_params=carried.for_data_page(config),
    )
