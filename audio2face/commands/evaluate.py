"""`run_evaluate.py`: measure training runs on shots that they never saw, through the whole inference path."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from audio2face import runtime as runtimes
from audio2face.commands.find_run import find_training_run, post_configs, train_section
from audio2face.commands.infer import METHODS
from audio2face.config import Section, load_config, section_from_values
from audio2face.dataset.split import NOTHING_HELD_OUT
from audio2face.evaluation.data import ActorSource, Wanted, clips_to_measure, sound_of, truth_at
from audio2face.evaluation.motion import diversity_mm, real_time_factor
from audio2face.evaluation.phonemes import Bilabials, Spans
from audio2face.evaluation.report import TRUTH, Evaluation, Film, System, html_report, json_report, worst_shots
from audio2face.evaluation.score import Face, ShotScore, score_shot
from audio2face.evaluation.sync import speech_energy
from audio2face.evaluation.video import write_clip_video
from audio2face.formats.json_file import write_json
from audio2face.listing import natural_order
from audio2face.paths import atomic, external_path, local_path
from audio2face.problems import UserError
from audio2face.runs.run_dir import FULL_NAME, final_path, write_provenance, writing_run
from audio2face.runs.train_run import TrainRun
from audio2face.runtime import Runtime
from audio2face.types import Clip

logger = logging.getLogger(__name__)

OUTPUT_ROOT = "/workspace/output_evaluate"
DEFAULT_VIDEOS = 2
Animate = Callable[[Path, Path], None]


@dataclass(frozen=True)
class Predictor:
    """One training run, ready to animate; networks are loaded once for each actor and emotion."""

    config_name: str
    run: TrainRun
    emotion: str | None
    runtime: Runtime
    loaded: dict[tuple[str, str], Animate]

    def check(self, clips: Sequence[Clip]) -> None:
        """Raise UserError, before any work, when the run cannot animate the clips."""
        for emotion in natural_order({self.emotion or clip.shot.emotion for clip in clips}):
            self.run.spec.emotion_vector(emotion)

    def animate(self, clip: Clip, folder: Path) -> tuple[list[np.ndarray], float]:
        """The skin (T, V, 3) of every take for the clip's whole sound, and the seconds that it took."""
        assert clip.audio is not None
        key = clip.shot.actor, self.emotion or clip.shot.emotion
        if key not in self.loaded:
            self.loaded[key] = self._start(*key, clip.audio)
        started = time.perf_counter()
        self.loaded[key](clip.audio, folder)
        seconds = time.perf_counter() - started
        return [np.load(path, mmap_mode="r") for path in natural_order(folder.glob("*_skin.npy"))], seconds

    def _start(self, actor: str, emotion: str, audio: Path) -> Animate:
        network_type = self.run.spec.network_type
        section = load_config(self.config_name, (), optional=("inference",), network_type=network_type)["inference"]
        own: dict[str, Any] = {
            "AUDIO_PATH": [str(audio)],
            "EMOTION_LABEL": emotion,
            "ACTOR_NAME": actor,
            "OUTPUT_FORMATS": ["npy"],
        }
        own["APPLY_POSTPROCESSING"] = False  # the truth has no smoothing and strengths
        configs = post_configs(section, self.run)
        section = section_from_values("inference", {**section.modifier, **own}, network_type)
        return METHODS[network_type](section, self.run, configs).start(self.runtime.device)


def run(
    config_name: str,
    run_name: str,
    compare: Sequence[str] = (),
    emotion: str | None = None,
    videos: int | None = None,
    regions: Mapping[str, str] | None = None,
    shots: Sequence[str] = (),
    data: str | None = None,
) -> str:
    """Measure training run `run_name` (or `latest`), and those of `compare`, into output_evaluate; returns the new run's name.

    Each shot is animated in its own emotion, or all in `emotion`. `videos` films that many of the worst clips (None: DEFAULT_VIDEOS
    where they can be drawn). `regions` {"lips" or "upper_face": JSON file} names vertices instead of the data set's lists.
    `shots` (names or patterns) are measured whether they were trained on or not; `data` is a folder of new shots. Raises
    UserError for mistakes, and when no other shot is left than those that were trained on, before any folder is made.
    """
    train = train_section(config_name, run_name)
    names = list(dict.fromkeys([run_name, *compare]))
    training_runs = _training_runs(config_name, train, names)
    dataset = load_config(config_name, ("dataset",))["dataset"]
    wanted = Wanted(tuple(shots), local_path(data) if data else None, regions or {})
    measured = clips_to_measure(config_name, train, dataset, training_runs, wanted)
    clips, sources = measured.clips, measured.sources
    runtime = runtimes.start()
    bilabials = Bilabials.from_config(dataset)
    if wanted.folder:
        bilabials = replace(bilabials, folders={})  # times are of the data set's own shots
    predictors = [Predictor(config_name, r, emotion, runtime, {}) for r in training_runs]
    for predictor in predictors:
        predictor.check(clips)
    count = _number_of_films(videos, sources)
    match = FULL_NAME.match(training_runs[0].name)
    name = match[2] if match else training_runs[0].name
    with writing_run(local_path(OUTPUT_ROOT), name, "evaluation") as folder:
        runtimes.setup_logging(folder / "log.log")
        made_with = {"training_run_info": {"training_run_name_full": [r.name for r in training_runs]}}
        write_provenance(folder, {"train": train, "dataset": dataset}, "", made_with)
        seconds = sum(c.num_frames / c.shot.fps for c in clips)
        logger.info("%d clips, %.0f s: %s", len(clips), seconds, ", ".join(c.shot.name for c in clips))
        evaluation = replace(
            _measure(config_name, predictors, clips, sources, emotion, bilabials, folder),
            trained=measured.trained,
            folder=external_path(wanted.folder) if wanted.folder else None,
        )
        chosen = worst_shots(evaluation, count)
        films = _films(folder, predictors[0], [c for c in clips if (c.shot.actor, c.shot.name) in chosen], sources)
        write_json(folder / "report.json", json_report(evaluation))
        with atomic(folder / "report.html") as temporary:
            temporary.write_text(html_report(evaluation, films), encoding="utf-8")
    folder = final_path(folder)
    for line in evaluation.summary():
        logger.info("%s", line)
    logger.info("report: %s", external_path(folder / "report.html"))
    return folder.name


def _training_runs(config_name: str, train: Section, names: Sequence[str]) -> list[TrainRun]:
    """The runs of these names, each once. When there is none yet, the error also warns of a training that holds nothing out."""
    try:
        runs = [find_training_run(config_name, name, train) for name in names]
    except UserError as error:
        raise UserError([*error.lines, *([] if train.VALIDATION_CLIPS else [NOTHING_HELD_OUT])]) from error
    return list({run.name: run for run in runs}.values())


def _number_of_films(asked: int | None, sources: Mapping[str, ActorSource]) -> int:
    """How many clips to film. Raises UserError when films are asked for and cannot be drawn."""
    if asked is not None and asked < 0:
        raise UserError(f"--videos {asked}: expected a number of clips, 0 or more")
    missing = []
    if all(source.triangles is None for source in sources.values()):
        missing.append("SKIN_TRIANGLES_FPATH in config_dataset.py: the triangles to draw")
    if not all(find_spec(module) for module in ("av", "PIL")):
        missing.append("the extra `video`: pip install -e '.[video]'")
    if missing and asked:
        raise UserError(f"--videos needs {' and '.join(missing)}")
    if missing and asked is None:
        logger.warning("no videos: they need %s", " and ".join(missing))
    return 0 if missing else DEFAULT_VIDEOS if asked is None else asked


def _measure(
    config_name: str,
    predictors: Sequence[Predictor],
    clips: Sequence[Clip],
    sources: dict[str, ActorSource],
    emotion: str | None,
    bilabials: Bilabials,
    scratch: Path,
) -> Evaluation:
    scores: dict[str, list[ShotScore]] = {p.run.name: [] for p in predictors}
    for clip in clips:
        source, spoken = sources[clip.shot.actor], bilabials.of(clip)
        for predictor in predictors:
            with TemporaryDirectory(dir=scratch) as folder:
                takes, seconds = predictor.animate(clip, Path(folder))
                found = _score_takes(clip, takes, seconds, source, predictor.run.spec.fps, spoken)
            scores[predictor.run.name] += found
        fps = predictors[0].run.spec.fps
        count = len(takes[0]) if len(predictors) == 1 else _frames_of(clip, fps)
        part, truth = truth_at(clip, source.files, fps, count)
        energy = _energy(clip, fps, count, part)
        heard = _shifted(spoken, part, fps)
        others = {**source.baselines(clip, fps, count, part), TRUTH: truth}
        for name, frames in others.items():
            scores.setdefault(name, []).append(score_shot(_name(clip), truth, frames, source.face, fps, energy, heard))
    runs = [p.run.name for p in predictors]
    systems = [System(name, "run" if name in runs else "reference", rows) for name, rows in scores.items()]
    units = {actor: source.units_per_metre for actor, source in sources.items()}
    return Evaluation(config_name, systems, emotion, units, notes=[bilabials.source()])


def _score_takes(
    clip: Clip, takes: Sequence[np.ndarray], seconds: float, source: ActorSource, fps: float, spoken: Spans | None
) -> list[ShotScore]:
    part, truth = truth_at(clip, source.files, fps, len(takes[0]))
    energy = _energy(clip, fps, len(takes[0]), part)
    face, heard = source.face, _shifted(spoken, part, fps)
    scores = [score_shot(_name(clip), truth, np.asarray(take[part]), face, fps, energy, heard) for take in takes]
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


def _frames_of(clip: Clip, fps: float) -> int:
    sound = sound_of(clip)
    return max(1, int(np.ceil(len(sound.samples) * fps / sound.sample_rate - 1e-6)))


def _energy(clip: Clip, fps: float, count: int, part: slice) -> np.ndarray:
    sound = sound_of(clip)
    return speech_energy(sound.samples, sound.sample_rate, fps, count)[part]


def _films(
    folder: Path, predictor: Predictor, clips: Sequence[Clip], sources: dict[str, ActorSource]
) -> dict[tuple[str, str], Film]:
    """Film clips, truth beside prediction beside error, into folder/videos: {(actor, shot): film}."""
    films: dict[tuple[str, str], Film] = {}
    for clip in clips:
        source = sources[clip.shot.actor]
        triangles = source.triangles
        if triangles is None:
            logger.warning("actor %s: no videos without SKIN_TRIANGLES_FPATH", clip.shot.actor)
            continue
        with TemporaryDirectory(dir=folder) as scratch:
            takes, _ = predictor.animate(clip, Path(scratch))
            fps = predictor.run.spec.fps
            part, truth = truth_at(clip, source.files, fps, len(takes[0]))
            path = folder / "videos" / f"{clip.shot.actor}_{clip.shot.name}.mp4"
            sound = sound_of(clip)
            begin = round(part.start / fps * sound.sample_rate)
            films[clip.shot.actor, clip.shot.name] = write_clip_video(
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
    return films
