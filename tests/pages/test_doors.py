"""Whether a server may be used at all: on this computer alone without sign-in, for others with it, never half of it."""

import os
import subprocess
import sys

import pytest
from browsing import PATIENCE_SECONDS, free_port
from opened import ROOT
from signing_in import AUTH, RULES

from pages.components import doors
from pages.components.doors import Served, is_local, providers, refusal

pytestmark = pytest.mark.usefixtures("installed")
LOCAL = Served("localhost", ["localhost", "127.0.0.1", "[::1]"])


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("localhost", True),
        ("LOCALHOST", True),
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("[::1]", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.0.7", False),
        ("oct.example", False),
        ("localhost.oct.example", False),
        ("127.0.0.1.oct.example", False),
        ("*", False),
        ("unix:///run/oct.sock", False),
        ("", False),
    ],
)
def test_an_address_is_local_where_this_computer_alone_reaches_it(host, local):
    assert is_local(host) is local


@pytest.mark.parametrize(
    ("where", "place"),
    [
        (Served(None, []), "on every address of this computer"),
        (Served("", ["localhost"]), "on every address of this computer"),
        (Served("0.0.0.0", ["localhost"]), "on 0.0.0.0"),
        (Served("localhost", ["localhost", "oct.example"]), "under the name oct.example"),
        (Served("127.0.0.1", ["*"]), "under the name *"),
    ],
)
def test_an_app_that_others_reach_is_not_served_without_sign_in_unless_that_is_wanted(rules, where, place):
    said = refusal(where, None, anonymous=False)
    assert said.startswith(f"This app listens {place}, where other people reach it") and "docs/access.md" in said
    assert "COLORA_ALLOW_ANONYMOUS=1" in said
    assert refusal(where, None, anonymous=True) is None
    rules(RULES)
    assert refusal(where, AUTH, anonymous=False) is None


def test_on_localhost_nothing_is_asked_for(rules):
    assert refusal(LOCAL, None, anonymous=False) is None
    rules('data_roots = ["/data"]')
    assert refusal(LOCAL, None, anonymous=False) is None


def test_rules_that_cannot_hold_close_the_app(rules):
    assert refusal(LOCAL, AUTH, anonymous=True).startswith("Nobody may come in yet: colora-access.toml has to say who")
    rules('data_roots = ["/data"]')
    assert refusal(LOCAL, AUTH, anonymous=True).startswith("Nobody may come in yet")
    rules(RULES)
    assert "but nobody can sign in" in refusal(LOCAL, None, anonymous=False)  # as behind a proxy, when secrets are lost
    assert refusal(LOCAL, None, anonymous=True) is None
    rules("admins = 1")
    for auth in (None, AUTH):
        assert refusal(LOCAL, auth, anonymous=True).startswith("This app is closed until its rules can be read. /")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"redirect_uri": "https://oct.example/"}, "redirect_uri must be the app's own address and /oauth2callback"),
        ({"redirect_uri": None}, "redirect_uri must be"),
        ({"cookie_secret": "xxx"}, "cookie_secret must have 32 random letters or more"),
        ({"cookie_secret": None}, "cookie_secret must have 32"),
        ({"client_id": None}, "it names no provider: client_id, client_secret, server_metadata_url"),
        ({"client_secret": ""}, "it lacks client_secret"),
        ({"client_id": None, "google": {"client_id": "x"}}, "google lacks client_secret, server_metadata_url"),
        ({"client_id": None, "my_own": AUTH}, "a provider's name has no underscore, but my_own has"),
    ],
)
def test_sign_in_that_cannot_work_is_said_before_anybody_tries(rules, changes, sentence):
    rules(RULES)
    auth = {name: value for name, value in (AUTH | changes).items() if value is not None}
    assert sentence in refusal(LOCAL, auth, anonymous=False)


def test_without_authlib_it_is_said_what_to_install(rules, monkeypatch):
    rules(RULES)
    monkeypatch.setattr(doors, "find_spec", lambda name: None)
    assert 'authlib is not installed: pip install ".[auth]"' in refusal(LOCAL, AUTH, anonymous=False)


def test_providers_go_by_their_names_or_there_is_one_without():
    assert providers(AUTH | {"client_kwargs": {"prompt": "login"}}) == [None]
    assert providers({"redirect_uri": "x", "microsoft": {}, "google": {}}) == ["google", "microsoft"]


@pytest.mark.parametrize(
    ("options", "environment", "said"),
    [
        ([], {}, ""),
        ([], {"STREAMLIT_SERVER_ADDRESS": "192.168.0.7"}, "Not served: This app listens on 192.168.0.7"),
    ],
)
def test_before_a_start_it_is_said_whether_the_app_would_be_served(tmp_path, options, environment, said):
    own = {"XDG_CONFIG_HOME": str(tmp_path)} | environment
    command = [sys.executable, "-m", "pages.components.doors", f"--secrets.files={tmp_path / 'none.toml'}", *options]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | own, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.startswith(said), bool(done.stderr)) == (2 if said else 0, True, bool(said))


def test_a_server_that_others_would_reach_does_not_start(tmp_path):
    options = ["--server.address=0.0.0.0", "--server.headless=true", f"--server.port={free_port()}"]
    options += [f"--secrets.files={tmp_path / 'none.toml'}"]
    command = [sys.executable, "-m", "streamlit", "run", "app.py", *options]
    own = {"XDG_CONFIG_HOME": str(tmp_path), "COLORA_RUNS_DIR": str(tmp_path / "runs")}
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | own, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS
    )
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("Not served: This app listens on 0.0.0.0")


def test_secrets_that_cannot_be_read_close_the_app(tmp_path):
    (tmp_path / "secrets.toml").write_text("[auth")
    command = [sys.executable, "-m", "pages.components.doors", f"--secrets.files={tmp_path / 'secrets.toml'}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and f"closed until {tmp_path / 'secrets.toml'} can be read" in done.stderr
