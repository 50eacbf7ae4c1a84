"""A deployed model that is ready to animate: as a live host would, by the engine of its family and a session for each track.

This is a layer of its own beside `inference.animate`, because its question is another one: sound comes in pieces whose peak
nobody knows, frames stand at i / fps of any rate, the state of network and post-processing waits between calls, and several
tracks run in one batch. What both do alike they share: windows and rows (`audio.windows`, `regression.rollout.joined_rows`,
`diffusion.engine.WindowNetwork`), actors (`inference.package`), `postprocess.chain`, and how a network is called
(`models.common.engine`). Needs NumPy, onnxruntime and soundfile alone.
"""

from __future__ import annotations

import copy
import logging
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from audio2face.audio.resampler import Resampler
from audio2face.audio.waveform import mixed_down, speech_problems, track_peak
from audio2face.confined import prepare
from audio2face.deploy.check.model import ENGINE, inspect_deployed, model_folders
from audio2face.deploy.check.operators import operator_problems
from audio2face.face.emotions import build_curve
from audio2face.formats.budget import check_rate
from audio2face.formats.sound import read_sound, sound_info
from audio2face.inference.face_animation import FPS, Animation, join
from audio2face.inference.package import Actor, Package, read_package, run_packages
from audio2face.inference.quantize import quantize_int8
from audio2face.inference.samples import channels_last, check_scale
from audio2face.inference.session import Session
from audio2face.machine import session_options
from audio2face.models.common.engine import Engine, Step, session_step
from audio2face.problems import UserError, number
from audio2face.runs.train_run import TrainRun

logger = logging.getLogger(__name__)

DEFAULT_FPS = 30.0  # of regression models, which run at any rate
PEAKS = (1e-6, 1e10)  # 32-bit numbers reach 2 ** 31
MOST_STRENGTH = 1000.0  # of the sound
PIECE_S = 10.0  # of sound that `animate` feeds at once


class Model:
    """All actors of a deployed model: `actors` their names, `emotions` the names of the emotions it knows, in order.

    `default_emotion`: the weights of those emotions that it takes when none are given.
    """

    def __init__(self, packages: Sequence[Package], runs: Sequence[Step]):
        self._places = {a.name: (p, a, r) for p, r in zip(packages, runs, strict=True) for a in p.actors}
        self.actors = tuple(self._places)
        self.emotions = packages[0].emotions
        self.default_emotion = tuple(float(w) for w in packages[0].params["default_emotion"])
        self.sample_rate = int(packages[0].audio["samplerate"])
        self.regression = packages[0].regression
        self.window_s = float(packages[0].audio["buffer_len"]) / self.sample_rate  # of sound in a run of the network

    def animate(
        self,
        audio: str | os.PathLike[str] | np.ndarray,
        sample_rate: int | None = None,
        *,
        emotion: Any = None,
        actor: str | None = None,
        fps: float | None = None,
        peak: float | None = None,
        seed: int = 0,
        constant_noise: bool = True,
        geometry: bool = True,
    ) -> Animation:
        """Animate a sound file, or samples (N,), (N, C) or (C, N) of a sample rate, as the runtime would.

        `emotion`: a name, {name: weight}, a list of weights, or a timeline [(seconds, emotion), …]. `actor`: needed when
        the model has several. `fps`: regression models run at any, 30 unless given; frames of diffusion models, which run at
        their own, are interpolated. `peak`: what the sound is divided by, its own
        largest sample unless given. `seed` and `constant_noise` are for diffusion models: one noise for all windows, or
        another for each. `geometry=False` keeps no positions, only jaw, eyes and weights. Raises UserError.
        """
        started = time.perf_counter()
        if isinstance(audio, str | os.PathLike):
            name, (samples, sample_rate) = os.fspath(audio), _read(audio)
        elif sample_rate is None:
            raise UserError("sample_rate is required with raw samples")
        else:
            name, samples = "sound", channels_last(audio)
            if peak is None:
                check_scale(audio)
        resampler = _resampler(sample_rate, self.sample_rate)
        for problem in speech_problems(samples, int(sample_rate)):
            logger.warning("%s: %s", name, problem)
        whole = np.concatenate([resampler.feed(mixed_down(samples)), resampler.finish()])
        rate = fps if self.regression else None
        options = {"emotion": emotion, "actor": actor, "fps": rate, "seed": seed, "constant_noise": constant_noise}
        level = track_peak(whole) if peak is None else peak
        session = self.stream(self.sample_rate, peak=level, geometry=geometry, **options)
        piece = round(PIECE_S * self.sample_rate)
        pieces = [session.feed(whole[first : first + piece]) for first in range(0, len(whole), piece)]
        animation = join([*pieces, session.finish()])
        if fps is not None and _rate(fps) != session.exact_fps:
            animation = animation.at_rate(float(_rate(fps)))
        return Animation(**{**vars(animation), "compute_s": time.perf_counter() - started})

    def stream(
        self,
        sample_rate: int | None = None,
        *,
        emotion: Any = None,
        actor: str | None = None,
        fps: float | None = None,
        peak: float = 1.0,
        seed: int = 0,
        constant_noise: bool = True,
        geometry: bool = True,
        strength: float | None = None,
        blink_offset: float = 0.0,
    ) -> Session:
        """Begin a track whose sound comes in pieces at `sample_rate`, the model's own unless given.

        The arguments are those of `animate`; `emotion` may also be a function of time stamps in samples of the model's rate,
        (T,) -> (T, E), which is asked for every frame in its turn. `strength` is a factor on the sound, of regression models
        in place of CONFIG's input_strength; `blink_offset` closes the lids by a share. Networks are trained on sound whose largest sample is 1, and a stream does
        not know its loudest moment beforehand: give the `peak` you expect. Raises UserError.
        """
        package, who, run = self._place(actor)
        number("peak", peak, *PEAKS)
        number("blink_offset", blink_offset, -1.0, 1.0)
        if strength is not None:
            number("strength", strength, 0.0, MOST_STRENGTH)
        if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed < 1 << 64:
            raise UserError(f"seed {seed!r}: expected a whole number from 0 to 2**64 - 1")
        default = package.params["default_emotion"]
        curve = build_curve(package.emotions, default, emotion, self.sample_rate)
        engine: Engine
        gain = 1.0 / float(peak)
        if package.regression:
            from audio2face.models.regression.engine import RegressionEngine

            assert who.implicit is not None
            rate = _rate(DEFAULT_FPS if fps is None else fps)
            engine = RegressionEngine(run, package.audio, who.implicit, curve, rate)
            gain *= float(who.config["input_strength"] if strength is None else strength)
        else:
            from audio2face.models.diffusion.engine import DiffusionEngine

            engine = DiffusionEngine(run, package.params, package.audio, who.name, curve, seed, constant_noise)
            gain *= 1.0 if strength is None else strength
            if fps is not None and _rate(fps) != engine.fps:
                raise UserError(f"fps {fps}: this diffusion model runs at {float(engine.fps):g} frames a second")
        resampler = _resampler(self.sample_rate if sample_rate is None else sample_rate, self.sample_rate)
        return Session(who, engine, resampler, self.sample_rate, gain, geometry, blink_offset)

    def details(self, actor: str | None = None) -> Actor:
        """An actor's CONFIG, arrays, meshes' faces and blendshapes. Raises UserError when the model does not know it."""
        return self._place(actor)[1]

    def with_config(self, **values: float) -> Model:
        """This model with other CONFIG values for all its actors; the networks are shared."""
        changed = copy.copy(self)
        changed._places = {
            name: (package, replace(who, config={**who.config, **values}), run)
            for name, (package, who, run) in self._places.items()
        }
        return changed

    def _place(self, actor: str | None) -> tuple[Package, Actor, Step]:
        if actor is None and len(self._places) == 1:
            return next(iter(self._places.values()))
        if not isinstance(actor, str) or actor not in self._places:
            given = "actor is not given" if actor is None else f"actor {actor!r}"
            raise UserError(f"{given}: the model knows {', '.join(self.actors)}")
        return self._places[actor]


def load_model(folder: str | os.PathLike[str], threads: int = 0, quantize: str | None = None) -> Model:
    """Open a folder of output_deploy, or one with a model per actor inside. `threads` of onnxruntime: 0 for all cores.

    `quantize="int8"` runs a HuBERT, wav2vec 2.0 or Whisper inside in 8-bit integers: faster, and a little off (the docs say how
    much). It takes some seconds here, and the package onnx.

    Everything is checked first, as `tools/check_model.py` does. Raises UserError with everything that is wrong.
    """
    if quantize not in (None, "int8"):
        raise UserError(f"quantize {quantize!r}: known are None and 'int8'")
    root = Path(folder)
    if not root.is_dir():
        raise UserError(f"{root} is not a folder")
    prepare([ENGINE, inspect_deployed.__module__])
    with suppress(ImportError):  # meanwhile; that it is not installed is said later
        import_module(ENGINE)
    packages = [read_package(path) for path in model_folders(root)]
    names = [actor.name for package in packages for actor in package.actors]
    if len(set(names)) != len(names) or len({(p.emotions, p.audio["samplerate"]) for p in packages}) != 1:
        raise UserError(f"{root}: the models inside do not match (actors {', '.join(names)})")
    return Model(packages, [_network(package.network, threads, quantize is not None) for package in packages])


def load_run_model(
    run: TrainRun, configs: Mapping[str, Mapping[str, Any]], threads: int = 0, quantize: str | None = None
) -> Model:
    """A training run as its deployed model would be, without a folder. `configs` gives each actor's CONFIG.

    Raises UserError when the run was not exported.
    """
    packages = run_packages(run, configs)
    return Model(packages, [_network(package.network, threads, quantize is not None) for package in packages])


def _network(path: Path, threads: int, int8: bool = False) -> Step:
    try:
        unfit = operator_problems(path)
    except (ValueError, OSError) as error:
        raise UserError(f"{path}: {error}") from error
    if unfit:
        raise UserError([f"{path}: {line}" for line in unfit])
    if int8:
        with tempfile.TemporaryDirectory() as folder:  # onnxruntime holds what it has read
            quantize_int8(path, Path(folder) / path.name)
            return _network(Path(folder) / path.name, threads)
    try:
        import onnxruntime
    except ImportError as error:
        raise UserError("models run in onnxruntime, which is not installed: pip install onnxruntime") from error
    provider = ["CPUExecutionProvider"]
    return session_step(onnxruntime.InferenceSession(os.fspath(path), session_options(threads), providers=provider))


def _read(path: str | os.PathLike[str]) -> tuple[np.ndarray, int]:
    try:
        if note := sound_info(path).note:
            logger.warning("%s: %s", os.fspath(path), note)
        return read_sound(path)
    except OSError as error:
        raise UserError(f"{os.fspath(path)}: {error.strerror or error}") from error
    except ValueError as error:
        raise UserError(str(error)) from error


def _resampler(from_rate: int, to_rate: int) -> Resampler:
    try:
        return Resampler(check_rate("sample_rate", from_rate), to_rate)
    except ValueError as error:
        raise UserError(str(error)) from error


def _rate(fps: float) -> Fraction:
    return Fraction(number("fps", fps, *FPS)).limit_denominator(1001)
