"""Frames in time: sound is animated as it comes, and every frame goes out when it is due."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from audio2face.inference import feed_together, finish_together
from audio2face.serving.engine import ServedModel
from audio2face.serving.live.outputs import Outputs
from audio2face.serving.live.source import Source
from audio2face.serving.live.speaker import Speaker
from audio2face.serving.request import StreamRequest
from audio2face.serving.stream import Frame, Stream

MARGIN_S = 0.06
EASE_S = 0.3  # from the last pose to rest, when the sound has ended
MOST_LATER = 2.0  # times the delay at the start


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
    """Plays frames to outputs, each `delay_s` after the sound of its moment, until `end` or `stop` is called.

    `begin`, `add` and `end` may be called from another thread than `run`. A frame that is late is replaced by the last
    one, and the delay grows by a frame, up to MOST_LATER times. With a `speaker`, frames follow what is heard: where they
    are late, the sound goes on.
    """

    def __init__(self, outputs: Outputs, delay_s: float, speaker: Speaker | None = None):
        self._outputs, self._speaker, self.delay_s, self._most_s = outputs, speaker, delay_s, delay_s * MOST_LATER
        self._frames: deque[Frame] = deque()
        self._began, self._ended, self._stopped = threading.Event(), threading.Event(), threading.Event()
        self._start, self.late = 0.0, 0
        self._failure: BaseException | None = None

    def begin(self, ago_s: float = 0.0) -> None:
        """The sound has begun, so many seconds ago. Later calls do nothing."""
        if not self._began.is_set():
            self._start = time.monotonic() - ago_s
            self._began.set()

    def add(self, frames: Iterable[Frame]) -> None:
        """The next frames."""
        self._frames.extend(frames)

    def end(self, failure: BaseException | None = None) -> None:
        """No more frames come; or they cannot come any more, which `run` raises."""
        self._failure = failure
        self._ended.set()
        self._began.set()

    def cut(self) -> None:
        """End without the frames that wait: the face eases to rest."""
        self._frames.clear()
        self.end()

    def stop(self) -> None:
        """End at once, where the face is."""
        self._stopped.set()
        self._began.set()

    @property
    def stopped(self) -> bool:
        """Whether nothing is played any more."""
        return self._stopped.is_set()

    def run(self) -> None:
        """Play to the end. Raises what went wrong with the source or the network."""
        self._began.wait()
        try:
            last = self._follow(self._speaker) if self._speaker else self._play()
            if last is not None and not self.stopped:
                self._rest(last)
        finally:
            self._stopped.set()
        if self._failure is not None:
            raise self._failure

    def _play(self) -> Frame | None:
        """One frame after the other, when it is due; the first frame is held until then. Returns the last one."""
        last: Frame | None = None
        number = 0
        while not self.stopped:
            due = self._start + self.delay_s + number / self._outputs.fps
            self._stopped.wait(max(0.0, due - time.monotonic()))
            if self._frames:
                last = self._frames.popleft()
                number += 1
            elif self._ended.is_set():
                break
            else:
                self._hold()
            if last is not None:
                self._outputs.send(last)
        return last

    def _follow(self, speaker: Speaker) -> Frame | None:
        """At every tick the newest frame whose moment has been heard. Returns the last one."""
        last: Frame | None = None
        for _ in ticks(self._outputs.fps, self._stopped):
            if self._ended.is_set() and not self._frames:
                break
            heard_s, frame = speaker.heard_s(), None
            while self._frames and self._frames[0].time_s <= heard_s:
                frame = self._frames.popleft()
            self.late += frame is None and last is not None and heard_s > last.time_s + 2 / self._outputs.fps
            last = frame or last
            if last is not None:
                self._outputs.send(last)
        return last

    def _hold(self) -> None:
        """The frame that is due is not there yet: the last one stands in for it."""
        self.late += 1
        frame_s = float(1 / self._outputs.fps)
        more = min(self.delay_s + frame_s, self._most_s) - self.delay_s
        self.delay_s += more
        if not more:  # the machine is too slow: time slips
            self._start += frame_s

    def _rest(self, last: Frame) -> None:
        """Ease to the pose at rest."""
        count = max(1, round(EASE_S * self._outputs.fps))
        for i, _ in zip(range(1, count + 1), ticks(self._outputs.fps, self._stopped), strict=False):
            left = np.float32(1 - i / count)
            head = None if last.head is None else last.head * left
            self._outputs.send(replace(last, weights=last.weights * left, eyes=last.eyes * left, head=head))


def ticks(fps: Fraction, stopped: threading.Event) -> Iterator[bool]:
    """True a frame's time from now, and then once a frame, until `stopped`; what the caller has missed is left out."""
    frame_s, last = float(1 / fps), time.monotonic()
    while not stopped.wait(max(0.0, last + frame_s - time.monotonic())):
        last = max(last + frame_s, time.monotonic() - frame_s)
        yield True


def hear(served: ServedModel, source: Source, player: Player, speaker: Speaker | None = None) -> None:
    """Animate a source for a player, and give its sound to the speaker, to its end; what goes wrong is the player's to raise."""
    try:
        stream = served.open(StreamRequest(source.sample_rate))
        for piece in source.pieces():
            if player.stopped:
                return
            if piece:
                player.begin(len(piece) / 2 / source.sample_rate)
            if speaker:
                speaker.add(piece)
            stream.add(piece)
            player.add(_animate(stream))
        stream.end()
        if speaker:
            speaker.end()
        player.add(_animate(stream))
        player.end()
    except BaseException as error:
        player.end(error)
