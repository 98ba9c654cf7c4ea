"""Whether this server may be used at all: not where others reach it, unless whoever comes has to sign in.

The server asks when it starts, and ends; its pages ask again, since the rules may change. `python -m
pages.components.doors`, with the options of `streamlit run`, only asks.
"""

import ipaddress
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import streamlit as st
from streamlit.errors import StreamlitSecretNotFoundError

from colora.settings.access import FILE, load_access
from colora.system.errors import UserError

ANONYMOUS = "COLORA_ALLOW_ANONYMOUS"
LEAST_SECRET = 32  # letters: whoever guesses it is whom they like
PROVIDER = ("client_id", "client_secret", "server_metadata_url")
CALLBACK = "/oauth2callback"
HOW = "docs/access.md says how"


@dataclass(frozen=True)
class Served:
    """How the server listens: the address that it binds (None: every one of this computer), and the names under which
    it answers (none: all)."""

    address: str | None
    hosts: Sequence[str]

    @property
    def elsewhere(self) -> str | None:
        """Where other computers would reach it, in words; None where they do not."""
        if not self.address:
            return "on every address of this computer"
        if not is_local(self.address):
            return f"on {self.address}"
        foreign = [host for host in self.hosts if not is_local(host)]
        return f"under the name {foreign[0]}" if foreign else None


def is_local(host: str) -> bool:
    """Whether a host's name or number is that of this computer for itself."""
    plain = host.strip().lower().removeprefix("[").removesuffix("]")
    try:
        return ipaddress.ip_address(plain).is_loopback
    except ValueError:
        return plain == "localhost"


def served() -> Served:
    """As Streamlit is configured, by file, environment and command line."""
    return Served(st.get_option("server.address"), st.get_option("server.allowedHosts") or [])


def auth_settings() -> Mapping[str, Any] | None:
    """[auth] of Streamlit's secrets; None where there is none, and nobody can sign in."""
    try:
        found = st.secrets.get("auth")
    except StreamlitSecretNotFoundError:
        return None
    return found or None


def providers(auth: Mapping[str, Any]) -> list[str | None]:
    """The providers that can be signed in with, by name; the one without a name is None."""
    named = [name for name, value in auth.items() if isinstance(value, Mapping) and name != "client_kwargs"]
    return [None] if "client_id" in auth else sorted(named)


def wrong_with(auth: Mapping[str, Any]) -> str | None:
    """What keeps people from signing in by these settings."""
    if missing := [name for name in ("authlib", "httpx") if find_spec(name) is None]:
        return f'{missing[0]} is not installed: pip install ".[auth]"'
    if not str(auth.get("redirect_uri", "")).endswith(CALLBACK):
        return f"redirect_uri must be the app's own address and {CALLBACK}, as in https://oct.example.org{CALLBACK}"
    if len(str(auth.get("cookie_secret", ""))) < LEAST_SECRET:
        return f"cookie_secret must have {LEAST_SECRET} random letters or more: openssl rand -hex 32 prints some"
    if not providers(auth):
        return f"it names no provider: {', '.join(PROVIDER)}"
    for name in providers(auth):
        section = auth if name is None else auth[name]
        if "_" in (name or ""):
            return f"a provider's name has no underscore, but {name} has"
        if missing := [key for key in PROVIDER if not section.get(key)]:
            return f"{name + ' lacks' if name else 'it lacks'} {', '.join(missing)}"
    return None


def refusal(where: Served, auth: Mapping[str, Any] | None, anonymous: bool) -> str | None:
    """Why no page may be drawn, and what to do; None where pages may be."""
    try:
        access = load_access()
    except UserError as error:
        return f"This app is closed until its rules can be read. {error}"
    if auth is not None:
        if wrong := wrong_with(auth):
            return f"Nobody can sign in. [auth] of Streamlit's secrets: {wrong}; {HOW}."
        if access is None or not access.names_people:
            return f"Nobody may come in yet: {FILE} has to say who is an admin, a researcher, a reader; {HOW}."
        return None
    if anonymous:
        return None
    if access is not None and access.names_people:
        return (
            f"{FILE} says who may do what, but nobody can sign in: Streamlit's secrets, .streamlit/secrets.toml, have "
            f"no [auth]; {HOW}. {ANONYMOUS}=1 lets everybody in, with all rights."
        )
    if (place := where.elsewhere) is not None:
        return (
            f"This app listens {place}, where other people reach it, and would show them every patient's images: set "
            f"up sign-in, {HOW}, or serve it on localhost. {ANONYMOUS}=1 lets everybody in, with all rights."
        )
    return None


def refused_here() -> str | None:
    """`refusal` of this very server; also where secrets are there and cannot be read, which may say who may sign in."""
    try:
        st.secrets.get("auth")
    except StreamlitSecretNotFoundError as error:
        if there := next(filter(os.path.exists, st.get_option("secrets.files")), None):
            return f"This app is closed until {there} can be read: {str(error).splitlines()[0]}"
    return refusal(served(), auth_settings(), os.environ.get(ANONYMOUS) == "1")


def leave_if_refused() -> None:
    """Ends this process with exit code 2 and a sentence where no page may be drawn."""
    if said := refused_here():
        print(f"Not served: {said}", file=sys.stderr, flush=True)
        os._exit(2)  # a server that is just starting would print a traceback of any other end


def main() -> None:
    """Before `streamlit run` with the same options and environment: exit code 2 and a sentence where it would serve no
    page."""
    import click
    from streamlit.web import bootstrap
    from streamlit.web.cli import configurator_options

    @click.command()
    @configurator_options
    def ask(**options: Any) -> None:
        bootstrap.load_config_options(flag_options=options)
        leave_if_refused()

    ask()


if __name__ == "__main__":
    main()
