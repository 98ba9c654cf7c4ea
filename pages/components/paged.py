"""The page of a long list that is shown, with its number in the address.

`st.pagination` always has a default, and Streamlit takes a value that the session sets beside it for a mistake of the
app's. So the number is kept under the list's own key; the widget begins at it, and where an address or another choice
asks for another page, a new widget does.
"""

import streamlit as st

from pages.components import address


def page_number(key: str, pages: int, most_shown: int = 7) -> int:
    """1 to `pages`; draws nothing where there is one page. `st.session_state[key] = 1` goes back to the first."""
    if pages < 2:
        return 1
    st.session_state[key] = number = st.session_state[address.number(key, 1, 1, pages, whole=True)]
    which, known = st.session_state.get(f"{key}-widget", (0, number))
    which += number != known
    st.session_state[f"{key}-widget"] = which, number

    def turned() -> None:
        number = st.session_state[f"{key}-{which}"]
        st.session_state[key], st.session_state[f"{key}-widget"] = number, (which, number)

    return st.pagination(pages, default=number, key=f"{key}-{which}", max_visible_pages=most_shown, on_change=turned)
