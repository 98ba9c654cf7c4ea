"""The browser's Back and Forward in a real browser: one move is one step, whatever made it, and a reload keeps it."""

from collections import Counter

import pytest
from browsing import NAME, STORY, TICK, at_row, button, choose, idle, served
from fabricate import fabricate
from queueing import wait_for

pytestmark = STORY
SEEN = """() => {
  const main = document.querySelector('[data-testid=stMain]');
  const texts = (selector, told) => [...main.querySelectorAll(selector)].map(told).filter(text => text);
  return [
    location.pathname + location.search,
    ...texts('h2', heading => heading.textContent),
    ...texts('.stTextInput input, .stSelectbox input, .stNumberInput input', field => field.value),
    ...texts('.stSelectbox [data-baseweb=select]', chosen => chosen.innerText),
    ...texts('[aria-checked=true], [aria-pressed=true], [aria-current=page]', chosen => chosen.innerText),
  ];
}"""


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    runs_dir = tmp_path_factory.mktemp("history") / "runs"
    for name in ("alpha", "beta", "gamma"):
        fabricate(runs_dir, name, ["done"] * 2)
    with served(runs_dir) as address:
        yield address


def steps(page) -> int:
    return page.evaluate("history.length")


def at(page, place: str) -> None:
    """Until the page at `place`, a path and its parameters, is drawn."""
    wait_for(lambda: page.evaluate("location.pathname + location.search") == place, what=lambda: page.url)
    idle(page)


def by_link(name: str):
    return lambda page: page.get_by_test_id("stHeader").get_by_role("link", name=name).click()


def by_row(number: int, x: int):
    return lambda page: at_row(page, number, x)


def search(page, text: str = "a") -> None:
    page.get_by_label("Search", exact=True).fill(text)
    page.get_by_label("Search", exact=True).press("Enter")


def compare_two(page) -> None:
    at_row(page, 0, TICK)
    at_row(page, 1, TICK)
    button(page, "Compare").click()


def copy(page) -> None:
    at_row(page, 2, TICK)
    button(page, "Copy …").click()


MOVES = (
    ("/evaluate?group=gamma", by_link("Evaluate")),
    ("/evaluate?group=gamma&split=Validation", lambda page: page.get_by_text("Validation", exact=True).first.click()),
    ("/evaluate?group=alpha&split=Validation", lambda page: choose(page, "Group of runs", "alpha")),
    ("/monitor?group=alpha", by_link("Monitor")),
    ("/evaluate?group=alpha", lambda page: page.get_by_test_id("stMain").get_by_role("link", name="Evaluate").click()),
    ("/", by_link("Overview")),
    ("/?search=a", search),
    ("/evaluate?group=beta", by_row(1, NAME)),
    ("/?search=a", by_link("Overview")),
    ("/", lambda page: search(page, "")),
    ("/compare?groups=gamma%2Cbeta", compare_two),
    ("/images?group=beta", by_link("Images")),
    ("/images?group=beta&rank=26", lambda page: button(page, "Next").click()),
    ("/", by_link("Overview")),
    ("/launch?clone=alpha", copy),
    ("/data", by_link("Data")),
    ("/distil?group=beta", by_link("Distil")),
)


def test_each_move_is_one_step_back_and_forward_and_a_reload_keeps_it(page, address):
    page.goto(f"{address}/monitor")
    at(page, "/monitor?group=gamma")
    assert steps(page) == 2, "the empty tab, and this page"
    views = [page.evaluate(SEEN)]
    for place, move in MOVES:
        before = steps(page)
        move(page)
        at(page, place)
        assert steps(page) == before + 1, place
        views.append(page.evaluate(SEEN))

    def shows(view: list[str]) -> None:
        """All that was there when the page had been drawn; what the browser drew a moment later may stand beside it."""
        place, *rest = view

        def shown() -> bool:
            now = page.evaluate(SEEN)
            return now[0] == place and not Counter(rest) - Counter(now[1:])

        wait_for(shown, what=lambda: (view, page.evaluate(SEEN)))
        idle(page)

    for view in views[-2::-1]:
        page.go_back()
        shows(view)
    for view in views[1:]:
        page.go_forward()
        shows(view)
    for _ in range(4):
        page.go_back()
    shows(views[-5])
    page.reload()
    shows(views[-5])
    page.go_back()
    shows(views[-6])


@pytest.mark.parametrize("query", ["", "?search=beta"])
def test_the_first_page_is_found_under_its_name_too_with_nothing_else_shown_before(page, address, query):
    page.add_init_script("""
      window.headings = new Set();
      new MutationObserver(() => document.querySelectorAll('h2, [role=dialog]').forEach(
        found => window.headings.add(found.textContent))).observe(document, {childList: true, subtree: true});
    """)
    page.goto(f"{address}/monitor")
    at(page, "/monitor?group=gamma")
    page.goto(f"{address}/overview{query}")
    page.wait_for_function("() => [...document.querySelectorAll('td')].some(cell => cell.textContent === 'beta')")
    at(page, f"/overview{query}")
    cells = page.get_by_test_id("stDataFrame").first.locator("td").all_text_contents()
    assert ("alpha" in cells) == (not query)
    assert page.evaluate("[...headings]")[0] == "Groups of runs" and page.get_by_role("dialog").count() == 0
    by_link("Data")(page)
    at(page, "/data")
    page.go_back()
    at(page, f"/overview{query}")
    page.get_by_role("heading", name="Groups of runs").wait_for()
    page.go_back()
    at(page, "/monitor?group=gamma")
    page.get_by_role("heading", name="Monitor").wait_for()
