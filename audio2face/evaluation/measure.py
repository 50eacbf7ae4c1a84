"""Training runs measured on clips: every run animates each in memory, and its frames are compared with the truth."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from audio2face.audio.windows import frame_count
from audio2face.evaluation.curve_data import GroupSource
from audio2face.evaluation.curve_report import CurveResults
from audio2face.evaluation.curve_score import CurveScore, score_curves, takes_apart
from audio2face.evaluation.data import ActorSource, frames_inside, loudness_at, sound_of, truth_at
from audio2face.evaluation.motion import diversity_mm, real_time_factor
from audio2face.evaluation.phonemes import Bilabials, Spans
from audio2face.evaluation.report import TRUTH, Evaluation, System, Video
from audio2face.evaluation.score import Face, ShotScore, score_shot
from audio2face.evaluation.sync import speech_energy
from audio2face.evaluation.video import write_clip_video, write_curves_video
from audio2face.face.curves import CurveGroup, filled
from audio2face.inference.animate import Animator, Speaker
from audio2face.inference.job import scratch
from audio2face.paths import external_path
from audio2face.render.curves_film import curves_take
from audio2face.types import Clip, Waveform

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Predictor:
    """One training run, ready to animate: each clip in its own emotion, or all in `emotion`."""

    name: str
    animator: Animator
    emotion: str | None = None

    @property
    def fps(self) -> float:
        """Frames a second of its animations."""
        return self.animator.spec.fps

    @contextmanager
    def animated(self, clip: Clip, folder: Path) -> Iterator[tuple[list[dict[str, np.ndarray]], float]]:
        """The channels of every take for the clip's whole sound, as of a FaceAnimation, and the seconds that it took.

        Long ones are kept in files of `folder` until the end of the context.
        """
        assert clip.audio is not None
        started, actor = time.perf_counter(), clip.shot.actor
        sound, takes = self.animator.load_sound(clip.audio, clip.channel), self.animator.options.takes
        partner = _partner(self.animator, clip)
        found = []
        with scratch(folder, takes * self.animator.num_frames(sound) * self.animator.frame_bytes(actor)) as store:
            for take in range(takes):
                home = None if store is None else store / str(take)
                if home is not None:
                    home.mkdir()
                speaker = Speaker(actor, self.emotion or clip.shot.emotion, take, partner)
                found.append(self.animator.animate(sound, speaker, home).animation.channels)
            yield found, time.perf_counter() - started

    def group(self, actor: str, name: str) -> CurveGroup | None:
        """What the columns of a group are in its animations; None when it does not move any."""
        return self.animator.actors[actor].face.curves.get(name)


def _partner(animator: Animator, clip: Clip) -> Waveform | None:
    """The sound of a clip's partner, from the moment on at which the clip's own file starts."""
    if clip.partner is None:
        return None
    return animator.load_partner(clip.partner.track, (clip.partner.offset - clip.audio_offset) / clip.shot.fps)


def measure(
    config_name: str,
    predictors: Sequence[Predictor],
    clips: Sequence[Clip],
    sources: dict[str, ActorSource],
    emotion: str | None,
    bilabials: Bilabials,
    folder: Path,
) -> Evaluation:
    """Every run's scores on every clip, and those of the baselines and the truth. `folder` is for long animations."""
    scores: dict[str, list[ShotScore]] = {p.name: [] for p in predictors}
    groups = {name: group for source in sources.values() for name, group in source.groups.items()}
    curves: dict[str, dict[str, list[CurveScore]]] = {name: {} for name in groups}
    for clip in clips:
        source = sources[clip.shot.actor]
        spoken = bilabials.of(clip) if source.has_skin else None
        for predictor in predictors:
            with predictor.animated(clip, folder) as (takes, seconds):
                if source.has_skin:
                    skins = [take["skin"] for take in takes]
                    scores[predictor.name] += _score_takes(clip, skins, seconds, source, predictor.fps, spoken)
                for name, group in source.groups.items():
                    _add(curves[name], predictor.name, _score_groups(clip, takes, seconds, group, predictor))
        fps, sound = predictors[0].fps, sound_of(clip)
        count = frame_count(len(sound.samples), sound.sample_rate, fps)
        part, times = frames_inside(clip, fps, count)
        for name, group in source.groups.items():
            for other, rows in _score_references(clip, source, group, fps, count, part, times).items():
                _add(curves[name], other, rows)
        if not source.has_skin:
            continue
        _, truth = truth_at(clip, source.files, fps, count)
        energy = _energy(clip, fps, count, part)
        closures = _shifted(spoken, part, fps)
        others = {**source.baselines(clip, fps, count, part), TRUTH: truth}
        for name, frames in others.items():
            scores.setdefault(name, []).append(
                score_shot(_name(clip), truth, frames, source.face, fps, energy, closures)
            )
    runs = [p.name for p in predictors]
    names = dict.fromkeys([*scores, *(other for found in curves.values() for other in found)])
    systems = [System(name, "run" if name in runs else "reference", scores.get(name, [])) for name in names]
    units = {actor: source.units_per_metre for actor, source in sources.items()}
    notes = [bilabials.source()] if any(source.has_skin for source in sources.values()) else []
    measured = {name: CurveResults.of(groups[name], found) for name, found in curves.items() if found}
    return Evaluation(config_name, systems, emotion, units, notes=notes, curves=measured)


def _add(scores: dict[str, list[CurveScore]], system: str, rows: list[CurveScore]) -> None:
    """Count in the scores of a system (in place; owned by `measure`)."""
    if rows:
        scores.setdefault(system, []).extend(rows)


def _score_groups(
    clip: Clip, takes: Sequence[dict[str, np.ndarray]], seconds: float, source: GroupSource, predictor: Predictor
) -> list[CurveScore]:
    """The scores of every take of a group; none when the shot or the run has none."""
    own = predictor.group(clip.shot.actor, source.channel.name)
    if own is None:
        return []
    if own.blocks != source.group.blocks:
        logger.warning("%s: group %s has other columns; it is not compared", predictor.name, source.channel.name)
        return []
    raw = [take[source.channel.name] for take in takes]
    part, times = frames_inside(clip, predictor.fps, len(raw[0]))
    truth = source.truth_at(clip, times)
    if truth is None:
        return []
    encoded = [own.encode(values[part], np.ones(values[part].shape, bool))[0] for values in raw]
    scores = [_curve_score(clip, truth, values, source, predictor.fps) for values in encoded]
    extra = {"real_time_factor": (seconds / len(takes), sound_of(clip).duration_s)}
    if len(takes) > 1:
        extra["diversity"] = takes_apart(encoded, source.scale)
    for score in scores:
        score.sums.update(extra)
    return scores


def _score_references(
    clip: Clip, source: ActorSource, group: GroupSource, fps: float, count: int, part: slice, times: np.ndarray
) -> dict[str, list[CurveScore]]:
    """The scores of the baselines and the truth of a group; none when the shot has none."""
    truth = group.truth_at(clip, times)
    if truth is None:
        return {}
    features = loudness_at(clip, fps, count, part)
    others = {**group.baselines(features, source.training_energies), TRUTH: truth[0]}
    return {name: [_curve_score(clip, truth, values, group, fps)] for name, values in others.items()}


def _curve_score(
    clip: Clip, truth: tuple[np.ndarray, np.ndarray], values: np.ndarray, source: GroupSource, fps: float
) -> CurveScore:
    return score_curves(_name(clip), *truth, values, source.scale, fps, source.shown)


def _score_takes(
    clip: Clip, takes: Sequence[np.ndarray], seconds: float, source: ActorSource, fps: float, spoken: Spans | None
) -> list[ShotScore]:
    part, truth = truth_at(clip, source.files, fps, len(takes[0]))
    energy = _energy(clip, fps, len(takes[0]), part)
    face, closures = source.face, _shifted(spoken, part, fps)
    scores = [score_shot(_name(clip), truth, np.asarray(take[part]), face, fps, energy, closures) for take in takes]
    extra = {"real_time_factor": real_time_factor(seconds / len(takes), sound_of(clip).duration_s)}
    if len(takes) > 1:
        extra["diversity_mm"] = diversity_mm(_seen(takes, part, face), face.mm)
    for score in scores:
        score.values.update(extra)
    return scores


def _shifted(spans: Spans | None, part: slice, fps: float) -> Spans | None:
    """Seconds of the sound as seconds from the first of the frames `part`."""
    return spans and [(start - part.start / fps, end - part.start / fps) for start, end in spans]


def _seen(takes: Sequence[np.ndarray], part: slice, face: Face) -> np.ndarray:
    """Lips (or else everything) of all takes: (S, T, n, 3)."""
    chosen = np.arange(takes[0].shape[1]) if face.lips is None else face.lips
    return np.stack([take[part][:, chosen] for take in takes])


def _name(clip: Clip) -> tuple[str, str, str]:
    return clip.shot.name, clip.shot.actor, clip.shot.emotion


def _energy(clip: Clip, fps: float, count: int, part: slice) -> np.ndarray:
    sound = sound_of(clip)
    return speech_energy(sound.samples, sound.sample_rate, fps, count)[part]


def write_videos(
    folder: Path, predictor: Predictor, clips: Sequence[Clip], sources: dict[str, ActorSource]
) -> dict[tuple[str, str], Video]:
    """Videos of clips, truth beside prediction, of a face beside the error, into folder/videos: {(actor, shot): video}."""
    videos: dict[tuple[str, str], Video] = {}
    for clip in clips:
        source = sources[clip.shot.actor]
        path = folder / "videos" / f"{clip.shot.actor}_{clip.shot.name}.mp4"
        film = _film_skin if source.has_skin else _film_curves
        with predictor.animated(clip, folder) as (takes, _):
            video = film(path, clip, takes[0], source, predictor)
        if video is not None:
            videos[clip.shot.actor, clip.shot.name] = video
            logger.info("video: %s", external_path(path))
    return videos


def _film_skin(
    path: Path, clip: Clip, take: dict[str, np.ndarray], source: ActorSource, predictor: Predictor
) -> Video | None:
    if source.triangles is None:
        logger.warning("actor %s: no videos without SKIN_TRIANGLES_FPATH", clip.shot.actor)
        return None
    part, truth = truth_at(clip, source.files, predictor.fps, len(take["skin"]))
    face, sound = source.face, _sound_from(clip, part, predictor.fps)
    shown = np.asarray(take["skin"][part])
    return write_clip_video(path, truth, shown, source.triangles, face.mm, predictor.fps, sound, face.lips)


def _film_curves(
    path: Path, clip: Clip, take: dict[str, np.ndarray], source: ActorSource, predictor: Predictor
) -> Video | None:
    """The truth of what is unknown is drawn between what is known before and after."""
    truth: dict[str, np.ndarray] = {}
    ours: dict[str, np.ndarray] = {}
    groups: dict[str, CurveGroup] = {}
    part = slice(0, 0)
    for name, group in source.groups.items():
        if name not in take:
            continue
        part, times = frames_inside(clip, predictor.fps, len(take[name]))
        found = group.truth_at(clip, times)
        if found is not None:
            groups[name], ours[name] = group.group, take[name][part]
            truth[name] = group.group.decode(filled(*found))
    titles = f"truth, {clip.shot.name}", "prediction"
    sides = [curves_take(groups, values, title) for values, title in zip((truth, ours), titles, strict=True)]
    if not (sides[0].has_head or sides[0].has_figure):
        logger.warning("shot %s: no video, as no group is a face's, a head's or a body's", clip.shot.name)
        return None
    sound = _sound_from(clip, part, predictor.fps)
    return write_curves_video(path, sides[0], sides[1], predictor.fps, sound)


def _sound_from(clip: Clip, part: slice, fps: float) -> tuple[np.ndarray, int]:
    """The clip's sound from the first of the frames `part` on."""
    sound = sound_of(clip)
    return sound.samples[round(part.start / fps * sound.sample_rate) :], sound.sample_rate
