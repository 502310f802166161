"""Who may ask: the right Host (no DNS rebinding), no foreign Origin (no web page), the token."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pentimento.jobs.problem import Problem

HEALTH_PATH: Final = "/api/v1/health"
"""The only address that needs no token."""

CHALLENGE: Final = {"WWW-Authenticate": 'Bearer realm="pentimento"'}
SECURITY_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
}
"""Sent with every answer. No CORS header is ever sent: no web page may read any of this."""

_USUAL_PORTS: Final = {"http": 80, "https": 443}
"""The ports that a Host header leaves out."""


@dataclass(frozen=True)
class Guard:
    """The rule for every request.

    `hosts` are the Host headers that are ours, in lower case. `any_address`: the server listens on all
    interfaces, where every IP address with our `port` is ours too. A name never is: names can be rebound.
    `scheme` is http or https.
    """

    hosts: frozenset[str]
    port: int
    token: str
    any_address: bool = False
    scheme: str = "http"

    @classmethod
    def of(cls, listen: str, port: int, token: str, scheme: str = "http") -> Guard:
        """The guard of a server that listens on that address and port."""
        names = {"127.0.0.1", "localhost", "[::1]", f"[{listen}]" if ":" in listen else listen.lower()}
        hosts = {f"{name}:{port}" for name in names} | (names if port == _USUAL_PORTS[scheme] else set())
        return cls(frozenset(hosts), port, token, listen in ("0.0.0.0", "::"), scheme)

    def check(self, path: str, headers: Mapping[str, str]) -> Problem | None:
        """Why a request is refused, None when it is not. `headers` has lower-case names."""
        host = headers.get("host", "").lower()
        if not self._ours(host):
            return _forbidden("Host", headers.get("host", ""), ", ".join(sorted(self.hosts)))
        own = f"{self.scheme}://{host}"
        if "origin" in headers and headers["origin"].lower() != own:
            return _forbidden("Origin", headers["origin"], f"{own}, or none at all")
        if path == HEALTH_PATH or self._authorized(headers.get("authorization", "")):
            return None
        detail = (
            "The token is missing or wrong. Send `Authorization: Bearer TOKEN` with the token from the file "
            "that `pentimento token` names."
        )
        return Problem(401, detail, field="Authorization", allowed="Bearer TOKEN")

    def _ours(self, host: str) -> bool:
        if host in self.hosts:
            return True
        address, colon, port = host.rpartition(":")
        if not self.any_address or not colon or port != str(self.port):
            return False
        try:
            ipaddress.ip_address(address.removeprefix("[").removesuffix("]"))
        except ValueError:
            return False
        return True

    def _authorized(self, header: str) -> bool:
        scheme, _, token = header.partition(" ")
        sent = token.strip().encode("utf-8", "surrogateescape")
        return hmac.compare_digest(sent, self.token.encode("utf-8")) and scheme.lower() == "bearer"


def _forbidden(field: str, value: str, allowed: str) -> Problem:
    detail = (
        f"Requests with the {field} {value!r} are refused: Pentimento answers programs on this machine only, "
        "no web pages."
    )
    return Problem(403, detail, field=field, value=value, allowed=allowed)
