"""Frames in time: sound is animated as it comes, and every frame goes out when it is due, to all sinks."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Protocol

import numpy as np

from audio2face.inference import feed_together, finish_together
from audio2face.serving.engine import ServedModel
from audio2face.serving.live.source import Source
from audio2face.serving.request import StreamRequest
from audio2face.serving.stream import Frame, Stream

logger = logging.getLogger(__name__)

MARGIN_S = 0.06
EASE_S = 0.3  # from the last pose to rest, when the sound has ended
MOST_LATER = 2.0  # times the delay at the start


class Sink(Protocol):
    """Where frames go. Must return at once."""

    def send(self, frame: Frame) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Delay:
    """What a face needs: `look_ahead_s` of sound after a frame's moment at most, `work_s` for one run of the network."""

    look_ahead_s: float
    work_s: float

    @property
    def total_s(self) -> float:
        """From the sound to its face."""
        return self.look_ahead_s + 2 * self.work_s + MARGIN_S


def measure_delay(served: ServedModel, seconds: float = 2.0, piece_s: float = 0.02) -> Delay:
    """Feed silence in small pieces and see when frames come: their worst look-ahead, and the longest run but for the first,

    which warms the network up.
    """
    stream = served.open(StreamRequest(served.model.sample_rate))
    ahead, works = 0.0, list[float]()
    sound = bytes(2 * round(piece_s * served.model.sample_rate))
    for _ in range(round(seconds / piece_s)):
        stream.add(sound)
        began = time.monotonic()
        frames = _animate(stream)
        if frames:
            works.append(time.monotonic() - began)
            ahead = max(ahead, stream.duration_s - frames[0].time_s)
    return Delay(ahead, max(works[1:] or works))


def _animate(stream: Stream) -> list[Frame]:
    """All frames that the stream's sound makes final."""
    frames: list[Frame] = []
    while stream.unheard_s:
        frames += stream.collect(feed_together([stream.session], [stream.feed()])[0])
    if stream.to_finish:
        frames += stream.collect(finish_together([stream.session])[0], last=True)
    return frames


class Player:
    """Animates a source and plays it to sinks, `delay_s` behind the sound, until the sound ends or `stop` is called.

    A frame that is late is replaced by the last one, and the delay grows by a frame, up to MOST_LATER times.
    """

    def __init__(self, served: ServedModel, source: Source, sinks: Sequence[Sink], delay_s: float):
        self._source, self._sinks, self.delay_s, self._most_s = source, list(sinks), delay_s, delay_s * MOST_LATER
        self._stream = served.open(StreamRequest(source.sample_rate))
        self.fps: Fraction = self._stream.fps
        self._frames: deque[Frame] = deque()
        self._began, self._ended, self._stopped = threading.Event(), threading.Event(), threading.Event()
        self._start, self.sent, self.late = 0.0, 0, 0
        self._failure: BaseException | None = None

    def run(self) -> None:
        """Play to the end. Raises what went wrong with the source or the network."""
        hearing = threading.Thread(target=self._hear, name="hearing", daemon=True)
        hearing.start()
        try:
            self._play()
        finally:
            self._stopped.set()
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """End soon, from any thread."""
        self._stopped.set()
        self._began.set()

    def _hear(self) -> None:
        try:
            for piece in self._source.pieces():
                if self._stopped.is_set():
                    return
                if piece and not self._began.is_set():
                    self._start = time.monotonic() - len(piece) / 2 / self._source.sample_rate
                    self._began.set()
                self._stream.add(piece)
                self._frames.extend(_animate(self._stream))
            self._stream.end()
            self._frames.extend(_animate(self._stream))
        except BaseException as error:
            self._failure = error
        finally:
            self._ended.set()
            self._began.set()

    def _play(self) -> None:
        """One frame after the other, when it is due; the first frame is held until then."""
        self._began.wait()
        last: Frame | None = None
        number = 0
        while not self._stopped.is_set():
            due = self._start + self.delay_s + number / self.fps
            self._stopped.wait(max(0.0, due - time.monotonic()))
            if self._frames:
                last = self._frames.popleft()
                number += 1
            elif self._ended.is_set():
                break
            else:
                last = self._hold(last)
                if last is None:
                    continue
            self._send(replace(last, index=self.sent, time_s=float(self.sent / self.fps)))
        if last is not None and not self._stopped.is_set():
            self._rest(last)

    def _hold(self, last: Frame | None) -> Frame | None:
        """What stands in for a frame that is not there yet."""
        self.late += 1
        more = min(self.delay_s + float(1 / self.fps), self._most_s) - self.delay_s
        self.delay_s += more
        if not more:  # the machine is too slow: time slips
            self._start += float(1 / self.fps)
        return last

    def _rest(self, last: Frame) -> None:
        """Ease to the pose at rest."""
        count = max(1, round(EASE_S * self.fps))
        for i in range(1, count + 1):
            self._stopped.wait(float(1 / self.fps))
            left = np.float32(1 - i / count)
            pose = replace(last, weights=last.weights * left, eyes=last.eyes * left, sound=b"")
            self._send(replace(pose, index=self.sent, time_s=float(self.sent / self.fps)))

    def _send(self, frame: Frame) -> None:
        self.sent += 1
        for sink in list(self._sinks):
            try:
                sink.send(frame)
            except Exception:
                logger.exception("%s failed and gets no more frames", type(sink).__name__)
                self._sinks.remove(sink)
