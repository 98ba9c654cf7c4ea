"""A small identity provider on this machine, OpenID Connect as the app asks it: whoever the test says has signed in."""

import json
import secrets
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

CLIENT = {"client_id": "colora", "client_secret": "told-to-the-app-alone"}


class Provider:
    """`claims` are said of whoever signs in next; `asked` are the paths that were asked for."""

    def __init__(self) -> None:
        from joserfc.jwk import RSAKey  # comes with the extra `auth`

        self.key = RSAKey.generate_key(2048, {"kid": "only", "alg": "RS256", "use": "sig"})
        self.claims: dict[str, Any] = {}
        self.asked: list[str] = []
        self.codes: dict[str, dict[str, Any]] = {}
        self.server = ThreadingHTTPServer(("localhost", 0), _handler(self))
        self.address = f"http://localhost:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def secrets_file(self, address: str) -> str:
        """.streamlit/secrets.toml of the app at `address`."""
        settings = {
            "redirect_uri": f"{address}/oauth2callback",
            "cookie_secret": secrets.token_hex(32),
            "server_metadata_url": f"{self.address}/.well-known/openid-configuration",
        } | CLIENT
        return "[auth]\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in settings.items())

    def metadata(self) -> dict[str, Any]:
        at = self.address
        return {
            "issuer": at,
            "authorization_endpoint": f"{at}/authorize",
            "token_endpoint": f"{at}/token",
            "jwks_uri": f"{at}/jwks",
            "userinfo_endpoint": f"{at}/userinfo",
            "end_session_endpoint": f"{at}/logout",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "code_challenge_methods_supported": ["S256"],
        }

    def signed(self, code: str) -> str:
        """The id_token of a code, which is good once."""
        from joserfc import jwt

        asked, now = self.codes.pop(code), int(time.time())
        own = {"iss": self.address, "aud": CLIENT["client_id"], "iat": now, "exp": now + 3600, "nonce": asked["nonce"]}
        return jwt.encode({"alg": "RS256", "kid": "only"}, own | asked["claims"], self.key)


def _handler(provider: Provider) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, query = self._asked()
            if path == "/authorize":  # nobody is asked for a password: whom the test has chosen
                code = secrets.token_hex(8)
                provider.codes[code] = {"nonce": query.get("nonce"), "claims": dict(provider.claims)}
                self._lead(f"{query['redirect_uri']}?{urlencode({'code': code, 'state': query['state']})}")
            elif path == "/logout":
                self._lead(query["post_logout_redirect_uri"])
            elif path == "/jwks":
                self._say({"keys": [provider.key.as_dict(private=False)]})
            else:
                self._say(provider.claims if path == "/userinfo" else provider.metadata())

        def do_POST(self) -> None:
            self._asked()
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            token = provider.signed(form["code"][0])
            self._say({"access_token": "none", "token_type": "Bearer", "expires_in": 3600, "id_token": token})

        def _asked(self) -> tuple[str, dict[str, str]]:
            parts = urlsplit(self.path)
            provider.asked.append(parts.path)
            return parts.path, {name: values[0] for name, values in parse_qs(parts.query).items()}

        def _say(self, document: Any) -> None:
            body = json.dumps(document).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _lead(self, place: str) -> None:
            self.send_response(302)
            self.send_header("Location", place)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Nothing: a test tells what was asked."""

    return Handler
