"""What one network makes of a file that is edited: which channels, and what of them it is given. NumPy only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from audio2face.face.codec import Channel, FaceCodec
from audio2face.face.layout import ChannelLayout
from audio2face.inference.edit.files import EditFile
from audio2face.inference.edit.parts import REGIONS, group_columns, region_masks
from audio2face.inference.edit.request import Edit
from audio2face.inference.edit.tracks import CurvesTrack, SkinTrack, Track
from audio2face.inference.job import InferenceJob
from audio2face.models.common.rollout import Given
from audio2face.problems import UserError

HEAD = "head"  # the group whose turns `head_scale` changes


@dataclass(frozen=True)
class Plan:
    """The channels of a file that the network of `job` makes, and what it is given of them."""

    job: InferenceJob
    codec: FaceCodec
    layout: ChannelLayout
    tracks: Mapping[str, Track]
    given: Given


def plan_edit(job: InferenceJob, file: EditFile, edit: Edit, chosen: set[str], names: set[str]) -> Plan:
    """What the network of a job makes of the channels `names` of a file, of which the parts `chosen` may change.

    Raises UserError for regions that cannot be told apart.
    """
    codec = job.run.spec.output_codec(job.run.actor(job.actor.name))
    blend = edit.blend_s * float(job.run.spec.fps)
    tracks: dict[str, Track] = {}
    for name in names:
        channel, source = codec[name], file.channels[name][edit.source]
        if name == "skin":
            tracks[name] = SkinTrack(channel, source, _kept_vertices(job, edit, chosen), blend)
        else:
            assert channel.group is not None
            free = group_columns(channel.group, chosen, edit.keep)
            scale = edit.head_scale if name == HEAD else 1.0
            tracks[name] = CurvesTrack(channel, source, file.valid[name][edit.source], free, blend, scale)
    layout = ChannelLayout(job.run.spec.max_sizes)
    return Plan(job, codec, layout, tracks, _given(tracks, codec, layout, edit.kept))


def _given(tracks: Mapping[str, Track], codec: FaceCodec, layout: ChannelLayout, kept: np.ndarray) -> Given:
    """What is known in frames that are kept (T,), and of the channels that stay in all of them."""
    flags = np.zeros((len(kept), len(layout.sizes)), np.float32)
    held = np.zeros((len(kept), layout.size), np.float32)
    region = np.zeros((layout.size, layout.size), np.float32)
    for track in tracks.values():
        place = _values_of(track.channel, layout)
        flags[:, [*layout.sizes].index(track.channel.name)] = kept | track.known.all()
        held[:, place] = kept[:, None] | track.known
        if (own := track.region) is not None:
            region[place, place] = own
    values = {track.channel.name: track.coeffs for track in tracks.values()}
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
