"""An animation that is edited: frames, keys and parts that stay are copied from the file, the rest is made anew from the sound.

Called by `commands.infer`; next: `models.sequence.rollout`, which restores frames around what is given.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from audio2face.config import Section
from audio2face.face import rotations
from audio2face.face.codec import FaceCodec
from audio2face.face.layout import ChannelLayout
from audio2face.formats.json_file import write_json
from audio2face.inference.animate import Animator, Speaker, load_animator
from audio2face.inference.edit_files import EditFile, read_edit_file
from audio2face.inference.edit_parts import (
    REGIONS,
    changing,
    group_columns,
    known_parts,
    region_masks,
    region_matrix,
)
from audio2face.inference.edit_request import Edit, build_edit, span_texts
from audio2face.inference.job import InferenceJob
from audio2face.inference.seams import border_jumps, fade
from audio2face.models.common.rollout import Given
from audio2face.paths import local_path
from audio2face.problems import UserError

logger = logging.getLogger(__name__)

CONTEXT_S = 3.0  # of kept frames on either side of what is made anew that the network sees
SKIN = "skin_coeffs"


@dataclass(frozen=True)
class EditJob:
    """An edit that is ready to run: the file, what of it may change, and the inference that makes the rest."""

    job: InferenceJob
    file: EditFile
    edit: Edit
    chosen: set[str]

    def write(self, folder: Path, device: Any) -> None:
        """Make every take and write it into `folder`, beside `<stem>_edit.json`."""
        job = self.job
        animator = load_animator(job.run, {job.actor.name: job.actor}, job.options, device, postprocess=False)
        if not hasattr(animator.rollout, "restored"):
            raise UserError(
                f"EDIT: {job.run.spec.network_name} cannot be edited, it never met kept frames in training; train "
                'NETWORK_NAME = "diffusion_transformer"'
            )
        for take in range(job.options.takes):
            stem = folder / f"{self.file.path.stem}_{job.actor.name}_edit"
            stem = stem if job.options.takes == 1 else stem.with_name(f"{stem.name}_take{take + 1}")
            channels, changed, report = edited(animator, self, take)
            path = self.file.write(stem, channels, changed)
            report |= {"input": self.file.path.name, "output": path.name, "sound": job.files[0].name, "take": take + 1}
            write_json(stem.with_name(f"{stem.name}.json"), report)
            logger.info("%s: %d of %d frames made anew", path.name, int(changed.sum()), len(changed))


def build_edit_job(section: Section, job: InferenceJob) -> EditJob:
    """The edit that EDIT describes. Raises UserError with everything that is wrong with it."""
    if len(job.files) != 1:
        raise UserError(f"EDIT: AUDIO_PATH names {len(job.files)} sounds; an edit takes the one of its file")
    codec, fps = job.actor.codec, float(job.run.spec.fps)
    vertices = _vertices(job)
    file = read_edit_file(local_path(section.EDIT["file"]), codec.groups, vertices, fps)
    edit = build_edit(section, len(next(iter(file.channels.values()))), fps, file.first_frame)
    known = known_parts("skin" in file.channels, {name: codec.groups[name] for name in file.channels if name != "skin"})
    return EditJob(job, file, edit, changing(edit.parts, edit.keep, known))


def _vertices(job: InferenceJob) -> int | None:
    trained = SKIN in job.run.spec.channels and SKIN not in job.run.spec.at_rest(job.actor.name)
    return len(job.run.actor(job.actor.name).codec["skin"].basis.mean) if trained else None  # type: ignore[union-attr]


def edited(animator: Animator, asked: EditJob, take: int) -> tuple[dict[str, np.ndarray], np.ndarray, dict[str, Any]]:
    """The channels of the file after an edit, the frames (T,) that differ from it, and what is to be said of it."""
    job, edit = asked.job, asked.edit
    spec = animator.spec
    layout = ChannelLayout(spec.max_sizes)
    codec = spec.output_codec(job.run.actor(job.actor.name))
    talk = job.talks[0]
    sound = animator.load_sound(talk.own.path, talk.own.channel)
    inputs = animator.inputs(sound, Speaker(job.actor.name, job.emotion, take, animator.load_partner(talk.partner)))
    last = max((end for _, end in edit.spans()), default=0)
    if last > animator.num_frames(sound):
        raise UserError(
            f"AUDIO_PATH {job.files[0]}: the sound ends at frame {edit.first_frame + animator.num_frames(sound) - 1}, before the "
            f"range that is to be regenerated ({', '.join(span_texts(edit.free, edit.first_frame))})"
        )
    source = {name: values[edit.source] for name, values in asked.file.channels.items()}
    given, masks = _given(asked, codec, layout, source)
    out = {name: values.copy() for name, values in source.items()}
    context, jumps = round(CONTEXT_S * spec.fps), []
    for begin, end in edit.spans():
        low, high = max(0, begin - context), min(len(edit.free), end + context)
        x_0, own = animator.rollout.restored(inputs, low, given.part(low, high - low))  # type: ignore[attr-defined]
        kept = edit.kept[low:high]
        x_0 = x_0 + fade(given.values[low:high] - own, kept, edit.blend_s * spec.fps) * ~kept[:, None]
        values = layout.split(codec.restore(x_0, layout))
        for name in out:
            new = _new_values(asked, codec, name, values, source[name][low:high], kept, masks)
            out[name][low:high][~kept] = new[~kept]
            jumps.append(_jump(out[name][low:high], kept))
    changed = edit.free
    report = {
        "regenerated": span_texts(~edit.kept, edit.first_frame),
        "keys": [[source_frame + edit.first_frame, at + edit.first_frame] for at, source_frame in edit.keys.items()],
        "parts": None if edit.parts is None else list(edit.parts),
        "keep": list(edit.keep),
        "first_frame": edit.first_frame,
        "fps": spec.fps,
        "seed": job.options.seed,
        "guidance": dict(job.options.sampling.guidance),
        "median_second_difference_at_borders": [jump for jump in jumps if np.isfinite(jump)],
    }
    return out, changed, report


def _given(
    asked: EditJob, codec: FaceCodec, layout: ChannelLayout, source: Mapping[str, np.ndarray]
) -> tuple[Given, np.ndarray | None]:
    """What the network is given of the file, and how much each vertex of the skin (V,) is kept in frames made anew."""
    edit, count = asked.edit, len(asked.edit.free)
    values: dict[str, np.ndarray] = {}
    flags = {name: np.zeros(count, np.float32) for name in layout.sizes}
    held = {name: np.zeros((count, size), np.float32) for name, size in layout.sizes.items()}
    region, kept_vertices = None, None
    for name, frames in source.items():
        channel = codec["skin" if name == "skin" else name]
        if name == "skin":
            assert channel.basis is not None
            moved = (frames - channel.basis.mean).reshape(count, -1)
            values[channel.name] = moved @ channel.basis.components.reshape(channel.size, -1).T
            whole = not asked.chosen & {"skin", *REGIONS}
            if not whole and "skin" not in asked.chosen:
                kept_vertices = _kept_vertices(asked)
                square = np.zeros((layout.size, layout.size), np.float32)
                place = layout.slices[channel.name]
                square[place.start : place.start + channel.size, place.start : place.start + channel.size] = (
                    region_matrix(channel.basis.components, kept_vertices)
                )
                region = square
            fixed = np.full(channel.size, whole)
        else:
            assert channel.group is not None
            encoded, _ = channel.group.encode(frames, asked.file.valid[name][edit.source])
            if channel.curve_basis is not None:
                raise UserError(
                    f"EDIT: group {name!r} was trained by components (CURVES_COMPONENTS) and cannot be edited"
                )
            values[channel.name] = encoded
            free_columns = group_columns(channel.group, asked.chosen, edit.keep)
            fixed = np.concatenate(
                [np.full(block.size, not free_columns[raw].any()) for block, raw, _ in channel.group.places()]
                if any(block.kind == "rotation" for block in channel.group.blocks)
                else [~free_columns]
            )
        stays = edit.kept.astype(np.float32)
        flags[channel.name] = np.ones(count, np.float32) if fixed.all() else stays
        held[channel.name][:, : channel.size] = np.maximum(stays[:, None], fixed[None])
    normalised = codec.normalise(codec.padded(values, layout), layout)
    table = np.stack([*flags.values()], axis=1)
    return Given(normalised.astype(np.float32), table, layout.join(held), region), kept_vertices


def _kept_vertices(asked: EditJob) -> np.ndarray:
    data = asked.job.run.actor(asked.job.actor.name).network_data
    masks = region_masks(data["neutral_skin"], data["eye_close_pose_delta"])
    if lacking := set(REGIONS) - set(masks) - (set(REGIONS) - asked.chosen):
        raise UserError(f"EDIT: {', '.join(lacking)} cannot be told apart without SKIN_EYE_CLOSE_POSE_DELTA_FPATH")
    return np.clip(sum(mask for name, mask in masks.items() if name not in asked.chosen), 0.0, 1.0)


def _new_values(
    asked: EditJob,
    codec: FaceCodec,
    name: str,
    values: Mapping[str, np.ndarray],
    source: np.ndarray,
    kept: np.ndarray,
    kept_vertices: np.ndarray | None,
) -> np.ndarray:
    """A channel of the file as it is made anew (n, ...), with what kept frames have beyond the network's span faded in."""
    channel, blend = codec["skin" if name == "skin" else name], asked.edit.blend_s * asked.job.run.spec.fps
    if name != "skin":
        return _new_curves(asked, channel, values[channel.name], source, kept)
    made = channel.decode(values[channel.name][:, : channel.size])
    assert channel.basis is not None
    basis = channel.basis.components.reshape(channel.size, -1)
    residual = np.zeros_like(source)
    edges = [i for i in np.flatnonzero(kept) if not kept[max(i - 1, 0) : i + 2].all()]
    for i in edges:  # of other kept frames nothing is faded
        moved = (source[i] - channel.basis.mean).ravel()
        residual[i] = (moved - (moved @ basis.T) @ basis).reshape(residual.shape[1:])
    made = made + fade(residual, kept, blend) * ~kept[:, None, None]
    if kept_vertices is None:
        return made if asked.chosen & {"skin", *REGIONS} else source
    weight = kept_vertices[None, :, None].astype(np.float32)
    return np.where(weight == 1, source, weight * source + (1 - weight) * made)


def _new_curves(asked: EditJob, channel: Any, values: np.ndarray, source: np.ndarray, kept: np.ndarray) -> np.ndarray:
    group, edit = channel.group, asked.edit
    made = group.decode(values[:, : channel.size])
    free_columns = group_columns(group, asked.chosen, edit.keep)
    for block, columns, _ in group.places():
        if block.kind == "rotation" and edit.head_scale != 1.0 and group.name == "head":
            turned = rotations.to_axis_angle(block.matrices(made[:, columns])) * edit.head_scale
            made[:, columns] = block.turned(rotations.from_axis_angle(turned))
        if block.kind in ("angle", "rotation") and block.unit:  # the turn that is nearest to the frame before
            period = 360.0 if block.unit == "degrees" else 2 * np.pi
            joined = np.where(kept[:, None], source[:, columns], made[:, columns])
            steps = np.unwrap(joined, axis=0, period=period)
            made[:, columns] = np.where(kept[:, None], source[:, columns], steps)
    return np.where(free_columns[None], made, source).astype(np.float32)


def _jump(values: np.ndarray, kept: np.ndarray) -> float:
    """Median size of the second differences at the borders, in the file's units."""
    near = border_jumps(values.reshape(len(values), -1), kept)
    return float(np.median(near.max(axis=1))) if near.size else float("nan")
