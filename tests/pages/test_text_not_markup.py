"""Every text on a page that is not the app's own goes through `show.literal`: looked up in the source of all pages.

Streamlit reads Markdown in most of what a page says, in labels and help too. An argument there must be made of the app's
own words, of numbers, and of what a function of SAFE has written; what else it may be is on the list below, each with why.
`test_hostile_texts` looks at the pages themselves, drawn over hostile files.
"""

import ast
import builtins
from collections.abc import Iterator
from pathlib import Path

import pytest

from colora.system.installation import ROOT

SOURCES = sorted([*(ROOT / "pages").rglob("*.py"), ROOT / "app.py"])
SAYING = dict.fromkeys(("markdown", "caption", "header", "subheader", "title"), ("body", "help"))
SAYING |= dict.fromkeys(("info", "success", "warning", "error", "toast", "tell"), ("body", "title"))
LABELLED = ("button", "download_button", "link_button", "checkbox", "toggle", "selectbox", "multiselect", "text_input",
            "text_area", "number_input", "slider", "file_uploader", "badge", "page_link", "popover", "expander",
            "metric", "spinner", "dialog", "status", "pressed", "form_submit_button", "date_input", "time_input")  # fmt: skip
CHOICES = ("pills", "segmented_control", "radio", "select_slider")  # whose options are Markdown too
SAYING |= dict.fromkeys(LABELLED, ("label", "help"))
SAYING |= dict.fromkeys(CHOICES, ("label", "help")) | {"metric": ("label", "value", "help"), "progress": ("value", "text")}
SAYING |= {"page_link": ("page", "label", "help"), "show_figure": ("figure", "title", "says"), "Page": ("page", "title")}
SAYING |= {"pressed": ("label", "key", "icon", "meaning"), "image": ("image", "caption")}
FIRST = {"page_link": 1, "show_figure": 1, "Page": 1, "progress": 1, "image": 1}  # of the arguments, the first that says
COLUMNS = ("Column", "TextColumn", "NumberColumn", "ProgressColumn", "ButtonColumn", "MultiselectColumn")  # their help
ELSEWHERE = {("address", "text"), ("show", "table"), ("plt", "title")}
FORBIDDEN = ("write", "latex", "table", "write_stream", "MarkdownColumn", "LinkColumn", "bar_chart", "toast")

SAFE = {"literal", "brief", "three", "size_text", "duration", "span", "len", "sum", "min", "max", "int", "counted", "format"}


class Page(ast.NodeVisitor):
    pass


def main():
    from collections import Counter
    n = 0
    for path in SOURCES:
        for where, text in findings(path):
            n += 1
            print(path.relative_to(ROOT), where, text)
    print(n)
