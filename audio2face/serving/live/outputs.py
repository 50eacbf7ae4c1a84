"""All outputs that are asked for, opened together."""

from __future__ import annotations

from collections.abc import Collection

from audio2face.problems import UserError
from audio2face.serving.engine import ServedModel
from audio2face.serving.live.livelink import LiveLinkSink
from audio2face.serving.live.player import Sink


def open_sinks(
    served: ServedModel,
    live_link: Collection[str],
    subject: str,
    half_turns: bool,
    vmc: Collection[str],
    vmc_names: str,
    websocket: str | None,
    origins: Collection[str],
    delay_s: float,
) -> list[Sink]:
    """Sinks at the addresses given. Raises UserError for an address, a port or a package that is not there."""
    sinks: list[Sink] = [LiveLinkSink(address, subject, served.out_fps, half_turns) for address in live_link]
    try:
        if vmc:
            from audio2face.serving.live.vmc import VmcSink

            sinks += [VmcSink(address, vmc_names) for address in vmc]
        if websocket:
            from audio2face.serving.live.websocket import WebSocketServer

            address = websocket if ":" in websocket else f"127.0.0.1:{websocket}"
            sinks.append(WebSocketServer(address, served, origins=origins, delay_s=delay_s))
    except ImportError as error:
        raise UserError(f"this output needs the package {error.name}: pip install -e '.[live]'") from error
    return sinks
