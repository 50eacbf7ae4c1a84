"""What clients of a server are sent, on live outputs as well."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from audio2face.serving.live.outputs import Outputs
from audio2face.serving.live.player import Delay, Player, ticks
from audio2face.serving.stream import Frame, Stream


class Mirror:
    """What clients are sent, on live outputs too: the newest stream, in time. Between streams the face rests.

    `add` and `drop` return at once, from any thread.
    """

    def __init__(self, outputs: Outputs, delay: Delay):
        self._outputs, self._delay = outputs, delay
        self._stream: Stream | None = None
        self._player = self._next = Player(outputs, 0.0)
        self._player.cut()
        self._closed, self._lock = threading.Event(), threading.Lock()
        self._thread = threading.Thread(target=self._run, name="mirror", daemon=True)
        self._thread.start()

    def add(self, stream: Stream, frames: Sequence[Frame]) -> None:
        """Frames of a stream. Its first one takes the face over."""
        with self._lock:
            if frames and frames[0].index == 0:
                before, self._stream = self._next, stream
                self._next = Player(self._outputs, self._delay.total_s)
                self._next.begin(self._delay.look_ahead_s)  # what a client that speaks live has said by now
                before.stop()
            if stream is self._stream:
                self._next.add(frames)
                if stream.finished:
                    self._next.end()

    def drop(self, stream: Stream) -> None:
        """A stream has ended before its time."""
        with self._lock:
            if stream is self._stream:
                self._next.cut()

    def close(self) -> None:
        """End."""
        self._closed.set()
        self._next.stop()
        self._thread.join()

    def _run(self) -> None:
        rest = self._outputs.rest()
        for _ in ticks(self._outputs.fps, self._closed):
            while self._next is not self._player:
                self._player = self._next
                self._player.run()
            self._outputs.send(rest)
