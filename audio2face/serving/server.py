"""A server's life: its ports, its event loop, and its end."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import grpc.aio

from audio2face.problems import UserError
from audio2face.serving.engine import ServedModel
from audio2face.serving.http import HttpServer
from audio2face.serving.live.mirror import Mirror
from audio2face.serving.live.outputs import Outputs, Sink
from audio2face.serving.live.player import measure_delay
from audio2face.serving.metrics import Metrics
from audio2face.serving.scheduler import Scheduler
from audio2face.serving.service import OPTIONS, Service

if TYPE_CHECKING:
    from audio2face.serving.live.websocket import WebSocketServer

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Endpoint:
    """Where a server listens: "host:port" of gRPC, of HTTP and Prometheus (None: closed), and its certificates.

    `origins` of web pages that may open streams, beside those of this machine.
    """

    listen: str
    http: str | None = None
    metrics: str | None = None
    certificate: Path | None = None
    key: Path | None = None
    client_ca: Path | None = None
    origins: tuple[str, ...] = ()

    def credentials(self) -> grpc.ServerCredentials | None:
        """For TLS; None without. Raises UserError for files that cannot be read."""
        if self.certificate is None or self.key is None:
            return None
        try:
            pair = self.key.read_bytes(), self.certificate.read_bytes()
            ca = self.client_ca.read_bytes() if self.client_ca else None
        except OSError as error:
            raise UserError(f"{error.filename}: {error.strerror}") from error
        return grpc.ssl_server_credentials([pair], ca, require_client_auth=ca is not None)


async def serve(
    served: ServedModel,
    endpoint: Endpoint,
    ready: Callable[[int], None] | None = None,
    mirror: Sequence[Sink] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, then let open streams end. `ready` is called with the port of gRPC.

    `mirror`: live outputs that get the newest stream's frames too, as does /live over HTTP; None for neither.

    Raises UserError when a port is taken or a certificate cannot be read.
    """
    metrics = Metrics()
    scheduler = Scheduler(metrics, served.options.batch, served.options.streams)
    service = Service(served, scheduler, metrics)
    server = grpc.aio.server(options=OPTIONS, maximum_concurrent_rpcs=None)
    server.add_generic_rpc_handlers(service.handlers())
    port = _bind(server, endpoint)
    delay = await asyncio.wrap_future(scheduler.call(lambda: measure_delay(served)))
    logger.info("a face follows its voice by %.2f s, when one stream runs", delay.total_s)
    pages = [_page_server(endpoint, served, service, scheduler, metrics, delay.total_s)] if endpoint.http else []
    if endpoint.metrics and endpoint.metrics != endpoint.http:
        pages.append(HttpServer(endpoint.metrics, service, metrics))
    if mirror is not None:
        live = [page for page in pages if isinstance(page, Sink)]
        scheduler.mirror = Mirror(Outputs(served, [*mirror, *live]), delay)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await server.start()
    try:
        if ready:
            ready(port)
        await stop.wait()
        logger.info("the server is stopping; no more streams are accepted")
        await service.close()
        await server.stop(grace=1.0)
    finally:
        if scheduler.mirror:
            scheduler.mirror.close()
        for part in (*(mirror or ()), *pages):
            part.close()
        scheduler.close()


def _page_server(
    endpoint: Endpoint, served: ServedModel, service: Service, scheduler: Scheduler, metrics: Metrics, delay_s: float
) -> HttpServer | WebSocketServer:
    """Health over HTTP, with the test page and WebSocket streams where the package for them is installed.

    `delay_s` is that of a face behind its voice.
    """
    assert endpoint.http is not None
    try:
        from audio2face.serving.live.websocket import WebSocketServer
    except ImportError as error:
        logger.info("no test page: it needs the package %s (pip install -e '.[live]')", error.name)
        return HttpServer(endpoint.http, service, metrics)
    return WebSocketServer(endpoint.http, served, scheduler, metrics, endpoint.origins, delay_s, service)


def _bind(server: grpc.aio.Server, endpoint: Endpoint) -> int:
    credentials = endpoint.credentials()
    try:
        if credentials is not None:
            return server.add_secure_port(endpoint.listen, credentials)
        return server.add_insecure_port(endpoint.listen)
    except RuntimeError as error:
        reason = _why_not(endpoint.listen)
        raise UserError(f"--listen {endpoint.listen}: {reason or error}; choose another port") from error


def _why_not(address: str) -> str | None:
    """Why a port cannot be bound, in the system's words."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_server((host.strip("[]"), int(port))):
            return None
    except (OSError, ValueError) as error:
        return error.strerror if isinstance(error, OSError) and error.strerror else str(error)
