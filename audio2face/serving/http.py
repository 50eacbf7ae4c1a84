"""HTTP beside gRPC: whether the server is ready, and its counts for Prometheus."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Protocol

from audio2face.problems import UserError
from audio2face.serving.metrics import Metrics

TIMEOUT_S = 10


class Health(Protocol):
    """What tells whether streams are served."""

    serving: bool


class HttpServer:
    """GET /v1/health/ready and /v1/health/live (200 or 503), /metrics; in a thread of its own."""

    def __init__(self, address: str, health: Health, metrics: Metrics):
        """`address` "host:port". Raises UserError when the port cannot be had."""

        class Handler(BaseHTTPRequestHandler):
            timeout = TIMEOUT_S

            def do_GET(self) -> None:
                pages = {
                    "/v1/health/ready": lambda: (
                        200 if health.serving else 503,
                        "ready" if health.serving else "not ready",
                    ),
                    "/v1/health/live": lambda: (200, "live"),
                    "/metrics": lambda: (200, metrics.text()),
                }
                code, text = pages.get(self.path.partition("?")[0], lambda: (404, "no such page"))()
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
            self._server = ThreadingHTTPServer((host, int(port)), Handler)
        except (OSError, ValueError, OverflowError) as error:
            raise UserError(f"{address}: {getattr(error, 'strerror', None) or error}; choose another port") from error
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, name="http", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def close(self) -> None:
        """Stop, if it has begun."""
        if self._thread.is_alive():
            self._server.shutdown()
        self._server.server_close()
