"""The local server: this machine only, behind a secret address, and nothing that a client sends is ever a file's name.

Called by `runners.view`; next: `viewer.api`, which answers from a `viewer.library`.
"""

from __future__ import annotations

import hmac
import logging
import re
import secrets
import sys
import urllib.parse
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from audio2face.problems import UserError
from audio2face.viewer.api import Reply, answer, as_json, post
from audio2face.viewer.library import Library

logger = logging.getLogger(__name__)

ADDRESS = "127.0.0.1"
HOSTS = {"127.0.0.1", "localhost"}  # what a browser may call this machine; other names come from rebound DNS
MOST_UPLOAD_BYTES, MOST_WISH_BYTES = 200_000_000, 20_000
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

    def __init__(self, library: Library, port: int = 0, published: bool = False):
        self.library = library
        self.secret = secrets.token_urlsafe(16)
        self.files = {path.relative_to(PAGE).as_posix(): path for path in PAGE.rglob("*") if path.suffix in KINDS}
        super().__init__(("" if published else ADDRESS, port), Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Browsers drop connections as they like: no traceback for that."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            logger.exception("a request from %s failed", client_address)

    @property
    def url(self) -> str:
        """The address of the page, with the secret."""
        return f"http://{ADDRESS}:{self.server_address[1]}/{self.secret}/"


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: ViewServer
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "audio2face-viewer", ""
    timeout = 60

    @cached_property
    def address(self) -> str | None:
        """What is asked for, below the secret; None when the secret is not there."""
        path = urllib.parse.urlsplit(self.path).path
        given, _, rest = path.removeprefix("/").partition("/")
        return rest if hmac.compare_digest(given.encode(), self.server.secret.encode()) else None

    def do_GET(self) -> None:
        self._reply(self._get)

    def do_HEAD(self) -> None:
        self._reply(self._get)

    def do_POST(self) -> None:
        self._reply(self._post)

    def _reply(self, function: object) -> None:
        self.__dict__.pop("address", None)  # a connection carries several requests
        try:
            refusal = self._refusal()
            reply = refusal or function()  # type: ignore[operator]
            if refusal is not None and self.command == "POST":
                self.close_connection = True  # its body was not read
        except UserError as error:
            reply = as_json({"error": list(error.lines)}, 422)
        except (BrokenPipeError, ConnectionResetError, TimeoutError):
            self.close_connection = True
            return
        except Exception as error:
            logger.exception("%s", self.path)
            reply = as_json({"error": [f"a bug in the viewer: {type(error).__name__}: {error}"]}, 500)
        try:
            self._send(reply or as_json({"error": ["not found"]}, 404))
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _refusal(self) -> Reply | None:
        host = self.headers.get("Host", "").rpartition(":")
        if (host[0] or host[2]) not in HOSTS:
            return Reply(b"unknown host\n", KINDS[".txt"], 403)
        if self.address is None:
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
        length = self.headers.get("Content-Length", "")
        most = MOST_UPLOAD_BYTES if self.address == "api/sounds" else MOST_WISH_BYTES
        if not length.isdigit() or int(length) > most:
            self.close_connection = True
            return as_json({"error": [f"too much at once: expected at most {most / 1e6:g} MB"]}, 413)
        body = self.rfile.read(int(length))
        name = urllib.parse.unquote(self.headers.get("X-Name", ""))
        return post(self.server.library, self.address or "", body, name)

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
