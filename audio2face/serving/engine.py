"""The model behind a server: how a request becomes a stream, and what is sent for it."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from audio2face.face.emotions import EmotionCurve, build_curve
from audio2face.inference import Animation, Model, Session
from audio2face.postprocess.rig import pose_names
from audio2face.problems import UserError
from audio2face.render.head_curves import find_head_curves
from audio2face.serving.emotion import EmotionTrack
from audio2face.serving.names import ARKIT, TONGUE, places
from audio2face.serving.options import ServeOptions
from audio2face.serving.request import StreamRequest
from audio2face.serving.stream import Stream


class ServedModel:
    """A deployed model, one of its actors, and the names that are sent for it."""

    def __init__(self, model: Model, options: ServeOptions):
        """Raises UserError when the model has no blendshapes to send, or does not know the actor or the emotion."""
        self.model, self.options = model, options
        if options.actor is None and len(model.actors) > 1:
            raise UserError(f"--actor: the model knows {', '.join(model.actors)}; choose one")
        self.actor = options.actor or model.actors[0]
        self.emotions = list(model.emotions)
        face = model.details(self.actor).face
        self._curves = find_head_curves(face.curves)
        poses = _all_poses(pose_names(face.rigs), self._curves.names)
        self.names = _wire_names(poses, options.poses)
        self._places = places(self.names, poses)
        if not self._places:
            raise UserError(
                f"actor {self.actor}: the model has no blendshapes and no curves with ARKit's names (jawOpen, …), which clients "
                "expect; set BLENDSHAPE_SKIN_FPATH and BLENDSHAPE_SKIN_CONFIG_FPATH in config_dataset.py and deploy again, or "
                "train on curves of these names"
            )
        curve = build_curve(self.emotions, model.default_emotion, options.emotion, model.sample_rate)
        self.default = curve(np.zeros(1, np.int64))[0]
        self.fps = model.stream(actor=self.actor, geometry=False).exact_fps  # fails here rather than in a stream
        self.regression = model.regression

    def open(self, request: StreamRequest) -> Stream:
        """A stream for a checked request. Takes some milliseconds, for the post-processing of its parameters."""
        track = EmotionTrack(
            self.emotions,
            self.default,
            request.emotion,
            self.model.sample_rate,
            float(self.out_fps if self.regression else self.fps),
            self.options.direct_emotions,
        )
        session = self.session(request, track)
        head = self.head_turns if self._curves.head else None
        return Stream(session, request, self.on_the_wire, self.names, track, self.out_fps, self.options.tail_s, head)

    def session(self, request: StreamRequest, emotion: EmotionCurve) -> Session:
        """A session with the request's parameters."""
        model = self.model.with_config(**request.config) if request.config else self.model
        return model.stream(
            request.sample_rate,
            actor=self.actor,
            emotion=emotion,
            fps=float(self.out_fps) if self.regression else None,
            peak=self.options.peak,
            strength=request.input_strength,
            blink_offset=request.blink_offset,
            geometry=False,
        )

    @property
    def out_fps(self) -> Fraction:
        """Of the frames that go out."""
        return self.options.fps or self.fps

    def on_the_wire(self, animation: Animation) -> np.ndarray:
        """Weights (T, P) of `names`: of curves as they are, else solved; shapes that the model lacks are 0."""
        weights = np.zeros((len(animation), len(self.names)), np.float32)
        curves = self._curves.weights(animation.curves, len(animation))
        made = np.concatenate([animation.weights, curves], axis=1)
        for place, number in self._places:
            weights[:, place] = made[:, number]
        return weights

    def head_turns(self, animation: Animation) -> np.ndarray:
        """(T, 3) degrees, as `HeadCurves.degrees`."""
        return self._curves.degrees(animation.curves, len(animation))


def _all_poses(rig: Sequence[str], curves: Sequence[str]) -> list[str]:
    """Names of all weights, the rig's first; those that are curves too have none there, so that the curves are sent."""
    own = {number for _, number in places([name[:1].upper() + name[1:] for name in curves], rig)}
    return [*("" if number in own else name for number, name in enumerate(rig)), *curves]


def _wire_names(poses: Sequence[str], choice: str) -> tuple[str, ...]:
    names = ARKIT if choice == "arkit" else ARKIT + TONGUE
    if choice != "all":
        return names
    taken = {number for _, number in places(names, poses)}
    return names + tuple(pose for number, pose in enumerate(poses) if pose and number not in taken)
