"""The one thread that runs networks: all streams with pending sound go through them together, in turns."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

from audio2face.inference import Animation, Session, feed_together, finish_together
from audio2face.serving.metrics import Metrics
from audio2face.serving.slots import Slots
from audio2face.serving.stream import Frame, Stream

if TYPE_CHECKING:
    from audio2face.serving.live.mirror import Mirror

logger = logging.getLogger(__name__)

ROOM = 64  # frames that wait for a client before its stream is left out
SLOW_S, SLOW_AGAIN_S = 5.0, 60.0
T = TypeVar("T")
Job = Generator[None, None, T]


@dataclass(eq=False)
class Track:
    """A stream as the scheduler has it. `deliver` takes frames, `fail` an exception; both must return at once."""

    stream: Stream
    deliver: Callable[[list[Frame]], None]
    fail: Callable[[BaseException], None]
    waiting: int = 0  # frames that the client has not taken; the client counts down
    began: float = field(default_factory=time.monotonic)
    first_frame: bool = True


class Scheduler:
    """Runs streams in a thread of its own. Methods may be called from any thread; results come through the tracks' functions.

    `slots` are the places of streams, which those who add them take first; a `mirror` gets all frames too.
    """

    def __init__(self, metrics: Metrics, batch: int = 8, streams: int = 8):
        self._metrics, self._batch, self.slots = metrics, batch, Slots(streams)
        self.mirror: Mirror | None = None
        self._tracks: list[Track] = []
        self._calls: SimpleQueue[tuple[Callable[[], Any], Future[Any]]] = SimpleQueue()
        self._jobs: deque[tuple[Callable[[], Job], Future[Any]]] = deque()
        self._job: Job | None = None  # the first of them, once begun
        self._wake, self._lock, self._closing = threading.Event(), threading.Lock(), False
        self._slow_since: float | None = None
        self._said = -SLOW_AGAIN_S
        self._thread = threading.Thread(target=self._run, name="networks", daemon=True)
        self._thread.start()

    def call(self, function: Callable[[], T]) -> Future[T]:
        """Run a function in the thread, between two turns: opening a session."""
        future: Future[T] = Future()
        self._calls.put((function, future))
        self._wake.set()
        return future

    def work(self, function: Callable[[], Job[T]]) -> Future[T]:
        """Run a generator in the thread, up to its next `yield` after each turn of the streams; what it returns is the result.

        They run one after another, so that all of them together delay the streams by no more than one step.
        """
        future: Future[T] = Future()
        self._jobs.append((function, future))
        self._wake.set()
        return future

    def add(self, track: Track) -> None:
        """Take a stream on."""
        with self._lock:
            self._tracks.append(track)
        self._wake.set()

    def remove(self, track: Track) -> None:
        """Let a stream go; what a turn under way still makes of it is dropped."""
        with self._lock:
            if track in self._tracks:
                self._tracks.remove(track)
        if self.mirror and not track.stream.finished:
            self.mirror.drop(track.stream)

    def wake(self) -> None:
        """Look again: sound has come, or room."""
        self._wake.set()

    def close(self) -> None:
        """Stop after the turn under way."""
        self._closing = True
        self._wake.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closing:
            self._wake.wait()
            self._wake.clear()
            while not self._closing and (self._answer() | self._turn() | self._step()):
                pass

    def _answer(self) -> bool:
        """Run the functions that wait."""
        busy = False
        while not self._calls.empty():
            function, future = self._calls.get()
            busy = True
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(function())
                except BaseException as error:
                    future.set_exception(error)
        return busy

    def _step(self) -> bool:
        """A step of the first generator that waits."""
        if not self._jobs:
            return False
        function, future = self._jobs[0]
        try:
            if self._job is None:
                self._job = function() if future.set_running_or_notify_cancel() else _nothing()
            next(self._job)
            return True
        except StopIteration as end:
            if not future.cancelled():
                future.set_result(end.value)
        except BaseException as error:
            future.set_exception(error)
        self._job = None
        self._jobs.popleft()
        return True

    def _turn(self) -> bool:
        """One turn of the streams that are ready; the others move up, so that all get their turn."""
        with self._lock:
            ready = [track for track in self._tracks if track.stream.waits and track.waiting < ROOM][: self._batch]
            self._tracks.sort(key=ready.__contains__)  # those that go now queue at the end
        if not ready:
            return False
        began = time.monotonic()
        heard = sum(track.stream.duration_s - track.stream.unheard_s for track in ready)
        self._together(ready)
        seconds = time.monotonic() - began
        heard = sum(track.stream.duration_s - track.stream.unheard_s for track in ready) - heard
        self._metrics.turn(len(ready), seconds, heard)
        self._watch(ready)
        return True

    def _together(self, tracks: list[Track]) -> None:
        hearing = [track for track in tracks if track.stream.unheard_s]
        ending = [track for track in tracks if track.stream.to_finish]
        self._pass(hearing, lambda sessions: feed_together(sessions, [t.stream.feed() for t in hearing]), last=False)
        self._pass(ending, finish_together, last=True)

    def _pass(self, tracks: list[Track], run: Callable[[list[Session]], list[Animation]], last: bool) -> None:
        if not tracks:
            return
        try:
            for track, animation in zip(tracks, run([t.stream.session for t in tracks]), strict=True):
                self._hand_out(track, track.stream.collect(animation, last))
        except Exception as error:  # of the network: none of these can go on
            logger.exception("%d stream(s) failed", len(tracks))
            for track in tracks:
                self.remove(track)
                track.fail(error)

    def _hand_out(self, track: Track, frames: list[Frame]) -> None:
        with self._lock:
            if track not in self._tracks:
                return
            track.waiting += len(frames)
        if frames and track.first_frame:
            track.first_frame = False
            self._metrics.first_frame(time.monotonic() - track.began)
        self._metrics.frames(len(frames))
        if self.mirror:
            self.mirror.add(track.stream, frames)
        if frames or track.stream.finished:
            track.deliver(frames)

    def taken(self, track: Track) -> None:
        """A client has taken a frame."""
        with self._lock:
            track.waiting -= 1
            again = track.waiting == ROOM - 1
        if again:
            self.wake()

    def _watch(self, ready: list[Track]) -> None:
        """Log when sound comes faster than it can be animated."""
        now, behind = time.monotonic(), max(track.stream.unheard_s for track in ready)
        live = [t for t in ready if not t.stream.ended]
        if not live or behind < 1.0:
            self._slow_since = None
            return
        self._slow_since = self._slow_since or now
        if now - self._slow_since > SLOW_S and now - self._said > SLOW_AGAIN_S:
            self._said = now
            logger.warning(
                "%d streams are more than this machine can animate as they come (%.1f s behind)", len(ready), behind
            )


def _nothing() -> Job[None]:
    """The work of a request that was taken back before it began."""
    return
    yield
