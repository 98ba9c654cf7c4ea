"""What a page's address sets and tells: opened, changed, gone back to, reported late, left and visited again."""

import pytest
from streamlit.testing.v1 import AppTest


def two_pages() -> None:
    import streamlit as st

    from pages.components import address
    from pages.components.paged import page_number

    address.arrive(st.session_state.get("shown", "first"))
    if st.session_state.get("shown", "first") == "first":
        st.selectbox("One", ("a", "b", "c"), format_func=str.upper, key=address.one("one", ("a", "b", "c"), str.upper))
        st.pills("Some", (1, 2, 3), selection_mode="multi", key=address.several("some", (1, 2, 3)))
        st.number_input("Number", 1, 9, key=address.number("number", 5, 1, 9, whole=True))
        st.number_input("Bound", value=None, key=address.number("bound"))
        st.text_input("Text", key=address.text("text"))
        st.toggle("Flag", key=address.flag("flag"))
        st.session_state["pages shown"] = page_number("page", 9)
    address.tell()


@pytest.fixture
def app() -> AppTest:
    return AppTest.from_function(two_pages, default_timeout=10)


def shown(app: AppTest) -> dict:
    assert app.session_state["page"] == app.session_state["pages shown"] == app.pagination[0].value
    return {key: app.session_state[key] for key in USUAL}


def told(app: AppTest) -> dict[str, list[str]]:
    return {name: [value] if isinstance(value, str) else value for name, value in app.query_params.items()}


USUAL = {"one": "a", "some": [], "number": 5, "bound": None, "text": "", "flag": False, "page": 1}
CHOSEN = {"one": "b", "some": [1, 3], "number": 7, "bound": 0.25, "text": "x y", "flag": True, "page": 4}
TOLD = {
    "one": ["B"],
    "some": ["1", "3"],
    "number": ["7"],
    "bound": ["0.25"],
    "text": ["x y"],
    "flag": ["true"],
    "page": ["4"],
}


def test_an_address_sets_every_kind_of_widget(app):
    for name, values in TOLD.items():
        app.query_params[name] = values
    assert shown(app.run()) == CHOSEN
    assert told(app) == TOLD


def test_what_a_widget_does_not_offer_leaves_the_address_and_other_parameters_stay(app):
    asked = {"one": ["b"], "some": ["9"], "number": ["12"], "bound": ["much"], "flag": ["yes"]}
    asked |= {"page": ["10"], "group": ["g"]}
    for name, values in asked.items():
        app.query_params[name] = values
    assert shown(app.run()) == USUAL
    assert told(app) == {"group": ["g"]}


def test_choices_come_into_the_address_and_defaults_leave_it(app):
    app.run()
    app.selectbox(key="one").set_value("b")
    app.number_input(key="number").set_value(7)
    assert told(app.run()) == {"one": ["B"], "number": ["7"]}
    app.selectbox(key="one").set_value("a")
    assert told(app.run()) == {"number": ["7"]}


def test_a_list_turns_its_pages_by_hand_by_an_address_and_back_to_the_first(app):
    app.query_params["page"] = "4"
    app.run()
    app.pagination[0].set_value(6)
    assert told(app.run()) == {"page": ["6"]} and shown(app)["page"] == 6
    app.query_params["page"] = "5"  # by hand
    assert shown(app.run())["page"] == 5
    app.pagination[0].set_value(6)
    assert shown(app.run())["page"] == 6
    app.session_state["page"] = 1
    assert shown(app.run()) == USUAL and told(app) == {}


def test_an_address_that_the_browser_reports_late_undoes_no_choice(app):
    app.run()
    app.selectbox(key="one").set_value("b")
    app.run()
    app.query_params.clear()  # the browser has not heard of it
    app.toggle(key="flag").set_value(True)
    app.run()
    assert shown(app) == USUAL | {"one": "b", "flag": True}
    assert told(app) == {"one": ["B"], "flag": ["true"]}


def test_another_address_on_the_same_page_is_followed_whole(app):
    app.query_params["one"] = "B"
    app.query_params["text"] = "x"
    app.run()
    app.query_params.clear()
    app.query_params["one"] = "C"
    assert shown(app.run()) == USUAL | {"one": "c"}


def test_a_page_is_as_it_was_left_unless_an_address_asks_for_something(app):
    app.query_params["one"] = "B"
    app.run()
    for again, expected in ((None, "b"), ("C", "c")):
        app.session_state["shown"] = "second"
        app.query_params.clear()
        assert told(app.run()) == {}
        app.session_state["shown"] = "first"
        if again:
            app.query_params["one"] = again
        assert shown(app.run())["one"] == expected
        assert told(app) == {"one": [expected.upper()]}
