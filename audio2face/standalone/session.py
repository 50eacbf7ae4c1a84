"""A stream: sound in, in pieces of any size, and frames out as soon as nothing that follows can change them."""

from __future__ import annotations

import time

import numpy as np

from audio2face.artifacts.blendshape_rig import pose_names
from audio2face.audio.resampler import Resampler
from audio2face.postprocess import chain
from audio2face.postprocess.timeline import frame_duration_s
from audio2face.standalone.animation import Animation, join
from audio2face.standalone.engines import DiffusionEngine, Heard, RegressionEngine
from audio2face.standalone.package import Actor
from audio2face.types import UserError


class Session:
    """One track. `feed` and `finish` return the new frames, often none; together they are what `animate` gives at once.

    `num_frames`, `compute_s` and `real_time_factor` count everything so far. Memory does not grow with the track.
    """

    def __init__(
        self,
        actor: Actor,
        engine: RegressionEngine | DiffusionEngine,
        resampler: Resampler,
        model_rate: int,
        gain: float,
        geometry: bool,
    ):
        self.fps = float(engine.fps)
        self.num_frames, self.compute_s, self.closed = 0, 0.0, False
        self._actor, self._engine, self._resampler = actor, engine, resampler
        self._rate, self._gain, self._geometry = model_rate, np.float32(gain), geometry
        rigs = actor.face.rigs
        self._names = tuple(pose_names(rigs))
        skin_solver, tongue_solver = (rigs[mesh].solver if mesh in rigs else None for mesh in ("skin", "tongue"))
        dt = float(frame_duration_s(engine.fps.numerator, engine.fps.denominator))
        self._chain = chain.build(actor.config, actor.data, dt, skin_solver=skin_solver, tongue_solver=tongue_solver)
        self._state: chain.ChainState | None = None
        self._heard = Heard()

    @property
    def real_time_factor(self) -> float:
        """Seconds of work for a second of animation so far. NaN without frames."""
        return self.compute_s * self.fps / self.num_frames if self.num_frames else float("nan")

    def feed(self, samples: np.ndarray) -> Animation:
        """Hear more samples (N,) or (N, C), at the stream's rate; returns the frames that are now final.

        Raises UserError for another shape, samples that are not finite, or a stream that is finished.
        """
        started = time.perf_counter()
        if self.closed:
            raise UserError("the stream is finished; start another one")
        self._heard.add(self._resampler.feed(mono(samples)) * self._gain)
        return self._collect(started)

    def finish(self) -> Animation:
        """End the track; returns the frames that were waiting for more sound."""
        started = time.perf_counter()
        if self.closed:
            raise UserError("the stream is finished; start another one")
        self._heard.add(self._resampler.finish() * self._gain)
        self.closed = True
        return self._collect(started)

    def _collect(self, started: float) -> Animation:
        pieces = [self._finished(*rows) for rows in self._engine.advance(self._heard, self.closed)]
        whole = join(pieces or [self._finished(np.zeros((0, self._chain.layout.size), np.float32), np.zeros(0))])
        seconds = time.perf_counter() - started
        self.num_frames += len(whole)
        self.compute_s += seconds
        return Animation(**{**vars(whole), "compute_s": seconds})

    def _finished(self, rows: np.ndarray, stamps: np.ndarray) -> Animation:
        """Network rows (n, C) as frames, through the post-processing of the stream."""
        skin_shape, tongue_shape = self._chain.skin.neutral.shape, self._chain.tongue.rest.shape
        if len(rows):
            frames, self._state = chain.apply(self._chain, rows, self._state)
        else:
            empty = np.zeros((0, *skin_shape), np.float32), np.zeros((0, *tongue_shape), np.float32)
            turns = np.zeros((0, 4, 4), np.float32), np.zeros((0, 6), np.float32)
            frames = chain.FaceFrames(*empty, *turns, np.zeros((0, len(self._names)), np.float32))
        keep = slice(None) if self._geometry else slice(0, 0)
        return Animation(
            fps=self.fps,
            times_s=np.asarray(stamps) / self._rate,
            skin=frames.skin[keep],
            tongue=frames.tongue[keep],
            jaw=frames.jaw,
            eyes=frames.eyes,
            weights=frames.weights,
            names=self._names,
            face=self._actor.face,
        )


def mono(samples: np.ndarray) -> np.ndarray:
    """Samples (N,) or (N, C) as (N,) float32; whole numbers are scaled to -1 … 1. Raises UserError for anything else."""
    samples = np.asarray(samples)
    if samples.ndim not in (1, 2) or samples.dtype.kind not in "fiu":
        raise UserError(f"sound: expected samples (N,) or (N, channels), got {samples.shape} of {samples.dtype}")
    if samples.dtype.kind in "iu":
        samples = samples / np.float32(-int(np.iinfo(samples.dtype).min) or 1)
    samples = samples.astype(np.float32)
    if samples.ndim == 2:
        samples = samples.mean(axis=1) if samples.shape[1] else np.zeros(0, np.float32)
    if not np.isfinite(samples).all():
        raise UserError("sound: samples are not finite")
    return samples
