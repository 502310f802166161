"""Trust in one certificate and in no other: a backend's own, which no authority has signed."""

from __future__ import annotations

import hashlib
import ssl
from pathlib import Path
from typing import Any

import requests
from requests.adapters import HTTPAdapter


def trust_only(session: requests.Session, certificate: Path) -> None:
    """Makes `session` speak HTTPS with whoever shows exactly that certificate, the first in a PEM file, and with nobody
    else, whatever name or authority it bears. Raises OSError or ValueError when the file is none."""
    text = certificate.read_text(encoding="ascii")
    end = "-----END CERTIFICATE-----"
    first = text[text.index("-----BEGIN CERTIFICATE-----") : text.index(end) + len(end)]
    fingerprint = hashlib.sha256(ssl.PEM_cert_to_DER_cert(first)).hexdigest()
    session.mount("https://", _Pinned(fingerprint))


class _Pinned(HTTPAdapter):
    """Compares fingerprints in place of names and authorities; urllib3 does so before it sends anything."""

    def __init__(self, fingerprint: str) -> None:
        self._fingerprint = fingerprint
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options, assert_fingerprint=self._fingerprint)

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        super().cert_verify(conn, url, False, cert)

    def get_connection_with_tls_context(self, request: Any, verify: Any, proxies: Any = None, cert: Any = None) -> Any:
        return super().get_connection_with_tls_context(request, False, proxies, cert)
