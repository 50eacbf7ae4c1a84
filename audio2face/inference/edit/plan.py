"""What one network makes of a file that is edited: which channels, and what of them it is given. NumPy only."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from audio2face.face.codec import Channel, FaceCodec
from audio2face.face.layout import ChannelLayout
from audio2face.inference.edit.clock import SAME, Clock
from audio2face.inference.edit.files import EditFile
from audio2face.inference.edit.parts import REGIONS, group_columns, region_masks
from audio2face.inference.edit.request import Edit
from audio2face.inference.edit.tracks import CurvesTrack, SkinTrack, Track
from audio2face.inference.job import InferenceJob
from audio2face.inference.raw import raw_path, read_raw
from audio2face.models.common.rollout import Given
from audio2face.postprocess import skin
from audio2face.postprocess.chain import frame_duration_s
from audio2face.problems import UserError

logger = logging.getLogger(__name__)

HEAD = "head"  # the group whose turns `head_scale` changes


@dataclass(frozen=True)
class Plan:
    """The channels of a file that the network of `job` makes, and what it is given of them; `edit` is of the network's frames,
    which `clock` places among the file's."""

    job: InferenceJob
    clock: Clock
    edit: Edit
    codec: FaceCodec
    layout: ChannelLayout
    tracks: Mapping[str, Track]
    given: Given


def plan_edit(job: InferenceJob, file: EditFile, edit: Edit, chosen: set[str], names: Iterable[str]) -> Plan:
    """What the network of a job makes of the channels `names` of a file, of which the parts `chosen` may change.

    Raises UserError for regions that cannot be told apart.
    """
    codec = job.run.spec.output_codec(job.run.actor(job.actor.name))
    clock = Clock(len(edit.free), file.fps or float(job.run.spec.fps), float(job.run.spec.fps))
    blend = edit.blend_s * clock.file_fps
    tracks: dict[str, Track] = {}
    for name in sorted(names):
        channel, source = codec[name], file.channels[name][edit.source]
        if name == "skin":
            raw = _raw(job, file, channel)
            shown = None if raw is None else partial(_shown, _build_skin(job))
            stays = _kept_vertices(job, edit, chosen)
            tracks[name] = SkinTrack(channel, source, stays, blend, None if raw is None else raw[edit.source], shown)
        else:
            assert channel.group is not None
            free = group_columns(channel.group, chosen, edit.keep)
            scale = edit.head_scale if name == HEAD else 1.0
            tracks[name] = CurvesTrack(channel, source, file.valid[name][edit.source], free, blend, scale)
    layout, own = ChannelLayout(job.run.spec.max_sizes), clock.edit(edit)
    values = {track.channel.name: clock.to_network(track.coeffs, edit) for track in tracks.values()}
    return Plan(job, clock, own, codec, layout, tracks, _given(tracks, values, codec, layout, own.kept))


def _raw(job: InferenceJob, file: EditFile, channel: Channel) -> np.ndarray | None:
    """What the network gave before post-processing (T, size), where that lies beside the file."""
    path = raw_path(file.path)
    if not job.postprocess:
        return None
    if not path.is_file():
        logger.warning("EDIT: no %s beside the file: what is new gets no post-processing (CONFIG)", path.name)
        return None
    shape = (len(file.channels["skin"]), channel.size)
    if file.fps and abs(file.fps / job.run.spec.fps - 1) > SAME:
        logger.warning("EDIT: the file has another rate than the model: what is new gets no post-processing (CONFIG)")
        return None
    return read_raw(path, channel.name, shape, float(job.run.spec.fps))


def _build_skin(job: InferenceJob) -> skin.Skin:
    """The skin's post-processing with the actor's CONFIG."""
    data, dt = job.actor.data, float(frame_duration_s(float(job.run.spec.fps)))
    deltas = data["eye_close_pose_delta"], data["lip_open_pose_delta"]
    return skin.build(job.actor.config, data["neutral_skin"], *deltas, dt)


def _shown(built: skin.Skin, frames: np.ndarray) -> np.ndarray:
    """Skins (n, V, 3) as post-processing shows them."""
    return skin.apply(built, frames - built.neutral)[0]


def _given(
    tracks: Mapping[str, Track],
    values: Mapping[str, np.ndarray],
    codec: FaceCodec,
    layout: ChannelLayout,
    kept: np.ndarray,
) -> Given:
    """What of values {channel: (n, size)} is known in frames that are kept (n,), and of the channels that stay in all."""
    flags = np.zeros((len(kept), len(layout.sizes)), np.float32)
    held = np.zeros((len(kept), layout.size), np.float32)
    region = np.zeros((layout.size, layout.size), np.float32)
    for track in tracks.values():
        place = _values_of(track.channel, layout)
        flags[:, [*layout.sizes].index(track.channel.name)] = kept | track.known.all()
        held[:, place] = kept[:, None] | track.known
        if (own := track.region) is not None:
            region[place, place] = own
    normalised = codec.normalise(codec.padded(values, layout), layout) if values else np.zeros_like(held)
    return Given(normalised.astype(np.float32), flags, held, region if region.any() else None)


def _values_of(channel: Channel, layout: ChannelLayout) -> slice:
    first = layout.slices[channel.name].start
    return slice(first, first + channel.size)


def _kept_vertices(job: InferenceJob, edit: Edit, chosen: set[str]) -> np.ndarray:
    """How much of each vertex of the skin (V,) stays in frames that are made anew."""
    data = job.run.actor(job.actor.name).network_data
    neutral = data["neutral_skin"]
    if "skin" in chosen:
        return np.zeros(len(neutral))
    if not chosen & set(REGIONS):
        return np.ones(len(neutral))
    masks = region_masks(neutral, data["eye_close_pose_delta"])
    named = {*(edit.parts or ()), *edit.keep}
    if lacking := [name for name in REGIONS if name in named and name not in masks]:
        raise UserError(
            f"EDIT: {', '.join(lacking)} cannot be told apart in the skin without SKIN_EYE_CLOSE_POSE_DELTA_FPATH of actor "
            f"{job.actor.name}: name brows, which then hold the eyes, or set it in config_dataset.py and preprocess again"
        )
    return np.clip(sum(mask for name, mask in masks.items() if name not in chosen), 0.0, 1.0)
