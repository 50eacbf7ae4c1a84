"""`run_evaluate.py`: measure training runs on shots that they never saw, through the whole inference path."""

from __future__ import annotations

import csv
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch

from audio2face import runtime as runtimes
from audio2face.commands.find_run import find_training_run, post_configs, train_section
from audio2face.config import Section, load_config
from audio2face.dataset.split import NOTHING_HELD_OUT
from audio2face.evaluation.curve_report import column_rows
from audio2face.evaluation.data import Wanted, build_measured
from audio2face.evaluation.measure import Predictor, measure, write_videos
from audio2face.evaluation.phonemes import Bilabials
from audio2face.evaluation.report import html_report, json_report, worst_shots
from audio2face.evaluation.video import number_of_videos
from audio2face.formats.json_file import write_json
from audio2face.inference.animate import load_animator
from audio2face.inference.job import build_options
from audio2face.inference.package import run_actor
from audio2face.listing import natural_order
from audio2face.paths import atomic, external_path, local_path
from audio2face.problems import UserError
from audio2face.runs.run_dir import FULL_NAME, final_path, write_provenance, writing_run
from audio2face.runs.train_run import TrainRun
from audio2face.types import Clip

logger = logging.getLogger(__name__)

OUTPUT_ROOT = "/workspace/output_evaluate"


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

    Each shot is animated in its own emotion, or all in `emotion`. `videos` is how many of the worst clips are filmed (None: DEFAULT_VIDEOS
    where they can be drawn). `regions` {"lips" or "upper_face": JSON file} names vertices instead of the data set's lists.
    `shots` (names or patterns) are measured whether they were trained on or not; `data` is a folder of new shots. Raises
    UserError for mistakes, and when no other shot is left than those that were trained on, before any folder is made.
    """
    train = train_section(config_name, run_name)
    names = list(dict.fromkeys([run_name, *compare]))
    training_runs = _training_runs(config_name, train, names)
    dataset = load_config(config_name, ("dataset",))["dataset"]
    wanted = Wanted(tuple(shots), local_path(data) if data else None, regions or {})
    measured = build_measured(config_name, train, dataset, training_runs, wanted)
    clips, sources = measured.clips, measured.sources
    runtime = runtimes.start()
    lips = any(source.has_skin for source in sources.values())
    bilabials = Bilabials.from_config(dataset) if lips else Bilabials({}, None)
    if wanted.folder:
        bilabials = replace(bilabials, folders={})  # times are of the data set's own shots
    count = number_of_videos(videos, sources)
    predictors = [_build_predictor(config_name, r, clips, emotion, runtime.device) for r in training_runs]
    match = FULL_NAME.match(training_runs[0].name)
    name = match[2] if match else training_runs[0].name
    with writing_run(local_path(OUTPUT_ROOT), name, "evaluation") as folder:
        runtimes.setup_logging(folder / "log.log")
        made_with = {"training_run_info": {"training_run_name_full": [r.name for r in training_runs]}}
        write_provenance(folder, {"train": train, "dataset": dataset}, "", made_with)
        seconds = sum(c.num_frames / c.shot.fps for c in clips)
        logger.info("%d clips, %.0f s: %s", len(clips), seconds, ", ".join(c.shot.name for c in clips))
        evaluation = replace(
            measure(config_name, predictors, clips, sources, emotion, bilabials, folder),
            trained=measured.trained,
            folder=external_path(wanted.folder) if wanted.folder else None,
        )
        chosen = worst_shots(evaluation, count)
        filmed = write_videos(
            folder, predictors[0], [c for c in clips if (c.shot.actor, c.shot.name) in chosen], sources
        )
        write_json(folder / "report.json", json_report(evaluation))
        if evaluation.curves:
            with atomic(folder / "curves.csv") as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
                csv.writer(file, lineterminator="\n").writerows(column_rows(evaluation.curves))
        with atomic(folder / "report.html") as temporary:
            temporary.write_text(html_report(evaluation, filmed), encoding="utf-8")
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


def _build_predictor(
    config_name: str, run: TrainRun, clips: Sequence[Clip], emotion: str | None, device: torch.device
) -> Predictor:
    """A training run that animates as config_inference has it, without post-processing: the truth has none either."""
    for wanted in natural_order({emotion or clip.shot.emotion for clip in clips}):
        run.spec.emotion_vector(wanted)
    kind = run.spec.network_type
    section = load_config(config_name, (), optional=("inference",), network_type=kind)["inference"]
    configs, options = post_configs(section, run), build_options(section, run)
    names = natural_order({clip.shot.actor for clip in clips})
    actors = {name: run_actor(run, name, configs[name], rigs=False) for name in names}
    return Predictor(run.name, load_animator(run, actors, options, device), emotion)
