"""One stream: sound in as it comes, frames out at the client's rate, each with its slice of the very sound."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from audio2face.inference import Animation, Session
from audio2face.serving.emotion import EmotionTrack
from audio2face.serving.names import EMOTIONS, known_emotions
from audio2face.serving.request import MOST_NAMES, Refusal, StreamRequest, finite, one_line

FEED_S = 0.25  # of sound that a stream is fed at once, so that none waits long for the others
MOST_KEYS = 1000  # emotion keys and weights for each second that a sound may last


@dataclass(frozen=True)
class Frame:
    """A finished frame: `weights` (P,) of the wire's names, `eyes` (6,) degrees, `jaw` (4, 4), its sound as PCM.

    `head` (3,) degrees, as of `HeadCurves.degrees`; None of a model that turns none.
    `emotion` {name: weight} is what the network was given, `keys` [(seconds, {name: weight})] came since the frame before.
    """

    index: int
    time_s: float
    weights: np.ndarray
    eyes: np.ndarray
    jaw: np.ndarray
    sound: bytes
    sound_time_s: float
    emotion: dict[str, float]
    keys: tuple[tuple[float, dict[str, float]], ...] = ()
    head: np.ndarray | None = None


class FrameRate:
    """Frames of a model at `source` a second as frames at `target`: every n-th, or between two by a straight line."""

    def __init__(self, source: Fraction, target: Fraction):
        self._step = source / target  # frames of the model for one of the client
        self._rows: list[np.ndarray] = []
        self._first, self.next = 0, 0

    def add(self, rows: np.ndarray) -> list[np.ndarray]:
        """Rows (n, C) of the model's next frames -> the rows (C,) that are now final."""
        self._rows += list(rows)
        return list(self._ready(hold=False))

    def rest(self, count: int) -> list[np.ndarray]:
        """The rows up to `count` in all; the last frame of the model is held where it ends early."""
        return [row for _, row in zip(range(count - self.next), self._ready(hold=True), strict=False)]

    def _ready(self, hold: bool) -> Iterator[np.ndarray]:
        while self._rows:
            place = self.next * self._step
            low, part = math.floor(place), float(place - math.floor(place))
            last = self._first + len(self._rows) - 1
            if not hold and low + (part > 0) > last:
                return
            here, after = (self._rows[min(i, last) - self._first] for i in (low, low + 1))
            self.next += 1
            drop = min(math.floor(self.next * self._step), last) - self._first
            self._rows, self._first = self._rows[drop:], self._first + drop
            yield here if not part else here + np.float32(part) * (after - here)


class Stream:
    """A track of sound on its way through a session. Sound may come from another thread than the one that animates.

    `add` and `end` bring sound; `feed` takes the session's next sound, `collect` its output. Sound is kept
    as 16-bit samples until its frame has gone out.
    """

    def __init__(
        self,
        session: Session,
        request: StreamRequest,
        on_the_wire: Callable[[Animation], np.ndarray],
        names: Sequence[str],
        track: EmotionTrack,
        fps: Fraction,
        tail_s: float = 0.0,
        head_turns: Callable[[Animation], np.ndarray] | None = None,
    ):
        """`on_the_wire` gives weights (T, P) of `names`, `head_turns` (T, 3) degrees where there is a head to turn; `fps` of
        the frames that go out; `tail_s` of silence follow the sound."""
        self.session, self.request, self.names, self.fps = session, request, tuple(names), fps
        self.ended, self.finished, self.num_samples = False, False, 0
        self._on_the_wire, self._head_turns, self._track = on_the_wire, head_turns, track
        self._rate, self._tail = request.sample_rate, round(tail_s * request.sample_rate)
        self._frames = FrameRate(session.exact_fps, fps)
        self._sound, self._begin = bytearray(), 0  # from this sample on
        self._heard, self._odd, self._sent = 0, b"", 0
        self._made: list[np.ndarray] = []  # rows of frames that wait for the end of their sound
        self._keys: list[tuple[float, dict[str, float]]] = []
        self._begun, self._lock = False, threading.Lock()
        self.num_keys = 0  # and weights in them
        self._unknown = set(request.emotion.unknown)

    # ---- sound in

    def add(self, sound: bytes) -> None:
        """More PCM of 16 bits; half a sample waits for its other half."""
        self._odd += sound
        whole = len(self._odd) // 2 * 2
        with self._lock:
            self._sound += self._odd[:whole]
            self.num_samples += whole // 2
        self._odd = self._odd[whole:]

    def add_key(self, time_s: float, emotion: Mapping[str, float]) -> None:
        """A key of emotion, at a time from the beginning of the sound. Raises Refusal for numbers that are not finite."""
        finite({"time_code": time_s}, "emotion")
        known, unknown = known_emotions(finite(emotion, "emotion"), self._track.names)
        if len(self._unknown) < MOST_NAMES:
            self._unknown.update(unknown)
        self.num_keys += 1 + len(emotion)
        self._track.add(time_s, known)
        with self._lock:
            self._keys.append((time_s, dict(emotion)))

    def end(self) -> None:
        """No more sound comes."""
        if not self.ended:
            self.add(bytes(len(self._odd) % 2 + 2 * self._tail))
        self.ended = True

    @property
    def duration_s(self) -> float:
        """Of the sound so far."""
        return self.num_samples / self._rate

    @property
    def unheard_s(self) -> float:
        """Of sound that the session has not been fed yet."""
        return (self.num_samples - self._heard) / self._rate

    @property
    def notes(self) -> list[str]:
        """What was clamped or ignored."""
        unknown = f"emotions that the model does not know are ignored: {', '.join(sorted(self._unknown))}"
        return [*self.request.notes, *([one_line(unknown)] if self._unknown else [])]

    # ---- through the session

    @property
    def waits(self) -> bool:
        """Whether there is sound to feed, or an end to reach."""
        return self._heard < self.num_samples or (self.ended and not self.finished)

    def feed(self) -> np.ndarray:
        """The samples (n,) int16 to feed to the session next; none when only its end is left."""
        with self._lock:
            count = min(self.num_samples - self._heard, max(1, int(FEED_S * self._rate)))
            first = 2 * (self._heard - self._begin)
            self._heard += count
            return np.frombuffer(bytes(self._sound[first : first + 2 * count]), "<i2")

    @property
    def to_finish(self) -> bool:
        """Whether the session has all its sound and can be finished."""
        return self.ended and self._heard == self.num_samples and not self.finished

    def collect(self, animation: Animation, last: bool = False) -> list[Frame]:
        """The frames for the client that what came out of the session makes final; with `last`, all that are left."""
        self._made += self._frames.add(self._rows(animation))
        whole = math.floor(self.num_samples * self.fps / self._rate)  # frames whose sound is there
        if last:
            self.finished = True
            whole = math.ceil(self.num_samples * self.fps / self._rate)
            self._made += self._frames.rest(whole)
        count = max(0, whole - self._sent)
        found, self._made = self._made[:count], self._made[count:]
        with self._lock:
            return [self._frame(row) for row in found]

    def _rows(self, animation: Animation) -> np.ndarray:
        """(n, P + 25 + E): weights on the wire, eyes, jaw, head, emotion. Frames that the windows lose at the start are held."""
        count = len(animation)
        stamps = np.round(animation.times_s * self._track.sample_rate).astype(np.int64)
        emotion, weights = self._track(stamps), self._on_the_wire(animation)
        head = self._head_turns(animation) if self._head_turns else np.zeros((count, 3), np.float32)
        rows = np.concatenate([weights, animation.eyes, animation.jaw.reshape(count, 16), head, emotion], axis=1)
        if count:
            self._track.forget(int(stamps[-1]))
            if not self._begun:
                self._begun = True
                rows = np.concatenate(
                    [np.repeat(rows[:1], round(animation.times_s[0] * self.session.fps), axis=0), rows]
                )
        return rows

    def _frame(self, row: np.ndarray) -> Frame:
        index, ends = self._sent, np.cumsum([len(self.names), 6, 16, 3])
        self._sent += 1
        first, last = (math.floor((index + i) * self._rate / self.fps) for i in (0, 1))
        last = min(last, self.num_samples)
        sound = bytes(self._sound[2 * (first - self._begin) : 2 * (last - self._begin)])
        drop = min(last, self._heard) - self._begin
        del self._sound[: 2 * drop]
        self._begin += drop
        weights, eyes, jaw, head, emotion = np.split(row, ends)
        keys, self._keys = tuple(self._keys), []
        return Frame(
            index=index,
            time_s=float(index / self.fps),
            weights=self.request.apply(weights, self.names),
            eyes=eyes,
            jaw=jaw.reshape(4, 4),
            sound=sound,
            sound_time_s=first / self._rate,
            emotion=dict.fromkeys(EMOTIONS, 0.0) | dict(zip(self._track.names, map(float, emotion), strict=True)),
            keys=keys,
            head=head if self._head_turns else None,
        )


def too_long(stream: Stream, most_s: float) -> None:
    """Raise Refusal for a track longer than `most_s` seconds, or with more emotion keys than that needs."""
    if stream.num_keys > MOST_KEYS * max(most_s, 1.0):
        raise Refusal("RESOURCE_EXHAUSTED", f"there are too many emotion keys: {stream.num_keys} with their weights")
    if stream.duration_s > most_s:
        raise Refusal("RESOURCE_EXHAUSTED", f"the sound is longer than {most_s:g} seconds (--max-clip)")
