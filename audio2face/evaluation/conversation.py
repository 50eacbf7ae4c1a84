"""Who speaks in the clips of a conversation."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from audio2face.audio.speaking import who_speaks
from audio2face.audio.waveform import load_track
from audio2face.types import Clip


@lru_cache(maxsize=4)  # one clip at a time, for all groups and systems
def speaking_at(clip: Clip, fps: float, count: int) -> np.ndarray | None:
    """Who speaks (count,) in each of the frames at `fps` of the clip's sound, one of `speaking.SPEAKING`; None in a monologue."""
    if clip.track is None or clip.partner is None:
        return None
    own, partner = load_track(clip.track, "w2v"), load_track(clip.partner.track, "w2v")
    late = round((clip.partner.offset - clip.audio_offset) / clip.shot.fps * own.sample_rate)
    begun = np.pad(partner.samples, (max(-late, 0), 0))[max(late, 0) :]
    return who_speaks(own.samples, begun, own.sample_rate, fps, count)
