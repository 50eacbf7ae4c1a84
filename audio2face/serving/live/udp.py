"""Datagrams to one address."""

from __future__ import annotations

import logging
import socket
import time
from typing import Any

from audio2face.problems import UserError

logger = logging.getLogger(__name__)

AGAIN_S = 30.0


class UdpSink:
    """Sends datagrams to "host:port". One that cannot be sent is logged, at most every AGAIN_S seconds, and stops nothing."""

    def __init__(self, address: str, default_port: int):
        """Raises UserError for an address that does not exist."""
        host, _, port = address.rpartition(":") if ":" in address.strip("[]") else (address, "", str(default_port))
        try:
            found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_DGRAM)[0]
        except (OSError, ValueError) as error:
            raise UserError(f"{address}: {getattr(error, 'strerror', None) or error}") from error
        family, kind, protocol, _, address_of = found
        self._to: Any = address_of
        self._socket = socket.socket(family, kind, protocol)
        self._socket.setblocking(False)
        self._said = -AGAIN_S

    def put(self, datagram: bytes) -> None:
        """Send one datagram."""
        try:
            self._socket.sendto(datagram, self._to)
        except OSError as error:  # nobody listens, or the network is down
            if time.monotonic() - self._said > AGAIN_S:
                self._said = time.monotonic()
                logger.warning("%s:%s: %s", *self._to[:2], error.strerror or error)

    def close(self) -> None:
        """Let the socket go."""
        self._socket.close()
