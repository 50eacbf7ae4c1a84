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
from audio2face.evaluation.data import ActorSource, sound_of, truth_at
from audio2face.evaluation.motion import diversity_mm, real_time_factor
from audio2face.evaluation.phonemes import Bilabials, Spans
from audio2face.evaluation.report import TRUTH, Evaluation, System, Video
from audio2face.evaluation.score import Face, ShotScore, score_shot
from audio2face.evaluation.sync import speech_energy
from audio2face.evaluation.video import write_clip_video
from audio2face.inference.animate import Animator, Speaker
from audio2face.inference.job import scratch
from audio2face.paths import external_path
from audio2face.types import Clip

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
    def animated(self, clip: Clip, folder: Path) -> Iterator[tuple[list[np.ndarray], float]]:
        """The skin (T, V, 3) of every take for the clip's whole sound, and the seconds that it took.

        Long ones are kept in files of `folder` until the end of the context.
        """
        assert clip.audio is not None
        started, actor = time.perf_counter(), clip.shot.actor
        sound, takes = self.animator.load_sound(clip.audio), self.animator.options.takes
        found = []
        with scratch(folder, takes * self.animator.num_frames(sound) * self.animator.frame_bytes(actor)) as store:
            for take in range(takes):
                home = None if store is None else store / str(take)
                if home is not None:
                    home.mkdir()
                speaker = Speaker(actor, self.emotion or clip.shot.emotion, take)
                found.append(self.animator.animate(sound, speaker, home).animation.channels["skin"])
            yield found, time.perf_counter() - started


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
    for clip in clips:
        source, spoken = sources[clip.shot.actor], bilabials.of(clip)
        for predictor in predictors:
            with predictor.animated(clip, folder) as (takes, seconds):
                scores[predictor.name] += _score_takes(clip, takes, seconds, source, predictor.fps, spoken)
        fps = predictors[0].fps
        sound = sound_of(clip)
        count = frame_count(len(sound.samples), sound.sample_rate, fps)
        part, truth = truth_at(clip, source.files, fps, count)
        energy = _energy(clip, fps, count, part)
        closures = _shifted(spoken, part, fps)
        others = {**source.baselines(clip, fps, count, part), TRUTH: truth}
        for name, frames in others.items():
            scores.setdefault(name, []).append(
                score_shot(_name(clip), truth, frames, source.face, fps, energy, closures)
            )
    runs = [p.name for p in predictors]
    systems = [System(name, "run" if name in runs else "reference", rows) for name, rows in scores.items()]
    units = {actor: source.units_per_metre for actor, source in sources.items()}
    return Evaluation(config_name, systems, emotion, units, notes=[bilabials.source()])


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
    """Videos of clips, truth beside prediction beside error, into folder/videos: {(actor, shot): video}."""
    videos: dict[tuple[str, str], Video] = {}
    for clip in clips:
        source = sources[clip.shot.actor]
        triangles = source.triangles
        if triangles is None:
            logger.warning("actor %s: no videos without SKIN_TRIANGLES_FPATH", clip.shot.actor)
            continue
        path = folder / "videos" / f"{clip.shot.actor}_{clip.shot.name}.mp4"
        with predictor.animated(clip, folder) as (takes, _):
            fps, sound = predictor.fps, sound_of(clip)
            part, truth = truth_at(clip, source.files, fps, len(takes[0]))
            begin = round(part.start / fps * sound.sample_rate)
            videos[clip.shot.actor, clip.shot.name] = write_clip_video(
                path,
                truth,
                np.asarray(takes[0][part]),
                triangles,
                source.face.mm,
                fps,
                (sound.samples[begin:], sound.sample_rate),
                source.face.lips,
            )
        logger.info("video: %s", external_path(path))
    return videos
