"""A shared app: the provider that people sign in with, the rules that say who may what, and three of them."""

import pytest

AUTH = {
    "redirect_uri": "https://oct.example/oauth2callback",
    "cookie_secret": "0123456789abcdef0123456789abcdef",
    "client_id": "colora",
    "client_secret": "s",
    "server_metadata_url": "https://login.example/.well-known/openid-configuration",
}
RULES = """
admins = ["prof@clinic.example"]
researchers = ["eve@lab.example"]
readers = ["*@clinic.example"]
data_roots = ["/nowhere/oct"]
"""
READER, RESEARCHER, ADMIN = "ann@clinic.example", "eve@lab.example", "prof@clinic.example"


@pytest.fixture
def installed(monkeypatch) -> None:
    """As if the extra `auth` were here, which only the browser's story needs."""
    monkeypatch.setattr("pages.components.doors.find_spec", lambda name: name)


@pytest.fixture
def rules(tmp_path, monkeypatch):
    """A function that writes colora-access.toml; there is none before."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("COLORA_ACCESS", raising=False)

    def write(text: str) -> None:
        (tmp_path / "access.toml").write_text(text)
        monkeypatch.setenv("COLORA_ACCESS", str(tmp_path / "access.toml"))

    return write
