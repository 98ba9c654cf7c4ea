"""An open page notices that its group goes on elsewhere: retried, resumed or stopped in a terminal or another browser.

Now and then a part of the page that runs alone compares the states of this one group's seeds with those that the page
was drawn with, reads nothing else, and draws nothing while they are the same. What it then says stands over the page
and moves nothing on it, since a reader may be about to press a verdict.
"""

from typing import Any

import streamlit as st

from colora.runs.folder import Group
from colora.runs.siblings import seeds_text
from colora.system.errors import UserError
from pages.components import group_actions, show, sign_in
from pages.components.removed import unless_removed

LOOK_SECONDS = 10
OVER_THE_PAGE = """<style>.st-key-elsewhere {{position: fixed; right: 1rem; bottom: 1rem; z-index: 1000;
width: min(26rem, calc(100vw - 2rem)); padding: 1rem; border-radius: 0.5rem; background: {background};
border: 1px solid {border}; box-shadow: 0 4px 16px rgb(0 0 0 / 25%)}}</style>"""


def say_changes(group: Group) -> None:
    """Offer the page anew once the group is no longer what it is now."""
    st.fragment(_look, run_every=LOOK_SECONDS)(group, states(group), False)


def renew_at_changes(group: Group) -> None:
    """Show the page anew, unless somebody is at work in one of its dialogs."""
    st.fragment(_look, run_every=LOOK_SECONDS)(group, states(group), True)


def states(group: Group) -> Any:
    """{seed: (state, when it started)}; None of a damaged one."""
    try:
        return {run.seed: (run.state, run.status.get("started")) for run in group.runs}
    except (UserError, KeyError, TypeError):
        return None


@unless_removed
def _look(group: Group, drawn: Any, renew: bool) -> None:
    sign_in.still()
    now = states(group)
    if now == drawn:
        return
    if renew:
        if not group_actions.dialog_is_open():
            st.rerun()
        return
    theme = f"theme.{show.theme_type()}"
    colours = {"background": f"{theme}.backgroundColor", "border": f"{theme}.borderColor"}
    st.html(OVER_THE_PAGE.format(**{name: st.get_option(option) for name, option in colours.items()}))
    with st.container(key="elsewhere"):
        st.markdown(f"**{show.literal(group.name)}** has changed since this page was drawn: {changes(drawn, now)}.")
        if st.button("Show it anew", icon=":material/refresh:", type="primary", key="show-anew"):
            st.rerun()


def changes(drawn: Any, now: Any) -> str:
    """`seed 3 is queued; seeds 1-2 are running`: where the seeds stand that have changed."""
    if now is None:
        return "it is damaged"
    if drawn is None:
        return "it can be read again"
    alike: dict[str, list[int]] = {}
    for seed, stands in now.items():
        if drawn.get(seed) != stands:
            alike.setdefault(stands[0], []).append(seed)
    gone = [seed for seed in drawn if seed not in now]
    stand = alike | ({"gone": gone} if gone else {})
    return "; ".join(f"{seeds_text(who)} {'is' if len(who) == 1 else 'are'} {state}" for state, who in stand.items())
