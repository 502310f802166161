"""What the user's options open the server to, and what has to be there before it is opened."""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pentimento_shared.backend_start import PORT
from pentimento_shared.places import token_file

from .token import VARIABLE, token

if TYPE_CHECKING:
    from .tls import TlsFront


@dataclass(frozen=True)
class Options:
    """What a user may choose. `port` 0 takes a free one. `tls_cert` and `tls_key` are PEM files, both or none.
    `insecure`: other machines may come in without TLS."""

    listen: str = "127.0.0.1"
    port: int = PORT
    log_level: int = logging.INFO
    tls_cert: Path | None = None
    tls_key: Path | None = None
    insecure: bool = False

    @property
    def scheme(self) -> str:
        return "https" if self.tls_cert else "http"

    @property
    def warning(self) -> str:
        """What the user is told at the start of a server that lets other machines in without TLS; "" for others."""
        if loopback(self.listen) or self.tls_cert:
            return ""
        return (
            f"Listening on {self.listen} without TLS: everybody on the way can read pictures, prompts and the token. "
            "Stop it and give --tls-cert and --tls-key unless the way itself is protected (a VPN, say)."
        )


class DoorError(Exception):
    """The server must not be opened so; the message says why and what to do."""


def secret(options: Options, environ: Mapping[str, str]) -> str:
    """The token. Raises DoorError when options let other machines in without what that needs, TokenError."""
    if not loopback(options.listen):
        if not environ.get(VARIABLE):
            raise DoorError(
                f"Listening on {options.listen} lets other machines in. Set the environment variable {VARIABLE} "
                "to a token of your own to allow that, or leave --listen out."
            )
        if options.tls_cert is None and not options.insecure:
            raise DoorError(
                f"Listening on {options.listen} would send pictures, prompts and the token unencrypted. Give a "
                "certificate and its key (--tls-cert FILE --tls-key FILE), or --insecure where the way itself is "
                "protected (a VPN, say)."
            )
    return token(token_file(environ), environ)


def tls_front(options: Options) -> TlsFront | None:
    """What decrypts, when the options ask for TLS. Raises DoorError."""
    if options.tls_cert is None and options.tls_key is None:
        return None
    if options.tls_cert is None or options.tls_key is None:
        raise DoorError("TLS needs both --tls-cert FILE and --tls-key FILE, as PEM files; one of them is missing.")
    from .tls import TlsFront, context_of  # asyncio: most servers do without it

    return TlsFront(context_of(options.tls_cert, options.tls_key))


def loopback(address: str) -> bool:
    """Whether only this machine reaches that address."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"
