"""Where the sound and the targets of a training lie: in memory, or beyond DATA_MEMORY_GB in a file."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence

from audio2face.dataset.long_arrays import Keep, Scratch, in_memory
from audio2face.distributed import local_count
from audio2face.formats.sound import sound_info, sounds_info
from audio2face.models.common.inputs import Inputs
from audio2face.paths import external_path, local_path
from audio2face.runs.disk import require_space, text_of
from audio2face.runtime import Runtime
from audio2face.types import Clip

logger = logging.getLogger(__name__)

VALUE_BYTES = 4
PHONEME_RATE = 50  # rows of phoneme probabilities a second


def build_keep(inputs: Inputs, width: int, runtime: Runtime, phoneme_classes: int = 0) -> Keep:
    """Where the data of a training is kept, given how many values a frame of its targets has.

    Every process has a file of its own. Raises UserError when the disk has no room for them.
    """
    train, clips = inputs.train, [*inputs.clips, *inputs.validation]
    per_second = train.AUDIO_PARAMS["samplerate"] + PHONEME_RATE * phoneme_classes
    needed = data_bytes(clips, per_second, width, float(train.TARGET_FPS))
    if train.DATA_MEMORY_GB is not None:
        limit = train.DATA_MEMORY_GB * 1e9
    else:
        limit = math.inf if (free := runtime.free_bytes) is None else free / 2
    limit /= runtime.memory_sharers
    if needed <= limit:
        return in_memory
    folder = local_path(train.FEATURE_CACHE_ROOT)
    require_space(folder, needed * local_count(), "training data beyond DATA_MEMORY_GB")
    told = "sound and targets: about %s, more than DATA_MEMORY_GB allows (%s); read from a file in %s"
    logger.info(told, text_of(needed), text_of(limit), external_path(folder))
    return Scratch(folder).keep


def data_bytes(clips: Sequence[Clip], sound_rate: float, width: int, fps: float) -> float:
    """What the data of clips takes, about: `sound_rate` values a second of sound, `width` values a frame at `fps` or more."""
    tracks = {clip.track for clip in clips if clip.track} | {clip.partner.track for clip in clips if clip.partner}
    infos = sounds_info(track.path for track in tracks)
    sound_s = sum((infos.get(track.path) or sound_info(track.path)).duration_s for track in tracks)
    frames = sum(clip.num_frames * max(1.0, fps / clip.shot.fps) for clip in clips)
    return VALUE_BYTES * (sound_s * sound_rate + frames * width)
