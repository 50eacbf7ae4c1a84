"""`run_inference.py`: animate the face from sound with a training run, without the runtime. Needs only the run."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audio2face import runtime as runtimes
from audio2face.commands.find_run import find_training_folder, find_training_run, post_configs, train_section
from audio2face.config import Section, load_config, section_from_values
from audio2face.inference.edit.job import EditJob, build_edit_job
from audio2face.inference.job import InferenceJob, SecondRun, build_job
from audio2face.inference.keyframe_job import KeyframeJob, build_keyframe_job
from audio2face.models import run_family
from audio2face.paths import external_path, local_path
from audio2face.problems import UserError
from audio2face.runs.run_dir import FULL_NAME, LATEST, final_path, write_provenance, writing_run
from audio2face.runs.train_run import TrainRun, load_train_run

logger = logging.getLogger(__name__)

SHARED = ("NUM_SAMPLES", "RNG_SEED_INFERENCE")  # keys that hold for a second run too


@dataclass(frozen=True)
class Prepared:
    """An inference that is ready to run: its job, and what is noted about it beside the files."""

    section: Section
    run: TrainRun
    job: InferenceJob | EditJob | KeyframeJob
    made_with: Mapping[str, str]

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """The folder of a new inference run, to be filled, named after the training run."""
        match = FULL_NAME.match(self.run.name)
        root, name = local_path(self.section.INFERENCE_OUTPUT_ROOT), match[2] if match else self.run.name
        with writing_run(root, name, "inference", keep=True) as folder:
            write_provenance(folder, {"inference": self.section}, "", {"training_run_info": dict(self.made_with)})
            yield folder


def run(config_name: str, run_name: str, **overrides: Any) -> str:
    """Animate AUDIO_PATH with training run `run_name` (or `latest`) into INFERENCE_OUTPUT_ROOT; returns the new run's name.

    `overrides` replace keys of config_inference. Raises UserError for mistakes in the config or the sound files, before
    any folder is made.
    """
    train = train_section(config_name, run_name)
    prepared = prepare(config_name, train, find_training_run(config_name, run_name, train), overrides)
    runtime = runtimes.start()
    with prepared.folder() as folder:
        runtimes.setup_logging(folder / "log.log")
        prepared.job.write(folder, runtime.device)
    folder = final_path(folder)
    what = "keyframes" if isinstance(prepared.job, KeyframeJob) else "animations"
    logger.info("%s: %s", what, external_path(folder))
    return folder.name


def inference_section(config_name: str, run: TrainRun) -> Section:
    """config_inference of a project, for a training run."""
    kind = run.spec.network_type
    return load_config(config_name, (), optional=("inference",), network_type=kind)["inference"]


def prepare(config_name: str, train: Section, run: TrainRun, overrides: Mapping[str, Any]) -> Prepared:
    """What config_inference, with other values of some keys, asks of a training run of a project, whose config_train is `train`.
    Raises UserError."""
    section = inference_section(config_name, run)
    if overrides:
        own = section.modifier
        given = {k: {**own.get(k, {}), **v} if isinstance(v, dict) else v for k, v in overrides.items()}
        section = section_from_values("inference", {**own, **given}, run.spec.network_type)
    made_with = {"training_run_name_full": run.name}
    if run_family(run).keyframes is not None:
        return Prepared(section, run, build_keyframe_job(section, run), made_with)
    guide_name = section.values.get("GUIDE_RUN")
    guide = None if guide_name is None else find_training_run(config_name, guide_name, train)
    head = _second_run(config_name, section, train)
    if head is not None:
        made_with["head_run_name_full"] = head.run.name
    job = build_job(section, run, post_configs(section, run), guide, head)
    edits = bool(section.values.get("EDIT", {}).get("file"))
    return Prepared(section, run, build_edit_job(section, job) if edits else job, made_with)


def _second_run(config_name: str, section: Section, train: Section) -> SecondRun | None:
    """The run that HEAD_RUN names. It animates with the defaults of its kind of network, and the takes and seed of the first."""
    name = section.values.get("HEAD_RUN")
    if name is None:
        return None
    if name == LATEST:
        raise UserError("HEAD_RUN: latest is the run itself; give the full name of the run that moves the head")
    run = load_train_run(find_training_folder(config_name, name, train))
    base = section_from_values("inference", {}, run.spec.network_type)
    shared = {key: section.values[key] for key in SHARED if key in section.values and key in base.values}
    own = section_from_values("inference", shared, run.spec.network_type)
    return SecondRun(run, own, post_configs(own, run))
