"""The local server: this machine only, behind a secret address, and nothing that a client sends is ever a file's name.

Called by `runners.view`; next: `viewer.api`, which answers from a `viewer.library`.
"""

from __future__ import annotations

import hmac
import logging
import os
import re
import secrets
import socket
import sys
import threading
import time
import urllib.parse
from contextlib import suppress
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from audio2face.problems import UserError
from audio2face.viewer.api import Reply, answer, as_json, upload, wish
from audio2face.viewer.library import Library

logger = logging.getLogger(__name__)

ADDRESS = "127.0.0.1"
HOSTS = {"127.0.0.1", "localhost"}  # what a browser may call this machine; other names come from rebound DNS
MOST_UPLOAD_BYTES, MOST_WISH_BYTES = 200_000_000, 20_000
MOST_CONNECTIONS = 100  # a browser opens six
ASKING_S, IDLE_S, ANSWERING_S = (
    10,
    60,
    300,
)  # for a connection's first request, for each later one, and from there to the end of its answer
TICKET_S = 120  # for a browser to start
CLIENTS = Path("/proc/net/tcp")  # which user is at the other end, where the system tells
PAGE = Path(__file__).parent / "page"
KINDS = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; media-src 'self' blob:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
NO_SECRET = "Open the address that `python -m runners.view` printed: it ends in a secret, which is missing here.\n"


class ViewServer(ThreadingHTTPServer):
    """Serves one library at `url` until `shutdown`, to this machine alone. Raises OSError when the port is taken.

    In a container that is not where the browser is: there `published` listens for what the engine passes on.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, library: Library, port: int = 0, published: bool = False):
        self.library = library
        self.secret = secrets.token_urlsafe(16)
        self._ticket: tuple[str, float] | None = None
        self._deadlines: dict[socket.socket, float] = {}
        self._lock = threading.Lock()
        self.files = {path.relative_to(PAGE).as_posix(): path for path in PAGE.rglob("*") if path.suffix in KINDS}
        super().__init__(("" if published else ADDRESS, port), Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Browsers drop connections as they like, and slow ones are dropped: no traceback for that."""
        if not isinstance(sys.exception(), OSError):
            logger.exception("a request from %s failed", client_address)

    @property
    def url(self) -> str:
        """The address of the page, with the secret."""
        return f"http://{ADDRESS}:{self.server_address[1]}/{self.secret}/"

    def ticket_url(self) -> str:
        """An address that leads to the page once, soon, and this user only: every user sees what a browser was started with."""
        ticket = secrets.token_urlsafe(16)
        self._ticket = ticket, time.monotonic() + TICKET_S
        return f"http://{ADDRESS}:{self.server_address[1]}/open/{ticket}"

    def take_ticket(self, path: str, port: int) -> bool:
        """Whether a path is the ticket's, asked for from a port of this user; afterwards it no longer is."""
        with self._lock:
            if self._ticket is None or not hmac.compare_digest(path.encode(), f"/open/{self._ticket[0]}".encode()):
                return False
            if _user_at(port) not in (None, os.getuid() if hasattr(os, "getuid") else None):
                return False
            (_, end), self._ticket = self._ticket, None
            return time.monotonic() < end

    # ---- bounds

    def process_request(self, request: Any, client_address: Any) -> None:
        """A thread for the connection, unless there are too many."""
        with self._lock:
            free = len(self._deadlines) < MOST_CONNECTIONS
            if free:
                self._deadlines[request] = time.monotonic() + ASKING_S
        if free:
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def allow(self, request: socket.socket, seconds: float) -> None:
        """Give a connection so long from now on, however slowly it sends or takes."""
        with self._lock:
            if request in self._deadlines:
                self._deadlines[request] = time.monotonic() + seconds

    def shutdown_request(self, request: Any) -> None:
        """The connection has ended."""
        with self._lock:
            self._deadlines.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Between requests: end the connections whose time is over."""
        now = time.monotonic()
        with self._lock:
            late = [request for request, end in self._deadlines.items() if end < now]
        for request in late:
            with suppress(OSError):
                request.shutdown(socket.SHUT_RDWR)  # its thread reads an end, and closes it


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: ViewServer
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "audio2face-viewer", ""
    timeout = 60

    @cached_property
    def address(self) -> str | None:
        """What is asked for, below the secret; None when the secret is not there."""
        path = self.path.partition("?")[0].partition("#")[0]
        given, _, rest = path.removeprefix("/").partition("/")
        return rest if hmac.compare_digest(given.encode(), self.server.secret.encode()) else None

    def handle_one_request(self) -> None:
        super().handle_one_request()
        self.server.allow(self.connection, IDLE_S)

    def do_GET(self) -> None:
        self._reply(self._get)

    def do_HEAD(self) -> None:
        self._reply(self._get)

    def do_POST(self) -> None:
        self._reply(self._post)

    def _reply(self, function: object) -> None:
        self.__dict__.pop("address", None)  # a connection carries several requests
        self.server.allow(self.connection, ASKING_S if self.address is None else ANSWERING_S)
        try:
            refusal = self._refusal()
            reply = refusal or function()  # type: ignore[operator]
            if refusal is not None:
                self.close_connection = True  # its body was not read, and nobody stays who lacks the secret
        except UserError as error:
            reply = as_json({"error": list(error.lines)}, 422)
        except (ConnectionError, TimeoutError):
            self.close_connection = True
            return
        except Exception as error:
            logger.exception("%s", self.path)
            reply = as_json({"error": [f"a bug in the viewer: {type(error).__name__}: {error}"]}, 500)
        try:
            self._send(reply or as_json({"error": ["not found"]}, 404))
        except OSError:
            self.close_connection = True

    def _refusal(self) -> Reply | None:
        host = self.headers.get("Host", "").rpartition(":")
        if (host[0] or host[2]) not in HOSTS:
            return Reply(b"unknown host\n", KINDS[".txt"], 403)
        if self.address is None:
            if self.command == "GET" and self.server.take_ticket(self.path, self.client_address[1]):
                return Reply(b"", KINDS[".txt"], 303, headers={"Location": f"/{self.server.secret}/"})
            return Reply(NO_SECRET.encode(), KINDS[".txt"], 403)
        origin = self.headers.get("Origin")
        if self.command == "POST" and origin is not None and origin != f"http://{self.headers['Host']}":
            return Reply(b"asked by another page\n", KINDS[".txt"], 403)
        return None

    def _get(self) -> Reply | None:
        name = self.address or "index.html"
        if name in self.server.files:
            path = self.server.files[name]
            return Reply(path.read_bytes(), KINDS[path.suffix])
        return answer(self.server.library, name)

    def _post(self) -> Reply | None:
        length, sound = self.headers.get("Content-Length", ""), self.address == "api/sounds"
        most = MOST_UPLOAD_BYTES if sound else MOST_WISH_BYTES
        if not re.fullmatch(r"[0-9]{1,12}", length) or int(length) > most:
            self.close_connection = True
            return as_json({"error": [f"too much at once: expected at most {most / 1e6:g} MB"]}, 413)
        if not sound:
            return wish(self.server.library, self.address or "", self.rfile.read(int(length)))
        name = urllib.parse.unquote(self.headers.get("X-Name", ""))
        try:
            return upload(self.server.library, name, self.rfile, int(length))
        except UserError:
            self.close_connection = True  # what is left of it was not read
            raise

    def _send(self, reply: Reply) -> None:
        body, status = memoryview(reply.body), reply.status
        more = {**HEADERS, **reply.headers}
        if reply.ranged:
            more["Accept-Ranges"] = "bytes"
            span = _span(self.headers.get("Range"), len(body))
            if span is not None:
                more["Content-Range"] = f"bytes {span[0]}-{span[1] - 1}/{len(body)}"
                body, status = body[span[0] : span[1]], 206
        self.send_response(status)
        for header, value in {"Content-Type": reply.kind, "Content-Length": str(len(body)), **more}.items():
            self.send_header(header, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        logger.debug(format, *args)


def _span(text: str | None, size: int) -> tuple[int, int] | None:
    """First and end byte of a Range header that asks for one part; None for anything else, which is answered in full."""
    found = re.fullmatch(r"bytes=(\d{0,15})-(\d{0,15})", text or "")
    if not found or found.groups() == ("", ""):
        return None
    first, end = max(0, size - int(found[2] or 0)), size
    if found[1]:
        first, end = int(found[1]), min(int(found[2]) + 1 if found[2] else size, size)
    return (first, end) if first < end else None


def _user_at(port: int) -> int | None:
    """The number of the user whose socket of this machine has the port; None where the system does not tell."""
    try:
        rows = [line.split() for line in CLIENTS.read_text(encoding="ascii").splitlines()[1:]]
    except (OSError, ValueError):
        return None
    ends = [row[7] for row in rows if len(row) > 7 and row[1].endswith(f":{port:04X}") and row[3] == "01"]
    return int(ends[0]) if len(ends) == 1 else None
