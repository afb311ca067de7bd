"""Who may ask, and what every answer says: an ASGI application around the service's own.

- Host: a page of another site can have its name point at this machine (DNS rebinding); its requests then name that
  site. An address is no name, so those that are numbers are right.
- Origin, Sec-Fetch-Site: what other sites' pages send here, browsers mark. No such request is answered.
- Token: where others than this machine's user can connect.
"""

from __future__ import annotations

import hmac
import ipaddress
import json
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import urlsplit

PUBLIC = ("/", "/page.css", "/page.js", "/healthz")  # say nothing that is secret; the page itself asks for the token
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
ENCODED = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]


class Guard:
    """Refuses requests that another site has made up, or that lack the token.

    Args:
        app: the service.
        hosts: names that requests may give as the host, beside localhost and addresses in numbers.
        token: that requests have to give; None if none is needed.
    """

    def __init__(self, app: Any, hosts: Collection[str] = (), token: str | None = None) -> None:
        self.app = app
        self.hosts = {"localhost", *(name.lower() for name in hosts)}
        self.token = token

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def guarded(message: Any) -> None:
            if message["type"] == "http.response.start":
                given = {name.lower() for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(pair for pair in ENCODED if pair[0] not in given)]
            await send(message)

        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        problem = self.problem(scope["path"], headers)
        if problem is None:
            await self.app(scope, receive, guarded)
            return
        status, text = problem
        body = json.dumps({"error": text}).encode() + b"\n"
        more = [(b"www-authenticate", b"Bearer")] if status == 401 else []
        length = (b"content-length", str(len(body)).encode())
        start = {
            "type": "http.response.start",
            "status": status,
            "headers": [(b"content-type", b"application/json"), length, (b"connection", b"close"), *more],
        }
        await guarded(start)
        await guarded({"type": "http.response.body", "body": body})

    def problem(self, path: str, headers: Mapping[str, str]) -> tuple[int, str] | None:
        """Status and text if a request is refused.

        Example:
            >>> guard = Guard(None)
            >>> guard.problem("/", {"host": "127.0.0.1:8080"})
            >>> guard.problem("/", {"host": "evil.example"})
            (421, "this is not 'evil.example'; --allow-host NAME lets it be called so")
        """
        host = headers.get("host", "")
        name = host_name(host)
        if name is None or (name not in self.hosts and not _is_address(name)):
            return 421, f"this is not {host[:100]!r}; --allow-host NAME lets it be called so"
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return 403, "a page of another site has no business here"
        if headers.get("sec-fetch-site") in ("cross-site", "same-site") and path != "/":
            return 403, "a page of another site has no business here"
        if self.token is not None and path not in PUBLIC and not self._knows(headers.get("authorization", "")):
            return 401, "this service needs its token: Authorization: Bearer TOKEN"
        return None

    def _knows(self, authorization: str) -> bool:
        kind, _, token = authorization.partition(" ")
        return kind.lower() == "bearer" and hmac.compare_digest(token.encode(), (self.token or "").encode())


def host_name(host: str) -> str | None:
    """The name or address in a Host header, in small letters; None if it is none."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
        return parts.hostname if parts.hostname and "@" not in host and not parts.path else None
    except ValueError:
        return None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether only this machine can connect to a service that listens there."""
    if host.lower() == "localhost":
        return True
    return _is_address(host) and ipaddress.ip_address(host.partition("%")[0]).is_loopback
