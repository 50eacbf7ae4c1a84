"""HTTP beside gRPC: whether the server is ready, and its counts for Prometheus."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol

from audio2face.problems import UserError
from audio2face.serving.metrics import Metrics

TIMEOUT_S = 10  # for a whole request
MOST_CONNECTIONS = 64


class Health(Protocol):
    """Whether streams are served."""

    serving: bool


def status_page(path: str, health: Health, metrics: Metrics) -> tuple[int, str] | None:
    """(status, text) of /v1/health/ready, /v1/health/live and /metrics; None for other paths."""
    if path == "/v1/health/ready":
        return (200, "ready\n") if health.serving else (503, "not ready\n")
    if path == "/v1/health/live":
        return 200, "live\n"
    return (200, metrics.text()) if path == "/metrics" else None


class _Server(ThreadingHTTPServer):
    """At most MOST_CONNECTIONS at once; a request that takes too long is cut off."""

    request_queue_size = 128

    def __init__(self, *arguments: Any):
        self._places = threading.Semaphore(MOST_CONNECTIONS)
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        def cut_off() -> None:
            with suppress(OSError):
                request.shutdown(socket.SHUT_RDWR)

        clock = threading.Timer(TIMEOUT_S, cut_off)
        clock.daemon = True
        clock.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            clock.cancel()
            self._places.release()

    def handle_error(self, *_: Any) -> None:
        """Clients that go away are not worth a traceback."""


class HttpServer:
    """Answers GET with `status_page`, in a thread of its own."""

    def __init__(self, address: str, health: Health, metrics: Metrics):
        """`address` "host:port". Raises UserError when the port cannot be had."""

        class Handler(BaseHTTPRequestHandler):
            timeout = TIMEOUT_S

            def do_GET(self) -> None:
                found = status_page(self.path.partition("?")[0], health, metrics)
                code, text = found or (404, "no such page\n")
                body = text.encode()
                self.send_response(code)
                self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Requests are not logged."""

        host, _, port = address.rpartition(":")
        try:
            self._server = _Server((host, int(port)), Handler)
        except (OSError, ValueError, OverflowError) as error:
            raise UserError(f"{address}: {getattr(error, 'strerror', None) or error}; choose another port") from error
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, name="http", daemon=True).start()

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()
