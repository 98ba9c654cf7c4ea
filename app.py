"""CoLoRA Studio in the browser: `streamlit run app.py`.

Streamlit imports this file once, for `app`, when its server starts; and runs it as a script for each page it draws.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import streamlit as st

ICON = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">
<rect width="32" height="32" rx="7" fill="#0b6e82"/>
<path d="M4 11q12 9 24 0M4 17q12 9 24 0M4 23q12 9 24 0" stroke="white" stroke-width="3" fill="none"/></svg>"""
# Captions fade in their text alone: Streamlit's opacity of 0.6 leaves 4.2:1 where 4.5:1 is asked, and a link less.
# What is chosen among several stands on a tint of the primary colour, on which that colour itself has too little.
STYLE = """<style>
[data-testid="stMainBlockContainer"] {{padding: 4.5rem clamp(1rem, 3vw, 5rem) 3rem}}
[data-testid="stCaptionContainer"] {{opacity: 1; color: color-mix(in srgb, currentcolor 70%, transparent)}}
[data-testid="stButtonGroup"] [role="radiogroup"] {{flex-wrap: wrap; row-gap: .3rem}}
[data-testid="stBottomBlockContainer"] {{padding: .6rem clamp(1rem, 3vw, 5rem); border-top: 1px solid #8a959a80}}
[data-testid="stButtonGroup"] button[data-selected]:not([data-disabled]) {{color: light-dark({light}, {dark})}}
</style>"""


def draw() -> None:
    """The frame and the page that the address asks for."""
    from colora.settings.catalog import NOTICE
    from colora.system.file_rights import write_as
    from pages.components import sign_in
    from pages.components.elements.history import one_step_a_move
    from pages.components.frame import navigation, run
    from pages.components.runs import runs_dir

    write_as(runs_dir())
    admission = sign_in.begin()
    page = navigation(hidden=admission.problem is not None)
    st.set_page_config(page_title=f"{page.title} · CoLoRA Studio", page_icon=ICON, layout="wide")
    st.html(STYLE.format(**{theme: st.get_option(f"theme.{theme}.linkColor") for theme in ("light", "dark")}))
    one_step_a_move()
    sign_in.door(admission, f":material/science: **CoLoRA Studio** · {NOTICE}")
    st.session_state["inside-app"] = page.title
    run(page)


@asynccontextmanager
async def serving(app: st.App) -> AsyncIterator[None]:
    """While the server runs it sees to it that what waits is trained, also where nobody opens a page. It does not run
    where others would reach it and nobody has to sign in."""
    from colora.queue import worked  # now: what pages keep of what they have read belongs to the server
    from pages.components import doors
    from pages.components.runs import runs_dir

    doors.leave_if_refused()

    async def watch() -> None:
        while True:
            worked.watched(runs_dir())
            await asyncio.sleep(worked.KEEP_SECONDS)

    watching = asyncio.create_task(watch())
    yield
    watching.cancel()


if __name__ == "__main__":
    draw()
else:
    app = st.App(__file__, lifespan=serving)
