"""What people type and paste: paths as other programs give them, and numbers with a comma."""

import json
import string
from contextlib import suppress
from pathlib import Path

import pytest
from commands import mistake
from hypothesis import given
from hypothesis import strategies as st

from colora.cli.main import main
from colora.settings.config import config_problems, launch_arguments, make_config
from colora.settings.seeds import parse_seeds
from colora.system import typed
from colora.system.errors import UserError
from colora.system.typed import clean_path, typed_number, typed_numbers, typed_path, typed_whole_numbers


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('"C:\\scans\\left eye"', "C:\\scans\\left eye"),
        (" \t'/data/left eye' \n", "/data/left eye"),
        ("“/data/scans”", "/data/scans"),
        ("„/data/scans“", "/data/scans"),
        ("«/data/scans»", "/data/scans"),
        ("\u202a/data/scans\u202c", "/data/scans"),  # as Windows' properties give it
        ("file:///data/left%20eye", "/data/left eye"),
        ("FILE://localhost/data/%C3%A9", "/data/é"),
        ('"file:/data/x"', "/data/x"),
        ("~/scans", "~/scans"),
        ("it's", "it's"),
        ('"', '"'),
        ('""', ""),
        ("   ", ""),
    ],
)
def test_a_path_is_what_its_text_means(text, path):
    assert clean_path(text) == path


def test_a_home_folder_is_resolved(monkeypatch):
    monkeypatch.setenv("HOME", "/home/ann")
    assert typed_path(' "~/left eye" ') == Path("/home/ann/left eye")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("x" * 300, "is too long: it takes 300 bytes, and that of a file or folder 255 at most"),
        ("é" * 130, "it takes 260 bytes"),
        ("a/" * 2500, "The path a/a/a"),
        ("/data/a\0b", "holds a NUL character"),
        ("file:///a%00b", "holds a NUL character"),
        ("file:///%ff", "not in UTF-8"),
        ("file://nas/scans", "names another computer, nas"),
        ("~nobody-at-all/x", "There is no home folder ~nobody-at-all"),
        ("\ud800", "a character that no file name can have"),
    ],
)
def test_a_path_that_cannot_be_is_a_sentence(text, why):
    with pytest.raises(UserError, match=why) as caught:
        typed_path(text, "dataset")
    assert caught.value.field == "dataset" and len(str(caught.value)) < 300


@given(st.text(max_size=400))
def test_any_text_is_a_path_or_a_sentence_and_can_be_looked_for(text):
    try:
        path = typed_path(text)
    except UserError:
        return
    assert not typed.is_file(path / "no such file")
    assert clean_path(clean_path(text)) == clean_path(text) or "%" in text or "file:" in text.lower()


@given(st.text(max_size=30))
def test_looking_at_any_text_never_raises(text):
    for look in (typed.exists, typed.is_dir, typed.is_file):
        assert look(f"/nowhere/{text}") is False


@pytest.mark.parametrize(
    ("text", "value"),
    [("0,01", 0.01), (" 0.01 ", 0.01), ("1e-3", 1e-3), ("1 000", 1000), ("1\u202f000,5", 1000.5), ("−2", -2)],
)
def test_a_number_may_have_a_comma_and_blanks(text, value):
    assert typed_number(text) == value


@pytest.mark.parametrize("text", ["", "-", ".", "e5", "nan", "inf", "1e999", "1 2", "0,0,1", "9" * 5000, "1_000"])
def test_what_is_no_number_is_refused(text):
    with pytest.raises(ValueError):
        typed_number(text)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_number_is_read_as_it_is_written(value):
    assert typed_number(repr(value)) == value == typed_number(repr(value).replace(".", ","))


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("0,01", [0.01]),
        ("0.001,0.003", [0.001, 0.003]),
        ("1e-3, 3e-3", [1e-3, 3e-3]),
        ("1e-3, 3e-3,0.01", [1e-3, 3e-3, 0.01]),
        ("0,01; 0,03", [0.01, 0.03]),
        ("0,01, 0,03", [0.01, 0.03]),
        ("0,01,", [0.01]),
        ("", []),
    ],
)
def test_several_numbers(text, values):
    assert typed_numbers(text) == values


@pytest.mark.parametrize("text", ["0,1,0,3", "1,2,3", "1e-3; x", "1e-3,0,01"])
def test_commas_that_can_mean_either_are_refused(text):
    with pytest.raises(ValueError):
        typed_numbers(text)


def test_several_whole_numbers():
    assert typed_whole_numbers("1,2; 4") == [1, 2, 4] and typed_whole_numbers("1 000") == [1000]
    with pytest.raises(ValueError):
        typed_whole_numbers("1,2.5")


@given(st.text(alphabet=string.digits + ",;. e-+", max_size=40))
def test_any_numbers_are_read_or_refused(text):
    for read in (typed_numbers, typed_whole_numbers):
        with suppress(ValueError):
            assert all(isinstance(value, int | float) for value in read(text))


def test_the_settings_mean_what_was_typed():
    config = make_config(
        {"dataset": ' folder: "file:///data/left%20eye" ', "weights": "' ~/w.pth'", "cut": '"/data/cut.json"',
         "data_dir": "“/sets”", "lr": "0,01", "lr_head": " 1e-4 ", "epochs": "1 000"}
    )  # fmt: skip
    assert (config.dataset, config.weights) == ("folder:/data/left eye", "~/w.pth")
    assert (config.cut, config.data_dir) == ("/data/cut.json", "/sets")
    assert (config.lr, config.lr_head, config.epochs) == (0.01, 1e-4, 1000)
    assert config_problems({"targets": "a\0b"})["targets"] == "targets: it holds a NUL character: type it anew."
    assert config_problems({"dataset": "folder:file://nas/x"})["dataset"].startswith("dataset: The address file://nas/x")


def test_a_value_that_begins_with_a_dash_is_no_flag():
    config = make_config({"patient_pattern": r"-(?P<patient>\d+)-"})
    assert launch_arguments("a", config, [0])[-1] == r"--patient-pattern=-(?P<patient>\d+)-"


def test_seeds_of_any_length_are_a_sentence():
    with pytest.raises(UserError, match="at most 9 digits"):
        parse_seeds("9" * 5000)
    assert parse_seeds(" 0 ; 2,3 ") == [0, 2, 3]


LONG = "x" * 300


@pytest.mark.parametrize(
    "arguments",
    [
        ("launch", "--name", LONG),
        ("launch", "--name", "a", "--dataset", f"folder:{LONG}"),
        ("launch", "--name", "a", "--dataset", "folder:~nobody-at-all/x"),
        ("launch", "--name", "a", "--dataset", "npz:file://nas/x.npz"),
        ("launch", "--name", "a", "--dataset", "octmnist", "--data-dir", LONG),
        ("launch", "--name", "a", "--backbone", "texturenet", "--weights", f"{LONG}.pth"),
        ("launch", "--name", "a", "--cut", f"/{LONG}.json"),
        ("launch", "--name", "a", "--dataset", "folder:\udcff"),
        ("launch", "--name", "a", "--seeds", "9" * 5000),
        ("launch", "--name", "a", "--runs-dir", LONG),
        ("list", "--runs-dir", f"/dev/null/{LONG}/x"),
        ("queue", "--runs-dir", LONG),
        ("show", LONG),
        ("predict", LONG, LONG),
        ("cut", "show", f"~nobody-at-all/{LONG}.json"),
        ("verdicts", "export", LONG),
        ("verdicts", "import", LONG),
        ("data", "get", "octmnist", "--size", "28", "--data-dir", "~nobody-at-all"),
    ],
    ids=lambda arguments: " ".join(arguments)[:40],
)
def test_a_path_that_cannot_be_is_one_line_of_the_command_line(arguments, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if arguments[0] == "list":  # what cannot be a folder holds no group
        assert main([*arguments, "--json"]) == 0 and json.loads(capsys.readouterr().out) == []
    else:
        assert len(mistake(capsys, *arguments)) < 700


def test_quotes_that_a_shell_kept_are_no_part_of_a_folder(capsys, tmp_path):
    quoted = f'folder:"{tmp_path}/left eye"'
    line = mistake(capsys, "launch", "--name", "a", "--dataset", quoted, "--runs-dir", tmp_path)
    assert f"There is no folder {tmp_path}/left eye." in line
