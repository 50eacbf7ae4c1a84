"""An animation that is edited: frames, keys and parts that stay are copied from the file, the rest is made anew from the sound.

Called by `commands.infer`; next: `models.sequence.rollout`, which restores frames around what is given.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from audio2face.audio.windows import frame_count
from audio2face.config import Section
from audio2face.formats.json_file import write_json
from audio2face.formats.sound import sound_info
from audio2face.inference.animate import Animator, Speaker, load_animator
from audio2face.inference.edit.charts import curve_charts, skin_charts
from audio2face.inference.edit.files import EditFile, num_frames, read_edit_file
from audio2face.inference.edit.parts import changing, known_parts
from audio2face.inference.edit.pictures import draw_charts, film_curves, film_skin
from audio2face.inference.edit.plan import Plan, plan_edit
from audio2face.inference.edit.request import Edit, build_edit, span_texts
from audio2face.inference.edit.seams import border_jumps, fade
from audio2face.inference.edit.skin import Skin
from audio2face.inference.edit.tracks import SkinTrack
from audio2face.inference.job import InferenceJob
from audio2face.inference.raw import ENDING, write_raw
from audio2face.models import run_family
from audio2face.paths import local_path
from audio2face.problems import Problems

logger = logging.getLogger(__name__)

CONTEXT_S = 3.0  # of kept frames on either side of what is made anew that the network sees
SKIN = "skin_coeffs"

Channels = dict[str, np.ndarray]


@dataclass(frozen=True)
class EditJob:
    """An edit that is ready to run: the file, what of it is made anew, and the networks that make it."""

    job: InferenceJob
    file: EditFile
    edit: Edit
    plans: tuple[Plan, ...]
    film: bool = True

    @property
    def fps(self) -> float:
        """Frames a second of the file."""
        return self.file.fps or float(self.job.run.spec.fps)

    def write(self, folder: Path, device: Any) -> None:
        """Make every take and write it into `folder`, beside `<stem>_edit.json`."""
        job = self.job
        animators = [
            load_animator(own.run, {own.actor.name: own.actor}, own.options, device, postprocess=False)
            for own in (plan.job for plan in self.plans)
        ]
        for take in range(job.options.takes):
            stem = folder / f"{self.file.path.stem}_{job.actor.name}_edit"
            stem = stem if job.options.takes == 1 else stem.with_name(f"{stem.name}_take{take + 1}")
            channels, raw = edited(animators, self, take)
            path = self.file.write(stem, channels, self.edit)
            if raw:
                write_raw(stem.with_name(stem.name + ENDING), raw, float(job.run.spec.fps))
            files = {"input": self.file.path.name, "output": path.name, "sound": job.files[0].name, "take": take + 1}
            write_json(
                stem.with_name(f"{stem.name}.json"), {**_report(self, channels), **files, **self.draw(stem, channels)}
            )
            logger.info("%s: %d of %d frames made anew", path.name, int(self.edit.free.sum()), len(self.edit.free))

    def draw(self, stem: Path, channels: Channels) -> dict[str, str]:
        """Draw curves and a film of the file and the result; returns {"curves", "film": name} of what could be drawn."""
        face, fps, edit = self.job.actor.face, self.fps, self.edit
        groups = {name: face.curves[name] for name in channels if name != "skin"}
        charts = curve_charts(self.file.channels, channels, groups)
        if "skin" in channels:
            data, units = self.job.run.actor(self.job.actor.name).network_data, face.topology.units_per_metre
            charts = skin_charts(self.file.channels["skin"], channels["skin"], data, units) + charts
        drawn = {"curves": draw_charts(stem.with_name(f"{stem.name}_curves.png"), charts, edit, fps)}
        path, sound = stem.with_name(f"{stem.name}_film.mp4"), self.job.files[0]
        if self.film and "skin" in channels and face.topology.skin is not None:
            skins = (self.file.channels["skin"], channels["skin"])
            drawn["film"] = film_skin(path, skins, face.topology.skin, edit, fps, sound)
        elif self.film and groups:
            drawn["film"] = film_curves(path, (self.file.channels, channels), groups, edit, fps, sound)
        return {what: made.name for what, made in drawn.items() if made is not None}


def build_edit_job(section: Section, job: InferenceJob) -> EditJob:
    """The edit that EDIT describes. Raises UserError with everything that is wrong with it."""
    problems, groups, fps = Problems(), job.actor.face.curves, float(job.run.spec.fps)
    problems.extend(_network_problems(job))
    for key, given in (("GUIDE_RUN", job.guide), ("KEYFRAMES_PATH", job.keys)):
        if given:
            logger.warning("EDIT: %s has no part in an edit, which keeps to its file: it leads whole animations", key)
    if len(job.files) != 1:
        problems.error("", f"EDIT: AUDIO_PATH names {len(job.files)} sounds; an edit takes the one of its file")
    file = problems.attempt(read_edit_file, local_path(section.EDIT["file"]), groups, _skin(job), fps)
    edit, plans = None, None
    if file is not None:
        fps = file.fps or fps
        edit = problems.attempt(build_edit, section, num_frames(file), fps, file.first_frame)
        known = known_parts("skin" in file.channels, {name: groups[name] for name in file.channels if name != "skin"})
        chosen = problems.attempt(changing, section.EDIT["parts"], section.EDIT["keep"], known)
        if edit is not None and len(job.files) == 1:
            problems.extend(_sound_problems(job.files[0], edit, fps))
        if edit is not None and chosen is not None and not problems.errors:
            plans = problems.attempt(_plans, job, file, edit, chosen)
    problems.raise_errors()
    assert file is not None and edit is not None and plans is not None
    return EditJob(job, file, edit, plans, section.EDIT["film"])


def _network_problems(job: InferenceJob) -> list[str]:
    """Which of the networks of a job cannot edit."""
    runs = {"EDIT": job.run} | ({} if job.head is None else {f"HEAD_RUN {job.head.run.name}": job.head.run})
    return [
        f"{key}: {run.spec.network_name} cannot be edited, it never met kept frames in training; train "
        'NETWORK_NAME = "diffusion_transformer"'
        for key, run in runs.items()
        if not run_family(run).edits
    ]


def _plans(job: InferenceJob, file: EditFile, edit: Edit, chosen: set[str]) -> tuple[Plan, ...]:
    """What each network makes of the file: a second one the groups that it has, the first all else."""
    if job.head is None:
        return (plan_edit(job, file, edit, chosen, file.channels),)
    others = job.head.actor.face.curves.keys()
    plans = [
        plan_edit(job, file, edit, chosen, file.channels.keys() - others),
        plan_edit(job.head, file, edit, chosen, file.channels.keys() & others),
    ]
    return tuple(plan for plan in plans if plan.tracks)


def _skin(job: InferenceJob) -> Skin | None:
    """The skin of the job's actor; None of a model that gives none."""
    spec, name = job.run.spec, job.actor.name
    if SKIN not in spec.channels or SKIN in spec.at_rest(name):
        return None
    basis = job.run.actor(name).codec["skin"].basis
    assert basis is not None
    face = job.actor.face
    return Skin(basis.mean, face.topology.units_per_metre, face.rigs.get("skin"))


def _sound_problems(path: Path, edit: Edit, fps: float) -> list[str]:
    info = sound_info(path)
    count, last = frame_count(info.num_samples, info.sample_rate, fps), max((end for _, end in edit.spans()), default=0)
    if last <= count:
        return []
    return [
        f"AUDIO_PATH {path}: the sound ends at frame {edit.first_frame + count - 1}, before the range that is to be "
        f"regenerated ({', '.join(span_texts(edit.free, edit.first_frame))})"
    ]


def edited(animators: list[Animator], asked: EditJob, take: int) -> tuple[Channels, Channels]:
    """The channels of the file after an edit, by one animator for each plan; and what lies under post-processing, by channel."""
    out: Channels = dict(asked.file.channels)
    raw: Channels = {}
    for animator, plan in zip(animators, asked.plans, strict=True):
        made, below = renewed(animator, plan, asked.edit, take)
        out |= made
        raw |= below
    return out, raw


def renewed(animator: Animator, plan: Plan, edit: Edit, take: int) -> tuple[Channels, Channels]:
    """As `edited`, of the channels that one network makes: the file's where frames are kept, and new stretches that fit them."""
    job, talk = plan.job, plan.job.talks[0]
    speaker = Speaker(job.actor.name, job.emotion, take, animator.load_partner(talk.partner))
    inputs = animator.inputs(animator.load_sound(talk.own.path, talk.own.channel), speaker)
    out = {name: track.source.copy() for name, track in plan.tracks.items()}
    tracks = [track for track in plan.tracks.values() if isinstance(track, SkinTrack) and track.raw is not None]
    raw = {track.channel.name: track.coeffs.copy() for track in tracks}
    context, blend = round(CONTEXT_S * animator.spec.fps), edit.blend_s * animator.spec.fps
    for begin, end in stretches(plan.edit.spans(), context):
        low, high = max(0, begin - context), min(len(plan.edit.free), end + context)
        given, kept = plan.given.part(low, high - low), plan.edit.kept[low:high]
        x_0, unheld = animator.rollout.restored(inputs, low, given)  # type: ignore[attr-defined]
        x_0 = x_0 + fade(given.values - unheld, kept, blend) * ~kept[:, None]
        frames = plan.clock.file_frames(low, high)
        values = plan.layout.split(plan.clock.to_file(plan.codec.restore(x_0, plan.layout), low, frames))
        kept = edit.kept[frames]
        for name, track in plan.tracks.items():
            channel = track.channel
            own = values[channel.name][:, : channel.size]
            out[name][frames][~kept] = track.renewed(own, frames.start, kept)[~kept]
            if channel.name in raw:
                raw[channel.name][frames][~kept] = own[~kept]
    return out, raw


def stretches(spans: Sequence[tuple[int, int]], context: int) -> list[tuple[int, int]]:
    """Spans (first frame, frame behind the last), those joined of which one would lie in the context of the other: each frame
    is made once, together with what is near it."""
    found: list[tuple[int, int]] = []
    for begin, end in spans:
        if found and begin - found[-1][1] < context:
            begin, _ = found.pop()
        found.append((begin, end))
    return found


def _report(asked: EditJob, channels: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """What `<stem>_edit.json` says of an edit."""
    edit, options = asked.edit, asked.job.options
    return {
        "regenerated": span_texts(~edit.kept, edit.first_frame),
        "keys": [[source_frame + edit.first_frame, at + edit.first_frame] for at, source_frame in edit.keys.items()],
        "parts": None if edit.parts is None else list(edit.parts),
        "keep": list(edit.keep),
        "first_frame": edit.first_frame,
        "fps": asked.fps,
        "seed": options.seed,
        "guidance": dict(options.sampling.guidance),
        "median_second_difference_at_borders": {
            name: jump for name, values in channels.items() if np.isfinite(jump := _jump(values, edit.kept))
        },
    }


def _jump(values: np.ndarray, kept: np.ndarray) -> float:
    """Median size of the second differences at the borders, in the file's units."""
    near = border_jumps(values.reshape(len(values), -1), kept)
    return float(np.median(near.max(axis=1))) if near.size else float("nan")
