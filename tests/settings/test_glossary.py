"""The glossary: the words that a clinician meets on the Launch form, and one source for tooltips and docs."""

import re

import pytest

from colora.settings.config import RunConfig
from colora.settings.glossary import OF_SETTINGS, TERMS, as_markdown, explains, of_setting
from colora.system.installation import ROOT


def test_the_page_of_the_docs_is_the_glossary():
    assert (ROOT / "docs" / "glossary.md").read_text() == as_markdown()  # python -m colora.settings.glossary


def test_words_are_explained_in_short_sentences():
    assert len(TERMS) >= 25
    for term in TERMS.values():
        assert term.says.endswith(".") and len(term.says) < 260 and term.title[0].isupper()


def test_a_setting_is_explained_by_a_word_that_there_is():
    assert set(OF_SETTINGS) <= set(RunConfig.model_fields) and set(OF_SETTINGS.values()) <= set(TERMS)
    assert of_setting("lr").startswith("**Learning rate**: How far") and of_setting("device") == ""


def test_a_word_that_is_none_is_refused():
    with pytest.raises(KeyError):
        explains("backpropagation")


def test_no_explanation_is_markup():
    for term in TERMS.values():
        assert not re.search(r"[*_`<>\[\]$~]", term.title + term.says)
