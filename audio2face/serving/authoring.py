"""Single poses for authoring tools: a clip is kept, and any moment of it is animated alone, while sliders move."""

from __future__ import annotations

import hashlib
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

MOST_BYTES = 256 << 20  # of clips and their rows together
# A moment alone: nothing of the frames before it.
ALONE = {"upper_face_smoothing": 0.0, "lower_face_smoothing": 0.0}


@dataclass
class _Clip:
    sample_rate: int
    samples: np.ndarray  # (N,) int16
    made: OrderedDict[tuple[Any, ...], Animation]

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

    def pose(self, request: Any) -> Any:
        """The face of a FacePoseRequest's moment, which is moved into the clip. Raises Refusal for an unknown clip."""
        clip = self._clips.get(request.audio_hash)
        if clip is None:
            raise Refusal("NOT_FOUND", "no clip of this id is kept: upload it again")
        self._clips.move_to_end(request.audio_hash)
        wanted, emotion = self._wanted(request, clip)
        animation = self._animation(clip, wanted, emotion)
        time_s = min(
            max(finite({"time_stamp": request.time_stamp}, "pose")["time_stamp"], 0.0),
            clip.samples.size / clip.sample_rate,
        )
        row = int(min(time_s * animation.fps, len(animation) - 1))
        stream = self._served.on_the_wire(animation)[row]
        values = dict.fromkeys(EMOTIONS, 0.0) | dict(zip(self._served.emotions, map(float, emotion), strict=True))
        return message("BlendShapeData")(
            blendshapes=wanted.apply(stream, self._served.names).tolist(), time_code=time_s, emotions=values
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

    def _animation(self, clip: _Clip, wanted: StreamRequest, emotion: np.ndarray) -> Animation:
        """All frames of the clip with these parameters, made once for each."""
        config = tuple(sorted(wanted.config.items()))
        key = (config, wanted.blink_offset, wanted.input_strength, emotion.tobytes())
        if key not in clip.made:
            session = self._served.session(wanted, lambda stamps: np.tile(emotion, (len(stamps), 1)))
            heard = session.feed(clip.samples)
            clip.made[key] = join([heard, session.finish()])
            self._shrink()
        clip.made.move_to_end(key)
        return clip.made[key]

    def _shrink(self) -> None:
        """Forget the oldest frames, then the oldest clips, but for the newest of each."""
        for clip in self._clips.values():
            while len(clip.made) > 1 and self._too_much():
                clip.made.popitem(last=False)
        while len(self._clips) > 1 and self._too_much():
            self._clips.popitem(last=False)

    def _too_much(self) -> bool:
        return sum(clip.num_bytes for clip in self._clips.values()) > MOST_BYTES
