"""All outputs that are asked for, opened together, and fed together."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Protocol, runtime_checkable

import numpy as np

from audio2face.problems import UserError
from audio2face.serving.engine import ServedModel
from audio2face.serving.live.livelink import LiveLinkSink
from audio2face.serving.stream import Frame

logger = logging.getLogger(__name__)


@runtime_checkable
class Sink(Protocol):
    """Where frames go. Must return at once."""

    def send(self, frame: Frame) -> None: ...

    def close(self) -> None: ...


class Outputs:
    """Sinks of one face, at `fps`. `sent` counts its frames. One sink that fails is logged, and stops nothing."""

    def __init__(self, served: ServedModel, sinks: Iterable[Sink]):
        self.fps, self.sent, self._num_weights, self._sinks = served.out_fps, 0, len(served.names), list(sinks)

    def send(self, frame: Frame) -> None:
        """Give a frame to all, as the next one."""
        frame = replace(frame, index=self.sent, time_s=float(self.sent / self.fps), sound=b"")
        self.sent += 1
        for sink in list(self._sinks):
            try:
                sink.send(frame)
            except Exception:
                logger.exception("%s failed and gets no more frames", type(sink).__name__)
                self._sinks.remove(sink)

    def rest(self) -> Frame:
        """The face at rest."""
        weights, eyes = np.zeros(self._num_weights, np.float32), np.zeros(6, np.float32)
        return Frame(0, 0.0, weights, eyes, np.eye(4, dtype=np.float32), b"", 0.0, {})

    def close(self) -> None:
        """Close all that have not failed."""
        for sink in self._sinks:
            sink.close()


def open_sinks(
    served: ServedModel,
    live_link: Collection[str],
    subject: str,
    half_turns: bool,
    vmc: Collection[str],
    vmc_names: str,
) -> list[Sink]:
    """Sinks at the addresses given. Raises UserError for an address or a package that is not there."""
    sinks: list[Sink] = [LiveLinkSink(address, subject, served.out_fps, half_turns) for address in live_link]
    if vmc:
        try:
            from audio2face.serving.live.vmc import VmcSink
        except ImportError as error:
            raise UserError(f"this output needs the package {error.name}: pip install -e '.[live]'") from error
        sinks += [VmcSink(address, vmc_names) for address in vmc]
    return sinks


def open_websocket(served: ServedModel, address: str, origins: Collection[str], delay_s: float) -> Sink:
    """Frames as JSON at ws://`address`/live. Raises UserError for a port or a package that is not there."""
    try:
        from audio2face.serving.live.websocket import WebSocketServer
    except ImportError as error:
        raise UserError(f"this output needs the package {error.name}: pip install -e '.[live]'") from error
    return WebSocketServer(address, served, origins=origins, delay_s=delay_s)
