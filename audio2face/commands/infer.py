"""`run_inference.py`: animate the face from sound with a training run, without the runtime. Needs only the run."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from audio2face import runtime as runtimes
from audio2face.commands.find_run import find_training_run, post_configs, train_section
from audio2face.config import Section, load_config, section_from_values
from audio2face.inference.edit.job import EditJob, build_edit_job
from audio2face.inference.job import InferenceJob, build_job
from audio2face.paths import external_path, local_path
from audio2face.runs.run_dir import FULL_NAME, final_path, write_provenance, writing_run
from audio2face.runs.train_run import TrainRun

logger = logging.getLogger(__name__)


def run(config_name: str, run_name: str, **overrides: Any) -> str:
    """Animate AUDIO_PATH with training run `run_name` (or `latest`) into INFERENCE_OUTPUT_ROOT; returns the new run's name.

    `overrides` replace keys of config_inference. Raises UserError for mistakes in the config or the sound files, before
    any folder is made.
    """
    train = train_section(config_name, run_name)
    training_run = find_training_run(config_name, run_name, train)
    section = inference_section(config_name, training_run)
    section, job = prepare(section, training_run, post_configs(section, training_run), overrides)
    runtime = runtimes.start()
    with inference_run(section, training_run) as folder:
        runtimes.setup_logging(folder / "log.log")
        job.write(folder, runtime.device)
    folder = final_path(folder)
    logger.info("animations: %s", external_path(folder))
    return folder.name


def inference_section(config_name: str, run: TrainRun) -> Section:
    """config_inference of a project, for a training run."""
    kind = run.spec.network_type
    return load_config(config_name, (), optional=("inference",), network_type=kind)["inference"]


def prepare(
    section: Section, run: TrainRun, configs: Mapping[str, Mapping[str, Any]], overrides: Mapping[str, Any]
) -> tuple[Section, InferenceJob | EditJob]:
    """config_inference with other values of some keys, and what it asks for, ready to be made. Raises UserError."""
    if overrides:
        own = section.modifier
        given = {k: {**own.get(k, {}), **v} if isinstance(v, dict) else v for k, v in overrides.items()}
        section = section_from_values("inference", {**own, **given}, run.spec.network_type)
    job = build_job(section, run, configs)
    return section, build_edit_job(section, job) if section.values.get("EDIT", {}).get("file") else job


@contextmanager
def inference_run(section: Section, run: TrainRun) -> Iterator[Path]:
    """The folder of a new inference run, to be filled, named after the training run."""
    match = FULL_NAME.match(run.name)
    root, name = local_path(section.INFERENCE_OUTPUT_ROOT), match[2] if match else run.name
    with writing_run(root, name, "inference", keep=True) as folder:
        made_with = {"training_run_info": {"training_run_name_full": run.name}}
        write_provenance(folder, {"inference": section}, "", made_with)
        yield folder
