"""Single poses for authoring tools: a clip is kept, and any moment of it is animated alone, while sliders move."""

from __future__ import annotations

import hashlib
import math
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from audio2face.inference import Animation
from audio2face.inference.face_animation import join
from audio2face.serving.engine import ServedModel
from audio2face.serving.messages import message
from audio2face.serving.names import EMOTIONS, known_emotions
from audio2face.serving.request import Refusal, StreamRequest, finite, read_request
from audio2face.serving.scheduler import Job
from audio2face.serving.stream import FEED_S

MOST_BYTES = 256 << 20  # of clips and their rows together
# A moment alone: nothing of the frames before it.
ALONE = {"upper_face_smoothing": 0.0, "lower_face_smoothing": 0.0}
AROUND_S = 0.1  # more than the network's window, for the resampler
Key = tuple[Any, ...]


@dataclass
class _Clip:
    sample_rate: int
    samples: np.ndarray  # (N,) int16
    made: OrderedDict[Key, Animation]
    asked: Key = ()  # by the last request

    @property
    def num_bytes(self) -> int:
        return self.samples.nbytes + sum(a.weights.nbytes for a in self.made.values())


class Authoring:
    """Clips by the SHA-256 of their sound; the oldest go when they take too much memory. Used by one thread."""

    def __init__(self, served: ServedModel):
        self._served = served
        self._clips: OrderedDict[str, _Clip] = OrderedDict()

    def upload(self, clip: Any) -> Any:
        """Keep an AudioClip; returns its handle. Raises Refusal for sound that cannot be taken or is too long."""
        header = message("AudioStreamHeader")(audio_header=clip.audio_header)
        rate = read_request(header, ()).sample_rate
        samples = np.frombuffer(clip.content[: len(clip.content) // 2 * 2], "<i2")
        if not len(samples):
            raise Refusal("INVALID_ARGUMENT", "the clip holds no sound")
        most = self._served.options.max_clip_s
        if len(samples) > most * rate:
            raise Refusal("RESOURCE_EXHAUSTED", f"the sound is longer than {most:g} seconds (--max-clip)")
        name = hashlib.sha256(clip.content).hexdigest()
        self._clips.setdefault(name, _Clip(rate, samples, OrderedDict()))
        self._clips.move_to_end(name)
        self._shrink()
        return message("AudioClipHandle")(audio_clip_id=name, blendshape_names=self._served.names)

    def pose(self, request: Any) -> Job[Any]:
        """The face of a FacePoseRequest's moment, which is moved into the clip. Raises Refusal for an unknown clip.

        A generator that returns it, which yields between pieces of sound.
        """
        clip = self._clips.get(request.audio_hash)
        if clip is None:
            raise Refusal("NOT_FOUND", "no clip of this id is kept: upload it again")
        self._clips.move_to_end(request.audio_hash)
        wanted, emotion = self._wanted(request, clip)
        time_s = min(
            max(finite({"time_stamp": request.time_stamp}, "pose")["time_stamp"], 0.0),
            clip.samples.size / clip.sample_rate,
        )
        weights = yield from self._weights(clip, wanted, emotion, time_s)
        values = dict.fromkeys(EMOTIONS, 0.0) | dict(zip(self._served.emotions, map(float, emotion), strict=True))
        return message("BlendShapeData")(
            blendshapes=wanted.apply(weights, self._served.names).tolist(), time_code=time_s, emotions=values
        )

    def _wanted(self, request: Any, clip: _Clip) -> tuple[StreamRequest, np.ndarray]:
        audio = message("AudioHeader")(channel_count=1, samples_per_second=clip.sample_rate, bits_per_sample=16)
        header = message("AudioStreamHeader")(
            audio_header=audio,
            face_params=request.face_params,
            blendshape_params=request.blendshape_params,
            emotion_post_processing_params=request.emotion_pp_params,
        )
        wanted = read_request(header, self._served.emotions, self._served.options.keep)
        known, _ = known_emotions(finite(request.preferred_emotions, "preferred_emotions"), self._served.emotions)
        share = 1.0 if self._served.options.direct_emotions else wanted.emotion.share
        emotion = np.array([known.get(name, 0.0) * share for name in self._served.emotions], np.float32)
        return replace(wanted, config={**wanted.config, **ALONE}), emotion

    def _weights(self, clip: _Clip, wanted: StreamRequest, emotion: np.ndarray, time_s: float) -> Job[np.ndarray]:
        """(P,) of a moment. While parameters change, only what is around it runs; when time moves, the clip, once."""
        key = (tuple(sorted(wanted.config.items())), wanted.blink_offset, wanted.input_strength, emotion.tobytes())
        again, clip.asked = key == clip.asked, key
        if key in clip.made:
            clip.made.move_to_end(key)
        elif self._served.regression and not again:
            return (yield from self._moment(clip, wanted, emotion, time_s))
        else:
            clip.made[key] = yield from self._run(clip.samples, wanted, emotion)
            self._shrink()
        animation = clip.made[key]
        return self._served.on_the_wire(animation)[int(min(time_s * animation.fps, len(animation) - 1))]

    def _moment(self, clip: _Clip, wanted: StreamRequest, emotion: np.ndarray, time_s: float) -> Job[np.ndarray]:
        """(P,) of one frame of a regression model, from the sound that its window takes in."""
        fps, rate, around_s = float(self._served.out_fps), clip.sample_rate, self._served.model.window_s + AROUND_S
        row = min(int(time_s * fps), math.ceil(len(clip.samples) / rate * fps) - 1)
        first = max(0, row - math.ceil(around_s * fps))
        sound = clip.samples[round(first / fps * rate) : round((row / fps + around_s) * rate)]
        animation = yield from self._run(sound, wanted, emotion)
        return self._served.on_the_wire(animation)[min(row - first, len(animation) - 1)]

    def _run(self, samples: np.ndarray, wanted: StreamRequest, emotion: np.ndarray) -> Job[Animation]:
        """All frames of a sound, a piece at a time as streams are fed, so that they go on meanwhile."""
        session = self._served.session(wanted, lambda stamps: np.tile(emotion, (len(stamps), 1)))
        size, found = max(1, int(FEED_S * wanted.sample_rate)), []
        for first in range(0, len(samples), size):
            found.append(session.feed(samples[first : first + size]))
            yield
        return join([*found, session.finish()])

    def _shrink(self) -> None:
        """Forget the oldest frames, then the oldest clips, but for the newest of each."""
        for clip in self._clips.values():
            while len(clip.made) > 1 and self._too_much():
                clip.made.popitem(last=False)
        while len(self._clips) > 1 and self._too_much():
            self._clips.popitem(last=False)

    def _too_much(self) -> bool:
        return sum(clip.num_bytes for clip in self._clips.values()) > MOST_BYTES
