"""A stream: sound in, in pieces of any size, and frames out as soon as nothing that follows can change them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import numpy as np

from audio2face.audio.resampler import Resampler
from audio2face.audio.waveform import mixed_down, without_faint
from audio2face.inference.face_animation import Animation, join
from audio2face.inference.package import Actor
from audio2face.inference.samples import channels_last, check_level
from audio2face.models.common.engine import AudioBuffer, Engine, run_together, size_of
from audio2face.postprocess import chain
from audio2face.postprocess.rig import pose_names
from audio2face.problems import UserError

FEED_BYTES = 1 << 29  # about as much goes into one run of the network


class Session:
    """One track. `feed` and `finish` return the new frames, often none; together they are what `animate` gives at once.

    `exact_fps` is the rate of its frames as a fraction; `num_frames`, `compute_s` and `real_time_factor` count everything so far. Memory does not grow with the track.
    One thread at a time may use a stream; another one is refused and changes nothing. Streams of one model may run in several.
    """

    def __init__(
        self,
        actor: Actor,
        engine: Engine,
        resampler: Resampler,
        model_rate: int,
        gain: float,
        geometry: bool,
        blink_offset: float = 0.0,
    ):
        self.fps, self.exact_fps = float(engine.fps), engine.fps
        self.num_frames, self.compute_s, self.closed = 0, 0.0, False
        self._actor, self._engine, self._resampler = actor, engine, resampler
        self._rate, self._gain, self._geometry = model_rate, np.float32(gain), geometry
        rigs, self._curves = actor.face.rigs, actor.codec.curves
        self._names = tuple(pose_names(rigs))
        skin_solver, tongue_solver = (rigs[mesh].solver if mesh in rigs else None for mesh in ("skin", "tongue"))
        dt = float(chain.frame_duration_s(engine.fps.numerator, engine.fps.denominator))
        self._chain = chain.build(
            actor.config,
            actor.data,
            dt,
            skin_solver=skin_solver,
            tongue_solver=tongue_solver,
            blink_offset=blink_offset,
        )
        self._state: chain.ChainState | None = None
        self._audio = AudioBuffer()
        self._busy = threading.Lock()

    @property
    def real_time_factor(self) -> float:
        """Seconds of work for a second of animation so far. NaN without frames."""
        return self.compute_s * self.fps / self.num_frames if self.num_frames else float("nan")

    def feed(self, samples: np.ndarray) -> Animation:
        """Take more samples (N,), (N, C) or (C, N), at the stream's rate; returns the frames that are now final.

        Raises UserError for another shape or scale, samples that are not finite, or a stream that is finished or in use.
        """
        return feed_together([self], [samples])[0]

    def finish(self) -> Animation:
        """End the track; returns the frames that were waiting for more sound."""
        return finish_together([self])[0]

    def _hear(self, samples: np.ndarray) -> None:
        """Samples (N,) at the model's rate."""
        self._audio.add(without_faint(samples * self._gain))

    def _collected(self, pieces: list[Animation], seconds: float) -> Animation:
        whole = join(
            pieces
            or [
                self._finished(
                    np.zeros((0, self._chain.layout.size + self._curves.layout.size), np.float32), np.zeros(0)
                )
            ]
        )
        self.num_frames += len(whole)
        self.compute_s += seconds
        return Animation(**{**vars(whole), "compute_s": seconds})

    def _finished(self, rows: np.ndarray, moments: np.ndarray) -> Animation:
        """Network rows (n, C) as frames, through the post-processing of the stream."""
        skin_shape, tongue_shape = self._chain.skin.neutral.shape, self._chain.tongue.rest.shape
        rows, curves = np.split(rows, [self._chain.layout.size], axis=1)
        if len(rows):
            frames, self._state = chain.apply(self._chain, rows, self._state)
        else:
            empty = np.zeros((0, *skin_shape), np.float32), np.zeros((0, *tongue_shape), np.float32)
            turns = np.zeros((0, 4, 4), np.float32), np.zeros((0, 6), np.float32)
            frames = chain.FaceFrames(*empty, *turns, np.zeros((0, len(self._names)), np.float32))
        keep = slice(None) if self._geometry else slice(0, 0)
        return Animation(
            fps=self.fps,
            times_s=np.asarray(moments) / self._rate,
            skin=frames.skin[keep],
            tongue=frames.tongue[keep],
            jaw=frames.jaw,
            eyes=frames.eyes,
            weights=frames.weights,
            names=self._names,
            curves=self._curves.decode(curves),
            face=self._actor.face,
        )


def feed_together(sessions: Sequence[Session], pieces: Sequence[np.ndarray]) -> list[Animation]:
    """Take a piece of every track, as `feed` does, and run the networks of all of them in one batch.

    The tracks may have different rates, emotions, actors and lengths, and be in different places; those that have frames
    to run do so together. Their `compute_s` is an equal share of the time. Raises UserError before any track has changed.
    """
    started = time.perf_counter()
    given = [mixed_down(channels_last(piece)) for piece in pieces]
    if len(given) != len(sessions):
        raise UserError(f"{len(sessions)} streams and {len(given)} pieces of sound are given; each needs one")
    with _held(sessions):
        for session, samples in zip(sessions, given, strict=True):
            check_level(samples, session._gain)
        for session, samples in zip(sessions, given, strict=True):
            session._hear(session._resampler.feed(samples))
        return _run_all(sessions, started)


def finish_together(sessions: Sequence[Session]) -> list[Animation]:
    """End every track, as `finish` does, and run the networks of all of them in one batch."""
    started = time.perf_counter()
    with _held(sessions):
        for session in sessions:
            session._hear(session._resampler.finish())
            session.closed = True
        return _run_all(sessions, started)


@contextmanager
def _held(sessions: Sequence[Session]) -> Iterator[None]:
    """Streams that are open and that nobody else feeds meanwhile. Raises UserError."""
    if len({id(session) for session in sessions}) != len(sessions):
        raise UserError("the same stream is given twice")
    with ExitStack() as held:
        for session in sessions:
            if not session._busy.acquire(blocking=False):
                raise UserError(
                    "the stream is in use by another thread: this sound was not taken; feed a stream from one thread at a "
                    "time, or give each its own"
                )
            held.callback(session._busy.release)
        if any(session.closed for session in sessions):
            raise UserError("the stream is finished; start another one")
        yield


def _run_all(sessions: Sequence[Session], started: float) -> list[Animation]:
    pieces: list[list[Animation]] = [[] for _ in sessions]
    waiting = True
    while waiting:
        waiting = False
        for engines in _by_network(sessions):
            asked = [(i, feeds) for i in engines if (feeds := _next_feeds(sessions[i])) is not None]
            waiting |= bool(asked)
            most = max(1, FEED_BYTES // size_of(asked[0][1])) if asked else 1
            for first in range(0, len(asked), most):
                part = asked[first : first + most]
                run = sessions[part[0][0]]._engine.run
                for (i, _), results in zip(part, run_together(run, [feeds for _, feeds in part]), strict=True):
                    session = sessions[i]
                    pieces[i].append(session._finished(*session._engine.accept(results, session._audio)))
    seconds = (time.perf_counter() - started) / max(len(sessions), 1)
    return [session._collected(found, seconds) for session, found in zip(sessions, pieces, strict=True)]


def _next_feeds(session: Session) -> dict[str, np.ndarray] | None:
    return session._engine.next_feeds(session._audio, session.closed)


def _by_network(sessions: Sequence[Session]) -> list[list[int]]:
    """Numbers of the sessions that share a network."""
    groups: dict[int, list[int]] = {}
    for i, session in enumerate(sessions):
        groups.setdefault(id(session._engine.run), []).append(i)
    return list(groups.values())
