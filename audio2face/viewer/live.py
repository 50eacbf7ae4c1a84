"""A deployed model that animates while one watches: frames can be seen as soon as they are computed."""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable, Mapping
from fractions import Fraction
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from audio2face.audio.waveform import mixed_down, resample, track_peak
from audio2face.formats.body_mesh import BodyMesh
from audio2face.formats.sound import read_sound
from audio2face.inference.animate import rest_pose
from audio2face.problems import UserError
from audio2face.viewer.curve_groups import ShownGroups
from audio2face.viewer.tracks import AnimationStream, Curves, FrameFile, eye_turns, jaw_points

if TYPE_CHECKING:
    from audio2face.inference import Animation, Model
    from audio2face.inference.package import Actor as ActorData

logger = logging.getLogger(__name__)

FIRST_PIECE_S, PIECE_S = 0.5, 1.0  # of sound that is animated before its frames are shown
AS_TRAINED = {  # CONFIG with which the post-processing does nothing, as evaluation and the truth are
    **dict.fromkeys(("input_strength", "skin_strength", "upper_face_strength", "lower_face_strength"), 1.0),
    **dict.fromkeys(("tongue_strength", "lower_teeth_strength", "eyeballs_strength"), 1.0),
    **dict.fromkeys(("upper_face_smoothing", "lower_face_smoothing", "saccade_strength"), 0.0),
    **dict.fromkeys(("eyelid_open_offset", "lip_open_offset", "tongue_height_offset", "tongue_depth_offset"), 0.0),
    **dict.fromkeys(("lower_teeth_height_offset", "lower_teeth_depth_offset"), 0.0),
    **dict.fromkeys((f"{side}_eye_rot_{axis}_offset" for side in ("right", "left") for axis in "xy"), 0.0),
}
KEPT = 2  # finished tracks: the one on the page, and the one before it


class LiveModel:
    """A model that is loaded in the background. `state` is "loading", "ready" or "failed", `error` is the reason.

    `bodies` are meshes of actors that move with a skeleton.
    """

    def __init__(self, load: Callable[[], Model], bodies: Mapping[str, BodyMesh] | None = None):
        self._bodies = bodies or {}
        self.state, self.error = "loading", ""
        self.actors: tuple[str, ...] = ()
        self.emotions: tuple[str, ...] = ()
        self.default: dict[str, float] = {}
        self._load = load
        self._model: Model | None = None
        self._folder = TemporaryDirectory(prefix="audio2face-live-")
        self._jobs: list[_Job] = []
        self._loader = threading.Thread(target=self._start, daemon=True)
        self._loader.start()

    def wait(self, timeout_s: float | None = None) -> None:
        """Until the model is loaded or has failed."""
        self._loader.join(timeout_s)

    def _start(self) -> None:
        try:
            model = self._load()
        except Exception as error:  # whatever it is, the page has to say it
            if not isinstance(error, UserError):
                logger.exception("cannot load the model")
            self.error, self.state = str(error).splitlines()[0] if str(error) else type(error).__name__, "failed"
            return
        self._model, self.actors, self.emotions = model, model.actors, model.emotions
        self.default = {n: v for n, v in zip(model.emotions, model.default_emotion, strict=True) if v}
        self.state = "ready"

    def details(self, actor: str | None) -> ActorData:
        """An actor of the model that is ready. Raises UserError."""
        self.wait()
        if self._model is None:
            raise UserError(self.error)
        return self._model.details(actor)

    def animate(
        self, sound: Path, emotion: Mapping[str, float] | None, actor: str | None, postprocess: bool = True
    ) -> AnimationStream:
        """Begin to animate a sound file, stopping whatever was being animated. Raises UserError for mistakes."""
        body = self._bodies.get(self.details(actor).name)
        assert self._model is not None
        try:
            samples, rate = read_sound(sound)
        except (OSError, ValueError) as error:
            raise UserError(str(error)) from error
        self._tidy()
        model = self._model if postprocess else self._model.with_config(**AS_TRAINED)
        job = _Job(model, samples, rate, emotion, actor, Path(self._folder.name), body)
        self._jobs.append(job)
        return job.track

    def tracks(self) -> list[AnimationStream]:
        """The tracks that can still be read."""
        return [job.track for job in self._jobs]

    def _tidy(self) -> None:
        """Stop what is under way, and forget that and all but the last finished tracks."""
        unfinished = [job for job in self._jobs if not job.track.finished]
        finished = [job for job in self._jobs if job.track.finished]
        for job in unfinished + finished[:-KEPT]:
            job.remove()
        self._jobs = finished[-KEPT:]

    def close(self) -> None:
        """Stop, and remove all files."""
        for job in self._jobs:
            job.stop.set()
        for job in self._jobs:
            job.thread.join(5)
        self._folder.cleanup()


class _Job:
    """One track on its way, computed by a thread of its own."""

    def __init__(
        self,
        model: Model,
        samples: np.ndarray,
        rate: int,
        emotion: Mapping[str, float] | None,
        actor: str | None,
        folder: Path,
        body: BodyMesh | None,
    ):
        self.stop = threading.Event()
        heard = mixed_down(samples)
        peak = track_peak(resample(heard, rate, model.sample_rate))
        self._session = model.stream(rate, peak=peak, emotion=None if emotion is None else dict(emotion), actor=actor)
        details = model.details(actor)
        self._jaw = details.data["neutral_jaw"]
        self._groups = None if details.face.has_mesh else ShownGroups(details.face.curves, body)
        self._first: dict[str, np.ndarray] = {}  # the curves of the first frame (1, D)
        skin, tongue = (len(rest_pose(details.data, mesh)) for mesh in ("skin", "tongue"))
        sizes = {"skin": skin, "tongue": tongue, "jaw": len(self._jaw), "eyes": 2}
        if self._groups is not None:
            sizes = self._groups.points()
        self._frame_files = [
            FrameFile(folder / f"{uuid.uuid4().hex}_{n}", n, points) for n, points in sizes.items() if points
        ]
        fps = self._session.exact_fps
        count = max(1, ceil(Fraction(len(heard), rate) * fps))
        self._names: tuple[str, ...] = ()
        self._weights: list[np.ndarray] = []
        weighted = self._groups.head.names if self._groups is not None else details.face.rigs
        solve = self._curves if weighted else None
        self.track = AnimationStream([s.channel() for s in self._frame_files], count, self._session.fps, 0.0, solve)
        self.track.ready, self.track.finished = 0, False
        self.thread = threading.Thread(target=self._run, args=(heard, rate), daemon=True)
        self.thread.start()

    def _run(self, heard: np.ndarray, rate: int) -> None:
        track = self.track
        try:
            first = 0
            for seconds in (FIRST_PIECE_S, *[PIECE_S] * ceil(len(heard) / rate / PIECE_S)):
                if self.stop.is_set():
                    return
                self._take(self._session.feed(heard[first : (first := first + round(seconds * rate))]))
            self._take(self._session.finish())
            track.num_frames = track.ready
        except Exception as error:  # the page has to say it
            logger.exception("the model failed")
            track.error = str(error) or type(error).__name__
        finally:
            track.compute_s = self._session.compute_s
            for frame_file in self._frame_files:
                frame_file.close()
            track.finished = True

    def _take(self, piece: Animation) -> None:
        if not len(piece):
            return
        if not self.track.ready:
            self.track.start_s = float(piece.times_s[0])
        values, names, weights = self._shown(piece)
        for frame_file in self._frame_files:
            frame_file.append(values[frame_file.name])
        self._names = names
        self._weights.append(weights)
        self.track.compute_s = self._session.compute_s
        self.track.ready += len(piece)
        self.track.num_frames = max(self.track.num_frames, self.track.ready)

    def _shown(self, piece: Animation) -> tuple[dict[str, np.ndarray], tuple[str, ...], np.ndarray]:
        """The channels (n, points, 3) of a piece, and its weights (n, P) under their names."""
        if self._groups is None:
            meshes = {"skin": piece.skin, "tongue": piece.tongue, "eyes": eye_turns(piece.eyes)}
            return meshes | {"jaw": jaw_points(piece.jaw, self._jaw)}, piece.names, piece.weights
        self._first = self._first or {group: values[:1] for group, values in piece.curves.items()}
        head = self._groups.head
        return self._groups.frames(piece.curves, self._first), head.names, head.weights(piece.curves, len(piece))

    def _curves(self) -> Curves | None:
        return Curves(self._names, np.concatenate(self._weights)) if self._names else None

    def remove(self) -> None:
        """Stop, and delete the frames."""
        self.stop.set()
        self.thread.join(5)
        for frame_file in self._frame_files:
            frame_file.remove()
