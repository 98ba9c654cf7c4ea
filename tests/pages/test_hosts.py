"""Under which names the app can be reached: this computer's own, and no other, on either kind of loopback address."""

import base64
import os
import socket

import pytest
from serving import Site

pytestmark = pytest.mark.processes
LONGEST_SECONDS = 60


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    served = Site(tmp_path_factory.mktemp("hosts") / "runs")
    served.start()
    yield served
    served.kill()


def answer(site: Site, host: str, place: str = "127.0.0.1", origin: str | None = None) -> int:
    """The status of a websocket's handshake with this Host header: 101 where it is taken, 403 where it is refused."""
    lines = [
        "GET /_stcore/stream HTTP/1.1", f"Host: {host}", "Upgrade: websocket", "Connection: Upgrade",
        f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}", "Sec-WebSocket-Version: 13",
        *([f"Origin: {origin}"] if origin else []),
    ]  # fmt: skip
    with socket.create_connection((place, site.port), LONGEST_SECONDS) as connection:
        connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        return int(connection.recv(4096).split()[1])


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "[::1]", "LOCALHOST", "localhost."])
def test_this_computers_own_names_are_taken(site, name):
    host = f"{name}:{site.port}"
    assert answer(site, host) == answer(site, host, origin=f"http://{host}") == answer(site, name) == 101


@pytest.mark.parametrize(
    "name", ["evil.example", "localhost.evil.example", "[::2]", "[fd00::2]", "0.0.0.0", "::1", "127.0.0.1@evil.example"]
)
def test_other_names_are_refused(site, name):
    assert answer(site, f"{name}:{site.port}") == 403


def test_a_foreign_page_is_refused(site):
    assert answer(site, f"localhost:{site.port}", origin="http://evil.example") == 403


def test_the_other_loopback_address_is_served_where_it_is_asked_for(tmp_path):
    if not socket.has_ipv6 or not os.path.exists("/proc/net/if_inet6"):
        pytest.skip("this computer has no IPv6")
    served = Site(tmp_path / "runs", "--server.address=::1", host="[::1]")
    served.start()  # which waits for an answer at http://[::1]
    try:
        assert answer(served, f"[::1]:{served.port}", "::1", origin=f"http://[::1]:{served.port}") == 101
        assert answer(served, f"localhost:{served.port}", "::1") == 101
        assert answer(served, "evil.example", "::1") == 403
    finally:
        served.kill()
